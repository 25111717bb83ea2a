"""`exchange snapshot` on a running exchange; and its faults on request by the command line."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from backend.api_client import Trader
from running_exchange import RunningExchange, exchange_command

from exchange.postgres_db.connection import connected
from exchange.postgres_db.schema import schema_version
from exchange.postgres_db.stored import SCHEMA_VERSION
from exchange.services.children import is_running
from exchange.services.embedded import Postgres
from exchange.services.own_exchange import STOP_S_MAX
from exchange.services.run_file import read_run

SAMPLE = Path(__file__).parents[2] / "docs/samples/faults.toml"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    exchange = RunningExchange(tmp_path_factory.mktemp("snapshots") / "data", "--faults")
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


@pytest.fixture(scope="module")
def alice(venue: RunningExchange) -> Trader:
    """She has money, one order open, and a snapshot called `base` knows that."""
    keys = venue.account("alice")
    venue.deposit("alice", "USDC", "1000")
    trader = Trader(venue.api, keys.apiKey, keys.secretKey)
    assert trader.order("BUY", "1", "20", newClientOrderId="first").status == 200
    assert venue.command("snapshot", "save", "base")["name"] == "base"
    return trader


def refusal(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        exchange_command("snapshot", *arguments),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    assert "Traceback" not in done.stderr
    return done.stderr


def until(is_so: Callable[[], bool]) -> None:
    """Another process makes it so, and does not say when."""
    deadline = time.monotonic() + STOP_S_MAX
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def state(trader: Trader) -> dict[str, Any]:
    balances = trader.call("GET", "account").body["balances"]
    orders = trader.call("GET", "openOrders").body
    return {
        "balances": {one["asset"]: (one["free"], one["locked"]) for one in balances},
        "orders": {one["clientOrderId"]: one["orderId"] for one in orders},
    }


async def test_what_is_loaded_is_what_was_saved_and_every_id_is_new(
    venue: RunningExchange, alice: Trader
) -> None:
    saved = state(alice)
    shown: list[int] = []
    accounts: list[int] = []
    url = f"{venue.ws}/ws/solusdc@trade"
    pids = venue.pids()
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for number in range(2):
            accounts.append(venue.account(f"bob-{number}").accountId)
            venue.deposit("alice", "USDC", "500")
            placed = [alice.order("BUY", "1", "21").body["orderId"] for _ in range(3)]
            assert min(placed) > max(shown, default=0)
            shown += placed

            await asyncio.to_thread(venue.command, "snapshot", "load", "base")

            assert state(alice) == saved
        farewell = await socket.receive(timeout=60)
        assert (farewell.type, farewell.data) == (aiohttp.WSMsgType.CLOSE, 1012)

    assert alice.order("BUY", "1", "21").body["orderId"] > max(shown)
    assert venue.account("carol").accountId > max(accounts)
    # Nobody but the stores was started again.
    services = ("backend", "websocket", "engine", "db-processor")
    assert [venue.pids()[name] for name in services] == [pids[name] for name in services]
    verified = venue.command("verify")
    assert verified["ok"] is True, verified


def test_a_fork_is_an_exchange_of_its_own(
    venue: RunningExchange, alice: Trader, tmp_path: Path
) -> None:
    fork = tmp_path / "fork"

    printed = venue.command("snapshot", "fork", "base", "--to", str(fork))

    try:
        run = read_run(fork)
        assert run is not None
        assert (printed["api"], printed["ws"]) == (run.api, run.ws)
        other = Trader(run.api, alice.api_key, alice.secret)
        assert list(state(other)["orders"]) == ["first"]
        assert other.order("BUY", "1", "19", newClientOrderId="elsewhere").status == 200
        assert "elsewhere" not in state(alice)["orders"]
        verified = subprocess.run(
            exchange_command("verify", "--data", str(fork)),
            capture_output=True, text=True, timeout=150, check=False,
        )  # fmt: skip
        assert verified.returncode == 0, verified.stdout
    finally:
        os.kill(printed["pid"], signal.SIGTERM)
        until(lambda: not is_running(printed["pid"]))


def test_an_exchange_that_does_not_run_is_saved_and_loaded_alike(
    venue: RunningExchange, alice: Trader
) -> None:
    before, last = state(alice), alice.order("BUY", "1", "22").body["orderId"]
    assert venue.stop() == 0

    saved = venue.command("snapshot", "save", "at-rest")
    assert venue.command("snapshot", "load", "base") != saved

    venue.start()
    assert state(alice)["orders"] == {"first": before["orders"]["first"]}
    assert alice.order("BUY", "1", "22").body["orderId"] > last
    assert [one["name"] for one in venue.command("snapshot", "list")] == ["base", "at-rest"]
    assert venue.command("snapshot", "delete", "at-rest") == {"deleted": "at-rest"}


async def test_a_snapshot_from_before_a_migration_gets_it_as_it_is_loaded(
    venue: RunningExchange, alice: Trader, tmp_path: Path
) -> None:
    before = state(alice)
    venue.command("snapshot", "save", "old")
    stored = Postgres(venue.data / "snapshots/old/postgres", log=tmp_path / "postgres.log")
    stored.start()
    async with connected(stored.url, application_name="test") as connection:
        await connection.execute(
            "ALTER TABLE acts DROP COLUMN link; UPDATE alembic_version SET version_num = '0007'"
        )
    stored.stop()

    venue.command("snapshot", "load", "old")

    assert state(alice) == before
    async with connected(venue.database_url, application_name="test") as connection:
        assert await schema_version(connection) == SCHEMA_VERSION


def test_what_cannot_be_done_is_said(venue: RunningExchange, alice: Trader, tmp_path: Path) -> None:
    data = str(venue.data)

    assert "There is no snapshot none" in refusal("load", "none", "--data", data)
    assert "There is a snapshot base already" in refusal("save", "base", "--data", data)
    assert "There is no exchange in" in refusal("save", "x", "--data", str(tmp_path / "none"))
    elsewhere = refusal("save", "x", DATABASE_URL="postgresql://exchange@127.0.0.1:1/none")
    assert "make an `exchange backup`" in elsewhere
    port = venue.api.rpartition(":")[2]
    taken = refusal("fork", "base", "--data", data, "--to", str(tmp_path / "f"), "--api-port", port)
    assert f"Port {port} is taken: choose another with --api-port." in taken


def test_a_fork_that_nobody_waits_for_ends(
    venue: RunningExchange, alice: Trader, tmp_path: Path
) -> None:
    command = exchange_command("snapshot", "fork", "base", "--data", str(venue.data))
    fork = tmp_path / "fork"
    with subprocess.Popen([*command, "--to", str(fork)], stderr=subprocess.DEVNULL) as waiting:
        lock = fork / "lock"
        until(lambda: lock.exists() and lock.read_bytes().endswith(b"\n"))
        launcher = int(lock.read_bytes())

        waiting.send_signal(signal.SIGINT)

        assert waiting.wait(STOP_S_MAX) != 0
    assert not is_running(launcher)
    assert not (fork / "run.json").exists()


def test_faults_are_set_shown_and_cleared(venue: RunningExchange, alice: Trader) -> None:
    assert "FAULTS ON REQUEST ARE ON" in venue.output
    assert venue.status()["faults"] == 0

    shown = venue.command("faults", "set", str(SAMPLE))

    assert (shown["seed"], len(shown["rule"]), shown["acted"]) == (42, 4, [0] * 4)
    assert venue.command("faults", "show") == shown
    text = subprocess.run(
        exchange_command("faults", "show", "--data", str(venue.data)),
        capture_output=True, text=True, timeout=60, check=False,
    ).stdout  # fmt: skip
    assert text.splitlines()[0] == "seed 42, 4 rules"
    assert json.loads((venue.data / "faults.json").read_text("utf-8"))["seed"] == 42
    assert venue.command("faults", "clear")["rule"] == []
    assert alice.order("BUY", "1", "20").status == 200
