"""Orders through a real engine, Redis and Postgres, as clients send them."""

import hashlib
import hmac
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import pytest
from backend.api_client import Trader
from backend.conftest import RunningBackend


@pytest.fixture
def seller(backend: RunningBackend) -> Trader:
    return backend.trader(SOL="1000", USDC="1000000")


@pytest.fixture
def buyer(backend: RunningBackend) -> Trader:
    return backend.trader(USDC="1000000")


def milliseconds() -> int:
    return time.time_ns() // 1_000_000


def test_two_orders_meet_and_everything_agrees(seller: Trader, buyer: Trader) -> None:
    resting = seller.order("SELL", "2", "40.10", newClientOrderId="resting-1")
    taking = buyer.order("BUY", "0.5", "41", newOrderRespType="FULL")

    assert (resting.status, resting.body["status"], resting.body["fills"]) == (200, "NEW", [])
    assert resting.body["clientOrderId"] == "resting-1"
    assert taking.body["status"] == "FILLED"
    assert taking.body["cummulativeQuoteQty"] == "20.05000000"
    assert [fill["price"] for fill in taking.body["fills"]] == ["40.10000000"]
    assert taking.body["fills"][0]["commission"] == "0.00050000"
    found = seller.call("GET", "order", symbol="SOLUSDC", origClientOrderId="resting-1").body
    assert (found["status"], found["executedQty"]) == ("PARTIALLY_FILLED", "0.50000000")
    trades = seller.call("GET", "myTrades", symbol="SOLUSDC").body
    assert [one["id"] for one in trades] == [taking.body["fills"][0]["tradeId"]]
    balances = {one["asset"]: one for one in buyer.call("GET", "account").body["balances"]}
    assert balances["SOL"] == {"asset": "SOL", "free": "0.49950000", "locked": "0.00000000"}
    assert balances["USDC"]["free"] == "999979.95000000"
    canceled = seller.call("DELETE", "order", symbol="SOLUSDC", orderId=resting.body["orderId"])
    assert (canceled.status, canceled.body["status"]) == (200, "CANCELED")
    assert canceled.body["origClientOrderId"] == "resting-1"
    assert canceled.body["clientOrderId"] not in ("", "resting-1")


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({"newOrderRespType": "ACK"}, 5),
        ({"newOrderRespType": "RESULT"}, 16),
        ({"newOrderRespType": "FULL"}, 17),
        ({}, 17),
    ],
)
def test_an_answer_is_as_long_as_asked(buyer: Trader, more: dict[str, str], names: int) -> None:
    answer = buyer.order("BUY", "1", "10", **more)

    assert len(answer.body) == names, answer


def test_a_post_only_order_answers_briefly(buyer: Trader) -> None:
    answer = buyer.call(
        "POST", "order", symbol="SOLUSDC", side="BUY", type="LIMIT_MAKER", quantity="1", price="9"
    )

    assert answer.body.keys() == {
        "symbol", "orderId", "orderListId", "clientOrderId", "transactTime",
    }  # fmt: skip


def test_a_market_order_spends_a_quote_amount(seller: Trader, buyer: Trader) -> None:
    seller.order("SELL", "1", "20")

    answer = buyer.call(
        "POST", "order", symbol="SOLUSDC", side="BUY", type="MARKET", quoteOrderQty="10"
    )

    assert answer.body["status"] in ("FILLED", "EXPIRED")
    assert answer.body["executedQty"] == "0.50000000"
    assert answer.body["origQuoteOrderQty"] == "10.00000000"
    seller.call("DELETE", "openOrders", symbol="SOLUSDC")


def test_parameters_come_in_query_body_or_both_whatever_the_body_is_called(buyer: Trader) -> None:
    text = "type=LIMIT&timeInForce=GTC&quantity=1&price=11"
    for content_type in ("application/x-www-form-urlencoded", "application/json", "text/plain"):
        query = f"symbol=SOLUSDC&side=BUY&timestamp={milliseconds()}"
        signature = buyer.sign(query + text)

        answer = buyer.raw(
            "POST",
            f"/api/v3/order?{query}",
            body=f"{text}&signature={signature}",
            Content_Type=content_type,
        )

        assert (answer.status, answer.body["price"]) == (200, "11.00000000"), content_type
        time.sleep(0.002)


