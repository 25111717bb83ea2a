"""Faults of one part that chaos does not make: a damaged, emptied, full or rewritten journal."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from running_exchange import RunningExchange, exchange_command
from servers import ask_redis
from system.traders import SYMBOL, RandomTrader

from exchange.services.admin import AdminFault
from exchange.services.embedded import free_port


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[RunningExchange]:
    """One that a test may spoil."""
    exchange = RunningExchange(tmp_path / "data")
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


def test_a_journal_that_is_damaged_in_its_middle_is_refused_and_left_as_it_is(
    exchange: RunningExchange,
) -> None:
    exchange.account("alice")
    exchange.deposit("alice", "USDC", "5", reference="before")
    exchange.stop()
    journal = exchange.journal_file
    content = journal.read_bytes()
    # The length of something that comes later than the middle, so that nobody could cut it off.
    place = content.index(b"\r\n$", len(content) // 2) + 2
    damaged = content[:place] + b"#" + content[place + 1 :]
    journal.write_bytes(damaged)

    done = subprocess.run(
        exchange_command("up", "--data", str(exchange.data)),
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "Redis ended as it started" in done.stderr
    assert "Bad file format" in done.stderr
    assert "Traceback" not in done.stderr
    assert journal.read_bytes() == damaged
    # What a backup, or a bit turned back, gives again is taken up as if nothing had been.
    journal.write_bytes(content)
    exchange.start()
    assert exchange.deposit("alice", "USDC", "5", reference="before")["repeated"] is True


def test_after_a_journal_is_emptied_nothing_is_acknowledged_and_it_says_why(
    exchange: RunningExchange,
) -> None:
    exchange.account("alice")
    exchange.deposit("alice", "USDC", "5")
    _eventually(lambda: exchange.status()["lag"]["database"] == 0)

    assert ask_redis(exchange.redis_url, "FLUSHALL") == "+OK"

    with pytest.raises(AdminFault):
        exchange.deposit("alice", "USDC", "5")
    ports = json.loads((exchange.data / "ports.json").read_text(encoding="utf-8"))
    _eventually(lambda: "journal in Redis" in _readiness(ports["engine"]))
    _eventually(lambda: "journal in Redis" in _readiness(ports["db-processor"]))
    with pytest.raises(AdminFault):
        exchange.deposit("alice", "USDC", "5")
    assert exchange.status()["ready"] is False


async def test_a_full_journal_sheds_orders_and_goes_on_when_there_is_room(
    exchange: RunningExchange,
) -> None:
    keys = exchange.account("alice")
    exchange.deposit("alice", "USDC", "100000")
    trader = RandomTrader(exchange.api, "alice", keys, seed=1)

    def limit(share: float) -> None:
        """Make the memory that is used that share of what may be used."""
        used = _redis_memory(exchange.redis_url)
        reply = ask_redis(exchange.redis_url, f"CONFIG SET maxmemory {int(used / share)}")
        assert reply == "+OK"

    async with aiohttp.ClientSession() as session:
        status, open_order = await _place(trader, session)
        assert status == 200
        limit(0.78)
        status, answer = await _eventually_answered(trader, session, 503)
        assert answer["code"] == -1008

        # A cancel makes room rather than taking it.
        status, canceled = await trader.call(
            session, "DELETE", "order", symbol=SYMBOL, orderId=open_order["orderId"]
        )
        assert (status, canceled["status"]) == (200, "CANCELED")

        limit(0.1)
        await _eventually_answered(trader, session, 200)
        exchange.deposit("alice", "USDC", "1")


def test_nothing_is_lost_while_the_journal_is_rewritten(exchange: RunningExchange) -> None:
    chaos = subprocess.Popen(
        [
            sys.executable, "-m", "exchange.lab", "chaos", "--data", str(exchange.data),
            "--kills", "8", "--minutes", "0.4", "--accounts", "8", "--json",
        ],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    rewrites = 0

    while chaos.poll() is None:
        rewrites += _rewrites(exchange.redis_url)
        time.sleep(0.2)

    assert chaos.stdout is not None
    report = json.loads(chaos.stdout.read())
    assert (report["violations"], chaos.returncode) == (0, 0), report
    assert rewrites > 5


async def test_of_two_backends_one_goes_on_when_the_other_is_killed(
    exchange: RunningExchange,
) -> None:
    keys = exchange.account("alice")
    exchange.deposit("alice", "USDC", "100000")
    api, admin, probe = (f"127.0.0.1:{free_port()}" for _ in range(3))
    second = subprocess.Popen(  # noqa: ASYNC220, starting takes no time
        exchange_command("run", "backend", "--data", str(exchange.data)),
        env={
            **os.environ, "SERVER_ADDR": api, "ADMIN_ADDR": admin, "METRICS_ADDR": probe,
            "MASTER_KEY_FILE": str(exchange.data / "master.key"),
        },
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _eventually(lambda: _readiness(int(probe.rpartition(":")[2])) == "serving")
        trader = RandomTrader(f"http://{api}", "alice", keys, seed=1)
        async with aiohttp.ClientSession() as session:
            first = exchange.pids()["backend"]
            assert first is not None
            os.kill(first, signal.SIGKILL)

            placed = [await _place(trader, session) for _ in range(20)]

            assert [status for status, _ in placed] == [200] * 20
            # And the one that was killed comes back knowing them.
            restarted = RandomTrader(exchange.api, "alice", keys, seed=1)
            seen = await _open_orders(restarted, session)
            assert {one["orderId"] for one in seen} == {one["orderId"] for _, one in placed}
    finally:
        second.terminate()
        second.wait(15)


async def _place(trader: RandomTrader, session: aiohttp.ClientSession) -> tuple[int, Any]:
    return await trader.call(
        session, "POST", "order", symbol=SYMBOL, side="BUY", type="LIMIT", timeInForce="GTC",
        quantity="1.000", price="50.00",
    )  # fmt: skip


async def _open_orders(trader: RandomTrader, session: aiohttp.ClientSession) -> Any:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                status, answer = await trader.call(session, "GET", "openOrders", symbol=SYMBOL)
                if status == 200:
                    return answer
            await asyncio.sleep(0.1)


async def _eventually_answered(
    trader: RandomTrader, session: aiohttp.ClientSession, wanted: int
) -> tuple[int, Any]:
    async with asyncio.timeout(30):
        while True:
            status, answer = await _place(trader, session)
            if status == wanted:
                return status, answer
            await asyncio.sleep(0.1)


def _redis_memory(url: str) -> int:
    """Bytes used by the data of Redis."""
    # The first line says how long the rest is.

    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
        connection.sendall(b"INFO memory\r\n")
        for line in connection.makefile("r"):
            if line.startswith("used_memory:"):
                return int(line.partition(":")[2])
    raise AssertionError("Redis does not say how much memory it uses")


def _rewrites(url: str) -> bool:
    """Have the journal rewritten; says whether that has begun, which it has not while Redis is dead."""
    try:
        return ask_redis(url, "BGREWRITEAOF").startswith("+Background")
    except OSError:
        return False


def _readiness(port: int) -> str:
    """What a service says of itself."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=5) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode()
    except OSError:
        return ""


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
