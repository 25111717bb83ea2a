"""The order book of one market: who waits at which price, and in which order."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from sortedcontainers import SortedDict

from exchange.engine.triggers import Reaction, Triggers
from exchange.services.average_price import AveragePrice
from exchange.services.markets import Market
from exchange.services.orders import Side
from exchange.services.rows import AveragePrices, Beginning, Counters, Level, Order, OrderList


class PriceLevel:
    """All orders at one price, oldest first."""

    __slots__ = ("orders", "quantity")

    def __init__(self) -> None:
        # A dict keeps insertion order, which is time priority, deletes any key in O(1), which is a
        # cancel, and keeps an order's place when its value is replaced, which is a partial fill.
        self.orders: dict[int, Order] = {}
        self.quantity = 0


class BookSide:
    """The levels of one side, best price first."""

    def __init__(self, side: Side) -> None:
        self.side = side
        # Sorted by a key that is smallest at the best price: bids by the negative price.
        self._sign = -1 if side is Side.BUY else 1
        self._levels: SortedDict = SortedDict()

    def __len__(self) -> int:
        return len(self._levels)

    def best_price(self) -> int | None:
        return self._sign * self._levels.peekitem(0)[0] if self._levels else None

    def quantity(self, price: int) -> int:
        """What all orders at a price show together."""
        level: PriceLevel | None = self._levels.get(self._sign * price)
        return level.quantity if level is not None else 0

    def levels(self) -> Iterable[PriceLevel]:
        """By price, the best first; the side must not change meanwhile."""
        levels: Iterable[PriceLevel] = self._levels.values()
        return levels

    def orders(self) -> Iterator[Order]:
        """Every order by price-time priority; the side must not change meanwhile."""
        for level in self.levels():
            yield from level.orders.values()

    def put(self, order: Order, shown: int, before: int) -> None:
        """Add an order, or give one its new state; `before` is what it showed (0: new)."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = PriceLevel()
        level.orders[order.id] = order
        level.quantity += shown - before

    def move_to_back(self, order: Order) -> None:
        """Behind all others at its price, as an iceberg with a new slice."""
        orders = self._levels[self._sign * order.price].orders
        del orders[order.id]
        orders[order.id] = order

    def remove(self, order: Order, before: int) -> None:
        key = self._sign * order.price
        level = self._levels[key]
        del level.orders[order.id]
        level.quantity -= before
        if not level.orders:
            assert level.quantity == 0, (order, level.quantity)
            del self._levels[key]


class OpenCounts(NamedTuple):
    """How much an account has open; algo orders are those that wait, or waited, for a price."""

    orders: int
    algo_orders: int
    icebergs: int
    lists: int


