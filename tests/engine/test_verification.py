"""`exchange verify`: says that all is well when it is, and finds each thing that is not."""

import asyncio
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from engine.recorded_market import crowded, opening, trading
from engine.running_engine import outcome_of, running, write_everything
from frames import command, now_us, payload
from servers import KillableServer, ask_redis, execute_sql, with_database

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.recovery import begin_without_journal
from exchange.engine.replica import load
from exchange.engine.report import Report
from exchange.engine.verification import Watch, verify
from exchange.postgres_db import epochs
from exchange.postgres_db.connection import connected
from exchange.redis.inspection import Inspection
from exchange.redis.journal import Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services import embedded
from exchange.services.commands import AnyCommand, CreateAccount
from exchange.services.messages import JUMP, Outcome
from exchange.services.settings import Settings

FIRST = 2
COMMANDS = 400
_copy_numbers = itertools.count(1)


async def journal_all(settings: Settings, commands: list[AnyCommand]) -> int:
    """In frames of fifty; waits until an engine has executed them."""
    journal = await Journal.open(settings.redis_url, name="test")
    last = 0
    for start in range(0, len(commands), 50):
        frame = [
            msgspec.structs.replace(one, uid=start + place)
            for place, one in enumerate(commands[start : start + 50], 1)
        ]
        last = await journal.append(payload(*frame), len(frame), clock=now_us())
    journal.close()
    async with await Outcomes.open(settings.redis_url) as outcomes, asyncio.timeout(60):
        while await outcomes.top() < last:
            await asyncio.sleep(0.02)
    return last


async def trade(settings: Settings) -> None:
    async with running(settings):
        await outcome_of(settings, command(0))
        await journal_all(settings, [*opening(FIRST + 1), *trading(FIRST + 1, COMMANDS)])


async def report_on(settings: Settings) -> Report:
    return await verify(settings, Watch(lambda _: None, lambda *_: None))


def doubts(report: Report) -> dict[str, list[str]]:
    return {check.name: check.examples for check in report.checks if not check.is_ok}


