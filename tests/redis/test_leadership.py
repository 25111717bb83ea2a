"""Leading: one writer, whatever else runs, dies, freezes or wakes up."""

import asyncio
import threading
import time
from contextlib import aclosing

import pytest
from frames import command, frame, now_us, opened, payload
from servers import KillableServer

from exchange.redis.connection import ConnectionLost
from exchange.redis.heartbeat import Heartbeat
from exchange.redis.journal import TOP, Closed, Journal, NotIngested
from exchange.redis.leadership import SILENCE_S, Fenced, Leadership, Vigil
from exchange.redis.outcomes import OUTCOMES, Outcomes
from exchange.services.failures import OperatorNeeded


async def test_a_claim_says_where_the_journal_ends(
    leadership: Leadership, journal: Journal, redis_url: str
) -> None:
    await journal.append(payload(command(1), command(2)), 2, clock=now_us())
    await leadership.append(frame(1))

    claim = await (await Leadership.open(redis_url)).claim(2)

    assert (claim.command_top, claim.outcome_top, claim.gate_open) == (3, 2, True)


async def test_an_older_epoch_can_neither_claim_nor_append(
    leadership: Leadership, redis_url: str, outcomes: Outcomes
) -> None:
    newer = await Leadership.open(redis_url)
    await newer.claim(2)

    with pytest.raises(Fenced):
        await leadership.append(frame(1))
    with pytest.raises(Fenced):
        await leadership.claim(2)
    assert not await leadership.close_gate(1)

    await newer.append(frame(1, epoch=2))
    assert await outcomes.top() == 2


async def test_nobody_leads_on_a_redis_that_nobody_has_claimed_since_it_started(
    own_redis: KillableServer,
) -> None:
    async with await Outcomes.open(own_redis.url) as outcomes:
        assert not await outcomes.may_be_led()

        await (await Leadership.open(own_redis.url)).claim(1)
        assert await outcomes.may_be_led()

    own_redis.kill()
    own_redis.start()
    async with await Outcomes.open(own_redis.url) as outcomes:
        assert not await outcomes.may_be_led()


