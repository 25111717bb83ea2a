"""What a market, the exchange or an account forbids, in the words of the public API."""

from collections.abc import Iterator
from typing import Any

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

SYMBOL = "ETHUSDT"
LIMIT = {
    "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
    "quantity": "1", "price": "100",
}  # fmt: skip
STOP = {"symbol": SYMBOL, "side": "SELL", "quantity": "1", "stopPrice": "90"}
LIMITED = {"timeInForce": "GTC", "price": "80"}
OCO = {
    "symbol": SYMBOL, "side": "SELL", "quantity": "1", "aboveType": "LIMIT_MAKER",
    "abovePrice": "110", "belowType": "STOP_LOSS", "belowStopPrice": "90",
}  # fmt: skip
OTO = {
    "symbol": SYMBOL, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "80",
    "workingQuantity": "1", "workingTimeInForce": "GTC", "pendingType": "LIMIT_MAKER",
    "pendingSide": "SELL", "pendingQuantity": "1", "pendingPrice": "120",
}  # fmt: skip


def change(backend: RunningBackend, path: str, **wish: object) -> None:
    answer = backend.admin("POST", path, **wish)
    assert answer.status == 200, answer


@pytest.fixture
def ruled(backend: RunningBackend) -> Iterator[RunningBackend]:
    """Its market ETHUSDT gets back the rules that it had."""
    before: dict[str, Any] = backend.admin("GET", f"markets/{SYMBOL}/rules").body["rules"]
    names = ("order_types", "features", "self_trade_modes")
    yield backend
    lists = {name: ",".join(before[name]) for name in names}
    counts = {name: str(before[name]) for name in _COUNTS}
    change(backend, f"markets/{SYMBOL}/rules", rules={**lists, **counts})
    change(backend, f"markets/{SYMBOL}/mode", mode="RUNNING")


_COUNTS = (
    "orders_max", "algo_orders_max", "iceberg_orders_max", "order_lists_max", "amends_max",
    "position_max",
)  # fmt: skip


@pytest.fixture
def owner(backend: RunningBackend) -> Iterator[Trader]:
    trader = backend.trader(ETH="100", USDT="100000")
    yield trader
    trader.call("DELETE", "openOrders", symbol=SYMBOL)


@pytest.mark.parametrize(
    ("path", "wish", "text"),
    [
        (
            "order", {**LIMIT, "type": "LIMIT_MAKER", "timeInForce": None},
            "Limit maker orders are not supported for this symbol.",
        ),
        (
            "order", {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quantity": "1"},
            "Market orders are not supported for this symbol.",
        ),
        (
            "order", {**STOP, "type": "STOP_LOSS"},
            "Stop loss orders are not supported for this symbol.",
        ),
        (
            "order", {**STOP, **LIMITED, "type": "STOP_LOSS_LIMIT"},
            "Stop loss limit orders are not supported for this symbol.",
        ),
        (
            "order", {**STOP, "type": "TAKE_PROFIT"},
            "Take profit orders are not supported for this symbol.",
        ),
        (
            "order/test", {**STOP, **LIMITED, "type": "TAKE_PROFIT_LIMIT"},
            "Take profit limit orders are not supported for this symbol.",
        ),
        (
            "order", {**LIMIT, "icebergQty": "0.5"},
            "Iceberg orders are not supported for this symbol.",
        ),
        (
            "order", {**LIMIT, "selfTradePreventionMode": "DECREMENT"},
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        ("orderList/oco", OCO, "OCO orders are not supported for this symbol"),
        ("orderList/oto", OTO, "OTO orders are not supported for this symbol."),
        (
            "order/cancelReplace",
            {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": "1"},
            "Order cancel-replace is not supported for this symbol.",
        ),
    ],
)  # fmt: skip
def test_a_market_says_what_it_does_not_offer(
    ruled: RunningBackend, owner: Trader, path: str, wish: dict[str, str | None], text: str
) -> None:
    rules = {"order_types": "LIMIT", "features": "", "self_trade_modes": "NONE,EXPIRE_MAKER"}
    change(ruled, f"markets/{SYMBOL}/rules", rules=rules)
    wanted = {name: value for name, value in wish.items() if value is not None}

    assert owner.call("POST", path, **wanted).error == (400, -1013, text)


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        (
            {"symbol": SYMBOL, "side": "BUY", "type": "MARKET", "quoteOrderQty": "10"},
            "Quote order qty market orders are not support for this symbol.",
        ),
        (
            {"symbol": SYMBOL, "side": "SELL", "type": "STOP_LOSS", "quantity": "1",
             "trailingDelta": "100"},
            "Trailing stop orders are not supported for this symbol.",
        ),
    ],
)  # fmt: skip
def test_a_market_may_lack_a_feature_of_a_type_that_it_takes(
    ruled: RunningBackend, owner: Trader, wish: dict[str, str], text: str
) -> None:
    change(ruled, f"markets/{SYMBOL}/rules", rules={"features": "OCO"})

    assert owner.call("POST", "order", **wish).error == (400, -1013, text)


def amend(trader: Trader, order_id: int, quantity: str) -> Answer:
    return trader.call(
        "PUT", "order/amend/keepPriority", symbol=SYMBOL, orderId=order_id, newQty=quantity
    )


def test_a_market_without_amendments_refuses_them(ruled: RunningBackend, owner: Trader) -> None:
    order_id = owner.call("POST", "order", **LIMIT).body["orderId"]
    change(ruled, f"markets/{SYMBOL}/rules", rules={"features": "OCO"})

    assert amend(owner, order_id, "0.5").error == (
        400, -2038, "Order amend is not supported for this symbol.",
    )  # fmt: skip


def test_an_order_is_amended_only_so_often(ruled: RunningBackend, owner: Trader) -> None:
    order_id = owner.call("POST", "order", **LIMIT).body["orderId"]
    change(ruled, f"markets/{SYMBOL}/rules", rules={"amends_max": "1"})

    assert amend(owner, order_id, "0.8").status == 200
    assert amend(owner, order_id, "0.6").error == (
        400, -2038, "Filter failure: MAX_NUM_ORDER_AMENDS",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "greatest", "path", "wish", "name"),
    [
        ("orders_max", "1", "order", LIMIT, "MAX_NUM_ORDERS"),
        ("orders_max", "2", "orderList/oco", OCO, "MAX_NUM_ORDERS"),
        ("algo_orders_max", "1", "order", {**STOP, "type": "STOP_LOSS"}, "MAX_NUM_ALGO_ORDERS"),
        (
            "iceberg_orders_max", "1", "order", {**LIMIT, "icebergQty": "0.5"},
            "MAX_NUM_ICEBERG_ORDERS",
        ),
        ("order_lists_max", "1", "orderList/oco", OCO, "MAX_NUM_ORDER_LISTS"),
        ("position_max", "101", "order", LIMIT, "MAX_POSITION"),
    ],
)  # fmt: skip
def test_an_account_may_have_only_so_much_open(
    ruled: RunningBackend,
    owner: Trader,
    rule: str,
    greatest: str,
    path: str,
    wish: dict[str, str],
    name: str,
) -> None:
    change(ruled, f"markets/{SYMBOL}/rules", rules={rule: greatest})

    first, second = owner.call("POST", path, **wish), owner.call("POST", path, **wish)

    assert first.status == 200, first
    assert second.error == (400, -1013, f"Filter failure: {name}")


