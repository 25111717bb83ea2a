"""What the product's statements do to the rows of a simulated Postgres.

There is no SQL in here: each statement that the product has is known by its text and done by a
function. A new or changed statement is unknown until somebody teaches it here, and
test_postgres_double.py shows that the real one does the same.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any

import msgspec
from simulation.postgres_rows import (
    Key,
    Record,
    Tables,
    copied,
    key_of_table,
    record_of,
    records_of,
)
from stored_tables import STORED_IN

from exchange.db_processor import service, writer
from exchange.postgres_db import alarms, engine_starts, epochs, snapshot
from exchange.postgres_db.stored import (
    OPEN,
    OPEN_LIST,
    OPEN_WITHDRAWAL,
    SCHEMA_VERSION,
    first_told,
)
from exchange.postgres_db.tables import metadata, orders
from exchange.services.candles import Candle, Interval, merge
from exchange.services.messages import SignedRequest
from exchange.services.orders import OPEN_STATUSES, ListStatus
from exchange.services.rows import Act, Order, OrderList, Trade, Transfer, Withdrawal

Do = Callable[[Tables, Sequence[Any]], Any]
"""Answers with records, or with a status such as `UPDATE 1`."""


@cache
def known(statement: str) -> Do:
    """What a statement does."""
    do = _statements().get(_plain(statement))
    if do is None:
        raise NotImplementedError(
            f"the simulated Postgres does not know this statement: {_plain(statement)!r};"
            " teach it in tests/simulation/postgres_statements.py"
        )
    return do


@cache
def locks(statement: str) -> bool:
    """Whether it waits for the lock on the position."""
    return _plain(statement).startswith("UPDATE position")


def copy_in(tables: Tables, table: str, text: bytes) -> str:
    """COPY, text format."""
    (kind,) = (kind for kind, stored in STORED_IN.items() if stored.name == table)
    lines = text.decode().splitlines()
    records = [copied(kind, line) for line in lines]
    tables.put(STORED_IN[kind], records, replace=False)
    return f"COPY {len(lines)}"


# --- Statements -----------------------------------------------------------------------------------


@cache
def _statements() -> dict[str, Do]:
    position = "SELECT number, state_hash, epoch FROM position"
    found: dict[str, Do] = {
        "SELECT to_regclass('alembic_version')": lambda _tables, _: [("alembic_version",)],
        "SELECT version_num FROM alembic_version": lambda _tables, _: [(SCHEMA_VERSION,)],
        "SHOW fsync": lambda _tables, _: [("on",)],
        "SHOW synchronous_commit": lambda _tables, _: [("on",)],
        "SELECT uuid FROM cluster": lambda tables, _: [tables.read("cluster")[True,][1:]],
        "SELECT number FROM position": lambda tables, _: [_position(tables)[1:2]],
        "UPDATE position SET clean_stop = NULL": _use_clean_stop,
        "UPDATE engine_starts SET attempt = $1": _note_attempt,
        position: lambda tables, _: [_position(tables)[1:4]],
        alarms._RAISE: _raise_alarm,
        alarms._SELECT: _alarms,
        engine_starts._COUNT: _count_start,
        epochs._LAST_END: _last_end,
        epochs._NEXT_EPOCH: _next_epoch,
        epochs._NOTE_CLEAN_STOP: _note_clean_stop,
        snapshot._LEVELS: _levels,
        snapshot._UNFILLED: _unfilled_orders,
        f"SELECT {snapshot._fields(Order)} FROM orders {_OF_OPEN_LISTS}": _orders_of_open_lists,
        writer._MOVE_POSITION: _move_position,
        writer._LAST_ORDERS: lambda tables, _: [
            one[:2] for one in tables.read("counters").values()
        ],
        writer._INSERT_GENERATION: _insert_generation,
        writer._KEEP_REQUESTS: _keep_requests,
        writer._MERGE_CANDLES: _merge_candles,
        writer._DELETE_CANDLES: _delete_candles,
        service._DELETE_SECONDS: _delete_seconds,
    }
    for kind, statement in writer._UPSERTS.items():
        found[statement] = _upsert(kind)
    for kind, statement in writer._INSERTS.items():
        found[statement] = _insert(kind)
    for stored in STORED_IN:
        for rest, select in _SELECTIONS.items():
            text = f"SELECT {snapshot._fields(stored)} FROM {STORED_IN[stored].name} {rest}"
            found[text] = _select(stored, select)
    return {_plain(text): do for text, do in found.items()}


def _plain(statement: str) -> str:
    return re.sub(r"\s+", " ", statement).strip()


def _position(tables: Tables) -> Record:
    return tables.read("position")[True,]


def _last_end(tables: Tables, _: Sequence[Any]) -> list[Record]:
    record = _position(tables)
    return [(record[1], record[5], record[4])]


def _next_epoch(tables: Tables, arguments: Sequence[Any]) -> list[Record]:
    _, number = tables.read("epoch")[True,]
    number = max(number, arguments[0]) + 1
    tables.write("epoch")[True,] = (True, number)
    return [(number,)]


def _count_start(tables: Tables, arguments: Sequence[Any]) -> list[Record]:
    _, number, starts, attempt = tables.read("engine_starts")[True,]
    starts = starts + 1 if number == arguments[0] else 1
    tables.write("engine_starts")[True,] = (True, arguments[0], starts, attempt)
    return [(starts, attempt)]


def _note_attempt(tables: Tables, arguments: Sequence[Any]) -> str:
    record = tables.read("engine_starts")[True,]
    tables.write("engine_starts")[True,] = (*record[:3], arguments[0])
    return "UPDATE 1"


def _raise_alarm(tables: Tables, arguments: Sequence[Any]) -> str:
    name, sentence, time = arguments
    before = tables.read("alarms").get((name,))
    if before is not None and before[1] == sentence:
        time = before[2]
    tables.write("alarms")[name,] = (name, sentence, time)
    return "INSERT 0 1"


def _alarms(tables: Tables, _: Sequence[Any]) -> list[Record]:
    return sorted(tables.read("alarms").values(), key=lambda row: (row[2], row[0]))


def _use_clean_stop(tables: Tables, _: Sequence[Any]) -> str:
    tables.write("position")[True,] = (*_position(tables)[:5], None)
    return "UPDATE 1"


def _note_clean_stop(tables: Tables, arguments: Sequence[Any]) -> str:
    record = _position(tables)
    if record[1] > arguments[0]:
        return "UPDATE 0"
    tables.write("position")[True,] = (*record[:5], arguments[0])
    return "UPDATE 1"


def _move_position(tables: Tables, arguments: Sequence[Any]) -> str:
    before, number, *rest = arguments
    record = _position(tables)
    if record[1] != before:
        return "UPDATE 0"
    clean_stop = record[5] if record[5] is not None and record[5] >= number else None
    tables.write("position")[True,] = (True, number, *rest, clean_stop)
    return "UPDATE 1"


def _insert_generation(tables: Tables, arguments: Sequence[Any]) -> str:
    tables.put(metadata.tables["generations"], [tuple(arguments)], replace=False)
    return "INSERT 0 1"


def _keep_requests(tables: Tables, arguments: Sequence[Any]) -> str:
    *arrays, since = arguments
    (deadline,) = _place(SignedRequest, "deadline")
    requests = tables.write("requests")
    for key in [key for key, row in requests.items() if row[deadline] < since]:
        del requests[key]
    return str(_insert(SignedRequest)(tables, arrays))


def _insert(kind: type[msgspec.Struct]) -> Do:
    def insert(tables: Tables, arguments: Sequence[Any]) -> str:
        records = records_of(kind, arguments)
        tables.put(STORED_IN[kind], records, replace=False)
        return f"INSERT 0 {len(records)}"

    return insert


def _upsert(kind: type[msgspec.Struct]) -> Do:
    table = STORED_IN[kind]

    def upsert(tables: Tables, arguments: Sequence[Any]) -> str:
        records = records_of(kind, arguments)
        if table is orders:
            # The number is no field of the message: what stands there stays.
            rows, key_of = tables.read(table.name), key_of_table(table)
            records = [(*record[:-1], rows.get(key_of(record), record)[-1]) for record in records]
        tables.put(table, records, replace=True)
        return f"INSERT 0 {len(records)}"

    return upsert


def _merge_candles(tables: Tables, arguments: Sequence[Any]) -> str:
    rows, key_of = tables.write("candles"), key_of_table(STORED_IN[Candle])
    records = records_of(Candle, arguments)
    for record in records:
        key = key_of(record)
        candle = msgspec.convert(record, Candle)
        if key in rows:
            candle = merge(msgspec.convert(rows[key], Candle), candle)
        rows[key] = record_of(candle)
    return f"INSERT 0 {len(records)}"


def _delete_candles(tables: Tables, arguments: Sequence[Any]) -> str:
    (symbols,), candles = arguments, tables.write("candles")
    gone = [key for key in candles if key[0] in symbols]
    for key in gone:
        del candles[key]
    return f"DELETE {len(gone)}"


def _delete_seconds(tables: Tables, arguments: Sequence[Any]) -> str:
    oldest, limit = arguments
    old = sorted(
        key
        for key in tables.read("candles")
        if key[1] == Interval.SECOND_1.value and key[2] < oldest
    )
    gone = [key for _, keys in groupby(old, lambda key: key[0]) for key in list(keys)[:limit]]
    if gone:
        rows = tables.write("candles")
        for key in gone:
            del rows[key]
    return f"DELETE {len(gone)}"


# --- Selections -----------------------------------------------------------------------------------

Select = Callable[[list[Any], Sequence[Any]], list[Any]]


def _select(kind: type[msgspec.Struct], select: Select) -> Do:
    table = STORED_IN[kind].name
    width = len(kind.__struct_fields__)

    def do(tables: Tables, arguments: Sequence[Any]) -> list[Record]:
        rows = [record[:width] for record in tables.read(table).values()]
        return select(rows, arguments)

    return do


def _by(*places: int) -> Select:
    return lambda rows, _: sorted(rows, key=lambda row: [row[place] for place in places])


def _place(kind: type[msgspec.Struct], *fields: str) -> list[int]:
    return [kind.__struct_fields__.index(field) for field in fields]


def _withdrawals(*, is_open: bool) -> Select:
    status, number = _place(Withdrawal, "status", "number")

    def select(rows: list[Any], _: Sequence[Any]) -> list[Any]:
        found = [row for row in rows if (row[status] in ("APPROVED", "PENDING")) is is_open]
        return sorted(found, key=lambda row: row[number])

    return select


def _open_orders(rows: list[Any], _: Sequence[Any]) -> list[Any]:
    (status,) = _place(Order, "status")
    open = [row for row in rows if row[status] in OPEN_STATUSES]
    return _by(*_place(Order, "symbol", "queue"))(open, ())


def _open_lists(rows: list[Any], _: Sequence[Any]) -> list[Any]:
    (status,) = _place(OrderList, "status")
    open = [row for row in rows if row[status] == ListStatus.EXECUTING]
    return _by(*_place(OrderList, "symbol", "id"))(open, ())


def _candles_since(rows: list[Any], arguments: Sequence[Any]) -> list[Any]:
    interval, since = arguments
    found = [row for row in rows if row[1] == interval and row[2] >= since]
    return _by(0, 2)(found, ())


def _newest_trades(rows: list[Any], arguments: Sequence[Any]) -> list[Any]:
    by_market = groupby(_by(0, 1)(rows, ()), lambda row: row[0])
    return [row for _, trades in by_market for row in list(trades)[-arguments[0] :]]


_NEWEST = f"""
    JOIN (
        SELECT symbol, newest.trade_id FROM markets CROSS JOIN LATERAL (
            SELECT trade_id FROM trades WHERE trades.symbol = markets.symbol
                AND trades.trade_id >= {first_told("markets.symbol")}
            ORDER BY trade_id DESC LIMIT $1
        ) newest
    ) newest USING (symbol, trade_id)
    ORDER BY symbol, trade_id
