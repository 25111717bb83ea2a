"""Reads wait until they can see what anybody was told; they share the question, not its answer."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
from servers import ask_redis, execute_sql

from exchange.backend import barrier as barriers
from exchange.backend.barrier import Barrier, Progress
from exchange.backend.errors import ApiError
from exchange.postgres_db.connection import pool
from exchange.redis.outcomes import Outcomes


@pytest.fixture
async def outcomes(redis_url: str) -> AsyncIterator[Outcomes]:
    async with await Outcomes.open(redis_url) as opened:
        yield opened


@pytest.fixture
async def connections(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    opened = await pool(database_url, application_name="test", size_max=2)
    yield opened
    opened.terminate()


@pytest.fixture
def barrier(outcomes: Outcomes, connections: asyncpg.Pool) -> Barrier:
    return Barrier(outcomes, connections, 0)


def set_top(redis_url: str, number: int) -> None:
    ask_redis(redis_url, f"HSET j:top out {number}")


async def test_progress_wakes_those_it_has_reached() -> None:
    progress = Progress(1)
    waiting = {number: asyncio.create_task(progress.reach(number)) for number in (1, 2, 3)}
    await asyncio.sleep(0)

    progress.advance(2)
    await asyncio.sleep(0.01)

    assert [task.done() for task in waiting.values()] == [True, True, False]
    assert progress.is_awaited.is_set()
    waiting[3].cancel()
    await asyncio.gather(waiting[3], return_exceptions=True)
    assert not progress.is_awaited.is_set()


async def test_a_question_that_fails_when_its_askers_are_gone_is_nobodys_fault(
    barrier: Barrier, outcomes: Outcomes
) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, fault: complaints.append(fault))
    reading = asyncio.create_task(barrier.market_data())
    await asyncio.sleep(0)
    question = barrier._asking
    assert question is not None

    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    outcomes._connection.close()
    await asyncio.wait([question])
    del question, reading
    gc.collect()

    assert complaints == []


async def test_progress_never_goes_back() -> None:
    progress = Progress(5)

    progress.advance(3)

    assert progress.position == 5


async def test_market_data_waits_for_the_views(barrier: Barrier, redis_url: str) -> None:
    set_top(redis_url, 7)
    reading = asyncio.create_task(barrier.market_data())
    await asyncio.sleep(0.1)
    assert not reading.done()

    barrier.views.advance(7)

    await asyncio.wait_for(reading, 60)


async def test_a_view_that_stays_behind_is_unavailable(
    barrier: Barrier, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barriers, "WAIT_S", 0.1)
    set_top(redis_url, 7)

    for read in (barrier.market_data(), barrier.snapshot().__aenter__()):
        with pytest.raises(ApiError) as caught:
            await read
        assert (caught.value.status, caught.value.code) == (503, -1001)
        assert caught.value.retry_after_s == 1


async def test_one_turn_asks_once_and_the_next_turn_asks_again(
    barrier: Barrier, redis_url: str
) -> None:
    async def calls() -> int:
        import redis.asyncio as client

        async with client.Redis.from_url(redis_url) as connection:
            statistics = await connection.info("commandstats")
        return int(statistics.get("cmdstat_hget", {"calls": 0})["calls"])

    before = await calls()

    await asyncio.gather(*(barrier.market_data() for _ in range(50)))
    await barrier.market_data()

    assert await calls() == before + 2


async def test_account_data_waits_for_postgres_even_without_an_announcement(
    barrier: Barrier, redis_url: str, database_url: str
) -> None:
    set_top(redis_url, 7)
    polling = asyncio.create_task(barrier.poll())

    async def read() -> int:
        async with barrier.snapshot() as connection:
            return int(await connection.fetchval("SELECT number FROM position"))

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.15)
    assert not reading.done()

    execute_sql(database_url, "UPDATE position SET number = 7")

    assert await asyncio.wait_for(reading, 60) == 7
    polling.cancel()


async def test_an_announcement_is_heard(
    barrier: Barrier, outcomes: Outcomes, redis_url: str
) -> None:
    listening = asyncio.create_task(barrier.listen())
    await asyncio.sleep(0.1)

    await outcomes.publish_position(9)

    await asyncio.wait_for(barrier.database.reach(9), 60)
    listening.cancel()


async def test_a_postgres_that_was_set_back_does_not_answer(
    barrier: Barrier, redis_url: str
) -> None:
    set_top(redis_url, 7)
    barrier.database.advance(7)

    began = time.monotonic()
    with pytest.raises(ApiError) as caught:
        async with barrier.snapshot():
            pass

    assert caught.value.code == -1001
    assert time.monotonic() - began < 1


async def test_a_view_is_stale_until_it_has_kept_up(barrier: Barrier, redis_url: str) -> None:
    set_top(redis_url, 5)
    barrier._current_at -= barriers.STALE_S + 1
    assert barrier.is_stale

    watching = asyncio.create_task(barrier.watch())
    await asyncio.sleep(0.05)
    was_stale_behind = barrier.is_stale
    barrier.views.advance(5)
    async with asyncio.timeout(30):
        while barrier.is_stale:
            await asyncio.sleep(0.01)

    assert was_stale_behind
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
