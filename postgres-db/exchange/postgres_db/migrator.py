"""Running the migrations that a database has not: alembic, which nobody needs who has none to run."""

from pathlib import Path

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

_ADVISORY_LOCK = 0x6578_6368_6D69_6772  # "exchmigr"


async def migrate(dsn: str) -> list[str]:
    """All that are missing, in one transaction; returns what each of them did."""
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
