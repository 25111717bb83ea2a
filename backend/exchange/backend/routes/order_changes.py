"""Changing an order: another one in its place, or less of it."""

from exchange.backend import errors
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import ApiError, Asked
from exchange.backend.formats import Json
from exchange.backend.order_answers import Amendment, Replacement
from exchange.backend.order_parameters import (
    ORDER_PARAMETERS,
    RESPONSE_TYPE,
    cancel_client_order_id,
    new_client_order_id,
    read_amount,
)
from exchange.backend.parameters import (
    CLIENT_ID_PATTERN,
    ORDER_ID,
    ORIGINAL_CLIENT_ORDER_ID,
    SYMBOL,
    choice_parameter,
    decimal_parameter,
    integer_parameter,
    text_parameter,
)
from exchange.backend.reports import Report
from exchange.backend.routes.orders import CANCEL_RESTRICTIONS, market_of, new_order
from exchange.backend.submission import made_up_id, sender, submit
from exchange.services.commands import AmendOrder, CancelOrder, ReplaceOrder
from exchange.services.markets import Market
from exchange.services.messages import Amended, Canceled, Placed, Rejected, Replaced

STOP_ON_FAILURE, CANCEL_ONLY = "STOP_ON_FAILURE", "CANCEL_ONLY"
REPLACE_MODE = choice_parameter(
    "cancelReplaceMode",
    {name: name for name in (STOP_ON_FAILURE, "ALLOW_FAILURE")},
    "Whether the new order is placed where the old one could not be canceled.",
).required()
RATE_LIMIT_MODE = choice_parameter(
    "orderRateLimitExceededMode",
    {name: name for name in ("DO_NOTHING", CANCEL_ONLY)},
    "What happens to the old order where the account may place no more orders now.",
)
CANCEL_ORDER_ID = integer_parameter("cancelOrderId", "The number of the order to cancel.")
CANCEL_ORIGINAL_CLIENT_ORDER_ID = text_parameter(
    "cancelOrigClientOrderId", CLIENT_ID_PATTERN, "The client order id of the order to cancel."
)
CANCEL_NEW_CLIENT_ORDER_ID = cancel_client_order_id("cancelNewClientOrderId")
AMENDED_CLIENT_ORDER_ID = new_client_order_id("newClientOrderId")
NEW_QUANTITY = decimal_parameter(
    "newQty", "The order's whole quantity from now on: less than before, more than was traded."
).required()
AMEND_WEIGHT = 4


async def replace_order(call: Call) -> Json:
    """Cancel an order and place another; the answer tells what became of both."""
    values = call.values
    order_id = values.get(CANCEL_ORDER_ID)
    client_order_id = values.get(CANCEL_ORIGINAL_CLIENT_ORDER_ID)
    if order_id is None and client_order_id is None:
        raise errors.one_of_mandatory(CANCEL_ORIGINAL_CLIENT_ORDER_ID.name, CANCEL_ORDER_ID.name)
    market, order = new_order(call)
    if values.get(RATE_LIMIT_MODE) == CANCEL_ONLY:
        refusal = call.state.order_limits.refusal(call.account, 1, call.now)
        if refusal is not None:
            raise await _cancel_only(call, market, refusal)
    command = ReplaceOrder(
        **sender(call),
        symbol=market.symbol,
        order_id=order_id,
        client_order_id=client_order_id,
        only=values.get(CANCEL_RESTRICTIONS),
        order=order,
        stop_on_failure=values[REPLACE_MODE] == STOP_ON_FAILURE,
        cancel_client_order_id=values.get(CANCEL_NEW_CLIENT_ORDER_ID, ""),
    )
    outcome = await submit(call, command)
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Replaced):
        raise report.refusal(Asked.PLACE)
    return await _replacement(call, report, outcome.result)


