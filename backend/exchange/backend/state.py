"""What this process knows of the exchange, from one load until something breaks."""

import asyncpg
import msgspec

from exchange.backend import errors
from exchange.backend.barrier import Barrier
from exchange.backend.directory import Directory
from exchange.backend.gateway import Gateway
from exchange.backend.order_limits import OrderLimits
from exchange.redis.listen_keys import ListenKeys
from exchange.redis.outcomes import Outcomes
from exchange.services.market_view import MarketViews
from exchange.services.proxies import Proxies
from exchange.services.rate_limits import API_LIMITS, ApiLimits
from exchange.services.settings import Acknowledgement
from exchange.services.user_streams import UserStreams


class State(msgspec.Struct, frozen=True):
    """Everything that requests read, and the way to the engine."""

    directory: Directory
    views: MarketViews
    gateway: Gateway
    barrier: Barrier
    outcomes: Outcomes
    order_limits: OrderLimits
    user_streams: UserStreams
    listen_keys: ListenKeys
    database: asyncpg.Pool
    ack: Acknowledgement
    is_journal_checked: bool


class Current:
    """The state of the moment; the listeners outlive it and answer 503 while there is none."""

    def __init__(
        self, limits: ApiLimits = API_LIMITS["relaxed"], proxies: Proxies | None = None
    ) -> None:
        self.limits = limits
        self.proxies = proxies or Proxies()
        self._state: State | None = None

    def set(self, state: State | None) -> None:
        before, self._state = self._state, state
        if before is not None:
            before.user_streams.break_off()

    @property
    def is_loaded(self) -> bool:
        return self._state is not None

    @property
    def state(self) -> State:
        if self._state is None:
            errors.UNAVAILABLE.refuse()
        return self._state
