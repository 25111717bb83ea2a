"""`python -m exchange.lab`: what drives an exchange from outside."""

import signal
import sys
import threading
from pathlib import Path
from typing import Annotated

import msgspec
import typer
import uvloop
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from exchange.lab import demo as lab_demo
from exchange.lab import order_bench
from exchange.lab.chaos import report as chaos_report
from exchange.lab.chaos import run as chaos_run
from exchange.lab.chaos import subject as chaos_subject
from exchange.lab.order_bench import BenchFault, Report
from exchange.services.admin import Admin, AdminFault

app = typer.Typer(name="exchange", no_args_is_help=True, pretty_exceptions_enable=False)
bench = typer.Typer(
    help="Measure, side by side and in turns; every bench starts all that it needs.",
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
        int, typer.Option(min=1, max=1_000, help="Requests in flight, one on each connection.")
    ] = 64,
    seed: Annotated[int, typer.Option(help="Of the random orders.")] = 1,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Signed, durable orders over REST beside a trivial FastAPI + pydantic handler.

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


@app.command()
def demo(
    url: Annotated[str, typer.Option(help="Of the API.")] = "http://127.0.0.1:8080",
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Of an `exchange up`; else ADMIN_URL.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of prices and takers.")] = None,
) -> None:
    """Let every market of a running exchange move, for looking at, until Ctrl-C.

    Example: python -m exchange.lab demo --data ./data
    """
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        lab_demo.run(url, Admin.find(data), stop, seed=seed)
    except (AdminFault, OSError, ValueError) as fault:
        sys.exit(str(fault))


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


def _chaos(options: chaos_run.Options) -> chaos_report.Report:
    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    # Before and after the run, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        say("starting an exchange …" if options.data is None else "joining the exchange …")
        with chaos_subject.exchange(options.data) as subject:
            return uvloop.run(chaos_run.Chaos(options, subject, say).run())
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
    console = Console()
    console.print(table)
    for name, ratio in report.ratios.items():
        console.print(f"{name}: {ratio:.2f}")


app(prog_name="exchange")
