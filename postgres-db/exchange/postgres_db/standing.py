"""How far Postgres is, and by which generations: what ACK=postgres waits for."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from exchange.postgres_db.connection import pool, reporting_failures

Standing = tuple[int, set[tuple[int, int]]]
"""The position, and (first number, epoch) of the generations that were asked for."""


@asynccontextmanager
async def standing_reader(
    dsn: str, *, application_name: str
) -> AsyncIterator[Callable[[int], Awaitable[Standing]]]:
    """Asks over a connection of its own, that is made again when it is lost.

    It is called with a number, and answers with the generations behind it; raises WorldFailed.
    """
    connections = await pool(dsn, application_name=application_name, size_max=1)

    async def ask(above: int) -> Standing:
        with reporting_failures():
            number, bases, epochs = await connections.fetchrow(_STANDING, above)
            return number, set(zip(bases, epochs, strict=True))

    try:
        yield ask
    finally:
        connections.terminate()


# One statement, so that both are of one moment.
_STANDING = """
    SELECT number,
        ARRAY(SELECT base FROM generations WHERE base > $1 ORDER BY base),
        ARRAY(SELECT epoch FROM generations WHERE base > $1 ORDER BY base)
    FROM position
"""
