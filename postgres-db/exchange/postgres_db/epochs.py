"""What an engine asks of Postgres before it leads: a new epoch, and how the last one ended."""

from uuid import uuid4

import msgspec

from exchange.postgres_db.connection import connected, reporting_failures
from exchange.postgres_db.schema import require_schema

_NAME = "exchange-epochs"


class End(msgspec.Struct, frozen=True):
    """Where Postgres stands, and the number behind which the gate was closed, if nothing can have
    come after it (0: in a new exchange)."""

    position: int
    clean_stop: int | None
    time: int = 0
    """When the outcome at the position was made, in µs."""

    def had_journal(self, epoch: int) -> bool:
        """Whether outcomes may have been made, where Redis has none and knows this last epoch.

        Postgres need not hold any: before the first one the first clean stop is used up, and Redis
        knows an epoch.
        """
        if self.position or self.clean_stop:
            return True
        return self.clean_stop is None and not epoch


async def next_epoch(dsn: str, *, above: int = 0) -> int:
    """A number that no engine had before; it is used up even if this one never leads.

    `above` is the epoch that Redis knows: a database that was restored from a backup has forgotten
    the later ones.
    """
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            return int(await connection.fetchval(_NEXT_EPOCH, above))


async def cluster_uuid(dsn: str) -> str:
    """Which exchange this database belongs to; the same stands in its journal.

    Whoever starts asks this first: raises SchemaTooOld where `exchange db upgrade` has not run yet.
    """
    async with connected(dsn, application_name=_NAME) as connection:
        await require_schema(connection)
        with reporting_failures():
            return str(await connection.fetchval("SELECT uuid FROM cluster"))


async def renew_cluster(dsn: str) -> str:
    """Give this database another uuid: a journal that belonged to it does not any more."""
    uuid = str(uuid4())
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            await connection.execute("UPDATE cluster SET uuid = $1", uuid)
    return uuid


async def last_end(dsn: str) -> End:
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            return End(*await connection.fetchrow(_LAST_END))


async def note_clean_stop(dsn: str, number: int) -> None:
    """Say that nothing can come after `number` before the gate is opened again."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            await connection.execute(_NOTE_CLEAN_STOP, number)


async def use_clean_stop(dsn: str) -> None:
    """Forget the note, before the start that it is good for: what comes next may be lost, too."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            await connection.execute("UPDATE position SET clean_stop = NULL")


_LAST_END = "SELECT number, clean_stop, time FROM position"
_NEXT_EPOCH = "UPDATE epoch SET number = greatest(number, $1) + 1 RETURNING number"
# The writer may still be behind: it keeps the note until it writes past it.
_NOTE_CLEAN_STOP = "UPDATE position SET clean_stop = $1 WHERE number <= $1"