def test_a_cancel_may_have_its_parameters_in_a_body(buyer: Trader) -> None:
    order = buyer.order("BUY", "1", "12").body
    text = f"symbol=SOLUSDC&orderId={order['orderId']}&timestamp={milliseconds()}"

    answer = buyer.raw(
        "DELETE", "/api/v3/order", body=f"{text}&signature={buyer.sign(text).upper()}"
    )

    assert answer.body["status"] == "CANCELED"


def test_a_repeated_request_is_executed_once_and_answered_alike(buyer: Trader) -> None:
    text = urlencode(
        {
            "symbol": "SOLUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "1", "price": "13", "timestamp": milliseconds(),
        }
    )  # fmt: skip
    target = f"/api/v3/order?{text}&signature={buyer.sign(text)}"

    answers = [buyer.raw("POST", target) for _ in range(3)]

    assert {answer.status for answer in answers} == {200}
    assert answers[0].body == answers[1].body == answers[2].body
    at_13 = [
        order
        for order in buyer.call("GET", "openOrders", symbol="SOLUSDC").body
        if order["price"] == "13.00000000"
    ]
    assert len(at_13) == 1


def test_a_repeated_cancel_gets_the_first_answer(buyer: Trader) -> None:
    order = buyer.order("BUY", "1", "12").body
    text = f"symbol=SOLUSDC&orderId={order['orderId']}&timestamp={milliseconds()}"
    target = f"/api/v3/order?{text}&signature={buyer.sign(text)}"

    first, second = buyer.raw("DELETE", target), buyer.raw("DELETE", target)

    assert (first.status, first.body["status"]) == (200, "CANCELED")
    assert second.body == first.body


def test_a_signature_over_unencoded_parameters_is_accepted(buyer: Trader) -> None:
    plain = (
        "newClientOrderId=a:b/c&price=10&quantity=1&side=BUY&symbol=SOLUSDC&timeInForce=GTC"
        f"&timestamp={milliseconds()}&type=LIMIT"
    )
    target = f"/api/v3/order?{quote(plain, safe='=&')}&signature={buyer.sign(plain)}"

    assert buyer.raw("POST", target).body["clientOrderId"] == "a:b/c"


def test_cancelling_all_tells_every_order(buyer: Trader) -> None:
    placed = [buyer.order("BUY", "1", str(price)).body["orderId"] for price in (10, 11, 12)]

    canceled = buyer.call("DELETE", "openOrders", symbol="SOLUSDC")

    assert [one["orderId"] for one in canceled.body] == placed
    assert len({one["clientOrderId"] for one in canceled.body}) == 3
    assert buyer.call("GET", "openOrders").body == []
    again = buyer.call("DELETE", "openOrders", symbol="SOLUSDC")
    assert again.error == (400, -2011, "Unknown order sent.")


def test_reads_see_every_acknowledged_order_at_once(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="100000")
    for price in range(10, 30):
        order_id = trader.order("BUY", "1", str(price)).body["orderId"]

        assert trader.call("GET", "order", symbol="SOLUSDC", orderId=order_id).status == 200
        bids = dict(trader.get("depth", symbol="SOLUSDC", limit=5000).body["bids"])
        assert f"{price}.00000000" in bids


def test_many_orders_at_once_are_all_answered(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000000")

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda n: trader.order("BUY", "1", f"{10 + n}"), range(100)))

    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["orderId"] for answer in answers}) == 100
    assert len(trader.call("GET", "openOrders", symbol="SOLUSDC").body) == 100
    trader.call("DELETE", "openOrders", symbol="SOLUSDC")


LIMIT = {
    "symbol": "SOLUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "1", "price": "10",
}  # fmt: skip
MARKET = {"symbol": "SOLUSDC", "side": "BUY", "type": "MARKET", "quantity": "1"}
MAKER = {"symbol": "SOLUSDC", "side": "BUY", "type": "LIMIT_MAKER", "quantity": "1", "price": "10"}


