"""What a run of chaos did and found, for people and as JSON."""

from msgspec import Struct
from rich.console import Console
from rich.table import Table

from exchange.lab.chaos.findings import Findings
from exchange.lab.chaos.recovery import Row
from exchange.lab.chaos.trader import Tally


class PromiseRow(Struct, frozen=True):
    """How one promise fared; `examples` are the first violations in words."""

    promise: str
    holds: bool
    checked: int
    violated: int
    examples: list[str]


class Report(Struct, frozen=True):
    """One run. `seconds` are those of the faults; `recovery` is in seconds too."""

    seed: int
    seconds: float
    kills: int
    stops: int
    accounts: int
    orders: Tally
    trades_streamed: int
    compared: dict[str, int]
    """How often one stream, or REST, was held against another, by what it was."""
    promises: list[PromiseRow]
    recovery: list[Row]
    violations: int
    folder: str
    """Where everything was kept for a look, if it was."""


def promise_rows(findings: Findings) -> list[PromiseRow]:
    return [
        PromiseRow(
            promise.value, not result.violated, result.checked, result.violated, result.examples
        )
        for promise, result in findings.results.items()
    ]


def show(report: Report) -> None:
    """The whole report on standard output."""
    console = Console(highlight=False, soft_wrap=True)
    orders = report.orders
    console.print(
        f"{report.kills:,} processes killed and {report.stops:,} stopped in"
        f" {report.seconds:,.0f} s, seed {report.seed}; {report.accounts} accounts;"
        f" orders: {orders.done:,} acknowledged, {orders.refused:,} refused,"
        f" {orders.unknown:,} unknown; {report.trades_streamed:,} trades streamed;"
        f" compared: {', '.join(f'{count:,} {what}' for what, count in report.compared.items())}\n"
    )
    for row in report.promises:
        word = "ok      " if row.holds else "VIOLATED"
        count = f"{row.checked:,} checks" + (f", {row.violated:,} fail" if row.violated else "")
        console.print(f"{word}  {row.promise} ({count})", markup=False)
        for example in row.examples:
            console.print(f"            {example}", markup=False)
    console.print(_recovery_table(report.recovery))
    verdict = "no violation" if not report.violations else f"{report.violations:,} violations"
    console.print(f"{verdict}" + (f"; everything is kept in {report.folder}" * bool(report.folder)))


def _recovery_table(rows: list[Row]) -> Table:
    table = Table(
        "seconds after", "times", "orders", "reads", "streams",
        title="until an order is acknowledged, an account read, and a stream heard after that:"
        " median, maximum",
        title_justify="left",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.fault,
            str(row.times),
            f"{row.orders_median:.2f}, {row.orders_max:.2f}",
            f"{row.reads_median:.2f}, {row.reads_max:.2f}",
            f"{row.streams_median:.2f}, {row.streams_max:.2f}",
        )
    return table
