"""`exchange up`: what it writes, what it restarts, how it ends, and that nothing is gone."""

import json
import os
import signal
import stat
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from backend.api_client import Trader
from running_exchange import RunningExchange, exchange_command
from servers import KillableServer, ask_redis

from exchange.services.admin import AdminFault
from exchange.services.children import is_running
from exchange.services.embedded import free_port
from exchange.services.run_file import run_path

PARTS = ("backend", "websocket", "engine", "db-processor", "redis", "postgres")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    """An exchange whose processes these tests may kill."""
    exchange = RunningExchange(tmp_path_factory.mktemp("up") / "data")
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


@pytest.fixture(scope="module")
def bad_input_account(exchange_up: RunningExchange) -> None:
    exchange_up.account("bad-input")


async def test_run_json_says_where_everything_is(exchange_up: RunningExchange) -> None:
    path = run_path(exchange_up.data)
    found = json.loads(path.read_bytes())

    assert list(found) == [
        "api", "ws", "admin", "admin_token", "redis_url", "database_url", "pids",
    ]  # fmt: skip
    assert found["api"] == f"http://127.0.0.1:{exchange_up.api_port}"
    assert found["ws"] == f"ws://127.0.0.1:{exchange_up.ws_port}"
    assert sorted(found["pids"]) == sorted(PARTS)
    assert all(is_running(pid) for pid in found["pids"].values())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert ask_redis(found["redis_url"], "PING") == "+PONG"
    connection = await asyncpg.connect(found["database_url"])
    assert await connection.fetchval("SELECT count(*) FROM orders") >= 0
    await connection.close()


def test_secrets_are_for_their_owner_only(exchange_up: RunningExchange) -> None:
    for name in ("master.key", "admin.token", "run.json", "pids.json"):
        assert stat.S_IMODE((exchange_up.data / name).stat().st_mode) == 0o600
    assert stat.S_IMODE(exchange_up.data.stat().st_mode) == 0o700
    assert len(bytes.fromhex((exchange_up.data / "master.key").read_text(encoding="ascii"))) == 32


def test_the_public_api_answers_and_the_page_is_named(exchange_up: RunningExchange) -> None:
    assert _get(f"{exchange_up.api}/api/v3/ping") == b"{}"
    assert f"page      {exchange_up.api}\n" in exchange_up.output
    assert "exchange account create" in exchange_up.output
    assert "curl " in exchange_up.output
    assert str(exchange_up.data / "logs") in exchange_up.output