@pytest.fixture(scope="module")
def traded(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, template_database: str
) -> Iterator[tuple[Path, str]]:
    """The folder of a stopped Redis, and a database: an exchange that has traded."""
    folder = tmp_path_factory.mktemp("traded")
    name = f"traded_{os.getpid()}"
    execute_sql(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    redis = embedded.Redis(folder / "redis", log=folder / "redis.log")
    redis.start()
    settings = Settings(database_url=with_database(postgres_url, name), redis_url=redis.url)

    async def make() -> None:
        await trade(settings)
        await write_everything(settings)

    asyncio.run(make())
    redis.stop()
    yield folder / "redis", name
    execute_sql(postgres_url, f"DROP DATABASE {name}")


@pytest.fixture
def settings(
    traded: tuple[Path, str], postgres_url: str, own_redis: KillableServer, tmp_path: Path
) -> Iterator[Settings]:
    """A copy of the exchange that has traded, for one test to spoil."""
    folder, template = traded
    name = f"spoiled_{os.getpid()}_{next(_copy_numbers)}"
    execute_sql(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    own_redis.stop()
    subprocess.run(["rm", "-rf", str(tmp_path / "redis")], check=True)
    subprocess.run(["cp", "-a", str(folder), str(tmp_path / "redis")], check=True)
    own_redis.start()
    yield Settings(database_url=with_database(postgres_url, name), redis_url=own_redis.url)
    execute_sql(postgres_url, f"DROP DATABASE {name}")


async def test_all_is_well_where_all_is_well(settings: Settings) -> None:
    report = await report_on(settings)

    assert doubts(report) == {}
    assert report.database == report.journal > COMMANDS
    checked = {check.name: check.checked for check in report.checks}
    assert len(checked) == len(report.checks)
    # It has looked at something everywhere but at outcomes after the database, which has them all.
    assert {name for name, count in checked.items() if not count} == {"follow", "money-in-motion"}
    assert checked["execution"] == report.journal
    assert checked["trades"] > 50


@pytest.mark.parametrize("seed", range(3))
async def test_every_kind_of_order_is_well(database_url: str, redis_url: str, seed: int) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    async with running(settings):
        await outcome_of(settings, command(0))
        await journal_all(settings, crowded(FIRST + 1, 1_500, seed))
    await write_everything(settings)
    counts = {name: f"SELECT count(*) FROM {name}" for name in ("amendments", "prevented_matches")}
    paid_otherwise = "SELECT count(*) FROM trades WHERE buy_fee_asset || sell_fee_asset <> ''"
    async with connected(database_url, application_name="test") as connection:
        assert await connection.fetchval(paid_otherwise) > 5
        seen = {name: await connection.fetchval(count) for name, count in counts.items()}
        assert all(seen.values())

    assert doubts(await report_on(settings)) == {}
    for name, wrong in (("amendments", "new_quantity - 1"), ("prevented_matches", "price + 1")):
        column = wrong.split()[0]
        execute_sql(database_url, f"UPDATE {name} SET {column} = {wrong}")
    stored = next(one for one in (await report_on(settings)).checks if one.name == "stored")
    assert stored.doubtful == sum(seen.values())


async def test_outcomes_that_are_not_in_postgres_yet_are_followed(
    database_url: str, redis_url: str
) -> None:
    settings = Settings(database_url=database_url, redis_url=redis_url)
    await trade(settings)

    report = await report_on(settings)

    assert doubts(report) == {}
    checked = {check.name: check.checked for check in report.checks}
    assert report.database == 0
    assert checked["follow"] == checked["execution"] == report.journal


async def test_without_the_beginning_of_the_journal_the_rest_is_executed_again(
    settings: Settings,
) -> None:
    async with running(settings):
        middle = await journal_all(settings, list(trading(FIRST + 1, 100, seed=2)))
        await write_everything(settings)
        await journal_all(settings, list(trading(FIRST + 1, 100, seed=3)))
    for stream in ("j:cmd", "j:out"):
        ask_redis(settings.redis_url, f"XTRIM {stream} MINID = 0-{middle - 70}")

    report = await report_on(settings)

    assert doubts(report) == {}
    execution = next(check for check in report.checks if check.name == "execution")
    assert execution.checked >= 100
    assert "from the very beginning" not in execution.promise


async def test_a_live_exchange_is_not_disturbed(settings: Settings) -> None:
    async with running(settings):
        await journal_all(settings, list(trading(FIRST + 1, 50, seed=2)))
        verifying = asyncio.ensure_future(report_on(settings))
        for seed in range(3, 9):
            await journal_all(settings, list(trading(FIRST + 1, 50, seed=seed)))
        report = await verifying

    assert doubts(report) == {}


async def test_generations_are_no_doubt(settings: Settings, own_redis: KillableServer) -> None:
    async with running(settings):
        await journal_all(settings, list(trading(FIRST + 1, 50, seed=2)))
        own_redis.kill()
        own_redis.start()
        await outcome_of(settings, command(1))
        await journal_all(settings, list(trading(FIRST + 1, 50, seed=3)))
    await write_everything(settings)

    report = await report_on(settings)

    assert doubts(report) == {}
    execution = next(check for check in report.checks if check.name == "execution")
    assert "from the very beginning" in execution.promise


async def test_a_lost_tail_that_healed_is_no_doubt(
    settings: Settings, own_redis: KillableServer, tmp_path: Path
) -> None:
    own_redis.stop()
    copy = shutil.copytree(tmp_path / "redis", tmp_path / "copy")
    own_redis.start()
    async with running(settings):
        await journal_all(settings, list(trading(FIRST + 1, 50, seed=2)))
    await write_everything(settings)
    own_redis.kill()
    shutil.rmtree(tmp_path / "redis")
    copy.rename(tmp_path / "redis")
    own_redis.start()
    assert doubts(await report_on(settings)).keys() == {"reach"}

    async with running(settings):
        await journal_all(settings, list(trading(FIRST + 1, 50, seed=3)))
    await write_everything(settings)

    assert doubts(await report_on(settings)) == {}


async def test_a_journal_begun_anew_is_no_doubt(settings: Settings) -> None:
    assert ask_redis(settings.redis_url, "FLUSHALL") == "+OK"
    await begin_without_journal(settings)
    async with running(settings):
        await journal_all(settings, list(trading(FIRST + 1, 100, seed=2)))
    await write_everything(settings)

    assert doubts(await report_on(settings)) == {}


ACT = "(SELECT number FROM acts ORDER BY number OFFSET 2 LIMIT 1)"
ORDER = "(SELECT symbol, order_id FROM orders WHERE status = 'FILLED' ORDER BY order_id LIMIT 1)"


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        (
            "UPDATE balances SET free = free + 1 WHERE account_id = 0 AND asset = 'SOL'",
            {"money", "holdings"},
        ),
        (
            "UPDATE transfers SET amount = amount + 1 WHERE number = 12",
            {"money", "holdings", "stored"},
        ),
        (
            "UPDATE balances SET locked = locked + 1, free = free - 1 WHERE account_id ="
            " (SELECT max(account_id) FROM balances) AND asset = 'USDC'",
            {"locks"},
        ),
        (f"UPDATE orders SET filled = filled - 1 WHERE (symbol, order_id) = {ORDER}", {"fills"}),
        (f"UPDATE orders SET locked = 1 WHERE (symbol, order_id) = {ORDER}", {"fills"}),
        (
            "DELETE FROM trades WHERE trade_id = 7",
            {
                "fills",
                "holdings",
                "trade-ids",
                "stored",
                "candles-1s",
                "candles-1m",
                "candles-1h",
                "candles-1d",
            },
        ),
        (f"UPDATE orders SET side = 'NONE' WHERE (symbol, order_id) = {ORDER}", {"trades"}),
        ("UPDATE trades SET sell_fee = sell_fee + 1 WHERE trade_id = 7", {"stored", "holdings"}),
        (
            "DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders"
            " WHERE status = 'CANCELED' AND filled = 0)",
            {"order-ids"},
        ),
        (
            "UPDATE orders SET client_order_id = 'same', account_id = 0"
            " WHERE status IN ('NEW', 'PARTIALLY_FILLED')",
            {"client-ids", "locks", "trades", "state"},
        ),
        ("UPDATE orders SET request = '\\x00' WHERE status = 'FILLED'", {"requests"}),
        (f"UPDATE orders SET number = 10^6 WHERE (symbol, order_id) = {ORDER}", {"order"}),
        ("UPDATE candles SET high = high + 1 WHERE interval = '1h'", {"candles-1h"}),
        ("DELETE FROM candles WHERE interval = '1d'", {"candles-1d"}),
        ("UPDATE candles SET open = open + 1 WHERE interval = '1m'", {"candles-1m"}),
        ("UPDATE cluster SET uuid = 'another'", {"redis"}),
        ("UPDATE position SET state_hash = state_hash - 1", {"state"}),
        (f"UPDATE acts SET reason = 'another' WHERE number = {ACT}", {"record", "stored"}),
        (f"DELETE FROM acts WHERE number = {ACT}", {"record", "stored"}),
        (f"UPDATE acts SET link = '' WHERE number = {ACT}", {"record", "stored"}),
        (
            "DELETE FROM acts WHERE number = (SELECT max(number) FROM acts)",
            {"state", "stored"},
        ),
        ("UPDATE keys SET can_trade = true", set()),
    ],
)
async def test_every_changed_row_is_a_doubt(
    settings: Settings, statement: str, found: set[str]
) -> None:
    execute_sql(settings.database_url, statement)

    report = await report_on(settings)

    # A live row makes the hash another one, too.
    assert doubts(report).keys() - {"state"} == found - {"state"}, doubts(report)
    assert found <= doubts(report).keys()
    assert report.is_ok == (not found)


