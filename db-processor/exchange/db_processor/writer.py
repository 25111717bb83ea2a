"""Outcomes into Postgres: one transaction for a batch of frames, or nothing of it."""

from collections.abc import Iterable, Sequence
from types import NoneType, UnionType
from typing import Any, assert_never, get_args, get_origin

import asyncpg
import msgspec
from msgspec.structs import astuple, fields

from exchange.postgres_db.connection import reporting_failures
from exchange.postgres_db.snapshot import Position
from exchange.postgres_db.stored import AMOUNTS, PRIMARY_KEYS, TABLES, column_names
from exchange.services.candles import STORED, Candle, fold, fold_trades
from exchange.services.failures import WorldFailed
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.messages import Opened, Outcome, OutcomeFrame, SignedRequest, encode
from exchange.services.rows import (
    Account,
    Act,
    Amendment,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    Level,
    Order,
    OrderList,
    PreventedMatch,
    Row,
    Trade,
    Transfer,
    Withdrawal,
)

COPY_ORDERS_MIN = 100
"""From so many orders on, COPY is worth two more questions to Postgres: it writes a new row in half
of the time of a statement for which the row may be there already."""


class PositionMoved(WorldFailed):
    """Somebody else has written, or the frames are not the next: read the position again."""


async def write(connection: asyncpg.Connection, frames: Sequence[OutcomeFrame]) -> Position:
    """Write frames that follow the position in Postgres, and move it behind them.

    Raises PositionMoved where they do not follow it, WorldFailed, and AssertionError where a
    constraint does not hold; then nothing of them is written.
    """
    changes = _Changes(frames)
    with reporting_failures():
        async with connection.transaction():
            # First, because the lock on this row is what keeps a second writer out.
            position = await _move_position(connection, frames)
            await changes.write(connection)
    return position


async def _move_position(
    connection: asyncpg.Connection, frames: Sequence[OutcomeFrame]
) -> Position:
    first, last = frames[0], frames[-1]
    moved = await connection.execute(
        _MOVE_POSITION, first.previous, last.last, last.state_hash, last.epoch, last.time
    )
    if moved != "UPDATE 1":
        found = await connection.fetchval("SELECT number FROM position")
        raise PositionMoved(f"Postgres is at {found}, the next outcome follows {first.previous}")
    return Position(last.last, last.state_hash, last.epoch)


