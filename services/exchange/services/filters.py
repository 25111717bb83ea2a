"""What a market does not take, whoever asks: unsupported orders, and those that fail a filter.

The engine decides with it, and the backend's test of an order answers with it.
"""

from enum import StrEnum

from exchange.services.commands import NewOrder
from exchange.services.markets import (
    RATE_SCALE,
    TRAILING_DELTA_MAX,
    ExchangeRules,
    Feature,
    Market,
    Rules,
)
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import OrderType, Side, TimeInForce


class Filter(StrEnum):
    """The rules of a market, and of the exchange, by the names of the public API."""

    PRICE_FILTER = "PRICE_FILTER"
    PERCENT_PRICE = "PERCENT_PRICE"
    PERCENT_PRICE_BY_SIDE = "PERCENT_PRICE_BY_SIDE"
    LOT_SIZE = "LOT_SIZE"
    MARKET_LOT_SIZE = "MARKET_LOT_SIZE"
    MIN_NOTIONAL = "MIN_NOTIONAL"
    NOTIONAL = "NOTIONAL"
    ICEBERG_PARTS = "ICEBERG_PARTS"
    TRAILING_DELTA = "TRAILING_DELTA"
    MAX_ASSET = "MAX_ASSET"
    MAX_POSITION = "MAX_POSITION"
    MAX_NUM_ORDERS = "MAX_NUM_ORDERS"
    MAX_NUM_ALGO_ORDERS = "MAX_NUM_ALGO_ORDERS"
    MAX_NUM_ICEBERG_ORDERS = "MAX_NUM_ICEBERG_ORDERS"
    MAX_NUM_ORDER_LISTS = "MAX_NUM_ORDER_LISTS"
    MAX_NUM_ORDER_AMENDS = "MAX_NUM_ORDER_AMENDS"
    EXCHANGE_MAX_NUM_ORDERS = "EXCHANGE_MAX_NUM_ORDERS"
    EXCHANGE_MAX_NUM_ALGO_ORDERS = "EXCHANGE_MAX_NUM_ALGO_ORDERS"
    EXCHANGE_MAX_NUM_ICEBERG_ORDERS = "EXCHANGE_MAX_NUM_ICEBERG_ORDERS"
    EXCHANGE_MAX_NUM_ORDER_LISTS = "EXCHANGE_MAX_NUM_ORDER_LISTS"


def order_refusal(
    market: Market, exchange: ExchangeRules, order: NewOrder, average_price: int
) -> Rejected | None:
    """Why no account may place such an order here now; None if one may.

    `average_price` is the market's, in quote units for one whole base (0: it has never traded,
    and what depends on it is not checked).
    """
    if not _is_well_formed(order):
        return Rejected(reason=Reason.INVALID)
    if (lacking := _lacking(market.rules, order)) is not None:
        return Rejected(reason=Reason.NOT_SUPPORTED, detail=lacking)
    if order.self_trade is not None and order.self_trade not in market.rules.self_trade_modes:
        return Rejected(reason=Reason.SELF_TRADE_MODE)
    if order.iceberg_quantity and order.iceberg_quantity > (order.quantity or 0):
        return Rejected(reason=Reason.ICEBERG_TOO_LARGE)
    failed = _failed_filter(market, exchange, order, average_price)
    return None if failed is None else filter_failure(failed)


def filter_failure(failed: Filter) -> Rejected:
    return Rejected(reason=Reason.FILTER, detail=failed.value)


def notional_filter(market: Market) -> Filter:
    """The name under which the notional is limited: with a maximum, or by a minimum only."""
    return Filter.NOTIONAL if market.notional_max else Filter.MIN_NOTIONAL


def quantity_failure(
    market: Market, order_type: OrderType, quantity: int, iceberg_quantity: int = 0
) -> Filter | None:
    """The first filter that a quantity, or a slice of it, does not pass."""
    low, high = market.quantity_min, market.quantity_max
    if not _on_grid(quantity, market.lot, low, high):
        return Filter.LOT_SIZE
    if iceberg_quantity and not _on_grid(iceberg_quantity, market.lot, low, high):
        return Filter.LOT_SIZE
    rules = market.rules
    if order_type.is_market and rules.market_lot:
        low, high = rules.market_quantity_min, rules.market_quantity_max or quantity
        if not _on_grid(quantity, rules.market_lot, low, high):
            return Filter.MARKET_LOT_SIZE
    return None


