"""The journal: dense numbers, whole frames, and refusals that write nothing."""

import asyncio
from contextlib import aclosing

import pytest
from frames import command, frame, now_us, payload
from servers import KillableServer

from exchange.redis.connection import ConnectionLost
from exchange.redis.journal import (
    CLOCK_TOLERANCE_US,
    COMMANDS,
    NO_LAG_LIMIT,
    ChainBroken,
    Closed,
    CommandFrame,
    Journal,
    NotIngested,
)
from exchange.redis.leadership import Leadership
from exchange.services.commands import Undecodable


async def append(journal: Journal, *uids: int, lag_max: int = NO_LAG_LIMIT) -> int:
    commands = [command(uid) for uid in uids]
    return await journal.append(payload(*commands), len(commands), clock=now_us(), lag_max=lag_max)


async def next_frames(journal: Journal, position: int) -> list[CommandFrame]:
    async with aclosing(journal.follow(position)) as feed:
        return await anext(feed)


async def test_every_command_of_a_frame_has_its_own_number(
    leadership: Leadership, journal: Journal
) -> None:
    assert await append(journal, 1, 2, 3) == 4
    assert await append(journal, 4) == 5

    first, second = await next_frames(journal, 1)

    assert (first.first, first.commands) == (2, [command(1), command(2), command(3)])
    assert (second.first, second.commands) == (5, [command(4)])


async def test_following_from_inside_a_frame_skips_what_is_known(
    leadership: Leadership, journal: Journal
) -> None:
    await append(journal, 1, 2, 3)

    (rest,) = await next_frames(journal, 3)

    assert (rest.first, rest.commands) == (4, [command(3)])


async def test_an_idle_journal_yields_nothing_instead_of_waiting_for_ever(
    leadership: Leadership, journal: Journal
) -> None:
    assert await next_frames(journal, 1) == []


async def test_a_missing_number_breaks_the_chain(
    leadership: Leadership, journal: Journal, redis_url: str
) -> None:
    await append(journal, 1)
    await append(journal, 2)
    await journal._connection.call("XDEL", COMMANDS, "0-2")

    with pytest.raises(ChainBroken):
        await next_frames(journal, 1)


async def test_a_closed_gate_refuses_and_writes_nothing(redis_url: str, journal: Journal) -> None:
    with pytest.raises(NotIngested) as refusal:
        await append(journal, 1)

    assert refusal.value.reason is Closed.CLOSED
    assert await journal._connection.call("EXISTS", COMMANDS) == 0


@pytest.mark.parametrize("error_us", [-CLOCK_TOLERANCE_US * 2, CLOCK_TOLERANCE_US * 2])
async def test_a_wrong_clock_is_refused(
    leadership: Leadership, journal: Journal, error_us: int
) -> None:
    with pytest.raises(NotIngested) as refusal:
        await journal.append(payload(command()), 1, clock=now_us() + error_us)

    assert refusal.value.reason is Closed.CLOCK
    assert await next_frames(journal, 1) == []


async def test_a_busy_engine_refuses_until_it_has_caught_up(
    leadership: Leadership, journal: Journal
) -> None:
    await append(journal, 1, 2)
    with pytest.raises(NotIngested) as refusal:
        await append(journal, 3, lag_max=2)
    assert refusal.value.reason is Closed.BUSY

    await leadership.append(frame(1, 2))

    assert await append(journal, 3, lag_max=2) == 4


async def test_full_memory_refuses_and_writes_nothing(
    leadership: Leadership, journal: Journal
) -> None:
    call = journal._connection.call
    await call("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(NotIngested) as refusal:
            await append(journal, 1)
    finally:
        await call("CONFIG", "SET", "maxmemory", str(2**30))

    assert refusal.value.reason is Closed.MEMORY
    assert await append(journal, 1) == 2


async def test_a_command_that_cannot_be_read_does_not_take_its_neighbours_with_it(
    leadership: Leadership, journal: Journal
) -> None:
    poisoned = b'[["NoSuchCommand",7],' + payload(command(1))[1:]
    await journal.append(poisoned, 2, clock=now_us())
    await journal.append(b"not even JSON", 3, clock=now_us())

    half, whole = await next_frames(journal, 1)

    assert isinstance(half.commands[0], Undecodable)
    assert half.commands[1] == command(1)
    assert [type(one) for one in whole.commands] == [Undecodable] * 3


async def test_calls_under_way_end_as_unknown_when_redis_dies(
    own_redis: KillableServer,
) -> None:
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(1)
    journal = await Journal.open(own_redis.url, name="test")
    feed = journal.follow(0)
    waiting = asyncio.ensure_future(anext(feed))
    await asyncio.sleep(0.05)

    own_redis.kill()

    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await append(journal, 1)
