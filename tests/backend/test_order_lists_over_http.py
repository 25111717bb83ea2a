"""Order lists through a real engine: placed in every form, told as lists, canceled as one."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

SYMBOL = "SOLUSDC"


@pytest.fixture
def other(backend: RunningBackend) -> Iterator[Trader]:
    """Who trades with the owner of the lists; the last price is 100."""
    trader = backend.trader(SOL="1000", USDC="1000000")
    counterpart = backend.trader(USDC="1000")
    assert trader.order("SELL", "0.1", "100").status == 200
    assert counterpart.order("BUY", "0.1", "100").body["status"] == "FILLED"
    yield trader
    trader.call("DELETE", "openOrders", symbol=SYMBOL)


@pytest.fixture
def owner(backend: RunningBackend, other: Trader) -> Iterator[Trader]:
    trader = backend.trader(SOL="1000", USDC="1000000")
    yield trader
    trader.call("DELETE", "openOrders", symbol=SYMBOL)


OCO = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "2",
    "aboveType": "LIMIT_MAKER", "abovePrice": "110",
    "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "90", "belowPrice": "89",
    "belowTimeInForce": "GTC",
}  # fmt: skip
OLD_OCO = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "2", "price": "110", "stopPrice": "90",
    "stopLimitPrice": "89", "stopLimitTimeInForce": "GTC",
}  # fmt: skip
WORKING = {
    "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "80",
    "workingQuantity": "1", "workingTimeInForce": "GTC",
}  # fmt: skip
OTO = {
    **WORKING, "pendingType": "STOP_LOSS", "pendingSide": "SELL", "pendingQuantity": "1",
    "pendingStopPrice": "70",
}  # fmt: skip
OTOCO = {
    **WORKING, "pendingSide": "SELL", "pendingQuantity": "1",
    "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "120",
    "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "70",
}  # fmt: skip


def place(trader: Trader, form: str, wish: dict[str, str], **change: str | None) -> Answer:
    """What is changed to None is not sent."""
    wanted = {name: value for name, value in {**wish, **change}.items() if value is not None}
    return trader.call("POST", form, **wanted)


def found(trader: Trader, order_id: int) -> dict[str, Any]:
    body: dict[str, Any] = trader.call("GET", "order", symbol=SYMBOL, orderId=order_id).body
    return body


def statuses(trader: Trader, answer: Answer) -> list[str]:
    return [found(trader, one["orderId"])["status"] for one in answer.body["orders"]]


def test_an_oco_is_answered_as_a_list_with_the_state_of_its_orders(owner: Trader) -> None:
    answer = place(
        owner, "orderList/oco", OCO,
        listClientOrderId="list", aboveClientOrderId="above", belowClientOrderId="below",
    )  # fmt: skip

    assert answer.status == 200, answer
    body = answer.body
    above, below = body["orderReports"]
    placed = body["transactionTime"]
    assert body == {
        "orderListId": body["orderListId"],
        "contingencyType": "OCO",
        "listStatusType": "EXEC_STARTED",
        "listOrderStatus": "EXECUTING",
        "listClientOrderId": "list",
        "transactionTime": placed,
        "symbol": SYMBOL,
        "orders": [
            {"symbol": SYMBOL, "orderId": above["orderId"], "clientOrderId": "above"},
            {"symbol": SYMBOL, "orderId": below["orderId"], "clientOrderId": "below"},
        ],
        "orderReports": [above, below],
    }
    common = {
        "symbol": SYMBOL,
        "orderListId": body["orderListId"],
        "transactTime": placed,
        "origQty": "2.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "side": "SELL",
        "selfTradePreventionMode": "EXPIRE_MAKER",
    }
    assert above == {
        **common, "orderId": above["orderId"], "clientOrderId": "above", "type": "LIMIT_MAKER",
        "price": "110.00000000", "workingTime": placed,
    }  # fmt: skip
    assert below == {
        **common, "orderId": above["orderId"] + 1, "clientOrderId": "below",
        "type": "STOP_LOSS_LIMIT", "price": "89.00000000", "stopPrice": "90.00000000",
        "workingTime": -1,
    }  # fmt: skip
    asked = owner.call("GET", "orderList", orderListId=body["orderListId"]).body
    assert asked["orders"] == body["orders"]
    assert found(owner, below["orderId"])["orderListId"] == body["orderListId"]


@pytest.mark.parametrize(("response", "names"), [("ACK", 5), ("RESULT", 16), ("FULL", 17)])
def test_the_orders_of_a_list_are_told_as_asked(owner: Trader, response: str, names: int) -> None:
    answer = place(owner, "orderList/oco", OCO, newOrderRespType=response)

    assert len(answer.body["orderReports"][0]) == names


@pytest.mark.parametrize(("side", "price", "stop"), [("SELL", "110", "90"), ("BUY", "90", "110")])
@pytest.mark.parametrize("is_limited", [True, False])
def test_the_older_oco_knows_which_order_is_above(
    owner: Trader, side: str, price: str, stop: str, is_limited: bool
) -> None:
    limit = {"stopLimitPrice": stop if is_limited else None}
    life = {"stopLimitTimeInForce": "GTC" if is_limited else None}

    answer = place(
        owner, "order/oco", OLD_OCO, side=side, price=price, stopPrice=stop, **limit, **life,
        limitClientOrderId="limit", stopClientOrderId="stop", listClientOrderId="list",
    )  # fmt: skip

    assert answer.status == 200, answer
    assert (answer.body["contingencyType"], answer.body["listClientOrderId"]) == ("OCO", "list")
    reports = {one["clientOrderId"]: one for one in answer.body["orderReports"]}
    stop_type = "STOP_LOSS_LIMIT" if is_limited else "STOP_LOSS"
    assert [reports["limit"]["type"], reports["stop"]["type"]] == ["LIMIT_MAKER", stop_type]
    assert reports["stop"]["stopPrice"] == f"{stop}.00000000"
    # The one above is the first.
    assert list(reports) == (["limit", "stop"] if side == "SELL" else ["stop", "limit"])


def test_a_trade_of_one_leg_ends_the_other(owner: Trader, other: Trader) -> None:
    answer = place(owner, "orderList/oco", OCO)

    other.order("BUY", "2", "110")

    assert statuses(owner, answer) == ["FILLED", "EXPIRED"]
    ended = found(owner, answer.body["orders"][1]["orderId"])
    assert ended["expiryReason"] == "OCO_TRIGGER"
    list_id = answer.body["orderListId"]
    assert owner.call("GET", "orderList", orderListId=list_id).body["listOrderStatus"] == "ALL_DONE"


def test_the_pending_order_of_an_oto_waits_for_the_working_one(
    owner: Trader, other: Trader
) -> None:
    answer = place(owner, "orderList/oto", OTO)

    working, pending = answer.body["orderReports"]
    assert answer.body["contingencyType"] == "OTO"
    assert (working["status"], working["workingTime"]) == ("NEW", working["transactTime"])
    assert (pending["status"], pending["workingTime"]) == ("PENDING_NEW", -1)
    assert pending["stopPrice"] == "70.00000000"
    other.order("SELL", "1", "80")
    assert statuses(owner, answer) == ["FILLED", "NEW"]


def test_a_pending_order_is_told_as_pending_even_if_it_started_at_once(
    owner: Trader, other: Trader
) -> None:
    other.order("SELL", "1", "99")

    answer = place(owner, "orderList/oto", OTO, workingPrice="99", newOrderRespType="FULL")

    working, pending = answer.body["orderReports"]
    assert (working["status"], len(working["fills"])) == ("FILLED", 1)
    assert (pending["status"], pending["fills"]) == ("PENDING_NEW", [])
    assert answer.body["listOrderStatus"] == "EXECUTING"
    assert statuses(owner, answer) == ["FILLED", "NEW"]


def test_a_pending_order_that_traded_at_once_is_told_without_its_trades(
    owner: Trader, other: Trader
) -> None:
    other.order("SELL", "1", "99")
    other.order("BUY", "1", "98")

    answer = place(
        owner, "orderList/oto", OTO, workingPrice="99", newOrderRespType="FULL",
        pendingType="MARKET", pendingStopPrice=None,
    )  # fmt: skip

    pending = answer.body["orderReports"][1]
    assert (pending["status"], pending["executedQty"]) == ("PENDING_NEW", "0.00000000")
    assert pending["fills"] == []
    assert statuses(owner, answer) == ["FILLED", "FILLED"]


@pytest.mark.parametrize(
    ("pending", "shown"),
    [
        ({"pendingType": "MARKET", "pendingStopPrice": None}, {"type": "MARKET"}),
        (
            {
                "pendingType": "LIMIT", "pendingStopPrice": None, "pendingPrice": "120",
                "pendingTimeInForce": "GTC", "pendingIcebergQty": "0.5",
            },
            {"type": "LIMIT", "price": "120.00000000", "icebergQty": "0.50000000"},
        ),
        (
            {"pendingStopPrice": None, "pendingTrailingDelta": "100"},
            {"trailingDelta": 100, "trailingTime": -1},
        ),
    ],
)  # fmt: skip
def test_nearly_any_order_may_be_pending(
    owner: Trader, pending: dict[str, str | None], shown: dict[str, object]
) -> None:
    answer = place(owner, "orderList/oto", OTO, **pending)

    assert answer.status == 200, answer
    assert {"status": "PENDING_NEW", **shown}.items() <= answer.body["orderReports"][1].items()


def test_a_filled_working_order_starts_both_legs(owner: Trader, other: Trader) -> None:
    answer = place(owner, "orderList/otoco", OTOCO)

    assert [one["status"] for one in answer.body["orderReports"]] == [
        "NEW", "PENDING_NEW", "PENDING_NEW",
    ]  # fmt: skip
    assert answer.body["contingencyType"] == "OTO"
    other.order("SELL", "1", "80")
    assert statuses(owner, answer) == ["FILLED", "NEW", "NEW"]


def test_a_repeated_list_is_placed_once_and_answered_alike(owner: Trader) -> None:
    text = urlencode({**OCO, "timestamp": time.time_ns() // 1_000_000})
    target = f"/api/v3/orderList/oco?{text}&signature={owner.sign(text)}"

    first, second = owner.raw("POST", target), owner.raw("POST", target)

    assert (first.status, second.body) == (200, first.body)
    assert len(owner.call("GET", "openOrders", symbol=SYMBOL).body) == 2


@pytest.mark.parametrize(
    ("form", "wish", "change", "code", "text"),
    [
        ("oco", OCO, {"symbol": "NOSUCH"}, -1121, "Invalid symbol."),
        ("oco", OCO, {"side": None}, -1102, "Mandatory parameter 'side' was not sent,"),
        ("oco", OCO, {"quantity": None}, -1102, "Mandatory parameter 'quantity' was not sent,"),
        ("oco", OCO, {"belowType": None}, -1102, "Mandatory parameter 'belowType' was not sent,"),
        ("oco", OCO, {"aboveType": "LIMIT"}, -1158, "Order type not supported in OCO."),
        ("oco", OCO, {"aboveType": "MARKET"}, -1158, "Order type not supported in OCO."),
        ("oco", OCO, {"aboveType": "NONE"}, -1116, "Invalid orderType."),
        ("oco", OCO, {"abovePrice": None}, -1102, "Mandatory parameter 'abovePrice' was not"),
        ("oco", OCO, {"aboveStopPrice": "110"}, -1106, "Parameter 'aboveStopPrice' sent when not"),
        ("oco", OCO, {"aboveTimeInForce": "GTC"}, -1106, "Parameter 'aboveTimeInForce' sent"),
        ("oco", OCO, {"belowStopPrice": None}, -1102, "Param 'belowStopPrice' or 'belowTrailing"),
        ("oco", OCO, {"belowTimeInForce": None}, -1102, "Mandatory parameter 'belowTimeInForce'"),
        (
            "oco", OCO, {"belowTimeInForce": "IOC", "belowIcebergQty": "1"}, -1160,
            "Parameter 'belowIcebergQty' is not supported if"
            " `aboveTimeInForce`/`belowTimeInForce` is not GTC.",
        ),
        (
            "oco", OCO,
            {
                "belowType": "LIMIT_MAKER", "belowPrice": "90", "belowStopPrice": None,
                "belowTimeInForce": None,
            },
            -1168, "At least one OCO order must be contingent.",
        ),
        ("oco", OCO, {"side": "BUY"}, -1165, "A limit order in a buy OCO must be below."),
        (
            "oco", OCO,
            {
                "aboveType": "TAKE_PROFIT", "abovePrice": None, "aboveStopPrice": "110",
                "belowType": "LIMIT_MAKER", "belowStopPrice": None, "belowTimeInForce": None,
            },
            -1166, "A limit order in a sell OCO must be above.",
        ),
        (
            "oco", OCO,
            {
                "side": "BUY", "aboveType": "TAKE_PROFIT", "abovePrice": None,
                "aboveStopPrice": "110",
            },
            -1196, "A stop loss order in a buy OCO must be above.",
        ),
        (
            "oco", OCO,
            {"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "110"},
            -1197, "A stop loss order in a sell OCO must be below.",
        ),
        (
            "oco", OCO,
            {
                "side": "BUY", "aboveType": "TAKE_PROFIT", "abovePrice": None,
                "aboveStopPrice": "110", "belowType": "TAKE_PROFIT_LIMIT",
            },
            -1198, "A take profit order in a buy OCO must be below.",
        ),
        (
            "oco", OCO, {"belowType": "TAKE_PROFIT_LIMIT"},
            -1199, "A take profit order in a sell OCO must be above.",
        ),
        (
            "oco", OCO, {"abovePrice": "95"}, -2010,
            "The relationship of the prices for the orders is not correct.",
        ),
        ("oco", OCO, {"quantity": "9000"}, -2010, "Account has insufficient balance for request"),
        ("oco", OCO, {"quantity": "0.01"}, -1013, "Filter failure: NOTIONAL"),
        (
            "oco", OCO, {"aboveClientOrderId": "same", "belowClientOrderId": "same"}, -2010,
            "Duplicate order sent.",
        ),
        ("oco", OCO, {"abovePegPriceType": "PRIMARY_PEG"}, -1013, "Pegged orders are not"),
        ("oco", OCO, {"belowStrategyType": "1"}, -1134, "`strategyType` was less than 1000000."),
        (
            "oco", OCO, {"selfTradePreventionMode": "TRANSFER"}, -1013,
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        ("oco", OCO, {"price": "1"}, -1104, "Not all sent parameters were read;"),
        ("otoco", OTOCO, {"pendingBelowType": "LIMIT"}, -1158, "Order type not supported in OCO."),
        (
            "otoco", OTOCO, {"pendingBelowType": "TAKE_PROFIT"}, -1199,
            "A take profit order in a sell OCO must be above.",
        ),
        ("oto", OTO, {"workingType": "MARKET"}, -1116, "Invalid orderType."),
        ("oto", OTO, {"workingTimeInForce": None}, -1102, "Mandatory parameter 'workingTimeIn"),
        ("oto", OTO, {"workingPrice": None}, -1102, "Mandatory parameter 'workingPrice' was not"),
        ("oto", OTO, {"pendingQuantity": None}, -1102, "Mandatory parameter 'pendingQuantity'"),
        ("oto", OTO, {"pendingStopPrice": None}, -1102, "Param 'pendingStopPrice' or 'pendingT"),
        ("oto", OTO, {"pendingQuoteOrderQty": "9"}, -1104, "Not all sent parameters were read;"),
        (
            "oto", OTO, {"workingTimeInForce": "IOC", "workingIcebergQty": "0.5"}, -1014,
            "Unsupported order combination.",
        ),
    ],
)  # fmt: skip
def test_a_bad_list_has_its_error_and_changes_nothing(
    owner: Trader,
    form: str,
    wish: dict[str, str],
    change: dict[str, str | None],
    code: int,
    text: str,
) -> None:
    answer = place(owner, f"orderList/{form}", wish, **change)

    assert (answer.status, answer.body["code"]) == (400, code), answer
    assert answer.body["msg"].startswith(text)
    assert owner.call("GET", "openOrders").body == []


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"stopPrice": None}, -1102, "Mandatory parameter 'stopPrice' was not sent,"),
        ({"price": None}, -1102, "Mandatory parameter 'price' was not sent,"),
        ({"stopLimitTimeInForce": None}, -1102, "Mandatory parameter 'stopLimitTimeInForce'"),
        ({"stopLimitPrice": None}, -1106, "Parameter 'stopLimitTimeInForce' sent when not"),
        (
            {"stopLimitPrice": None, "stopLimitTimeInForce": None, "stopIcebergQty": "1"}, -1106,
            "Parameter 'stopIcebergQty' sent when not required.",
        ),
        (
            {"stopLimitTimeInForce": "FOK", "stopIcebergQty": "1"}, -1160,
            "Parameter 'stopIcebergQty' is not supported if",
        ),
        ({"price": "85"}, -2010, "The relationship of the prices for the orders is not correct."),
    ],
)  # fmt: skip
def test_a_bad_oco_of_the_older_form_has_its_error(
    owner: Trader, change: dict[str, str | None], code: int, text: str
) -> None:
    answer = place(owner, "order/oco", OLD_OCO, **change)

    assert (answer.status, answer.body["code"]) == (400, code), answer
    assert answer.body["msg"].startswith(text)
    assert owner.call("GET", "openOrders").body == []


def test_a_list_client_id_is_free_again_after_its_list_ended(owner: Trader) -> None:
    first = place(owner, "orderList/oco", OCO, listClientOrderId="again")
    taken = place(owner, "orderList/oco", OCO, listClientOrderId="again")
    owner.call("DELETE", "orderList", symbol=SYMBOL, listClientOrderId="again")
    second = place(owner, "orderList/oco", OCO, listClientOrderId="again")

    assert (first.status, second.status) == (200, 200)
    assert taken.error == (400, -2010, "Duplicate order sent.")


@pytest.mark.parametrize("by", ["orderListId", "listClientOrderId", "both", "a leg"])
def test_a_list_is_canceled_as_a_whole(owner: Trader, by: str) -> None:
    placed = place(owner, "orderList/oco", OCO).body
    first = placed["orders"][0]
    ids = {name: placed[name] for name in ("orderListId", "listClientOrderId")}

    if by == "a leg":
        answer = owner.call(
            "DELETE", "order", symbol=SYMBOL, orderId=first["orderId"], newClientOrderId="mine"
        )
    else:
        named = ids if by == "both" else {by: ids[by]}
        answer = owner.call("DELETE", "orderList", symbol=SYMBOL, newClientOrderId="mine", **named)

    assert answer.status == 200, answer
    body = answer.body
    assert ids.items() <= body.items()
    assert (body["listStatusType"], body["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")
    assert body["orders"] == placed["orders"]
    assert body["transactionTime"] == body["orderReports"][0]["transactTime"]
    for report, order in zip(body["orderReports"], placed["orders"], strict=True):
        assert report["orderListId"] == placed["orderListId"]
        assert (report["orderId"], report["status"]) == (order["orderId"], "CANCELED")
        assert report["origClientOrderId"] == order["clientOrderId"]
        assert report["clientOrderId"] == "mine"
    assert owner.call("GET", "openOrders", symbol=SYMBOL).body == []


def test_a_canceled_list_names_all_its_orders_and_reports_what_was_open(
    owner: Trader, other: Trader
) -> None:
    placed = place(owner, "orderList/otoco", OTOCO).body
    other.order("SELL", "1", "80")

    answer = owner.call("DELETE", "orderList", symbol=SYMBOL, orderListId=placed["orderListId"])

    assert answer.body["orders"] == placed["orders"]
    reported = [one["orderId"] for one in answer.body["orderReports"]]
    assert reported == [one["orderId"] for one in placed["orders"][1:]]


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({}, -1102, "Param 'orderListId' or 'listClientOrderId' must be sent, but both were"),
        ({"orderListId": "1"}, -2011, "Unknown order list sent."),
        ({"listClientOrderId": "none"}, -2011, "Unknown order list sent."),
        ({"orderListId": "LIST", "listClientOrderId": "none"}, -2011, "Unknown order list sent."),
    ],
)
def test_a_bad_cancel_of_a_list_has_its_error(
    owner: Trader, parameters: dict[str, str], code: int, text: str
) -> None:
    list_id = str(place(owner, "orderList/oco", OCO).body["orderListId"])
    named = {name: value.replace("LIST", list_id) for name, value in parameters.items()}

    answer = owner.call("DELETE", "orderList", symbol=SYMBOL, **named)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert answer.body["msg"].startswith(text)
    assert len(owner.call("GET", "openOrders", symbol=SYMBOL).body) == 2


def test_cancelling_all_tells_orders_and_lists(owner: Trader) -> None:
    first = owner.order("BUY", "1", "81").body["orderId"]
    listed = place(owner, "orderList/oco", OCO).body
    last = owner.order("BUY", "1", "82").body["orderId"]

    answer = owner.call("DELETE", "openOrders", symbol=SYMBOL)

    by_kind = [one.get("orderId", one.get("contingencyType")) for one in answer.body]
    assert sorted(map(str, by_kind)) == sorted([str(first), str(last), "OCO"])
    (canceled,) = [one for one in answer.body if "contingencyType" in one]
    assert canceled["orderListId"] == listed["orderListId"]
    assert canceled["listOrderStatus"] == "ALL_DONE"
    assert [one["orderId"] for one in canceled["orderReports"]] == [
        one["orderId"] for one in listed["orders"]
    ]
    assert owner.call("GET", "openOrders").body == []


OPOCO = {name: value for name, value in OTOCO.items() if name != "pendingQuantity"}
ROUTED = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"}


@pytest.mark.parametrize(
    ("path", "wish", "code", "text"),
    [
        (
            "orderList/opo", {**OTO, "pendingQuantity": None}, -1013,
            "OPO orders are not supported for this symbol.",
        ),
        ("orderList/opoco", OPOCO, -1013, "OPO orders are not supported for this symbol."),
        ("sor/order", ROUTED, -1020, "This operation is not supported."),
        (
            "sor/order/test", {**ROUTED, "computeCommissionRates": "true"}, -1020,
            "This operation is not supported.",
        ),
    ],
)  # fmt: skip
def test_what_is_not_offered_says_so(
    owner: Trader, path: str, wish: dict[str, str], code: int, text: str
) -> None:
    assert place(owner, path, wish).error == (400, code, text)
