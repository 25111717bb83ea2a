"""The engine's commands: what can be done with it beside letting it run."""

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from msgspec.json import encode
from msgspec.structs import replace
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.table import Table

from exchange.engine import cost_bench, history, replay_bench, stream_bench
from exchange.engine.recovery import begin_without_journal, diagnose
from exchange.engine.replay import Replay, first_difference
from exchange.engine.report import Check, as_builtins, as_text, conclusion
from exchange.engine.verification import Watch, verify
from exchange.services import process
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.recordings import BadRecord, read_orders, read_trades
from exchange.services.settings import InvalidSettings, Settings

PORTION = 10_000

app = typer.Typer(name="exchange", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def engine() -> None:
    """The matching engine."""


@app.command()
def replay(
    orders: Annotated[Path, typer.Argument(metavar="ORDERS.csv", help="The recorded commands.")],
    expect: Annotated[
        Path | None, typer.Option(metavar="TRADES.csv", help="The trades that they led to.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Run a recorded market through the engine, and compare its trades with the recorded ones.

    Example: exchange replay docs/samples/orders.csv --expect docs/samples/trades.csv
    """
    try:
        replayed, seconds = _replay(orders, show=not as_json)
        difference = _compare(replayed, expect) if expect else None
    except BadRecord as fault:
        sys.exit(str(fault))
    except (OSError, UnicodeDecodeError) as fault:
        sys.exit(f"A file cannot be read: {fault}")
    _print(replayed, seconds, difference, compared=expect is not None, as_json=as_json)
    if difference is not None:
        sys.exit(1)


@app.command()
def bench(
    sizes: Annotated[
        list[int] | None,
        typer.Option("--size", min=100, max=2_000_000, help="Orders in the book; repeat it."),
    ] = None,
    turns: Annotated[int, typer.Option(min=1, max=1_000, help="Of each size.")] = 15,
    resting: Annotated[
        list[int] | None,
        typer.Option(
            min=100,
            max=1_000_000,
            help="Orders in the book that the stream begins with; repeat it.",
        ),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Of the stream.")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.1, max=30, help="After which another book's turn is cut off.")
    ] = 2.0,
    against: Annotated[
        str, typer.Option(metavar="PYTHON", help="Of an environment that has other order books.")
    ] = sys.executable,
    compiled: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="Of an environment whose engine has a compiled core."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """What a command costs the engine beside 1,000 to 1,000,000 resting orders, and as many stops;
    and how many it executes of a stream that order books from the package index get, too.

    docs/performance.md says which ones are known, how to install them, and how to compile the core.

    Example: exchange bench engine --size 1000 --size 100000 --against books/bin/python
    """
    console = Console(stderr=True)
    if not as_json:
        console.print("Building the books …")
    depths = tuple(resting or stream_bench.SIZES)
    with Progress(console=console, disable=as_json) as progress:
        task = progress.add_task("every kind of command", total=turns)
        costs = cost_bench.measure(
            tuple(sizes or cost_bench.SIZES), turns, partial(progress.advance, task)
        )
        environments = stream_bench.Environments(against, compiled)
        streams = progress.add_task("", total=stream_bench.turns(depths, rounds, environments))

        def show(text: str) -> None:
            progress.update(streams, description=text, advance=1)

        stream = stream_bench.measure(depths, rounds, seconds, environments, show)
    if as_json:
        report = {"us": {cost.size: cost.us for cost in costs}, "stream": stream}
        print(encode(report).decode())
    else:
        _print_costs(costs)
        _print_stream(stream)


@app.command("bench-replay")
def bench_replay(
    entries: Annotated[
        int, typer.Option(min=1_000, max=10_000_000, help="Outcomes that are taken over.")
    ] = 1_000_000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """How fast an engine that starts, or stands by, takes over what another one has done.

    Example: exchange bench replay --entries 1000000
    """
    with Progress(console=Console(stderr=True), disable=as_json) as progress:
        task = progress.add_task("taken over", total=entries)
        report = replay_bench.measure(entries, partial(progress.advance, task))
    if as_json:
        print(encode(report).decode())
        return
    print(
        f"{report.entries:,} entries, {report.megabytes:,} MB, in {report.seconds:.1f} s"
        f" ({report.processor_s:.1f} s of the processor):"
        f" {report.entries / report.seconds:,.0f} a second"
    )


def _print_costs(costs: list[cost_bench.Cost]) -> None:
    table = Table("orders and stops", *(f"{kind.value} µs" for kind in cost_bench.Kind))
    for cost in costs:
        table.add_row(f"{cost.size:,}", *(f"{cost.us[kind]:.1f}" for kind in cost_bench.Kind))
    Console().print(table)


def _print_stream(stream: stream_bench.Report) -> None:
    table = Table("resting", "", "commands per second of processor", "min – max")
    for row in stream.rows:
        rate = f"{row.per_s:,.0f}" if row.per_s else "not installed"
        between = f"{row.per_s_min:,.0f} – {row.per_s_max:,.0f}" if row.per_s else ""
        table.add_row(f"{row.resting:,}", row.name, rate, between)
    console = Console()
    console.print(table)
    for name, ratio in stream.ratios.items():
        console.print(f"{name}: {ratio:.2f}")


@app.command()
def recover(
    journal_lost: Annotated[bool, typer.Option("--journal-lost")] = False,
    yes: Annotated[bool, typer.Option("--yes")] = False,
    if_needed: Annotated[bool, typer.Option("--if-needed")] = False,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Say what is wrong between Redis and Postgres; with --journal-lost, go on without the journal.

    With --if-needed it does so without a question where the journal is lost, and is content where
    it is not: after a restored backup that is decided.

    Example: exchange recover --journal-lost
    """
    settings = _settings()
    with _sentences():
        diagnosis = asyncio.run(diagnose(settings))
        if not (journal_lost or if_needed) or diagnosis.state != "journal lost":
            print(encode(diagnosis).decode() if as_json else diagnosis.sentence)
            is_fine = diagnosis.state not in ("journal lost", "foreign") and not journal_lost
            sys.exit(0 if is_fine else 1)
        if not (yes or if_needed):
            print(diagnosis.sentence, file=sys.stderr)
            print(
                "Whatever was acknowledged after that is lost: orders, cancels, deposits. Orders"
                " that were open then are open again.",
                file=sys.stderr,
            )
            typer.confirm("Go on without the journal?", abort=True, err=True)
        recovered = asyncio.run(begin_without_journal(settings))
    if as_json:
        print(encode(recovered).decode())
    else:
        print(
            f"The exchange goes on behind {recovered.position}, with numbers from"
            f" {recovered.base}: start it now."
        )


@app.command("history")
def history_command(
    hours: Annotated[int, typer.Option(min=1, max=7 * 24, help="Up to now.")] = 24,
    seed: Annotated[int, typer.Option(help="The same one trades the same.")] = 1,
) -> None:
    """Give a new, empty exchange the default markets and a past in them; one that is not new keeps
    its own.

    It leads meanwhile: no engine may run. `exchange up --demo` does so.
    """
    settings = _settings()
    # As with a replay: it ends soon, and there is nothing to collect.
    gc.disable()
    with _sentences():
        made = asyncio.run(history.make(settings, hours=hours, seed=seed))
    if made is None:
        print("The exchange is not new: it keeps its own past.")
    else:
        print(f"{hours} hours: {made.commands:,} commands, {made.trades:,} trades.")


@app.command("verify")
def verify_command(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Check every promise that can be checked from what is kept; exit code 1 on any doubt.

    Example: exchange verify
    """
    settings = _settings()
    # Whoever trades comes first.
    os.nice(10)
    progress = Progress(
        TextColumn("{task.description}"),
        console=Console(stderr=True),
        disable=as_json or not sys.stderr.isatty(),
        transient=True,
        # Lines are for those who read our output, wherever that goes.
        redirect_stdout=False,
    )
    task = progress.add_task("looking …", total=None)

    def show(check: Check) -> None:
        if not as_json:
            progress.stop()
            print(as_text(check), flush=True)
            progress.start()

    def reached(promise: str, count: int) -> None:
        progress.update(task, description=f"{promise} … {count:,}")

    with _sentences(), progress:
        report = asyncio.run(verify(settings, Watch(show, reached)))
    print(encode(as_builtins(report)).decode() if as_json else conclusion(report))
    sys.exit(0 if report.is_ok else 1)


def _settings() -> Settings:
    try:
        settings = replace(Settings.from_environment(), log_level="WARNING")
    except InvalidSettings as fault:
        sys.exit(str(fault))
    process.configure_logs("engine", settings)
    return settings


@contextmanager
def _sentences() -> Iterator[None]:
    """What an operator has to know is one sentence and exit code 1."""
    try:
        yield
    except (OperatorNeeded, WorldFailed, InvalidSettings, OSError) as fault:
        sys.exit(str(fault) or type(fault).__name__)


def _replay(path: Path, *, show: bool) -> tuple[Replay, float]:
    """The replay, and how many seconds the engine had to work; reading the file is not its work."""
    # It ends soon and makes no cycles: there is nothing to collect but time to lose.
    gc.disable()
    replayed, seconds = Replay(), 0.0
    with (
        path.open(encoding="utf-8", newline="") as file,
        Progress(console=Console(stderr=True), disable=not show) as progress,
    ):
        task = progress.add_task("replaying", total=None)
        records = read_orders(str(path), file)
        while portion := list(islice(records, PORTION)):
            began = time.perf_counter()
            replayed.feed(portion)
            seconds += time.perf_counter() - began
            progress.update(task, description=f"replayed {replayed.commands:,} commands")
    return replayed, seconds


def _compare(replayed: Replay, path: Path) -> str | None:
    with path.open(encoding="utf-8", newline="") as file:
        return first_difference(replayed.trades, read_trades(str(path), file))


def _print(
    replayed: Replay, seconds: float, difference: str | None, *, compared: bool, as_json: bool
) -> None:
    per_second = replayed.commands / seconds if seconds else 0.0
    if as_json:
        print(
            json.dumps(
                {
                    "commands": replayed.commands,
                    "commands_per_s": round(per_second),
                    "trades": len(replayed.trades),
                    "refused": replayed.refused,
                    "difference": difference,
                }
            )
        )
        return
    print(f"commands   {replayed.commands:,} ({per_second:,.0f} per second)")
    print(f"trades     {len(replayed.trades):,}")
    print(f"refused    {replayed.refused:,}")
    if difference is not None:
        print(difference)
    elif compared:
        print("All trades are as recorded.")
