"""What the slow, obvious exchange remembers: orders, lists, trades, and what was prevented."""

from dataclasses import dataclass, field

from exchange.services.commands import NewOrder
from exchange.services.orders import (
    Contingency,
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
)

CONTINGENT = {
    OrderType.STOP_LOSS,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
}
STOP_LOSSES = {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT}
WITHOUT_PRICE = {OrderType.MARKET, OrderType.STOP_LOSS, OrderType.TAKE_PROFIT}


@dataclass
class NaiveOrder:
    """`new` is what was asked for; the rest is what became of it."""

    symbol: str
    id: int
    account: int
    new: NewOrder
    client_order_id: str
    quantity: int
    self_trade: SelfTrade
    list_id: int = 0
    status: OrderStatus = OrderStatus.NEW
    filled: int = 0
    filled_quote: int = 0
    prevented: int = 0
    prevented_match: int | None = None
    reason: ExpiryReason | None = None
    amends: int = 0
    place: int = 0
    """Its turn among equals."""
    shown: int = 0
    reserved: int = 0
    """What an order without a price still needs for the trades that it is just doing."""
    worked_since: int | None = None
    """0 while it does not work, None if it did from the beginning."""
    waiting: bool = False
    is_due: bool = False
    """A price has set it off, and its turn to work has not come yet."""
    lock_price: int = 0
    follows: bool = False
    extreme: int = 0

    @property
    def side(self) -> Side:
        return self.new.side

    @property
    def price(self) -> int:
        return self.new.price

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled - self.prevented

    @property
    def is_open(self) -> bool:
        return self.status in (
            OrderStatus.NEW,
            OrderStatus.PARTIALLY_FILLED,
            OrderStatus.PENDING_NEW,
        )

    @property
    def is_pending(self) -> bool:
        return self.status is OrderStatus.PENDING_NEW

    @property
    def is_resting(self) -> bool:
        return self.is_open and not self.is_pending and not self.waiting

    @property
    def waits_for_a_rise(self) -> bool:
        """To its stop price: buying dearer to stop a loss, or selling dearer to take a profit."""
        return (self.new.type in STOP_LOSSES) == (self.side is Side.BUY)

    def meets_stop(self, price: int) -> bool:
        if not price or not self.new.stop_price:
            return False
        if self.waits_for_a_rise:
            return price >= self.new.stop_price
        return price <= self.new.stop_price

    def follow(self, price: int) -> bool:
        """Take the next price into account; whether it is too far from the best one."""
        if not self.extreme:
            self.extreme = price
        delta = self.new.trailing_delta
        if self.side is Side.SELL:
            self.extreme = max(self.extreme, price)
            return price * 10_000 <= self.extreme * (10_000 - delta)
        self.extreme = min(self.extreme, price)
        return price * 10_000 >= self.extreme * (10_000 + delta)

    def crosses(self, price: int) -> bool:
        """Whether it would trade at a price of the other side."""
        if self.new.type in WITHOUT_PRICE:
            return True
        return price <= self.price if self.side is Side.BUY else price >= self.price

    def lose(self, quantity: int, next_place: int) -> None:
        """Show less, by a piece that is gone; an iceberg's next slice comes after all others."""
        self.shown -= quantity
        assert self.shown >= 0, self
        if not self.shown and self.remaining:
            self.show_slice()
            self.place = next_place

    def show_slice(self) -> None:
        self.shown = min(self.new.iceberg_quantity or self.remaining, self.remaining)


@dataclass
class NaiveList:
    id: int
    account: int
    client_list_id: str
    contingency: Contingency
    orders: list[NaiveOrder]
    status: ListStatus = ListStatus.EXECUTING

    @property
    def is_open(self) -> bool:
        return self.status is ListStatus.EXECUTING

    @property
    def legs(self) -> list[NaiveOrder]:
        """Orders of which one ends the other."""
        if self.contingency is Contingency.OCO:
            return self.orders
        return self.orders[1:] if len(self.orders) == 3 else []


@dataclass
class NaiveTrade:
    price: int
    quantity: int
    buy_order: int
    sell_order: int
    taker_side: Side
    buy_fee: tuple[int, str] = (0, "")
    sell_fee: tuple[int, str] = (0, "")


@dataclass
class NaivePrevention:
    id: int
    taker_order: int
    maker_order: int
    self_trade: SelfTrade
    price: int
    taker_quantity: int
    maker_quantity: int


@dataclass
class Step:
    """One meeting of a taker with a resting order, at that one's price."""

    maker: int
    price: int
    used: int = 0
    """What both trade, or both lose; 0 where self-trade prevention ends one of them."""
    traded: int = 0
    taker_prevented: int = 0
    maker_prevented: int = 0


@dataclass
class Sweep:
    """All meetings of a taker, and why there are no more. A budget is in quote units."""

    budget: int | None
    by_quote: bool
    steps: list[Step] = field(default_factory=list)
    why: str = ""

    @property
    def traded(self) -> int:
        return sum(step.traded for step in self.steps)
