"""verify, recover, backup and restore as an operator uses them, on whole exchanges."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from running_exchange import Keys, RunningExchange, exchange_command
from servers import execute_sql
from system.traders import RandomTrader

from exchange.services.children import is_running
from exchange.services.messages import LEAP


def exchange(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        exchange_command(*arguments),
        input=typed,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def verified(data: Path) -> dict[str, Any]:
    """What `exchange verify` says, if it doubts nothing."""
    done = exchange("verify", "--data", str(data), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


async def trade(exchange: RunningExchange, name: str, keys: Keys, seconds: float) -> list[int]:
    """Trade by chance; the order ids that somebody was told."""
    trader = RandomTrader(exchange.api, name, keys, seed=7)
    stop = asyncio.Event()
    async with aiohttp.ClientSession() as session:
        trading = asyncio.create_task(trader.trade(session, stop))
        await asyncio.sleep(seconds)
        stop.set()
        await trading
    return [int(order["orderId"]) for order in trader.memory.placed.values()]


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[RunningExchange, RunningExchange]]:
    """Two exchanges that were not started yet; both end with the test."""
    both = RunningExchange(tmp_path / "one"), RunningExchange(tmp_path / "two")
    yield both
    for one in both:
        if one.launcher is not None and one.launcher.poll() is None:
            one.stop()


async def test_a_backup_becomes_an_exchange_that_goes_on(
    folders: tuple[RunningExchange, RunningExchange], tmp_path: Path
) -> None:
    old, new = folders
    file = tmp_path / "backups" / "monday"
    old.start()
    keys = old.account("alice")
    old.deposit("alice", "SOL", "1000")
    old.deposit("alice", "USDC", "100000", reference="invoice-1")
    await trade(old, "alice", keys, 2)
    live = verified(old.data)

    backed_up = exchange("backup", str(file), "--data", str(old.data), "--json")
    seen = await trade(old, "alice", keys, 2)
    old.stop()
    stopped = verified(old.data)
    restored = exchange("restore", str(file), "--data", str(new.data))

    assert backed_up.returncode == 0, backed_up.stderr
    assert restored.returncode == 0, restored.stdout + restored.stderr
    position = json.loads(backed_up.stdout)["position"]
    assert 0 < live["database"] <= position < stopped["database"]
    assert f"everything up to number {position}." in restored.stdout
    assert file.stat().st_mode & 0o077 == 0
    assert verified(new.data)["database"] == position
    new.start()
    # The same key signs, the same deposit is not credited again, and no id is used again.
    assert new.deposit("alice", "USDC", "100000", reference="invoice-1")["repeated"]
    ids = await trade(new, "alice", keys, 2)
    assert min(ids) > max(max(seen), LEAP)
    assert verified(new.data)["journal"] > position + LEAP


def test_a_backup_is_restored_into_nothing_that_is_there(
    folders: tuple[RunningExchange, RunningExchange], tmp_path: Path
) -> None:
    old, new = folders
    old.start()
    old.stop()
    file = tmp_path / "backup"
    assert exchange("backup", str(file), "--data", str(old.data)).returncode == 0

    over = exchange("restore", str(file), "--data", str(old.data))
    twice = exchange("backup", str(file), "--data", str(old.data))
    cut = tmp_path / "cut"
    cut.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    damaged = tmp_path / "damaged"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    for done, sentence in (
        (over, "holds an exchange already"),
        (twice, "is there already"),
        (exchange("restore", str(cut), "--data", str(new.data)), "was cut off"),
        (exchange("restore", str(damaged), "--data", str(new.data)), "is damaged"),
        (exchange("restore", str(tmp_path / "none"), "--data", str(new.data)), "no file"),
    ):
        assert done.returncode == 1, done.stdout
        assert sentence in done.stderr
        assert "Traceback" not in done.stderr
    # What failed left nothing, so that the right file can follow.
    assert exchange("restore", str(file), "--data", str(new.data)).returncode == 0


def test_a_backup_without_its_key_is_restored_with_the_key(
    folders: tuple[RunningExchange, RunningExchange], tmp_path: Path
) -> None:
    old, new = folders
    old.start()
    old.account("alice")
    file = tmp_path / "backup"
    data = ("--data", str(new.data))
    made = exchange("backup", str(file), "--without-key", "--data", str(old.data))
    old.stop()
    assert "keep that" in made.stdout
    wrong = tmp_path / "wrong.key"
    wrong.write_text("0" * 64)

    without = exchange("restore", str(file), *data)
    with_wrong = exchange("restore", str(file), "--master-key", str(wrong), *data)
    key = old.data / "master.key"
    right = exchange("restore", str(file), "--master-key", str(key), *data)

    assert "--master-key" in without.stderr
    assert "is not the master key" in with_wrong.stderr
    assert right.returncode == 0, right.stderr
    assert (new.data / "master.key").read_text() == key.read_text()
    assert (new.data / "master.key").stat().st_mode & 0o077 == 0


def test_a_database_that_is_gone_catches_up_from_the_journal_that_is_left(
    folders: tuple[RunningExchange, RunningExchange], tmp_path: Path
) -> None:
    exchange_up, _ = folders
    exchange_up.start()
    file = tmp_path / "backup"
    assert exchange("backup", str(file), "--data", str(exchange_up.data)).returncode == 0
    exchange_up.account("after-the-backup")
    exchange_up.stop()
    shutil.rmtree(exchange_up.data / "postgres")

    restored = exchange("restore", str(file), "--data", str(exchange_up.data))
    exchange_up.start()

    assert restored.returncode == 0, restored.stderr
    assert "does by itself" in restored.stdout
    exchange_up.deposit("after-the-backup", "USDC", "5")
    assert verified(exchange_up.data)["journal"] < LEAP


def test_without_its_journal_it_waits_for_the_operator(
    folders: tuple[RunningExchange, RunningExchange],
) -> None:
    up, _ = folders
    up.start()
    up.account("alice")
    up.stop()
    shutil.rmtree(up.data / "redis")
    waiting = subprocess.Popen(
        exchange_command("up", "--data", str(up.data), "--api-port", str(up.api_port)),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stderr is not None
    said = next(line for line in waiting.stderr if "exchange recover --journal-lost" in line)
    held = exchange("recover", "--journal-lost", "--yes", "--data", str(up.data))
    waiting.send_signal(signal.SIGTERM)
    waiting.communicate(timeout=30)

    looked = exchange("recover", "--data", str(up.data))
    recovered = exchange("recover", "--journal-lost", "--data", str(up.data), typed="y\n")

    assert "The journal in Redis is empty" in said
    assert "stop it first" in held.stderr
    assert looked.returncode == 1
    assert recovered.returncode == 0, recovered.stderr
    up.start()
    up.deposit("alice", "USDC", "5")
    assert verified(up.data)["journal"] > LEAP


def test_verify_finds_what_somebody_changed_and_leaves_nothing_running(
    folders: tuple[RunningExchange, RunningExchange],
) -> None:
    up, _ = folders
    up.start()
    up.account("alice")
    up.deposit("alice", "USDC", "5")
    while up.status()["lag"]["database"]:
        time.sleep(0.05)
    execute_sql(up.database_url, "UPDATE balances SET free = free + 1")
    live = exchange("verify", "--data", str(up.data))
    pids = [pid for pid in up.pids().values() if pid is not None]
    assert up.launcher is not None
    # Killed with all that belongs to it: run.json stays behind, and speaks of nothing any more.
    up.launcher.kill()
    up.launcher.wait()
    for pid in pids:
        if is_running(pid):
            os.kill(pid, signal.SIGKILL)

    stopped = exchange("verify", "--data", str(up.data))

    for done in (live, stopped):
        assert done.returncode == 1, done.stderr
        assert "DOUBT  Money is conserved" in done.stdout
        assert "USDC: accounts hold 1 units more than came in" in done.stdout
    for name, recorded in (("postgres", "postmaster.pid"), ("redis", "redis.pid")):
        assert not (up.data / name / recorded).exists()


def test_a_folder_without_an_exchange_is_named(tmp_path: Path) -> None:
    for command in (("verify",), ("recover",), ("backup", str(tmp_path / "file"))):
        done = exchange(*command, "--data", str(tmp_path / "none"))

        assert done.returncode == 1
        assert f"There is no exchange in {tmp_path / 'none'}" in done.stderr
    assert not (tmp_path / "none").exists()
