"""`exchange bench orders`: signed, durable orders beside a trivial handler, in turns, in one run."""

import statistics
from collections.abc import Callable
from urllib.parse import urlsplit

import uvloop
from msgspec import Struct
from rich.progress import Progress

from exchange.lab import running
from exchange.lab.http_load import Load, load
from exchange.lab.traders import Trader, order_requests, plain_requests
from exchange.services.admin import Admin

DURABLE = "signed durable orders over REST"
BASELINE = "trivial FastAPI + pydantic handler"
TRADERS = 20


class Options(Struct, frozen=True):
    """How long and how hard; all of it is bounded by the command line."""

    seconds: float
    rounds: int
    connections: int
    seed: int


class Row(Struct, frozen=True):
    """The medians of one contender over the rounds, and its slowest and fastest round."""

    name: str
    per_s: float
    per_s_min: float
    per_s_max: float
    p50_ms: float
    p99_ms: float
    p99_9_ms: float


class Report(Struct, frozen=True):
    """What was measured; the ratios are medians of the ratios of neighbouring rounds."""

    rows: list[Row]
    ratios: dict[str, float]


class BenchFault(Exception):
    """The numbers would mean nothing; the text says why."""


def run(options: Options, progress: Progress) -> Report:
    """Start both contenders, let them take turns, and stop them."""
    steps = progress.add_task("starting an exchange", total=2 + 2 * options.rounds)
    with running.exchange() as exchange, running.baseline() as baseline_port:
        progress.update(steps, advance=1, description="creating accounts")
        admin = Admin(exchange.admin, exchange.admin_token)
        traders = [
            Trader(*running.funded_account(admin, f"bench-{number}")) for number in range(TRADERS)
        ]
        durable_port = urlsplit(exchange.api).port
        assert durable_port is not None
        contenders: dict[str, tuple[int, Callable[[], bytes]]] = {
            DURABLE: (durable_port, order_requests(traders, options.seed)),
            BASELINE: (baseline_port, plain_requests()),
        }
        for port, requests in contenders.values():
            _measure(port, requests, options, seconds=1.0)
        progress.update(steps, advance=1)
        loads: dict[str, list[Load]] = {name: [] for name in contenders}
        for number in range(options.rounds):
            for name, (port, requests) in contenders.items():
                progress.update(steps, description=f"round {number + 1}: {name}")
                loads[name].append(_measure(port, requests, options, seconds=options.seconds))
                progress.update(steps, advance=1)
    return _report(loads)


def _measure(port: int, requests: Callable[[], bytes], options: Options, *, seconds: float) -> Load:
    measured = uvloop.run(
        load("127.0.0.1", port, requests, connections=options.connections, seconds=seconds)
    )
    if measured.failures:
        raise BenchFault(f"A request failed: {measured.failures[0].decode(errors='replace')}")
    return measured


def _report(loads: dict[str, list[Load]]) -> Report:
    pairs = zip(loads[DURABLE], loads[BASELINE], strict=True)
    ratio = statistics.median(
        durable.per_second / baseline.per_second for durable, baseline in pairs
    )
    return Report(
        [_row(name, rounds) for name, rounds in loads.items()],
        {"rest_vs_fastapi": round(ratio, 3)},
    )


def _row(name: str, rounds: list[Load]) -> Row:
    rates = [one.per_second for one in rounds]

    def percentile(percent: float) -> float:
        return round(statistics.median(one.percentile_ms(percent) for one in rounds), 3)

    return Row(
        name,
        round(statistics.median(rates), 1),
        round(min(rates), 1),
        round(max(rates), 1),
        percentile(50),
        percentile(99),
        percentile(99.9),
    )
