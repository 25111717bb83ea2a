"""The stop orders of one market that wait, and which of them the price of a trade sets off.

However many wait, a trade costs the logarithm of their number, and each of them a little once.
"""

from collections.abc import Iterable

import msgspec
from sortedcontainers import SortedDict, SortedList

from exchange.services.markets import BASIS_POINTS
from exchange.services.orders import Side
from exchange.services.rows import Order


class Reaction(msgspec.Struct, frozen=True):
    """What a price did: orders whose stop price it met and those whose trail it broke, in the
    order in which they act, and orders that have to remember the new extreme."""

    met: list[int]
    broken: list[int]
    remember: list[int]


def rises_to_stop(order: Order) -> bool:
    """Whether the price has to rise to the stop price, and not to fall to it."""
    return order.type.is_stop_loss == (order.side is Side.BUY)


def is_met(order: Order, price: int) -> bool:
    """Whether a price sets off the stop price of an order; never without a price or a stop."""
    stop_price = order.terms.stop_price
    if not price or not stop_price:
        return False
    return price >= stop_price if rises_to_stop(order) else price <= stop_price


class Triggers:
    """Give it the waiting orders, and the price of every trade."""

    def __init__(self, orders: Iterable[Order] = ()) -> None:
        """With orders that wait already, oldest first."""
        self._rising = _Stops(sign=1)
        self._falling = _Stops(sign=-1)
        # A sell follows the highest price, a buy the lowest.
        self._trails = {Side.SELL: _Trails(sign=1), Side.BUY: _Trails(sign=-1)}
        following: dict[Side, list[Order]] = {Side.SELL: [], Side.BUY: []}
        for order in orders:
            if order.terms.trailing_from:
                following[order.side].append(order)
            else:
                self.add(order)
        for side, trails in self._trails.items():
            trails.load(following[side])

    def add(self, order: Order) -> None:
        """One that waits for its stop price, or begins to follow the price from now on."""
        if order.terms.trailing_from:
            self._trails[order.side].begin(order)
        else:
            self._stops(order).add(order)

    def remove(self, order: Order) -> int | None:
        """Forget an order. Another one may have to remember the extreme that it knew."""
        if order.terms.trailing_from:
            return self._trails[order.side].remove(order)
        self._stops(order).remove(order)
        return None

    def react(self, price: int) -> Reaction:
        """Take the price of the next trade. What it set off is forgotten here."""
        remember: list[int] = []
        broken: list[tuple[int, int]] = []
        for trails in self._trails.values():
            if trails:
                remember += trails.extend(price)
                broken += trails.take_broken(price, remember)
        met = self._rising.take_met(price) + self._falling.take_met(price)
        gone = {order_id for _, order_id in broken}
        return Reaction(
            met,
            [order_id for _, order_id in sorted(broken)],
            [order_id for order_id in dict.fromkeys(remember) if order_id not in gone],
        )

    def extreme(self, order: Order) -> int:
        """The best price since an order began to follow it; 0 where there was no trade yet."""
        return self._trails[order.side].extreme(order.id)

    def _stops(self, order: Order) -> "_Stops":
        return self._rising if rises_to_stop(order) else self._falling


class _Stops:
    """Orders by stop price, the first to be met first; `sign` is 1 for those that wait for a rise."""

    def __init__(self, sign: int) -> None:
        self._sign = sign
        self._by_price: SortedDict = SortedDict()

    def add(self, order: Order) -> None:
        key = self._sign * order.terms.stop_price
        orders: dict[int, None] | None = self._by_price.get(key)
        if orders is None:
            orders = self._by_price[key] = {}
        orders[order.id] = None

    def remove(self, order: Order) -> None:
        """Nothing where a trade has met it before."""
        key = self._sign * order.terms.stop_price
        orders: dict[int, None] | None = self._by_price.get(key)
        if orders is not None and order.id in orders:
            del orders[order.id]
            if not orders:
                del self._by_price[key]

    def take_met(self, price: int) -> list[int]:
        met: list[int] = []
        while self._by_price and self._by_price.peekitem(0)[0] <= self._sign * price:
            met += self._by_price.popitem(0)[1]
        return met


_NOWHERE = -(10**60)
"""The extreme of orders that have not seen a trade: worse than any price."""


class _Group:
    """Orders that follow the price and have seen the same extreme, the most sensitive first.

    Extremes are signed so that the better one is greater.
    """

    __slots__ = ("extreme", "key", "last", "members")

    def __init__(self, extreme: int, last: int) -> None:
        self.extreme = extreme
        self.last = last
        self.members: SortedList = SortedList()
        self.key: tuple[int, int] | None = None