@pytest.mark.parametrize(
    ("base", "change", "status", "code", "text"),
    [
        (LIMIT, {"symbol": "NOSUCH"}, 400, -1121, "Invalid symbol."),
        (LIMIT, {"side": "buy"}, 400, -1117, "Invalid side."),
        (LIMIT, {"type": "TRAILING"}, 400, -1116, "Invalid orderType."),
        (LIMIT, {"timeInForce": "GTX"}, 400, -1115, "Invalid timeInForce."),
        (LIMIT, {"timeInForce": None}, 400, -1102, "Mandatory parameter 'timeInForce' was"),
        (LIMIT, {"quantity": None}, 400, -1102, "Mandatory parameter 'quantity' was"),
        (LIMIT, {"price": None}, 400, -1102, "Mandatory parameter 'price' was"),
        (LIMIT, {"side": None}, 400, -1102, "Mandatory parameter 'side' was"),
        (LIMIT, {"quoteOrderQty": "1"}, 400, -1106, "Parameter 'quoteOrderQty' sent when not"),
        (LIMIT, {"stopPrice": "1"}, 400, -1106, "Parameter 'stopPrice' sent when not required."),
        (LIMIT, {"trailingDelta": "1"}, 400, -1106, "Parameter 'trailingDelta' sent when not"),
        (LIMIT, {"icebergQty": "1.001"}, 400, -1013, "IcebergQty exceeds QTY."),
        (LIMIT, {"icebergQty": "0.001"}, 400, -1013, "Filter failure: ICEBERG_PARTS"),
        (LIMIT, {"icebergQty": "0"}, 400, -1013, "Invalid iceberg quantity."),
        (
            LIMIT, {"icebergQty": "0.5", "timeInForce": "IOC"}, 400, -1014,
            "Unsupported order combination.",
        ),
        (LIMIT, {"pegPriceType": "X"}, 400, -1013, "Pegged orders are not supported"),
        (LIMIT, {"strategyId": "x"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"strategyType": "999999"}, 400, -1134, "`strategyType` was less than 1000000."),
        (LIMIT, {"strategyType": "2147483648"}, 400, -1108, "Parameter 'strategyType' overflow"),
        (
            LIMIT, {"selfTradePreventionMode": "TRANSFER"}, 400, -1013,
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        (LIMIT, {"selfTradePreventionMode": "ANY"}, 400, -1130, "Data sent for parameter"),
        (LIMIT, {"newOrderRespType": "LONG"}, 400, -1130, "Data sent for parameter"),
        (LIMIT, {"newClientOrderId": "x" * 37}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"newClientOrderId": "a b"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"quantity": "NaN"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"quantity": "-1"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"quantity": "1e2"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"quantity": "١"}, 400, -1100, "Illegal characters found"),
        (LIMIT, {"quantity": "0"}, 400, -1013, "Invalid quantity."),
        (LIMIT, {"price": "0.0"}, 400, -1013, "Invalid price."),
        (LIMIT, {"quantity": "1.000000001"}, 400, -1111, "Parameter 'quantity' has too much"),
        (LIMIT, {"price": "1.000000001"}, 400, -1111, "Parameter 'price' has too much precision."),
        (LIMIT, {"price": "10.001"}, 400, -1013, "Filter failure: PRICE_FILTER"),
        (LIMIT, {"price": "1000000.01"}, 400, -1013, "Filter failure: PRICE_FILTER"),
        (LIMIT, {"quantity": "1.0001"}, 400, -1013, "Filter failure: LOT_SIZE"),
        (LIMIT, {"quantity": "99999999999999999999"}, 400, -1013, "Filter failure: LOT_SIZE"),
        (LIMIT, {"quantity": "0.1"}, 400, -1013, "Filter failure: NOTIONAL"),
        (LIMIT, {"quantity": "100000", "price": "91"}, 400, -1013, "Filter failure: NOTIONAL"),
        (LIMIT, {"quantity": "90000"}, 400, -2010, "Account has insufficient balance for"),
        (LIMIT, {"other": "1"}, 400, -1104, "Not all sent parameters were read; read '6' param"),
        (MARKET, {"price": "1"}, 400, -1106, "Parameter 'price' sent when not required."),
        (MARKET, {"icebergQty": "1"}, 400, -1106, "Parameter 'icebergQty' sent when not"),
        (MARKET, {"stopPrice": "1"}, 400, -1106, "Parameter 'stopPrice' sent when not required."),
        (MARKET, {"timeInForce": "GTC"}, 400, -1106, "Parameter 'timeInForce' sent when not"),
        (MARKET, {"quoteOrderQty": "9"}, 400, -1106, "Parameter 'quoteOrderQty' sent when not"),
        (
            MARKET, {"quantity": None}, 400, -1102,
            "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!",
        ),
        (MARKET, {}, 400, -2010, "Order book liquidity is less than symbol minimum quantity."),
        (MAKER, {"timeInForce": "GTC"}, 400, -1106, "Parameter 'timeInForce' sent when not"),
        (MAKER, {"stopPrice": "1"}, 400, -1106, "Parameter 'stopPrice' sent when not required."),
    ],
)  # fmt: skip
def test_a_bad_order_has_its_error_and_changes_nothing(
    backend: RunningBackend,
    base: dict[str, str],
    change: dict[str, str | None],
    status: int,
    code: int,
    text: str,
) -> None:
    trader = _pauper(backend)
    wish = {name: value for name, value in {**base, **change}.items() if value is not None}

    answer = trader.call("POST", "order", **wish)

    assert (answer.status, answer.body["code"]) == (status, code), answer
    assert answer.body["msg"].startswith(text)
    assert trader.call("GET", "openOrders").body == []


