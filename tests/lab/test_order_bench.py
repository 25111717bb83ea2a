"""The bench runs from nothing, stops by itself, and says what it measured; numbers are not judged."""

import json
import subprocess
import sys

import pytest

from exchange.lab.http_load import Load
from exchange.lab.traders import Trader, order_requests


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "orders", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_orders_are_measured_beside_the_trivial_handler() -> None:
    done = bench("--seconds", "0.5", "--rounds", "1", "--connections", "8", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["name"] for row in report["rows"]] == [
        "signed durable orders over REST",
        "trivial FastAPI + pydantic handler",
    ]
    for row in report["rows"]:
        assert row["per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p99_9_ms"]
    assert report["ratios"]["rest_vs_fastapi"] > 0


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--rounds", "99"], ["--nonsense"]])
def test_a_bench_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2


def test_help_shows_an_example() -> None:
    assert "Example: exchange bench orders" in bench("--help").stdout


def test_percentiles_are_of_the_sorted_latencies() -> None:
    load = Load(2.0, [number / 1_000 for number in range(100, 0, -1)], [])

    assert load.per_second == 50
    assert [round(load.percentile_ms(percent)) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]


def test_every_request_is_another_order() -> None:
    requests = order_requests([Trader("k" * 64, "s")], seed=1)

    sent = [requests() for _ in range(50)]

    assert len({request.split(b"newClientOrderId=")[1].split(b"&")[0] for request in sent}) == 50
    assert all(request.count(b"signature=") == 1 for request in sent)
