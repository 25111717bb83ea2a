"""What the API offers and this exchange does not: each takes its parameters and says no."""

from typing import Any

from exchange.backend import errors
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.order_parameters import ORDER, RESPONSE_TYPE, SELF_TRADE_PREVENTION
from exchange.backend.parameters import SYMBOL, Parameter
from exchange.backend.routes.order_lists import (
    PENDING,
    PENDING_ABOVE,
    PENDING_BELOW,
    PENDING_QUANTITY,
    PENDING_SIDE,
    SHARED,
    WORKING,
)
from exchange.backend.routes.orders import COMPUTE_RATES, market_of


async def refuse_list(call: Call) -> None:
    """An order list whose working order pays for the others."""
    market_of(call)
    errors.NO_OPO.refuse()


async def refuse_routing(call: Call) -> None:
    """An order that looks for the best of several markets."""
    market_of(call)
    errors.UNSUPPORTED.refuse()


ROUTED: tuple[Parameter[Any], ...] = (
    SYMBOL.required(),
    *ORDER.listed(ORDER.quote_quantity, ORDER.stop_price, ORDER.trailing_delta, *ORDER.pegs),
    RESPONSE_TYPE,
    SELF_TRADE_PREVENTION,
)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/api/v3/orderList/opo",
        refuse_list,
        socket_method="orderList.place.opo",
        summary="Not offered: an order that pays for another one",
        answer=(),
        parameters=(*SHARED, *WORKING.listed(), *PENDING.listed(PENDING.quantity)),
        security=Security.TRADE,
    ),
    Endpoint(
        "POST",
        "/api/v3/orderList/opoco",
        refuse_list,
        socket_method="orderList.place.opoco",
        summary="Not offered: an order that pays for two others of which one ends the other",
        answer=(),
        parameters=(
            *SHARED,
            *WORKING.listed(),
            PENDING_SIDE,
            *PENDING_ABOVE.listed(PENDING_SIDE, PENDING_QUANTITY),
            *PENDING_BELOW.listed(PENDING_SIDE, PENDING_QUANTITY),
        ),
        security=Security.TRADE,
    ),
    Endpoint(
        "POST",
        "/api/v3/sor/order",
        refuse_routing,
        socket_method="sor.order.place",
        summary="Not offered: an order that is routed to the best market",
        answer=(),
        parameters=ROUTED,
        security=Security.TRADE,
    ),
    Endpoint(
        "POST",
        "/api/v3/sor/order/test",
        refuse_routing,
        socket_method="sor.order.test",
        summary="Not offered: a check of an order that is routed to the best market",
        answer=(),
        parameters=(*ROUTED, COMPUTE_RATES),
        security=Security.TRADE,
    ),
)
