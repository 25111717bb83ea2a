"""More than it can take is offered: counts are judged, times are only shown."""

import json
import subprocess
import sys
from collections import Counter

import pytest

from exchange.lab.open_load import NO_ANSWER
from exchange.lab.overload_bench import _by_word


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "overload", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


@pytest.mark.timeout(240)
def test_under_overload_no_cancel_is_shed_and_nothing_acknowledged_is_lost() -> None:
    done = bench("--seconds", "2", "--connections", "500", "--json")

    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["violations"] == []
    assert report["orders"]["done"] > 0
    assert sum(report["cancels"].values()) > 0
    assert "shed" not in report["cancels"]
    assert report["offered_per_s"] > 0
    assert set(report["memory_mb"]) == {
        "backend", "websocket", "engine", "db-processor", "redis", "postgres",
    }  # fmt: skip


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--times", "0"], ["--nonsense"]])
def test_it_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2


def test_answers_are_counted_by_what_they_mean() -> None:
    counted = Counter({0: 3, -1008: 2, -1007: 1, NO_ANSWER: 1, -2010: 4})

    assert _by_word(counted) == {"done": 3, "shed": 2, "unknown": 2, "refused -2010": 4}
