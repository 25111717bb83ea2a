"""The simulated Postgres does what the real one does with every statement that it knows."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgspec
import pytest
from crowd import Crowd
from simulation.cluster import Cluster
from simulation.loop import Process, SimulatedLoop
from simulation.surroundings import surrounded
from venue import MARKET, SYMBOL

from exchange.db_processor.service import (
    _ADVISORY_LOCK,
    _DELETE_SECONDS,
    _check_durability,
    _read_position,
)
from exchange.db_processor.writer import write
from exchange.engine.replica import Replica
from exchange.postgres_db import epochs
from exchange.postgres_db.alarms import raise_alarm, select_alarms
from exchange.postgres_db.connection import connected, reporting_failures
from exchange.postgres_db.engine_starts import StartLog
from exchange.postgres_db.schema import require_schema
from exchange.postgres_db.snapshot import open_snapshot
from exchange.services.candles import STORED
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    CreateAccount,
    CreateKey,
    Deposit,
)
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.markets import Asset
from exchange.services.messages import Created, OutcomeFrame
from exchange.services.rows import Balance, KeyKind, Row

URL = "postgresql://postgres/exchange"

Story = Callable[[str], Awaitable[list[Any]]]


def in_simulation(story: Story) -> list[Any]:
    """What a story comes to on the simulated Postgres."""
    chance = Random(0)
    loop = SimulatedLoop(chance)
    cluster = Cluster(loop, chance)
    process = Process(loop, "test")
    with surrounded(loop, cluster.driver, chance):
        try:
            return loop.run_until_complete(process.start(_result(story(URL))))
        finally:
            loop.close()


async def _result(story: Awaitable[list[Any]]) -> list[Any]:
    return await story


def on_both(story: Story, database_url: str) -> tuple[list[Any], list[Any]]:
    return in_simulation(story), asyncio.run(_result(story(database_url)))


async def outcome(work: Awaitable[Any]) -> Any:
    """What it returns, or which of our three kinds of fault it raises."""
    try:
        return await work
    except (WorldFailed, OperatorNeeded, AssertionError) as fault:
        return type(fault).__name__


class History:
    """Frames as an engine makes them of random commands, with all kinds of rows."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.replica = Replica(epoch=1)
        self.now = 1_760_000_000_000_000
        rules = msgspec.structs.replace(MARKET, symbol="SOLBNB", quote="BNB")
        self.frames = [
            self._frame(
                *(AddAsset(asset=Asset(name, 8)) for name in ("SOL", "USDC", "BNB")),
                AddMarket(market=MARKET),
                AddMarket(market=rules),
                CreateAccount(name="alice"),
                CreateAccount(name="bob"),
            )
        ]
        results = [one.result for one in self.frames[0].outcomes]
        accounts = [one.id for one in results if isinstance(one, Created)]
        self.frames.append(
            self._frame(
                *(
                    Deposit(
                        account=account, asset=asset, amount=10**15, reference=f"{account}{asset}"
                    )
                    for account in accounts
                    for asset in ("SOL", "USDC", "BNB")
                ),
                CreateKey(
                    account=accounts[0],
                    api_key="A" * 64,
                    kind=KeyKind.HMAC,
                    secret=bytes(range(256)),
                    can_trade=True,
                ),
            )
        )
        self._crowd = Crowd(self.replica.engine, accounts, (SYMBOL, "SOLBNB"))

    def next(self) -> OutcomeFrame:
        if self.chance.random() < 0.05:
            self.replica.engine.jump(1 << 20)
            return self.replica.open(self.replica.position + 100, self.now)
        count = self.chance.randrange(1, 6)
        return self._frame(*(self._command() for _ in range(count)))

    def _command(self) -> AnyCommand:
        command = self._crowd.command(self.chance)
        request = self.chance.randbytes(16) if self.chance.random() < 0.5 else None
        deadline = self.now + self.chance.randrange(60_000_000)
        return msgspec.structs.replace(command, request=request, deadline=deadline)

    def _frame(self, *commands: AnyCommand) -> OutcomeFrame:
        self.now += self.chance.choice((1_000, 100_000, 20_000_000, 3_600_000_000))
        return self.replica.execute(deque(commands), self.now)


async def everything(dsn: str, chance: Random, now: int) -> list[Any]:
    """All that a snapshot can be asked for."""
    async with open_snapshot(dsn, application_name="test") as snapshot:
        since = now - chance.choice((0, 60_000_000, 7_200_000_000))
        return [
            snapshot.position,
            await snapshot.control_rows(),
            await snapshot.balances(),
            await snapshot.open_orders(),
            await snapshot.open_lists(),
            await snapshot.orders_of_open_lists(),
            await snapshot.levels(),
            *[await snapshot.candles(interval, since) for interval in STORED],
            await snapshot.recent_trades(chance.choice((1, 5, 1_000))),
            await snapshot.transfers_by_reference(),
            await snapshot.unfilled_orders(since),
            await snapshot.requests(),
        ]


