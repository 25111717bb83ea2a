"""Poison: a command that ends the engine is refused in the end, and nothing else is."""

import asyncio
import subprocess
from pathlib import Path

import asyncpg
import pytest
from engine.running_engine import StartEngine, all_outcomes, outcome_of, running
from frames import command, now_us, payload

from exchange.engine.caution import Caution
from exchange.engine.replica import Replica
from exchange.postgres_db.alarms import select_alarms
from exchange.postgres_db.engine_starts import StartLog
from exchange.redis.journal import Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.commands import CreateAccount
from exchange.services.failures import WorldFailed
from exchange.services.messages import Created, Reason, Rejected, Repeated
from exchange.services.settings import Settings

POISONED = str(Path(__file__).with_name("poisoned_engine.py"))
POISON = 13


async def ended(engine: subprocess.Popen[bytes]) -> int:
    async with asyncio.timeout(60):
        while engine.poll() is None:
            await asyncio.sleep(0.02)
    return engine.returncode


async def journal_everything(settings: Settings) -> int:
    """Twenty accounts in one frame, one of them poison; the number of the last."""
    journal = await Journal.open(settings.redis_url, name="test")
    commands = [
        CreateAccount(
            uid=uid,
            name=f"account-{uid}",
            request=uid.to_bytes(32),
            deadline=now_us() + 60_000_000,
        )
        for uid in range(2, 22)
    ]
    last = await journal.append(payload(*commands), len(commands), clock=now_us())
    journal.close()
    return last


@pytest.mark.parametrize("ending", ["kill", "assert"])
async def test_a_command_that_ends_the_engine_is_refused_after_a_few_starts(
    settings: Settings, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    monkeypatch.setenv("POISON", f"account-{POISON}")
    monkeypatch.setenv("ENDING", ending)
    engine = start_engine(POISONED)
    await outcome_of(settings, command(1))
    last = await journal_everything(settings)

    # It ends in the middle of them, in the next two starts, and when it comes to it alone.
    for _ in range(4):
        assert await ended(engine) != 0
        engine = start_engine(POISONED)
    async with await Outcomes.open(settings.redis_url) as outcomes, asyncio.timeout(60):
        while await outcomes.top() < last and engine.poll() is None:
            await asyncio.sleep(0.05)

    assert engine.poll() is None
    found = {outcome.uid: outcome.result for outcome in await all_outcomes(settings)}
    refused = found[POISON]
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.POISON
    others = [found[uid] for uid in range(1, 22) if uid != POISON]
    assert all(isinstance(result, Created) for result in others)
    connection = await asyncpg.connect(settings.database_url)
    alarms = await select_alarms(connection)
    await connection.close()
    assert [alarm.name for alarm in alarms] == [f"poison-{last - 21 + POISON}"]


async def test_a_repeat_of_a_refused_poison_is_not_executed(
    settings: Settings, start_engine: StartEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", f"account-{POISON}")
    monkeypatch.setenv("ENDING", "kill")
    engine = start_engine(POISONED)
    await outcome_of(settings, command(1))
    last = await journal_everything(settings)
    for _ in range(4):
        await ended(engine)
        engine = start_engine(POISONED)

    again = CreateAccount(
        uid=99,
        name=f"account-{POISON}",
        request=POISON.to_bytes(32),
        deadline=now_us() + 60_000_000,
    )
    outcome = await outcome_of(settings, again)

    assert outcome.result == Repeated(number=last - 21 + POISON)


async def test_kills_without_a_command_in_work_make_nobody_careful(
    settings: Settings, start_engine: StartEngine
) -> None:
    for uid in range(1, 5):
        engine = start_engine()
        outcome = await outcome_of(settings, command(uid))
        engine.kill()
        await ended(engine)
        assert isinstance(outcome.result, Created)

    log = await StartLog.open(settings.database_url)
    starts = await log.count(position=-1)
    log.close()
    assert starts.attempt is None


async def test_the_third_start_from_one_place_is_careful(settings: Settings) -> None:
    replica = Replica(position=7)
    careful = []
    for _ in range(3):
        caution = await Caution.begin(settings.database_url, 7, command_top=9)
        careful.append(caution.is_due(replica))
        caution.end()

    assert careful == [False, False, True]


async def test_progress_or_an_empty_journal_ends_the_count(settings: Settings) -> None:
    for position in (7, 7, 8, 8):
        caution = await Caution.begin(settings.database_url, position, command_top=9)
        assert not caution.is_due(Replica(position=position))
        caution.end()
    for _ in range(5):
        caution = await Caution.begin(settings.database_url, 9, command_top=9)
        assert not caution.is_due(Replica(position=9))
        caution.end()


async def test_a_command_that_could_not_be_journalled_is_no_poison(settings: Settings) -> None:
    async with running(settings):
        last = await outcome_of(settings, command(1))
    for _ in range(2):
        caution = await Caution.begin(settings.database_url, last.number, last.number + 1)
        caution.end()
    caution = await Caution.begin(settings.database_url, last.number, last.number + 1)
    # It never claimed to lead, so that its append is refused.
    leadership = await Leadership.open(settings.redis_url)
    replica = Replica(position=last.number)

    with pytest.raises(WorldFailed):
        await caution.execute(command(2), replica, leadership, now_us())

    log = await StartLog.open(settings.database_url)
    assert (await log.count(last.number)).attempt is None
    log.close()
    leadership.close()
    caution.end()