class _Trails:
    """The orders of one side that follow the price.

    Whoever began earlier has seen all that the later ones have, so its extreme is as good or
    better: the groups are a stack, the newest with the worst extreme on top, and a new best price
    merges groups from the top. Only the newest order of a group remembers its extreme; all older
    ones have seen the best of what they and the newer ones remember.
    """

    def __init__(self, sign: int) -> None:
        self._sign = sign
        # By the last beginning in it; extremes become worse from one to the next.
        self._groups: SortedDict = SortedDict()
        self._group_of: dict[int, _Group] = {}
        self._by_beginning: SortedDict = SortedDict()
        # The price times 10,000 that breaks the first trail of each group, and the group's `last`.
        self._limits: SortedList = SortedList()

    def __bool__(self) -> bool:
        return bool(self._group_of)

    def begin(self, order: Order) -> None:
        """An order that is newer than all; its extreme is the last price."""
        extreme, beginning = self._signed(order.terms.trailing_extreme), order.terms.trailing_from
        top: _Group | None = self._groups.peekitem(-1)[1] if self._groups else None
        assert top is None or (top.extreme >= extreme and top.last < beginning), order
        if top is not None and top.extreme == extreme:
            self._unlist(top)
            top.last = beginning
        else:
            top = _Group(extreme, beginning)
        self._join(top, order)
        self._list(top)

    def load(self, orders: Iterable[Order]) -> None:
        """Build the stack from its top."""
        extreme = _NOWHERE
        group: _Group | None = None
        for order in sorted(orders, key=lambda one: one.terms.trailing_from, reverse=True):
            known = self._signed(order.terms.trailing_extreme)
            if group is None or known > extreme:
                if group is not None:
                    self._list(group)
                extreme = max(extreme, known)
                group = _Group(extreme, order.terms.trailing_from)
            self._join(group, order)
        if group is not None:
            self._list(group)

    def extreme(self, order_id: int) -> int:
        extreme = self._group_of[order_id].extreme
        return 0 if extreme == _NOWHERE else self._sign * extreme

    def extend(self, price: int) -> list[int]:
        """Take a price; who has to remember it, where it is a new best."""
        signed = self._sign * price
        merged: _Group | None = None
        while self._groups:
            top: _Group = self._groups.peekitem(-1)[1]
            if top.extreme > signed or (top.extreme == signed and merged is None):
                break
            self._unlist(top)
            merged = top if merged is None else self._merge(merged, top)
        if merged is None:
            return []
        merged.extreme = signed
        self._list(merged)
        return [self._newest(merged)]

    def take_broken(self, price: int, remember: list[int]) -> list[tuple[int, int]]:
        """Age and id of the orders whose trail a price breaks; adds who has to remember then."""
        broken: list[tuple[int, int]] = []
        scaled = self._sign * price * BASIS_POINTS
        while self._limits and -self._limits[0][0] >= scaled:
            group: _Group = self._groups[self._limits[0][1]]
            _, age, order_id, beginning = group.members[0]
            broken.append((age, order_id))
            successor = self._take(group, group.members[0], beginning)
            if successor is not None:
                remember.append(successor)
        return broken

    def remove(self, order: Order) -> int | None:
        group = self._group_of.get(order.id)
        if group is None:
            return None
        return self._take(group, self._member(order), order.terms.trailing_from)

    def _take(self, group: _Group, member: tuple[int, int, int, int], beginning: int) -> int | None:
        """Take an order out; the one that is now its group's newest has to remember, if it was."""
        was_newest = self._newest(group) == member[2]
        self._unlist(group)
        group.members.remove(member)
        del self._group_of[member[2]]
        del self._by_beginning[beginning]
        if not group.members:
            return None
        self._list(group)
        return self._newest(group) if was_newest else None

    def _newest(self, group: _Group) -> int:
        place = self._by_beginning.bisect_right(group.last) - 1
        order_id: int = self._by_beginning.peekitem(place)[1]
        return order_id

    def _join(self, group: _Group, order: Order) -> None:
        group.members.add(self._member(order))
        self._group_of[order.id] = group
        self._by_beginning[order.terms.trailing_from] = order.id

    def _merge(self, newer: _Group, older: _Group) -> _Group:
        """One group of both. The smaller moves, so that an order moves seldom."""
        large, small = (
            (newer, older) if len(newer.members) >= len(older.members) else (older, newer)
        )
        large.members.update(small.members)
        for member in small.members:
            self._group_of[member[2]] = large
        large.last = newer.last
        return large

    def _list(self, group: _Group) -> None:
        self._groups[group.last] = group
        delta = group.members[0][0]
        # The greatest limit is reached first.
        group.key = (-group.extreme * (BASIS_POINTS - self._sign * delta), group.last)
        self._limits.add(group.key)

    def _unlist(self, group: _Group) -> None:
        del self._groups[group.last]
        self._limits.remove(group.key)

    def _member(self, order: Order) -> tuple[int, int, int, int]:
        terms = order.terms
        return terms.trailing_delta, order.queue, order.id, terms.trailing_from

    def _signed(self, price: int) -> int:
        return self._sign * price if price else _NOWHERE