@pytest.mark.parametrize("seed", range(4))
def test_what_is_written_is_loaded_alike(database_url: str, seed: int) -> None:
    async def story(dsn: str) -> list[Any]:
        history, found = History(seed), []
        chance = Random(seed)
        waiting = history.frames
        async with connected(dsn, application_name="test") as connection:
            for step in range(40):
                while chance.random() < 0.6:
                    waiting.append(history.next())
                if waiting and chance.random() < 0.2:
                    # Frames that do not follow, and some that cannot be.
                    wrong = [*waiting[1:], _overdrawn(history.next())] if step % 2 else waiting[1:]
                    if wrong:
                        found.append(await outcome(write(connection, wrong)))
                    if step % 2:
                        break
                if waiting:
                    found.append(await outcome(write(connection, waiting)))
                    waiting = []
                if step % 8 == 0:
                    found.append(await everything(dsn, chance, history.now))
            oldest = history.now - 50_000_000
            with reporting_failures():
                found.append(await connection.execute(_DELETE_SECONDS, oldest, 3))
        return [*found, await everything(dsn, chance, history.now)]

    simulated, real = on_both(story, database_url)

    assert simulated == real


def test_a_batch_with_many_orders_is_written_alike(database_url: str) -> None:
    async def story(dsn: str) -> list[Any]:
        history = History(5)
        async with connected(dsn, application_name="test") as connection:
            await write(connection, history.frames)
            for _ in range(2):
                await write(connection, [history.next() for _ in range(250)])
        return await everything(dsn, Random(5), history.now)

    simulated, real = on_both(story, database_url)

    assert simulated == real


def _overdrawn(frame: OutcomeFrame) -> OutcomeFrame:
    row: Row = Balance(account=0, asset="SOL", free=-1, locked=0)
    outcome = msgspec.structs.replace(frame.outcomes[0], rows=(row,))
    return msgspec.structs.replace(frame, outcomes=(outcome,))


@pytest.mark.parametrize("broken", ["balance", "trade", "transfer", "generation"])
def test_what_cannot_be_is_refused_alike(database_url: str, broken: str) -> None:
    async def story(dsn: str) -> list[Any]:
        history = History(1)
        frames = [*history.frames, *(history.next() for _ in range(60))]
        async with connected(dsn, application_name="test") as connection:
            first = await outcome(write(connection, frames))
            if broken == "balance":
                wrong = _overdrawn(history.next())
            else:
                name = {"generation": "Opened"}.get(broken, broken.capitalize())
                again = next(
                    one
                    for frame in frames
                    for one in frame.outcomes
                    if type(one.result).__name__ == name
                    or any(type(row).__name__ == name for row in one.rows)
                )
                wrong = msgspec.structs.replace(history.next(), outcomes=(again,))
            second = await outcome(write(connection, [wrong]))
        return [first, second, await everything(dsn, Random(0), history.now)]

    simulated, real = on_both(story, database_url)

    assert simulated == real
    assert real[1] == "AssertionError"


def test_epochs_clean_stops_and_the_rest_are_alike(database_url: str) -> None:
    async def story(dsn: str) -> list[Any]:
        history = History(2)
        found: list[Any] = []
        found += [await epochs.next_epoch(dsn), await epochs.next_epoch(dsn, above=7)]
        found.append(await epochs.last_end(dsn))
        await epochs.use_clean_stop(dsn)
        found.append(await epochs.last_end(dsn))
        async with connected(dsn, application_name="test") as connection:
            await require_schema(connection)
            await _check_durability(connection)
            last = (await write(connection, history.frames)).number
            for number in (last - 1, last, last + 3):
                await epochs.note_clean_stop(dsn, number)
                found.append(await epochs.last_end(dsn))
            for _ in range(3):
                found.append(await write(connection, [history.next()]))
                found.append(await epochs.last_end(dsn))
            found.append(await _read_position(connection))
        return found

    simulated, real = on_both(story, database_url)

    assert simulated == real


def test_starts_of_an_engine_and_alarms_are_alike(database_url: str) -> None:
    async def story(dsn: str) -> list[Any]:
        starts = await StartLog.open(dsn)
        found: list[Any] = []
        try:
            for position, attempt in ((5, None), (5, 6), (5, 6), (7, None)):
                found.append(await starts.count(position))
                await starts.note(attempt)
            for sentence in ("It is so.", "It is so.", "It is otherwise."):
                await raise_alarm(dsn, "test", sentence)
                async with connected(dsn, application_name="test") as connection:
                    (alarm,) = await select_alarms(connection)
                found.append((alarm.name, alarm.sentence))
        finally:
            starts.close()
        return found

    simulated, real = on_both(story, database_url)

    assert simulated == real


def test_locks_are_alike(database_url: str) -> None:
    async def story(dsn: str) -> list[Any]:
        history, found = History(3), []
        lock = ("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK)
        async with connected(dsn, application_name="test") as second:
            async with connected(dsn, application_name="test") as first:
                found += [await one.fetchval(*lock) for one in (first, second, first)]
                async with first.transaction():
                    with reporting_failures():
                        await first.execute(epochs._NOTE_CLEAN_STOP, 0)
                    # It waits, and is refused in the end.
                    found.append(await outcome(write(second, history.frames[:1])))
                    found.append((await _read_position(second)).number)
                found.append((await _read_position(second)).number)
                found.append(await outcome(write(second, history.frames[:1])))
            await asyncio.sleep(0.2)
            found.append(await second.fetchval(*lock))
            found.append(await outcome(write(second, history.frames[1:])))
        return found

    simulated, real = on_both(story, database_url)

    assert simulated == real
    assert real[:3] == [True, False, True]
