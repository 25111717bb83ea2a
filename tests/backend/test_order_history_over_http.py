"""What is told of past orders: lists, changes, prevented matches, and where their trades belong."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from backend.api_client import Trader
from backend.conftest import RunningBackend

from exchange.backend.application import ENDPOINTS

SYMBOL = "SOLUSDC"
DAY = 24 * 3600 * 1000
OCO = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "2",
    "aboveType": "LIMIT_MAKER", "abovePrice": "110",
    "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "90", "belowPrice": "89",
    "belowTimeInForce": "GTC",
}  # fmt: skip
OTO = {
    "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "80",
    "workingQuantity": "1", "workingTimeInForce": "GTC",
    "pendingType": "TAKE_PROFIT", "pendingSide": "SELL", "pendingQuantity": "1",
    "pendingStopPrice": "170",
}  # fmt: skip


@pytest.fixture
def other(backend: RunningBackend) -> Iterator[Trader]:
    """Who trades with the owner; the last price is 100."""
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


def get(trader: Trader, path: str, **parameters: object) -> Any:
    answer = trader.call("GET", path, **parameters)
    assert answer.status == 200, answer
    return answer.body


def post(trader: Trader, path: str, **parameters: object) -> Any:
    answer = trader.call("POST", path, **parameters)
    assert answer.status == 200, answer
    return answer.body


def place(trader: Trader, side: str, quantity: str, price: str, **more: object) -> Any:
    answer = trader.order(side, quantity, price, **more)
    assert answer.status == 200, answer
    return answer.body


# --- Single orders --------------------------------------------------------------------------------


def test_an_order_is_told_alike_wherever_it_is_listed(owner: Trader) -> None:
    placed = post(
        owner, "order", symbol=SYMBOL, side="SELL", type="STOP_LOSS_LIMIT", timeInForce="GTC",
        quantity="4", price="89", stopPrice="90", icebergQty="1", trailingDelta="100",
        strategyId="7", strategyType="1000001", selfTradePreventionMode="DECREMENT",
    )  # fmt: skip

    one = get(owner, "order", symbol=SYMBOL, orderId=placed["orderId"])

    assert get(owner, "openOrders", symbol=SYMBOL) == [one]
    assert get(owner, "openOrders") == [one]
    assert get(owner, "allOrders", symbol=SYMBOL) == [one]
    told = {name: value for name, value in one.items() if name not in ("time", "updateTime")}
    assert told == {
        "symbol": SYMBOL,
        "orderId": placed["orderId"],
        "orderListId": -1,
        "clientOrderId": placed["clientOrderId"],
        "price": "89.00000000",
        "origQty": "4.00000000",
        "executedQty": "0.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "0.00000000",
        "status": "NEW",
        "timeInForce": "GTC",
        "type": "STOP_LOSS_LIMIT",
        "side": "SELL",
        "stopPrice": "90.00000000",
        "icebergQty": "1.00000000",
        "isWorking": False,
        "workingTime": -1,
        "selfTradePreventionMode": "DECREMENT",
        "trailingDelta": 100,
        "trailingTime": -1,
        "strategyId": 7,
        "strategyType": 1000001,
    }


def test_an_order_works_once_it_was_triggered(owner: Trader, other: Trader) -> None:
    waiting = post(
        owner, "order", symbol=SYMBOL, side="BUY", type="STOP_LOSS_LIMIT", timeInForce="GTC",
        quantity="1", price="99", stopPrice="101",
    )  # fmt: skip
    before = get(owner, "order", symbol=SYMBOL, orderId=waiting["orderId"])
    place(other, "SELL", "0.1", "101")

    place(owner, "BUY", "0.1", "101", selfTradePreventionMode="NONE")

    after = get(owner, "order", symbol=SYMBOL, orderId=waiting["orderId"])
    assert (before["isWorking"], before["workingTime"]) == (False, -1)
    assert (after["isWorking"], after["status"]) == (True, "NEW")
    assert after["time"] <= after["workingTime"] <= after["updateTime"]
    assert after["time"] == before["time"]


# --- Lists ----------------------------------------------------------------------------------------


def test_a_list_is_found_by_its_ids(owner: Trader, other: Trader) -> None:
    placed = post(owner, "orderList/oco", **OCO, listClientOrderId="mine")
    list_id = placed["orderListId"]

    found = get(owner, "orderList", orderListId=list_id)

    assert found == {name: value for name, value in placed.items() if name != "orderReports"}
    assert get(owner, "orderList", origClientOrderId="mine") == found
    assert get(owner, "orderList", orderListId=list_id, origClientOrderId="mine") == found
    for wrong in ({"orderListId": list_id + 1}, {"origClientOrderId": "your"},
                  {"orderListId": list_id, "origClientOrderId": "your"}):  # fmt: skip
        error = owner.call("GET", "orderList", **wrong).error
        assert error == (400, -2018, "Order list does not exist.")
    assert other.call("GET", "orderList", orderListId=list_id).error[1] == -2018


def test_the_newest_of_lists_with_one_name_is_found(owner: Trader) -> None:
    for _ in range(2):
        placed = post(owner, "orderList/oco", **OCO, listClientOrderId="again")
        assert owner.call("DELETE", "openOrders", symbol=SYMBOL).status == 200

    found = get(owner, "orderList", origClientOrderId="again")

    assert found["orderListId"] == placed["orderListId"]
    assert (found["listStatusType"], found["listOrderStatus"]) == ("ALL_DONE", "ALL_DONE")


def test_only_open_lists_are_open(owner: Trader, other: Trader) -> None:
    first = post(owner, "orderList/oco", **OCO)
    second = post(owner, "orderList/oto", **OTO)
    assert [one["orderListId"] for one in get(owner, "openOrderList")] == [
        first["orderListId"],
        second["orderListId"],
    ]

    place(other, "BUY", "2", "110")

    assert [one["contingencyType"] for one in get(owner, "openOrderList")] == ["OTO"]
    assert get(other, "openOrderList") == []
    done = get(owner, "orderList", orderListId=first["orderListId"])
    assert done["listOrderStatus"] == "ALL_DONE"
    assert done["orders"] == first["orders"]
    statuses = [
        get(owner, "order", symbol=SYMBOL, orderId=one["orderId"])["status"]
        for one in done["orders"]
    ]
    assert sorted(statuses) == ["EXPIRED", "FILLED"]


def test_lists_are_listed_oldest_first_within_their_window(owner: Trader) -> None:
    began = time.time_ns() // 1_000_000
    ids = [post(owner, "orderList/oco", **OCO)["orderListId"] for _ in range(3)]
    owner.call("DELETE", "openOrders", symbol=SYMBOL)
    ended = time.time_ns() // 1_000_000

    def listed(**window: object) -> list[int]:
        return [one["orderListId"] for one in get(owner, "allOrderList", **window)]

    assert listed() == ids
    assert listed(limit=2) == ids[1:]
    assert listed(fromId=ids[1]) == ids[1:]
    assert listed(fromId=ids[0] + 1, limit=1) == ids[1:2]
    assert listed(startTime=began, endTime=ended, limit=1) == ids[:1]
    assert listed(endTime=ended, limit=1) == ids[2:]
    assert listed(endTime=began - DAY) == []


@pytest.mark.parametrize(
    ("path", "parameters", "code"),
    [
        ("orderList", {}, -1102),
        ("orderList", {"orderListId": "x"}, -1100),
        ("allOrderList", {"fromId": 1, "startTime": 1}, -1128),
        ("allOrderList", {"fromId": 1, "endTime": 1}, -1128),
        ("allOrderList", {"startTime": 0, "endTime": DAY + 1}, -1127),
        ("allOrderList", {"symbol": SYMBOL}, -1104),
        ("order/amendments", {"symbol": SYMBOL}, -1102),
        ("order/amendments", {"symbol": "NOSUCH", "orderId": 1}, -1121),
        ("myPreventedMatches", {"symbol": SYMBOL}, -1102),
        ("myPreventedMatches", {"symbol": "NOSUCH", "orderId": 1}, -1121),
        ("myPreventedMatches", {"symbol": SYMBOL, "preventedMatchId": 1, "orderId": 1}, -1128),
        (
            "myPreventedMatches",
            {"symbol": SYMBOL, "preventedMatchId": 1, "fromPreventedMatchId": 1},
            -1128,
        ),
        ("myPreventedMatches", {"symbol": SYMBOL, "preventedMatchId": 1, "limit": 1}, -1128),
        ("myPreventedMatches", {"symbol": SYMBOL, "fromPreventedMatchId": 1}, -1102),
    ],
)
def test_a_bad_question_has_its_error(
    owner: Trader, path: str, parameters: dict[str, object], code: int
) -> None:
    answer = owner.call("GET", path, **parameters)

    assert (answer.status, answer.body["code"]) == (400, code)


# --- What became of orders --------------------------------------------------------------------------


def test_amendments_are_listed_oldest_first(owner: Trader, other: Trader) -> None:
    order_id = place(owner, "BUY", "5", "50", newClientOrderId="a")["orderId"]
    executions = [
        owner.call(
            "PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=order_id,
            newQty=quantity, newClientOrderId=name,
        ).body["executionId"]
        for quantity, name in (("4", "b"), ("3.5", "c"), ("2", "c"))
    ]  # fmt: skip

    found = get(owner, "order/amendments", symbol=SYMBOL, orderId=order_id)

    assert [
        (one["executionId"], one["origClientOrderId"], one["newClientOrderId"], one["origQty"],
         one["newQty"]) for one in found
    ] == [
        (executions[0], "a", "b", "5.00000000", "4.00000000"),
        (executions[1], "b", "c", "4.00000000", "3.50000000"),
        (executions[2], "c", "c", "3.50000000", "2.00000000"),
    ]  # fmt: skip
    assert {(one["symbol"], one["orderId"]) for one in found} == {(SYMBOL, order_id)}
    assert all(abs(one["time"] - found[0]["time"]) < DAY for one in found)

    def listed(**window: object) -> list[int]:
        path = "order/amendments"
        part = get(owner, path, symbol=SYMBOL, orderId=order_id, **window)
        return [one["executionId"] for one in part]

    assert listed(limit=2) == executions[1:]
    assert listed(fromExecutionId=executions[1]) == executions[1:]
    assert listed(fromExecutionId=executions[0], limit=2) == executions[:2]
    assert get(other, "order/amendments", symbol=SYMBOL, orderId=order_id) == []


def test_matches_with_oneself_are_listed_for_both_orders(owner: Trader, other: Trader) -> None:
    makers = [place(owner, "SELL", "1", price)["orderId"] for price in ("101", "102", "103")]
    taker = place(owner, "BUY", "2", "103", selfTradePreventionMode="DECREMENT")

    found = get(owner, "myPreventedMatches", symbol=SYMBOL, orderId=taker["orderId"])

    assert [one.pop("transactTime") > 0 for one in found] == [True, True]
    ids = [one["preventedMatchId"] for one in found]
    assert ids == sorted(set(ids))
    assert found == [
        {
            "symbol": SYMBOL,
            "preventedMatchId": match_id,
            "takerOrderId": taker["orderId"],
            "makerSymbol": SYMBOL,
            "makerOrderId": maker,
            "tradeGroupId": -1,
            "selfTradePreventionMode": "DECREMENT",
            "price": price,
            "takerPreventedQuantity": "1.00000000",
            "makerPreventedQuantity": "1.00000000",
        }
        for match_id, maker, price in zip(
            ids, makers[:2], ("101.00000000", "102.00000000"), strict=True
        )
    ]

    def listed(**wanted: object) -> list[int]:
        part = get(owner, "myPreventedMatches", symbol=SYMBOL, **wanted)
        return [one["preventedMatchId"] for one in part]

    assert listed(orderId=makers[1]) == ids[1:]
    assert listed(orderId=makers[2]) == []
    assert listed(preventedMatchId=ids[1]) == ids[1:]
    assert listed(preventedMatchId=ids[1] + 1) == []
    assert listed(orderId=taker["orderId"], fromPreventedMatchId=ids[1]) == ids[1:]
    assert listed(orderId=taker["orderId"], fromPreventedMatchId=1, limit=1) == ids[:1]
    assert get(other, "myPreventedMatches", symbol=SYMBOL, preventedMatchId=ids[0]) == []
    order = get(owner, "order", symbol=SYMBOL, orderId=taker["orderId"])
    assert (order["status"], order["preventedQuantity"]) == ("EXPIRED_IN_MATCH", "2.00000000")
    assert order["preventedMatchId"] in ids


def test_a_side_that_lost_nothing_tells_no_prevented_quantity(owner: Trader) -> None:
    maker = place(owner, "SELL", "1", "101")["orderId"]
    place(owner, "BUY", "3", "101", selfTradePreventionMode="EXPIRE_MAKER")

    (found,) = get(owner, "myPreventedMatches", symbol=SYMBOL, orderId=maker)

    assert found["makerPreventedQuantity"] == "1.00000000"
    assert "takerPreventedQuantity" not in found


def test_own_trades_name_the_list_of_their_order(owner: Trader, other: Trader) -> None:
    listed = post(owner, "orderList/oco", **OCO)["orderListId"]
    place(owner, "SELL", "1", "105")

    place(other, "BUY", "3", "110")

    trades = get(owner, "myTrades", symbol=SYMBOL)
    assert [(one["price"], one["orderListId"]) for one in trades] == [
        ("105.00000000", -1),
        ("110.00000000", listed),
    ]
    assert {one["orderListId"] for one in get(other, "myTrades", symbol=SYMBOL)} == {-1}


# --- Weights ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "parameters", "weight"),
    [
        ("orderList", {"orderListId": 1}, 4),
        ("allOrderList", {}, 20),
        ("openOrderList", {}, 6),
        ("order/amendments", {"symbol": SYMBOL, "orderId": 1}, 4),
        ("myPreventedMatches", {"symbol": SYMBOL, "preventedMatchId": 1}, 2),
        ("myPreventedMatches", {"symbol": SYMBOL, "orderId": 1}, 20),
        ("myTrades", {"symbol": SYMBOL}, 20),
        ("myTrades", {"symbol": SYMBOL, "orderId": 1}, 5),
        ("myFilters", {"symbol": SYMBOL}, 40),
        ("account/commission", {"symbol": SYMBOL}, 20),
        ("executionRules", {"symbol": SYMBOL}, 2),
        ("executionRules", {"symbols": '["SOLUSDC","BTCUSDT"]'}, 4),
        ("executionRules", {"symbolStatus": "TRADING"}, 40),
        ("executionRules", {}, 40),
    ],
)
def test_every_question_has_its_weight(path: str, parameters: dict[str, Any], weight: int) -> None:
    endpoint = next(
        one for one in ENDPOINTS if (one.method, one.path) == ("GET", f"/api/v3/{path}")
    )
    sent = {name: str(value) for name, value in parameters.items()}

    assert endpoint.weigh(endpoint.table.read(sent)) == weight
