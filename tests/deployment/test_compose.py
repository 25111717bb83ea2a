"""The containers of docker-compose.yml: traded on, killed one by one, taken down and up again.

It needs a Docker engine and the images, so it is no part of `make test`: `make images compose-test`.
"""

import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from backend.page import Browser
from websockets.sync.client import connect

from exchange.services.embedded import free_port

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("EXCHANGE_TEST_COMPOSE"),
        reason="needs a Docker engine and the images: make images compose-test",
    ),
    pytest.mark.timeout(900),
]

ROOT = Path(__file__).resolve().parents[2]
CLIENTS_PYTHON = ROOT / ".clients/bin/python"
"""Where `make clients` has installed ccxt, which pins versions that ours must not follow."""
BACKUP = "exchange backup /tmp/x.backup > /dev/null && cat /tmp/x.backup && rm /tmp/x.backup"
RESTORE = "cat > /tmp/x.backup && exchange restore /tmp/x.backup && rm /tmp/x.backup"
BACK_S_MAX = 120.0
RUNNING = ("postgres", "redis", "db-processor", "engine", "backend", "websocket")


class Stack:
    """A compose project of its own, on free ports."""

    def __init__(self) -> None:
        self._ports = {"API_PORT": str(free_port()), "WS_PORT": str(free_port())}
        self._project = f"exchange-test-{uuid.uuid4().hex[:8]}"

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self._ports['API_PORT']}"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self._ports['WS_PORT']}"

    def compose(self, *arguments: str, input: bytes = b"") -> str:
        return self.compose_bytes(*arguments, input=input).decode()

    def compose_bytes(self, *arguments: str, input: bytes = b"") -> bytes:
        done = subprocess.run(
            ["docker", "compose", "--project-name", self._project, *arguments],
            cwd=ROOT,
            env={**os.environ, **self._ports},
            input=input,
            capture_output=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-8000:].decode()
        return done.stdout

    def lose_volume(self, name: str) -> None:
        subprocess.run(["docker", "volume", "rm", f"{self._project}_{name}"], check=True)

    def get(self, path: str) -> Any:
        """What anybody is told."""
        with urllib.request.urlopen(f"{self.api}{path}", timeout=15) as answer:
            return json.load(answer)

    def exchange(self, container: str, *arguments: str) -> Any:
        """What the command line says in there."""
        return json.loads(self.compose("exec", "-T", container, "exchange", *arguments, "--json"))

    def state(self, service: str) -> dict[str, Any]:
        container = self.compose("ps", "--all", "--quiet", service).strip()
        inspected = subprocess.run(
            ["docker", "inspect", "--format", "{{json .State}}", container],
            capture_output=True,
            text=True,
            check=True,
        )
        found: dict[str, Any] = json.loads(inspected.stdout)
        return found

    def kill(self, service: str) -> int:
        """As a fault would, so that the engine starts it again by itself; the pid that is gone."""
        pid: int = self.state(service)["Pid"]
        os.kill(pid, signal.SIGKILL)
        return pid

    def await_health(self, service: str, killed: int) -> None:
        deadline = time.monotonic() + BACK_S_MAX
        while True:
            state = self.state(service)
            if state["Pid"] not in (0, killed) and state["Health"]["Status"] == "healthy":
                return
            assert time.monotonic() < deadline, (service, state)
            time.sleep(0.5)


class Trader:
    """A client with a key, and the memory of all that was acknowledged."""

    def __init__(self, stack: Stack, name: str) -> None:
        self._stack = stack
        self.keys = stack.exchange("backend", "account", "create", name)
        for asset, amount in (("USDC", "100000"), ("SOL", "1000")):
            stack.exchange("backend", "deposit", name, asset, amount)
        self.acknowledged: dict[int, dict[str, Any]] = {}

    def call(self, method: str, path: str, **parameters: Any) -> Any:
        text = urlencode({**parameters, "timestamp": int(time.time() * 1000), "recvWindow": 60000})
        key, secret = self.keys["apiKey"], self.keys["secretKey"]
        signature = hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        request = urllib.request.Request(
            f"{self._stack.api}{path}?{text}&signature={signature}",
            method=method,
            headers={"X-MBX-APIKEY": key},
        )
        with urllib.request.urlopen(request, timeout=15) as answer:
            return json.load(answer)

    def order(self, side: str, quantity: str, price: str) -> dict[str, Any]:
        """Until one is acknowledged, whatever happens to those before."""
        deadline = time.monotonic() + BACK_S_MAX
        while True:
            try:
                placed: dict[str, Any] = self.call(
                    "POST", "/api/v3/order", symbol="SOLUSDC", side=side, type="LIMIT",
                    timeInForce="GTC", quantity=quantity, price=price,
                )  # fmt: skip
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
            else:
                self.acknowledged[placed["orderId"]] = placed
                return placed

    def stored(self) -> dict[int, dict[str, Any]]:
        deadline = time.monotonic() + BACK_S_MAX
        while True:
            with contextlib.suppress(OSError):
                orders = self.call("GET", "/api/v3/allOrders", symbol="SOLUSDC", limit=1000)
                return {order["orderId"]: order for order in orders}
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    made = Stack()
    try:
        made.compose("up", "--wait", "--detach")
        yield made
    finally:
        made.compose("--env-file", "demo.env", "down", "--volumes", "--timeout", "15")


