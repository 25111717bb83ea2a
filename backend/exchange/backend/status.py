"""How the exchange is, as an operator asks for it."""

from typing import Any

import msgspec

from exchange.backend.errors import ApiError
from exchange.backend.state import Current, State
from exchange.postgres_db.alarms import select_alarms
from exchange.services.failures import WorldFailed
from exchange.services.process import Health


async def read(current: Current, health: Health) -> dict[str, Any]:
    """Positions, lag, gate and markets; None for what cannot be known at the moment."""
    answer: dict[str, Any] = {
        "ready": False,
        "sentence": health.sentence,
        "epoch": None,
        "positions": {"journal": None, "engine": None, "database": None},
        "lag": {"engine": None, "database": None},
        "gate": "closed",
        "ack": None,
        "journalChecked": None,
        "markets": [],
        "accounts": 0,
        "alarms": None,
    }
    try:
        state = current.state
        journal, engine, epoch = await state.outcomes.tops()
        is_open = await state.outcomes.gate_open()
    except (ApiError, WorldFailed):
        return answer
    database = state.barrier.database.position
    return answer | {
        "ready": is_open,
        "sentence": "trading" if is_open else "closed until an engine leads",
        "epoch": epoch,
        "positions": {"journal": journal, "engine": engine, "database": database},
        "lag": {"engine": max(journal - engine, 0), "database": max(engine - database, 0)},
        "gate": "open" if is_open else "closed",
        "ack": state.ack,
        "journalChecked": state.is_journal_checked,
        "markets": [
            {"symbol": market.symbol, "mode": market.mode.value}
            for market in state.directory.markets.values()
        ],
        "accounts": len(state.directory.accounts),
        "alarms": await _alarms(state),
    }


async def _alarms(state: State) -> list[dict[str, Any]] | None:
    """What somebody has to look at; None while Postgres is away."""
    try:
        return [msgspec.to_builtins(alarm) for alarm in await select_alarms(state.database)]
    except WorldFailed:
        return None
