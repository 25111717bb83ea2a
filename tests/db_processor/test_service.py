"""The db-processor: everything in the stream gets into Postgres, in order, once, by one process."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import asyncpg
import pytest
from frames import opened
from postgres_db.examples import MARKET, frame, order, outcome, trade
from prometheus_client import REGISTRY
from servers import KillableServer, ask_redis

from exchange.db_processor import retention, service
from exchange.postgres_db.connection import connected
from exchange.postgres_db.epochs import cluster_uuid
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.failures import OperatorNeeded
from exchange.services.messages import OutcomeFrame
from exchange.services.process import Health
from exchange.services.settings import Settings


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url)


@pytest.fixture
async def leadership(redis_url: str) -> AsyncIterator[Leadership]:
    """The leader of a journal whose gate was opened by outcome 1."""
    leadership = await Leadership.open(redis_url)
    await leadership.claim(3)
    await leadership.open_gate(opened(previous=0, number=1, epoch=3))
    yield leadership
    leadership.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database_url, application_name="test") as connection:
        yield connection


class Running:
    """A db-processor in this process."""

    def __init__(self, settings: Settings) -> None:
        self.health = Health()
        self.stop = asyncio.Event()
        self.task = asyncio.create_task(service.run(settings, self.health, self.stop))

    async def ended(self) -> None:
        self.stop.set()
        async with asyncio.timeout(60):
            await self.task


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Running]:
    one = Running(settings)
    try:
        yield one
        await one.ended()
    finally:
        one.task.cancel()
        await asyncio.gather(one.task, return_exceptions=True)


async def until(is_so: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await is_so():
            await asyncio.sleep(0.02)


async def reached(database: asyncpg.Connection, number: int, seconds: float = 30) -> None:
    async def is_there() -> bool:
        return bool(await database.fetchval("SELECT number = $1 FROM position", number))

    await until(is_there, seconds)


def placed(number: int) -> OutcomeFrame:
    """One command that places an order and makes a trade, both with its number."""
    time_us = time.time_ns() // 1_000
    return frame(number - 1, outcome(number, MARKET, order(number), trade(number, time=time_us)))


async def test_what_is_appended_is_written(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    async with running(settings) as processor:
        for number in range(2, 5):
            await leadership.append(placed(number))

        await reached(database, 4)
        assert processor.health.ready
        assert processor.health.sentence == "writing"

    assert await database.fetchval("SELECT array_agg(order_id ORDER BY 1) FROM orders") == [2, 3, 4]
    assert await database.fetchval("SELECT sum(trades) FROM candles WHERE interval = '1d'") == 3
    assert await database.fetchval("SELECT base FROM generations") == 1


async def test_the_position_is_published(settings: Settings, leadership: Leadership) -> None:
    async with (
        await Outcomes.open(settings.redis_url) as outcomes,
        aclosing(outcomes.positions()) as positions,
        running(settings),
        asyncio.timeout(60),
    ):
        assert await anext(positions) == 1
        await leadership.append(placed(2))
        while await anext(positions) != 2:
            pass


async def test_under_load_many_commands_share_a_commit(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    for number in range(2, 400):
        await leadership.append(placed(number))
    before = _commits()

    async with running(settings):
        await reached(database, 399)

    assert _commits() - before < 40


def _commits() -> float:
    """How many batches this process has written."""
    return REGISTRY.get_sample_value("exchange_database_batch_commands_count") or 0.0


async def test_a_second_one_stands_by_and_takes_over(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    async with running(settings) as first, running(settings) as second:

        async def one_stands_by() -> bool:
            return {first.health.sentence, second.health.sentence} == {
                "writing",
                "standing by: another db-processor writes",
            }

        await until(one_stands_by)
        writer = first if first.health.sentence == "writing" else second
        assert first.health.ready
        assert second.health.ready

        await writer.ended()
        await leadership.append(placed(2))
        await reached(database, 2)


async def test_one_that_stands_by_stops_when_told(settings: Settings) -> None:
    async with connected(settings.database_dsn(), application_name="test") as other:
        await other.execute(f"SELECT pg_advisory_lock({service._ADVISORY_LOCK})")
        async with running(settings) as processor:

            async def stands_by() -> bool:
                return processor.health.ready

            await until(stands_by)


async def test_what_is_in_the_stream_is_written_before_it_stops(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    for number in range(2, 100):
        await leadership.append(placed(number))

    async with running(settings) as processor:
        # Told to stop before it has read anything.
        processor.stop.set()
        await processor.task

    assert await database.fetchval("SELECT number FROM position") == 99


async def test_a_gap_is_never_skipped(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    for number in range(2, 5):
        await leadership.append(placed(number))
    assert ask_redis(settings.redis_url, "XDEL j:out 0-2") == ":1"

    with pytest.raises(OperatorNeeded, match="JOURNAL GAP"):
        async with running(settings) as processor:
            await processor.task

    assert await database.fetchval("SELECT count(*) FROM orders") == 0


async def test_a_database_that_forgets_is_refused(
    settings: Settings, database: asyncpg.Connection
) -> None:
    name = await database.fetchval("SELECT current_database()")
    await database.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")

    with pytest.raises(OperatorNeeded, match="set synchronous_commit to on"):
        async with running(settings) as processor:
            await processor.task


async def test_the_journal_of_another_exchange_is_refused(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection
) -> None:
    assert ask_redis(settings.redis_url, "SET j:cluster another") == "+OK"

    with pytest.raises(OperatorNeeded, match="another exchange"):
        async with running(settings) as processor:
            await processor.task


async def test_an_empty_journal_behind_a_used_database_is_refused(
    settings: Settings, database: asyncpg.Connection
) -> None:
    await database.execute("UPDATE position SET number = 7")

    with pytest.raises(OperatorNeeded, match="the database stands at 7"):
        async with running(settings) as processor:
            await processor.task


async def test_the_streams_are_trimmed_behind_what_is_written(
    settings: Settings,
    leadership: Leadership,
    database: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "TIDY_S", 0.1)
    monkeypatch.setattr(retention, "KEEP_S", 0.2)
    monkeypatch.setattr(retention, "KEEP_COMMANDS", 50)

    async def trimmed() -> bool:
        # Redis drops whole nodes of 100 entries.
        return int(ask_redis(settings.redis_url, "XLEN j:out").removeprefix(":")) < 400

    async with running(settings):
        for number in range(2, 500):
            await leadership.append(placed(number))
        await reached(database, 499)
        await until(trimmed)

    async with await Outcomes.open(settings.redis_url) as outcomes:
        assert await outcomes.find(450) is not None
        assert await outcomes.find(2) is None


async def test_seconds_are_forgotten_after_a_week(
    settings: Settings,
    leadership: Leadership,
    database: asyncpg.Connection,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "TIDY_S", 0.1)
    new, old = placed(2), frame(2, outcome(3, trade(3, time=5)))

    async def forgotten() -> bool:
        count = "SELECT count(*) FROM candles WHERE interval = '1s' AND open_time < 10"
        return bool(await database.fetchval(count) == 0)

    async with running(settings):
        await leadership.append(new)
        await leadership.append(old)
        await reached(database, 3)
        await until(forgotten)

    kept = await database.fetch("SELECT interval, count(*) FROM candles GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in kept] == [("1d", 2), ("1h", 2), ("1m", 2), ("1s", 1)]


async def test_killed_in_the_middle_it_writes_everything_once(
    settings: Settings, leadership: Leadership, database: asyncpg.Connection, unused_tcp_port: int
) -> None:
    last = 600
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "METRICS_ADDR": f"127.0.0.1:{unused_tcp_port}",
    }

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "exchange.db_processor", env=environment
        )

    async def append() -> None:
        for number in range(2, last + 1):
            await leadership.append(placed(number))
            await asyncio.sleep(0.005)

    async def moved() -> bool:
        return bool(await database.fetchval("SELECT number > $1 FROM position", seen))

    process = await start()
    appending = asyncio.create_task(append())
    for _ in range(3):
        seen = await database.fetchval("SELECT number FROM position") + 20
        await until(moved, seconds=15)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        process = await start()
    await appending
    await reached(database, last, seconds=15)
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(60):
        assert await process.wait() == 0

    orders = await database.fetchval("SELECT array_agg(order_id ORDER BY order_id) FROM orders")
    assert orders == list(range(2, last + 1))
    assert await database.fetchval("SELECT sum(trades) FROM candles WHERE interval = '1m'") == len(
        orders
    )


async def test_a_full_redis_is_emptied_even_by_a_db_processor_that_comes_late(
    own_redis: KillableServer, database_url: str
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    limit = 24 * 1024 * 1024
    assert ask_redis(own_redis.url, f"CONFIG SET maxmemory {limit}") == "+OK"
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(3)
    await leadership.open_gate(opened(previous=0, number=1, epoch=3))
    number = 1
    async with await Outcomes.open(own_redis.url) as outcomes:
        await outcomes.cluster(await cluster_uuid(database_url))
        while (await outcomes.memory())[0] < limit - 64 * 1024:
            await leadership.append(frame(number, *map(outcome, range(number + 1, number + 101))))
            number += 100

    # It writes everything and ends before it has looked at the memory; the next one finds nothing
    # to write.
    for _ in range(2):
        stop = asyncio.Event()
        stop.set()
        await service.run(settings, Health(), stop)
    async with running(settings):
        await leadership.append(frame(number, outcome(number + 1)))

        async def is_roomy() -> bool:
            async with await Outcomes.open(own_redis.url) as outcomes:
                used, _ = await outcomes.memory()
                return used < limit * 0.7

        await until(is_roomy, 60)
    leadership.close()
