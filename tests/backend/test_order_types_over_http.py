"""Stop, trailing, iceberg and self-trading orders through a real engine, as clients send them."""

from collections.abc import Iterator
from typing import Any

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

SYMBOL = "SOLUSDC"


class Floor:
    """A market whose last price the test decides; what it leaves open is canceled at the end."""

    def __init__(self, backend: RunningBackend) -> None:
        self._backend = backend
        self._traders: list[Trader] = []
        self._maker, self._taker = self.trader(), self.trader()

    def trader(self) -> Trader:
        trader = self._backend.trader(SOL="1000", USDC="1000000")
        self._traders.append(trader)
        return trader

    def trade_at(self, price: str, quantity: str = "0.1") -> Answer:
        """One trade, which is the last one from then on."""
        maker = self._maker.order("SELL", quantity, price)
        taker = self._taker.order("BUY", quantity, price)
        assert (maker.status, taker.body["status"]) == (200, "FILLED"), (maker, taker)
        return taker

    def bid(self, price: str, quantity: str = "5") -> None:
        assert self._maker.order("BUY", quantity, price).body["status"] == "NEW"

    def close(self) -> None:
        for trader in self._traders:
            trader.call("DELETE", "openOrders", symbol=SYMBOL)


@pytest.fixture
def floor(backend: RunningBackend) -> Iterator[Floor]:
    """The last price is 100."""
    one = Floor(backend)
    one.trade_at("100")
    yield one
    one.close()


@pytest.fixture
def owner(floor: Floor) -> Trader:
    return floor.trader()


def place(trader: Trader, side: str, type: str, **more: object) -> Answer:
    wish = {"symbol": SYMBOL, "side": side, "type": type, "quantity": "1"}
    return trader.call("POST", "order", **{**wish, "newOrderRespType": "RESULT", **more})


def found(trader: Trader, answer: Answer) -> dict[str, Any]:
    body: dict[str, Any] = trader.call(
        "GET", "order", symbol=SYMBOL, orderId=answer.body["orderId"]
    ).body
    return body


LIMITED = {"price": "100", "timeInForce": "GTC"}


@pytest.mark.parametrize(
    ("side", "type", "more", "shown"),
    [
        ("SELL", "STOP_LOSS", {"stopPrice": "95"}, {"price": "0.00000000"}),
        ("BUY", "STOP_LOSS", {"stopPrice": "105"}, {"stopPrice": "105.00000000"}),
        ("SELL", "TAKE_PROFIT", {"stopPrice": "105"}, {"stopPrice": "105.00000000"}),
        ("BUY", "TAKE_PROFIT", {"stopPrice": "95"}, {"stopPrice": "95.00000000"}),
        ("SELL", "STOP_LOSS_LIMIT", {"stopPrice": "95", **LIMITED}, {"price": "100.00000000"}),
        ("BUY", "TAKE_PROFIT_LIMIT", {"stopPrice": "95", **LIMITED}, {"timeInForce": "GTC"}),
        (
            "SELL", "STOP_LOSS_LIMIT",
            {"stopPrice": "95", **LIMITED, "timeInForce": "FOK"}, {"timeInForce": "FOK"},
        ),
        (
            "SELL", "STOP_LOSS_LIMIT", {"stopPrice": "95", **LIMITED, "icebergQty": "0.5"},
            {"icebergQty": "0.50000000"},
        ),
        (
            "SELL", "TAKE_PROFIT", {"trailingDelta": "100", "stopPrice": "105"},
            {"trailingDelta": 100, "trailingTime": -1, "stopPrice": "105.00000000"},
        ),
    ],
)  # fmt: skip
def test_a_stop_order_waits_and_says_for_what(
    owner: Trader, side: str, type: str, more: dict[str, str], shown: dict[str, object]
) -> None:
    answer = place(owner, side, type, **more)

    assert answer.status == 200, answer
    waiting = {"status": "NEW", "workingTime": -1, "type": type, "side": side}
    assert {**waiting, **shown}.items() <= answer.body.items()
    stored = found(owner, answer)
    assert {**waiting, "isWorking": False, **shown}.items() <= stored.items()


def test_a_trail_without_a_stop_price_begins_at_once(owner: Trader) -> None:
    answer = place(owner, "SELL", "STOP_LOSS", trailingDelta="100")

    assert answer.body["trailingTime"] == answer.body["transactTime"]
    assert answer.body["stopPrice"] == "0.00000000"


@pytest.mark.parametrize(("more", "names"), [({}, 5), ({"newOrderRespType": "FULL"}, 18)])
def test_a_stop_order_is_answered_briefly_unless_asked_otherwise(
    owner: Trader, more: dict[str, str], names: int
) -> None:
    wish = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "1"}

    answer = owner.call("POST", "order", **wish, stopPrice="95", **more)

    assert len(answer.body) == names, answer
    assert answer.body.get("fills", []) == []


