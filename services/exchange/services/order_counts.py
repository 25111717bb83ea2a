"""How many orders each account has placed lately that nobody has filled yet, kept from outcomes.

Every backend that follows the outcomes has the same numbers. Cancels and expiries change nothing:
what counts is whether an order ever traded.
"""

from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter

from exchange.services.messages import Listed, Outcome, Placed, Replaced
from exchange.services.orders import Side
from exchange.services.rate_limits import LONG, SHORT
from exchange.services.rows import Order, OrderList, Trade

TAKER_CREDIT, MAKER_CREDIT = 1, 5
"""What the first fill of an order gives back: more if it came while the order was in the book."""


class OrderCounts:
    """The counts of the current ten seconds and of the current day."""

    def __init__(self) -> None:
        self._windows = {width: _Window(width) for width in (SHORT, LONG)}

    def load(self, width: int, start: int, counts: Mapping[int, int]) -> None:
        """Begin with what was counted in the window that began at `start`."""
        self._windows[width].load(start, counts)

    def apply(self, outcome: Outcome) -> None:
        """Take in the next outcome: what it placed, then what first fills give back."""
        if type(outcome.result) not in _ENTER:
            # Nothing else enters the book, so nothing else trades.
            return
        changes = [*_placed(outcome), *_credits(outcome)]
        for window in self._windows.values():
            window.add(outcome.time, changes)

    def count(self, width: int, account: int, now: int) -> int:
        """Of the window that holds `now`."""
        return self._windows[width].count(account, now)


_ENTER = frozenset((Placed, Listed, Replaced))


class _Window:
    """Counts by account within one stretch of time, which is forgotten when the next one begins."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._number = 0
        self._counts: dict[int, int] = {}

    def load(self, start: int, counts: Mapping[int, int]) -> None:
        self._number = start // self._width
        self._counts = dict(counts)

    def add(self, time: int, changes: Iterable[tuple[int, int]]) -> None:
        number = time // self._width
        if number > self._number:
            self._number = number
            self._counts = {}
        if number == self._number:
            counts = self._counts
            for account, change in changes:
                # Fills beyond zero are no credit for later.
                counts[account] = max(0, counts.get(account, 0) + change)

    def count(self, account: int, now: int) -> int:
        # A clock behind the engine's still means the window that the engine is in.
        return self._counts.get(account, 0) if now // self._width <= self._number else 0


def _placed(outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Whose orders were accepted, and how many."""
    result = outcome.result.placed if isinstance(outcome.result, Replaced) else outcome.result
    if isinstance(result, Placed):
        order_id = result.order_id
        orders = (row for row in outcome.rows if type(row) is Order and row.id == order_id)
        yield next(orders).account, 1
    elif isinstance(result, Listed):
        lists = (row for row in outcome.rows if isinstance(row, OrderList))
        placed = next(row for row in lists if row.id == result.list_id)
        yield placed.account, len(placed.order_ids)


def _credits(outcome: Outcome) -> Iterator[tuple[int, int]]:
    """Whose orders were filled for the first time, and what that gives back."""
    trades = [row for row in outcome.rows if type(row) is Trade]
    if not trades:
        return
    filled = {row.id: row.filled for row in outcome.rows if type(row) is Order}
    first: dict[int, Trade] = {}
    traded: dict[int, int] = {}
    for trade in sorted(trades, key=_trade_id):
        for order_id in (trade.buy_order, trade.sell_order):
            first.setdefault(order_id, trade)
            traded[order_id] = traded.get(order_id, 0) + trade.quantity
    for order_id, trade in first.items():
        if filled.get(order_id) == traded[order_id]:
            bought = trade.buy_order == order_id
            took = bought is (trade.taker_side is Side.BUY)
            account = trade.buy_account if bought else trade.sell_account
            yield account, -(TAKER_CREDIT if took else MAKER_CREDIT)


_trade_id = attrgetter("id")