@pytest.fixture(scope="module")
def alice(stack: Stack) -> Trader:
    return Trader(stack, "alice")


@pytest.fixture(scope="module")
def bob(stack: Stack) -> Trader:
    return Trader(stack, "bob")


def test_one_command_brings_everything_up_healthy(stack: Stack) -> None:
    assert {stack.state(service)["Health"]["Status"] for service in RUNNING} == {"healthy"}
    assert {stack.state(service)["ExitCode"] for service in ("init", "migrate")} == {0}


def test_a_client_trades(stack: Stack, alice: Trader, bob: Trader) -> None:
    with connect(f"{stack.ws}/ws/solusdc@trade") as stream:
        alice.order("SELL", "1", "100")
        bought = bob.order("BUY", "1", "100")

        assert bought["status"] == "FILLED"
        assert json.loads(stream.recv(timeout=10))["p"] == "100.00000000"


def test_ccxt_trades_as_the_command_line_tells_it(
    stack: Stack, alice: Trader, tmp_path: Path
) -> None:
    ccxt = Trader(stack, "ccxt")
    told = stack.compose(
        "exec", "-T", "backend",
        "exchange", "client-config", "ccxt", "--url", stack.api, "--ws-url", stack.ws,
    )  # fmt: skip
    config = tmp_path / "config.py"
    told = told.replace("YOUR_API_KEY", ccxt.keys["apiKey"])
    config.write_text(told.replace("YOUR_SECRET", ccxt.keys["secretKey"]), "utf-8")
    alice.order("SELL", "1", "100")

    done = subprocess.run(
        [CLIENTS_PYTHON, ROOT / "tests/clients/trade_once.py", config],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "bought": "closed", "trades": [100.0], "locked": 50.0, "canceled": "canceled",
    }  # fmt: skip


@pytest.mark.parametrize("service", RUNNING)
def test_a_killed_container_comes_back_and_nothing_is_lost(
    stack: Stack, alice: Trader, bob: Trader, service: str
) -> None:
    alice.order("SELL", "0.5", "101")
    killed = stack.kill(service)

    bob.order("BUY", "0.1", "101")
    alice.order("SELL", "0.2", "150")

    stack.await_health(service, killed)
    assert alice.acknowledged.keys() <= alice.stored().keys()
    assert bob.acknowledged.keys() <= bob.stored().keys()
    with connect(f"{stack.ws}/ws/solusdc@trade") as stream:
        bob.order("BUY", "0.1", "101")
        assert json.loads(stream.recv(timeout=10))["s"] == "SOLUSDC"


def test_down_and_up_again_keeps_everything(stack: Stack, alice: Trader, bob: Trader) -> None:
    before = alice.stored()

    stack.compose("down", "--timeout", "15")
    stack.compose("up", "--wait", "--detach")

    assert alice.stored() == before
    assert bob.acknowledged.keys() <= bob.stored().keys()
    assert alice.order("SELL", "0.3", "160")["status"] == "NEW"


def test_what_is_kept_adds_up(stack: Stack, alice: Trader) -> None:
    alice.order("SELL", "0.1", "170")

    verified = stack.exchange("engine", "verify")

    assert verified["ok"] is True


def test_a_backup_becomes_an_exchange_again_where_both_disks_are_lost(
    stack: Stack, alice: Trader
) -> None:
    before = alice.stored()
    backup = stack.compose_bytes("exec", "-T", "db-processor", "sh", "-c", BACKUP)

    # As docs/operations.md says it.
    stack.compose("down", "--timeout", "15")
    stack.lose_volume("postgres-data")
    stack.lose_volume("redis-data")
    stack.compose("up", "--wait", "--detach", "postgres", "redis")
    stack.compose("up", "--detach", "--no-deps", "engine")
    stack.compose("exec", "-T", "engine", "sh", "-c", RESTORE, input=backup)
    stack.compose("up", "--wait", "--detach")

    assert alice.stored() == before
    placed = alice.order("SELL", "0.1", "180")
    assert placed["orderId"] > max(before) + 2**40
    assert stack.exchange("engine", "verify")["ok"] is True


def test_strangers_may_come_in_to_the_demonstration_only(stack: Stack, alice: Trader) -> None:
    stranger = {"name": "stranger", "password": "correct horse"}
    assert Browser(stack.api).post("/ui/register", stranger).status == 403

    stack.compose("--env-file", "demo.env", "up", "--wait", "--detach")

    visitor = Browser(stack.api)
    assert visitor.post("/ui/register", stranger).status == 201
    # The simulated traders found the market where it was left, and what was kept is still there.
    before = stack.get("/api/v3/ticker/24hr?symbol=SOLUSDC")["lastId"]
    deadline = time.monotonic() + BACK_S_MAX
    while stack.get("/api/v3/ticker/24hr?symbol=SOLUSDC")["lastId"] == before:
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert alice.acknowledged.keys() <= alice.stored().keys()