class _Changes:
    """What a batch leaves behind: the last state of each thing, and all that was added."""

    def __init__(self, frames: Sequence[OutcomeFrame]) -> None:
        self._states: dict[type[Row], dict[Any, Row]] = {kind: {} for kind in _UPSERTS}
        self._order_numbers: dict[tuple[str, int], int] = {}
        self._trades: list[Trade] = []
        # Where a market begins anew its candles go, and those of what was traded before are none.
        self._told: dict[str, list[Trade]] = {}
        self._added: dict[type[Row], list[Row]] = {kind: [] for kind in _INSERTS}
        self._requests, self._requests_since = _known_requests(frames)
        self._generations: list[tuple[int, int, int]] = []
        for frame in frames:
            for outcome in frame.outcomes:
                self._take(outcome)

    async def write(self, connection: asyncpg.Connection) -> None:
        if len(self._states[Order]) >= COPY_ORDERS_MIN:
            await self._copy_new_orders(connection)
        for kind, states in self._states.items():
            if states:
                arrays = _arrays(kind, states.values())
                if kind is Order:
                    arrays.append([self._order_numbers[identity] for identity in states])
                await connection.execute(_UPSERTS[kind], *arrays)
        if self._trades:
            await _copy(connection, Trade, map(astuple, self._trades))
        if self._states[Beginning]:
            await connection.execute(_DELETE_CANDLES, list(self._states[Beginning]))
        if told := [trade for trades in self._told.values() for trade in trades]:
            await connection.execute(_MERGE_CANDLES, *_arrays(Candle, _all_candles(told)))
        for kind, rows in self._added.items():
            if rows:
                await connection.execute(_INSERTS[kind], *_arrays(kind, rows))
        requests = _arrays(SignedRequest, self._requests)
        await connection.execute(_KEEP_REQUESTS, *requests, self._requests_since)
        for generation in self._generations:
            await connection.execute(_INSERT_GENERATION, *generation)

    async def _copy_new_orders(self, connection: asyncpg.Connection) -> None:
        """Those with ids that their markets had not given out before, and that have no parts."""
        orders, numbers = self._states[Order], self._order_numbers
        last = dict(await connection.fetch(_LAST_ORDERS))
        new = [
            identity
            for identity, order in orders.items()
            if identity[1] > last.get(identity[0], 0) and order.special is None  # type: ignore[union-attr]  # of Order
        ]
        rows = [(*astuple(orders.pop(identity)), numbers[identity]) for identity in new]
        await _copy(connection, Order, rows)

    def _take(self, outcome: Outcome) -> None:
        if isinstance(outcome.result, Opened):
            self._generations.append((outcome.result.base, outcome.result.epoch, outcome.time))
        states = self._states
        for row in outcome.rows:
            match row:
                case Order():
                    identity = (row.symbol, row.id)
                    states[Order][identity] = row
                    # An order first shows in the outcome of the command that created it. Written
                    # before, it keeps the number that stands there.
                    self._order_numbers.setdefault(identity, outcome.number)
                case Balance():
                    states[Balance][row.account, row.asset] = row
                case Trade():
                    self._trades.append(row)
                    self._told.setdefault(row.symbol, []).append(row)
                case Beginning():
                    states[Beginning][row.symbol] = row
                    self._told.pop(row.symbol, None)
                case Level():
                    pass  # The sum of the open orders, which are written.
                case Counters() | AveragePrices() | Market():
                    states[type(row)][row.symbol] = row
                case OrderList():
                    states[OrderList][row.symbol, row.id] = row
                case Withdrawal():
                    states[Withdrawal][row.reference] = row
                case Transfer() | Amendment() | PreventedMatch() | Act():
                    self._added[type(row)].append(row)
                case ExchangeRules():
                    states[ExchangeRules]["all markets"] = row
                case Account():
                    states[Account][row.id] = row
                case Key():
                    states[Key][row.api_key] = row
                case Asset():
                    states[Asset][row.name] = row
                case _:
                    assert_never(row)


def _known_requests(frames: Sequence[OutcomeFrame]) -> tuple[list[SignedRequest], int]:
    """Those that the engine still knows behind the last frame, and from which deadline on it knows
    those of before: each frame says what it makes it forget."""
    known: list[SignedRequest] = []
    since = 0
    for frame in reversed(frames):
        since = max(since, frame.requests_since)
        signed = (outcome.signed_request for outcome in frame.outcomes)
        known += [one for one in signed if one is not None and one.deadline >= since]
    return known, since


def _all_candles(trades: Iterable[Trade]) -> list[Candle]:
    shortest, *longer = STORED
    found = candles = fold_trades(trades, shortest)
    for interval in longer:
        candles = fold(candles, interval)
        found = found + candles
    return found


async def _copy(
    connection: asyncpg.Connection, kind: type[msgspec.Struct], rows: Iterable[tuple[Any, ...]]
) -> None:
    """By COPY's text format: its binary one has no whole numbers of 38 digits in asyncpg."""
    lines = "".join("\t".join(map(_copy_text, row)) + "\n" for row in rows)
    await connection.copy_to_table(
        TABLES[kind],
        columns=_written(kind),
        source=memoryview(lines.encode()),  # plain bytes would be taken for a file name
    )


def _copy_text(value: int | str | bytes | None) -> str:
    if isinstance(value, str):
        return value.translate(_COPY_ESCAPES)
    if value is None:
        return r"\N"
    return rf"\\x{value.hex()}" if isinstance(value, bytes) else str(value)


def _arrays(kind: type[msgspec.Struct], rows: Iterable[msgspec.Struct]) -> list[Any]:
    """One array for each field, as the statements take them."""
    types = _ARRAY_TYPES[kind]
    columns = list(zip(*map(astuple, rows), strict=True)) or [()] * len(types)
    return [_array(type_, values) for type_, values in zip(types, columns, strict=True)]


def _array(type_: str, values: Sequence[Any]) -> Sequence[Any] | str:
    if type_ == _AMOUNTS:
        # One text for all of them is several times faster than encoding number by number.
        return "{" + ",".join(map(str, values)) + "}"
    if type_ == _JSON:
        return [None if value is None else encode(value).decode() for value in values]
    return values


_COPY_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})

