"""The bench starts and stops what it compares, or measures what runs; numbers are not judged."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from backend.api_client import Trader
from rich.progress import Progress
from running_exchange import RunningExchange, samples

from exchange.lab import running
from exchange.lab.order_bench import BenchFault
from exchange.lab.remote_exchange import RemoteExchange
from exchange.lab.scaling_bench import Options, run_elsewhere
from exchange.services.admin import Admin
from exchange.services.embedded import free_port

COMMAND = (sys.executable, "-m", "exchange.lab", "bench", "scaling")


class Backend(NamedTuple):
    """Where one listens."""

    port: int
    metrics_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.metrics_port}"

    def orders(self) -> float:
        """How many it has sent to the engine."""
        name = "exchange_gateway_answer_seconds_count"
        return sum(value for one, _, value in samples(self.metrics_port) if one == name)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    one = RunningExchange(tmp_path_factory.mktemp("scaling") / "data")
    one.start()
    yield one
    one.stop()


@pytest.fixture(scope="module")
def backends(exchange: RunningExchange) -> Iterator[list[Backend]]:
    """Two, at addresses of their own."""
    with backend(exchange) as first, backend(exchange) as second:
        yield [first, second]


@contextmanager
def backend(exchange: RunningExchange, **more: str) -> Iterator[Backend]:
    one = Backend(free_port(), free_port())
    variables = {
        "SERVER_ADDR": f"127.0.0.1:{one.port}",
        "METRICS_ADDR": f"127.0.0.1:{one.metrics_port}",
        "MASTER_KEY_FILE": str(exchange.folder / "master.key"),
        "DATABASE_URL": exchange.database_url,
        "REDIS_URL": exchange.redis_url,
        **more,
    }
    with running.process([sys.executable, "-m", "exchange.backend"], variables):
        running.wait_for_answer(f"{one.metrics_url}/ready")
        yield one


def bench(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def require_sense(report: dict[str, Any], *parts: str) -> None:
    assert [row["backends"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert row["per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert set(row["cpu_us"]) == set(parts)
    assert report["ratios"]["2_vs_1"] > 0


@pytest.mark.timeout(200)
def test_orders_go_through_one_backend_and_through_two_on_the_same_port() -> None:
    done = bench(
        "--backends", "1", "--backends", "2", "--seconds", "0.5", "--rounds", "1",
        "--connections", "32", "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    parts = ("backends", "engine", "db-processor", "websocket", "redis")
    require_sense(json.loads(done.stdout), *parts)


@pytest.mark.timeout(200)
def test_orders_go_to_the_first_address_and_then_to_both(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    one, two = backends
    engine = json.loads((exchange.folder / "ports.json").read_text("utf-8"))["engine"]

    done = bench(
        "--at", one.url, "--at", two.url, "--seconds", "0.5", "--rounds", "1", "--connections", "9",
        "--metrics", f"backends={one.metrics_url}", "--metrics", f"backends={two.metrics_url}",
        "--metrics", f"engine=http://127.0.0.1:{engine}", "--json",
        ADMIN_URL=exchange.admin, ADMIN_TOKEN=exchange.admin_token,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    require_sense(json.loads(done.stdout), "backends", "engine")
    assert one.orders() > 0
    assert two.orders() > 0


def test_a_backend_whose_turn_has_not_come_gets_no_orders(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    one, two = backends
    elsewhere = remote(exchange, one.url, two.url)
    before = two.orders()

    report = run_elsewhere(Options([1], 0.5, 1, 4), elsewhere, Progress(disable=True))

    assert report.rows[0].per_s > 0
    assert two.orders() == before


def test_nothing_of_the_bench_trades_on_when_it_is_over(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    url = backends[0].url

    with remote(exchange, url).traders(1) as (made,):
        trader = Trader(url, made.api_key, made.secret)
        resting = trader.order("BUY", "1", "100.00").body

    assert resting["status"] == "NEW"
    assert trader.get("depth", symbol="SOLUSDC").body["bids"] == []
    assert trader.call("GET", "account").error[:2] == (401, -2015)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_bench_that_is_ended_leaves_no_orders(
    exchange: RunningExchange, backends: list[Backend], number: signal.Signals
) -> None:
    one, before = backends[0], backends[0].orders()
    started = subprocess.Popen(
        [*COMMAND, "--at", one.url, "--data", str(exchange.data), "--seconds", "60"],
        stderr=subprocess.PIPE,
        text=True,
    )
    running.wait_until(lambda: one.orders() > before, "no order came")

    started.send_signal(number)

    _, said = started.communicate(timeout=60)
    assert started.returncode == 130
    assert "Traceback" not in said
    prepare(exchange, one.url)


def test_a_market_where_somebody_else_trades_is_left_alone(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    keys = exchange.account("somebody")
    exchange.deposit("somebody", "USDC", "1000")
    somebody = Trader(exchange.api, keys.apiKey, keys.secretKey)
    somebody.order("BUY", "1", "100.00")

    with pytest.raises(BenchFault, match="orders rest in SOLUSDC"):
        prepare(exchange, backends[0].url)

    somebody.call("DELETE", "openOrders", symbol="SOLUSDC")


def test_a_backend_that_would_refuse_so_much_is_not_measured(exchange: RunningExchange) -> None:
    with (
        backend(exchange, RATE_LIMITS="binance") as strict,
        pytest.raises(BenchFault, match="RATE_LIMITS=relaxed"),
    ):
        prepare(exchange, strict.url)


def remote(exchange: RunningExchange, *urls: str) -> RemoteExchange:
    return RemoteExchange(urls, Admin.find(exchange.data))


def prepare(exchange: RunningExchange, url: str) -> None:
    """Raises BenchFault where it may not be measured, as it may not where orders rest."""
    with remote(exchange, url).traders(1) as traders:
        assert len(traders) == 1


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "cannot be reached"),
        ("https://127.0.0.1:8080", "is no address such as"),
        ("127.0.0.1:8080", "is no address such as"),
        ("http://127.0.0.1", "is no address such as"),
        ("http://[127.0.0.1:8080", "is no address such as"),
    ],
)
def test_an_address_that_is_no_backend_is_named(
    exchange: RunningExchange, url: str, reason: str
) -> None:
    with pytest.raises(BenchFault, match=reason) as raised:
        prepare(exchange, url)

    assert url in str(raised.value)


def test_nobody_is_measured_twice(exchange: RunningExchange) -> None:
    with pytest.raises(BenchFault, match="is there twice"):
        remote(exchange, exchange.api, f"{exchange.api}/")


def test_a_server_that_is_no_backend_is_named(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    with pytest.raises(BenchFault, match="answers with 404"):
        prepare(exchange, backends[0].metrics_url)


def test_a_process_that_does_not_tell_its_cpu_is_named(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    url = backends[0].url
    elsewhere = RemoteExchange([url], Admin.find(exchange.data), [("backend", url)])

    with pytest.raises(BenchFault, match="answers with 404"):
        elsewhere.cpu_seconds()


def test_whoever_has_no_token_gets_no_accounts(
    exchange: RunningExchange, backends: list[Backend]
) -> None:
    done = bench("--at", backends[0].url, ADMIN_URL=exchange.admin, ADMIN_TOKEN="wrong")

    assert done.returncode == 1
    assert "token" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--backends", "0"],
        ["--rounds", "99"],
        ["--nonsense"],
        ["--data", "somewhere"],
        ["--at", "http://127.0.0.1:1", "--backends", "2"],
        ["--at", "http://127.0.0.1:1", "--metrics", "http://127.0.0.1:2"],
        ["--at", "http://127.0.0.1:1", "--at", "http://127.0.0.1:2", "--connections", "1"],
    ],
)
def test_a_bench_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2
