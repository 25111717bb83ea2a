"""What an operator has to see: it stays until somebody says that it was seen, or it is over."""

import asyncpg
import msgspec

from exchange.postgres_db.connection import connected, reporting_failures
from exchange.services.clock import now_us

_NAME = "exchange-alarms"


class Alarm(msgspec.Struct, frozen=True):
    """`name` says what it is about: raised again under the same one, it is still one alarm."""

    name: str
    sentence: str
    time: int


async def raise_alarm(dsn: str, name: str, sentence: str) -> None:
    """Its time stays that of the first time that this was said."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            await connection.execute(_RAISE, name, sentence, now_us())


async def clear_alarm(dsn: str, name: str) -> bool:
    """Whether there was one of this name."""
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            return await delete_alarm(connection, name)


async def select_alarms(source: asyncpg.Connection | asyncpg.Pool) -> list[Alarm]:
    """The oldest first."""
    with reporting_failures():
        return [Alarm(*record) for record in await source.fetch(_SELECT)]


async def delete_alarm(source: asyncpg.Connection | asyncpg.Pool, name: str) -> bool:
    with reporting_failures():
        done = await source.execute("DELETE FROM alarms WHERE name = $1", name)
        return bool(done == "DELETE 1")


_SELECT = "SELECT name, sentence, time FROM alarms ORDER BY time, name"
_RAISE = """
    INSERT INTO alarms (name, sentence, time) VALUES ($1, $2, $3)
    ON CONFLICT (name) DO UPDATE SET sentence = excluded.sentence,
        time = CASE WHEN alarms.sentence = excluded.sentence
            THEN alarms.time ELSE excluded.time END
"""
