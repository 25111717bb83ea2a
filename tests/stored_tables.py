"""Which table of the schema holds a message, for tests that look behind what stored.py says."""

from typing import Any

import msgspec
from sqlalchemy import Column, Table

from exchange.postgres_db.stored import TABLES
from exchange.postgres_db.tables import metadata

STORED_IN: dict[type[msgspec.Struct], Table] = {
    kind: metadata.tables[name] for kind, name in TABLES.items()
}


def columns(kind: type[msgspec.Struct]) -> list[Column[Any]]:
    """The columns that hold the fields of a message, in the order of its fields."""
    return list(STORED_IN[kind].columns)[: len(kind.__struct_fields__)]
