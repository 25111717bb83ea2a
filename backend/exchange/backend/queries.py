"""All SQL of the backend. Amounts come as integers, rows as the messages that outcomes carry."""

from collections.abc import Collection, Sequence
from typing import TypeAlias, TypeVar

import asyncpg
import msgspec

from exchange.postgres_db.stored import OPEN, OPEN_LIST, TABLES, column_names, first_told
from exchange.services.candles import HOUR, MINUTE, Candle, Interval, stored_interval
from exchange.services.orders import Side
from exchange.services.rows import Amendment, Balance, Order, OrderList, PreventedMatch, Trade

Stored = TypeVar("Stored", bound=Order | OrderList | Amendment | PreventedMatch | Trade | Balance)
Source: TypeAlias = "asyncpg.Connection | asyncpg.Pool"

NEWEST = 2**63 - 1


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for: bounds are inclusive, None is no bound.

    With a lower bound, of time or id, the oldest `limit` are meant, else the newest.
    """

    first_id: int | None = None
    start: int | None = None
    end: int | None = None
    limit: int

    @property
    def from_oldest(self) -> bool:
        return self.first_id is not None or self.start is not None


async def select_position(source: Source) -> int:
    return int(await source.fetchval("SELECT number FROM position"))


async def select_order(
    connection: asyncpg.Connection,
    account: int,
    symbol: str,
    order_id: int | None,
    client_order_id: str | None,
) -> Order | None:
    """By id, by client order id (the newest that had it), or by both, which must agree."""
    conditions, arguments = _conditions(
        account_id=account, symbol=symbol, order_id=order_id, client_order_id=client_order_id
    )
    rest = f"WHERE {conditions} ORDER BY order_id DESC LIMIT 1"
    orders = await _select(connection, Order, rest, *arguments)
    return orders[0] if orders else None


async def select_open_orders(
    connection: asyncpg.Connection, account: int, symbol: str | None
) -> list[Order]:
    return await _select(
        connection,
        Order,
        f"""
        WHERE account_id = $1 AND ($2::text IS NULL OR symbol = $2) AND {OPEN}
        ORDER BY created, symbol, order_id
        """,
        account,
        symbol,
    )


async def select_orders(
    connection: asyncpg.Connection, account: int, symbol: str, window: Window
) -> list[Order]:
    """Oldest first."""
    direction = _direction(window)
    orders = await _select(
        connection,
        Order,
        f"""
        WHERE account_id = $1 AND symbol = $2 AND order_id >= $3
          AND created BETWEEN $4 AND $5
        ORDER BY order_id {direction} LIMIT $6
        """,
        account,
        symbol,
        window.first_id or 0,
        window.start or 0,
        NEWEST if window.end is None else window.end,
        window.limit,
    )
    return sorted(orders, key=lambda order: order.id)


async def select_order_list(
    connection: asyncpg.Connection,
    account: int,
    list_id: int | None,
    client_list_id: str | None,
) -> OrderList | None:
    """By id, by client list id (the newest that had it), or by both, which must agree."""
    conditions, arguments = _conditions(
        account_id=account, list_id=list_id, client_list_id=client_list_id
    )
    rest = f"WHERE {conditions} ORDER BY list_id DESC LIMIT 1"
    lists = await _select(connection, OrderList, rest, *arguments)
    return lists[0] if lists else None


async def select_order_lists(
    connection: asyncpg.Connection, account: int, window: Window
) -> list[OrderList]:
    """Of all markets, oldest first."""
    lists = await _select(
        connection,
        OrderList,
        f"""
        WHERE account_id = $1 AND list_id >= $2 AND created BETWEEN $3 AND $4
        ORDER BY list_id {_direction(window)} LIMIT $5
        """,
        account,
        window.first_id or 0,
        window.start or 0,
        NEWEST if window.end is None else window.end,
        window.limit,
    )
    return sorted(lists, key=lambda one: one.id)


async def select_open_order_lists(connection: asyncpg.Connection, account: int) -> list[OrderList]:
    rest = f"WHERE account_id = $1 AND {OPEN_LIST} ORDER BY list_id"
    return await _select(connection, OrderList, rest, account)


async def select_orders_of(
    connection: asyncpg.Connection, lists: Sequence[OrderList]
) -> dict[tuple[str, int], Order]:
    """The orders of lists, by symbol and id."""
    wanted = [(one.symbol, order_id) for one in lists for order_id in one.order_ids]
    orders = await _select(
        connection,
        Order,
        """
        JOIN unnest($1::text[], $2::bigint[]) AS wanted(symbol, order_id) USING (symbol, order_id)
        """,
        [symbol for symbol, _ in wanted],
        [order_id for _, order_id in wanted],
    )
    return {(order.symbol, order.id): order for order in orders}


async def select_list_ids(
    connection: asyncpg.Connection, symbol: str, order_ids: Collection[int]
) -> dict[int, int]:
    """The lists that these orders are of; orders without one are left out."""
    return dict(await connection.fetch(_LIST_IDS, symbol, list(order_ids)))


async def select_amendments(
    connection: asyncpg.Connection, account: int, symbol: str, order_id: int, window: Window
) -> list[Amendment]:
    """Oldest first; their ids are the journal numbers of their commands."""
    amendments = await _select(
        connection,
        Amendment,
        f"""
        WHERE account_id = $1 AND symbol = $2 AND order_id = $3 AND number >= $4
        ORDER BY number {_direction(window)} LIMIT $5
        """,
        account,
        symbol,
        order_id,
        window.first_id or 0,
        window.limit,
    )
    return sorted(amendments, key=lambda amendment: amendment.number)


async def select_prevented_matches(
    connection: asyncpg.Connection,
    account: int,
    symbol: str,
    match_id: int | None,
    order_id: int | None,
    window: Window,
) -> list[PreventedMatch]:
    """One by its id, or those of an order, as taker or as maker, oldest first."""
    # Only what is given is asked for: a plan for both cases would use the index of neither.
    is_meant = "match_id = $3" if order_id is None else "(taker_order = $3 OR maker_order = $3)"
    matches = await _select(
        connection,
        PreventedMatch,
        f"""
        WHERE account_id = $1 AND symbol = $2 AND {is_meant} AND match_id >= $4
        ORDER BY match_id {_direction(window)} LIMIT $5
        """,
        account,
        symbol,
        match_id if order_id is None else order_id,
        window.first_id or 0,
        window.limit,
    )
    return sorted(matches, key=lambda match: match.id)


async def select_own_trades(
    connection: asyncpg.Connection,
    account: int,
    symbol: str,
    order_id: int | None,
    window: Window,
) -> list[tuple[Trade, Side]]:
    """The sides of trades that are the account's own, oldest first; of a self-trade both."""
    found: list[tuple[Trade, Side]] = []
    for side in Side:
        # One side at a time, so that each uses the index of its account.
        party = "buy" if side is Side.BUY else "sell"
        trades = await _select(
            connection,
            Trade,
            f"""
            WHERE {party}_account = $1 AND symbol = $2 AND trade_id >= $3
              AND time BETWEEN $4 AND $5 AND ($6::bigint IS NULL OR {party}_order = $6)
            ORDER BY trade_id {_direction(window)} LIMIT $7
            """,
            account,
            symbol,
            window.first_id or 0,
            window.start or 0,
            NEWEST if window.end is None else window.end,
            order_id,
            window.limit,
        )
        found += [(trade, side) for trade in trades]
    found.sort(key=lambda own: own[0].id)
    return found[: window.limit] if window.from_oldest else found[-window.limit :]