class OrderBook:
    """One market: its rules, its open orders and lists, and the last numbers it has given out."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.beginning: Beginning | None = None
        """Of its public past, if that does not begin with its first trade."""
        self.orders: dict[int, Order] = {}
        """All that are open, also those that wait for a price or for another order."""
        self.lists: dict[int, OrderList] = {}
        self._by_client_id: dict[tuple[int, str], int] = {}
        self._lists_by_client_id: dict[tuple[int, str], int] = {}
        self._by_account: dict[int, dict[int, None]] = {}
        self._algo_orders: Counter[int] = Counter()
        self._icebergs: Counter[int] = Counter()
        self._lists: Counter[int] = Counter()
        self._bids = BookSide(Side.BUY)
        self._asks = BookSide(Side.SELL)
        # By side and price, the quantity that was last reported.
        self._touched: dict[tuple[BookSide, int], int] = {}
        # None while orders are taken over: then they are not yet sorted by what sets them off.
        self._triggers: Triggers | None = Triggers()
        self._average = AveragePrice(max(1, market.average_price_minutes))
        self._average_has_changed = False
        self.restore_counters(Counters(symbol=market.symbol))

    # --- Questions ---

    def side(self, side: Side) -> BookSide:
        return self._bids if side is Side.BUY else self._asks

    def opposite(self, side: Side) -> BookSide:
        return self._asks if side is Side.BUY else self._bids

    def order_by_client_id(self, account: int, client_order_id: str) -> Order | None:
        order_id = self._by_client_id.get((account, client_order_id))
        return None if order_id is None else self.orders[order_id]

    def list_by_client_id(self, account: int, client_list_id: str) -> OrderList | None:
        list_id = self._lists_by_client_id.get((account, client_list_id))
        return None if list_id is None else self.lists[list_id]

    def orders_of(self, account: int) -> list[Order]:
        """An account's open orders, oldest first."""
        return [self.orders[order_id] for order_id in sorted(self._by_account.get(account, ()))]

    def open_counts(self, account: int) -> OpenCounts:
        return OpenCounts(
            len(self._by_account.get(account, ())),
            self._algo_orders.get(account, 0),
            self._icebergs.get(account, 0),
            self._lists.get(account, 0),
        )

    def open_orders_of_list(self, order_list: OrderList) -> list[Order]:
        found = (self.orders.get(order_id) for order_id in order_list.order_ids)
        return [order for order in found if order is not None]

    def average(self, now: int) -> int:
        """The price at which a market order is valued; 0 where nothing was ever traded."""
        return self._average.at(
            now,
            self.market.average_price_minutes,
            base_unit=self.market.base_unit,
            last_price=self.last_price,
        )

    def average_prices(self) -> AveragePrices | None:
        """None where nothing was ever traded."""
        minutes = self._average.minutes()
        return AveragePrices(symbol=self.market.symbol, minutes=minutes) if minutes else None

    # --- Changes ---

    def put(self, order: Order) -> int | None:
        """Take the new state of an order: it is here while it is open, and gone afterwards.

        The id of another order may come back, which has to remember its extreme from now on.
        """
        known = self.orders.get(order.id)
        key = (self.side(order.side), order.price)
        if key not in self._touched:
            self._touched[key] = key[0].quantity(order.price)
        successor = None if order.special is None else self._arm(order, known)
        self._take(order, known)
        return successor

    def _arm(self, order: Order, known: Order | None) -> int | None:
        """Let the triggers know of an order that begins or ceases to wait for a price."""
        successor = None
        if known is not None and known.terms.waiting:
            if _wait_alike(known, order):
                return None
            successor = self.triggers.remove(known)
        if order.is_open and order.terms.waiting:
            self.triggers.add(order)
        return successor

    def put_list(self, order_list: OrderList) -> None:
        """Take the new state of a list: it is here while it is open."""
        account, key = order_list.account, (order_list.account, order_list.client_list_id)
        if order_list.is_open:
            if order_list.id not in self.lists:
                _add(self._lists, account, 1)
            self.lists[order_list.id] = order_list
            self._lists_by_client_id[key] = order_list.id
        elif self.lists.pop(order_list.id, None) is not None:
            del self._lists_by_client_id[key]
            _add(self._lists, account, -1)

    def trade(self, price: int, quantity: int, quote_quantity: int, now: int) -> Reaction | None:
        """Count a trade that happens now, and tell which orders its price sets off."""
        self.trade_id += 1
        self.last_price = price
        self._average.add(now, quantity, quote_quantity)
        self._average_has_changed = True
        return self.triggers.react(price)

    @property
    def triggers(self) -> Triggers:
        if self._triggers is None:
            waiting = (order for order in self.orders.values() if order.terms.waiting)
            self._triggers = Triggers(sorted(waiting, key=_queue))
        return self._triggers

    def restore(self, order: Order) -> None:
        """Like put, for a state that was reported before."""
        known = self.orders.get(order.id)
        if order.terms.waiting or (known is not None and known.terms.waiting):
            self._triggers = None
        self._take(order, known)

    def restore_average(self, row: AveragePrices) -> None:
        self._average.restore(row.minutes)

    def forget_prices(self) -> None:
        """Be as before the first trade, as far as prices are concerned."""
        self.last_price = 0
        self._average_has_changed = bool(self._average.minutes())
        self._average.restore(())

    def take_changed_levels(self) -> list[Level]:
        """The levels that differ from the last call, with their new quantities."""
        touched, self._touched = self._touched, {}
        return [
            Level(symbol=self.market.symbol, side=side.side, price=price, quantity=quantity)
            for (side, price), before in touched.items()
            if (quantity := side.quantity(price)) != before
        ]

    def take_changed_average(self) -> AveragePrices | None:
        """The minutes of the average, if there are others since the last call."""
        changed, self._average_has_changed = self._average_has_changed, False
        if not changed:
            return None
        return AveragePrices(symbol=self.market.symbol, minutes=self._average.minutes())

    def counters(self) -> Counters:
        return Counters(
            symbol=self.market.symbol,
            order_id=self.order_id,
            trade_id=self.trade_id,
            update_id=self.update_id,
            queue=self.queue,
            last_price=self.last_price,
            match_id=self.match_id,
        )

    def restore_counters(self, row: Counters) -> None:
        self.order_id = row.order_id
        self.trade_id = row.trade_id
        self.update_id = row.update_id
        self.queue = row.queue
        self.last_price = row.last_price
        self.match_id = row.match_id

    def jump(self, distance: int) -> None:
        """Leave out numbers that somebody may have seen although their outcomes are lost."""
        self.order_id += distance
        self.trade_id += distance
        self.update_id += distance
        self.queue += distance
        self.match_id += distance

    def _take(self, order: Order, known: Order | None) -> None:
        before = known.shown if known is not None and known.is_resting else 0
        if order.is_resting:
            side = self.side(order.side)
            side.put(order, order.shown, before)
            if before and known is not None and known.queue != order.queue:
                side.move_to_back(order)
        elif before:
            self.side(order.side).remove(order, before)
        if order.is_open:
            if known is None:
                self._enter(order)
            elif known.client_order_id != order.client_order_id:
                del self._by_client_id[known.account, known.client_order_id]
                self._by_client_id[order.account, order.client_order_id] = order.id
            self.orders[order.id] = order
        elif known is not None:
            self._leave(known)

    def _enter(self, order: Order) -> None:
        self._by_client_id[order.account, order.client_order_id] = order.id
        self._by_account.setdefault(order.account, {})[order.id] = None
        if order.special is not None:
            self._count(order, 1)

    def _leave(self, order: Order) -> None:
        del self.orders[order.id]
        del self._by_client_id[order.account, order.client_order_id]
        own = self._by_account[order.account]
        del own[order.id]
        if not own:
            del self._by_account[order.account]
        if order.special is not None:
            self._count(order, -1)

    def _count(self, order: Order, change: int) -> None:
        if order.type.is_contingent:
            _add(self._algo_orders, order.account, change)
        if order.terms.iceberg_quantity:
            _add(self._icebergs, order.account, change)


def _add(counts: Counter[int], account: int, change: int) -> None:
    """Count, and keep only who has any."""
    counts[account] += change
    if not counts[account]:
        del counts[account]


def _queue(order: Order) -> int:
    return order.queue


def _wait_alike(known: Order, order: Order) -> bool:
    """Whether an order still waits for what it waited for: only a beginning or an end counts."""
    return (
        order.is_open
        and order.terms.waiting
        and known.terms.trailing_from == order.terms.trailing_from
    )
