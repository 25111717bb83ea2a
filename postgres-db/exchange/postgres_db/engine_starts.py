"""How often an engine started without getting anywhere, and which command it was about to apply."""

import asyncpg
import msgspec

from exchange.postgres_db.connection import connect, reporting_failures

_NAME = "exchange-engine-starts"


class Starts(msgspec.Struct, frozen=True):
    """`count` includes this start; `attempt` is the command that an engine last began alone."""

    count: int
    attempt: int | None


class StartLog:
    """Use `StartLog.open`, and `close`."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, dsn: str) -> "StartLog":
        return cls(await connect(dsn, application_name=_NAME))

    async def count(self, position: int) -> Starts:
        """Note that an engine starts at `position`; the count begins anew where it got further."""
        with reporting_failures():
            return Starts(*await self._connection.fetchrow(_COUNT, position))

    async def note(self, attempt: int | None) -> None:
        """Say, before it happens, which command is about to be applied; None when it went well."""
        with reporting_failures():
            await self._connection.execute("UPDATE engine_starts SET attempt = $1", attempt)

    def close(self) -> None:
        self._connection.terminate()


_COUNT = """
    UPDATE engine_starts
    SET starts = CASE WHEN number = $1 THEN starts + 1 ELSE 1 END, number = $1
    RETURNING starts, attempt
"""
