"""How an order enters its market: what it has to hold, and whether it waits, trades or rests.

One way for all that enter: new orders, legs of lists, and orders whose turn has come. Nothing in
here changes anything.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from exchange.engine.fills import Prevention, Sweep, plan_sweep, would_match
from exchange.engine.ledger import Ledger
from exchange.engine.order_book import OrderBook
from exchange.engine.triggers import is_met
from exchange.services.commands import Command, NewOrder
from exchange.services.filters import Filter, filter_failure
from exchange.services.markets import BASIS_POINTS, Market
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import ExpiryReason, OrderStatus, OrderType, Side
from exchange.services.rows import Order, Special


class Entry(Struct, frozen=True):
    """An order as it begins, what it locks, and what it takes (None: it waits for a price)."""

    order: Order
    lock: int
    sweep: Sweep | None


def new_order(
    command: Command, new: NewOrder, book: OrderBook, order_id: int, now: int, *, list_id: int = 0
) -> Order:
    """The order that a command asks for, not yet in its market."""
    return Order(
        symbol=book.market.symbol,
        id=order_id,
        account=command.account,
        client_order_id=new.client_order_id,
        side=new.side,
        type=new.type,
        time_in_force=new.time_in_force,
        price=new.price,
        quantity=new.quantity or 0,
        quote_quantity=new.quote_quantity or 0,
        filled=0,
        filled_quote=0,
        locked=0,
        status=OrderStatus.NEW,
        queue=0,
        created=now,
        updated=now,
        request=command.request,
        deadline=command.deadline,
        self_trade=new.self_trade or book.market.rules.self_trade_default,
        special=_special(new, book, list_id),
    )


def _special(new: NewOrder, book: OrderBook, list_id: int) -> Special | None:
    waits = new.type.is_contingent
    if not (
        waits
        or list_id
        or new.iceberg_quantity
        or new.strategy_id is not None
        or new.strategy_type is not None
    ):
        return None
    special = Special(
        stop_price=new.stop_price,
        trailing_delta=new.trailing_delta,
        waiting=waits,
        iceberg_quantity=new.iceberg_quantity,
        shown=min(new.iceberg_quantity, new.quantity or 0),
        strategy_id=new.strategy_id,
        strategy_type=new.strategy_type,
        list_id=list_id,
        working_time=0 if waits else None,
    )
    return replace(special, lock_price=_lock_price(new, special, book))


def _lock_price(order: NewOrder | Order, special: Special, book: OrderBook) -> int:
    """At which price a buy without a limit is held: where it will be set off, as far as known."""
    if not (special.waiting and order.type.is_market and order.side is Side.BUY):
        return 0
    # Rounded up.
    trail = BASIS_POINTS + special.trailing_delta
    return special.stop_price or -(-book.last_price * trail // BASIS_POINTS)


def held_back(order: Order) -> Order:
    """An order that another one of its list will start."""
    special = replace(order.terms, waiting=False, working_time=0)
    return replace(order, status=OrderStatus.PENDING_NEW, special=special)


def started(order: Order, book: OrderBook, now: int) -> Order:
    """An order that was held back, as if it were new."""
    waits = order.type.is_contingent
    special = replace(order.terms, waiting=waits, working_time=0 if waits else now)
    special = replace(special, lock_price=_lock_price(order, special, book))
    return replace(order, status=OrderStatus.NEW, updated=now, special=special)


def needed_lock(order: Order, market: Market) -> int:
    """What an open order holds for all that it can still trade."""
    if order.side is Side.SELL:
        return order.remaining
    if order.price:
        return market.notional(order.price, order.remaining)
    # A price that was worked out need not lie on the grid: rounded up.
    return -(-order.terms.lock_price * order.remaining // market.base_unit)


def plan_entries(
    orders: Sequence[Order], book: OrderBook, ledger: Ledger, now: int
) -> Rejected | list[Entry]:
    """How an order, or the two legs of an OCO, would enter now, or why they cannot.

    Of two the first one holds for both what they need.
    """
    if len(orders) == 2 and not _are_apart(orders[0], orders[1], book.last_price):
        return Rejected(reason=Reason.LIST_PRICES)
    entries: list[Entry] = []
    for order in orders:
        entry = _plan(order, book, now)
        if isinstance(entry, Rejected):
            return entry
        entries.append(entry)
    lock = max([entry.lock for entry in entries])
    # A market order by quote amount must be covered in full, however little the book offers.
    is_buy = orders[0].side is Side.BUY
    needed = max(lock, orders[0].quote_quantity) if is_buy else lock
    if ledger.free(orders[0].account, locked_asset(orders[0], book.market)) < needed:
        return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
    return [
        Entry(entry.order, 0 if place else lock, entry.sweep) for place, entry in enumerate(entries)
    ]


def locked_asset(order: Order, market: Market) -> str:
    return market.quote if order.side is Side.BUY else market.base


def _plan(order: Order, book: OrderBook, now: int) -> Rejected | Entry:
    market = book.market
    if order.type.is_contingent:
        if not order.terms.trailing_delta and is_met(order, book.last_price):
            return Rejected(reason=Reason.WOULD_TRIGGER)
        return Entry(order, needed_lock(order, market), None)
    if order.type is OrderType.LIMIT_MAKER and would_match(order, book):
        return Rejected(reason=Reason.WOULD_MATCH)
    sweep = plan_sweep(order, book, now)
    if order.type is not OrderType.MARKET:
        return Entry(order, needed_lock(order, market), sweep)
    if (refusal := _market_refusal(order, book, sweep)) is not None:
        return refusal
    if order.quote_quantity:
        order = replace(order, quantity=sweep.taken + sweep.prevented)
    return Entry(order, sweep.cost if order.side is Side.BUY else sweep.taken, sweep)


def _market_refusal(order: Order, book: OrderBook, sweep: Sweep) -> Rejected | None:
    """A market order needs somebody to trade with, and by quote amount at least the least lot."""
    if any(isinstance(step, Prevention) for step in sweep.steps):
        return None
    if not book.opposite(order.side):
        return Rejected(reason=Reason.NO_LIQUIDITY)
    if not order.quote_quantity or sweep.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED:
        return None
    rules = book.market.rules
    for failed, least in (
        (Filter.LOT_SIZE, book.market.quantity_min),
        (Filter.MARKET_LOT_SIZE, rules.market_quantity_min if rules.market_lot else 0),
    ):
        if sweep.taken < least:
            if sweep.expiry_reason is ExpiryReason.INSUFFICIENT_LIQUIDITY:
                return Rejected(reason=Reason.TOO_LITTLE_LIQUIDITY, detail=failed.value)
            return filter_failure(failed)
    return None


def _are_apart(above: Order, below: Order, last_price: int) -> bool:
    """Whether the legs of an OCO are on both sides of the last price, as far as they have prices."""
    high, low = _leg_price(above), _leg_price(below)
    if high and low and high <= low:
        return False
    return not last_price or ((not high or high > last_price) and (not low or low < last_price))


def _leg_price(order: Order) -> int:
    return order.terms.stop_price if order.type.is_contingent else order.price
