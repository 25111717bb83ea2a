"""The bench runs from nothing, stops by itself, and says what it measured; numbers are not judged."""

import asyncio
import json
import math
import subprocess
import sys
import time

import pytest

from exchange.lab.histogram import Histogram
from exchange.lab.http_load import Client
from exchange.lab.order_bench import RATIOS, TURNS, WRITTEN
from exchange.lab.socket_load import split_frame, text_frame
from exchange.lab.traders import Trader, order_requests, socket_requests


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab", "bench", "orders", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(200)
def test_orders_are_measured_beside_what_others_would_do() -> None:
    done = bench("--seconds", "0.5", "--rounds", "1", "--connections", "8", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["name"] for row in report["rows"]] == [*TURNS, WRITTEN]
    for row in report["rows"]:
        assert row["per_s"] > 0
        assert 0 < row["p50_ms"] <= row["p99_ms"] <= row["p99_9_ms"]
    assert set(report["ratios"]) == set(RATIOS)
    assert all(ratio > 0 for ratio in report["ratios"].values())


@pytest.mark.parametrize("arguments", [["--seconds", "0"], ["--rounds", "99"], ["--nonsense"]])
def test_a_bench_is_bounded(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2


def test_what_cannot_be_measured_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACK", "postgres")

    done = bench("--seconds", "0.5", "--rounds", "1")

    assert done.returncode == 1
    assert "Measure it by `exchange bench scaling --backends 1`" in done.stderr


def test_help_shows_an_example() -> None:
    assert "Example: exchange bench orders" in bench("--help").stdout


def test_percentiles_are_right_to_half_a_percent() -> None:
    latencies = [(number % 1_000 + 1) * 0.000_137 for number in range(7_000)]
    histogram = Histogram()

    for latency in latencies:
        histogram.add(latency)

    assert len(histogram) == 7_000
    for percent in (0, 1, 50, 99, 99.9, 100):
        exact = sorted(latencies)[max(0, math.ceil(70 * percent) - 1)] * 1_000
        assert histogram.percentile_ms(percent) == pytest.approx(exact, rel=0.005, abs=0.001)
    assert Histogram().percentile_ms(50) == 0


def test_histograms_add_up() -> None:
    one, other = Histogram(), Histogram()
    one.add(0.001)
    other.add(1.0)

    both = Histogram([one, other])

    assert len(both) == 2
    assert both.percentile_ms(50) == pytest.approx(1, rel=0.005)
    assert both.percentile_ms(100) == pytest.approx(1_000, rel=0.005)


async def test_an_open_loop_counts_from_when_a_request_was_due() -> None:
    sent: list[float] = []
    began = time.perf_counter()
    client = Client(lambda: sent.append(time.perf_counter()), began + 60, interval_s=0.05)
    client.begin(share=0)
    while not sent:
        await asyncio.sleep(0.01)

    while time.perf_counter() < began + 0.4:
        await asyncio.sleep(0.1)
    for _ in range(4):
        assert client.answered(None)

    # The one that was answered late has made those behind it late.
    assert len(sent) == 5
    assert client.latencies.percentile_ms(0) >= 200


def test_every_request_is_another_order() -> None:
    requests = order_requests([Trader("k" * 64, "s")], seed=1)

    sent = [requests() for _ in range(50)]

    assert len({request.split(b"newClientOrderId=")[1].split(b"&")[0] for request in sent}) == 50
    assert all(request.count(b"signature=") == 1 for request in sent)


def test_every_message_is_another_signed_order() -> None:
    messages = socket_requests([Trader("k" * 64, "s")], seed=1)

    sent = [json.loads(messages(number)) for number in range(50)]

    assert [message["id"] for message in sent] == list(range(50))
    assert len({message["params"]["newClientOrderId"] for message in sent}) == 50
    assert all(len(message["params"]["signature"]) == 64 for message in sent)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 70_000])
def test_frames_of_every_length_are_read_whole(size: int) -> None:
    head = {True: bytes([size % 126]), False: b"\x7e" + (size % 2**16).to_bytes(2)}[size < 126]
    if size >= 2**16:
        head = b"\x7f" + size.to_bytes(8)
    frame = b"\x81" + head + b"x" * size

    assert split_frame(frame + b"more") == (1, b"x" * size, b"more")
    assert split_frame(frame[:-1] if size else frame[:1]) is None


def test_a_clients_frame_is_masked() -> None:
    assert text_frame(b"short") == b"\x81\x85\0\0\0\0short"
    assert text_frame(b"x" * 300) == b"\x81\xfe\x01\x2c\0\0\0\0" + b"x" * 300