"""
_OF_OPEN_LISTS = f"""
    JOIN (
        SELECT symbol, jsonb_array_elements_text(order_ids)::bigint AS order_id
        FROM order_lists WHERE {OPEN_LIST}
    ) wanted USING (symbol, order_id)
    ORDER BY symbol, order_id
"""
_SELECTIONS: dict[str, Select] = {
    "": lambda rows, _: list(rows),
    "ORDER BY asset": _by(0),
    "ORDER BY symbol": _by(0),
    "ORDER BY account_id": _by(0),
    "ORDER BY api_key": _by(0),
    "ORDER BY account_id, asset": _by(0, 1),
    "ORDER BY number": _by(*_place(Transfer, "number")),
    "ORDER BY number DESC LIMIT 1": lambda rows, _: _by(*_place(Act, "number"))(rows, ())[-1:],
    f"WHERE {OPEN} ORDER BY symbol, queue": _open_orders,
    f"WHERE {OPEN_LIST} ORDER BY symbol, list_id": _open_lists,
    f"WHERE {OPEN_WITHDRAWAL} ORDER BY number": _withdrawals(is_open=True),
    f"WHERE NOT {OPEN_WITHDRAWAL} ORDER BY number": _withdrawals(is_open=False),
    "WHERE interval = $1 AND open_time >= $2 ORDER BY symbol, open_time": _candles_since,
    _NEWEST: _newest_trades,
}


def _levels(tables: Tables, _: Sequence[Any]) -> list[Record]:
    sums: dict[Key, int] = {}
    for row in tables.read("orders").values():
        order = _order(row[:-1])
        if order.is_resting:
            level = (order.symbol, order.side.value, order.price)
            sums[level] = sums.get(level, 0) + order.shown
    return [("Level", *level, quantity) for level, quantity in sorted(sums.items())]


def _order(row: Record) -> Order:
    return msgspec.convert(("Order", *row), Order)


def _orders_of_open_lists(tables: Tables, _: Sequence[Any]) -> list[Record]:
    symbol, ids, status = _place(OrderList, "symbol", "order_ids", "status")
    wanted = sorted(
        (row[symbol], order)
        for row in tables.read("order_lists").values()
        if row[status] == ListStatus.EXECUTING
        for order in row[ids]
    )
    return [tables.read("orders")[key][:-1] for key in wanted]


def _unfilled_orders(tables: Tables, arguments: Sequence[Any]) -> list[Record]:
    start, taker_credit, maker_credit = arguments
    changes: dict[int, list[tuple[int, int, int]]] = {}
    for (symbol,) in tables.read("markets"):
        last_trade, last_order = _ids_before(tables, symbol, start)
        market = {key: row for key, row in tables.read("orders").items() if key[0] == symbol}
        for row in market.values():
            order = _order(row[:-1])
            if order.id > last_order and order.created >= start:
                changes.setdefault(order.account, []).append((order.created, 0, 1))
        for id, trades in _fills(tables, symbol, last_trade, start).items():
            order = _order(market[symbol, id][:-1])
            if order.filled == sum(trade.quantity for trade in trades):
                credit = taker_credit if order.side is trades[0].taker_side else maker_credit
                place = (trades[0].time, trades[0].id, -credit)
                changes.setdefault(order.account, []).append(place)
    return [(account, _clamped(found)) for account, found in changes.items()]


def _ids_before(tables: Tables, symbol: str, start: int) -> tuple[int, int]:
    """The last trade of the candles before, and the newer one of its orders."""
    candles = (msgspec.convert(row, Candle) for row in tables.read("candles").values())
    before = [
        one
        for one in candles
        if one.symbol == symbol and one.interval is Interval.MINUTE_1 and one.open_time < start
    ]
    if not before:
        return 0, 0
    last = max(before, key=lambda candle: candle.open_time).last_trade_id
    row = tables.read("trades").get((symbol, last))
    if row is None:
        return last, 0
    trade: Trade = msgspec.convert(("Trade", *row), Trade)
    return last, max(trade.buy_order, trade.sell_order)


def _fills(tables: Tables, symbol: str, after: int, start: int) -> dict[int, list[Trade]]:
    """By order, its trades in order."""
    found: dict[int, list[Trade]] = {}
    for trade in _trades(tables, symbol):
        if trade.id > after and trade.time >= start:
            found.setdefault(trade.buy_order, []).append(trade)
            found.setdefault(trade.sell_order, []).append(trade)
    return found


def _trades(tables: Tables, symbol: str) -> Iterator[Trade]:
    for key, row in sorted(tables.read("trades").items()):
        if key[0] == symbol:
            yield msgspec.convert(("Trade", *row), Trade)


def _clamped(changes: list[tuple[int, int, int]]) -> int:
    """Their sum, were it never to fall below zero on the way."""
    count = 0
    for *_, change in sorted(changes):
        count = max(0, count + change)
    return count