_paupers: dict[str, Trader] = {}


def _pauper(backend: RunningBackend) -> Trader:
    """One account for all refusals of a module: nothing of it may change."""
    if backend.api not in _paupers:
        _paupers[backend.api] = backend.trader(USDC="1000")
    return _paupers[backend.api]


@pytest.mark.parametrize(
    ("parameters", "code", "text"),
    [
        ({"symbol": "SOLUSDC"}, -1102, "Param 'origClientOrderId' or 'orderId' must be sent,"),
        ({"symbol": "SOLUSDC", "orderId": "99999999"}, -2011, "Unknown order sent."),
        ({"symbol": "SOLUSDC", "origClientOrderId": "none"}, -2011, "Unknown order sent."),
        (
            {"symbol": "SOLUSDC", "orderId": "1", "cancelRestrictions": "ANY"}, -1145,
            "`cancelRestrictions` has to be either",
        ),
    ],
)  # fmt: skip
def test_a_bad_cancel_has_its_error(
    backend: RunningBackend, parameters: dict[str, str], code: int, text: str
) -> None:
    answer = _pauper(backend).call("DELETE", "order", **parameters)

    assert (answer.status, answer.body["code"]) == (400, code)
    assert answer.body["msg"].startswith(text)


def test_both_ids_of_an_order_must_agree(buyer: Trader) -> None:
    first = buyer.order("BUY", "1", "10", newClientOrderId="first").body
    buyer.order("BUY", "1", "10", newClientOrderId="second")

    for method in ("DELETE", "GET"):
        answer = buyer.call(
            method,
            "order",
            symbol="SOLUSDC",
            orderId=first["orderId"],
            origClientOrderId="second",
        )
        assert answer.body["code"] == (-2039 if method == "DELETE" else -2013)


def test_a_restricted_cancel_leaves_the_order(buyer: Trader) -> None:
    order_id = buyer.order("BUY", "1", "10").body["orderId"]

    answer = buyer.call(
        "DELETE",
        "order",
        symbol="SOLUSDC",
        orderId=order_id,
        cancelRestrictions="ONLY_PARTIALLY_FILLED",
    )

    assert answer.error == (400, -2011, "Order was not canceled due to cancel restrictions.")


