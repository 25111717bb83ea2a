"""What the exchange says afterwards: over the API, page by page, and in Postgres, in one snapshot.

Postgres is read by plain SQL here, and not by the exchange's own code: that is what is on trial.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from msgspec import Struct

from exchange.lab.chaos.client import Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.found import (
    DECIMALS,
    FoundOrder,
    FoundTrade,
    Holdings,
    Unreadable,
    holdings_from,
    list_from,
    order_from,
    trade_from,
)

PAGE = 1_000
READ_S_MAX = 60.0
PAUSE_S = 0.1
TRADES_AT_ONCE = 5_000


class EvidenceFault(Exception):
    """The exchange cannot be asked, or makes no sense; the text says how."""


class Account(Struct, frozen=True):
    """What one source says about one account; orders and trades by market and id."""

    orders: list[FoundOrder]
    trades: list[FoundTrade]
    holdings: Holdings


class FoundTransfer(Struct, frozen=True):
    reference: str
    kind: str
    asset: str
    amount: int


class MarketTrade(Struct, frozen=True, gc=False):
    """A trade as Postgres has it; `time` is in microseconds."""

    id: int
    price: int
    quantity: int
    quote: int
    time: int
    taker_buys: bool


class Candle(Struct, frozen=True):
    """A stored candle; prices and volumes, and of these what takers bought."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_base: int
    taker_quote: int
    first_trade_id: int
    last_trade_id: int


# --- Over the API ---


async def account_by_api(public: PublicApi, symbols: list[str]) -> Account:
    """Everything of the key's account. Raises EvidenceFault."""
    try:
        orders: list[FoundOrder] = []
        trades: list[FoundTrade] = []
        for symbol in sorted(symbols):
            orders += await _orders(public, symbol)
            trades += await _trades(public, symbol)
        holdings = holdings_from(await _read(public, "account", omitZeroBalances="true"))
    except Unreadable as fault:
        raise EvidenceFault(str(fault)) from None
    trades.sort(key=trade_order)
    return Account(orders, trades, holdings)


def trade_order(trade: FoundTrade) -> tuple[str, int, bool]:
    """Of a self-trade both sides are there."""
    return trade.symbol, trade.id, trade.is_buyer


async def klines_by_api(public: PublicApi, symbol: str) -> dict[int, tuple[int, ...]]:
    """The latest minutes in which anything was traded, by their opening in microseconds: open,
    high, low, close, volume, quote volume, number of trades.
    """
    try:
        rows = list_from(await _read(public, "klines", symbol=symbol, interval="1m", limit=PAGE))
        return {
            row[0] * 1_000: (*(_units(text) for text in row[1:6]), _units(row[7]), row[8])
            for row in rows
            if row[8]
        }
    except (Unreadable, LookupError, TypeError) as fault:
        raise EvidenceFault(f"klines: {fault}") from None


async def depth_by_api(public: PublicApi, symbol: str) -> dict[tuple[str, int], int]:
    """Open quantity by side and price."""
    body = await _read(public, "depth", symbol=symbol, limit=5_000)
    return {
        (side, _units(price)): _units(quantity)
        for side, levels in (("BUY", body["bids"]), ("SELL", body["asks"]))
        for price, quantity in levels
    }


async def _orders(public: PublicApi, symbol: str) -> list[FoundOrder]:
    found: list[FoundOrder] = []
    first = 0
    while True:
        rows = await _read(public, "allOrders", symbol=symbol, orderId=first, limit=PAGE)
        page = [order_from(one) for one in list_from(rows)]
        found += page
        if len(page) < PAGE:
            return found
        first = page[-1].id + 1


async def _trades(public: PublicApi, symbol: str) -> list[FoundTrade]:
    found: dict[tuple[str, int, bool], FoundTrade] = {}
    first = 0
    while True:
        rows = await _read(public, "myTrades", symbol=symbol, fromId=first, limit=PAGE)
        page = [trade_from(one) for one in list_from(rows)]
        for trade in page:
            # The last one of a page is read again, since it may have two sides.
            if found.setdefault(trade_order(trade), trade) != trade:
                raise EvidenceFault(f"trade {trade.id} is told in two ways")
        if len(page) < PAGE:
            return list(found.values())
        first = page[-1].id


