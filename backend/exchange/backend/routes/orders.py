"""Orders: placing, testing and cancelling them. Everything that goes to the engine."""

import base64
import hashlib
from typing import Any

from exchange.backend import errors, formats
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import Fault
from exchange.backend.formats import Json
from exchange.backend.gateway import NotExecuted, OutcomeUnknown
from exchange.backend.parameters import (
    CLIENT_ID_PATTERN,
    ORDER_ID,
    ORIGINAL_CLIENT_ORDER_ID,
    SYMBOL,
    Parameter,
    Values,
    choice_parameter,
    decimal_parameter,
    flag_parameter,
    text_parameter,
    unsupported_parameter,
)
from exchange.services.amounts import TooPrecise, parse_amount
from exchange.services.markets import Market, failed_filter
from exchange.services.messages import (
    AnyCommand,
    CancelAllOrders,
    Canceled,
    CancelOrder,
    Order,
    OrderStatus,
    OrderType,
    Outcome,
    Placed,
    PlaceOrder,
    Reason,
    Rejected,
    Repeated,
    Side,
    TimeInForce,
    Trade,
)
from exchange.services.process import WorldFailed

SIDE = choice_parameter(
    "side", {side.value: side for side in Side}, "BUY or SELL.", fault=errors.SIDE
).required()
TYPE = choice_parameter(
    "type", {type.value: type for type in OrderType}, fault=errors.ORDER_TYPE
).required()
TIME_IN_FORCE = choice_parameter(
    "timeInForce",
    {one.value: one for one in TimeInForce},
    "How long a LIMIT order lasts.",
    fault=errors.TIME_IN_FORCE,
)
QUANTITY = decimal_parameter("quantity", "How much of the base asset.")
QUOTE_QUANTITY = decimal_parameter(
    "quoteOrderQty", "How much of the quote asset a MARKET order spends or receives."
)
PRICE = decimal_parameter("price", "The price of a LIMIT or LIMIT_MAKER order.")
NEW_CLIENT_ORDER_ID = text_parameter(
    "newClientOrderId",
    CLIENT_ID_PATTERN,
    "Unique among the account's open orders of the market; made up where there is none.",
)
RESPONSE_TYPE = choice_parameter(
    "newOrderRespType",
    {name: name for name in ("ACK", "RESULT", "FULL")},
    "How much the answer tells: FULL by default, ACK for LIMIT_MAKER.",
)
SELF_TRADE_PREVENTION = choice_parameter(
    "selfTradePreventionMode",
    {formats.NO_STP: formats.NO_STP},
    others=dict.fromkeys(
        ("EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT", "TRANSFER"), errors.STP_MODE
    ),
)
COMPUTE_RATES = flag_parameter("computeCommissionRates", "Tell the fees of the order.")
CANCEL_RESTRICTIONS = choice_parameter(
    "cancelRestrictions",
    {
        "ONLY_NEW": OrderStatus.NEW,
        "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    },
    "Cancel only in this state.",
    fault=errors.CANCEL_RESTRICTIONS,
)


def _unsupported(name: str, fault: Fault) -> Parameter[str]:
    return unsupported_parameter(name, lambda _name: fault.error())


_ORDER_PARAMETERS: tuple[Parameter[Any], ...] = (
    SYMBOL.required(),
    SIDE,
    TYPE,
    TIME_IN_FORCE,
    QUANTITY,
    QUOTE_QUANTITY,
    PRICE,
    NEW_CLIENT_ORDER_ID,
    RESPONSE_TYPE,
    SELF_TRADE_PREVENTION,
    unsupported_parameter("stopPrice", errors.not_required),
    _unsupported("trailingDelta", errors.NO_TRAILING),
    _unsupported("icebergQty", errors.NO_ICEBERGS),
    _unsupported("strategyId", errors.NO_STRATEGIES),
    _unsupported("strategyType", errors.NO_STRATEGIES),
    _unsupported("pegPriceType", errors.NO_PEGGED),
    _unsupported("pegOffsetType", errors.NO_PEGGED),
    _unsupported("pegOffsetValue", errors.NO_PEGGED),
)

_NEEDED = {
    OrderType.LIMIT: (TIME_IN_FORCE, QUANTITY, PRICE),
    OrderType.LIMIT_MAKER: (QUANTITY, PRICE),
    OrderType.MARKET: (),
}
_REFUSED = {
    OrderType.LIMIT: (QUOTE_QUANTITY,),
    OrderType.LIMIT_MAKER: (QUOTE_QUANTITY, TIME_IN_FORCE),
    OrderType.MARKET: (PRICE, TIME_IN_FORCE),
}


async def place_order(call: Call) -> Json:
    """Place one order, and answer when it is durable."""
    command = _order(call)
    market = call.state.directory.markets[command.symbol]
    outcome = await submit(call, command)
    result = outcome.result
    if not isinstance(result, Placed):
        raise _unexpected(outcome, cancel=False)
    order = _orders(outcome)[result.order_id]
    answer = call.values.get(RESPONSE_TYPE)
    if answer == "ACK" or (answer is None and order.type is OrderType.LIMIT_MAKER):
        return formats.acknowledgement(order, outcome.time, call.unit)
    if answer == "RESULT":
        return formats.placement(market, order, outcome.time, call.unit)
    trades = [row for row in outcome.rows if isinstance(row, Trade)]
    return formats.full_placement(market, order, trades, outcome.time, call.unit)


async def check_order(call: Call) -> Json:
    """All checks of a new order that need neither the book nor the balance."""
    command = _order(call)
    state = call.state
    await state.barrier.market_data()
    view = state.views.markets[command.symbol]
    is_market = command.type is OrderType.MARKET
    failed = failed_filter(
        view.market,
        price=None if is_market else command.price,
        quantity=command.quantity,
        quote_quantity=command.quote_quantity,
        average_price=view.average_price(call.now, view.market.average_price_minutes),
    )
    if failed is not None:
        raise errors.rejection(Rejected(reason=Reason(failed.value)), cancel=False)
    return formats.commission_rates(view.market) if call.values.get(COMPUTE_RATES) else {}


async def cancel_order(call: Call) -> Json:
    """Cancel one order; the answer is final."""
    values = call.values
    order_id, client_order_id = values.get(ORDER_ID), values.get(ORIGINAL_CLIENT_ORDER_ID)
    if order_id is None and client_order_id is None:
        raise errors.one_of_mandatory(ORIGINAL_CLIENT_ORDER_ID.name, ORDER_ID.name)
    market = market_of(call)
    caller = call.caller
    outcome = await submit(
        call,
        CancelOrder(
            account=call.account,
            key=caller.key.name,
            request=caller.request,
            deadline=caller.deadline,
            symbol=market.symbol,
            order_id=order_id,
            client_order_id=client_order_id,
            only=values.get(CANCEL_RESTRICTIONS),
        ),
    )
    cancellations = _cancellations(call, market, outcome, values.get(NEW_CLIENT_ORDER_ID))
    return cancellations[0]


async def cancel_open_orders(call: Call) -> list[Json]:
    """Cancel all open orders of a market."""
    market = market_of(call)
    caller = call.caller
    outcome = await submit(
        call,
        CancelAllOrders(
            account=call.account,
            key=caller.key.name,
            request=caller.request,
            deadline=caller.deadline,
            symbol=market.symbol,
        ),
    )
    return _cancellations(call, market, outcome, None)


async def submit(call: Call, command: AnyCommand) -> Outcome:
    """A command's outcome; of a repeated request the first one's. Raises ApiError."""
    gateway = call.state.gateway
    try:
        outcome = await gateway.submit(command)
        if isinstance(outcome.result, Repeated):
            first = await gateway.find(outcome.result.number)
            if first is None:
                errors.TIMEOUT.refuse()
            return first
    except NotExecuted as refusal:
        raise errors.not_executed(refusal.reason) from None
    except (OutcomeUnknown, WorldFailed):
        raise errors.TIMEOUT.error() from None
    return outcome


def market_of(call: Call) -> Market:
    """Raises the error for a symbol that there is not."""
    market = call.state.directory.markets.get(call.values[SYMBOL])
    if market is None:
        errors.SYMBOL.refuse()
    return market


def _order(call: Call) -> PlaceOrder:
    """The command that a request asks for; raises ApiError for what no market would take."""
    values, caller = call.values, call.caller
    type = values[TYPE]
    _check_combination(values, type)
    market = market_of(call)
    quantity = price = quote_quantity = None
    if QUANTITY in values:
        quantity = _amount(values, QUANTITY, market.base_decimals, errors.INVALID_QUANTITY)
    if PRICE in values:
        price = _amount(values, PRICE, market.quote_decimals, errors.INVALID_PRICE)
    if QUOTE_QUANTITY in values:
        quote_quantity = _amount(
            values, QUOTE_QUANTITY, market.quote_decimals, errors.INVALID_QUOTE_QUANTITY
        )
    return PlaceOrder(
        account=call.account,
        key=caller.key.name,
        request=caller.request,
        deadline=caller.deadline,
        symbol=market.symbol,
        side=values[SIDE],
        type=type,
        time_in_force=values.get(TIME_IN_FORCE, TimeInForce.GTC),
        price=price or 0,
        quantity=quantity,
        quote_quantity=quote_quantity,
        client_order_id=values.get(NEW_CLIENT_ORDER_ID) or _client_order_id(caller.request),
    )


def _check_combination(values: Values, type: OrderType) -> None:
    for parameter in _NEEDED[type]:
        if parameter not in values:
            raise errors.mandatory(parameter.name)
    for parameter in _REFUSED[type]:
        if parameter in values:
            raise errors.not_required(parameter.name)
    if type is OrderType.MARKET:
        if QUANTITY in values and QUOTE_QUANTITY in values:
            raise errors.not_required(QUOTE_QUANTITY.name)
        if QUANTITY not in values and QUOTE_QUANTITY not in values:
            raise errors.one_of_mandatory(QUANTITY.name, QUOTE_QUANTITY.name)


def _amount(values: Values, parameter: Parameter[str], decimals: int, zero: Fault) -> int:
    try:
        units = parse_amount(values[parameter], decimals)
    except TooPrecise:
        raise errors.too_precise(parameter.name) from None
    if units == 0:
        zero.refuse()
    return units


def _cancellations(
    call: Call, market: Market, outcome: Outcome, client_order_id: str | None
) -> list[Json]:
    result = outcome.result
    if not isinstance(result, Canceled):
        raise _unexpected(outcome, cancel=True)
    orders = _orders(outcome)
    return [
        formats.cancellation(
            market,
            orders[order_id],
            client_order_id or _client_order_id(call.caller.request, order_id),
            outcome.time,
            call.unit,
        )
        for order_id in result.order_ids
    ]


def _orders(outcome: Outcome) -> dict[int, Order]:
    """The last state of every order that an outcome changed; all are of one market."""
    return {row.id: row for row in outcome.rows if isinstance(row, Order)}


def _unexpected(outcome: Outcome, *, cancel: bool) -> errors.ApiError:
    """The error for a refusal; a result of another kind is what only we can cause."""
    assert isinstance(outcome.result, Rejected), outcome.result
    return errors.rejection(outcome.result, cancel=cancel)


def _client_order_id(request: bytes, order_id: int = 0) -> str:
    """22 characters that are as unique as the signed request, and the same when it is repeated."""
    digest = hashlib.blake2b(request + order_id.to_bytes(8), digest_size=16).digest()
    return base64.urlsafe_b64encode(digest)[:22].decode()


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v3/order",
        place_order,
        summary="Place an order",
        parameters=_ORDER_PARAMETERS,
        security=Security.TRADE,
    ),
    Endpoint(
        "DELETE",
        "/api/v3/order",
        cancel_order,
        summary="Cancel an order",
        parameters=(
            SYMBOL.required(),
            ORDER_ID,
            ORIGINAL_CLIENT_ORDER_ID,
            NEW_CLIENT_ORDER_ID,
            CANCEL_RESTRICTIONS,
        ),
        security=Security.TRADE,
    ),
    Endpoint(
        "POST",
        "/api/v3/order/test",
        check_order,
        summary="Check an order without placing it",
        parameters=(*_ORDER_PARAMETERS, COMPUTE_RATES),
        security=Security.TRADE,
    ),
    Endpoint(
        "DELETE",
        "/api/v3/openOrders",
        cancel_open_orders,
        summary="Cancel all open orders of a market",
        parameters=(SYMBOL.required(),),
        security=Security.TRADE,
    ),
)
