"""A running exchange for real clients, and accounts on it.

EXCHANGE_RUN_JSON names the run.json of one that runs already; otherwise EXCHANGE_COMMAND (default
`exchange`) starts one on free ports in a folder of its own.
"""

import itertools
import json
import os
import shlex
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import ccxt
import ccxt.pro
import pytest

BOTS = Path(os.environ.get("BOTS", Path(__file__).parents[2] / ".bots"))
"""Where `make bots` has made an environment for each bot."""
READY_S_MAX = 120.0
SYMBOL = "SOL/USDC"
_numbers = itertools.count(1)


class Account(NamedTuple):
    """Who a client is."""

    name: str
    api_key: str
    secret: str


class Exchange:
    """A running exchange as its operator sees it."""

    def __init__(self, run: dict) -> None:
        self.rest, self.ws = run["api"], run["ws"]
        self._admin, self._token = run["admin"], run["admin_token"]

    def account(self, **deposits: str) -> Account:
        """A new account that holds these amounts."""
        name = f"client-{next(_numbers)}-{uuid.uuid4().hex[:8]}"
        self._post("accounts", {"name": name})
        key = self._post(f"accounts/{name}/keys", {"kind": "hmac", "canTrade": True})
        for asset, amount in deposits.items():
            body = {"account": name, "asset": asset, "amount": amount}
            self._post("deposits", {**body, "reference": uuid.uuid4().hex})
        return Account(name, key["apiKey"], key["secretKey"])

    def _post(self, path: str, body: dict) -> dict:
        request = urllib.request.Request(
            f"{self._admin}/admin/{path}",
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    if path := os.environ.get("EXCHANGE_RUN_JSON"):
        yield Exchange(json.loads(Path(path).read_text("utf-8")))
        return
    data = tmp_path_factory.mktemp("exchange") / "data"
    process = start(data)
    try:
        yield Exchange(wait_for_run_json(data, process))
    finally:
        process.terminate()
        process.wait(20)


def start(data: Path, *options: str) -> subprocess.Popen:
    command = shlex.split(os.environ.get("EXCHANGE_COMMAND", "exchange"))
    ports = ["--api-port", str(free_port()), "--ws-port", str(free_port())]
    return subprocess.Popen([*command, "up", "--data", str(data), *ports, *options])


def wait_for_run_json(data: Path, process: subprocess.Popen) -> dict:
    end = time.monotonic() + READY_S_MAX
    while time.monotonic() < end:
        assert process.poll() is None, "`exchange up` has ended"
        if (data / "run.json").exists():
            return json.loads((data / "run.json").read_text("utf-8"))
        time.sleep(0.1)
    process.terminate()
    raise AssertionError(f"no run.json after {READY_S_MAX:.0f} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def client_config(client: str, exchange: Exchange, api_key: str, secret: str) -> str:
    """What `exchange client-config` prints, with key and secret filled in."""
    command = shlex.split(os.environ.get("EXCHANGE_COMMAND", "exchange"))
    urls = ["--url", exchange.rest, "--ws-url", exchange.ws]
    done = subprocess.run(
        [*command, "client-config", client, *urls], capture_output=True, text=True, check=True
    )
    return done.stdout.replace("YOUR_API_KEY", api_key).replace("YOUR_SECRET", secret)


def ccxt_client(rest: str, account: Account | None = None) -> ccxt.binance:
    """As the README tells everyone to make one."""
    return ccxt.binance(
        {
            "apiKey": account.api_key if account else "",
            "secret": account.secret if account else "",
            "urls": {
                "api": {
                    "public": f"{rest}/api/v3",
                    "private": f"{rest}/api/v3",
                    "v1": f"{rest}/api/v1",
                    "sapi": f"{rest}/sapi/v1",
                }
            },
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
    )


def ccxt_pro(exchange: Exchange, account: Account) -> ccxt.pro.binance:
    """For streams, and for orders over the WebSocket API."""
    api = exchange.rest.replace("http", "ws", 1) + "/ws-api/v3"
    return ccxt.pro.binance(
        {
            "apiKey": account.api_key,
            "secret": account.secret,
            "urls": {
                "api": {
                    "public": f"{exchange.rest}/api/v3",
                    "private": f"{exchange.rest}/api/v3",
                    "v1": f"{exchange.rest}/api/v1",
                    "sapi": f"{exchange.rest}/sapi/v1",
                    "ws": {"spot": f"{exchange.ws}/ws", "ws-api": {"spot": api}},
                }
            },
            "options": {
                "fetchMarkets": {"types": ["spot"]},
                "fetchMargins": False,
                "fetchCurrencies": False,
            },
        }
    )


@pytest.fixture
def open_client(exchange: Exchange) -> Iterator[Callable[..., ccxt.binance]]:
    """Makes a ccxt client of a new account that holds what it is told; its orders go afterwards."""
    clients = []

    def make(**deposits: str) -> ccxt.binance:
        client = ccxt_client(exchange.rest, exchange.account(**deposits))
        client.load_markets()
        clients.append(client)
        return client

    yield make
    for client in clients:
        for order in client.fetch_open_orders(SYMBOL):
            client.cancel_order(order["id"], SYMBOL)


@pytest.fixture
def alice(open_client: Callable[..., ccxt.binance]) -> ccxt.binance:
    """She has ten SOL to sell."""
    return open_client(SOL="10")


@pytest.fixture
def bob(open_client: Callable[..., ccxt.binance]) -> ccxt.binance:
    """He has a thousand USDC to buy with."""
    return open_client(USDC="1000")
