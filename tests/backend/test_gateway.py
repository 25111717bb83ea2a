"""The gateway: every command once, every answer to the one who asked, and never a guess."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest
from frames import frame, opened
from servers import KillableServer
from structlog.testing import capture_logs

from exchange.backend import gateway as gateway_module
from exchange.backend.gateway import Gateway, NotExecuted, OutcomeUnknown
from exchange.redis.connection import ConnectionLost
from exchange.redis.journal import LAG_MAX, Closed, CommandFrame, Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.commands import (
    AnyCommand,
    CancelOrder,
    NewOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
)
from exchange.services.messages import Done, Outcome, OutcomeFrame
from exchange.services.orders import Contingency, OrderType, Side


def cancel(uid: int) -> AnyCommand:
    return CancelOrder(uid=uid, symbol="SOLUSDC", order_id=uid)


def new_order(client_order_id: str) -> NewOrder:
    return NewOrder(
        side=Side.BUY, type=OrderType.LIMIT, price=1, quantity=1, client_order_id=client_order_id
    )


def order(uid: int) -> AnyCommand:
    return PlaceOrder(uid=uid, symbol="SOLUSDC", order=new_order(str(uid)))


def order_list(uid: int) -> AnyCommand:
    return PlaceList(
        uid=uid,
        symbol="SOLUSDC",
        contingency=Contingency.OTO,
        client_list_id="list",
        orders=(new_order("first"), new_order("second")),
    )


def replacement(uid: int) -> AnyCommand:
    return ReplaceOrder(
        uid=uid, symbol="SOLUSDC", order_id=1, order=new_order("new"), stop_on_failure=True
    )


class Venue:
    """A gateway, and an engine's place that the test takes itself."""

    def __init__(self, url: str) -> None:
        self.seen: list[Outcome] = []
        self.position = 1
        self._url = url

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Venue"]:
        self.leadership = await Leadership.open(self._url)
        await self.leadership.claim(1)
        await self.leadership.open_gate(opened(0, 1))
        journal = await Journal.open(self._url, name="gateway")
        async with await Outcomes.open(self._url) as outcomes:
            self.gateway = Gateway(journal, outcomes, [self.seen.append])
            self.running = asyncio.create_task(self.gateway.run(1))
            try:
                yield self
            finally:
                self.running.cancel()
                await asyncio.gather(self.running, return_exceptions=True)
                journal.close()
                self.leadership.close()

    async def journalled(self) -> list[CommandFrame]:
        """What the gateway has journalled after the last answer."""
        engine = await Journal.open(self._url, name="engine")
        async with asyncio.timeout(60), aclosing(engine.follow(self.position)) as feed:
            while not (frames := await anext(feed)):
                pass
        engine.close()
        return frames

    async def answer(self, uids: list[int]) -> None:
        """Append outcomes with the next numbers for these uids."""
        outcomes = tuple(
            Outcome(number=number, time=1, uid=uid, request=None, deadline=0, result=Done())
            for number, uid in enumerate(uids, self.position + 1)
        )
        previous, self.position = self.position, self.position + len(uids)
        await self.leadership.append(
            OutcomeFrame(epoch=1, previous=previous, time=1, state_hash=0, outcomes=outcomes)
        )


@pytest.fixture
async def venue(redis_url: str) -> AsyncIterator[Venue]:
    async with Venue(redis_url).open() as venue:
        yield venue


def submitted(venue: Venue, *commands: AnyCommand) -> list[asyncio.Task[Outcome]]:
    return [asyncio.create_task(venue.gateway.submit(command)) for command in commands]


async def test_commands_of_one_turn_share_a_frame_and_get_their_own_answers(
    venue: Venue,
) -> None:
    waiting = submitted(venue, *map(cancel, range(1, 101)))
    (only,) = await venue.journalled()

    await venue.answer(list(range(1, 101)))

    assert len(only.commands) == 100
    answers = await asyncio.gather(*waiting)
    assert [answer.uid for answer in answers] == list(range(1, 101))
    assert [answer.number for answer in answers] == list(range(2, 102))


async def test_more_than_a_frame_holds_is_several_frames_in_order(venue: Venue) -> None:
    submitted(venue, *map(cancel, range(1, 1_201)))
    frames = await venue.journalled()
    while sum(len(one.commands) for one in frames) < 1_200:
        frames = await venue.journalled()

    assert max(len(one.commands) for one in frames) <= 512
    uids = [getattr(command, "uid", 0) for one in frames for command in one.commands]
    assert uids == list(range(1, 1_201))


async def test_everyone_sees_an_outcome_before_it_is_answered(venue: Venue) -> None:
    (waiting,) = submitted(venue, cancel(1))
    await venue.journalled()
    await venue.answer([1])

    answer = await waiting

    assert venue.seen == [answer]