async def _read(public: PublicApi, path: str, **parameters: object) -> Any:
    """An answer of status 200; a read that is refused for now is asked for again, for a minute."""
    for _ in range(int(READ_S_MAX / PAUSE_S)):
        try:
            answer = await public.read(path, **parameters)
        except (NotSent, NoAnswer):
            pass
        except Malformed as fault:
            raise EvidenceFault(f"{path}: {fault}") from None
        else:
            if answer.status == 200:
                return answer.body
            if answer.status != 503:
                raise EvidenceFault(f"{path}: {answer.status} {answer.body}")
        await asyncio.sleep(PAUSE_S)
    raise EvidenceFault(f"{path} was not answered within {READ_S_MAX:.0f} s")


def _units(text: str) -> int:
    whole, _, fraction = text.partition(".")
    return int(whole + fraction.ljust(DECIMALS, "0"))


# --- In Postgres ---


class Rows:
    """One snapshot of the tables."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def markets(self) -> dict[str, tuple[str, str]]:
        """Base and quote of every market."""
        rows = await self._connection.fetch("SELECT symbol, base, quote FROM markets")
        return {row["symbol"]: (row["base"], row["quote"]) for row in rows}

    async def account(self, account_id: int, markets: dict[str, tuple[str, str]]) -> Account:
        orders = [
            FoundOrder(
                symbol=row["symbol"],
                id=row["order_id"],
                client_order_id=row["client_order_id"],
                side=row["side"],
                type=row["type"],
                price=int(row["price"]),
                quantity=int(row["quantity"]),
                executed=int(row["filled"]),
                executed_quote=int(row["filled_quote"]),
                status=row["status"],
            )
            for row in await self._connection.fetch(_ORDERS, account_id)
        ]
        trades = [
            _own_trade(row, markets[row["symbol"]], is_buyer=is_buyer)
            for is_buyer in (True, False)
            for row in await self._connection.fetch(_BOUGHT if is_buyer else _SOLD, account_id)
        ]
        trades.sort(key=trade_order)
        held = await self._connection.fetch(_BALANCES, account_id)
        holdings = {row["asset"]: (int(row["free"]), int(row["locked"])) for row in held}
        return Account(orders, trades, holdings)

    async def transfers(self, account_id: int) -> list[FoundTransfer]:
        rows = await self._connection.fetch(_TRANSFERS, account_id)
        return [
            FoundTransfer(row["reference"], row["kind"], row["asset"], int(row["amount"]))
            for row in rows
        ]

    async def strangers(self, account_ids: list[int]) -> list[str]:
        """Whatever belongs to other accounts than these and the exchange's own, in words."""
        rows = await self._connection.fetch(_STRANGERS, account_ids)
        return [f"{row['what']} of account {row['account_id']}" for row in rows]

    async def sums(self) -> dict[str, tuple[int, int]]:
        """By asset: what all accounts hold, and what came in less what went out."""
        rows = await self._connection.fetch(_SUMS)
        return {row["asset"]: (int(row["held"]), int(row["moved"])) for row in rows}

    async def negative(self) -> int:
        """How many balances are below zero."""
        return int(await self._connection.fetchval(_NEGATIVE))

    async def generations(self) -> int:
        return int(await self._connection.fetchval("SELECT count(*) FROM generations"))

    async def depth(self, symbol: str) -> dict[tuple[str, int], int]:
        """Open quantity by side and price, from the open orders."""
        rows = await self._connection.fetch(_DEPTH, symbol)
        return {(row["side"], int(row["price"])): int(row["open"]) for row in rows}

    async def trades(self, symbol: str, since: int) -> AsyncIterator[MarketTrade]:
        """A market's trades since a time in microseconds, by id; never many at once in memory."""
        async for row in self._connection.cursor(_TRADES, symbol, since, prefetch=TRADES_AT_ONCE):
            yield MarketTrade(
                row["trade_id"],
                int(row["price"]),
                int(row["quantity"]),
                int(row["quote_quantity"]),
                row["time"],
                row["taker_side"] == "BUY",
            )

    async def last_trade_id(self, symbol: str, before: int) -> int:
        """The last one before a time in microseconds; 0 where there is none."""
        return int(await self._connection.fetchval(_LAST_TRADE_ID, symbol, before))

    async def candles(self, symbol: str, since: int) -> dict[tuple[str, int], Candle]:
        """By interval and opening time."""
        rows = await self._connection.fetch(_CANDLES, symbol, since)
        return {
            (row["interval"], row["open_time"]): Candle(*(int(value) for value in row[2:]))
            for row in rows
        }


