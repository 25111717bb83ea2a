"""`exchange bench scaling`: orders through one backend, and through several.

They are on one port of an exchange of its own, or at addresses of one that runs already.
"""

import contextlib
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from urllib.parse import urlsplit

import uvloop
from msgspec import Struct
from rich.progress import Progress

from exchange.lab import running
from exchange.lab.chaos.subject import Subject, exchange
from exchange.lab.http_load import Load, median_ms, median_ratio, spread_load
from exchange.lab.order_bench import checked
from exchange.lab.remote_exchange import RemoteExchange
from exchange.lab.stream_load import cpu_of
from exchange.lab.traders import Trader, order_requests
from exchange.services.admin import Admin
from exchange.services.embedded import free_port
from exchange.services.settings import Address, parse_address

WARM_UP_S = 1.0
TRADERS = 20
PARTS = ("engine", "db-processor", "websocket", "redis")
"""Beside the backends, what is watched; Postgres works in processes that come and go."""


class Options(Struct, frozen=True):
    """How many backends in which turn, how long and how hard; the command line bounds all of it."""

    backends: list[int]
    seconds: float
    rounds: int
    connections: int


class Row(Struct, frozen=True):
    """The medians of so many backends over the rounds, and their slowest and fastest round."""

    backends: int
    per_s: float
    per_s_min: float
    per_s_max: float
    p50_ms: float
    p99_ms: float
    cpu_us: dict[str, float]
    """By process: microseconds of one core for one order; of the backends, all together. 0 where
    that cannot be seen; elsewhere, of those who were asked for it."""


class Report(Struct, frozen=True):
    """What was measured; the ratios are medians of the ratios to the first turn of each round."""

    rows: list[Row]
    ratios: dict[str, float]


class _Turn(Struct, frozen=True):
    load: Load
    cpu_seconds: dict[str, float]


def run(options: Options, progress: Progress) -> Report:
    """Start an exchange; for each turn start the further backends, let them work, and stop them."""
    # Whatever is started from here shares its port with others, and Ctrl-C reaches all of it.
    os.environ["SERVER_SHARE_PORT"] = "1"
    steps = progress.add_task("starting an exchange", total=None)
    with exchange(None) as subject:
        admin = Admin(subject.run.admin, subject.run.admin_token)
        traders = [Trader(*running.funded_account(admin, f"bench-{one}")) for one in range(TRADERS)]
        requests = order_requests(traders, seed=1)
        # The kernel divides the connections to it.
        door = parse_address("the API", subject.run.api)

        def turn(count: int) -> _Turn:
            with _backends(subject, count) as pids:
                return _take_turn([door], requests, partial(_cpu, subject, pids), options)

        return _in_turns(turn, options, partial(progress.update, steps), "backends on one port")


def run_elsewhere(options: Options, remote: RemoteExchange, progress: Progress) -> Report:
    """Let the first few backends of an exchange that runs already work; the others look on."""
    steps = progress.add_task("making accounts", total=None)
    with remote.traders(TRADERS) as traders:
        requests = order_requests(traders, seed=1)

        def turn(count: int) -> _Turn:
            return _take_turn(remote.backends[:count], requests, remote.cpu_seconds, options)

        return _in_turns(turn, options, partial(progress.update, steps), "addresses")


def _in_turns(
    take_turn: Callable[[int], _Turn], options: Options, show: Callable[..., None], what: str
) -> Report:
    """One round after another, so that whatever the machines do meanwhile happens to all counts."""
    show(total=len(options.backends) * options.rounds)
    measured: dict[int, list[_Turn]] = {count: [] for count in options.backends}
    for number in range(options.rounds):
        for count in options.backends:
            show(description=f"round {number + 1}: {what}: {count}")
            measured[count].append(take_turn(count))
            show(advance=1)
    return _report(measured)


def _take_turn(
    backends: Sequence[Address],
    requests: Callable[[], bytes],
    cpu_seconds: Callable[[], dict[str, float]],
    options: Options,
) -> _Turn:
    burst = partial(spread_load, backends, requests, connections=options.connections)
    checked(uvloop.run(burst(seconds=WARM_UP_S)))
    before = cpu_seconds()
    loaded = checked(uvloop.run(burst(seconds=options.seconds)))
    after = cpu_seconds()
    return _Turn(loaded, {name: after[name] - before[name] for name in after})


@contextlib.contextmanager
def _backends(subject: Subject, count: int) -> Iterator[list[int]]:
    """So many on the port of the API, the exchange's own one among them; gives their pids."""
    run = subject.run
    own = run.pids["backend"]
    assert own is not None
    with contextlib.ExitStack() as stack:
        ports = [free_port() for _ in range(count - 1)]
        further = [stack.enter_context(_backend(subject, port)) for port in ports]
        for port in ports:
            running.wait_for_answer(f"http://127.0.0.1:{port}/ready")
        yield [own, *further]


@contextlib.contextmanager
def _backend(subject: Subject, metrics_port: int) -> Iterator[int]:
    """One more, without an admin port; gives its pid."""
    run = subject.run
    variables = running.backend_variables(
        subject.folder,
        run,
        server=urlsplit(run.api).netloc,
        metrics=f"127.0.0.1:{metrics_port}",
    )
    with running.process([sys.executable, "-m", "exchange.backend"], variables) as started:
        yield started.pid


def _cpu(subject: Subject, backends: list[int]) -> dict[str, float]:
    pids = subject.run.pids
    used = {name: cpu_of(pid) for name in PARTS if (pid := pids[name]) is not None}
    return {"backends": sum(map(cpu_of, backends)), **used}


def _report(measured: dict[int, list[_Turn]]) -> Report:
    first, *more = measured
    loads = {count: [turn.load for turn in turns] for count, turns in measured.items()}
    ratios = {f"{count}_vs_{first}": median_ratio(loads[count], loads[first]) for count in more}
    return Report([_row(count, turns) for count, turns in measured.items()], ratios)


def _row(count: int, turns: list[_Turn]) -> Row:
    loads = [turn.load for turn in turns]
    rates = [one.per_second for one in loads]

    def cpu(name: str) -> float:
        return statistics.median(
            one.cpu_seconds[name] / len(one.load.latencies) * 1_000_000 for one in turns
        )

    return Row(
        count,
        round(statistics.median(rates), 1),
        round(min(rates), 1),
        round(max(rates), 1),
        median_ms(loads, 50),
        median_ms(loads, 99),
        {name: round(cpu(name), 1) for name in turns[0].cpu_seconds},
    )
