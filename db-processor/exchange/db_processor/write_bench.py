"""`exchange bench db`: commands a second into Postgres, beside a COPY of the same rows.

Both write the same batches into tables with the same indexes and constraints, on one Postgres of
their own, in turns. The writer gets outcomes and makes rows of them; COPY gets text that is made
beforehand, of what the tables hold at the end, and does nothing else.
"""

import asyncio
import itertools
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import asyncpg
import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress
from rich.table import Table as Printed

from exchange.db_processor.service import BATCH_COMMANDS
from exchange.db_processor.writer import write
from exchange.postgres_db.connection import connected
from exchange.postgres_db.stored import TABLES, column_names
from exchange.services.embedded import Postgres
from exchange.services.messages import Outcome, OutcomeFrame, Placed, SignedRequest
from exchange.services.orders import OrderStatus, OrderType, Side, TimeInForce
from exchange.services.rows import AveragePrices, Balance, Counters, Level, Order, Row, Trade

WRITER = "db-processor"
COPY = "raw COPY, batch by batch"
COPY_AT_ONCE = "raw COPY, all at once"
ACCOUNTS = 200
RESTING = 2_000
_SYMBOL, _BASE, _QUOTE = "SOLUSDC", "SOL", "USDC"
_START = 1_700_000_000_000_000
_COPIED: tuple[type[Struct], ...] = (Order, Trade, Balance, SignedRequest)
"""What nearly all rows are; the others are a few for each batch."""

app = typer.Typer(name="exchange", pretty_exceptions_enable=False)


class Measured(Struct, frozen=True):
    """Medians over the rounds. Rows are what was sent to Postgres: to COPY each one as it is at the
    end, to the db-processor's statements each one as it was after a batch."""

    name: str
    commands_per_s: float
    rows_per_s: float
    rows_per_s_min: float
    rows_per_s_max: float


class Report(Struct, frozen=True):
    """What was measured; `rows` are in the tables at the end, and the ratios are medians of the ratios
    of neighbouring turns."""

    commands: int
    rows: int
    measured: list[Measured]
    ratios: dict[str, float]


@app.command()
def bench(
    commands: Annotated[int, typer.Option(min=1_000, max=1_000_000, help="In each turn.")] = 30_000,
    rounds: Annotated[int, typer.Option(min=1, max=20, help="Turns of each contender.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")] = False,
) -> None:
    """Commands a second into Postgres, beside a COPY of the same rows with the same indexes.

    Example: exchange bench db --commands 30000
    """
    progress = Progress(console=Console(stderr=True), disable=as_json)
    with progress, _postgres() as url:
        report = asyncio.run(_measure(url, commands, rounds, progress))
    if as_json:
        print(msgspec.json.encode(report).decode())
    else:
        _print(report)


@contextmanager
def _postgres() -> Iterator[str]:
    """A server of its own, with the tables as they always are; its address."""
    with tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder:
        # As root, the server runs as somebody else.
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "postgres", log=Path(folder) / "postgres.log")
        server.start()
        try:
            subprocess.run(
                [sys.executable, "-m", "exchange.postgres_db", "upgrade"],
                env={**os.environ, "DATABASE_URL": server.url},
                check=True,
                stdout=subprocess.DEVNULL,
            )
            yield server.url
        finally:
            server.remove()


async def _measure(url: str, commands: int, rounds: int, progress: Progress) -> Report:
    task = progress.add_task("making outcomes", total=1 + 3 * rounds)
    batches = list(make_batches(commands))
    texts = _texts(batches)
    seconds: dict[str, list[float]] = {WRITER: [], COPY: [], COPY_AT_ONCE: []}
    progress.advance(task)
    async with connected(
        url, application_name="bench", transaction_idle_s=60, command_timeout_s=60
    ) as connection:
        for number in range(rounds):
            for name, found in seconds.items():
                progress.update(task, description=f"round {number + 1}: {name}")
                await _empty(connection)
                if name == WRITER:
                    found.append(await _write(connection, batches))
                else:
                    pieces = len(batches) if name == COPY else 1
                    found.append(await _copy(connection, texts, pieces))
                progress.advance(task)
    copied = sum(map(len, texts.values()))
    rows = {WRITER: sum(map(_written, batches)), COPY: copied, COPY_AT_ONCE: copied}
    return _report(commands, rows, seconds)


