"""The engine's life on real stores: starting, leading, standing by, taking over, stopping."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress

import asyncpg
import pytest
from frames import command, now_us, payload
from servers import KillableServer
from venue import MARKET, SYMBOL, UNIT

from exchange.engine import service
from exchange.postgres_db import epochs
from exchange.redis.journal import Closed, Journal, NotIngested
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    Deposit,
    NewOrder,
    PlaceOrder,
)
from exchange.services.market_view import MarketViews
from exchange.services.markets import Asset
from exchange.services.messages import (
    JUMP,
    Created,
    Opened,
    Outcome,
    Placed,
    Reason,
    Rejected,
)
from exchange.services.orders import OrderType, Side
from exchange.services.process import Health, OperatorNeeded, WorldFailed
from exchange.services.settings import Settings


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Health]:
    """An engine in this process that starts again when the world fails, as process.run does."""
    stop, health = asyncio.Event(), Health()

    async def live() -> None:
        while not stop.is_set():
            with suppress(WorldFailed, OSError):
                await service.run(settings, health, stop)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(live())
    try:
        async with asyncio.timeout(15):
            while health.sentence != "leading" and not task.done():
                await asyncio.sleep(0.02)
        yield health
    finally:
        stop.set()
        async with asyncio.timeout(10):
            await task


async def outcome_of(settings: Settings, asked: AnyCommand) -> Outcome:
    """Journal a command as soon as the gate is open, and wait for what it leads to."""
    async with asyncio.timeout(15), await Outcomes.open(settings.redis_url) as outcomes:
        journal = await Journal.open(settings.redis_url, name="test")
        while True:
            try:
                number = await journal.append(payload(asked), 1, clock=now_us())
                break
            except NotIngested as refusal:
                assert refusal.reason is Closed.CLOSED
                await asyncio.sleep(0.05)
        journal.close()
        while (found := await outcomes.find(number)) is None:
            await asyncio.sleep(0.01)
        return found


async def all_outcomes(settings: Settings) -> list[Outcome]:
    async with await Outcomes.open(settings.redis_url) as outcomes:
        async with aclosing(outcomes.tail(0, frames_max=1_000)) as feed:
            return [outcome for frame in await anext(feed) for outcome in frame.outcomes]


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url)


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
        async with asyncio.timeout(5):
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


@pytest.fixture
def start_engine(
    settings: Settings, unused_tcp_port_factory: Callable[[], int]
) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    """Start engines as processes, which can be killed and frozen."""
    engines: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "METRICS_ADDR": f"127.0.0.1:{unused_tcp_port_factory()}",
        }
        engines.append(subprocess.Popen([sys.executable, "-m", "exchange.engine"], env=environment))
        return engines[-1]

    yield start
    for engine in engines:
        engine.kill()
        engine.wait()


async def test_a_frozen_leader_that_wakes_up_cannot_write(
    settings: Settings, start_engine: Callable[[], subprocess.Popen[bytes]]
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


async def test_a_killed_leader_is_replaced_and_nothing_is_executed_twice(
    settings: Settings, start_engine: Callable[[], subprocess.Popen[bytes]]
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
        for asked in _market_and_money():
            await outcome_of(settings, asked)
        before = await outcome_of(settings, _order(1))
        # Nobody leads while Redis restarts, so these wait in the journal.
        await _claim_for_nobody(settings)
        journal = await Journal.open(settings.redis_url, name="test")
        await journal.append(payload(_order(2), _order(3)), 2, clock=now_us())
        own_redis.kill()
        own_redis.start()
        after = await outcome_of(settings, _order(4))

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


async def _claim_for_nobody(settings: Settings) -> None:
    """Take the lead away, so that no engine executes what comes next."""
    usurper = await Leadership.open(settings.redis_url)
    await usurper.claim(await epochs.next_epoch(settings.database_url))
    beating = asyncio.create_task(usurper.beat())
    await asyncio.sleep(0)
    beating.cancel()
    usurper.close()


def _market_and_money() -> list[AnyCommand]:
    return [
        AddAsset(uid=101, asset=Asset(MARKET.base, MARKET.base_decimals)),
        AddAsset(uid=102, asset=Asset(MARKET.quote, MARKET.quote_decimals)),
        AddMarket(uid=103, market=MARKET),
        Deposit(uid=104, account=0, asset=MARKET.quote, amount=10**15, reference="x"),
    ]


def _order(uid: int) -> AnyCommand:
    order = NewOrder(
        side=Side.BUY,
        type=OrderType.LIMIT,
        price=100 * UNIT,
        quantity=UNIT,
        client_order_id=str(uid),
    )
    return PlaceOrder(uid=uid, symbol=SYMBOL, order=order)


async def test_after_a_clean_stop_the_numbers_go_on_without_a_gap(
    database_url: str, own_redis: KillableServer
) -> None:
    settings = Settings(database_url=database_url, redis_url=own_redis.url)
    async with running(settings):
        before = await outcome_of(settings, command(1))
    assert await epochs.clean_stop(database_url) == before.number
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
        await asyncio.wait_for(service.run(settings, Health(), asyncio.Event()), 10)


async def test_changed_rows_in_postgres_are_noticed(settings: Settings, database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE position SET number = 5, state_hash = 77")
    await connection.close()

    with pytest.raises(OperatorNeeded, match="not the state that was journalled"):
        await asyncio.wait_for(service.run(settings, Health(), asyncio.Event()), 10)
