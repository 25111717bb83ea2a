"""What the engine's `/metrics` say: where it stands, how long it takes, and what became of commands."""

from collections import Counter
from collections.abc import Sequence

import prometheus_client

from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.messages import OutcomeFrame, Rejected, Repeated, Result
from exchange.services.rows import Trade

POSITION = prometheus_client.Gauge("exchange_engine_position", "Number of the last outcome.")
LEADS = prometheus_client.Gauge("exchange_engine_leads", "1 while this engine leads.")
COMMANDS = prometheus_client.Counter(
    "exchange_engine_commands_total",
    "Commands executed, by type and what became of them: done, repeated, or why refused.",
    ["type", "result"],
)
TRADES = prometheus_client.Counter("exchange_engine_trades_total", "Trades made.", ["symbol"])
EXECUTE_SECONDS = prometheus_client.Histogram(
    "exchange_engine_execute_seconds",
    "Executing what makes one frame, in memory.",
    buckets=(0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5),
)
FRAME_SECONDS = prometheus_client.Histogram(
    "exchange_engine_frame_seconds",
    "From taking commands to their outcomes being durable.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)


def count(commands: Sequence[AnyCommand | Undecodable], frame: OutcomeFrame) -> None:
    """Note a frame that is durable; `commands` begin with those that it is of."""
    results: Counter[tuple[str, str]] = Counter()
    trades: Counter[str] = Counter()
    for command, outcome in zip(commands, frame.outcomes, strict=False):
        results[type(command).__name__, _word(outcome.result)] += 1
        for row in outcome.rows:
            if type(row) is Trade:
                trades[row.symbol] += 1
    for labels, number in results.items():
        COMMANDS.labels(*labels).inc(number)
    for symbol, number in trades.items():
        TRADES.labels(symbol).inc(number)
    POSITION.set(frame.last)


def _word(result: Result) -> str:
    match result:
        case Rejected():
            return result.reason.value
        case Repeated():
            return "repeated"
    return "done"
