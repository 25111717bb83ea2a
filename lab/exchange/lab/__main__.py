"""`python -m exchange.lab`: what drives an exchange from outside."""

import sys
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from exchange.lab import order_bench
from exchange.lab.order_bench import BenchFault, Report

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
