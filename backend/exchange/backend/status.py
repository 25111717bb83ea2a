"""How the exchange is, as an operator asks for it."""

from typing import Any

from exchange.backend.errors import ApiError
from exchange.backend.state import Current
from exchange.redis.connection import Connection
from exchange.redis.journal import RUN
from exchange.services.process import Health, WorldFailed
from exchange.services.settings import Settings


async def read(settings: Settings, current: Current, health: Health) -> dict[str, Any]:
    """Positions, lag, gate and markets; None for what cannot be known at the moment."""
    answer: dict[str, Any] = {
        "ready": False,
        "sentence": health.sentence,
        "epoch": None,
        "positions": {"journal": None, "engine": None, "database": None},
        "lag": {"engine": None, "database": None},
        "gate": "closed",
        "leader": None,
        "markets": [],
        "accounts": 0,
    }
    try:
        state = current.state
        journal, engine, epoch = await state.outcomes.tops()
        is_open = await _is_gate_open(settings.redis_url)
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


async def _is_gate_open(redis_url: str) -> bool:
    """Whether the gate is open for the Redis process that runs now."""
    connection = await Connection.open(redis_url, name="status")
    try:
        run = await connection.call("GET", RUN)
        information = (await connection.call("INFO", "server")).decode()
    finally:
        connection.close()
    return run is not None and f"run_id:{run.decode()}" in information
