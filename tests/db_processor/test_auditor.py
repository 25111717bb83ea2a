"""The auditor: a doubt freezes every market once, and is shown until somebody has seen it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from engine.recorded_market import opening, trading
from engine.running_engine import all_outcomes, outcome_of, running, write_everything
from frames import command
from prometheus_client import REGISTRY
from servers import ask_redis, execute_sql

from exchange.db_processor import service
from exchange.db_processor.auditor import audit_once
from exchange.postgres_db.alarms import Alarm, clear_alarm, select_alarms
from exchange.postgres_db.connection import connected
from exchange.redis.journal import NotIngested
from exchange.services.commands import SetMode
from exchange.services.markets import Market, Mode
from exchange.services.messages import Outcome
from exchange.services.process import Health
from exchange.services.settings import Settings

SPOIL = "UPDATE balances SET free = free + 7 WHERE account_id = 0 AND asset = 'USDC'"


@pytest.fixture
async def settings(database_url: str, redis_url: str) -> AsyncIterator[Settings]:
    """An exchange that has traded a little, whose engine leads."""
    settings = Settings(database_url=database_url, redis_url=redis_url, audit_seconds=1)
    async with running(settings):
        first = (await outcome_of(settings, command(0))).number + 1
        for asked in (*opening(first), *trading(first, 40)):
            await outcome_of(settings, asked)
        await write_everything(settings)
        yield settings


def modes(outcomes: list[Outcome]) -> list[tuple[str, Mode]]:
    """Every change of a market after its creation."""
    found = [
        (row.symbol, row.mode)
        for outcome in outcomes
        for row in outcome.rows
        if isinstance(row, Market)
    ]
    return [one for one in found if one[1] is not Mode.RUNNING]


async def raised(settings: Settings) -> list[Alarm]:
    async with connected(settings.database_url, application_name="test") as connection:
        return await select_alarms(connection)


async def executed(settings: Settings) -> list[Outcome]:
    """Everything, once what is in the journal has been executed."""
    await outcome_of(settings, SetMode(symbol="NONE", mode=Mode.RUNNING))
    await write_everything(settings)
    return await all_outcomes(settings)


async def test_money_that_adds_up_changes_nothing(settings: Settings) -> None:
    assert await audit_once(settings) == []

    assert modes(await executed(settings)) == []
    assert await raised(settings) == []


@pytest.mark.parametrize(
    ("spoil", "name", "sentence"),
    [
        (SPOIL, "audit-money", "USDC: accounts hold 7 units more than came in"),
        (
            "UPDATE balances SET locked = locked + 5, free = free - 5 WHERE (account_id, asset) ="
            " (SELECT account_id, asset FROM balances WHERE free > 5 ORDER BY 1, 2 LIMIT 1)",
            "audit-locks",
            "has 5 units of",
        ),
        ("UPDATE orders SET locked = locked + 3 WHERE queue > 0", "audit-locks", "too few for"),
    ],
)
async def test_a_doubt_makes_every_market_cancel_only(
    settings: Settings, spoil: str, name: str, sentence: str
) -> None:
    execute_sql(settings.database_url, spoil)

    (found,) = await audit_once(settings)

    assert sentence in found
    assert modes(await executed(settings)) == [("SOLUSDC", Mode.CANCEL_ONLY)]
    (alarm,) = await raised(settings)
    assert (alarm.name, alarm.sentence) == (name, found)
    assert REGISTRY.get_sample_value(
        "exchange_audit_doubts", {"promise": name.removeprefix("audit-")}
    )


async def test_a_market_that_was_resumed_is_frozen_again_by_a_new_doubt_only(
    settings: Settings,
) -> None:
    execute_sql(settings.database_url, SPOIL)
    await audit_once(settings)
    await outcome_of(settings, SetMode(symbol="SOLUSDC", mode=Mode.RUNNING))
    await write_everything(settings)

    await audit_once(settings)
    frozen_once = modes(await executed(settings))
    execute_sql(settings.database_url, SPOIL)
    await audit_once(settings)

    assert len(frozen_once) == 1
    assert len(modes(await executed(settings))) == 2
    assert "14 units" in (await raised(settings))[0].sentence


async def test_a_halted_market_stays_halted(settings: Settings) -> None:
    await outcome_of(settings, SetMode(symbol="SOLUSDC", mode=Mode.HALTED))
    await write_everything(settings)
    execute_sql(settings.database_url, SPOIL)

    await audit_once(settings)

    assert modes(await executed(settings)) == [("SOLUSDC", Mode.HALTED)]
    assert await raised(settings)


async def test_without_a_journal_to_freeze_in_the_doubt_is_found_again(settings: Settings) -> None:
    execute_sql(settings.database_url, SPOIL)
    gate = ask_redis(settings.redis_url, "GETDEL j:run")
    assert gate.startswith("$")

    with pytest.raises(NotIngested):
        await audit_once(settings)

    assert await raised(settings) == []


async def test_an_alarm_stays_until_it_was_seen(settings: Settings) -> None:
    execute_sql(settings.database_url, SPOIL)
    await audit_once(settings)
    first = await raised(settings)
    await audit_once(settings)

    assert await raised(settings) == first
    assert await clear_alarm(settings.database_url, "audit-money")
    assert not await clear_alarm(settings.database_url, "audit-money")
    assert await raised(settings) == []


async def test_the_db_processor_audits_by_itself(settings: Settings) -> None:
    execute_sql(settings.database_url, SPOIL)
    stop = asyncio.Event()
    task = asyncio.create_task(service.run(settings, Health(), stop))

    async with asyncio.timeout(60):
        while not modes(await all_outcomes(settings)):
            await asyncio.sleep(0.1)

    stop.set()
    await task
    assert modes(await all_outcomes(settings)) == [("SOLUSDC", Mode.CANCEL_ONLY)]
