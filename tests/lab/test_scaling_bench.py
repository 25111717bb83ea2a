"""The bench starts and stops what it compares, and says what it measured; numbers are not judged."""

import json
import subprocess
import sys

import pytest


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "scaling", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(200)
def test_orders_go_through_one_backend_and_through_two_on_the_same_port() -> None:
    done = bench(
        "--backends", "1", "--backends", "2", "--seconds", "0.5", "--rounds", "1",
        "--connections", "32", "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["backends"] for row in report["rows"]] == [1, 2]
    for row in report["rows"]:
        assert row["per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"]
        assert set(row["cpu_us"]) == {"backends", "engine", "db-processor", "websocket", "redis"}
    assert report["ratios"]["2_vs_1"] > 0


@pytest.mark.parametrize("arguments", [["--backends", "0"], ["--rounds", "99"], ["--nonsense"]])
def test_a_bench_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2
