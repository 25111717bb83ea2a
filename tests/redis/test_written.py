"""ACK=postgres: an outcome is told when Postgres has it, in the history that we follow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from frames import frame, opened
from servers import execute_sql

from exchange.postgres_db.standing import standing_reader
from exchange.redis import written as written_module
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.redis.written import WrittenOutcomes, written
from exchange.services.messages import OutcomeFrame


class Told:
    """Frames after the first one, as they are told."""

    def __init__(self, outcomes: WrittenOutcomes) -> None:
        self.outcomes = outcomes
        self.numbers: list[int] = []
        self.is_following = asyncio.Event()

    async def follow(self) -> None:
        async with aclosing(self.outcomes.follow(1)) as feed:
            async for frames in feed:
                self.is_following.set()
                self.numbers += [one.last for one in frames]

    async def until(self, numbers: list[int]) -> None:
        async with asyncio.timeout(10):
            while self.numbers != numbers:
                await asyncio.sleep(0.01)


@pytest.fixture
async def told(
    leadership: Leadership, outcomes: Outcomes, database_url: str
) -> AsyncIterator[Told]:
    """In Postgres is what opened the gate, number 1, and nothing else."""
    write(database_url, 1)
    async with following(outcomes, database_url) as told:
        yield told


@asynccontextmanager
async def following(outcomes: Outcomes, database_url: str) -> AsyncIterator[Told]:
    async with standing_reader(database_url, application_name="test") as ask:
        told = Told(WrittenOutcomes(outcomes, ask))
        task = asyncio.create_task(told.follow())
        try:
            await told.is_following.wait()
            yield told
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def write(database_url: str, number: int) -> None:
    execute_sql(database_url, f"UPDATE position SET number = {number}")


async def test_a_frame_is_told_when_postgres_has_it(
    told: Told, leadership: Leadership, database_url: str
) -> None:
    await leadership.append(frame(1))
    await leadership.append(frame(2, 3))
    write(database_url, 2)
    await told.until([2])

    write(database_url, 5)

    await told.until([2, 5])


async def test_a_frame_of_which_postgres_has_a_part_is_held(
    told: Told, leadership: Leadership, database_url: str
) -> None:
    await leadership.append(frame(1))
    await leadership.append(frame(2, 3))

    write(database_url, 4)

    await told.until([2])
    await asyncio.sleep(4 * written_module.POLL_S)
    assert told.numbers == [2]


async def test_a_hint_alone_tells_nothing(
    told: Told, leadership: Leadership, outcomes: Outcomes, database_url: str
) -> None:
    await leadership.append(frame(1))

    await outcomes.publish_position(2)

    await asyncio.sleep(4 * written_module.POLL_S)
    assert told.numbers == []
    write(database_url, 2)
    await told.until([2])


async def test_what_was_lost_before_a_generation_is_never_told(
    told: Told, leadership: Leadership, database_url: str
) -> None:
    await leadership.append(frame(1))
    # A journal that had lost this outcome went on, and Postgres has seen it, but not yet we.
    execute_sql(
        database_url,
        "INSERT INTO generations (base, epoch, time) VALUES (1000, 2, 1)",
        "UPDATE position SET number = 1000",
    )

    await asyncio.sleep(4 * written_module.POLL_S)

    assert told.numbers == []


async def test_what_led_to_a_generation_is_told_with_it(
    told: Told, leadership: Leadership, database_url: str
) -> None:
    await leadership.append(frame(1))
    execute_sql(
        database_url,
        "INSERT INTO generations (base, epoch, time) VALUES (1000, 1, 1)",
        "UPDATE position SET number = 1000",
    )

    await leadership.open_gate(opened(2, 1_000))

    await told.until([2, 1_000])


async def test_postgres_is_behind_when_something_waits_for_too_long(
    told: Told, leadership: Leadership, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not told.outcomes.is_behind
    monkeypatch.setattr(written_module, "BEHIND_S_MAX", 0.0)

    await leadership.append(frame(1))

    async with asyncio.timeout(10):
        while not told.outcomes.is_behind:
            await asyncio.sleep(0.01)
    write(database_url, 2)
    await told.until([2])
    assert not told.outcomes.is_behind


async def test_what_is_held_is_bounded_and_the_rest_comes_from_the_stream(
    told: Told, leadership: Leadership, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written_module, "HELD_FRAMES_MAX", 3)
    for previous in range(1, 21):
        await leadership.append(frame(previous))
    async with asyncio.timeout(10):
        while len(told.outcomes._held) < 3:
            await asyncio.sleep(0.01)
    await asyncio.sleep(4 * written_module.POLL_S)
    assert len(told.outcomes._held) == 3

    write(database_url, 21)

    await told.until(list(range(2, 22)))


HELD = [frame(1), frame(2, 3), opened(5, 1_000, epoch=2), frame(1_000)]


@pytest.mark.parametrize(
    ("held", "number", "generations", "count"),
    [
        (HELD, 1, [], 0),
        (HELD, 4, [], 1),
        (HELD, 5, [], 2),
        (HELD, 1_000, [(1_000, 2)], 3),
        (HELD, 1_001, [(1_000, 2)], 4),
        (HELD[:2], 1_000, [(1_000, 2)], None),
        (HELD, 2_000, [(1_000, 2), (2_000, 3)], None),
        (HELD, 1_001, [(1_000, 3)], None),
        ([], 0, [], 0),
    ],
)
def test_only_what_postgres_has_of_our_history_is_written(
    held: list[OutcomeFrame], number: int, generations: list[tuple[int, int]], count: int | None
) -> None:
    assert written(held, number, generations) == count
