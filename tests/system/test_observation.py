"""What an operator sees of a running exchange: metrics of every process, and logs without secrets."""

import json
import re
import time
from pathlib import Path

import pytest
from backend.api_client import Trader, send
from backend.page import Browser
from running_exchange import RunningExchange, samples

SERVICES = ("backend", "websocket", "engine", "db-processor")
LEVELS = 'exchange_book_levels|side="ask",symbol="BTCUSDT"'


class Samples(dict[str, float]):
    """What one process says, by name and labels as they are written."""

    @classmethod
    def of(cls, exchange: RunningExchange, service: str) -> "Samples":
        port = json.loads((exchange.data / "ports.json").read_text("utf-8"))[service]
        return cls({f"{name}|{labels}": value for name, labels, value in samples(port)})


@pytest.fixture(scope="module")
def traded(exchange_up: RunningExchange) -> Trader:
    """A trader after a placed, a filled, a refused and a badly signed order."""
    keys = exchange_up.account("observed")
    exchange_up.deposit("observed", "BTC", "10")
    exchange_up.deposit("observed", "USDT", "1000000")
    trader = Trader(exchange_up.api, keys.apiKey, keys.secretKey)
    # Nobody else trades at this price; an account may not take what it offers itself, by default.
    order = {"symbol": "BTCUSDT", "type": "LIMIT", "timeInForce": "GTC", "price": "20000"}
    mode = {"selfTradePreventionMode": "NONE"}
    placed = trader.call("POST", "order", side="SELL", quantity="0.1", **order, **mode)
    filled = trader.call("POST", "order", side="BUY", quantity="0.05", **order, **mode)
    refused = trader.call("POST", "order", side="BUY", quantity="100", **order, **mode)
    unsigned = Trader(exchange_up.api, keys.apiKey, "wrong").call("GET", "account")
    assert (placed.status, filled.body["status"]) == (200, "FILLED")
    assert (refused.status, unsigned.status) == (400, 400)
    return trader


def test_every_process_says_that_it_is_ready_and_how_long_it_took(
    exchange_up: RunningExchange,
) -> None:
    for service in SERVICES:
        samples = Samples.of(exchange_up, service)

        assert samples["exchange_ready|"] == 1
        assert samples["exchange_recovery_seconds|"] > 0


def test_the_engine_counts_commands_by_type_and_what_became_of_them(
    exchange_up: RunningExchange, traded: Trader
) -> None:
    samples = Samples.of(exchange_up, "engine")

    def commands(kind: str, result: str) -> float:
        return samples[f'exchange_engine_commands_total|result="{result}",type="{kind}"']

    assert commands("PlaceOrder", "done") >= 2
    assert commands("PlaceOrder", "INSUFFICIENT_BALANCE") >= 1
    assert samples['exchange_engine_trades_total|symbol="BTCUSDT"'] >= 1
    assert samples["exchange_engine_leads|"] == 1
    assert samples["exchange_engine_execute_seconds_count|"] >= 3


def test_the_backend_measures_the_whole(exchange_up: RunningExchange, traded: Trader) -> None:
    # It looks once a second; somebody else's test may trade meanwhile.
    deadline = time.monotonic() + 60
    while (found := Samples.of(exchange_up, "backend")).get(LEVELS, 0) < 1:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)

    for stage in ("journal", "engine", "database"):
        assert found[f'exchange_position|stage="{stage}"'] > 0
    for stage in ("engine", "database"):
        assert found[f'exchange_lag_commands|stage="{stage}"'] >= 0
    assert found["exchange_gate_open|"] == 1
    assert found['exchange_markets|mode="RUNNING"'] >= 1
    assert found['exchange_backend_answer_seconds_count|route="POST /api/v3/order"'] >= 3


def test_every_answer_names_its_request(exchange_up: RunningExchange) -> None:
    answers = [send(exchange_up.api, "GET", "/api/v3/ping") for _ in range(2)]

    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == 2
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in ids)


def test_no_log_holds_a_secret(exchange_up: RunningExchange, traded: Trader) -> None:
    """Not even at the level DEBUG, which these processes write at."""
    browser = Browser(exchange_up.api)
    browser.register("observed-user", "a password of hers")
    browser.post("/ui/login", {"name": "observed-user", "password": "not hers at all"})
    authenticator = browser.post("/ui/totp", {"password": "a password of hers"}).body
    key = browser.post("/ui/keys", {"name": "k", "type": "HMAC", "permissions": ["READ"]}).body
    signature = traded.sign("symbol=BTCUSDT&timestamp=1")
    named = {"X-MBX-APIKEY": traded.api_key}
    late = "/api/v3/openOrders?symbol=BTCUSDT&timestamp=1&signature=" + signature
    assert send(exchange_up.api, "GET", late, headers=named).body["code"] == -1021
    secrets = {
        "a password": "a password of hers",
        "a wrong password": "not hers at all",
        "a session": str(browser.token),
        "an authenticator": authenticator["secret"],
        "a key's secret": key["secretKey"],
        "a signature": signature,
        "a listen key": browser.post("/api/v3/userDataStream").body["listenKey"],
        "the operator's password": (exchange_up.data / "login.password").read_text("utf-8"),
        "the admin token": exchange_up.admin_token,
        "the master key": (exchange_up.data / "master.key").read_text("utf-8").strip(),
        "a client's secret": traded.secret,
    }

    logs = [*Path(exchange_up.data / "logs").glob("*.log")]
    # Its first login it prints, for whoever has started it.
    printed = exchange_up.output.replace(secrets["the operator's password"].strip(), "")
    text = printed + "".join(log.read_text("utf-8") for log in logs)

    assert len(logs) >= 6
    assert browser.token
    assert [name for name, secret in secrets.items() if secret.strip() in text] == []
