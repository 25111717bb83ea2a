"""How often an engine started without getting anywhere, and which command it was about to apply."""

import msgspec

from exchange.postgres_db.connection import connected, reporting_failures

_NAME = "exchange-engine-starts"


class Starts(msgspec.Struct, frozen=True):
    """`count` includes this start; `attempt` is the command that the last careful one began."""

    count: int
    attempt: int | None


async def count_start(dsn: str, position: int) -> Starts:
    """Note that an engine starts at `position`; the count begins anew where it got further."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            return Starts(*await connection.fetchrow(_COUNT, position))


async def note_attempt(dsn: str, number: int | None) -> None:
    """Say, before it happens, which command is about to be applied; None when it went well."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            await connection.execute("UPDATE engine_starts SET attempt = $1", number)


_COUNT = """
    UPDATE engine_starts
    SET starts = CASE WHEN number = $1 THEN starts + 1 ELSE 1 END, number = $1
    RETURNING starts, attempt
"""