def order_of(trade: Trade, side: Side) -> int:
    """The order that was on this side of a trade."""
    return trade.buy_order if side is Side.BUY else trade.sell_order


async def select_trades(
    connection: asyncpg.Connection,
    symbol: str,
    *,
    first_id: int | None = None,
    last_id: int = NEWEST,
    limit: int,
) -> list[Trade]:
    """Of a market's public past: the oldest from `first_id` on, else the newest up to `last_id`."""
    trades = await _select(
        connection,
        Trade,
        f"""
        WHERE symbol = $1 AND trade_id BETWEEN greatest($2, {first_told("$1")}) AND $3
        ORDER BY trade_id {"DESC" if first_id is None else "ASC"} LIMIT $4
        """,
        symbol,
        first_id or 0,
        last_id,
        limit,
    )
    return sorted(trades, key=lambda trade: trade.id)


async def select_first_trade_id(
    connection: asyncpg.Connection, symbol: str, time: int
) -> int | None:
    """The first trade of the minute that `time` is in, or of the next with trades; None: none."""
    # Trades have no index by time: the minutes know where each began.
    found: int | None = await connection.fetchval(
        _FIRST_TRADE_ID, symbol, Interval.MINUTE_1.value, time - time % MINUTE
    )
    return found


async def select_last_trade_id(
    connection: asyncpg.Connection, symbol: str, time: int
) -> int | None:
    """The last trade of the minute that `time` is in, or of the last before; None: none."""
    found: int | None = await connection.fetchval(
        _LAST_TRADE_ID, symbol, Interval.MINUTE_1.value, time
    )
    return found


async def select_balances(connection: asyncpg.Connection, account: int) -> list[Balance]:
    return await _select(connection, Balance, "WHERE account_id = $1", account)


async def select_time(connection: asyncpg.Connection) -> int:
    """Up to when everything that happened is in this snapshot: µs, 0 before the first outcome."""
    return int(await connection.fetchval("SELECT time FROM position"))


