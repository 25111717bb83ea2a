"""`python -m exchange.lab`: what drives an exchange from outside."""

import signal
import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from exchange.lab import (
    fanout_bench,
    latency_bench,
    order_bench,
    overload_bench,
    recovery_bench,
    scaling_bench,
)
from exchange.lab.chaos import report as chaos_report
from exchange.lab.chaos import run as chaos_run
from exchange.lab.chaos import subject as chaos_subject
from exchange.lab.order_bench import BenchFault, Report
from exchange.lab.remote_exchange import RemoteExchange
from exchange.lab.stream_crowd import CrowdFault
from exchange.services.admin import Admin, AdminFault

app = typer.Typer(name="exchange", no_args_is_help=True, pretty_exceptions_enable=False)
bench = typer.Typer(
    help="Measure, side by side and in turns; a bench starts all that it needs.",
    no_args_is_help=True,
)
app.add_typer(bench, name="bench")


@app.callback()
def lab() -> None:
    """What drives an exchange from outside."""


@bench.command()
def orders(
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="Length of a turn.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    connections: Annotated[
        int, typer.Option(min=1, max=1_000, help="Requests in flight at a time.")
    ] = 256,
    seed: Annotated[int, typer.Option(help="Of the random orders.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Signed, durable orders over both APIs, beside a trivial handler and a naive pipeline.

    A contender that never waits (closed loop) shows how much goes through; at half of that rate,
    whatever comes back (open loop), latencies count from when an order was due.

    Example: exchange bench orders --seconds 5 --rounds 3
    """
    options = order_bench.Options(seconds, rounds, connections, seed)
    with Progress(console=Console(stderr=True), disable=json) as progress:
        try:
            report = order_bench.run(options, progress)
        except (BenchFault, TimeoutError) as fault:
            sys.exit(str(fault))
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _print(report)


@bench.command()
def scaling(
    backends: Annotated[
        list[int] | None,
        typer.Option(min=1, max=32, help="On one port; may be repeated.  [default: 1, 2, 3]"),
    ] = None,
    at: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL", help="Instead, a backend of an exchange that runs already; repeat it."
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL", help="With --at: a process whose CPU to tell, by its METRICS_ADDR."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="With --at: its admin API is that of this folder."),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.5, max=60, help="Length of a turn.")] = 5.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each number.")] = 3,
    connections: Annotated[
        int, typer.Option(min=1, max=1_000, help="Requests in flight at a time.")
    ] = 256,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Signed, durable orders over REST through one backend, and through several.

    On one port, of an exchange that it starts, the backends share a machine: what an order costs
    each process says what more cores would take. With --at there is no need to conclude: the load
    goes to the first of these addresses, to the first two, and so on to all of them.

    For that it makes accounts of its own, which it stops at the end, by the admin API of ADMIN_URL
    with ADMIN_TOKEN or ADMIN_TOKEN_FILE. Nobody else may trade there meanwhile.

    Example: exchange bench scaling --backends 1 --backends 2
    Example: exchange bench scaling --at http://10.0.0.2:8080 --at http://10.0.0.3:8080
    """
    if not at and (metrics or data):
        raise typer.BadParameter("--metrics and --data are for --at.")
    counts = _places(at, backends, connections) if at else backends or [1, 2, 3]
    meters = [_meter(text) for text in metrics or ()]
    options = scaling_bench.Options(counts, seconds, rounds, connections)
    with Progress(console=Console(stderr=True), disable=json) as progress:
        try:
            if at:
                _end_as_at_ctrl_c()
                remote = RemoteExchange(at, Admin.find(data), meters)
                report = scaling_bench.run_elsewhere(options, remote, progress)
            else:
                report = scaling_bench.run(options, progress)
        except (BenchFault, chaos_subject.SubjectFault, AdminFault, OSError) as fault:
            sys.exit(str(fault))
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _print_scaling(report)


def _places(at: list[str], backends: list[int] | None, connections: int) -> list[int]:
    """How many of the addresses take part in which turn."""
    if backends:
        raise typer.BadParameter("--at is one address, then two, and so on: leave out --backends.")
    if len(at) > min(connections, 32):
        raise typer.BadParameter("--at are 32 at most, and each needs one of the --connections.")
    return list(range(1, len(at) + 1))


def _end_as_at_ctrl_c() -> None:
    """So that whatever ends it, accounts of the bench are stopped first."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))


def _meter(text: str) -> tuple[str, str]:
    name, separator, url = text.partition("=")
    if not name or not separator:
        raise typer.BadParameter(f"--metrics is like engine=http://10.0.0.2:9100, not {text!r}.")
    return name, url


@bench.command()
def overload(
    seconds: Annotated[float, typer.Option(min=1, max=600, help="Length of the overload.")] = 60.0,
    times: Annotated[
        float, typer.Option(min=1, max=100, help="How many times what it can take is offered.")
    ] = 10.0,
    connections: Annotated[
        int, typer.Option(min=1, max=10_000, help="At most so many requests wait at a time.")
    ] = 4_000,
    engine_share: Annotated[
        float,
        typer.Option(
            min=0.01, max=1, help="Of the time that the engine may run, so that less is too much."
        ),
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the random orders.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Measure what it can take, offer ten times that, and see what becomes of it.

    The exit code is 1 if an acknowledged order was lost, a cancel shed, or a process ended.

    Example: exchange bench overload --seconds 60
    Example: exchange bench overload --engine-share 0.1
    """
    options = overload_bench.Options(seconds, times, connections, seed, engine_share)
    try:
        report = overload_bench.run(options, lambda text: print(text, file=sys.stderr, flush=True))
    except TimeoutError as fault:
        sys.exit(str(fault))
    text = msgspec.json.encode(report)
    print(text.decode() if json else msgspec.json.format(text, indent=2).decode())
    sys.exit(1 if report.violations else 0)


@bench.command()
def latency(
    orders: Annotated[
        int, typer.Option(min=10, max=20_000, help="One after another, by one client.")
    ] = 2_000,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Where the time of an order goes that has the exchange to itself.

    Example: exchange bench latency --orders 2000
    """
    total = latency_bench.WARM_UP + orders
    with Progress(console=Console(stderr=True), disable=json) as progress:
        task = progress.add_task("placing orders", total=total)
        try:
            report = latency_bench.run(orders, partial(progress.advance, task))
        except chaos_subject.SubjectFault as fault:
            sys.exit(str(fault))
    if json:
        print(msgspec.json.encode(report).decode())
        return
    table = Table("µs", "p50", "p99", "p99.9")
    for stage in report.stages:
        numbers = (stage.p50_us, stage.p99_us, stage.p99_9_us)
        table.add_row(stage.name, *(f"{number:,.0f}" for number in numbers))
    means = Table("as the processes see it", "mean µs")
    for name, mean in report.means_us.items():
        means.add_row(name, f"{mean:,.0f}")
    console = Console()
    console.print(table)
    console.print(means)


@bench.command()
def recovery(
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Kills of each process.")] = 10,
    open_orders: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=1_000_000, help="Again with so many; repeat it.  [default: 1000, 100000]"
        ),
    ] = None,
    entries: Annotated[
        int, typer.Option(min=0, max=10_000_000, help="Outcomes that an engine takes over.")
    ] = 1_000_000,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """How long after kill -9 of each process what it is for is done again, also with many open
    orders; and how fast an engine takes over what another one has done.

    Example: exchange bench recovery --rounds 10
    """
    try:
        report = recovery_bench.run(
            rounds,
            tuple(open_orders or (1_000, 100_000)),
            entries,
            lambda text: print(text, file=sys.stderr, flush=True),
        )
    except (recovery_bench.NotRecovered, chaos_subject.SubjectFault) as fault:
        sys.exit(str(fault))
    if json:
        print(msgspec.json.encode(report).decode())
        return
    table = Table("killed", "until", "times", "median s", "max s")
    for row in report.rows:
        table.add_row(
            row.killed, row.what, str(row.times), f"{row.median_s:.2f}", f"{row.max_s:.2f}"
        )
    Console().print(table)
    if (replay := report.replay) is not None:
        print(f"{replay.entries:,} outcomes taken over in {replay.seconds:.1f} s")


@bench.command()
def fanout(
    sockets: Annotated[
        list[int] | None,
        typer.Option(
            min=1, max=20_000, help="Listeners; may be repeated.  [default: 100, 1000, 5000]"
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.2, max=30, help="Length of a turn.")] = 3.0,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    updates: Annotated[int, typer.Option(min=1, max=10, help="Messages in a tick.")] = 8,
    deaf: Annotated[
        int, typer.Option(min=0, max=50, help="Another contender: so many percent never read.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Trades to many sockets, beside a server that hands each message to `websockets.broadcast`.

    Several ticks are under way (fewer where there are more sockets), and whenever all have heard
    half of them both get as many again: the numbers are those of a server that always has something
    to do. An age is the time from a message to its arrival.

    Example: exchange bench fanout --sockets 1000 --seconds 10 --deaf 10
    """
    options = fanout_bench.Options(sockets or [100, 1_000, 5_000], seconds, rounds, updates, deaf)
    with Progress(console=Console(stderr=True), disable=json) as progress:
        try:
            report = fanout_bench.run(options, progress)
        except (CrowdFault, TimeoutError) as fault:
            sys.exit(str(fault))
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        _print_fanout(report)


@app.command()
def chaos(
    kills: Annotated[
        int, typer.Option(min=1, max=100_000, help="How many processes to kill.")
    ] = 100,
    minutes: Annotated[
        float, typer.Option(min=0.1, max=240, help="Stop after this long, however many it were.")
    ] = 10.0,
    accounts: Annotated[int, typer.Option(min=2, max=200, help="Traders.")] = 24,
    seed: Annotated[
        int, typer.Option(help="Of the faults and of the orders; not of how they meet.")
    ] = 1,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Do it to the `exchange up` of this folder."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Kill, stop and resume processes while many accounts trade; then prove that nothing is lost.

    It starts an exchange of its own, and removes it afterwards; with --data it is done to one that
    runs, which must not be anybody's. The exit code is 1 if any promise was broken.

    Example: exchange chaos --kills 100 --minutes 10
    """
    options = chaos_run.Options(kills, minutes, accounts, seed, data)
    report = _chaos(options)
    if json:
        print(msgspec.json.encode(report).decode())
    else:
        chaos_report.show(report)
    sys.exit(1 if report.violations else 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _chaos(options: chaos_run.Options) -> chaos_report.Report:
    # Before and after the run, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        _say("starting an exchange …" if options.data is None else "joining the exchange …")
        with chaos_subject.exchange(options.data) as subject:
            return uvloop.run(chaos_run.Chaos(options, subject, _say).run())
    except KeyboardInterrupt:
        sys.exit(130)
    except chaos_subject.SubjectFault as fault:
        sys.exit(str(fault))


def _print(report: Report) -> None:
    table = Table("", "per second", "min – max", "p50 ms", "p99 ms", "p99.9 ms")
    for row in report.rows:
        table.add_row(
            row.name,
            f"{row.per_s:,.0f}",
            f"{row.per_s_min:,.0f} – {row.per_s_max:,.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            f"{row.p99_9_ms:.2f}",
        )
    _show(table, report.ratios)


def _print_scaling(report: scaling_bench.Report) -> None:
    parts = list(report.rows[0].cpu_us)
    table = Table(
        "backends", "per second", "min – max", "p50 ms", "p99 ms", *(f"{one} µs" for one in parts)
    )
    for row in report.rows:
        table.add_row(
            str(row.backends),
            f"{row.per_s:,.0f}",
            f"{row.per_s_min:,.0f} – {row.per_s_max:,.0f}",
            f"{row.p50_ms:.2f}",
            f"{row.p99_ms:.2f}",
            *(f"{row.cpu_us[one]:.0f}" for one in parts),
        )
    _show(table, report.ratios)


def _print_fanout(report: fanout_bench.Report) -> None:
    table = Table(
        "sockets", "", "per second", "min – max", "p50 ms", "p99 ms", "µs", "closed", "MB"
    )
    for row in report.rows:
        table.add_row(
            f"{row.sockets:,}",
            row.name,
            f"{row.per_s:,.0f}",
            f"{row.per_s_min:,.0f} – {row.per_s_max:,.0f}",
            f"{row.age_p50_ms:.2f}",
            f"{row.age_p99_ms:.2f}",
            f"{row.cpu_us:.2f}",
            f"{row.deaf_closed} of {row.deaf}" if row.deaf else "",
            f"{row.memory_mb:.0f}" if row.memory_mb else "",
        )
    _show(table, report.ratios)


def _show(table: Table, ratios: dict[str, float]) -> None:
    console = Console()
    console.print(table)
    for name, ratio in ratios.items():
        console.print(f"{name}: {ratio:.2f}")


app(prog_name="exchange")
