"""The fan-out bench runs from nothing and counts every message; its numbers are not judged."""

import json
import os
import subprocess
import sys

import pytest

from exchange.lab.pacemakers import in_flight
from exchange.lab.stream_load import StreamLoad, cpu_of, memory_of


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "fanout", *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_streams_are_measured_beside_the_plain_loop_and_no_message_is_lost() -> None:
    # It fails by itself where a message is missing, or one too many.
    done = bench(
        "--sockets", "10", "--sockets", "20", "--seconds", "0.3", "--rounds", "1",
        "--deaf", "10", "--json",
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    names = ["exchange", "exchange, 10 % of clients never read", "plain broadcast loop"]
    assert [(row["sockets"], row["deaf"], row["name"]) for row in report["rows"]] == [
        (sockets, sockets // 10 if "never" in name else 0, name)
        for sockets in (10, 20)
        for name in names
    ]
    for row in report["rows"]:
        assert 0 < row["per_s_min"] <= row["per_s"] <= row["per_s_max"]
        assert 0 < row["age_p50_ms"] <= row["age_p99_ms"]
        assert row["deaf_closed"] <= row["deaf"]
    assert report["ratios"]["streams_vs_plain_20"] > 0


@pytest.mark.parametrize("arguments", [["--seconds", "31"], ["--sockets", "0"], ["--deaf", "51"]])
def test_a_bench_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2


def test_help_shows_an_example() -> None:
    assert "Example: exchange bench fanout" in bench("--help").stdout


def test_few_sockets_get_more_ticks_at_once_so_that_the_server_has_something_to_do() -> None:
    assert [in_flight(sockets) for sockets in (100, 1_000, 5_000)] == [16, 12, 2]


def test_percentiles_are_of_the_sorted_ages() -> None:
    ages = [number / 1_000 for number in range(100, 0, -1)]
    load = StreamLoad(
        seconds=2, messages=100, ticks=1, ages=ages, deaf_closed=0, cpu_seconds=0.5, memory_bytes=0
    )

    assert (load.per_second, load.cpu_us) == (50, 5_000)
    assert [round(load.age_ms(percent)) for percent in (0, 50, 99, 100)] == [1, 51, 100, 100]


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="there is no /proc")
def test_a_process_is_seen_to_compute_and_to_need_memory() -> None:
    assert memory_of(os.getpid()) > 1_000_000
    assert cpu_of(os.getpid()) > 0


def test_a_process_that_is_not_there_needs_nothing() -> None:
    assert (memory_of(2**30), cpu_of(2**30)) == (0, 0)
