"""How the exchange is, as an operator asks for it."""

from typing import Any

from exchange.backend.errors import ApiError
from exchange.backend.state import Current
from exchange.services.process import Health, WorldFailed


async def read(current: Current, health: Health) -> dict[str, Any]:
    """Positions, lag, gate and markets; None for what cannot be known at the moment."""
    answer: dict[str, Any] = {
        "ready": False,
        "sentence": health.sentence,
        "epoch": None,
        "positions": {"journal": None, "engine": None, "database": None},
        "lag": {"engine": None, "database": None},
        "gate": "closed",
        "markets": [],
        "accounts": 0,
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
        "markets": [
            {"symbol": market.symbol, "mode": market.mode.value}
            for market in state.directory.markets.values()
        ],
        "accounts": len(state.directory.accounts),
    }