async def select_candles(
    connection: asyncpg.Connection,
    symbol: str,
    interval: Interval,
    offset: int,
    opens: Sequence[int],
    end: int,
) -> list[Candle]:
    """The candles that open at `opens`, which follow each other; the last one is cut at `end`.

    They are added up here and not in Python, because a year of minutes is half a million rows.
    """
    records = await connection.fetch(
        _CANDLES, symbol, stored_interval(interval, offset).value, list(opens), end
    )
    return [
        Candle(
            symbol=symbol,
            interval=interval,
            open_time=opens[record["bucket"] - 1],
            **{name: record[name] for name in _CANDLE_VALUES},
        )
        for record in records
    ]


async def select_traded(
    connection: asyncpg.Connection, symbols: Collection[str], start: int
) -> dict[str, Candle]:
    """All that was traded from the whole minute `start` on, by symbol, where there was anything.

    Hours that began later are not read by their minutes, of which a week has ten thousand.
    """
    hour = start + -start % HOUR
    records = await connection.fetch(_TRADED, list(symbols), start, hour)
    return {
        record["symbol"]: Candle(
            symbol=record["symbol"],
            interval=Interval.MINUTE_1,
            open_time=start,
            **{name: record[name] for name in _CANDLE_VALUES},
        )
        for record in records
    }


async def select_close_before(
    connection: asyncpg.Connection, symbol: str, interval: Interval, offset: int, time: int
) -> int:
    """The last price before a candle that opens at `time`; 0 where nothing was traded before."""
    stored = stored_interval(interval, offset)
    close = await connection.fetchval(_CLOSE_BEFORE, symbol, stored.value, time)
    if close is None and stored is Interval.SECOND_1:
        # Seconds are kept for some days only, minutes for ever.
        close = await connection.fetchval(
            _CLOSE_BEFORE, symbol, Interval.MINUTE_1.value, time - time % MINUTE
        )
    return close or 0


async def _select(
    connection: asyncpg.Connection, kind: type[Stored], rest: str, *arguments: object
) -> list[Stored]:
    names = ", ".join(f'"{name}"' for name in column_names(kind))
    records = await connection.fetch(
        f"SELECT {names} FROM {TABLES[kind]} {rest}",  # noqa: S608, nothing comes from outside
        *arguments,
    )
    tag = kind.__struct_config__.tag
    return [msgspec.convert((tag, *record), kind) for record in records]


def _conditions(**wanted: int | str | None) -> tuple[str, list[int | str]]:
    """The columns that must have a value, in SQL, and the values; what is None may be anything."""
    # Only what is given is asked for: a plan for every case would use the index of none.
    given = {column: value for column, value in wanted.items() if value is not None}
    terms = [f"{column} = ${place}" for place, column in enumerate(given, 1)]
    return " AND ".join(terms), list(given.values())


def _direction(window: Window) -> str:
    return "ASC" if window.from_oldest else "DESC"


_LIST_IDS = """
    SELECT order_id, (special ->> 'list_id')::bigint FROM orders
    WHERE symbol = $1 AND order_id = ANY($2::bigint[]) AND special ? 'list_id'
"""

_CANDLE_VALUES = [
    name for name in Candle.__struct_fields__ if name not in ("symbol", "interval", "open_time")
]

# Clocks may step back, trade ids do not: they decide which price opens and which closes.
_ADDED_UP = """
    (array_agg(open ORDER BY first_trade_id))[1] AS open,
    max(high) AS high,
    min(low) AS low,
    (array_agg(close ORDER BY last_trade_id DESC))[1] AS close,
    sum(volume) AS volume,
    sum(quote_volume) AS quote_volume,
    sum(trades) AS trades,
    sum(taker_base) AS taker_base,
    sum(taker_quote) AS taker_quote,
    min(first_trade_id) AS first_trade_id,
    max(last_trade_id) AS last_trade_id
"""
_CANDLES = f"""
    SELECT width_bucket(open_time, $3::bigint[]) AS bucket, {_ADDED_UP}
    FROM candles
    WHERE symbol = $1 AND interval = $2 AND open_time >= ($3::bigint[])[1] AND open_time <= $4
    GROUP BY bucket ORDER BY bucket
"""  # noqa: S608, our own constants
_TRADED = f"""
    SELECT symbol, {_ADDED_UP}
    FROM candles
    WHERE symbol = ANY($1::text[])
      AND (interval = '{Interval.MINUTE_1}' AND open_time >= $2 AND open_time < $3
           OR interval = '{Interval.HOUR_1}' AND open_time >= $3)
    GROUP BY symbol
"""  # noqa: S608, our own constants
_CLOSE_BEFORE = """
    SELECT close FROM candles WHERE symbol = $1 AND interval = $2 AND open_time < $3
    ORDER BY open_time DESC LIMIT 1
"""
_FIRST_TRADE_ID = """
    SELECT first_trade_id FROM candles WHERE symbol = $1 AND interval = $2 AND open_time >= $3
    ORDER BY open_time LIMIT 1
"""
_LAST_TRADE_ID = """
    SELECT last_trade_id FROM candles WHERE symbol = $1 AND interval = $2 AND open_time <= $3
    ORDER BY open_time DESC LIMIT 1
"""
