"""Loading the state at one position, in one transaction: how every service starts.

All that a snapshot hands out are the messages that outcomes carry, equal field by field.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any, TypeVar

import asyncpg
import msgspec

from exchange.postgres_db.connection import connected, reporting_failures
from exchange.postgres_db.schema import require_schema
from exchange.postgres_db.stored import (
    OPEN,
    OPEN_LIST,
    OPEN_WITHDRAWAL,
    TABLES,
    column_names,
    first_told,
)
from exchange.services.candles import STORED, Candle, Interval
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.messages import SignedRequest
from exchange.services.order_counts import MAKER_CREDIT, TAKER_CREDIT
from exchange.services.orders import OrderStatus
from exchange.services.rows import (
    Account,
    Act,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    Level,
    Order,
    OrderList,
    Row,
    Trade,
    Transfer,
    Withdrawal,
)

WAIT_S = 3.0
"""How long a missing Postgres is waited for at a time; then the process looks around and retries."""
PAUSE_S = 0.1
LOAD_TIMEOUT_S = 60.0

Stored = TypeVar("Stored", bound=msgspec.Struct)


class Position(msgspec.Struct, frozen=True):
    """Up to which number everything is in Postgres, and the hash of the live state there."""

    number: int
    state_hash: int
    epoch: int


class Snapshot:
    """Use `open_snapshot`."""

    def __init__(self, connection: asyncpg.Connection, position: Position) -> None:
        self.connection = connection
        """In the snapshot's transaction, for those who ask with SQL of their own."""
        self.position = position

    async def control_rows(self) -> list[Row]:
        """What operators made, with each market's numbers, so that each row finds what it needs:
        assets before markets, markets before counters, averages and beginnings, accounts before
        keys."""
        rows: list[Row] = []
        rows += await self._load(Asset, "ORDER BY asset")
        rows += await self._load(Market, "ORDER BY symbol")
        rows += await self._load(ExchangeRules, "")
        rows += await self._load(Counters, "ORDER BY symbol")
        rows += await self._load(AveragePrices, "ORDER BY symbol")
        rows += await self._load(Beginning, "ORDER BY symbol")
        rows += await self._load(Account, "ORDER BY account_id")
        rows += await self._load(Key, "ORDER BY api_key")
        return rows

    async def balances(self) -> list[Balance]:
        return await self._load(Balance, "ORDER BY account_id, asset")

    async def open_orders(self) -> list[Order]:
        """By market and queue, so that taking them one by one builds the book."""
        return await self._load(Order, f"WHERE {OPEN} ORDER BY symbol, queue")

    async def open_lists(self) -> list[OrderList]:
        """By market and age; their orders are open orders, or were."""
        return await self._load(OrderList, f"WHERE {OPEN_LIST} ORDER BY symbol, list_id")

    async def open_withdrawals(self) -> list[Withdrawal]:
        return await self._load(Withdrawal, f"WHERE {OPEN_WITHDRAWAL} ORDER BY number")

    async def closed_withdrawals(self) -> list[Withdrawal]:
        return await self._load(Withdrawal, f"WHERE NOT {OPEN_WITHDRAWAL} ORDER BY number")

    async def last_act(self) -> list[Act]:
        """One, if there ever was one."""
        return await self._load(Act, "ORDER BY number DESC LIMIT 1")

    async def acts(self, after: int, limit: int) -> list[Act]:
        """The first of those behind a number."""
        return await self._load(Act, "WHERE number > $1 ORDER BY number LIMIT $2", after, limit)

    async def orders_of_open_lists(self) -> list[Order]:
        """All of them, also those that have ended."""
        rest = f"""
            JOIN (
                SELECT symbol, jsonb_array_elements_text(order_ids)::bigint AS order_id
                FROM order_lists WHERE {OPEN_LIST}
            ) wanted USING (symbol, order_id)
            ORDER BY symbol, order_id
        """  # noqa: S608, our own constant
        return await self._load(Order, rest)

    async def levels(self) -> list[Level]:
        """What the book of every market shows, by price."""
        return msgspec.convert(await self._fetch(_LEVELS), list[Level])

    async def candles(self, interval: Interval, since: int) -> list[Candle]:
        """Those of a STORED interval that open at or after `since`, by symbol and time."""
        assert interval in STORED, interval
        rest = "WHERE interval = $1 AND open_time >= $2 ORDER BY symbol, open_time"
        return await self._load(Candle, rest, interval, since)

    async def recent_trades(self, limit: int) -> list[Trade]:
        """The newest of each market's public past, oldest first, by market."""
        rest = f"""
            JOIN (
                SELECT symbol, newest.trade_id FROM markets CROSS JOIN LATERAL (
                    SELECT trade_id FROM trades WHERE trades.symbol = markets.symbol
                        AND trades.trade_id >= {first_told("markets.symbol")}
                    ORDER BY trade_id DESC LIMIT $1
                ) newest
            ) newest USING (symbol, trade_id)
            ORDER BY symbol, trade_id
        """  # noqa: S608, our own constant
        return await self._load(Trade, rest, limit)

    async def unfilled_orders(self, start: int) -> dict[int, int]:
        """By account, the orders that were placed since `start` less what first fills since then
        gave back: as OrderCounts would have counted them from the outcomes."""
        found = await self._fetch(_UNFILLED, start, TAKER_CREDIT, MAKER_CREDIT)
        return {account: int(count) for account, count in found if count}

    async def transfers_by_reference(self) -> list[Transfer]:
        """All that ever were: a reference is used once."""
        return await self._load(Transfer, "ORDER BY number")

    async def requests(self) -> list[SignedRequest]:
        """All that are still known, by their numbers."""
        return await self._load(SignedRequest, "ORDER BY number")

    async def _load(self, kind: type[Stored], rest: str, *arguments: object) -> list[Stored]:
        query = f"SELECT {_fields(kind)} FROM {TABLES[kind]} {rest}"  # noqa: S608, our names
        records = await self._fetch(query, *arguments)
        tag = kind.__struct_config__.tag
        tagged = records if tag is None else [(tag, *record) for record in records]
        try:
            return [msgspec.convert(record, kind) for record in tagged]
        except msgspec.ValidationError as fault:
            raise OperatorNeeded(
                f"A row of {TABLES[kind]} cannot be read: {fault}. Somebody else has changed"
                " it, or a newer version has written it."
            ) from None

    async def _fetch(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with reporting_failures():
            return [tuple(record) for record in await self.connection.fetch(query, *arguments)]


@asynccontextmanager
async def open_snapshot(
    dsn: str, *, application_name: str, query_timeout_s: float = LOAD_TIMEOUT_S
) -> AsyncIterator[Snapshot]:
    """A consistent view of everything, for the time of the block.

    Waits a few seconds for a missing Postgres or a migration; raises WorldFailed, OperatorNeeded.
    """
    await _await_schema(dsn, application_name)
    async with connected(
        dsn, application_name=application_name, command_timeout_s=query_timeout_s
    ) as connection:
        with reporting_failures():
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            # The first query takes the snapshot that all later ones read.
            found = await connection.fetchrow("SELECT number, state_hash, epoch FROM position")
        # Nothing is written, so there is nothing to commit: closing the connection ends it.
        yield Snapshot(connection, Position(*found))


async def _await_schema(dsn: str, application_name: str) -> None:
    now = asyncio.get_running_loop().time
    until = now() + WAIT_S
    while True:
        try:
            async with connected(dsn, application_name=application_name) as connection:
                return await require_schema(connection)
        except WorldFailed:
            if now() > until:
                raise
            await asyncio.sleep(PAUSE_S)


@cache
def _fields(kind: type[msgspec.Struct]) -> str:
    return ", ".join(f'"{name}"' for name in column_names(kind))


# As Order.is_resting and Order.shown have it; what is 0 or False is not in the JSON.
_RESTING = f"""
    {OPEN} AND status <> '{OrderStatus.PENDING_NEW.value}'
    AND special->'waiting' IS DISTINCT FROM 'true'
"""
_SHOWN = """
    CASE WHEN special ? 'iceberg_quantity' THEN coalesce((special->>'shown')::numeric, 0)
    ELSE quantity - filled - coalesce((special->>'prevented')::numeric, 0) END
"""
_LEVELS = f"""
    SELECT 'Level', symbol, side, price, sum({_SHOWN}) FROM orders
    WHERE {_RESTING} GROUP BY symbol, side, price ORDER BY symbol, side, price
"""  # noqa: S608, our own constants
# There is no index by time. Candles know the last trade before the start, and that its taker, which
# was not placed later, has a smaller id than all orders that were.
#
# A count never falls below zero. So it is not the sum of its changes, but as much more as the sum
# was below zero at its lowest.
_UNFILLED = """
    WITH before AS (
        SELECT symbol, coalesce(trade_id, 0) AS trade_id,
            coalesce(greatest(buy_order, sell_order), 0) AS order_id
        FROM markets LEFT JOIN LATERAL (
            SELECT last_trade_id AS trade_id FROM candles
            WHERE candles.symbol = markets.symbol AND interval = '1m' AND open_time < $1
            ORDER BY open_time DESC LIMIT 1
        ) candle ON true LEFT JOIN trades USING (symbol, trade_id)
    ),
    placed AS (
        SELECT account_id, created AS time, 0 AS place, 1 AS change
        FROM orders JOIN before USING (symbol)
        WHERE orders.order_id > before.order_id AND created >= $1
    ),
    traded AS (
        SELECT symbol, trades.trade_id, quantity, time, taker_side,
            trades.buy_order, trades.sell_order
        FROM trades JOIN before USING (symbol)
        WHERE trades.trade_id > before.trade_id AND time >= $1
    ),
    sides AS (
        SELECT symbol, buy_order AS order_id, trade_id, quantity, time,
            taker_side = 'BUY' AS took FROM traded
        UNION ALL
        SELECT symbol, sell_order, trade_id, quantity, time, taker_side = 'SELL' FROM traded
    ),
    fills AS (
        SELECT symbol, order_id, sum(quantity) AS quantity, min(trade_id) AS place,
            (array_agg(time ORDER BY trade_id))[1] AS time,
            (array_agg(took ORDER BY trade_id))[1] AS took
        FROM sides GROUP BY symbol, order_id
    ),
    credits AS (
        SELECT account_id, time, place, CASE WHEN took THEN -$2::int ELSE -$3::int END AS change
        FROM fills JOIN orders USING (symbol, order_id) WHERE orders.filled = fills.quantity
    ),
    sums AS (
        SELECT account_id, change, sum(change) OVER (
            PARTITION BY account_id ORDER BY time, place ROWS UNBOUNDED PRECEDING
        ) AS sum_so_far
        FROM (SELECT * FROM placed UNION ALL SELECT * FROM credits) changes
    )
    SELECT account_id, sum(change) - least(0, min(sum_so_far)) FROM sums GROUP BY account_id
"""