def test_a_second_one_on_the_same_folder_says_who_holds_it(exchange_up: RunningExchange) -> None:
    done = subprocess.run(
        exchange_command("up", "--data", str(exchange_up.data)),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert exchange_up.launcher is not None
    assert f"held by another `exchange up`, process {exchange_up.launcher.pid}" in done.stderr
    assert "Traceback" not in done.stderr
    assert _get(f"{exchange_up.api}/api/v3/ping") == b"{}"


def test_the_command_line_speaks_json(exchange_up: RunningExchange) -> None:
    keys = exchange_up.command("account", "create", "command-line")
    assert sorted(keys) == ["accountId", "apiKey", "secretKey"]

    first = exchange_up.command("deposit", "command-line", "USDC", "10.5", "--reference", "one")
    again = exchange_up.command("deposit", "command-line", "USDC", "10.5", "--reference", "one")
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert first["accountId"] == keys["accountId"]
    left = exchange_up.command("withdraw", "command-line", "USDC", "0.5")
    assert left["reference"]

    pair = exchange_up.command("key", "create", "command-line", "--type", "ed25519")
    assert pair["secretKey"].startswith("-----BEGIN PRIVATE KEY-----")
    assert pair["accountId"] == keys["accountId"]
    assert exchange_up.command("key", "revoke", pair["apiKey"]) == {"revoked": pair["apiKey"]}

    exchange_up.command("asset", "add", "DOGE", "--decimals", "8")
    exchange_up.command(
        "market", "add", "DOGEUSDT", "--base", "DOGE", "--quote", "USDT",
        "--tick", "0.0001", "--lot", "1",
    )  # fmt: skip
    for word, mode in (("halt", "HALTED"), ("cancel-only", "CANCEL_ONLY"), ("resume", "RUNNING")):
        assert exchange_up.command("market", word, "DOGEUSDT")["mode"] == mode
        modes = {one["symbol"]: one["mode"] for one in exchange_up.command("status")["markets"]}
        assert modes["DOGEUSDT"] == mode


@pytest.mark.parametrize(
    "arguments",
    [
        ["account", "create", "not a name"],
        ["account", "create", "x" * 33],
        ["account", "create", "../../status"],
        ["key", "create", "nobody-has-this-name"],
        ["deposit", "nobody-has-this-name", "USDC", "1"],
        ["deposit", "bad-input", "NOPE", "1"],
        ["deposit", "bad-input", "USDC", "NaN"],
        ["deposit", "bad-input", "USDC", "1e5"],
        ["deposit", "bad-input", "USDC", "\u0661"],
        ["deposit", "bad-input", "USDC", "0"],
        ["deposit", "bad-input", "USDC", "0.000000001"],
        ["deposit", "bad-input", "USDC", "1" * 100],
        ["withdraw", "bad-input", "USDC", "1"],
        ["key", "revoke", "no-such-key"],
        ["market", "halt", "NOPE"],
        [
            "market",
            "add",
            "SOLUSDC",
            "--base",
            "SOL",
            "--quote",
            "USDC",
            "--tick",
            "1",
            "--lot",
            "1",
        ],
        ["market", "add", "X", "--base", "SOL", "--quote", "SOL", "--tick", "1", "--lot", "1"],
        ["market", "add", "Y", "--base", "SOL", "--quote", "ETH", "--tick", "x", "--lot", "1"],
        ["asset", "add", "USDC"],
    ],
)
def test_bad_input_is_one_sentence_and_changes_nothing(
    exchange_up: RunningExchange, bad_input_account: None, arguments: list[str]
) -> None:
    before = exchange_up.status()

    done = subprocess.run(
        exchange_command(*arguments, "--data", str(exchange_up.data), "--json"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1, (done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert len(done.stderr) > 10
    after = exchange_up.status()
    assert (after["accounts"], after["markets"]) == (before["accounts"], before["markets"])


@pytest.mark.parametrize("part", PARTS)
def test_what_is_killed_comes_back(own: RunningExchange, part: str) -> None:
    former = own.pids()
    killed = former[part]
    assert killed is not None
    name = f"before-{part}"
    own.account(name)

    os.kill(killed, signal.SIGKILL)

    _eventually(lambda: own.pids()[part] not in (None, killed), 5)
    others = {other: pid for other, pid in own.pids().items() if other != part}
    assert others == {other: pid for other, pid in former.items() if other != part}
    _eventually(lambda: _is_trading(own, name), 20)
    assert is_running(own.pids()[part] or 0)


def test_stopping_is_quick_and_starting_again_shows_everything(own: RunningExchange) -> None:
    own.account("kept")
    own.deposit("kept", "USDC", "12.5", reference="kept-once")
    _eventually(lambda: own.status()["lag"]["database"] == 0, 10)
    before, ports = own.status(), (own.admin, own.redis_url, own.database_url)
    pids = [pid for pid in own.pids().values() if pid]
    began = time.monotonic()

    assert own.stop() == 0

    assert time.monotonic() - began < 10
    assert not run_path(own.data).exists()
    assert not any(is_running(pid) for pid in pids)

    own.start()

    after = own.status()
    assert (own.admin, own.redis_url, own.database_url) == ports
    assert (after["accounts"], after["markets"]) == (before["accounts"], before["markets"])
    assert own.deposit("kept", "USDC", "12.5", reference="kept-once")["repeated"] is True


def test_after_a_killed_launcher_nothing_lingers_and_all_is_kept(own: RunningExchange) -> None:
    own.account("kept-too")
    assert own.launcher is not None
    former = own.pids()
    frozen = former.pop("websocket")
    assert frozen is not None
    # This one cannot heed the wish to end that comes with its launcher's death.
    os.kill(frozen, signal.SIGSTOP)

    own.launcher.kill()
    own.launcher.wait()

    _eventually(lambda: not any(is_running(pid) for pid in former.values() if pid), 15)
    assert is_running(frozen)
    own.start()
    assert not is_running(frozen)
    assert f"Ending websocket (process {frozen})" in own.output
    assert own.status()["ready"] is True
    own.deposit("kept-too", "USDC", "1")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder", encoding="ascii")

    done = subprocess.run(
        exchange_command(
            "up", "--data", str(tmp_path),
            "--api-port", str(free_port()), "--ws-port", str(free_port()),
        ),
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert f"{tmp_path}/logs cannot be used" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_service_started_by_hand_joins_and_heeds_signals(exchange_up: RunningExchange) -> None:
    port = free_port()
    with subprocess.Popen(
        exchange_command("run", "engine", "--data", str(exchange_up.data)),
        env={**os.environ, "METRICS_ADDR": f"127.0.0.1:{port}"},
        stderr=subprocess.DEVNULL,
    ) as engine:
        _eventually(lambda: _answers(f"http://127.0.0.1:{port}/ready"), 20)
        engine.terminate()

        assert engine.wait(10) == 0
    assert exchange_up.status()["ready"] is True


def test_ctrl_c_and_a_closed_terminal_stop_it_cleanly(own: RunningExchange) -> None:
    for number in (signal.SIGINT, signal.SIGHUP):
        assert own.launcher is not None
        own.launcher.send_signal(number)

        assert own.launcher.wait(10) == 0
        assert not run_path(own.data).exists()
        own.start()


def test_the_master_key_is_replaced_while_all_goes_on(own: RunningExchange) -> None:
    keys = own.account("sealed")
    trader = Trader(own.api, keys.apiKey, keys.secretKey)
    path = own.data / "master.key"
    former = path.read_text("utf-8").split()

    answer = own.command("admin", "rotate-master-key")

    newest, *others = path.read_text("utf-8").split()
    assert others == former
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert answer["keys"] >= 1
    assert str(answer["masterKey"]) == newest.partition(":")[0]
    assert trader.call("GET", "account").status == 200

    # Nothing is sealed under the old one any more: it can go.
    path.write_text(newest + "\n", "utf-8")
    killed = own.pids()["backend"]
    os.kill(killed or 0, signal.SIGKILL)
    _eventually(lambda: own.pids()["backend"] not in (None, killed), 5)
    _eventually(lambda: _answers(f"{own.api}/api/v3/ping"), 20)
    _eventually(lambda: trader.call("GET", "account").status == 200, 20)
    later = own.account("sealed-later")
    assert Trader(own.api, later.apiKey, later.secretKey).call("GET", "account").status == 200


def test_servers_of_somebody_else_are_used_and_left_alone(
    tmp_path: Path, own_redis: KillableServer, own_postgres: KillableServer
) -> None:
    exchange = RunningExchange(
        tmp_path / "data", "--redis", own_redis.url, "--postgres", own_postgres.url
    )
    try:
        exchange.start()

        # Ready means trading, and that a new exchange has its markets.
        status = exchange.status()
        assert status["ready"] is True
        assert {market["symbol"] for market in status["markets"]} == {
            "BTCUSDT", "ETHUSDT", "SOLUSDC",
        }  # fmt: skip
        assert (exchange.redis_url, exchange.database_url) == (own_redis.url, own_postgres.url)
        assert (exchange.pids()["redis"], exchange.pids()["postgres"]) == (None, None)
        exchange.account("alice")
    finally:
        assert exchange.stop() == 0
    assert ask_redis(own_redis.url, "PING") == "+PONG"
    assert not (exchange.data / "postgres").exists()


def _is_trading(exchange: RunningExchange, account: str) -> bool:
    """Whether money arrives and can be seen to have: every process has its part in that."""
    try:
        exchange.deposit(account, "USDC", "1")
        status = exchange.status()
    except AdminFault:
        return False
    return bool(status["ready"]) and status["lag"] == {"engine": 0, "database": 0}


def _eventually(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        _get(url)
    except OSError:
        return False
    return True


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        content: bytes = answer.read()
        return content