async def _cancel_only(call: Call, market: Market, refusal: ApiError) -> ApiError:
    """Cancel an order in whose place no other one may come now; the error that tells of both."""
    values = call.values
    command = CancelOrder(
        **sender(call),
        symbol=market.symbol,
        order_id=values.get(CANCEL_ORDER_ID),
        client_order_id=values.get(CANCEL_ORIGINAL_CLIENT_ORDER_ID),
        only=values.get(CANCEL_RESTRICTIONS),
        cancel_client_order_id=values.get(CANCEL_NEW_CLIENT_ORDER_ID, ""),
    )
    outcome = await submit(call, command)
    half = outcome.result
    assert isinstance(half, Canceled | Rejected), half
    stops = values[REPLACE_MODE] == STOP_ON_FAILURE
    is_attempted = isinstance(half, Canceled) or not stops
    data = {
        "cancelResult": _word(half),
        "newOrderResult": "FAILURE" if is_attempted else "NOT_ATTEMPTED",
        "cancelResponse": await _canceled(Report(call, market, outcome), half),
        "newOrderResponse": refusal.content() if is_attempted else None,
    }
    return errors.replace_failure(
        data, partly=isinstance(half, Canceled), status=errors.TOO_MANY if stops else None
    )


async def _replacement(call: Call, report: Report, result: Replaced) -> Json:
    """Raises the error that tells both halves unless both have succeeded."""
    is_canceled = isinstance(result.canceled, Canceled)
    is_placed = isinstance(result.placed, Placed)
    answer = {
        "cancelResult": _word(result.canceled),
        "newOrderResult": _word(result.placed),
        "cancelResponse": await _canceled(report, result.canceled),
        "newOrderResponse": _placed(call, report, result.placed),
    }
    if is_canceled and is_placed:
        return answer
    raise errors.replace_failure(answer, partly=is_canceled or is_placed)


def _word(half: Canceled | Placed | Rejected | None) -> str:
    if half is None:
        return "NOT_ATTEMPTED"
    return "FAILURE" if isinstance(half, Rejected) else "SUCCESS"


async def _canceled(report: Report, half: Canceled | Rejected) -> Json:
    if isinstance(half, Rejected):
        return errors.rejection(half, Asked.CANCEL).content()
    answers = await report.canceled(half.order_ids)
    return answers[0]


def _placed(call: Call, report: Report, half: Placed | Rejected | None) -> Json | None:
    if half is None:
        return None
    if isinstance(half, Rejected):
        return errors.rejection(half, Asked.PLACE).content()
    return report.placed(half.order_id, call.values.get(RESPONSE_TYPE))


async def amend_order(call: Call) -> Json:
    """Make an order smaller; it keeps its place in the queue."""
    values = call.values
    order_id, client_order_id = values.get(ORDER_ID), values.get(ORIGINAL_CLIENT_ORDER_ID)
    if order_id is None and client_order_id is None:
        raise errors.one_of_mandatory(ORIGINAL_CLIENT_ORDER_ID.name, ORDER_ID.name)
    market = market_of(call)
    quantity = read_amount(values, NEW_QUANTITY, market.base_decimals, errors.INVALID_QUANTITY)
    command = AmendOrder(
        **sender(call),
        symbol=market.symbol,
        order_id=order_id,
        client_order_id=client_order_id,
        new_client_order_id=values.get(AMENDED_CLIENT_ORDER_ID, made_up_id(call)),
        quantity=quantity,
    )
    outcome = await submit(call, command)
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Amended):
        raise report.refusal(Asked.AMEND)
    return await report.amended(outcome.result.order_id)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v3/order/cancelReplace",
        replace_order,
        socket_method="order.cancelReplace",
        summary="Cancel an order and place another",
        answer=(Replacement,),
        parameters=(
            *ORDER_PARAMETERS,
            REPLACE_MODE,
            CANCEL_ORDER_ID,
            CANCEL_ORIGINAL_CLIENT_ORDER_ID,
            CANCEL_NEW_CLIENT_ORDER_ID,
            CANCEL_RESTRICTIONS,
            RATE_LIMIT_MODE,
        ),
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
        own_statuses=(errors.PARTLY_FAILED,),
    ),
    Endpoint(
        "PUT",
        "/api/v3/order/amend/keepPriority",
        amend_order,
        socket_method="order.amend.keepPriority",
        summary="Make an order smaller",
        answer=(Amendment,),
        parameters=(
            SYMBOL.required(),
            ORDER_ID,
            ORIGINAL_CLIENT_ORDER_ID,
            AMENDED_CLIENT_ORDER_ID,
            NEW_QUANTITY,
        ),
        security=Security.TRADE,
        weight=AMEND_WEIGHT,
    ),
)
