"""`exchange bench fanout`: streams to many sockets beside a plain broadcast loop, in turns."""

import selectors
import statistics
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct
from rich.progress import Progress

from exchange.lab import running
from exchange.lab.pacemakers import (
    GoPacemaker,
    Market,
    OrderPacemaker,
    Pacemaker,
    parts_of_one,
)
from exchange.lab.stream_load import MEGABYTE, StreamLoad, Turn, measure
from exchange.lab.traders import SYMBOL, Trader
from exchange.services.admin import Admin
from exchange.services.run_file import Run

STREAMS = "exchange"
PLAIN = "plain broadcast loop"
PATH = f"/ws/{SYMBOL.lower()}@trade?timeUnit=MICROSECOND"
FILES_BESIDES = 200
"""A process has so many files open that are no listeners."""


class Options(Struct, frozen=True):
    """How long and how hard; all of it is bounded by the command line."""

    sockets: list[int]
    seconds: float
    rounds: int
    updates: int
    deaf_percent: int


class Row(Struct, frozen=True):
    """The medians of one contender over the rounds, and its slowest and fastest round."""

    name: str
    sockets: int
    deaf: int
    per_s: float
    per_s_min: float
    per_s_max: float
    age_p50_ms: float
    age_p99_ms: float
    cpu_us: float
    """What a message costs the server, in microseconds of one core; 0 where that cannot be seen."""
    deaf_closed: int
    """The fewest of all rounds."""
    memory_mb: float
    """The most of all rounds; 0 where it cannot be seen."""


class Report(Struct, frozen=True):
    """What was measured; the ratios are medians of the ratios of neighbouring turns.

    Ratios by clock are of messages per second; by processor, of what one costs the server, which
    says the same where a machine has other things to do.
    """

    rows: list[Row]
    ratios: dict[str, float]


class _Contender(Struct, frozen=True):
    name: str
    port: int
    deaf_percent: int
    pid: int
    pacemaker: Callable[[selectors.BaseSelector], Pacemaker]


def run(options: Options, progress: Progress) -> Report:
    """Start all contenders, let them take turns at each size, and stop them."""
    running.allow_files(max(options.sockets) + FILES_BESIDES)
    steps = progress.add_task("starting an exchange")
    with (
        running.exchange() as exchange,
        running.plain_broadcast(options.updates) as plain,
    ):
        contenders = _contenders(options, exchange, *plain)
        turns = len(contenders) * len(options.sockets) * options.rounds
        progress.update(steps, total=turns, description="warming up")
        for contender in contenders:
            _take_turn(contender, options, sockets=10, seconds=0.5)
        loads: dict[tuple[int, str], list[StreamLoad]] = {}
        for sockets in options.sockets:
            for number in range(options.rounds):
                for contender in contenders:
                    text = f"{sockets} sockets, round {number + 1}: {contender.name}"
                    progress.update(steps, description=text)
                    load = _take_turn(contender, options, sockets, options.seconds)
                    loads.setdefault((sockets, contender.name), []).append(load)
                    progress.update(steps, advance=1)
    return _report(options, contenders, loads)


def _contenders(
    options: Options, exchange: Run, plain_port: int, plain_pid: int
) -> list[_Contender]:
    admin = Admin(exchange.admin, exchange.admin_token)
    seller, buyer = (Trader(*running.funded_account(admin, name)) for name in ("seller", "buyer"))
    rules = {"iceberg_parts": str(parts_of_one(options.updates))}
    admin.post("markets", SYMBOL, "rules", body={"rules": rules})
    api_port, stream_port = urlsplit(exchange.api).port, urlsplit(exchange.ws).port
    assert api_port is not None
    assert stream_port is not None
    market = Market(api_port, seller, buyer)

    def by_orders(selector: selectors.BaseSelector) -> Pacemaker:
        return OrderPacemaker(selector, market, updates=options.updates)

    pid = exchange.pids["websocket"]
    assert pid is not None
    contenders = [_Contender(STREAMS, stream_port, 0, pid, by_orders)]
    if options.deaf_percent:
        name = f"{STREAMS}, {options.deaf_percent} % of clients never read"
        deaf = _Contender(name, stream_port, options.deaf_percent, pid, by_orders)
        contenders.append(deaf)
    plain = _Contender(PLAIN, plain_port, 0, plain_pid, lambda _: GoPacemaker(plain_port))
    return [*contenders, plain]


def _take_turn(contender: _Contender, options: Options, sockets: int, seconds: float) -> StreamLoad:
    deaf = _deaf(contender, sockets)
    turn = Turn(
        port=contender.port,
        path=PATH,
        listening=sockets - deaf,
        deaf=deaf,
        updates=options.updates,
        seconds=seconds,
        pid=contender.pid,
    )
    return measure(turn, contender.pacemaker)


def _deaf(contender: _Contender, sockets: int) -> int:
    return sockets * contender.deaf_percent // 100


def _report(
    options: Options,
    contenders: list[_Contender],
    loads: dict[tuple[int, str], list[StreamLoad]],
) -> Report:
    ratios = {}
    for sockets in options.sockets:
        pairs = list(zip(loads[sockets, STREAMS], loads[sockets, PLAIN], strict=True))
        by_clock = statistics.median(ours.per_second / plain.per_second for ours, plain in pairs)
        ratios[f"streams_vs_plain_{sockets}"] = round(by_clock, 2)
        if all(load.cpu_seconds for pair in pairs for load in pair):
            by_cpu = statistics.median(plain.cpu_us / ours.cpu_us for ours, plain in pairs)
            ratios[f"streams_vs_plain_{sockets}_by_processor"] = round(by_cpu, 2)
    rows = [
        _row(contender, sockets, loads[sockets, contender.name])
        for sockets in options.sockets
        for contender in contenders
    ]
    return Report(rows, ratios)


def _row(contender: _Contender, sockets: int, loads: list[StreamLoad]) -> Row:
    rates = [one.per_second for one in loads]
    return Row(
        contender.name,
        sockets,
        _deaf(contender, sockets),
        round(statistics.median(rates)),
        round(min(rates)),
        round(max(rates)),
        round(statistics.median(one.age_ms(50) for one in loads), 2),
        round(statistics.median(one.age_ms(99) for one in loads), 2),
        round(statistics.median(one.cpu_us for one in loads), 3),
        min(one.deaf_closed for one in loads),
        round(max(one.memory_bytes for one in loads) / MEGABYTE, 1),
    )
