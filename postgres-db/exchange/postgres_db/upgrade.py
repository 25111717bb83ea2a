"""Bringing a database to the schema of this code: safe to run twice, at once, or too early."""

import asyncio
import time

from exchange.postgres_db.connection import connected
from exchange.postgres_db.schema import schema_version
from exchange.postgres_db.stored import SCHEMA_VERSION
from exchange.services.failures import WorldFailed

WAIT_S = 300.0
PAUSE_S = 0.05
PROGRESS_S = 10.0


async def upgrade(dsn: str, *, wait_s: float = WAIT_S) -> list[str]:
    """Run the missing migrations in one transaction and return what each of them did.

    Waits for Postgres as long as it is told, saying so. Raises WorldFailed and OperatorNeeded.
    """
    found = await _await_version(dsn, wait_s)
    if found is not None and found >= SCHEMA_VERSION:
        return []
    # Most starts have nothing to migrate, and no half a second for the libraries of it.
    from exchange.postgres_db.migrator import migrate

    return await migrate(dsn)


async def _await_version(dsn: str, wait_s: float) -> str | None:
    """The schema that is there, as soon as Postgres answers."""
    began = time.monotonic()
    said = -PROGRESS_S
    while True:
        try:
            async with connected(dsn, application_name="exchange-db-upgrade") as connection:
                return await schema_version(connection)
        except WorldFailed as fault:
            waited = time.monotonic() - began
            if waited > wait_s:
                raise
            if waited - said >= PROGRESS_S:
                said = waited
                print(f"Waiting for Postgres ({waited:.0f} of {wait_s:.0f} s): {fault}", flush=True)
            await asyncio.sleep(PAUSE_S)
