"""Orders and their lists as the public API writes them: one answer for each thing one may ask."""

from collections.abc import Iterable, Mapping

from exchange.backend.formats import (
    ZERO,
    Json,
    TimeUnit,
    commission,
    discount,
    price,
    quantity,
    rate,
)
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.orders import ListStatus
from exchange.services.rows import Account, Amendment, Order, OrderList, PreventedMatch, Trade

NO_LIST = -1
NOT_YET = -1
"""In place of a time: an order that does not work, a trailing stop that does not follow yet."""

_LIST_STATUS_TYPES = {
    ListStatus.EXECUTING: "EXEC_STARTED",
    ListStatus.ALL_DONE: "ALL_DONE",
}

_AMENDED_NAMES = {
    "origQty": "qty",
    "origQuoteOrderQty": "quoteOrderQty",
    # Only there it has one m.
    "cummulativeQuoteQty": "cumulativeQuoteQty",
}


# --- One order ---


def acknowledgement(order: Order, time: int, unit: TimeUnit) -> Json:
    """The shortest answer to a new order: ACK."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": order.client_order_id,
        "transactTime": unit.of(time),
    }


def placement(market: Market, order: Order, time: int, unit: TimeUnit) -> Json:
    """The answer with the order's state: RESULT."""
    return {
        **acknowledgement(order, time, unit),
        **_state(market, order),
        "workingTime": working_time(order, unit),
        **_conditional(market, order, unit),
    }


def full_placement(
    market: Market,
    order: Order,
    trades: Iterable[Trade],
    prevented: Iterable[PreventedMatch],
    assets: Mapping[str, Asset],
    time: int,
    unit: TimeUnit,
) -> Json:
    """The answer with the order's own trades, and those that were prevented: FULL."""
    answer = placement(market, order, time, unit)
    answer["fills"] = [_fill(market, order, trade, assets) for trade in trades]
    if matches := [_prevented_match(market, one) for one in prevented]:
        answer["preventedMatches"] = matches
    return answer


def cancellation(
    market: Market, order: Order, client_order_id: str, time: int, unit: TimeUnit
) -> Json:
    """`client_order_id` is that of the cancel itself."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": client_order_id,
        "transactTime": unit.of(time),
        **_state(market, order),
        **_conditional(market, order, unit),
    }


def amendment(market: Market, row: Amendment, order: Order, time: int, unit: TimeUnit) -> Json:
    """What an order has become by being made smaller."""
    amended = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": list_id(order),
        "origClientOrderId": row.client_order_id,
        "clientOrderId": order.client_order_id,
        "preventedQty": quantity(market, order.terms.prevented),
        **_conditional(market, order, unit),
    }
    for name, value in _state(market, order).items():
        amended[_AMENDED_NAMES.get(name, name)] = value
    if order.terms.working_time != 0:
        amended["workingTime"] = working_time(order, unit)
    return {
        "transactTime": unit.of(time),
        "executionId": row.number,
        "amendedOrder": amended,
    }


def order_information(market: Market, order: Order, unit: TimeUnit) -> Json:
    """An order as those who ask for it see it."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": list_id(order),
        "clientOrderId": order.client_order_id,
        **_state(market, order),
        "stopPrice": price(market, 0),
        "icebergQty": quantity(market, 0),
        "time": unit.of(order.created),
        "updateTime": unit.of(order.updated),
        "isWorking": order.terms.working_time != 0,
        "workingTime": working_time(order, unit),
        **_conditional(market, order, unit),
    }


def list_id(order: Order) -> int:
    return order.terms.list_id or NO_LIST


def working_time(order: Order, unit: TimeUnit) -> int:
    """Since when it has been in the book, or could have been."""
    time = order.terms.working_time
    if time is None:
        time = order.created
    return unit.of(time) if time else NOT_YET