def test_a_stop_loss_sells_when_the_price_falls_to_it(floor: Floor, owner: Trader) -> None:
    stop = place(owner, "SELL", "STOP_LOSS", stopPrice="95")
    floor.bid("94")

    floor.trade_at("96")
    assert found(owner, stop)["status"] == "NEW"
    floor.trade_at("95")

    sold = found(owner, stop)
    assert (sold["status"], sold["type"]) == ("FILLED", "STOP_LOSS")
    assert (sold["cummulativeQuoteQty"], sold["isWorking"]) == ("94.00000000", True)
    assert sold["workingTime"] > sold["time"]


def test_a_trailing_stop_follows_the_price_up_and_sells_when_it_turns(
    floor: Floor, owner: Trader
) -> None:
    stop = place(owner, "SELL", "STOP_LOSS", trailingDelta="1000")
    floor.bid("90")

    floor.trade_at("110")
    floor.trade_at("100")
    assert found(owner, stop)["status"] == "NEW"
    floor.trade_at("99")

    assert found(owner, stop)["status"] == "FILLED"


def test_a_triggered_limit_order_rests_at_its_price(floor: Floor, owner: Trader) -> None:
    stop = place(owner, "SELL", "STOP_LOSS_LIMIT", stopPrice="95", price="98", timeInForce="GTC")

    floor.trade_at("95")

    assert found(owner, stop)["isWorking"] is True
    assert ["98.00000000", "1.00000000"] in owner.get("depth", symbol=SYMBOL).body["asks"]


def test_an_answer_tells_no_trades_of_orders_that_it_has_set_off(
    floor: Floor, owner: Trader
) -> None:
    stop = place(owner, "SELL", "STOP_LOSS", stopPrice="95")
    floor.bid("94")

    answer = floor.trade_at("95")

    assert found(owner, stop)["status"] == "FILLED"
    assert [fill["price"] for fill in answer.body["fills"]] == ["95.00000000"]
    assert answer.body["executedQty"] == "0.10000000"


@pytest.mark.parametrize(
    ("side", "type", "more", "code", "text"),
    [
        ("SELL", "STOP_LOSS", {"stopPrice": "101"}, -2010, "Order would trigger immediately."),
        ("BUY", "TAKE_PROFIT", {"stopPrice": "101"}, -2010, "Order would trigger immediately."),
        (
            "SELL", "STOP_LOSS", {}, -1102,
            "Param 'stopPrice' or 'trailingDelta' must be sent, but both were empty/null!",
        ),
        (
            "SELL", "STOP_LOSS", {"stopPrice": "95", "price": "95"}, -1106,
            "Parameter 'price' sent when not required.",
        ),
        (
            "SELL", "TAKE_PROFIT", {"stopPrice": "105", "timeInForce": "GTC"}, -1106,
            "Parameter 'timeInForce' sent when not required.",
        ),
        (
            "SELL", "TAKE_PROFIT", {"stopPrice": "105", "icebergQty": "1"}, -1106,
            "Parameter 'icebergQty' sent when not required.",
        ),
        (
            "SELL", "STOP_LOSS", {"stopPrice": "95", "quoteOrderQty": "9"}, -1106,
            "Parameter 'quoteOrderQty' sent when not required.",
        ),
        (
            "SELL", "STOP_LOSS_LIMIT", {"stopPrice": "95", "price": "95"}, -1102,
            "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.",
        ),
        (
            "SELL", "TAKE_PROFIT_LIMIT", {"stopPrice": "105", "timeInForce": "GTC"}, -1102,
            "Mandatory parameter 'price' was not sent, was empty/null, or malformed.",
        ),
        ("SELL", "STOP_LOSS", {"stopPrice": "0"}, -1013, "Invalid stop price."),
        ("SELL", "STOP_LOSS", {"stopPrice": "95.001"}, -1013, "Filter failure: PRICE_FILTER"),
        (
            "SELL", "STOP_LOSS", {"stopPrice": "95.000000001"}, -1111,
            "Parameter 'stopPrice' has too much precision.",
        ),
        (
            "SELL", "STOP_LOSS", {"trailingDelta": "0"}, -1130,
            "Data sent for parameter 'trailingDelta' is not valid.",
        ),
        ("SELL", "STOP_LOSS", {"trailingDelta": "9"}, -1013, "Filter failure: TRAILING_DELTA"),
        ("SELL", "STOP_LOSS", {"trailingDelta": "2001"}, -1013, "Filter failure: TRAILING_DELTA"),
        (
            "SELL", "STOP_LOSS_LIMIT",
            {"stopPrice": "95", "price": "95", "timeInForce": "IOC", "icebergQty": "0.5"},
            -1014, "Unsupported order combination.",
        ),
    ],
)  # fmt: skip
def test_a_bad_stop_order_has_its_error_and_changes_nothing(
    owner: Trader, side: str, type: str, more: dict[str, str], code: int, text: str
) -> None:
    answer = place(owner, side, type, **more)

    assert answer.error == (400, code, text)
    assert owner.call("GET", "openOrders").body == []


