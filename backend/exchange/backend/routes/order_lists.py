"""Lists of orders: placing them, in every form there is, and cancelling them."""

from typing import Any

from exchange.backend import errors
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import Asked
from exchange.backend.formats import Json
from exchange.backend.order_answers import LIST_PLACED, ListCancellation
from exchange.backend.order_parameters import (
    SELF_TRADE_PREVENTION,
    OrderParameters,
    cancel_client_order_id,
    iceberg_quantity,
    new_client_order_id,
    order_parameters,
    quantity_parameter,
    response_type,
    side_parameter,
    stop_price,
    strategy_id,
    strategy_type,
    time_in_force,
    trailing_delta,
)
from exchange.backend.parameters import (
    CLIENT_ID_PATTERN,
    SYMBOL,
    Parameter,
    decimal_parameter,
    integer_parameter,
    text_parameter,
)
from exchange.backend.reports import Report
from exchange.backend.routes.orders import market_of
from exchange.backend.submission import made_up_id, sender, submit
from exchange.services.commands import CancelList, NewOrder, PlaceList
from exchange.services.markets import Market
from exchange.services.messages import Canceled, Listed
from exchange.services.orders import Contingency, OrderType, Side

OCO_TYPES = (
    OrderType.LIMIT_MAKER,
    OrderType.STOP_LOSS,
    OrderType.STOP_LOSS_LIMIT,
    OrderType.TAKE_PROFIT,
    OrderType.TAKE_PROFIT_LIMIT,
)
WORKING_TYPES = (OrderType.LIMIT, OrderType.LIMIT_MAKER)
NO_OCO_TYPES = dict.fromkeys(
    [one.value for one in OrderType if one not in OCO_TYPES], errors.OCO_TYPE
)
LIST_CLIENT_ID = text_parameter(
    "listClientOrderId",
    CLIENT_ID_PATTERN,
    "Unique among the account's open lists; made up where there is none.",
)
RESPONSE_TYPE = response_type("How much the answer tells of each order; RESULT by default.")
SHARED: tuple[Parameter[Any], ...] = (
    SYMBOL.required(),
    LIST_CLIENT_ID,
    RESPONSE_TYPE,
    SELF_TRADE_PREVENTION,
)

OCO_SIDE = side_parameter()
OCO_QUANTITY = quantity_parameter("quantity", "each order").required()


def oco_leg(
    prefix: str, whose: str, side: Parameter[Side], quantity: Parameter[str]
) -> OrderParameters:
    return order_parameters(
        prefix,
        whose,
        side=side,
        quantity=quantity,
        types=OCO_TYPES,
        other_types=NO_OCO_TYPES,
        is_oco_leg=True,
    )


ABOVE = oco_leg("above", "the order above", OCO_SIDE, OCO_QUANTITY)
BELOW = oco_leg("below", "the order below", OCO_SIDE, OCO_QUANTITY)

WORKING = order_parameters(
    "working",
    "the working order",
    side=side_parameter("workingSide"),
    quantity=quantity_parameter("workingQuantity", "the working order").required(),
    types=WORKING_TYPES,
    waits=False,
)
PENDING = order_parameters(
    "pending",
    "the pending order",
    side=side_parameter("pendingSide"),
    quantity=quantity_parameter("pendingQuantity", "the pending order").required(),
    types=OrderType,
)
PENDING_SIDE = side_parameter("pendingSide")
PENDING_QUANTITY = quantity_parameter("pendingQuantity", "each pending order").required()
PENDING_ABOVE = oco_leg("pendingAbove", "the pending order above", PENDING_SIDE, PENDING_QUANTITY)
PENDING_BELOW = oco_leg("pendingBelow", "the pending order below", PENDING_SIDE, PENDING_QUANTITY)

