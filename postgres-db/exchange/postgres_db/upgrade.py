"""Bringing a database to the schema of this code: safe to run twice, at once, or too early."""

import asyncio
import time
from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from exchange.postgres_db.connection import connect
from exchange.services.process import WorldFailed

WAIT_S = 300.0
PAUSE_S = 0.2
PROGRESS_S = 10.0

_ADVISORY_LOCK = 0x6578_6368_6D69_6772  # "exchmigr"


async def upgrade(dsn: str, *, wait_s: float = WAIT_S) -> list[str]:
    """Run the missing migrations in one transaction and return what each of them did.

    Waits for Postgres as long as it is told, saying so. Raises WorldFailed and OperatorNeeded.
    """
    await _await_postgres(dsn, wait_s)
    engine = create_async_engine(
        # asyncpg reads the address itself: SQLAlchemy's reader knows fewer forms of it.
        "postgresql+asyncpg://",
        async_creator=lambda: asyncpg.connect(
            dsn, server_settings={"application_name": "exchange-db-upgrade"}
        ),
    )
    try:
        return await _migrate(engine)
    finally:
        await engine.dispose()


def configuration(connection: Connection | None = None) -> Config:
    """alembic's, pointing at the migrations that are installed beside this file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def _migrate(engine: AsyncEngine) -> list[str]:
    async with engine.begin() as connection:
        # Whoever comes second waits here, and then finds nothing to do.
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _ADVISORY_LOCK}
        )
        return await connection.run_sync(_migrate_to_head)


def _migrate_to_head(connection: Connection) -> list[str]:
    config = configuration(connection)
    scripts = ScriptDirectory.from_config(config)
    before = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in scripts.walk_revisions()}
    if before is not None and before not in known:
        # A newer version was here. Its schema serves us too: migrations expand first.
        return []
    missing = list(scripts.iterate_revisions("head", before or "base"))
    command.upgrade(config, "head")
    return [f"{script.revision}: {script.doc}" for script in reversed(missing)]


async def _await_postgres(dsn: str, wait_s: float) -> None:
    began = time.monotonic()
    said = -PROGRESS_S
    while True:
        waited = time.monotonic() - began
        try:
            connection = await connect(dsn, application_name="exchange-db-upgrade")
        except WorldFailed as fault:
            if waited > wait_s:
                raise
            if waited - said >= PROGRESS_S:
                said = waited
                print(f"Waiting for Postgres ({waited:.0f} of {wait_s:.0f} s): {fault}", flush=True)
            await asyncio.sleep(PAUSE_S)
        else:
            await connection.close()
            return
