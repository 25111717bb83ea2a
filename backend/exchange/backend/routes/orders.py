"""Single orders: placing, testing and cancelling them."""

from exchange.backend import errors, order_formats
from exchange.backend.answers import Nothing
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import Asked
from exchange.backend.formats import Json
from exchange.backend.order_answers import CANCELED, PLACED, OrderCommission
from exchange.backend.order_parameters import (
    ORDER,
    ORDER_PARAMETERS,
    RESPONSE_TYPE,
    SELF_TRADE_PREVENTION,
    cancel_client_order_id,
)
from exchange.backend.parameters import (
    ORDER_ID,
    ORIGINAL_CLIENT_ORDER_ID,
    SYMBOL,
    choice_parameter,
    flag_parameter,
)
from exchange.backend.reports import Report
from exchange.backend.submission import made_up_id, sender, submit
from exchange.services.commands import CancelAllOrders, CancelOrder, NewOrder, PlaceOrder
from exchange.services.filters import order_refusal
from exchange.services.markets import Market
from exchange.services.messages import Canceled, Placed
from exchange.services.orders import OrderStatus

COMPUTE_RATES = flag_parameter("computeCommissionRates", "Tell the fees of the order.")
CANCEL_CLIENT_ORDER_ID = cancel_client_order_id("newClientOrderId")
CANCEL_RESTRICTIONS = choice_parameter(
    "cancelRestrictions",
    {
        "ONLY_NEW": OrderStatus.NEW,
        "ONLY_PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    },
    "Cancel only in this state.",
    fault=errors.CANCEL_RESTRICTIONS,
)
CHECK_WEIGHT, CHECK_WEIGHT_WITH_RATES = 1, 20


async def place_order(call: Call) -> Json:
    """Place one order, and answer when it is durable."""
    market, order = new_order(call)
    outcome = await submit(call, PlaceOrder(**sender(call), symbol=market.symbol, order=order))
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Placed):
        raise report.refusal(Asked.PLACE)
    return report.placed(outcome.result.order_id, call.values.get(RESPONSE_TYPE))


async def check_order(call: Call) -> Json:
    """All checks of a new order that need neither the book nor the balance."""
    market, order = new_order(call)
    state = call.state
    await state.barrier.market_data()
    rules = state.directory.exchange_rules
    view = state.views.markets[market.symbol]
    average_price = view.average_price(call.now, view.market.average_price_minutes)
    refusal = order_refusal(view.market, rules, order, average_price)
    if refusal is not None:
        raise errors.rejection(refusal, Asked.PLACE)
    if not call.values.get(COMPUTE_RATES):
        return {}
    account = state.directory.accounts[call.account]
    return order_formats.commission_rates(view.market, account, rules)


async def cancel_order(call: Call) -> Json:
    """Cancel one order, with all of its list if it has one; the answer is final."""
    values = call.values
    order_id, client_order_id = values.get(ORDER_ID), values.get(ORIGINAL_CLIENT_ORDER_ID)
    if order_id is None and client_order_id is None:
        raise errors.one_of_mandatory(ORIGINAL_CLIENT_ORDER_ID.name, ORDER_ID.name)
    market = market_of(call)
    command = CancelOrder(
        **sender(call),
        symbol=market.symbol,
        order_id=order_id,
        client_order_id=client_order_id,
        only=values.get(CANCEL_RESTRICTIONS),
        cancel_client_order_id=values.get(CANCEL_CLIENT_ORDER_ID, ""),
    )
    outcome = await submit(call, command)
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Canceled):
        raise report.refusal(Asked.CANCEL)
    answers = await report.canceled(outcome.result.order_ids)
    return answers[0]


async def cancel_open_orders(call: Call) -> list[Json]:
    """Cancel all open orders of a market, and all lists."""
    market = market_of(call)
    outcome = await submit(call, CancelAllOrders(**sender(call), symbol=market.symbol))
    report = Report(call, market, outcome)
    if not isinstance(outcome.result, Canceled):
        raise report.refusal(Asked.CANCEL)
    return await report.canceled(outcome.result.order_ids)


def market_of(call: Call) -> Market:
    """Raises the error for a symbol that there is not."""
    market = call.state.directory.markets.get(call.values[SYMBOL])
    if market is None:
        errors.SYMBOL.refuse()
    return market


def new_order(call: Call) -> tuple[Market, NewOrder]:
    """The order that a request describes, and where; raises ApiError for what none would take."""
    market = market_of(call)
    return market, ORDER.order(
        call.values,
        market,
        client_order_id=made_up_id(call),
        self_trade=call.values.get(SELF_TRADE_PREVENTION),
    )


ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v3/order",
        place_order,
        socket_method="order.place",
        summary="Place an order",
        answer=PLACED,
        parameters=ORDER_PARAMETERS,
        security=Security.TRADE,
        is_free=True,
        places_orders=True,
    ),
    Endpoint(
        "DELETE",
        "/api/v3/order",
        cancel_order,
        socket_method="order.cancel",
        summary="Cancel an order",
        answer=CANCELED,
        parameters=(
            SYMBOL.required(),
            ORDER_ID,
            ORIGINAL_CLIENT_ORDER_ID,
            CANCEL_CLIENT_ORDER_ID,
            CANCEL_RESTRICTIONS,
        ),
        security=Security.TRADE,
        is_free=True,
    ),
    Endpoint(
        "POST",
        "/api/v3/order/test",
        check_order,
        socket_method="order.test",
        summary="Check an order without placing it",
        answer=(Nothing, OrderCommission),
        parameters=(*ORDER_PARAMETERS, COMPUTE_RATES),
        security=Security.TRADE,
        weight=lambda values: (
            CHECK_WEIGHT_WITH_RATES if values.get(COMPUTE_RATES) else CHECK_WEIGHT
        ),
    ),
    Endpoint(
        "DELETE",
        "/api/v3/openOrders",
        cancel_open_orders,
        socket_method="openOrders.cancelAll",
        summary="Cancel all open orders and lists of a market",
        answer=([*CANCELED],),
        parameters=(SYMBOL.required(),),
        security=Security.TRADE,
        is_free=True,
    ),
)
