"""Whether the database has the tables that this code needs."""

import asyncpg

from exchange.postgres_db.connection import reporting_failures
from exchange.postgres_db.stored import SCHEMA_VERSION
from exchange.services.failures import WorldFailed


class SchemaTooOld(WorldFailed):
    """`exchange db upgrade` has not run yet: wait for it."""


async def schema_version(connection: asyncpg.Connection) -> str | None:
    """The last migration that has run here; None in an empty database."""
    with reporting_failures():
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
        return version


async def require_schema(connection: asyncpg.Connection) -> None:
    """Raises SchemaTooOld where a migration is missing. A newer schema is good: it only adds."""
    found = await schema_version(connection)
    if found is None or found < SCHEMA_VERSION:
        raise SchemaTooOld(
            f"The database has schema {found or 'none'}, version {SCHEMA_VERSION} is needed:"
            " waiting for `exchange db upgrade`."
        )
