"""Replacing and amending orders through a real engine, as clients do."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

SYMBOL = "SOLUSDC"
NEW = {
    "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "1", "price": "20",
}  # fmt: skip
OCO = {
    "symbol": SYMBOL, "side": "BUY", "quantity": "2",
    "belowType": "LIMIT_MAKER", "belowPrice": "10",
    "aboveType": "STOP_LOSS", "aboveStopPrice": "30",
}  # fmt: skip
OTO = {
    "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "20",
    "workingQuantity": "2", "workingTimeInForce": "GTC",
    "pendingType": "MARKET", "pendingSide": "SELL", "pendingQuantity": "2",
}  # fmt: skip


@pytest.fixture
def owner(backend: RunningBackend) -> Iterator[Trader]:
    trader = backend.trader(SOL="100", USDC="10000")
    yield trader
    trader.call("DELETE", "openOrders", symbol=SYMBOL)


@pytest.fixture
def other(backend: RunningBackend) -> Iterator[Trader]:
    trader = backend.trader(SOL="100", USDC="10000")
    yield trader
    trader.call("DELETE", "openOrders", symbol=SYMBOL)


def replace(trader: Trader, mode: str = "STOP_ON_FAILURE", **change: object) -> Answer:
    return trader.call("POST", "order/cancelReplace", cancelReplaceMode=mode, **{**NEW, **change})


def amend(trader: Trader, **parameters: object) -> Answer:
    return trader.call("PUT", "order/amend/keepPriority", symbol=SYMBOL, **parameters)


def open_orders(trader: Trader) -> list[dict[str, Any]]:
    body: list[dict[str, Any]] = trader.call("GET", "openOrders", symbol=SYMBOL).body
    return body


# --- Replacing ---------------------------------------------------------------------------------


def test_an_order_is_replaced_and_both_halves_are_told(owner: Trader) -> None:
    old = owner.order("BUY", "1", "19", newClientOrderId="old").body

    answer = replace(
        owner, cancelOrderId=old["orderId"], cancelNewClientOrderId="c", newClientOrderId="new"
    )

    assert answer.status == 200, answer
    body = answer.body
    assert (body["cancelResult"], body["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    canceled, placed = body["cancelResponse"], body["newOrderResponse"]
    assert (canceled["origClientOrderId"], canceled["clientOrderId"]) == ("old", "c")
    assert (canceled["orderId"], canceled["status"]) == (old["orderId"], "CANCELED")
    assert (placed["clientOrderId"], placed["status"], placed["fills"]) == ("new", "NEW", [])
    assert [one["clientOrderId"] for one in open_orders(owner)] == ["new"]


def test_a_new_order_may_have_the_client_id_of_the_old_one(owner: Trader) -> None:
    owner.order("BUY", "1", "19", newClientOrderId="same")

    answer = replace(owner, cancelOrigClientOrderId="same", newClientOrderId="same")

    assert answer.status == 200, answer
    assert [one["price"] for one in open_orders(owner)] == ["20.00000000"]


@pytest.mark.parametrize(("response", "names"), [("ACK", 5), ("RESULT", 16)])
def test_the_new_order_is_told_as_asked(owner: Trader, response: str, names: int) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]

    answer = replace(owner, cancelOrderId=old, newOrderRespType=response)

    assert len(answer.body["newOrderResponse"]) == names


UNKNOWN = {"code": -2011, "msg": "Unknown order sent."}
TOO_POOR = {"code": -2010, "msg": "Account has insufficient balance for requested action."}


def test_nothing_is_placed_after_a_failed_cancel_that_shall_stop_it(owner: Trader) -> None:
    answer = replace(owner, cancelOrderId=99_999_999)

    assert answer.error == (400, -2022, "Order cancel-replace failed.")
    assert answer.body["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "NOT_ATTEMPTED",
        "cancelResponse": UNKNOWN,
        "newOrderResponse": None,
    }
    assert open_orders(owner) == []


def test_a_failed_cancel_may_be_followed_by_the_new_order(owner: Trader) -> None:
    answer = replace(owner, "ALLOW_FAILURE", cancelOrderId=99_999_999, newOrderRespType="ACK")

    assert answer.error == (409, -2021, "Order cancel-replace partially failed.")
    data = answer.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("FAILURE", "SUCCESS")
    assert data["cancelResponse"] == UNKNOWN
    assert [one["orderId"] for one in open_orders(owner)] == [data["newOrderResponse"]["orderId"]]


@pytest.mark.parametrize("mode", ["STOP_ON_FAILURE", "ALLOW_FAILURE"])
def test_an_order_stays_canceled_where_the_new_one_fails(owner: Trader, mode: str) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]

    answer = replace(owner, mode, cancelOrderId=old, quantity="9999")

    assert answer.error == (409, -2021, "Order cancel-replace partially failed.")
    data = answer.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == ("SUCCESS", "FAILURE")
    assert (data["cancelResponse"]["orderId"], data["newOrderResponse"]) == (old, TOO_POOR)
    assert open_orders(owner) == []


def test_both_halves_may_fail(owner: Trader) -> None:
    answer = replace(owner, "ALLOW_FAILURE", cancelOrderId=99_999_999, quantity="9999")

    assert answer.error == (400, -2022, "Order cancel-replace failed.")
    assert answer.body["data"] == {
        "cancelResult": "FAILURE",
        "newOrderResult": "FAILURE",
        "cancelResponse": UNKNOWN,
        "newOrderResponse": TOO_POOR,
    }


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        (
            {"cancelOrderId": None}, -1102,
            "Param 'cancelOrigClientOrderId' or 'cancelOrderId' must be sent, but both were",
        ),
        ({"cancelReplaceMode": None}, -1102, "Mandatory parameter 'cancelReplaceMode' was not"),
        ({"cancelReplaceMode": "ANY"}, -1130, "Data sent for parameter 'cancelReplaceMode' is"),
        ({"orderRateLimitExceededMode": "ANY"}, -1130, "Data sent for parameter 'orderRateLimit"),
        ({"cancelRestrictions": "ANY"}, -1145, "`cancelRestrictions` has to be either"),
        ({"price": None}, -1102, "Mandatory parameter 'price' was not sent,"),
        ({"price": "20.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"stopPrice": "20"}, -1106, "Parameter 'stopPrice' sent when not required."),
        ({"type": "STOP_LOSS"}, -1106, "Parameter 'price' sent when not required."),
    ],
)  # fmt: skip
def test_what_could_never_be_placed_leaves_the_old_order(
    owner: Trader, change: dict[str, str | None], code: int, text: str
) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]
    wish = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": old, **NEW, **change}

    answer = owner.call(
        "POST",
        "order/cancelReplace",
        **{name: value for name, value in wish.items() if value is not None},
    )

    assert (answer.status, answer.body["code"]) == (400, code), answer
    assert answer.body["msg"].startswith(text)
    assert "data" not in answer.body
    assert [one["orderId"] for one in open_orders(owner)] == [old]


def test_a_restricted_cancel_is_a_failed_half(owner: Trader) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]

    answer = replace(owner, cancelOrderId=old, cancelRestrictions="ONLY_PARTIALLY_FILLED")

    assert answer.body["data"]["cancelResponse"] == {
        "code": -2011,
        "msg": "Order was not canceled due to cancel restrictions.",
    }


@pytest.mark.parametrize("mode", ["DO_NOTHING", "CANCEL_ONLY"])
def test_without_a_limit_of_orders_both_modes_for_it_are_the_same(owner: Trader, mode: str) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]

    assert replace(owner, cancelOrderId=old, orderRateLimitExceededMode=mode).status == 200


def test_replacing_an_order_of_a_list_cancels_the_list(owner: Trader) -> None:
    listed = owner.call("POST", "orderList/oto", **OTO).body

    answer = replace(owner, cancelOrderId=listed["orders"][0]["orderId"])

    canceled = answer.body["cancelResponse"]
    assert canceled["orderListId"] == listed["orderListId"]
    assert [one["status"] for one in canceled["orderReports"]] == ["CANCELED", "CANCELED"]
    assert [one["price"] for one in open_orders(owner)] == ["20.00000000"]


def test_a_repeated_replacement_gets_the_first_answer(owner: Trader) -> None:
    old = owner.order("BUY", "1", "19").body["orderId"]
    text = urlencode(
        {
            **NEW, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": old,
            "timestamp": time.time_ns() // 1_000_000,
        }
    )  # fmt: skip
    target = f"/api/v3/order/cancelReplace?{text}&signature={owner.sign(text)}"

    first, second = owner.raw("POST", target), owner.raw("POST", target)

    assert (first.status, second.body) == (200, first.body)
    assert len(open_orders(owner)) == 1


# --- Amending ----------------------------------------------------------------------------------


def test_an_amended_order_is_smaller_and_keeps_its_place(owner: Trader, other: Trader) -> None:
    first = owner.order("BUY", "2", "20", newClientOrderId="before").body
    second = other.order("BUY", "2", "20").body
    seller = other

    answer = amend(owner, orderId=first["orderId"], newQty="1", newClientOrderId="after")

    assert answer.status == 200, answer
    amended = answer.body["amendedOrder"]
    assert answer.body.keys() == {"transactTime", "executionId", "amendedOrder"}
    assert amended == {
        "symbol": SYMBOL,
        "orderId": first["orderId"],
        "orderListId": -1,
        "origClientOrderId": "before",
        "clientOrderId": "after",
        "price": "20.00000000",
        "qty": "1.00000000",
        "executedQty": "0.00000000",
        "preventedQty": "0.00000000",
        "quoteOrderQty": "0.00000000",
        "cumulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": first["workingTime"],
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    seller.order("SELL", "1", "20", selfTradePreventionMode="NONE")
    assert [one["orderId"] for one in open_orders(owner)] == []
    assert [one["executedQty"] for one in open_orders(other)] == ["0.00000000"]
    assert second["status"] == "NEW"


def test_amendments_are_numbered_by_their_executions(owner: Trader) -> None:
    order_id = owner.order("BUY", "3", "20", newClientOrderId="first").body["orderId"]

    answers = [
        amend(owner, orderId=order_id, newQty="2", newClientOrderId="first"),
        amend(owner, origClientOrderId="first", newQty="1"),
    ]

    past = owner.call("GET", "order/amendments", symbol=SYMBOL, orderId=order_id).body
    assert [one["executionId"] for one in past] == [one.body["executionId"] for one in answers]
    names = [one.body["amendedOrder"]["clientOrderId"] for one in answers]
    assert names[0] == "first"
    assert names[1] not in ("", "first")


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({"newQty": "1"}, -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both"),
        ({"orderId": "ORDER"}, -1102, "Mandatory parameter 'newQty' was not sent,"),
        ({"orderId": "ORDER", "newQty": "0"}, -1013, "Invalid quantity."),
        ({"orderId": "ORDER", "newQty": "0.000000001"}, -1111, "Parameter 'newQty' has too much"),
        ({"orderId": "99999999", "newQty": "1"}, -2038, "Unknown order sent."),
        ({"origClientOrderId": "none", "newQty": "1"}, -2038, "Unknown order sent."),
        (
            {"orderId": "ORDER", "origClientOrderId": "none", "newQty": "1"}, -2039,
            "Client order ID is not correct for this order ID.",
        ),
        (
            {"orderId": "ORDER", "newQty": "2"}, -2038,
            "The requested action would change no state; rejecting",
        ),
        (
            {"orderId": "ORDER", "newQty": "3"}, -2038,
            "Order amend (quantity increase) is not supported.",
        ),
        ({"orderId": "ORDER", "newQty": "1.0001"}, -2038, "Filter failure: LOT_SIZE"),
        ({"orderId": "ORDER", "newQty": "0.001"}, -2038, "Filter failure: NOTIONAL"),
        (
            {"orderId": "ORDER", "newQty": "1", "newClientOrderId": "taken"}, -2038,
            "Duplicate order sent.",
        ),
    ],
)  # fmt: skip
def test_a_bad_amendment_has_its_error_and_leaves_the_order(
    owner: Trader, parameters: dict[str, str], code: int, text: str
) -> None:
    owner.order("BUY", "1", "15", newClientOrderId="taken")
    order_id = str(owner.order("BUY", "2", "20").body["orderId"])
    named = {name: value.replace("ORDER", order_id) for name, value in parameters.items()}

    answer = amend(owner, **named)

    assert (answer.status, answer.body["code"]) == (400, code), answer
    assert answer.body["msg"].startswith(text)
    assert [one["origQty"] for one in open_orders(owner)] == ["1.00000000", "2.00000000"]


def test_the_answer_for_an_order_of_a_list_tells_the_list(owner: Trader) -> None:
    listed = owner.call("POST", "orderList/oto", **OTO).body
    working, pending = listed["orders"]

    answer = amend(owner, orderId=pending["orderId"], newQty="1", newClientOrderId="smaller")

    amended = answer.body["amendedOrder"]
    assert (amended["status"], amended["qty"]) == ("PENDING_NEW", "1.00000000")
    assert amended["orderListId"] == listed["orderListId"]
    assert "workingTime" not in amended
    assert answer.body["listStatus"] == {
        "orderListId": listed["orderListId"],
        "contingencyType": "OTO",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": listed["listClientOrderId"],
        "symbol": SYMBOL,
        "orders": [working, {**pending, "clientOrderId": "smaller"}],
    }


def test_both_legs_of_an_oco_become_smaller_together(owner: Trader) -> None:
    listed = owner.call("POST", "orderList/oco", **OCO)
    assert listed.status == 200, listed

    answer = amend(owner, orderId=listed.body["orders"][0]["orderId"], newQty="1")

    assert answer.body["amendedOrder"]["qty"] == "1.00000000"
    assert {one["origQty"] for one in open_orders(owner)} == {"1.00000000"}
