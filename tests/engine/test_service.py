"""The engine's life on real stores: starting, leading, standing by, taking over, stopping."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import pytest
from engine.running_engine import (
    StartEngine,
    all_outcomes,
    claim_for_nobody,
    market_and_money,
    order,
    outcome_of,
    running,
)
from frames import command, now_us, payload
from servers import KillableServer, ask_redis

from exchange.engine import service
from exchange.postgres_db import epochs
from exchange.redis.journal import Journal, NotIngested
from exchange.redis.leadership import SILENCE_S, Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.commands import CreateAccount
from exchange.services.failures import OperatorNeeded
from exchange.services.market_view import MarketViews
from exchange.services.messages import JUMP, Created, Opened, Placed, Reason, Rejected, Repeated
from exchange.services.process import Health
from exchange.services.settings import Settings


async def test_a_new_exchange_opens_its_gate_and_executes(settings: Settings) -> None:
    async with running(settings):
        outcome = await outcome_of(settings, command(7))

    assert outcome.uid == 7
    assert isinstance(outcome.result, Created)
    assert isinstance((await all_outcomes(settings))[0].result, Opened)


async def test_an_engine_that_starts_again_knows_what_was_done(settings: Settings) -> None:
    async with running(settings):
        await outcome_of(settings, command(1))
    async with running(settings):
        again = await outcome_of(settings, command(1))

    assert isinstance(again.result, Rejected)
    assert again.result.reason is Reason.ALREADY_EXISTS


async def test_an_engine_that_starts_again_knows_requests_whose_deadline_is_over(
    settings: Settings,
) -> None:
    signed = CreateAccount(uid=1, name="a", request=b"signed", deadline=now_us() + 10_000)
    async with running(settings):
        first = await outcome_of(settings, signed)
        await asyncio.sleep(0.02)
    async with running(settings):
        again = await outcome_of(settings, signed)

    assert isinstance(first.result, Created)
    assert again.result == Repeated(number=first.number)


async def test_commands_that_wait_for_an_engine_are_executed_in_order(
    settings: Settings,
) -> None:
    async with running(settings):
        first = await outcome_of(settings, command(1))
        # Journalled while the engine is stopped, before it has closed the gate.
        journal = await Journal.open(settings.redis_url, name="test")
        await journal.append(payload(*map(command, range(2, 50))), 48, clock=now_us())
    outcomes = await all_outcomes(settings)

    assert [outcome.number for outcome in outcomes[1:]] == list(
        range(first.number, first.number + 49)
    )
    assert [outcome.uid for outcome in outcomes[1:]] == list(range(1, 50))


async def test_after_a_stop_nothing_is_taken_until_an_engine_leads_again(
    settings: Settings,
) -> None:
    async with running(settings):
        pass
    journal = await Journal.open(settings.redis_url, name="test")

    with pytest.raises(NotIngested):
        await journal.append(payload(command()), 1, clock=now_us())


async def test_two_engines_never_lead_at_once_and_the_second_takes_over(
    settings: Settings,
) -> None:
    async with running(settings) as first:
        stop, standby = asyncio.Event(), Health()
        task = asyncio.create_task(service.run(settings, standby, stop))
        async with asyncio.timeout(60):
            while not standby.ready:
                await asyncio.sleep(0.02)
        await outcome_of(settings, command(1))
        assert (first.sentence, standby.sentence) == ("leading", "standing by")
    # The first was stopped and has handed over: the gate stayed open.
    outcome = await outcome_of(settings, command(2))

    assert standby.sentence == "leading"
    assert isinstance(outcome.result, Created)
    numbers = [one.number for one in await all_outcomes(settings)]
    assert numbers == list(range(1, len(numbers) + 1))
    stop.set()
    await task


async def test_a_frozen_leader_that_wakes_up_cannot_write(
    settings: Settings, start_engine: StartEngine
) -> None:
    zombie = start_engine()
    await outcome_of(settings, command(1))
    os.kill(zombie.pid, signal.SIGSTOP)
    start_engine()
    for uid in range(2, 20):
        await outcome_of(settings, command(uid))

    os.kill(zombie.pid, signal.SIGCONT)
    for uid in range(20, 60):
        await outcome_of(settings, command(uid))

    outcomes = await all_outcomes(settings)
    assert [one.uid for one in outcomes if isinstance(one.result, Created)] == list(range(1, 60))


@pytest.fixture
async def slow_leader(
    settings: Settings, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> subprocess.Popen[bytes]:
    """A leader for which the command `slow` takes several times the silence that says it is dead."""
    monkeypatch.setenv("SECONDS", str(4 * SILENCE_S))
    leader = start_engine(str(Path(__file__).with_name("slow_engine.py")))
    await outcome_of(settings, command(1))
    return leader


async def test_a_command_that_takes_long_does_not_cost_the_lead(
    settings: Settings, slow_leader: subprocess.Popen[bytes]
) -> None:
    async with (
        running(settings, "standing by") as standby,
        await Outcomes.open(settings.redis_url) as outcomes,
    ):
        _, _, before = await outcomes.tops()

        outcome = await outcome_of(settings, CreateAccount(uid=2, name="slow"))

        assert isinstance(outcome.result, Created)
        assert await outcomes.tops() == (outcome.number, outcome.number, before)
        assert standby.sentence == "standing by"
    assert slow_leader.poll() is None


async def test_a_leader_that_is_replaced_within_a_command_cannot_write_what_it_led_to(
    settings: Settings, slow_leader: subprocess.Popen[bytes]
) -> None:
    journal = await Journal.open(settings.redis_url, name="test")
    slow = CreateAccount(uid=2, name="slow")
    async with running(settings, "standing by"):
        number = await journal.append(payload(slow), 1, clock=now_us())

        # In the name of a leader that is at work: the standby claims at once.
        await (await Leadership.open(settings.redis_url)).hand_over()
        await outcome_of(settings, command(3))

    outcomes = await all_outcomes(settings)
    assert [one.uid for one in outcomes if isinstance(one.result, Created)] == [1, 2, 3]
    assert [one.number for one in outcomes if one.uid == 2] == [number]
    assert slow_leader.poll() is None


async def test_a_killed_leader_is_replaced_and_nothing_is_executed_twice(
    settings: Settings, start_engine: StartEngine
) -> None:
    leader = start_engine()
    await outcome_of(settings, command(1))
    standby = start_engine()
    await asyncio.sleep(1.5)
    leader.kill()

    await outcome_of(settings, command(2))

    outcomes = await all_outcomes(settings)
    assert [one.uid for one in outcomes if isinstance(one.result, Created)] == [1, 2]
    assert standby.poll() is None


async def test_a_restarted_redis_begins_a_generation_behind_every_number_seen(
    database_url: str, own_redis: KillableServer
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        before = await outcome_of(settings, command(1))
        own_redis.kill()
        own_redis.start()

        after = await outcome_of(settings, command(2))

    assert after.number > before.number + JUMP
    opened = [one for one in await all_outcomes(settings) if isinstance(one.result, Opened)]
    assert [one.number for one in opened] == [1, before.number + JUMP]


async def test_what_a_restarted_redis_still_holds_is_executed_behind_every_id_seen(
    database_url: str, own_redis: KillableServer
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        for asked in market_and_money():
            await outcome_of(settings, asked)
        before = await outcome_of(settings, order(1))
        # Nobody leads while Redis restarts, so these wait in the journal.
        await claim_for_nobody(settings)
        journal = await Journal.open(settings.redis_url, name="test")
        await journal.append(payload(order(2), order(3)), 2, clock=now_us())
        own_redis.kill()
        own_redis.start()
        after = await outcome_of(settings, order(4))

    outcomes = {one.uid: one for one in await all_outcomes(settings)}
    views = MarketViews(0)
    for outcome in await all_outcomes(settings):
        views.apply(outcome)
    placed = [outcomes[uid].result for uid in (1, 2, 3, 4)]
    assert all(isinstance(result, Placed) for result in placed)
    first, *others = [result.order_id for result in placed if isinstance(result, Placed)]
    assert others == [first + JUMP + 1, first + JUMP + 2, first + JUMP + 3]
    assert outcomes[3].number == before.number + 2
    assert after.number > before.number + JUMP


async def test_whoever_puts_an_older_state_in_place_says_how_far_the_next_generation_is(
    database_url: str, own_redis: KillableServer
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        before = await outcome_of(settings, command(1))
    assert ask_redis(own_redis.url, f"SET j:leap {5 * JUMP}") == "+OK"

    async with running(settings):
        after = await outcome_of(settings, command(2))
    async with running(settings):
        later = await outcome_of(settings, command(3))

    assert after.number == before.number + 6 * JUMP + 1
    # It is made once.
    assert later.number == after.number + 2


async def test_after_a_clean_stop_the_numbers_go_on_without_a_gap(
    database_url: str, own_redis: KillableServer
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        before = await outcome_of(settings, command(1))
    assert (await epochs.last_end(database_url)).clean_stop == before.number
    own_redis.stop()
    own_redis.start()

    async with running(settings):
        after = await outcome_of(settings, command(2))

    assert after.number == before.number + 2


async def test_an_empty_redis_beside_a_written_database_is_refused(
    settings: Settings, database_url: str, redis_url: str
) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE position SET number = 5")
    await connection.close()
    with pytest.raises(OperatorNeeded):
        await asyncio.wait_for(service.run(settings, Health(), asyncio.Event()), 60)


async def test_changed_rows_in_postgres_are_noticed(settings: Settings, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE position SET number = 5, state_hash = 77")
    await connection.close()

    with pytest.raises(OperatorNeeded, match="not the state that was journalled"):
        await asyncio.wait_for(service.run(settings, Health(), asyncio.Event()), 60)