# The older form of an OCO names its orders by what they are, not by where.
OLD_LIMIT = OrderParameters(
    side=OCO_SIDE,
    type=None,
    quantity=OCO_QUANTITY,
    client_order_id=new_client_order_id("limitClientOrderId"),
    price=decimal_parameter("price", "The price of the limit order.").required(),
    iceberg_quantity=iceberg_quantity("limitIcebergQty", "the limit order"),
    strategy_id=strategy_id("limitStrategyId", "the limit order"),
    strategy_type=strategy_type("limitStrategyType", "the limit order"),
)
OLD_STOP = OrderParameters(
    side=OCO_SIDE,
    type=None,
    quantity=OCO_QUANTITY,
    client_order_id=new_client_order_id("stopClientOrderId"),
    price=decimal_parameter(
        "stopLimitPrice", "The limit price of the stop order, which takes any price without it."
    ),
    time_in_force=time_in_force("stopLimitTimeInForce", "the stop order"),
    stop_price=stop_price("stopPrice", "the stop order").required(),
    trailing_delta=trailing_delta("trailingDelta", "the stop order"),
    iceberg_quantity=iceberg_quantity("stopIcebergQty", "the stop order"),
    strategy_id=strategy_id("stopStrategyId", "the stop order"),
    strategy_type=strategy_type("stopStrategyType", "the stop order"),
    is_oco_leg=True,
)

LIST_ID = integer_parameter("orderListId", "The list's number.")
CANCELED_CLIENT_ID = text_parameter(
    "listClientOrderId", CLIENT_ID_PATTERN, "The client order id of the list."
)
CANCEL_CLIENT_ORDER_ID = cancel_client_order_id("newClientOrderId")


async def place_oco(call: Call) -> Json:
    """Two orders of which one ends the other."""
    market = market_of(call)
    above = _order(call, ABOVE, market, place=1)
    below = _order(call, BELOW, market, place=2)
    _check_places(above, below)
    return await _place(call, market, Contingency.OCO, above, below)


async def place_old_oco(call: Call) -> Json:
    """An OCO of a LIMIT_MAKER and a stop order, in the older form."""
    market = market_of(call)
    price = OLD_STOP.price
    stop_type = OrderType.STOP_LOSS_LIMIT if price in call.values else OrderType.STOP_LOSS
    limit = _order(call, OLD_LIMIT, market, place=1, type=OrderType.LIMIT_MAKER)
    stop = _order(call, OLD_STOP, market, place=2, type=stop_type)
    above, below = (stop, limit) if limit.side is Side.BUY else (limit, stop)
    return await _place(call, market, Contingency.OCO, above, below)


async def place_oto(call: Call) -> Json:
    """An order that starts another one when it is filled."""
    market = market_of(call)
    working = _order(call, WORKING, market, place=1)
    pending = _order(call, PENDING, market, place=2)
    return await _place(call, market, Contingency.OTO, working, pending)


async def place_otoco(call: Call) -> Json:
    """An order that starts an OCO when it is filled."""
    market = market_of(call)
    working = _order(call, WORKING, market, place=1)
    above = _order(call, PENDING_ABOVE, market, place=2)
    below = _order(call, PENDING_BELOW, market, place=3)
    _check_places(above, below)
    return await _place(call, market, Contingency.OTO, working, above, below)


async def cancel_list(call: Call) -> Json:
    """Cancel all open orders of a list; the answer is final."""
    values = call.values
    list_id, client_list_id = values.get(LIST_ID), values.get(CANCELED_CLIENT_ID)
    if list_id is None and client_list_id is None:
        raise errors.one_of_mandatory(LIST_ID.name, CANCELED_CLIENT_ID.name)
    market = market_of(call)
    command = CancelList(
        **sender(call),
        symbol=market.symbol,
        list_id=list_id,
        client_list_id=client_list_id,
        cancel_client_order_id=values.get(CANCEL_CLIENT_ORDER_ID, ""),
    )
    outcome = await submit(call, command)
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Canceled):
        raise report.refusal(Asked.CANCEL)
    answers = await report.canceled(outcome.result.order_ids)
    return answers[0]


