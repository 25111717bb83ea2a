"""What clients are told while parts of the exchange are away, and that it heals by itself."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from backend.conftest import RunningBackend
from servers import KillableServer

HEAL_S_MAX = 60.0


@pytest.fixture
def lonely(
    database_url: str, own_redis: KillableServer, tmp_path: Path
) -> Iterator[tuple[RunningBackend, ExitStack]]:
    """A whole exchange on a Redis of its own, with its engine in a stack that can be closed."""
    one = RunningBackend(tmp_path, database_url, own_redis.url)
    with ExitStack() as stack:
        for service in ("db_processor", "backend"):
            stack.enter_context(one.running(service))
        engine = stack.enter_context(ExitStack())
        engine.enter_context(one.running("engine"))
        one.await_markets()
        yield one, engine


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HEAL_S_MAX
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_without_an_engine_orders_are_refused_and_reads_go_on(
    lonely: tuple[RunningBackend, ExitStack],
) -> None:
    backend, engine = lonely
    trader = backend.trader(USDC="1000")
    trader.order("BUY", "1", "10")
    engine.close()

    refused = trader.order("BUY", "1", "11")

    assert (refused.status, refused.body["code"]) == (503, -1008)
    assert "not executed" in refused.body["msg"]
    assert refused.headers["retry-after"] == "1"
    assert len(trader.call("GET", "openOrders").body) == 1
    assert trader.get("depth", symbol="SOLUSDC").status == 200
    status = backend.admin("GET", "status").body
    assert (status["ready"], status["gate"]) == (False, "closed")
    with backend.running("engine"):
        until(lambda: trader.order("BUY", "1", "12").status == 200)
    prices = {order["price"][:2] for order in trader.call("GET", "openOrders").body}
    assert prices == {"10", "12"}


def test_without_redis_everything_waits_and_then_goes_on(
    lonely: tuple[RunningBackend, ExitStack], own_redis: KillableServer
) -> None:
    backend, _ = lonely
    trader = backend.trader(USDC="1000")
    trader.order("BUY", "1", "10")

    own_redis.kill()

    assert trader.get("ping").status == 200
    depth = trader.get("depth", symbol="SOLUSDC")
    assert (depth.status, depth.body["code"]) == (503, -1001)
    order = trader.order("BUY", "1", "11")
    assert order.status in (503, 504)
    assert order.body["code"] in (-1001, -1007, -1008)
    own_redis.start()
    until(lambda: trader.order("BUY", "1", "12").status == 200)
    prices = [order["price"][:2] for order in trader.call("GET", "openOrders").body]
    assert prices.count("10") == 1
    assert prices.count("11") <= 1


def test_a_cancel_that_was_executed_is_never_called_refused(
    database_url: str, own_redis: KillableServer, tmp_path: Path
) -> None:
    backend = RunningBackend(tmp_path, database_url, own_redis.url)
    with backend.running("engine"), backend.running("backend"):
        with backend.running("db_processor"):
            backend.await_markets()
            trader, other = backend.trader(SOL="9", USDC="999"), backend.trader(SOL="9")
            placed = trader.call(
                "POST", "orderList/oto", symbol="SOLUSDC", workingType="LIMIT", workingSide="BUY",
                workingPrice="20", workingQuantity="1", workingTimeInForce="GTC",
                pendingType="LIMIT_MAKER", pendingSide="SELL", pendingPrice="30",
                pendingQuantity="1",
            )  # fmt: skip
            assert other.order("SELL", "1", "20").body["status"] == "FILLED"
        named = {"symbol": "SOLUSDC", "orderListId": placed.body["orderListId"]}

        # The name of the filled order of the list is in Postgres alone.
        answer = trader.call("DELETE", "orderList", **named)

        assert (answer.status, answer.body["code"]) == (504, -1007)
        with backend.running("db_processor"):
            until(lambda: trader.call("GET", "openOrders").status == 200)
            assert trader.call("GET", "openOrders").body == []


def test_a_backend_without_a_master_key_says_what_it_needs() -> None:
    environment = {**os.environ, "METRICS_ADDR": "127.0.0.1:0"}
    environment.pop("MASTER_KEY_FILE", None)

    done = subprocess.run(
        [sys.executable, "-m", "exchange.backend"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("MASTER_KEY_FILE is not set")
