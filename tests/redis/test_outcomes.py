"""The outcomes: everybody sees all of them, once, in order, or is told that this cannot be."""

import asyncio
import shutil
from contextlib import aclosing
from pathlib import Path

import pytest
import redis
from frames import frame, opened
from msgspec.structs import replace
from servers import KillableServer

from exchange.redis.connection import ConnectionLost
from exchange.redis.journal import ChainBroken
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import OUTCOMES, Outcomes
from exchange.services.failures import OperatorNeeded
from exchange.services.messages import OutcomeFrame, encode
from exchange.services.rows import Balance


async def collect(outcomes: Outcomes, position: int, last: int) -> list[OutcomeFrame]:
    """What a follower sees after `position`, until it has seen `last`."""
    seen: list[OutcomeFrame] = []
    async with asyncio.timeout(60), aclosing(outcomes.follow(position)) as feed:
        while not seen or seen[-1].last < last:
            seen += await anext(feed)
    return seen


async def test_tail_and_follow_see_the_same_frames(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    frames = [frame(1, 3), frame(4), frame(5, 2)]
    for one in frames:
        await leadership.append(one)

    async with aclosing(outcomes.tail(1, frames_max=10)) as feed:
        assert await anext(feed) == frames
    assert await collect(outcomes, 1, 7) == frames


async def test_a_follower_sees_what_is_published_while_it_listens(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    following = asyncio.ensure_future(collect(outcomes, 1, 51))
    for previous in range(1, 51):
        await leadership.append(frame(previous))

    seen = await following

    assert [one.last for one in seen] == list(range(2, 52))


async def test_an_outcome_that_redis_has_no_buffer_for_is_followed(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    # One trade may set off as many stops as there are. Beyond 32 MB Redis cuts off who listens.
    row = Balance(account=1, asset="USDC", free=10**18, locked=10**18)
    one = frame(1)
    outcome = replace(one.outcomes[0], rows=(row,) * 600_000)
    large = replace(one, outcomes=(outcome,))
    following = asyncio.ensure_future(collect(outcomes, 1, 3))
    await asyncio.sleep(0.1)

    await leadership.append(large)
    await leadership.append(frame(2))

    assert len(encode(large)) > 34 * 2**20
    assert [one.last for one in await following] == [2, 3]


async def test_a_lost_message_is_taken_from_the_stream(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    following = asyncio.ensure_future(collect(outcomes, 1, 3))
    await asyncio.sleep(0.1)
    # Appended without being published, as if the message had been lost on its way.
    call = leadership._connection.call
    lost = frame(1)
    await call("EVAL", _APPEND_SILENTLY, 2, OUTCOMES, "j:top", 2, encode(lost))
    leadership._top = 2
    await leadership.append(frame(2))

    assert [one.last for one in await following] == [2, 3]


async def test_only_opened_may_skip_numbers(leadership: Leadership, outcomes: Outcomes) -> None:
    await leadership.append(frame(1))
    await leadership.open_gate(opened(2, 1_000))
    assert [one.last for one in await collect(outcomes, 1, 1_000)] == [2, 1_000]

    await leadership.append(frame(1_001))

    with pytest.raises(ChainBroken):
        await collect(outcomes, 1_000, 1_002)


async def test_a_frame_that_does_not_continue_ours_breaks_the_chain(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    await leadership.append(frame(1, 4))

    with pytest.raises(ChainBroken):
        await collect(outcomes, 3, 5)


async def test_one_outcome_is_found_by_its_number(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    await leadership.append(frame(1, 5))
    await leadership.append(frame(6, 5))

    for number in (2, 6, 7, 11):
        found = await outcomes.find(number)
        assert found is not None
        assert found.number == number
    assert await outcomes.find(12) is None


async def test_trimming_drops_both_streams_below_a_number(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    for previous in range(1, 3_000):
        await leadership.append(frame(previous))

    await outcomes.trim(2_000)

    # The server trims whole blocks: never more than was asked for, and most of it.
    assert await outcomes.find(2_001) is not None
    assert await outcomes.find(1_000) is None
    assert await outcomes.top() == 3_000


async def test_a_journal_belongs_to_one_database(redis_url: str, outcomes: Outcomes) -> None:
    await outcomes.cluster("one")
    await outcomes.cluster("one")

    with pytest.raises(OperatorNeeded, match="another exchange"):
        await outcomes.cluster("two")


async def test_the_newest_position_reaches_its_watchers(outcomes: Outcomes) -> None:
    async with aclosing(outcomes.positions()) as feed:
        first = asyncio.ensure_future(anext(feed))
        await asyncio.sleep(0.1)
        await outcomes.publish_position(7)
        async with asyncio.timeout(60):
            assert await first == 7


async def test_a_follower_keeps_its_place_over_a_short_outage(
    own_redis: KillableServer,
) -> None:
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(1)
    await leadership.append(frame(0, 3))
    async with await Outcomes.open(own_redis.url) as outcomes:
        following = asyncio.ensure_future(collect(outcomes, 0, 5))
        await asyncio.sleep(0.1)

        own_redis.kill()
        own_redis.start()
        leadership = await Leadership.open(own_redis.url)
        await leadership.claim(2)
        await leadership.append(frame(3, 2, epoch=2))

        assert [one.last for one in await following] == [3, 5]


async def test_a_follower_gives_up_on_a_redis_that_stays_away(
    own_redis: KillableServer,
) -> None:
    async with await Outcomes.open(own_redis.url) as outcomes:
        following = asyncio.ensure_future(collect(outcomes, 0, 1))
        await asyncio.sleep(0.1)
        own_redis.kill()

        with pytest.raises(ConnectionLost):
            await following


@pytest.mark.parametrize("appended_again", [0, 1, 2])
async def test_a_follower_of_what_a_restarted_redis_has_lost_begins_again(
    own_redis: KillableServer, tmp_path: Path, appended_again: int
) -> None:
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(1)
    await leadership.append(frame(0, 3))
    own_redis.stop()
    if not (tmp_path / "redis").is_dir():
        pytest.skip("the data of a container does not lie in a folder that can be set back")
    copy = shutil.copytree(tmp_path / "redis", tmp_path / "copy")
    own_redis.start()
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(2)
    await leadership.append(frame(3, epoch=2))
    async with await Outcomes.open(own_redis.url) as outcomes:
        following = asyncio.ensure_future(collect(outcomes, 0, 6))
        await asyncio.sleep(0.1)

        own_redis.stop()
        shutil.rmtree(tmp_path / "redis")
        copy.rename(tmp_path / "redis")
        own_redis.start()
        leadership = await Leadership.open(own_redis.url)
        await leadership.claim(3)
        for previous in range(3, 3 + appended_again):
            # The same numbers for something else.
            await leadership.append(frame(previous, epoch=3, uid=7))

        with pytest.raises(ChainBroken):
            await following


async def test_a_marked_journal_is_recognised_without_memory_to_write(redis_url: str) -> None:
    server = redis.Redis.from_url(redis_url)
    async with await Outcomes.open(redis_url) as outcomes:
        await outcomes.cluster("one")
        limit = server.config_get("maxmemory")["maxmemory"]
        server.config_set("maxmemory", "1")
        try:
            await outcomes.cluster("one")
            with pytest.raises(OperatorNeeded):
                await outcomes.cluster("two")
        finally:
            server.config_set("maxmemory", str(limit))
            server.close()


_APPEND_SILENTLY = """
redis.call('XADD', KEYS[1], '0-' .. ARGV[1], 'n', 1, 't', 1, 'p', ARGV[2])
redis.call('HSET', KEYS[2], 'out', ARGV[1])
return 1
"""
