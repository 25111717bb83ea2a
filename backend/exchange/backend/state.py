"""What this process knows of the exchange, from one load until something breaks."""

import asyncpg
import msgspec

from exchange.backend import errors
from exchange.backend.barrier import Barrier
from exchange.backend.directory import Directory
from exchange.backend.gateway import Gateway
from exchange.redis.outcomes import Outcomes
from exchange.services.market_view import MarketViews


class State(msgspec.Struct, frozen=True):
    """Everything that requests read, and the way to the engine."""

    directory: Directory
    views: MarketViews
    gateway: Gateway
    barrier: Barrier
    outcomes: Outcomes
    database: asyncpg.Pool


class Current:
    """The state of the moment; the listeners outlive it and answer 503 while there is none."""

    def __init__(self) -> None:
        self._state: State | None = None

    def set(self, state: State | None) -> None:
        self._state = state

    @property
    def is_loaded(self) -> bool:
        return self._state is not None

    @property
    def state(self) -> State:
        if self._state is None:
            errors.UNAVAILABLE.refuse()
        return self._state
