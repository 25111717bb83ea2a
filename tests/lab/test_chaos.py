"""`exchange chaos` in its short form; that it leaves nothing behind, and can turn red."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import asyncpg
import pytest
from running_exchange import RunningExchange

from exchange.services.children import is_running

CHAOS = [sys.executable, "-m", "exchange.lab", "chaos"]
SHORT = ["--kills", "16", "--minutes", "0.75", "--accounts", "12"]


def start(temporary: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Its processes are known by the TMPDIR that they inherit."""
    return subprocess.Popen(
        [*CHAOS, *arguments],
        env={**os.environ, "TMPDIR": str(temporary), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left_behind(temporary: Path) -> list[int]:
    """Processes that were started under a run, and still are."""
    mark = f"TMPDIR={temporary}".encode()
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if mark in variables and is_running(int(environ.parent.name)):
            found.append(int(environ.parent.name))
    return found


def test_nothing_acknowledged_is_lost_in_a_short_run(tmp_path: Path) -> None:
    process = start(tmp_path, *SHORT, "--seed", "1", "--json")
    output, errors = process.communicate(timeout=380)

    assert process.returncode == 0, output + errors
    report = json.loads(output)
    assert report["violations"] == 0
    assert all(row["holds"] for row in report["promises"])
    # A promise that was never checked would hold as well. What is unknown comes by chance.
    unchecked = {row["promise"] for row in report["promises"] if not row["checked"]}
    assert unchecked <= {"what was unknown is wholly there or not at all"}
    assert report["kills"] > 0
    assert report["orders"]["done"] > 100
    assert report["trades_streamed"] > 20
    assert report["compared"]["streams and books"] > 20
    assert report["compared"]["books and REST"] == 2
    assert report["compared"]["user streams and REST"] > 20
    assert any(row["fault"].endswith(" killed") for row in report["recovery"])
    assert left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_can_be_interrupted_and_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tmp_path, "--kills", "1000", "--minutes", "1", "--accounts", "4")
    assert process.stderr is not None
    while " kills," not in (line := process.stderr.readline()):
        assert line, process.communicate()
    assert len(left_behind(tmp_path)) > 6

    process.send_signal(number)

    process.communicate(timeout=150)
    assert process.returncode == 130
    assert left_behind(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


PLANTED = """
import sys

part = next((word for word in sys.orig_argv if word.startswith("exchange.")), "")
if part == "exchange.engine":
    from exchange.engine.request_memory import RequestMemory

    # A repeat of a request is executed again.
    RequestMemory.number = lambda *_: None
elif part == "exchange.backend":
    from exchange.redis.outcomes import Outcomes

    async def top(_outcomes):
        return 0

    # Reads wait for nothing.
    Outcomes.top = top
elif part == "exchange.websocket":
    from exchange.websocket.feeds import Feeds

    # Trades are told twice.
    honest = Feeds.apply
    Feeds.apply = lambda *arguments: 2 * honest(*arguments)

    from exchange.services.user_streams import UserStreams

    # Of every fifth outcome no account is told.
    tell = UserStreams._tell
    UserStreams._tell = lambda streams, outcome: outcome.number % 5 and tell(streams, outcome)
"""


def test_faults_that_are_planted_in_the_exchange_turn_it_red(tmp_path: Path) -> None:
    planted, temporary = tmp_path / "planted", tmp_path / "temporary"
    planted.mkdir()
    temporary.mkdir()
    (planted / "sitecustomize.py").write_text(PLANTED, encoding="utf-8")

    process = start(
        temporary, "--kills", "100", "--minutes", "0.3", "--accounts", "12", "--json",
        PYTHONPATH=str(planted),
    )  # fmt: skip
    output, errors = process.communicate(timeout=280)

    assert process.returncode == 1, output + errors
    assert output, errors
    report = json.loads(output)
    broken = {row["promise"] for row in report["promises"] if not row["holds"]}
    assert "reads see what was acknowledged before them" in broken
    assert "streams tell each trade once, and keep the book that REST shows" in broken
    assert "accounts are told each of their fills once, in order, and what they hold" in broken
    # Executed twice, or refused the second time, which nobody may be.
    assert broken & {
        "every acknowledged order is there once, as acknowledged",
        "what was unknown is wholly there or not at all",
        "every answer is one of three: done, refused, unknown",
    }
    # What such a run has kept is there for a look.
    assert Path(report["folder"]).is_dir()
    assert left_behind(temporary) == []


@pytest.fixture
def own(tmp_path: Path) -> RunningExchange:
    return RunningExchange(tmp_path / "data")


async def test_a_row_that_is_lost_turns_it_red_and_a_running_exchange_goes_on(
    own: RunningExchange, tmp_path: Path
) -> None:
    try:
        own.start()
        process = start(
            tmp_path, "--data", str(own.data), "--kills", "100", "--minutes", "0.2",
            "--accounts", "4", "--json",
        )  # fmt: skip
        order = await lose_an_order(own)

        output, errors = await asyncio.to_thread(process.communicate, timeout=200)

        assert process.returncode == 1, output + errors
        report = json.loads(output)
        broken = {row["promise"]: row["examples"] for row in report["promises"] if not row["holds"]}
        assert "every acknowledged order is there once, as acknowledged" in broken
        assert any(order in text for examples in broken.values() for text in examples)
        assert own.status()["ready"]
    finally:
        own.stop()


async def lose_an_order(exchange: RunningExchange) -> str:
    """Delete one that is filled, which no process would notice; its client order id."""
    deadline = time.monotonic() + 150
    while time.monotonic() < deadline:
        try:
            connection = await asyncpg.connect(exchange.database_url)
            try:
                lost = await connection.fetchval(
                    "DELETE FROM orders WHERE (symbol, order_id) = (SELECT symbol, order_id"
                    " FROM orders WHERE status = 'FILLED' LIMIT 1) RETURNING client_order_id"
                )
            finally:
                await connection.close()
        except (OSError, asyncpg.PostgresError):
            lost = None
        if lost:
            return str(lost)
        await asyncio.sleep(0.1)
    raise AssertionError("nothing was filled")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--kills", "0"],
        ["--minutes", "0"],
        ["--accounts", "1"],
        ["--minutes", "9999"],
        ["--nonsense"],
    ],
)
def test_it_is_bounded(arguments: list[str]) -> None:
    done = subprocess.run([*CHAOS, *arguments], capture_output=True, timeout=150, check=False)

    assert done.returncode == 2


def test_a_folder_where_nothing_runs_is_named(tmp_path: Path) -> None:
    done = subprocess.run(
        [*CHAOS, "--data", str(tmp_path)], capture_output=True, text=True, timeout=150, check=False
    )

    assert done.returncode == 1
    assert f"No exchange runs in {tmp_path}" in done.stderr
    assert "Traceback" not in done.stderr