def _order(
    call: Call,
    parameters: OrderParameters,
    market: Market,
    *,
    place: int,
    type: OrderType | None = None,
) -> NewOrder:
    return parameters.order(
        call.values,
        market,
        client_order_id=made_up_id(call, place),
        self_trade=call.values.get(SELF_TRADE_PREVENTION),
        type=type,
    )


def _check_places(above: NewOrder, below: NewOrder) -> None:
    """Raises ApiError unless one leg limits a loss, the other takes a profit, each on its side."""
    if above.type is below.type is OrderType.LIMIT_MAKER:
        errors.BOTH_LIMIT.refuse()
    if above.side is Side.BUY:
        if above.type is OrderType.LIMIT_MAKER:
            errors.BUY_LIMIT_BELOW.refuse()
        if below.type.is_stop_loss:
            errors.BUY_STOP_LOSS_ABOVE.refuse()
        if not above.type.is_stop_loss:
            errors.BUY_TAKE_PROFIT_BELOW.refuse()
    else:
        if below.type is OrderType.LIMIT_MAKER:
            errors.SELL_LIMIT_ABOVE.refuse()
        if above.type.is_stop_loss:
            errors.SELL_STOP_LOSS_BELOW.refuse()
        if not below.type.is_stop_loss:
            errors.SELL_TAKE_PROFIT_ABOVE.refuse()


async def _place(call: Call, market: Market, contingency: Contingency, *orders: NewOrder) -> Json:
    command = PlaceList(
        **sender(call),
        symbol=market.symbol,
        contingency=contingency,
        client_list_id=call.values.get(LIST_CLIENT_ID, made_up_id(call)),
        orders=orders,
    )
    outcome = await submit(call, command)
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Listed):
        raise report.refusal(Asked.PLACE)
    return report.placed_list(outcome.result.list_id, call.values.get(RESPONSE_TYPE))


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v3/orderList/oco",
        place_oco,
        socket_method="orderList.place.oco",
        summary="Place two orders of which one ends the other",
        answer=LIST_PLACED,
        parameters=(
            *SHARED,
            OCO_SIDE,
            OCO_QUANTITY,
            *ABOVE.listed(OCO_SIDE, OCO_QUANTITY),
            *BELOW.listed(OCO_SIDE, OCO_QUANTITY),
        ),
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
    ),
    Endpoint(
        "POST",
        "/api/v3/order/oco",
        place_old_oco,
        socket_method="orderList.place",
        summary="Place a limit and a stop order of which one ends the other (the older form)",
        answer=LIST_PLACED,
        parameters=(
            *SHARED,
            *OLD_LIMIT.listed(),
            *OLD_STOP.listed(OCO_SIDE, OCO_QUANTITY),
        ),
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
    ),
    Endpoint(
        "POST",
        "/api/v3/orderList/oto",
        place_oto,
        socket_method="orderList.place.oto",
        summary="Place an order that starts another one",
        answer=LIST_PLACED,
        parameters=(*SHARED, *WORKING.listed(), *PENDING.listed()),
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
    ),
    Endpoint(
        "POST",
        "/api/v3/orderList/otoco",
        place_otoco,
        socket_method="orderList.place.otoco",
        summary="Place an order that starts two others of which one ends the other",
        answer=LIST_PLACED,
        parameters=(
            *SHARED,
            *WORKING.listed(),
            PENDING_SIDE,
            PENDING_QUANTITY,
            *PENDING_ABOVE.listed(PENDING_SIDE, PENDING_QUANTITY),
            *PENDING_BELOW.listed(PENDING_SIDE, PENDING_QUANTITY),
        ),
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
    ),
    Endpoint(
        "DELETE",
        "/api/v3/orderList",
        cancel_list,
        socket_method="orderList.cancel",
        summary="Cancel a list of orders",
        answer=(ListCancellation,),
        parameters=(SYMBOL.required(), LIST_ID, CANCELED_CLIENT_ID, CANCEL_CLIENT_ORDER_ID),
        security=Security.TRADE,
        is_free=True,
    ),
)