def test_times_in_milliseconds_are_inclusive_at_both_ends(buyer: Trader) -> None:
    order = buyer.order("BUY", "1", "50").body
    placed = order["transactTime"]

    def ids(start: int, end: int) -> list[int]:
        answer = buyer.call("GET", "allOrders", symbol="SOLUSDC", startTime=start, endTime=end)
        assert answer.status == 200, answer.body
        return [one["orderId"] for one in answer.body]

    assert order["orderId"] in ids(placed, placed)
    assert order["orderId"] not in ids(placed - 5_000, placed - 1)
    day = 24 * 60 * 60 * 1_000
    assert order["orderId"] in ids(placed - day, placed)
    longer = buyer.call(
        "GET", "allOrders", symbol="SOLUSDC", startTime=placed - day - 1, endTime=placed
    )
    assert longer.error[:2] == (400, -1127)


def test_a_client_order_id_is_free_again_after_its_order_ended(buyer: Trader) -> None:
    wish = {"newClientOrderId": "again"}
    assert buyer.order("BUY", "1", "10", **wish).status == 200
    assert buyer.order("BUY", "1", "11", **wish).error == (400, -2010, "Duplicate order sent.")
    buyer.call("DELETE", "order", symbol="SOLUSDC", origClientOrderId="again")

    newest = buyer.order("BUY", "1", "12", **wish).body["orderId"]

    found = buyer.call("GET", "order", symbol="SOLUSDC", origClientOrderId="again").body
    assert found["orderId"] == newest


def test_nobody_sees_or_cancels_the_orders_of_others(buyer: Trader, seller: Trader) -> None:
    order_id = buyer.order("BUY", "1", "10").body["orderId"]

    assert seller.call("GET", "order", symbol="SOLUSDC", orderId=order_id).body["code"] == -2013
    assert seller.call("DELETE", "order", symbol="SOLUSDC", orderId=order_id).body["code"] == -2011


def test_a_test_order_checks_and_places_nothing(buyer: Trader) -> None:
    good = buyer.call("POST", "order/test", **LIMIT)
    rates = buyer.call("POST", "order/test", **LIMIT, computeCommissionRates="true")
    bad = buyer.call("POST", "order/test", **{**LIMIT, "price": "10.001"})

    assert (good.status, good.body) == (200, {})
    assert rates.body["standardCommissionForOrder"] == {
        "maker": "0.00100000",
        "taker": "0.00100000",
    }
    assert bad.error == (400, -1013, "Filter failure: PRICE_FILTER")
    assert buyer.call("GET", "openOrders").body == []


def test_a_key_that_may_not_trade_can_only_read(backend: RunningBackend) -> None:
    reader = backend.trader(can_trade=False, USDC="100")

    assert reader.call("GET", "account").body["canTrade"] is False
    assert reader.order("BUY", "1", "10").error == (
        401,
        -2015,
        "Invalid API-key, IP, or permissions for action.",
    )


def test_a_wrong_signature_and_an_old_request_are_refused(buyer: Trader) -> None:
    other = Trader(buyer.url, buyer.api_key, "wrong")

    assert other.order("BUY", "1", "10").error == (
        400,
        -1022,
        "Signature for this request is not valid.",
    )
    assert buyer.order("BUY", "1", "10", timestamp=milliseconds() - 6_000).body["code"] == -1021
    assert buyer.order("BUY", "1", "10", timestamp=milliseconds() + 5_000).body["code"] == -1021
    assert Trader(buyer.url, "x").order("BUY", "1", "10").error[:2] == (401, -2014)


def test_a_signature_must_cover_the_body_too(buyer: Trader) -> None:
    query = f"symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&timestamp={milliseconds()}"
    signature = hmac.new(buyer.secret.encode(), query.encode(), hashlib.sha256).hexdigest()

    answer = buyer.raw(
        "POST", f"/api/v3/order?{query}&signature={signature}", body="quantity=1&price=10"
    )

    assert answer.body["code"] == -1022
