"""`exchange bench latency`: one client, one order at a time, and where each microsecond goes.

Stages are cut by the times that the messages carry: of the journal's entry (Redis), of the outcome
(the engine's clock when it takes a command), and the client's own before and after; all are of one
machine. What the processes say of themselves in their metrics divides the stages further, as means.
"""

import asyncio
import http.client
import json
import re
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from exchange.lab import running
from exchange.lab.chaos.subject import Subject, exchange
from exchange.lab.histogram import Histogram
from exchange.lab.traders import Trader, order_requests
from exchange.services.admin import Admin

JOURNAL = "j:cmd"
WARM_UP = 200
STAGES = (
    "to the journal: HTTP, signature, checks, one frame",
    "synced, and taken by the engine",
    "executed, synced, told, answered",
    "all",
)
_METRICS = {
    "backend": ("exchange_backend_answer_seconds", "exchange_gateway_answer_seconds"),
    "engine": ("exchange_engine_execute_seconds", "exchange_engine_frame_seconds"),
}


class Stage(Struct, frozen=True):
    """Of all orders of the run, in µs."""

    name: str
    p50_us: float
    p99_us: float
    p99_9_us: float


class Report(Struct, frozen=True):
    """`means_us` divide the stages as the processes see it."""

    orders: int
    stages: list[Stage]
    means_us: dict[str, float]


class _Answer(Struct):
    transact_time: int = msgspec.field(name="transactTime")


def run(orders: int, progress: Callable[[int], object]) -> Report:
    """On an exchange of its own, which is removed afterwards."""
    with exchange(None) as subject:
        found = subject.run
        admin = Admin(found.admin, found.admin_token)
        traders = [Trader(*running.funded_account(admin, f"bench-{one}")) for one in range(2)]
        requests = order_requests(traders, seed=1)
        return asyncio.run(_measure(subject, requests, orders, progress))


async def _measure(
    subject: Subject,
    next_request: Callable[[], bytes],
    orders: int,
    progress: Callable[[int], object],
) -> Report:
    port = urlsplit(subject.run.api).port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with closing(writer):
        await _place(reader, writer, next_request, WARM_UP, progress)
        before = _clocks(subject)
        spans = await _place(reader, writer, next_request, orders, progress)
        after = _clocks(subject)
        journalled = await _journalled(subject.run.redis_url, orders)
    return _report(spans, journalled, {name: after[name] - before[name] for name in after})


async def _place(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    next_request: Callable[[], bytes],
    count: int,
    progress: Callable[[int], object],
) -> list[tuple[int, int, int]]:
    """When each was sent, taken by the engine, and answered, in µs since the epoch."""
    spans = []
    for _ in range(count):
        # Times in answers are whole milliseconds unless somebody asks for more.
        head, body = next_request().split(b"\r\n\r\n", 1)
        request = head + b"\r\nX-MBX-TIME-UNIT: MICROSECOND\r\n\r\n" + body
        sent = time.time_ns()
        writer.write(request)
        size = re.search(rb"content-length: (\d+)", await reader.readuntil(b"\r\n\r\n"))
        assert size is not None
        answer = await reader.readexactly(int(size[1]))
        answered = time.time_ns()
        taken = msgspec.json.decode(answer, type=_Answer).transact_time
        spans.append((sent // 1_000, taken, answered // 1_000))
        progress(1)
    return spans


async def _journalled(redis_url: str, count: int) -> list[int]:
    """When the last frames were journalled, the oldest first; each was of one order."""
    async with Redis.from_url(redis_url) as redis:
        entries: Any = await redis.xrevrange(JOURNAL, count=count)
    frames = [fields for _, fields in reversed(entries)]
    assert all(frame[b"n"] == b"1" for frame in frames), "somebody else was here"
    return [int(frame[b"t"]) for frame in frames]


def _clocks(subject: Subject) -> dict[str, float]:
    """Sums and counts of what the processes measure, by the names of their metrics."""
    ports = json.loads((subject.folder / "ports.json").read_text(encoding="utf-8"))
    found: dict[str, float] = {}
    for part, names in _METRICS.items():
        text = _metrics(int(ports[part]))
        for name in names:
            for kind in ("sum", "count"):
                values = re.findall(rf"^{name}_{kind}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)
                found[f"{name}_{kind}"] = sum(map(float, values))
    return found


def _metrics(port: int) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", "/metrics")
        return connection.getresponse().read().decode()


def _report(
    spans: list[tuple[int, int, int]], journalled: list[int], clocks: dict[str, float]
) -> Report:
    histograms = [Histogram() for _ in STAGES]
    for (sent, taken, answered), written in zip(spans, journalled, strict=True):
        parts = (written - sent, taken - written, answered - taken, answered - sent)
        for histogram, part in zip(histograms, parts, strict=True):
            histogram.add(part / 1_000_000)
    stages = [
        Stage(name, *(one.percentile_ms(percent) * 1_000 for percent in (50, 99, 99.9)))
        for name, one in zip(STAGES, histograms, strict=True)
    ]

    def mean_us(name: str) -> float:
        return clocks[f"{name}_sum"] / clocks[f"{name}_count"] * 1_000_000

    whole = statistics.fmean(answered - sent for sent, _, answered in spans)
    answer, gateway = map(mean_us, _METRICS["backend"])
    execute, frame = map(mean_us, _METRICS["engine"])
    means = {
        "client, network, HTTP server": whole - answer,
        "backend: signature, checks, answer": answer - gateway,
        "backend: from command to outcome": gateway,
        "of that, engine: execute and hash": execute,
        "of that, engine: append, synced and told": frame - execute,
    }
    return Report(len(spans), stages, {name: round(us, 1) for name, us in means.items()})
