"""What a Postgres holds: rows, as they stand in our tables, and the constraints on them."""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import asyncpg
import msgspec
from sqlalchemy import CheckConstraint, Numeric, Table, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSON, JSONB
from stored_tables import STORED_IN, columns

from exchange.postgres_db.tables import metadata, orders
from exchange.services.rows import Account

Key = tuple[Any, ...]
Record = tuple[Any, ...]
Rows = dict[Key, Record]

CLUSTER = "00000000-0000-4000-8000-000000000001"


class Tables:
    """A view of all tables; what it changes is its own until somebody takes it over.

    The rows of a table are never changed in place once another view can see them.
    """

    def __init__(self, rows: dict[str, Rows]) -> None:
        self._rows = dict(rows)
        self.changed: dict[str, Rows] = {}

    def read(self, table: str) -> Rows:
        return self._rows[table]

    def write(self, table: str) -> Rows:
        if table not in self.changed:
            self.changed[table] = self._rows[table] = dict(self._rows[table])
        return self._rows[table]

    def put(self, table: Table, records: Iterable[Record], *, replace: bool) -> None:
        """Raises what asyncpg raises where a constraint does not hold."""
        rows, key_of, check = self.write(table.name), key_of_table(table), _checker(table)
        for record in records:
            key = key_of(record)
            if not replace and key in rows:
                raise asyncpg.UniqueViolationError(f"{table.name}: {key} is there already")
            check(rows, key, record)
            rows[key] = record


def first_rows() -> dict[str, Rows]:
    """As the migrations leave it."""
    rows: dict[str, Rows] = {table.name: {} for table in metadata.sorted_tables}
    rows["position"][(True,)] = (True, 0, 0, 0, 0, 0)
    rows["epoch"][(True,)] = (True, 0)
    rows["engine_starts"][(True,)] = (True, 0, 0, None)
    rows["cluster"][(True,)] = (True, CLUSTER)
    exchange = Account(id=0, name="exchange", created=0)
    rows["accounts"][(0,)] = msgspec.structs.astuple(exchange)
    return rows


# --- Values ---------------------------------------------------------------------------------------


def records_of(kind: type[msgspec.Struct], arrays: Sequence[Any]) -> list[Record]:
    """Rows from one array for each column, as the writer sends them."""
    table = STORED_IN[kind]
    written = list(columns(kind)) + ([orders.c.number] if table is orders else [])
    values = [_values(column.type, array) for column, array in zip(written, arrays, strict=True)]
    return list(zip(*values, strict=True))


def _values(type_: Any, array: Any) -> list[Any]:
    if isinstance(type_, Numeric):
        return [int(one) for one in array[1:-1].split(",")]
    if isinstance(type_, JSONB):
        return [None if one is None else _sorted(msgspec.json.decode(one)) for one in array]
    if isinstance(type_, JSON):
        return [None if one is None else msgspec.json.decode(one) for one in array]
    return [getattr(one, "value", one) for one in array]


def _sorted(value: Any) -> Any:
    """JSONB sorts keys by length, then by letter."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: (len(key.encode()), key.encode()))
        return {key: _sorted(value[key]) for key in keys}
    return [_sorted(one) for one in value] if isinstance(value, list) else value


def record_of(message: msgspec.Struct) -> Record:
    return tuple(getattr(one, "value", one) for one in msgspec.structs.astuple(message))


def unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text)


_ESCAPES = {"t": "\t", "n": "\n", "r": "\r"}


def copied(kind: type[msgspec.Struct], line: str) -> Record:
    """A line of COPY's text format."""
    return tuple(
        None if field == r"\N" else read(unescaped(field))
        for field, read in zip(line.split("\t"), _readers(kind), strict=True)
    )


@cache
def _readers(kind: type[msgspec.Struct]) -> list[Callable[[str], Any]]:
    """How each column's text is read; for JSON there is only NULL."""
    found: dict[type, Callable[[str], Any]] = {
        str: str,
        bytes: lambda text: bytes.fromhex(text[2:]),
    }
    return [found.get(column.type.python_type, int) for column in STORED_IN[kind].columns]


# --- Constraints ----------------------------------------------------------------------------------


@cache
def key_of_table(table: Table) -> Callable[[Record], Key]:
    places = [list(table.columns).index(column) for column in table.primary_key]
    if [column.name for column in table.primary_key] == ["single"]:
        return lambda _record: (True,)
    return lambda record: tuple(record[place] for place in places)


@cache
def _checker(table: Table) -> Callable[[Rows, Key, Record], None]:
    checks = [
        (str(one.sqltext), compile(str(one.sqltext).replace(" AND ", " and "), table.name, "eval"))
        for one in table.constraints
        if isinstance(one, CheckConstraint)
    ]
    names = [column.name for column in table.columns]
    unique = [
        [names.index(column.name) for column in one.columns]
        for one in table.constraints
        if isinstance(one, UniqueConstraint)
    ]

    def check(rows: Rows, key: Key, record: Record) -> None:
        fields = {"single": True, **dict(zip(names, record, strict=False))}
        for text, code in checks:
            if not eval(code, {}, fields):
                raise asyncpg.CheckViolationError(f"{table.name}: {text}: {record}")
        for places in unique:
            value = [record[place] for place in places]
            if any(
                other != key and [row[place] for place in places] == value
                for other, row in rows.items()
            ):
                raise asyncpg.UniqueViolationError(f"{table.name}: {value} is there already")

    return check
