"""Order lists as their account asks for them; placing and cancelling them is elsewhere."""

from collections.abc import Sequence

import asyncpg

from exchange.backend import errors, order_formats, queries
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json
from exchange.backend.order_answers import ListInformation
from exchange.backend.parameters import (
    CLIENT_ID_PATTERN,
    END_TIME,
    START_TIME,
    integer_parameter,
    text_parameter,
)
from exchange.backend.routes.account import LIMIT, window_of
from exchange.services.rows import OrderList

LIST_ID = integer_parameter("orderListId", "The list's number.")
CLIENT_LIST_ID = text_parameter(
    "origClientOrderId", CLIENT_ID_PATTERN, "The list's client order id."
)
FROM_LIST_ID = integer_parameter("fromId", "From this list on, inclusive.")


async def order_list(call: Call) -> Json:
    """One list by its id, its client id, or both."""
    list_id, client_list_id = call.values.get(LIST_ID), call.values.get(CLIENT_LIST_ID)
    if list_id is None and client_list_id is None:
        raise errors.one_of_mandatory(CLIENT_LIST_ID.name, LIST_ID.name)
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_order_list(connection, call.account, list_id, client_list_id)
        if found is None:
            errors.NO_SUCH_LIST.refuse()
        return (await _written(call, connection, [found]))[0]


async def all_order_lists(call: Call) -> list[Json]:
    """Lists of all markets, in any state; times are those of their placement."""
    from_id = call.values.get(FROM_LIST_ID)
    if from_id is not None and (START_TIME in call.values or END_TIME in call.values):
        errors.COMBINATION.refuse()
    window = window_of(call, from_id)
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_order_lists(connection, call.account, window)
        return await _written(call, connection, found)


async def open_order_lists(call: Call) -> list[Json]:
    """Lists of all markets that have open orders."""
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_open_order_lists(connection, call.account)
        return await _written(call, connection, found)


async def _written(
    call: Call, connection: asyncpg.Connection, lists: Sequence[OrderList]
) -> list[Json]:
    orders = await queries.select_orders_of(connection, lists)
    return [
        order_formats.list_information(
            one, [orders[one.symbol, order_id] for order_id in one.order_ids], call.unit
        )
        for one in lists
    ]


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/orderList",
        order_list,
        socket_method="orderList.status",
        summary="One order list",
        answer=(ListInformation,),
        parameters=(LIST_ID, CLIENT_LIST_ID),
        security=Security.USER_DATA,
        weight=4,
    ),
    Endpoint(
        "GET",
        "/api/v3/allOrderList",
        all_order_lists,
        socket_method="allOrderLists",
        summary="Order lists in any state",
        answer=([ListInformation],),
        parameters=(FROM_LIST_ID, START_TIME, END_TIME, LIMIT),
        security=Security.USER_DATA,
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/openOrderList",
        open_order_lists,
        socket_method="openOrderLists.status",
        summary="Open order lists",
        answer=([ListInformation],),
        security=Security.USER_DATA,
        weight=6,
    ),
)