async def _write(connection: asyncpg.Connection, batches: list[list[OutcomeFrame]]) -> float:
    """Seconds from empty tables to all that the outcomes say."""
    began = time.perf_counter()
    for frames in batches:
        await write(connection, frames)
    return time.perf_counter() - began


async def _copy(
    connection: asyncpg.Connection, texts: dict[type[Struct], list[str]], pieces: int
) -> float:
    """The same of COPY, in so many transactions."""
    cut = [
        {kind: "".join(lines[place::pieces]).encode() for kind, lines in texts.items()}
        for place in range(pieces)
    ]
    began = time.perf_counter()
    for portions in cut:
        async with connection.transaction():
            for kind, portion in portions.items():
                await connection.copy_to_table(
                    TABLES[kind], columns=_names(kind), source=memoryview(portion)
                )
    return time.perf_counter() - began


async def _empty(connection: asyncpg.Connection) -> None:
    written: list[type[Struct]] = [*_COPIED, Counters, AveragePrices]
    names = ", ".join(TABLES[kind] for kind in written)
    await connection.execute(f"TRUNCATE {names}, candles")
    await connection.execute("UPDATE position SET number = 0, clean_stop = NULL")
    await connection.execute("CHECKPOINT")


def _names(kind: type[Struct]) -> list[str]:
    names = column_names(kind)
    return [*names, "number"] if kind is Order else names


def _texts(batches: list[list[OutcomeFrame]]) -> dict[type[Struct], list[str]]:
    """A line for each row that is there at the end, as COPY reads it."""
    states: dict[type[Struct], dict[object, Struct]] = {kind: {} for kind in _COPIED}
    numbers: dict[int, int] = {}
    for outcome in (one for frames in batches for frame in frames for one in frame.outcomes):
        if outcome.signed_request is not None:
            states[SignedRequest][outcome.number] = outcome.signed_request
        for row in outcome.rows:
            match row:
                case Order() | Trade():
                    states[type(row)][row.id] = row
                    numbers.setdefault(row.id, outcome.number)
                case Balance():
                    states[Balance][row.account, row.asset] = row
    texts = {
        kind: ["\t".join(map(_text, msgspec.structs.astuple(row))) for row in rows.values()]
        for kind, rows in states.items()
    }
    orders = zip(texts[Order], states[Order], strict=True)
    texts[Order] = [f"{line}\t{numbers[int(str(id))]}" for line, id in orders]
    return {kind: [f"{line}\n" for line in lines] for kind, lines in texts.items()}


def _text(value: object) -> str:
    match value:
        case None:
            return r"\N"
        case bytes():
            return rf"\\x{value.hex()}"
    return str(value)


def make_batches(commands: int) -> Iterator[list[OutcomeFrame]]:
    """Frames of outcomes: every other order rests, and every other one takes one that does."""
    market = _Traded(random.Random(1))  # noqa: S311
    numbers = iter(range(1, commands + 1))
    previous = 0
    while outcomes := tuple(
        market.next(number) for number in itertools.islice(numbers, BATCH_COMMANDS)
    ):
        frame = OutcomeFrame(
            epoch=1, previous=previous, time=outcomes[-1].time, state_hash=0, outcomes=outcomes
        )
        previous = frame.last
        yield [frame]