def test_a_closed_market_refuses_each_thing_with_its_own_code(
    ruled: RunningBackend, owner: Trader
) -> None:
    order_id = owner.call("POST", "order", **LIMIT).body["orderId"]
    listed = owner.call("POST", "orderList/oto", **OTO).body["orderListId"]
    change(ruled, f"markets/{SYMBOL}/mode", mode="HALTED")
    replacement = {**LIMIT, "cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": order_id}

    answers = [
        owner.call("POST", "order", **LIMIT),
        owner.call("POST", "orderList/oco", **OCO),
        owner.call("POST", "order/cancelReplace", **replacement),
        owner.call("DELETE", "order", symbol=SYMBOL, orderId=order_id),
        owner.call("DELETE", "openOrders", symbol=SYMBOL),
        owner.call("DELETE", "orderList", symbol=SYMBOL, orderListId=listed),
        amend(owner, order_id, "0.5"),
    ]

    assert [one.error for one in answers] == [
        (400, code, "Market is closed.")
        for code in (-2010, -2010, -2010, -2011, -2011, -2011, -2038)
    ]


def named_trader(backend: RunningBackend, name: str) -> Trader:
    assert backend.admin("POST", "accounts", name=name).status == 200
    backend.deposit(name, "USDT", "100000")
    key = backend.key(name, kind="hmac", canTrade=True)
    return Trader(backend.api, key["apiKey"], key["secretKey"])


def test_a_stopped_account_can_cancel_and_nothing_more(backend: RunningBackend) -> None:
    trader = named_trader(backend, "stopped-one")
    assert trader.call("POST", "order", **LIMIT).status == 200

    change(backend, "accounts/stopped-one", stopped=True)

    refused = (400, -2010, "This action is disabled on this account.")
    replacement = {**LIMIT, "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": 1}
    assert trader.call("POST", "order", **LIMIT).error == refused
    assert trader.call("POST", "orderList/oto", **OTO).error == refused
    assert trader.call("POST", "order/cancelReplace", **replacement).error == refused
    # Its orders were canceled when it was stopped.
    assert trader.call("DELETE", "openOrders", symbol=SYMBOL).error[:2] == (400, -2011)


def test_a_test_order_tells_the_rates_of_the_accounts_own_tier(backend: RunningBackend) -> None:
    trader = named_trader(backend, "valued-one")
    tiers = [{"tier": 3, "maker": "0.0001", "taker": "0.0002"}]
    change(backend, f"markets/{SYMBOL}/rules", tiers=tiers)
    change(backend, "rules", rules={"discount_asset": "USDC", "discount": "0.75"})

    change(backend, "accounts/valued-one", tier=3, discount=True)

    answer = trader.call("POST", "order/test", **LIMIT, computeCommissionRates="true")
    assert answer.body["standardCommissionForOrder"] == {
        "maker": "0.00010000", "taker": "0.00020000",
    }  # fmt: skip
    assert answer.body["discount"] == {
        "enabledForAccount": True,
        "enabledForSymbol": True,
        "discountAsset": "USDC",
        "discount": "0.75000000",
    }
