"""What an order would do to the book now: the pieces it takes, and how that leaves it."""

from collections import deque
from collections.abc import Iterator

from msgspec import Struct

from exchange.engine.order_book import BookSide, OrderBook
from exchange.services.markets import RATE_SCALE
from exchange.services.orders import (
    ExpiryReason,
    OrderStatus,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import Order


class Fill(Struct, frozen=True):
    """A piece of a resting order that is taken, at the resting order's price."""

    maker_id: int
    price: int
    quantity: int


class Prevention(Struct, frozen=True):
    """A piece that is not traded, because both orders are of one account; 0: that side keeps it."""

    maker_id: int
    price: int
    taker_quantity: int
    maker_quantity: int


class Sweep(Struct):
    """All pieces in order. `status` is how the taker ends; None where it rests with what is left.

    `taken` and `cost` are what is traded, in base and in quote units; `prevented` is what the
    taker loses without a trade.
    """

    steps: list[Fill | Prevention]
    taken: int = 0
    cost: int = 0
    prevented: int = 0
    status: OrderStatus | None = None
    expiry_reason: ExpiryReason | None = None


def plan_sweep(taker: Order, book: OrderBook, now: int, *, funds: int | None = None) -> Sweep:
    """What an order would take from the book now, by price-time priority.

    `funds` limits what a market-like buy may cost, in quote units; a quote amount of the order
    does so too.
    """
    return _Planner(taker, book, now, funds).plan()


def would_match(order: Order, book: OrderBook) -> bool:
    """Whether the best order of the other side can be had at the order's price."""
    best = book.opposite(order.side).best_price()
    return best is not None and _crosses(order, best)


class _End(Struct, frozen=True):
    """Why no more pieces are taken; `is_spent`: the taker has, or can pay, no more."""

    status: OrderStatus | None = None
    reason: ExpiryReason | None = None
    is_spent: bool = False


_NOBODY_LEFT = _End()
_SPENT = _End(is_spent=True)
_SELF_TRADE = _End(OrderStatus.EXPIRED_IN_MATCH)
_OUT_OF_RANGE = _End(OrderStatus.EXPIRED, ExpiryReason.PRICE_RANGE_EXCEEDED)


class _Planner:
    """One taker's way through the other side of the book."""

    __slots__ = (
        "_budget",
        "_ended",
        "_is_by_quote",
        "_left",
        "_market",
        "_range",
        "_side",
        "_sweep",
        "_taker",
    )

    def __init__(self, taker: Order, book: OrderBook, now: int, funds: int | None) -> None:
        self._taker = taker
        self._market = market = book.market
        self._side = book.opposite(taker.side)
        self._range = _price_range(book, taker.side, now)
        self._is_by_quote = taker.quote_quantity > 0
        self._budget = taker.quote_quantity or funds
        self._left = taker.remaining
        if self._is_by_quote:
            # It keeps to the largest quantity, as orders by quantity do.
            self._left = min(
                market.quantity_max, market.rules.market_quantity_max or market.quantity_max
            )
        # Makers that expire here: what they hide is not offered either.
        self._ended: set[int] = set()
        self._sweep = Sweep([])

    def plan(self) -> Sweep:
        end = self._run()
        sweep = self._sweep
        if self._is_by_quote:
            self._keep_market_lots()
        sweep.status, sweep.expiry_reason = self._decide(end)
        if sweep.expiry_reason is ExpiryReason.UNFILLED_FOK:
            return Sweep([], status=sweep.status, expiry_reason=sweep.expiry_reason)
        return sweep

    def _run(self) -> _End:
        taker, market = self._taker, self._market
        low, high = self._range
        for maker, shown in _pieces(self._side, self._ended):
            price = maker.price
            if taker.price and not _crosses(taker, price):
                return _NOBODY_LEFT
            if price < low or (high and price > high):
                return _OUT_OF_RANGE
            quantity = offered = min(shown, self._left)
            if self._budget is not None:
                quantity = min(offered, market.quantity_for(self._budget, price))
                if not quantity:
                    return _SPENT
            is_self_trade = (
                maker.account == taker.account and taker.self_trade is not SelfTrade.NONE
            )
            end = self._prevent(maker, quantity) if is_self_trade else self._fill(maker, quantity)
            if end is not None:
                return end
            if quantity < offered and maker.id not in self._ended:
                # More of this one cannot be paid, so nothing of a worse one may be taken.
                return _SPENT
        return _NOBODY_LEFT

    def _fill(self, maker: Order, quantity: int) -> _End | None:
        sweep, price = self._sweep, maker.price
        sweep.steps.append(Fill(maker.id, price, quantity))
        cost = self._market.notional(price, quantity)
        sweep.taken += quantity
        sweep.cost += cost
        return self._use(quantity, cost, _SPENT)

    def _prevent(self, maker: Order, quantity: int) -> _End | None:
        """An order that expires loses all it has left; otherwise both lose the same piece."""
        mode = self._taker.self_trade
        taker_quantity = maker_quantity = quantity
        if mode is not SelfTrade.DECREMENT:
            taker_quantity = quantity if self._is_by_quote else self._left
            maker_quantity = maker.remaining
        if mode is SelfTrade.EXPIRE_MAKER:
            taker_quantity = 0
        if mode is SelfTrade.EXPIRE_TAKER:
            maker_quantity = 0
        self._sweep.steps.append(Prevention(maker.id, maker.price, taker_quantity, maker_quantity))
        self._sweep.prevented += taker_quantity
        if mode is SelfTrade.EXPIRE_MAKER:
            self._ended.add(maker.id)
            return None
        if mode is SelfTrade.DECREMENT:
            return self._use(quantity, self._market.notional(maker.price, quantity), _SELF_TRADE)
        return _SELF_TRADE

    def _use(self, quantity: int, cost: int, end: _End) -> _End | None:
        """Count what a piece used up; `end` where nothing is left."""
        self._left -= quantity
        if self._budget is not None:
            self._budget -= cost
        return None if self._left else end

    def _decide(self, end: _End) -> tuple[OrderStatus | None, ExpiryReason | None]:
        taker = self._taker
        if taker.time_in_force is TimeInForce.FOK and self._sweep.taken != taker.remaining:
            return OrderStatus.EXPIRED, ExpiryReason.UNFILLED_FOK
        if end.status is not None:
            return end.status, end.reason
        if self._is_by_quote:
            if end.is_spent or not self._could_take_more():
                return self._used_up(), None
            return OrderStatus.EXPIRED, ExpiryReason.INSUFFICIENT_LIQUIDITY
        if not self._left:
            return OrderStatus.FILLED, None
        if taker.type.is_market:
            return OrderStatus.EXPIRED, (
                ExpiryReason.REJECTED if end.is_spent else ExpiryReason.INSUFFICIENT_LIQUIDITY
            )
        if taker.time_in_force is TimeInForce.IOC:
            return OrderStatus.EXPIRED, ExpiryReason.UNFILLED_IOC
        return None, None

    def _used_up(self) -> OrderStatus:
        """How a quote amount ends that bought all it could: by its last piece."""
        steps = self._sweep.steps
        is_lost = steps and isinstance(steps[-1], Prevention) and steps[-1].taker_quantity
        return OrderStatus.EXPIRED_IN_MATCH if is_lost else OrderStatus.FILLED

    def _could_take_more(self) -> bool:
        """Whether the rest of a quote amount would buy a lot at the last price, if one was there."""
        steps, budget = self._sweep.steps, self._budget
        assert budget is not None
        return not steps or self._market.quantity_for(budget, steps[-1].price) > 0

    def _keep_market_lots(self) -> None:
        """Leave out what is not a multiple of the lot for market orders, from the last trade on."""
        sweep, lot = self._sweep, self._market.rules.market_lot
        excess = sweep.taken % lot if lot else 0
        kept: list[Fill | Prevention] = []
        for step in reversed(sweep.steps):
            if excess and isinstance(step, Fill):
                cut = min(excess, step.quantity)
                excess -= cut
                sweep.taken -= cut
                sweep.cost -= self._market.notional(step.price, cut)
                step = Fill(step.maker_id, step.price, step.quantity - cut)
            if not isinstance(step, Fill) or step.quantity:
                kept.append(step)
        sweep.steps = kept[::-1]


def _pieces(side: BookSide, ended: set[int]) -> Iterator[tuple[Order, int]]:
    """What a side offers piece by piece, with the slices that icebergs show one after another."""
    for level in side.levels():
        hidden: deque[tuple[Order, int]] = deque()
        for order in level.orders.values():
            remaining = order.remaining
            if order.special is None:
                yield order, remaining
                continue
            shown = order.shown
            yield order, shown
            if remaining > shown:
                hidden.append((order, remaining - shown))
        while hidden:
            order, rest = hidden.popleft()
            if order.id in ended:
                continue
            piece = min(rest, order.terms.iceberg_quantity)
            yield order, piece
            if rest > piece:
                hidden.append((order, rest - piece))


def _price_range(book: OrderBook, side: Side, now: int) -> tuple[int, int]:
    """The lowest and the highest price at which a taker may trade now; 0 is no bound."""
    up, down = book.market.rules.price_range(side)
    if not up and not down:
        return 0, 0
    average = book.average(now)
    return -(-average * down // RATE_SCALE), average * up // RATE_SCALE


def _crosses(taker: Order, price: int) -> bool:
    return price <= taker.price if taker.side is Side.BUY else price >= taker.price