async def test_an_outcome_that_comes_before_its_number_is_known_is_kept(venue: Venue) -> None:
    (waiting,) = submitted(venue, cancel(7))
    await asyncio.sleep(0)
    # Before the journal has said anything.
    venue.gateway._take(Outcome(number=2, time=1, uid=7, request=None, deadline=0, result=Done()))
    assert not waiting.done()

    answer = await asyncio.wait_for(waiting, 60)

    assert (answer.number, answer.uid) == (2, 7)


async def test_somebody_elses_outcome_at_our_number_leaves_ours_unknown(venue: Venue) -> None:
    (waiting,) = submitted(venue, cancel(7))
    await venue.journalled()

    await venue.answer([8])

    with pytest.raises(OutcomeUnknown), capture_logs() as lines:
        await asyncio.wait_for(waiting, 60)
    # By these an operator finds it in the journal.
    (line,) = [line for line in lines if line["event"] == "outcome unknown"]
    assert (line["command"], line["uid"], line["number"]) == ("CancelOrder", 7, 2)


async def test_a_new_generation_leaves_what_was_under_way_unknown(venue: Venue) -> None:
    (waiting,) = submitted(venue, cancel(7))
    await venue.journalled()

    await venue.leadership.open_gate(opened(1, 1_000))

    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(waiting, 60)


async def test_a_closed_gate_is_a_definite_refusal(venue: Venue) -> None:
    assert await venue.leadership.close_gate(1)

    (waiting,) = submitted(venue, order(1))

    with pytest.raises(NotExecuted) as refusal:
        await waiting
    assert refusal.value.reason is Closed.CLOSED


async def test_a_busy_engine_sheds_orders_and_never_cancels(venue: Venue) -> None:
    backlog = submitted(venue, *map(cancel, range(1, LAG_MAX + 1)))
    while (await venue.gateway._outcomes.tops())[0] <= LAG_MAX:
        await asyncio.sleep(0.01)

    shed, kept, also_shed = submitted(venue, order(90_001), cancel(90_002), order(90_003))

    for one in (shed, also_shed):
        with pytest.raises(NotExecuted) as refusal:
            await asyncio.wait_for(one, 60)
        assert refusal.value.reason is Closed.BUSY
    await venue.answer([*range(1, LAG_MAX + 1), 90_002])
    assert (await asyncio.wait_for(kept, 60)).uid == 90_002
    await asyncio.gather(*backlog)


async def test_full_memory_sheds_orders_before_it_sheds_cancels(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "MEMORY_SHARE_FOR_ORDERS", 0.0)
    async with asyncio.timeout(60):
        while not venue.gateway._memory_share:
            await asyncio.sleep(0.01)  # it asks Redis first

    for command in (order(1), order_list(2), replacement(3)):
        with pytest.raises(NotExecuted) as refusal:
            await venue.gateway.submit(command)
        assert refusal.value.reason is Closed.MEMORY

    (waiting,) = submitted(venue, cancel(4))
    await venue.journalled()
    await venue.answer([4])
    assert (await waiting).uid == 4


async def test_with_many_commands_under_way_orders_are_shed_and_never_cancels(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "ORDERS_WAITING_MAX", 2)
    waiting = submitted(venue, order(1), order(2))
    await asyncio.sleep(0)

    with pytest.raises(NotExecuted) as refusal:
        await venue.gateway.submit(order(3))
    waiting += submitted(venue, cancel(4))

    assert refusal.value.reason is Closed.BUSY
    await asyncio.sleep(0.1)
    await venue.answer([1, 2, 4])
    assert [(await one).uid for one in waiting] == [1, 2, 4]


async def test_a_command_without_an_answer_in_time_is_unknown(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_module, "ANSWER_S_MAX", 0.1)

    with pytest.raises(OutcomeUnknown):
        await asyncio.wait_for(venue.gateway.submit(cancel(1)), 60)

    (journalled,) = await venue.journalled()
    assert len(journalled.commands) == 1


async def test_a_caller_that_goes_away_changes_nothing_for_others(venue: Venue) -> None:
    gone, stays = submitted(venue, cancel(1), cancel(2))
    await venue.journalled()
    gone.cancel()

    await venue.answer([1, 2])

    assert (await stays).uid == 2


async def test_a_lost_redis_ends_the_gateway_and_leaves_commands_unknown(
    own_redis: KillableServer,
) -> None:
    async with Venue(own_redis.url).open() as venue:
        (waiting,) = submitted(venue, cancel(1))
        await venue.journalled()

        own_redis.kill()

        with pytest.raises(ConnectionLost):
            await asyncio.wait_for(asyncio.shield(venue.running), 60)
        with pytest.raises(OutcomeUnknown):
            await waiting


async def test_outcomes_are_found_again_by_their_number(venue: Venue) -> None:
    await venue.leadership.append(frame(1, 3, uid=5))

    found = await venue.gateway.find(3)

    assert found is not None
    assert (found.number, found.uid) == (3, 5)