_AMOUNTS, _JSON = "text::numeric[]", "text[]::json[]"
_PLAIN = {bool: "boolean[]", int: "bigint[]", str: "text[]", bytes: "bytea[]"}


def _array_type(column: str, field: Any) -> str:
    """What holds the values of a field on their way; Postgres makes of them what the column holds."""
    if column in AMOUNTS:
        return _AMOUNTS
    if get_origin(field) is UnionType:
        (field,) = set(get_args(field)) - {NoneType}
    plain = field.__mro__ if isinstance(field, type) else ()
    return next((_PLAIN[one] for one in plain if one in _PLAIN), _JSON)


_ARRAY_TYPES: dict[type[msgspec.Struct], list[str]] = {
    kind: [
        _array_type(column, field.type)
        for column, field in zip(column_names(kind), fields(kind), strict=True)
    ]
    for kind in TABLES
}


def _written(kind: type[msgspec.Struct]) -> list[str]:
    """The columns of a message, and what an order has besides."""
    return [*column_names(kind), "number"] if kind is Order else column_names(kind)


def _insert(kind: type[msgspec.Struct]) -> str:
    types = [*_ARRAY_TYPES[kind], "bigint[]"] if kind is Order else _ARRAY_TYPES[kind]
    names = ", ".join(f'"{column}"' for column in _written(kind))
    arrays = ", ".join(f"${index}::{type_}" for index, type_ in enumerate(types, 1))
    return f"INSERT INTO {TABLES[kind]} ({names}) SELECT * FROM unnest({arrays})"  # noqa: S608, our names


def _on_conflict(kind: type[msgspec.Struct]) -> str:
    key = ", ".join(f'"{column}"' for column in PRIMARY_KEYS[kind])
    return f"{_insert(kind)} ON CONFLICT ({key}) DO UPDATE SET"


def _upsert(kind: type[msgspec.Struct]) -> str:
    """The whole row anew, but for its key and for what is no field of the message."""
    changed = (name for name in column_names(kind) if name not in PRIMARY_KEYS[kind])
    return _on_conflict(kind) + ", ".join(f' "{name}" = excluded."{name}"' for name in changed)


_UPSERTS: dict[type[Row], str] = {
    kind: _upsert(kind)
    for kind in (
        Account,
        Key,
        Asset,
        Market,
        ExchangeRules,
        Counters,
        AveragePrices,
        Beginning,
        Order,
        OrderList,
        Balance,
        Withdrawal,
    )
}
_INSERTS: dict[type[Row], str] = {
    kind: _insert(kind) for kind in (Transfer, Amendment, PreventedMatch, Act)
}
_KEEP_REQUESTS = f"""
    WITH forgotten AS (
        DELETE FROM requests WHERE deadline < $4
    )
    {_insert(SignedRequest)}
"""  # noqa: S608, our own names
_LAST_ORDERS = "SELECT symbol, order_id FROM counters"
_INSERT_GENERATION = "INSERT INTO generations (base, epoch, time) VALUES ($1, $2, $3)"
_DELETE_CANDLES = "DELETE FROM candles WHERE symbol = ANY($1::text[])"
_MERGE_CANDLES = f"""
    {_on_conflict(Candle)}
        open = CASE WHEN excluded.first_trade_id < candles.first_trade_id
            THEN excluded.open ELSE candles.open END,
        high = greatest(candles.high, excluded.high),
        low = least(candles.low, excluded.low),
        close = CASE WHEN excluded.last_trade_id > candles.last_trade_id
            THEN excluded.close ELSE candles.close END,
        volume = candles.volume + excluded.volume,
        quote_volume = candles.quote_volume + excluded.quote_volume,
        trades = candles.trades + excluded.trades,
        taker_base = candles.taker_base + excluded.taker_base,
        taker_quote = candles.taker_quote + excluded.taker_quote,
        first_trade_id = least(candles.first_trade_id, excluded.first_trade_id),
        last_trade_id = greatest(candles.last_trade_id, excluded.last_trade_id)
"""
# A clean stop that was noted for a number still to be written stays noted.
_MOVE_POSITION = """
    UPDATE position SET number = $2, state_hash = $3, epoch = $4, time = $5,
        clean_stop = CASE WHEN clean_stop >= $2 THEN clean_stop END
    WHERE number = $1
"""
