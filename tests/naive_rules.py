"""What a market of the slow, obvious exchange refuses, each rule by itself."""

from collections.abc import Iterator

from naive_orders import CONTINGENT, STOP_LOSSES, WITHOUT_PRICE, NaiveOrder

from exchange.services.commands import NewOrder
from exchange.services.markets import ExchangeRules, Feature, Market
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import OrderType, Side, TimeInForce


def refused(reason: Reason, detail: str = "") -> Rejected:
    return Rejected(reason=reason, detail=detail)


def failed(name: str) -> Rejected:
    return refused(Reason.FILTER, name)


def order_refusal(
    market: Market, exchange: ExchangeRules, order: NewOrder, average: int
) -> Rejected | None:
    if not is_formed(order):
        return refused(Reason.INVALID)
    rules = market.rules
    if order.type not in rules.order_types:
        return refused(Reason.NOT_SUPPORTED, order.type.value)
    for feature, needed in (
        (Feature.ICEBERG, order.iceberg_quantity > 0),
        (Feature.TRAILING, order.trailing_delta > 0),
        (Feature.QUOTE_QUANTITY, order.quote_quantity is not None),
    ):
        if needed and feature not in rules.features:
            return refused(Reason.NOT_SUPPORTED, feature.value)
    if order.self_trade is not None and order.self_trade not in rules.self_trade_modes:
        return refused(Reason.SELF_TRADE_MODE)
    if order.iceberg_quantity > (order.quantity or 0):
        return refused(Reason.ICEBERG_TOO_LARGE)
    for name, passes in _filters(market, exchange, order, average):
        if not passes:
            return failed(name)
    return None


def is_formed(order: NewOrder) -> bool:
    if (order.quantity is None) == (order.quote_quantity is None):
        return False
    if order.quote_quantity is not None:
        return order.type is OrderType.MARKET and order.quote_quantity > 0 and _is_plain(order)
    if min(order.stop_price, order.trailing_delta, order.iceberg_quantity) < 0:
        return False
    if order.type in WITHOUT_PRICE and order.price:
        return False
    if (order.type in CONTINGENT) != bool(order.stop_price or order.trailing_delta):
        return False
    has_life = order.type not in WITHOUT_PRICE and order.type is not OrderType.LIMIT_MAKER
    if not has_life and order.time_in_force is not TimeInForce.GTC:
        return False
    if order.iceberg_quantity:
        return order.time_in_force is TimeInForce.GTC and order.type not in WITHOUT_PRICE
    return True


def _is_plain(order: NewOrder) -> bool:
    extras = (order.price, order.stop_price, order.trailing_delta, order.iceberg_quantity)
    return not any(extras) and order.time_in_force is TimeInForce.GTC


def _filters(
    market: Market, exchange: ExchangeRules, order: NewOrder, average: int
) -> Iterator[tuple[str, bool]]:
    """Every filter by name, and whether the order passes it, in the order of the checks."""
    rules, quantity, has_price = market.rules, order.quantity, order.type not in WITHOUT_PRICE
    for price in [order.price] * has_price + [order.stop_price] * (order.stop_price != 0):
        on_grid = price % market.tick == 0 and market.tick <= price <= market.price_max
        yield "PRICE_FILTER", on_grid
    if has_price and average:
        yield "PERCENT_PRICE", _within(order.price, average, rules.price_up, rules.price_down)
        if order.side is Side.BUY:
            passes = _within(order.price, average, rules.bid_up, rules.bid_down)
        else:
            passes = _within(order.price, average, rules.ask_up, rules.ask_down)
        yield "PERCENT_PRICE_BY_SIDE", passes
    if order.trailing_delta:
        least, most = rules.trailing_below_min, rules.trailing_below_max
        if (order.type in STOP_LOSSES) == (order.side is Side.BUY):
            least, most = rules.trailing_above_min, rules.trailing_above_max
        yield "TRAILING_DELTA", order.trailing_delta >= least
        yield "TRAILING_DELTA", not most or order.trailing_delta <= most
    if quantity is not None:
        yield from quantity_filters(market, order.type, quantity)
        if order.iceberg_quantity:
            yield from quantity_filters(market, OrderType.LIMIT, order.iceberg_quantity)
    price = order.price if has_price else average
    worth = None
    if quantity is None:
        worth = order.quote_quantity
    elif price:
        worth = price * quantity // market.base_unit
    if worth is not None:
        yield from worth_filters(market, order.type, worth)
    if order.iceberg_quantity and quantity is not None and rules.iceberg_parts:
        slices = (quantity + order.iceberg_quantity - 1) // order.iceberg_quantity
        yield "ICEBERG_PARTS", slices <= rules.iceberg_parts
    limits = exchange.assets_max
    yield "MAX_ASSET", (quantity or 0) <= limits.get(market.base, quantity or 0)
    yield "MAX_ASSET", (worth or 0) <= limits.get(market.quote, worth or 0)