@pytest.mark.parametrize("type", ["LIMIT", "LIMIT_MAKER"])
def test_an_iceberg_shows_a_slice_of_itself(owner: Trader, type: str) -> None:
    life = {"timeInForce": "GTC"} if type == "LIMIT" else {}

    answer = place(owner, "BUY", type, price="91", quantity="5", icebergQty="2", **life)

    assert answer.body["icebergQty"] == "2.00000000"
    assert answer.body["origQty"] == "5.00000000"
    assert ["91.00000000", "2.00000000"] in owner.get("depth", symbol=SYMBOL).body["bids"]
    canceled = owner.call("DELETE", "order", symbol=SYMBOL, orderId=answer.body["orderId"])
    assert canceled.body["icebergQty"] == "2.00000000"


def test_the_numbers_of_a_strategy_come_back_in_every_answer(owner: Trader) -> None:
    numbers = {"strategyId": 0, "strategyType": 1_000_000}

    answer = place(owner, "BUY", "LIMIT", price="91", timeInForce="GTC", **numbers)

    assert numbers.items() <= answer.body.items()
    assert numbers.items() <= found(owner, answer).items()
    canceled = owner.call("DELETE", "order", symbol=SYMBOL, orderId=answer.body["orderId"])
    assert numbers.items() <= canceled.body.items()


@pytest.mark.parametrize(
    ("mode", "taker", "maker", "lost"),
    [
        ("NONE", "FILLED", "PARTIALLY_FILLED", {}),
        (
            "EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW",
            {"takerPreventedQuantity": "1.00000000"},
        ),
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH", {"makerPreventedQuantity": "3.00000000"}),
        (
            "EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH",
            {"takerPreventedQuantity": "1.00000000", "makerPreventedQuantity": "3.00000000"},
        ),
        (
            "DECREMENT", "EXPIRED_IN_MATCH", "NEW",
            {"takerPreventedQuantity": "1.00000000", "makerPreventedQuantity": "1.00000000"},
        ),
    ],
)  # fmt: skip
def test_the_taker_decides_what_becomes_of_a_trade_with_oneself(
    owner: Trader, mode: str, taker: str, maker: str, lost: dict[str, str]
) -> None:
    resting = place(owner, "SELL", "LIMIT", quantity="3", price="101", timeInForce="GTC")

    answer = place(
        owner, "BUY", "LIMIT", price="101", timeInForce="GTC",
        selfTradePreventionMode=mode, newOrderRespType="FULL",
    )  # fmt: skip

    assert (answer.body["status"], answer.body["selfTradePreventionMode"]) == (taker, mode)
    rested = found(owner, resting)
    assert (rested["status"], rested["selfTradePreventionMode"]) == (maker, "EXPIRE_MAKER")
    matches = answer.body.get("preventedMatches", [])
    assert len(matches) == bool(lost)
    for match in matches:
        assert match["makerOrderId"] == resting.body["orderId"]
        assert lost.items() <= match.items()
    assert rested.get("preventedQuantity") == lost.get("makerPreventedQuantity")
    assert answer.body.get("preventedQuantity") == lost.get("takerPreventedQuantity")
    assert (rested.get("preventedMatchId") is None) == ("makerPreventedQuantity" not in lost)


@pytest.mark.parametrize(
    ("life", "reason"),
    [("IOC", "UNFILLED_IOC_QUANTITY_EXPIRED"), ("FOK", "UNFILLED_FOK_ORDER_EXPIRED")],
)
def test_an_order_that_expires_says_why(owner: Trader, life: str, reason: str) -> None:
    answer = place(owner, "BUY", "LIMIT", price="90", timeInForce=life)

    assert (answer.body["status"], answer.body["expiryReason"]) == ("EXPIRED", reason)
    assert found(owner, answer)["expiryReason"] == reason


def test_a_test_order_of_any_type_is_checked_and_not_placed(owner: Trader) -> None:
    wish = {"symbol": SYMBOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "1"}

    good = owner.call("POST", "order/test", **wish, stopPrice="95")
    bad = owner.call("POST", "order/test", **wish, trailingDelta="1")

    assert (good.status, good.body) == (200, {})
    assert bad.error == (400, -1013, "Filter failure: TRAILING_DELTA")
    assert owner.call("GET", "openOrders").body == []


def test_the_rates_of_a_test_order_cost_the_weight_of_twenty(owner: Trader) -> None:
    wish = {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"}

    before = owner.call("POST", "order/test", **wish)
    after = owner.call("POST", "order/test", **wish, computeCommissionRates="true")

    weights = [int(one.headers["x-mbx-used-weight-1m"]) for one in (before, after)]
    # A new minute may have begun between the two.
    assert weights[1] - weights[0] == 20 or weights[1] == 20
    assert after.body == {
        "standardCommissionForOrder": {"maker": "0.00100000", "taker": "0.00100000"},
        "specialCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "taxCommissionForOrder": {"maker": "0.00000000", "taker": "0.00000000"},
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "",
            "discount": "0.00000000",
        },
    }
