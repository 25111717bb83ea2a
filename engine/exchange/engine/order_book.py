"""The order book of one market: who waits at which price, and in which order."""

from collections.abc import Iterator

from sortedcontainers import SortedDict

from exchange.services.average_price import AveragePrice
from exchange.services.markets import Market
from exchange.services.messages import Counters, Level, Order, Side


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
        level: PriceLevel | None = self._levels.get(self._sign * price)
        return level.quantity if level is not None else 0

    def orders(self) -> Iterator[Order]:
        """Every order by price-time priority; the side must not change meanwhile."""
        for level in self._levels.values():
            yield from level.orders.values()

    def put(self, order: Order, remaining: int, before: int) -> None:
        """Add an order, or give one its new state; `before` is what was open of it (0: new)."""
        key = self._sign * order.price
        level = self._levels.get(key)
        if level is None:
            level = self._levels[key] = PriceLevel()
        level.orders[order.id] = order
        level.quantity += remaining - before

    def remove(self, order: Order, before: int) -> None:
        key = self._sign * order.price
        level = self._levels[key]
        del level.orders[order.id]
        level.quantity -= before
        if not level.orders:
            assert level.quantity == 0, (order, level.quantity)
            del self._levels[key]


class OrderBook:
    """One market: its rules, its open orders, and the last numbers it has given out."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.average_price = AveragePrice()
        self.orders: dict[int, Order] = {}
        self._by_client_id: dict[tuple[int, str], int] = {}
        self._by_account: dict[int, dict[int, None]] = {}
        self._bids = BookSide(Side.BUY)
        self._asks = BookSide(Side.SELL)
        # By side and price, the quantity that was last reported.
        self._touched: dict[tuple[BookSide, int], int] = {}
        self.restore_counters(Counters(symbol=market.symbol))

    def side(self, side: Side) -> BookSide:
        return self._bids if side is Side.BUY else self._asks

    def opposite(self, side: Side) -> BookSide:
        return self._asks if side is Side.BUY else self._bids

    def order_by_client_id(self, account: int, client_order_id: str) -> Order | None:
        order_id = self._by_client_id.get((account, client_order_id))
        return None if order_id is None else self.orders[order_id]

    def orders_of(self, account: int) -> list[Order]:
        """An account's open orders, oldest first."""
        return [self.orders[order_id] for order_id in self._by_account.get(account, ())]

    def put(self, order: Order) -> None:
        """Take the new state of an order: it rests while it is open, and is gone afterwards."""
        side = self.side(order.side)
        key = (side, order.price)
        if key not in self._touched:
            self._touched[key] = side.quantity(order.price)
        self.restore(order)

    def restore(self, order: Order) -> None:
        """Like put, for a state that was reported before."""
        known = self.orders.get(order.id)
        before = known.quantity - known.filled if known is not None else 0
        side = self.side(order.side)
        if order.is_open:
            side.put(order, order.quantity - order.filled, before)
            if known is None:
                self._index(order)
            self.orders[order.id] = order
        elif known is not None:
            side.remove(order, before)
            self._forget(order)

    def average(self, now: int) -> int:
        """The price at which a market order is valued; 0 where nothing was ever traded."""
        return self.average_price.at(
            now,
            self.market.average_price_minutes,
            base_unit=self.market.base_unit,
            last_price=self.last_price,
        )

    def take_changed_levels(self) -> list[Level]:
        """The levels that differ from the last call, with their new quantities."""
        touched, self._touched = self._touched, {}
        return [
            Level(symbol=self.market.symbol, side=side.side, price=price, quantity=quantity)
            for (side, price), before in touched.items()
            if (quantity := side.quantity(price)) != before
        ]

    def counters(self) -> Counters:
        return Counters(
            symbol=self.market.symbol,
            order_id=self.order_id,
            trade_id=self.trade_id,
            update_id=self.update_id,
            queue=self.queue,
            last_price=self.last_price,
        )

    def restore_counters(self, row: Counters) -> None:
        self.order_id = row.order_id
        self.trade_id = row.trade_id
        self.update_id = row.update_id
        self.queue = row.queue
        self.last_price = row.last_price

    def jump(self, distance: int) -> None:
        """Leave out numbers that somebody may have seen although their outcomes are lost."""
        self.order_id += distance
        self.trade_id += distance
        self.update_id += distance
        self.queue += distance

    def _index(self, order: Order) -> None:
        self._by_client_id[order.account, order.client_order_id] = order.id
        self._by_account.setdefault(order.account, {})[order.id] = None

    def _forget(self, order: Order) -> None:
        del self.orders[order.id]
        del self._by_client_id[order.account, order.client_order_id]
        own = self._by_account[order.account]
        del own[order.id]
        if not own:
            del self._by_account[order.account]