async def test_a_missing_outcome_is_a_doubt(settings: Settings) -> None:
    async with await Inspection.open(settings.redis_url) as inspection:
        ends = [frame.last async for frame in inspection.outcomes(0, until=200)]
    assert ask_redis(settings.redis_url, f"XDEL j:out 0-{ends[-1]}") == ":1"

    found = doubts(await report_on(settings))

    assert found.keys() == {"chain", "answers"}
    assert f"but {ends[-2]} was the last" in found["chain"][0]


async def test_a_missing_command_is_a_doubt(settings: Settings) -> None:
    assert ask_redis(settings.redis_url, "XRANGE j:cmd 0-60 + COUNT 1") == "*1"
    async with await Inspection.open(settings.redis_url) as inspection:
        numbers = [number async for number, _ in inspection.commands(0, until=200)]
    assert ask_redis(settings.redis_url, f"XDEL j:cmd 0-{numbers[-1]}") == ":1"

    found = doubts(await report_on(settings))

    assert found["answers"][0] == f"outcome {numbers[-50]} has no command"


async def test_a_lost_tail_is_named(settings: Settings) -> None:
    execute_sql(settings.database_url, "UPDATE position SET number = number + 5")

    assert "reach" in doubts(await report_on(settings))


async def test_what_another_engine_would_not_have_done_is_a_doubt(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Conserved, chained and written as it should be, and still wrong."""
    right = MatchingEngine.apply

    def wrong(self: MatchingEngine, number: int, command: CreateAccount, now: int) -> Outcome:
        return right(self, number, msgspec.structs.replace(command, name="mallory"), now)

    with monkeypatch.context() as patch:
        patch.setattr(MatchingEngine, "apply", wrong)
        async with running(settings):
            outcome = await outcome_of(settings, command(77))
        await write_everything(settings)

    found = doubts(await report_on(settings))

    assert found.keys() == {"execution"}
    assert f"command {outcome.number} came out differently" in found["execution"][0]
    assert "mallory" in found["execution"][0]


async def test_a_refused_poison_is_not_tried_again(settings: Settings) -> None:
    replica = await load(settings.database_url)
    leadership = await Leadership.open(settings.redis_url)
    claim = await leadership.claim(await epochs.next_epoch(settings.database_url, above=100))
    replica.epoch = claim.epoch
    number = replica.position + JUMP
    await leadership.open_gate(replica.open(number, now_us()))
    journal = await Journal.open(settings.redis_url, name="test")
    await journal.append(payload(command(78)), 1, clock=now_us())
    await leadership.append(replica.refuse(command(78), now_us(), "It ended the engine each time."))
    journal.close()
    leadership.close()

    assert doubts(await report_on(settings)).keys() <= {"execution"}


def run(settings: Settings, *flags: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    return subprocess.run(
        [sys.executable, "-m", "exchange.engine", "verify", *flags],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


async def test_the_command_prints_one_line_for_each_promise(settings: Settings) -> None:
    good = run(settings)
    execute_sql(settings.database_url, "UPDATE balances SET free = free + 7 WHERE account_id = 0")
    bad, machine = run(settings), run(settings, "--json")

    assert good.returncode == 0, good.stderr
    lines = good.stdout.splitlines()
    assert all(line.startswith("ok ") for line in lines[:-1])
    assert lines[-1].startswith(f"All {len(lines) - 1} promises hold, at ")
    assert (bad.returncode, machine.returncode) == (1, 1)
    assert "DOUBT  Money is conserved" in bad.stdout
    assert "SOL: accounts hold 7 units more than came in" in bad.stdout
    answer: dict[str, Any] = json.loads(machine.stdout)
    assert answer["ok"] is False
    assert [check["name"] for check in answer["checks"] if not check["ok"]] == [
        "money",
        "holdings",
        "state",
    ]


async def test_without_stores_the_command_says_so(settings: Settings) -> None:
    nowhere = msgspec.structs.replace(settings, redis_url="redis://127.0.0.1:1")

    done = run(nowhere)

    assert done.returncode == 1
    assert done.stdout == ""
    assert "Redis cannot be reached" in done.stderr
