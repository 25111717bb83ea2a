"""Several websocket servers, and several backends, on one port: each serves, and dies alone."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from backend.api_client import Trader
from running_exchange import RunningExchange, samples
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from exchange.services.embedded import free_port

SYMBOL = "ETHUSDT"
CONNECTIONS_MAX = 200
"""That all of so many meet the same of two processes does not happen."""
READY_S_MAX = 60.0


class Sibling:
    """One more process of a service, beside those of `exchange up`."""

    def __init__(
        self, exchange: RunningExchange, service: str, log: Path, **variables: str
    ) -> None:
        self._log, self._port = log, free_port()
        own = {
            "DATABASE_URL": exchange.database_url,
            "REDIS_URL": exchange.redis_url,
            "METRICS_ADDR": f"127.0.0.1:{self._port}",
        }
        with log.open("w", encoding="utf-8") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"exchange.{service}"],
                env={**os.environ, **own, **variables},
                stderr=output,
            )

    def await_ready(self) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while not self._is_ready():
            assert self._process.poll() is None, self._log.read_text("utf-8")
            assert time.monotonic() < deadline, self._log.read_text("utf-8")
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            return self.sample("exchange_ready") == 1
        except OSError:
            return False

    def sample(self, wanted: str) -> float:
        """The sum of a metric, over all its labels."""
        return sum(value for name, _, value in samples(self._port) if name == wanted)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@contextmanager
def two(
    exchange: RunningExchange, service: str, folder: Path, **variables: str
) -> Iterator[list[Sibling]]:
    """Of a service, ready."""
    logs = [folder / f"{service}-{number}.log" for number in range(2)]
    started = [Sibling(exchange, service, log, **variables) for log in logs]
    try:
        for one in started:
            one.await_ready()
        yield started
    finally:
        for one in started:
            one.kill()


@pytest.fixture(scope="module")
def maker(exchange_up: RunningExchange) -> Trader:
    """Who may buy from himself, at a price that nobody else asks for."""
    keys = exchange_up.account("several")
    exchange_up.deposit("several", "ETH", "100")
    exchange_up.deposit("several", "USDT", "1000000")
    return Trader(exchange_up.api, keys.apiKey, keys.secretKey)


def order(side: str, **more: str) -> dict[str, str]:
    return {
        "symbol": SYMBOL, "side": side, "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1",
        "price": "2000", "selfTradePreventionMode": "NONE", **more,
    }  # fmt: skip


def trade(maker: Trader) -> int:
    """Its id."""
    assert maker.call("POST", "order", **order("SELL")).status == 200
    bought = maker.call("POST", "order", **order("BUY")).body
    trade_id: int = bought["fills"][0]["tradeId"]
    return trade_id


# --- Streams --------------------------------------------------------------------------------------


@pytest.fixture
def servers(exchange_up: RunningExchange, tmp_path: Path) -> Iterator[tuple[str, list[Sibling]]]:
    """Two websocket servers, and the address that they share."""
    address = f"127.0.0.1:{free_port()}"
    variables = {"WS_STREAM_URL": address, "WS_SHARE_PORT": "1"}
    with two(exchange_up, "websocket", tmp_path, **variables) as started:
        yield f"ws://{address}", started


def heard(client: ClientConnection) -> tuple[int, list[dict[str, Any]]]:
    """The next trade, and the changes of the book and the account's own fills up to it."""
    fills: list[dict[str, Any]] = []
    trade_id = 0
    # The same trade is told by three streams, in any order: both sides of it are his.
    while not trade_id or len(fills) < 2:
        message = json.loads(client.recv(timeout=30))
        event = message["data"]
        if event["e"] == "trade":
            trade_id = event["t"]
        elif event["e"] == "executionReport" and event["x"] == "TRADE":
            fills.append(event)
    return trade_id, fills


