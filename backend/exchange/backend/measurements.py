"""What the backend measures of the whole exchange, once a second, for `/metrics`.

Every backend says the same, as far as it has followed.
"""

import asyncio
from collections import Counter

import prometheus_client

from exchange.backend.state import State
from exchange.services.markets import Mode

PERIOD_S = 1.0

POSITION = prometheus_client.Gauge(
    "exchange_position",
    "Number of the last command in the journal, of the last outcome, and of the last one in Postgres.",
    ["stage"],
)
LAG = prometheus_client.Gauge(
    "exchange_lag_commands",
    "How many commands the engine is behind the journal, and Postgres behind the engine.",
    ["stage"],
)
GATE_OPEN = prometheus_client.Gauge("exchange_gate_open", "1 while orders are taken.")
MEMORY_SHARE = prometheus_client.Gauge(
    "exchange_journal_memory_share", "What the journal uses of Redis' maxmemory, 0 to 1."
)
LEVELS = prometheus_client.Gauge(
    "exchange_book_levels", "Prices at which somebody wants to trade.", ["symbol", "side"]
)
MARKETS = prometheus_client.Gauge(
    "exchange_markets", "Markets by what they do: RUNNING, CANCEL_ONLY and so on.", ["mode"]
)


async def measure(state: State) -> None:
    """For as long as this state lives; raises what breaks it."""
    try:
        while True:
            await _measure_stores(state)
            _measure_markets(state)
            await asyncio.sleep(PERIOD_S)
    finally:
        GATE_OPEN.set(0)


async def _measure_stores(state: State) -> None:
    journal, engine, _ = await state.outcomes.tops()
    database = state.barrier.database.position
    for stage, number in (("journal", journal), ("engine", engine), ("database", database)):
        POSITION.labels(stage).set(number)
    LAG.labels("engine").set(max(journal - engine, 0))
    LAG.labels("database").set(max(engine - database, 0))
    GATE_OPEN.set(await state.outcomes.gate_open())
    used, limit = await state.outcomes.memory()
    MEMORY_SHARE.set(used / limit if limit else 0.0)


def _measure_markets(state: State) -> None:
    for view in state.views.markets.values():
        LEVELS.labels(view.market.symbol, "bid").set(len(view.bids))
        LEVELS.labels(view.market.symbol, "ask").set(len(view.asks))
    modes = Counter(market.mode for market in state.directory.markets.values())
    for mode in Mode:
        MARKETS.labels(mode.value).set(modes[mode])