def notional_failure(
    market: Market, order_type: OrderType, price: int, quantity: int
) -> Filter | None:
    """Whether a quantity at a price is worth too little, or too much."""
    # An average price need not lie on the tick, so this floors instead of asserting.
    return _notional_failure(market, order_type, price * quantity // market.base_unit)


def _notional_failure(market: Market, order_type: OrderType, notional: int) -> Filter | None:
    rules, is_market = market.rules, order_type.is_market
    too_small = notional < market.notional_min and (rules.notional_min_for_market or not is_market)
    too_large = notional > (market.notional_max or notional) and (
        rules.notional_max_for_market or not is_market
    )
    return notional_filter(market) if too_small or too_large else None


def _is_well_formed(order: NewOrder) -> bool:
    """Whether the parts fit each other; that of the public API does not get here otherwise."""
    type = order.type
    if order.quote_quantity is not None:
        if type is not OrderType.MARKET or order.quantity is not None or order.quote_quantity <= 0:
            return False
    elif order.quantity is None:
        return False
    if type.is_market and order.price:
        return False
    if type.is_contingent != bool(order.stop_price or order.trailing_delta):
        return False
    if min(order.stop_price, order.trailing_delta, order.iceberg_quantity) < 0:
        return False
    if order.iceberg_quantity and (type.is_market or order.time_in_force is not TimeInForce.GTC):
        return False
    takes_life = not (type is OrderType.LIMIT_MAKER or type.is_market)
    return takes_life or order.time_in_force is TimeInForce.GTC


def _lacking(rules: Rules, order: NewOrder) -> str | None:
    """What the order needs and the market does not offer."""
    if order.type not in rules.order_types:
        return order.type.value
    features = rules.features
    if order.iceberg_quantity and Feature.ICEBERG not in features:
        return Feature.ICEBERG.value
    if order.trailing_delta and Feature.TRAILING not in features:
        return Feature.TRAILING.value
    if order.quote_quantity is not None and Feature.QUOTE_QUANTITY not in features:
        return Feature.QUOTE_QUANTITY.value
    return None


def _failed_filter(
    market: Market, exchange: ExchangeRules, order: NewOrder, average_price: int
) -> Filter | None:
    """The first that the order does not pass: prices, quantities, then what it is worth."""
    has_price = not order.type.is_market
    if has_price and not _is_price(market, order.price):
        return Filter.PRICE_FILTER
    if order.stop_price and not _is_price(market, order.stop_price):
        return Filter.PRICE_FILTER
    if has_price and average_price:
        failed = _percent_price_failure(market.rules, order, average_price)
        if failed is not None:
            return failed
    if order.trailing_delta and not _is_delta(market.rules, order):
        return Filter.TRAILING_DELTA
    quantity = order.quantity
    if quantity is not None:
        failed = quantity_failure(market, order.type, quantity, order.iceberg_quantity)
        if failed is not None:
            return failed
    price = order.price if has_price else average_price
    notional = order.quote_quantity
    if quantity is not None and price:
        notional = price * quantity // market.base_unit
    if notional is not None:
        failed = _notional_failure(market, order.type, notional)
        if failed is not None:
            return failed
    if quantity and order.iceberg_quantity and market.rules.iceberg_parts:
        parts = -(-quantity // order.iceberg_quantity)
        if parts > market.rules.iceberg_parts:
            return Filter.ICEBERG_PARTS
    base_max = exchange.assets_max.get(market.base)
    quote_max = exchange.assets_max.get(market.quote)
    if base_max is not None and (quantity or 0) > base_max:
        return Filter.MAX_ASSET
    return Filter.MAX_ASSET if quote_max is not None and (notional or 0) > quote_max else None


def _percent_price_failure(rules: Rules, order: NewOrder, average: int) -> Filter | None:
    if not _within(order.price, average, rules.price_up, rules.price_down):
        return Filter.PERCENT_PRICE
    if not _within(order.price, average, *rules.multipliers(order.side)):
        return Filter.PERCENT_PRICE_BY_SIDE
    return None


def _within(price: int, average: int, up: int, down: int) -> bool:
    """Whether a price is between two multiples of the average; 0 is no bound."""
    scaled = price * RATE_SCALE
    return not (up and scaled > average * up) and scaled >= average * down


def _is_delta(rules: Rules, order: NewOrder) -> bool:
    is_above = order.type.is_stop_loss == (order.side is Side.BUY)
    low, high = rules.trailing_deltas[0 if is_above else 1]
    return low <= order.trailing_delta <= (high or TRAILING_DELTA_MAX)


def _is_price(market: Market, price: int) -> bool:
    return _on_grid(price, market.tick, market.tick, market.price_max)


def _on_grid(value: int, step: int, low: int, high: int) -> bool:
    return low <= value <= high and value % step == 0
