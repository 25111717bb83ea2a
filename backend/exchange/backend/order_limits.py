"""Whether an account may place more orders now: what was counted, and what is under way here."""

from collections.abc import Iterator
from contextlib import contextmanager

from exchange.backend import errors
from exchange.backend.errors import ApiError
from exchange.services.commands import AnyCommand, PlaceList, PlaceOrder, ReplaceOrder
from exchange.services.messages import Outcome
from exchange.services.order_counts import OrderCounts
from exchange.services.rate_limits import LONG, SHORT, ApiLimits

SECOND_US = 1_000_000
_WORDS = {SHORT: "10 SECOND", LONG: "1 DAY"}


class OrderLimits:
    """The limits in force, and the counts of all accounts, fed with every outcome."""

    def __init__(self, limits: ApiLimits, counts: OrderCounts) -> None:
        self._limits = {SHORT: limits.orders_short, LONG: limits.orders_long}
        self._counts = counts
        self._under_way: dict[int, int] = {}

    def apply(self, outcome: Outcome) -> None:
        self._counts.apply(outcome)

    def counts(self, account: int, now: int) -> tuple[int, int]:
        """Of the current ten seconds and the current day."""
        return self._counts.count(SHORT, account, now), self._counts.count(LONG, account, now)

    def refusal(self, account: int, orders: int, now: int) -> ApiError | None:
        """The error for so many more orders, if they are too many."""
        under_way = self._under_way.get(account, 0)
        # Of two exceeded limits the longer one says how long to wait.
        for width in (LONG, SHORT):
            placed = self._counts.count(width, account, now) + under_way
            if placed + orders > self._limits[width]:
                seconds = (width - now % width) // SECOND_US + 1
                return errors.too_many_orders(self._limits[width], _WORDS[width], seconds)
        return None

    @contextmanager
    def placing(self, account: int, command: AnyCommand, now: int) -> Iterator[None]:
        """Raises ApiError unless the command's orders are within the limits.

        Within the block they count as placed, so that what is sent at once cannot exceed them.
        """
        orders = orders_of(command)
        if not orders:
            yield
            return
        if (refusal := self.refusal(account, orders, now)) is not None:
            raise refusal
        self._under_way[account] = self._under_way.get(account, 0) + orders
        try:
            yield
        finally:
            left = self._under_way.pop(account) - orders
            if left:
                self._under_way[account] = left


def orders_of(command: AnyCommand) -> int:
    """How many orders a command places."""
    if isinstance(command, PlaceOrder | ReplaceOrder):
        return 1
    return len(command.orders) if isinstance(command, PlaceList) else 0