async def test_an_engine_of_the_version_before_is_seen_by_its_open_gate(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    await outcomes._connection.call("HDEL", TOP, "run")
    assert await outcomes.may_be_led()

    assert await leadership.close_gate(1)
    assert not await outcomes.may_be_led()


async def test_frames_that_are_appended_together_are_checked_one_by_one(
    leadership: Leadership, redis_url: str, outcomes: Outcomes
) -> None:
    await leadership.append_all([frame(1, 3), frame(4), frame(5, 2)])
    found = await outcomes._connection.call("XRANGE", OUTCOMES, "-", "+")
    assert [id for id, _ in found] == [b"0-1", b"0-4", b"0-5", b"0-7"]

    newer = await Leadership.open(redis_url)
    await newer.claim(2)
    with pytest.raises(Fenced):
        await leadership.append_all([frame(7), frame(8)])
    assert await outcomes.top() == 7


async def test_the_same_bytes_sent_again_are_appended_once(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    await leadership.append(frame(1, 3))
    leadership._top = 1  # as if the answer to the append had been lost

    await leadership.append(frame(1, 3))

    found = await outcomes._connection.call("XRANGE", OUTCOMES, "-", "+")
    assert [id for id, _ in found] == [b"0-1", b"0-4"]


async def test_an_append_that_does_not_continue_the_stream_is_refused(
    leadership: Leadership,
) -> None:
    leadership._top = 0

    with pytest.raises(Fenced):
        await leadership.append(frame(0, 3))


async def test_a_restarted_redis_refuses_the_old_claim_and_its_gate_is_closed(
    own_redis: KillableServer,
) -> None:
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(1)
    await leadership.open_gate(opened(0, 1))
    own_redis.kill()
    own_redis.start()

    with pytest.raises(Fenced):
        await leadership.append(frame(1))
    journal = await Journal.open(own_redis.url, name="test")
    with pytest.raises(NotIngested) as refusal:
        await journal.append(payload(command()), 1, clock=now_us())
    assert refusal.value.reason is Closed.CLOSED

    newer = await Leadership.open(own_redis.url)
    claim = await newer.claim(2)
    assert (claim.outcome_top, claim.gate_open) == (1, False)
    await newer.open_gate(opened(1, 1_000, epoch=2))
    assert await journal.append(payload(command()), 1, clock=now_us()) == 1_001


async def test_an_append_waits_for_memory(leadership: Leadership, outcomes: Outcomes) -> None:
    call = outcomes._connection.call
    await call("CONFIG", "SET", "maxmemory", "1")
    appending = asyncio.ensure_future(leadership.append(frame(1)))
    await asyncio.sleep(0.3)
    assert not appending.done()

    await call("CONFIG", "SET", "maxmemory", str(2**30))

    async with asyncio.timeout(60):
        await appending
    assert await outcomes.top() == 2


async def test_a_closed_gate_takes_nothing_and_nothing_is_left_behind(
    leadership: Leadership, journal: Journal
) -> None:
    await journal.append(payload(command()), 1, clock=now_us())
    assert not await leadership.close_gate(1)
    await leadership.append(frame(1))

    assert await leadership.close_gate(2)

    with pytest.raises(NotIngested):
        await journal.append(payload(command()), 1, clock=now_us())


async def test_a_journal_that_somebody_else_changed_is_not_led(
    leadership: Leadership, redis_url: str
) -> None:
    await leadership._connection.call("DEL", "j:out")

    with pytest.raises(OperatorNeeded, match="changed by somebody else"):
        await (await Leadership.open(redis_url)).claim(2)


async def test_a_leader_without_work_learns_that_its_claim_is_gone(
    leadership: Leadership, redis_url: str
) -> None:
    await leadership.confirm()

    await (await Leadership.open(redis_url)).claim(2)
    with pytest.raises(Fenced, match="epoch 2"):
        await leadership.confirm()

    await leadership._connection.call("FLUSHALL")
    with pytest.raises(Fenced, match="epoch 0"):
        await leadership.confirm()


async def vacant(url: str) -> None:
    vigil = await Vigil.open(url)
    try:
        await vigil.vacant()
    finally:
        vigil.close()


async def test_a_leader_that_spoke_while_nobody_looked_leads(
    leadership: Leadership, redis_url: str
) -> None:
    vigil = await Vigil.open(redis_url)
    with leadership.beating():
        until = time.monotonic() + 2 * SILENCE_S
        while time.monotonic() < until:
            pass  # As an engine that loads its state; what was said waits in the connection.
        waiting = asyncio.create_task(vigil.vacant())
        await asyncio.sleep(SILENCE_S / 2)
        assert not waiting.done()

    async with asyncio.timeout(5):
        await waiting
    vigil.close()


async def test_leadership_is_vacant_only_after_silence(
    leadership: Leadership, redis_url: str
) -> None:
    with leadership.beating():
        waiting = asyncio.create_task(vacant(redis_url))
        await asyncio.sleep(SILENCE_S * 2)
        assert not waiting.done()

    async with asyncio.timeout(60):
        await waiting


async def test_a_busy_event_loop_does_not_silence_its_leader(
    leadership: Leadership, redis_url: str
) -> None:
    standing_by = asyncio.create_task(asyncio.to_thread(asyncio.run, vacant(redis_url)))
    with leadership.beating():
        await asyncio.sleep(SILENCE_S)
        until = time.monotonic() + 3 * SILENCE_S
        while time.monotonic() < until:
            pass  # As one very long command would.
        assert not standing_by.done()

    await standing_by


async def test_a_leader_whose_event_loop_is_stuck_falls_silent(
    leadership: Leadership, redis_url: str
) -> None:
    with Heartbeat(redis_url, 1, loop_silent_s=SILENCE_S):
        standing_by = threading.Thread(target=asyncio.run, args=(vacant(redis_url),))
        standing_by.start()

        standing_by.join(10)

        assert not standing_by.is_alive()


async def test_a_leader_that_hands_over_is_followed_at_once(
    leadership: Leadership, redis_url: str
) -> None:
    with leadership.beating():
        assert not await leadership.hand_over()
        waiting = asyncio.create_task(vacant(redis_url))
        await asyncio.sleep(0.1)

        assert await leadership.hand_over()

        async with asyncio.timeout(SILENCE_S):
            await waiting


async def test_an_append_survives_a_broken_connection(
    leadership: Leadership, outcomes: Outcomes
) -> None:
    leadership._connection.close()

    await leadership.append(frame(1))

    async with aclosing(outcomes.tail(1, frames_max=1)) as feed:
        assert [one.last for one in await anext(feed)] == [2]


async def test_an_append_gives_up_on_a_redis_that_stays_away(own_redis: KillableServer) -> None:
    leadership = await Leadership.open(own_redis.url)
    await leadership.claim(1)
    own_redis.kill()

    with pytest.raises(ConnectionLost):
        await leadership.append(frame(0))