def _state(market: Market, order: Order) -> Json:
    return {
        "price": price(market, order.price),
        "origQty": quantity(market, order.quantity),
        "executedQty": quantity(market, order.filled),
        "origQuoteOrderQty": price(market, order.quote_quantity),
        # Binance spells it so.
        "cummulativeQuoteQty": price(market, order.filled_quote),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.value,
        "selfTradePreventionMode": order.self_trade.value,
    }


def _conditional(market: Market, order: Order, unit: TimeUnit) -> Json:
    """What only some orders have, and only their answers tell."""
    special = order.special
    if special is None:
        return {}
    fields: Json = {}
    if order.type.is_contingent:
        fields["stopPrice"] = price(market, special.stop_price)
    if special.trailing_delta:
        fields["trailingDelta"] = special.trailing_delta
        time = special.trailing_time
        fields["trailingTime"] = unit.of(time) if time else NOT_YET
    if special.iceberg_quantity:
        fields["icebergQty"] = quantity(market, special.iceberg_quantity)
    if special.strategy_id is not None:
        fields["strategyId"] = special.strategy_id
    if special.strategy_type is not None:
        fields["strategyType"] = special.strategy_type
    if special.prevented_match_id is not None:
        fields["preventedMatchId"] = special.prevented_match_id
        fields["preventedQuantity"] = quantity(market, special.prevented)
    if special.expiry_reason is not None:
        fields["expiryReason"] = special.expiry_reason.value
    return fields


def _fill(market: Market, order: Order, trade: Trade, assets: Mapping[str, Asset]) -> Json:
    fee, asset = commission(market, order.side, trade, assets)
    return {
        "price": price(market, trade.price),
        "qty": quantity(market, trade.quantity),
        "commission": fee,
        "commissionAsset": asset,
        "tradeId": trade.id,
    }


def _prevented_match(market: Market, match: PreventedMatch) -> Json:
    fields = {
        "preventedMatchId": match.id,
        "makerSymbol": match.symbol,
        "makerOrderId": match.maker_order,
        "price": price(market, match.price),
    }
    if match.taker_quantity:
        fields["takerPreventedQuantity"] = quantity(market, match.taker_quantity)
    if match.maker_quantity:
        fields["makerPreventedQuantity"] = quantity(market, match.maker_quantity)
    return fields


def commission_rates(market: Market, account: Account, rules: ExchangeRules) -> Json:
    """What the trades of an order would cost this account."""
    maker, taker = market.fee_rates(account.tier)
    none = {"maker": ZERO, "taker": ZERO}
    return {
        "standardCommissionForOrder": {"maker": rate(maker), "taker": rate(taker)},
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": discount(market, account, rules),
    }


# --- Lists of orders ---


def list_information(order_list: OrderList, orders: Iterable[Order], unit: TimeUnit) -> Json:
    """A list as it became at its last change, and the names of all its orders."""
    return {
        "orderListId": order_list.id,
        "contingencyType": order_list.contingency.value,
        "listStatusType": _LIST_STATUS_TYPES[order_list.status],
        "listOrderStatus": order_list.status.value,
        "listClientOrderId": order_list.client_list_id,
        "transactionTime": unit.of(order_list.updated),
        "symbol": order_list.symbol,
        "orders": _members(orders),
    }


def list_report(
    order_list: OrderList,
    orders: Iterable[Order],
    reports: Iterable[Json],
    unit: TimeUnit,
) -> Json:
    """A list that was placed or canceled, with what became of each order that was."""
    return {
        **list_information(order_list, orders, unit),
        "orderReports": list(reports),
    }


def list_status(order_list: OrderList, orders: Iterable[Order]) -> Json:
    """The list that an amended order belongs to."""
    return {
        "orderListId": order_list.id,
        "contingencyType": order_list.contingency.value,
        "listOrderStatus": order_list.status.value,
        "listClientOrderId": order_list.client_list_id,
        "symbol": order_list.symbol,
        "orders": _members(orders),
    }


def _members(orders: Iterable[Order]) -> list[Json]:
    return [
        {"symbol": order.symbol, "orderId": order.id, "clientOrderId": order.client_order_id}
        for order in orders
    ]