def test_every_server_of_a_port_tells_all_and_dies_alone(
    servers: tuple[str, list[Sibling]], maker: Trader
) -> None:
    url, siblings = servers
    key = maker.raw("POST", "/api/v3/userDataStream", x_mbx_apikey=maker.api_key).body["listenKey"]
    streams = f"{url}/stream?streams={SYMBOL.lower()}@trade/{key}"
    with ExitStack() as stack:
        clients: list[ClientConnection] = []
        while any(one.sample("exchange_websocket_sockets") < 2 for one in siblings):
            assert len(clients) < CONNECTIONS_MAX
            clients.append(stack.enter_context(connect(streams)))
        counts = [one.sample("exchange_websocket_sockets") for one in siblings]
        assert sum(counts) == len(clients)

        first = trade(maker)
        for client in clients:
            told, fills = heard(client)
            assert (told, [fill["t"] for fill in fills]) == (first, [first, first])

        siblings[0].kill()
        second = trade(maker)
        survivors = []
        for client in clients:
            try:
                told, fills = heard(client)
            except ConnectionClosed:
                continue
            assert (told, [fill["t"] for fill in fills]) == (second, [second, second])
            survivors.append(client)
        assert len(survivors) == counts[1]

        late = stack.enter_context(connect(streams))
        third = trade(maker)
        assert heard(late)[0] == third


# --- Requests -------------------------------------------------------------------------------------


class Line:
    """One connection, which stays with the process that took it."""

    def __init__(self, address: str, maker: Trader) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=30)
        self._maker = maker

    def send(self, method: str, target: str) -> Any:
        self._connection.request(method, target, headers={"X-MBX-APIKEY": self._maker.api_key})
        with self._connection.getresponse() as answer:
            body = json.loads(answer.read())
            assert answer.status == 200, body
        return body

    def signed(self, path: str, **parameters: str) -> str:
        """The target of a request that can be sent again as it is."""
        text = urlencode(
            {**parameters, "timestamp": time.time_ns() // 1_000_000, "recvWindow": 60_000}
        )
        return f"/api/v3/{path}?{text}&signature={self._maker.sign(text)}"

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def backends(exchange_up: RunningExchange, tmp_path: Path) -> Iterator[tuple[str, list[Sibling]]]:
    """Two backends without an admin port, and the address that they share."""
    address = f"127.0.0.1:{free_port()}"
    variables = {
        "SERVER_ADDR": address, "SERVER_SHARE_PORT": "1", "ADMIN_TOKEN": "",
        "MASTER_KEY_FILE": str(exchange_up.data / "master.key"),
    }  # fmt: skip
    with two(exchange_up, "backend", tmp_path, **variables) as started:
        yield f"http://{address}", started


def line_to(sibling: Sibling, address: str, maker: Trader) -> Line:
    """A connection that this one of them has taken."""
    for _ in range(CONNECTIONS_MAX):
        line, before = Line(address, maker), sibling.sample("exchange_backend_requests_total")
        line.send("GET", "/api/v3/ping")
        if sibling.sample("exchange_backend_requests_total") > before:
            return line
        line.close()
    raise AssertionError("it takes no connections")


def test_every_backend_of_a_port_serves_all_and_dies_alone(
    backends: tuple[str, list[Sibling]], maker: Trader
) -> None:
    address, siblings = backends
    one, other = (line_to(sibling, address, maker) for sibling in siblings)

    placing = one.signed("order", **order("SELL", price="2100"))
    placed = one.send("POST", placing)
    # What one has answered the other knows, and a repeated request is executed once, wherever.
    assert other.send("POST", placing)["orderId"] == placed["orderId"]
    shown = other.send("GET", other.signed("openOrders", symbol=SYMBOL))
    assert [found["orderId"] for found in shown].count(placed["orderId"]) == 1
    depth = other.send("GET", f"/api/v3/depth?symbol={SYMBOL}")
    assert "2100.00000000" in [price for price, _ in depth["asks"]]

    siblings[0].kill()
    asked = {"symbol": SYMBOL, "orderId": str(placed["orderId"])}
    canceled = other.send("DELETE", other.signed("order", **asked))
    assert canceled["status"] == "CANCELED"
    with pytest.raises((OSError, http.client.HTTPException)):
        one.send("GET", "/api/v3/ping")
    for _ in range(10):
        late = Line(address, maker)
        assert late.send("GET", late.signed("order", **asked))["status"] == "CANCELED"
        late.close()
    for line in (one, other):
        line.close()