@asynccontextmanager
async def snapshot(database_url: str) -> AsyncIterator[Rows]:
    """What Postgres holds at one moment. Raises EvidenceFault."""
    try:
        connection = await asyncpg.connect(database_url, timeout=10)
    except (OSError, TimeoutError, asyncpg.PostgresError) as fault:
        raise EvidenceFault(f"Postgres cannot be reached: {fault}") from None
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            yield Rows(connection)
    finally:
        connection.terminate()


def _own_trade(row: Any, assets: tuple[str, str], *, is_buyer: bool) -> FoundTrade:
    return FoundTrade(
        symbol=row["symbol"],
        id=row["trade_id"],
        order_id=row["order_id"],
        price=int(row["price"]),
        quantity=int(row["quantity"]),
        quote=int(row["quote_quantity"]),
        commission=int(row["fee"]),
        commission_asset=assets[0 if is_buyer else 1],
        time=row["time"] // 1_000,
        is_buyer=is_buyer,
        is_maker=(row["taker_side"] == "BUY") is not is_buyer,
    )


_ORDERS = """
    SELECT symbol, order_id, client_order_id, side, type, price, quantity, filled, filled_quote,
        status
    FROM orders WHERE account_id = $1 ORDER BY symbol, order_id
"""
_BOUGHT = """
    SELECT symbol, trade_id, buy_order AS order_id, price, quantity, quote_quantity,
        buy_fee AS fee, time, taker_side
    FROM trades WHERE buy_account = $1
"""
_SOLD = """
    SELECT symbol, trade_id, sell_order AS order_id, price, quantity, quote_quantity,
        sell_fee AS fee, time, taker_side
    FROM trades WHERE sell_account = $1
"""
_BALANCES = """
    SELECT asset, free, locked FROM balances
    WHERE account_id = $1 AND (free <> 0 OR locked <> 0)
"""
_TRANSFERS = """
    SELECT reference, kind, asset, amount FROM transfers WHERE account_id = $1 ORDER BY number
"""
# Account 0 is the exchange's own, which receives the fees and does nothing else; `exchange up` makes
# a login for whoever runs it.
_STRANGERS = """
    SELECT 'an order' AS what, account_id FROM orders WHERE account_id <> ALL($1)
    UNION ALL SELECT 'a transfer', account_id FROM transfers WHERE account_id <> ALL($1)
    UNION ALL SELECT 'a purchase', buy_account FROM trades WHERE buy_account <> ALL($1)
    UNION ALL SELECT 'a sale', sell_account FROM trades WHERE sell_account <> ALL($1)
    UNION ALL SELECT 'money', account_id FROM balances WHERE account_id <> ALL($1 || 0::bigint)
    UNION ALL SELECT 'a name', account_id FROM accounts
    WHERE account_id <> ALL($1 || 0::bigint) AND name <> 'admin'
    LIMIT 20
"""
_SUMS = """
    SELECT asset, coalesce(held, 0) AS held, coalesce(moved, 0) AS moved FROM (
        SELECT asset, sum(free + locked) AS held FROM balances GROUP BY asset
    ) balances FULL JOIN (
        SELECT asset, sum(CASE kind WHEN 'DEPOSIT' THEN amount ELSE -amount END) AS moved
        FROM transfers WHERE kind <> 'TRANSFER' GROUP BY asset
    ) transfers USING (asset)
"""
_NEGATIVE = "SELECT count(*) FROM balances WHERE free < 0 OR locked < 0"
_DEPTH = """
    SELECT side, price, sum(quantity - filled) AS open FROM orders
    WHERE symbol = $1 AND status IN ('NEW', 'PARTIALLY_FILLED') GROUP BY side, price
"""
_TRADES = """
    SELECT trade_id, price, quantity, quote_quantity, time, taker_side FROM trades
    WHERE symbol = $1 AND time >= $2 ORDER BY trade_id
"""
_LAST_TRADE_ID = """
    SELECT coalesce(max(trade_id), 0) FROM trades WHERE symbol = $1 AND time < $2
"""
_CANDLES = """
    SELECT interval, open_time, open, high, low, close, volume, quote_volume, trades, taker_base,
        taker_quote, first_trade_id, last_trade_id
    FROM candles WHERE symbol = $1 AND open_time >= $2
"""
