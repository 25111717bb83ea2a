"""The latency bench runs from nothing and accounts for every order; its numbers are not judged."""

import json
import subprocess
import sys

from exchange.lab.latency_bench import STAGES


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "latency", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_where_the_time_of_an_order_goes_is_told() -> None:
    done = bench("--orders", "20", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["orders"] == 20
    assert [stage["name"] for stage in report["stages"]] == list(STAGES)
    assert all(0 < one["p50_us"] <= one["p99_us"] for one in report["stages"])
    assert all(mean > 0 for mean in report["means_us"].values())


def test_it_is_bounded() -> None:
    assert bench("--orders", "1").returncode == 2
    assert "Example: exchange bench latency" in bench("--help").stdout