class _Traded:
    """Rows like those of a market in which everything is taken after a while."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._resting: list[Order] = []
        self._free = {(account, asset): 10**15 for account in range(1, ACCOUNTS + 1)
                      for asset in (_BASE, _QUOTE)}  # fmt: skip
        self._trades = 0

    def next(self, number: int) -> Outcome:
        now = _START + 1_000 * number
        order = _order(number, self._chance.randint(1, ACCOUNTS), now)
        rows: list[Row]
        if len(self._resting) < RESTING or self._chance.random() < 0.5:
            self._resting.append(order)
            rows = [order, self._balance(order.account, _QUOTE)]
        else:
            place = self._chance.randrange(len(self._resting))
            self._resting[place], self._resting[-1] = self._resting[-1], self._resting[place]
            rows = self._trade(self._resting.pop(), order, now)
        rows.append(Level(symbol=_SYMBOL, side=Side.BUY, price=order.price, quantity=number))
        rows.append(Counters(symbol=_SYMBOL, order_id=number, trade_id=self._trades, queue=number))
        return Outcome(
            number=number, time=now, uid=number, request=order.request, deadline=now,
            result=Placed(symbol=_SYMBOL, order_id=number), rows=tuple(rows),
        )  # fmt: skip

    def _trade(self, maker: Order, taker: Order, now: int) -> list[Row]:
        self._trades += 1
        taker = msgspec.structs.replace(taker, side=Side.SELL)
        filled = [
            msgspec.structs.replace(
                one, filled=one.quantity, filled_quote=one.price, locked=0, updated=now,
                status=OrderStatus.FILLED,
            )
            for one in (taker, maker)
        ]  # fmt: skip
        trade = Trade(
            symbol=_SYMBOL, id=self._trades, price=maker.price, quantity=maker.quantity,
            quote_quantity=maker.price, time=now, taker_side=Side.SELL, buy_order=maker.id,
            sell_order=taker.id, buy_account=maker.account, sell_account=taker.account,
            buy_fee=1, sell_fee=1,
        )  # fmt: skip
        money = [self._balance(one.account, asset) for one in filled for asset in (_BASE, _QUOTE)]
        return [*filled, trade, *money]

    def _balance(self, account: int, asset: str) -> Balance:
        self._free[account, asset] += self._chance.randint(-1_000, 1_000)
        return Balance(account=account, asset=asset, free=self._free[account, asset], locked=0)


def _order(number: int, account: int, now: int) -> Order:
    return Order(
        symbol=_SYMBOL, id=number, account=account, client_order_id=f"bench-{number}",
        side=Side.BUY, type=OrderType.LIMIT, time_in_force=TimeInForce.GTC,
        price=10**10 + number % 4_000 * 10**6, quantity=10**7, quote_quantity=0, filled=0,
        filled_quote=0, locked=10**9, status=OrderStatus.NEW, queue=number, created=now,
        updated=now, request=number.to_bytes(16), deadline=now,
    )  # fmt: skip


def _written(frames: list[OutcomeFrame]) -> int:
    """How many rows the statements for one batch write, but for candles, which COPY has not."""
    outcomes = [outcome for frame in frames for outcome in frame.outcomes]
    rows = (row for outcome in outcomes for row in outcome.rows)
    requests = sum(outcome.signed_request is not None for outcome in outcomes)
    return requests + len({_identity(row) for row in rows if not isinstance(row, Level)})


def _identity(row: Row) -> tuple[object, ...]:
    match row:
        case Order() | Trade():
            return type(row), row.id
        case Balance():
            return Balance, row.account, row.asset
    return (type(row),)


def _report(commands: int, rows: dict[str, int], seconds: dict[str, list[float]]) -> Report:
    rates = {name: [rows[name] / one for one in found] for name, found in seconds.items()}
    measured = [
        Measured(
            name,
            round(commands / statistics.median(seconds[name])),
            round(statistics.median(found)),
            round(min(found)),
            round(max(found)),
        )
        for name, found in rates.items()
    ]
    ratios = {
        f"rows_vs_{word}": round(
            statistics.median(
                ours / theirs for ours, theirs in zip(rates[WRITER], rates[name], strict=True)
            ),
            3,
        )
        for word, name in (("copy", COPY), ("copy_at_once", COPY_AT_ONCE))
    }
    return Report(commands, rows[COPY], measured, ratios)


def _print(report: Report) -> None:
    table = Printed("", "commands/s", "rows/s", "min – max")
    for one in report.measured:
        table.add_row(
            one.name, f"{one.commands_per_s:,.0f}", f"{one.rows_per_s:,.0f}",
            f"{one.rows_per_s_min:,.0f} – {one.rows_per_s_max:,.0f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    for name, ratio in report.ratios.items():
        console.print(f"{name}: {ratio:.2f}")


if __name__ == "__main__":
    app()