def quantity_filters(market: Market, type: OrderType, quantity: int) -> Iterator[tuple[str, bool]]:
    rules = market.rules
    within = market.quantity_min <= quantity <= market.quantity_max
    yield "LOT_SIZE", within and quantity % market.lot == 0
    if type in WITHOUT_PRICE and rules.market_lot:
        most = rules.market_quantity_max or quantity
        within = rules.market_quantity_min <= quantity <= most
        yield "MARKET_LOT_SIZE", within and quantity % rules.market_lot == 0


def worth_filters(market: Market, type: OrderType, worth: int) -> Iterator[tuple[str, bool]]:
    name = "NOTIONAL" if market.notional_max else "MIN_NOTIONAL"
    if type not in WITHOUT_PRICE or market.rules.notional_min_for_market:
        yield name, worth >= market.notional_min
    if market.notional_max and (type not in WITHOUT_PRICE or market.rules.notional_max_for_market):
        yield name, worth <= market.notional_max


def _within(price: int, average: int, up: int, down: int) -> bool:
    too_high = up > 0 and price * 1_000_000 > average * up
    return not too_high and price * 1_000_000 >= average * down


def count_refusal(
    market: Market,
    exchange: ExchangeRules,
    here: list[NaiveOrder],
    everywhere: list[NaiveOrder],
    lists: tuple[int, int],
    added: list[NewOrder],
    *,
    adds_list: bool,
) -> Rejected | None:
    """`here` and `everywhere` are the account's open orders; so are `lists`, their numbers."""
    new_algos = sum(order.type in CONTINGENT for order in added)
    new_icebergs = sum(order.iceberg_quantity > 0 for order in added)
    for prefix, rules, orders, open_lists in (
        ("", market.rules, here, lists[0]),
        ("EXCHANGE_", exchange, everywhere, lists[1]),
    ):
        algos = sum(order.new.type in CONTINGENT for order in orders)
        icebergs = sum(order.new.iceberg_quantity > 0 for order in orders)
        for name, most, before, more in (
            ("MAX_NUM_ORDERS", rules.orders_max, len(orders), len(added)),
            ("MAX_NUM_ALGO_ORDERS", rules.algo_orders_max, algos, new_algos),
            ("MAX_NUM_ICEBERG_ORDERS", rules.iceberg_orders_max, icebergs, new_icebergs),
            ("MAX_NUM_ORDER_LISTS", rules.order_lists_max, open_lists, int(adds_list)),
        ):
            if more and most and before + more > most:
                return failed(prefix + name)
    return None


def is_list(orders: tuple[NewOrder, ...], *, oco: bool) -> bool:
    """Whether such orders can be bound together."""
    if any(order.quote_quantity is not None for order in orders):
        return False
    if oco:
        return len(orders) == 2 and _are_legs(*orders)
    if len(orders) not in (2, 3):
        return False
    if orders[0].type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
        return False
    return len(orders) == 2 or _are_legs(orders[1], orders[2])


def _are_legs(above: NewOrder, below: NewOrder) -> bool:
    """One leg is a gain, the other stops a loss; a buyer gains below the market's price."""
    gain, loss = (below, above) if above.side is Side.BUY else (above, below)
    gains = (OrderType.LIMIT_MAKER, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)
    same = above.side is below.side and above.quantity == below.quantity
    return same and gain.type in gains and loss.type in STOP_LOSSES
