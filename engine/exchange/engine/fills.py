"""What an incoming order would do to the book: which resting orders it takes, and what it costs."""

from msgspec import Struct

from exchange.engine.order_book import OrderBook
from exchange.services.markets import Market
from exchange.services.messages import Order, OrderType, PlaceOrder, Side


class Fill(Struct, frozen=True):
    """A piece of a resting order that an incoming one takes, at the resting order's price."""

    maker: Order
    quantity: int


def plan_fills(command: PlaceOrder, book: OrderBook) -> list[Fill]:
    """What an order would take from the book now, by price-time priority."""
    fills: list[Fill] = []
    quantity, quote = command.quantity, command.quote_quantity
    for maker in book.opposite(command.side).orders():
        if command.type is not OrderType.MARKET and not _crosses(command, maker.price):
            break
        open_quantity = maker.quantity - maker.filled
        if quantity is not None:
            taken = min(open_quantity, quantity)
            quantity -= taken
        else:
            assert quote is not None
            taken = min(open_quantity, book.market.quantity_for(quote, maker.price))
            quote -= book.market.notional(maker.price, taken)
        if not taken:
            break
        fills.append(Fill(maker, taken))
        if command.type is OrderType.LIMIT_MAKER or quantity == 0:
            break
    return fills


def is_well_formed(command: PlaceOrder) -> bool:
    """A market order has one of quantity and quote amount, and no price; others have a quantity."""
    if command.type is not OrderType.MARKET:
        return command.quantity is not None and command.quote_quantity is None
    if command.price:
        return False
    if command.quote_quantity is not None:
        return command.quantity is None and command.quote_quantity > 0
    return command.quantity is not None


def needed_lock(command: PlaceOrder, market: Market, fills: list[Fill]) -> int:
    """What the order holds from its start: quote units of a buy, base units of a sell."""
    if command.type is not OrderType.MARKET:
        assert command.quantity is not None
        if command.side is Side.SELL:
            return command.quantity
        return market.notional(command.price, command.quantity)
    if command.side is Side.SELL:
        return sum(fill.quantity for fill in fills)
    return sum(market.notional(fill.maker.price, fill.quantity) for fill in fills)


def ran_out_of_book(order: Order, book: OrderBook) -> bool:
    """Whether a market order by quote amount stopped only because nobody was left to trade with."""
    if not order.quote_quantity or book.opposite(order.side):
        return False
    quote_left = order.quote_quantity - order.filled_quote
    return book.market.quantity_for(quote_left, book.last_price) > 0


def _crosses(command: PlaceOrder, price: int) -> bool:
    return price <= command.price if command.side is Side.BUY else price >= command.price
