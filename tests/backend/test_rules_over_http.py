"""Rules from the operator's wish to the trader's refusal, as every question about them tells."""

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlencode

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend

SYMBOL = "SOLUSDC"
NO_RATES = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")


class Venue:
    """A market of the test's own, with a trader whose account has a name."""

    def __init__(self, backend: RunningBackend, **rules: str) -> None:
        self._backend = backend
        self.symbol = f"T{uuid.uuid4().hex[:10].upper()}"
        self.change("POST", "markets", symbol=self.symbol, base="SOL", quote="USDC", tick="0.01",
                    lot="0.001", rules=rules)  # fmt: skip
        self.name = f"trader-{uuid.uuid4().hex[:10]}"
        self.change("POST", "accounts", name=self.name)
        for asset in ("SOL", "USDC"):
            backend.deposit(self.name, asset, "1000")
        key = backend.key(self.name, kind="hmac")
        self.trader = Trader(backend.api, key["apiKey"], key["secretKey"])

    def change(self, method: str, path: str, **wish: object) -> Any:
        answer = self._backend.admin(method, path, **wish)
        assert answer.status == 200, answer
        return answer.body

    def set(self, **wish: object) -> Any:
        """Change the market's fees and rules."""
        return self.change("POST", f"markets/{self.symbol}/rules", **wish)

    def account(self, **wish: object) -> Any:
        return self.change("POST", f"accounts/{self.name}", **wish)

    def order(self, side: str, quantity: str, price: str, **more: object) -> Answer:
        return self.trader.order(side, quantity, price, symbol=self.symbol, **more)

    def information(self) -> dict[str, Any]:
        (found,) = self.trader.get("exchangeInfo", symbol=self.symbol).body["symbols"]
        assert isinstance(found, dict)
        return found

    def filters(self) -> dict[str, dict[str, Any]]:
        return {one["filterType"]: one for one in self.information()["filters"]}

    def own(self, path: str, **parameters: object) -> Any:
        answer = self.trader.call("GET", path, **parameters)
        assert answer.status == 200, answer
        return answer.body

    def trade_fee(self) -> Any:
        text = urlencode({"symbol": self.symbol, "timestamp": time.time_ns() // 1_000_000})
        signature = self.trader.sign(text)
        path = "/sapi/v1/asset/tradeFee"
        return self.trader.raw("GET", f"{path}?{text}&signature={signature}").body[0]


@pytest.fixture
def venue(backend: RunningBackend) -> Iterator[Venue]:
    one = Venue(backend)
    yield one
    one.trader.call("DELETE", "openOrders", symbol=one.symbol)


# --- Markets --------------------------------------------------------------------------------------


def test_a_new_market_has_the_usual_rules_unless_told_otherwise(backend: RunningBackend) -> None:
    usual = Venue(backend)
    other = Venue(backend, iceberg_parts="3", trailing_above_max="100", algo_orders_max="0")

    first = usual.trader.get("exchangeInfo", symbol=SYMBOL).body["symbols"][0]["filters"]
    assert usual.filters().keys() == {one["filterType"] for one in first}
    assert usual.filters()["ICEBERG_PARTS"]["limit"] == 10
    changed = other.filters()
    assert changed["ICEBERG_PARTS"]["limit"] == 3
    assert changed["TRAILING_DELTA"]["maxTrailingAboveDelta"] == 100
    assert changed["TRAILING_DELTA"]["maxTrailingBelowDelta"] == 2_000
    assert usual.filters().keys() - changed.keys() == {"MAX_NUM_ALGO_ORDERS"}


def test_a_changed_rule_is_told_and_in_force_at_once(venue: Venue) -> None:
    assert venue.order("BUY", "1", "20").status == 200

    answer = venue.set(rules={"orders_max": "1", "position_max": "1500"})

    assert answer["rules"]["orders_max"] == 1
    assert venue.filters()["MAX_NUM_ORDERS"] == {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 1}
    assert venue.filters()["MAX_POSITION"]["maxPosition"] == "1500.00000000"
    refused = venue.order("BUY", "1", "20")
    assert refused.error == (400, -1013, "Filter failure: MAX_NUM_ORDERS")
    venue.set(rules={"orders_max": "0"})
    assert "MAX_NUM_ORDERS" not in venue.filters()
    assert venue.order("BUY", "1", "20").status == 200


def test_a_type_that_is_switched_off_is_gone_and_refused(venue: Venue) -> None:
    venue.set(rules={"order_types": "MARKET,LIMIT", "features": "AMEND,OTO"})

    shown = venue.information()

    assert shown["orderTypes"] == ["LIMIT", "MARKET"]
    assert (shown["amendAllowed"], shown["otoAllowed"], shown["ocoAllowed"]) == (True, True, False)
    assert "TRAILING_DELTA" not in venue.filters()
    refused = venue.order("BUY", "1", "20", icebergQty="0.5")
    assert refused.error == (400, -1013, "Iceberg orders are not supported for this symbol.")


def test_a_break_is_a_status_that_one_can_ask_for(venue: Venue) -> None:
    order_id = venue.order("BUY", "1", "20").body["orderId"]

    venue.change("POST", f"markets/{venue.symbol}/mode", mode="BREAK")

    assert venue.information()["status"] == "BREAK"
    paused = venue.trader.get("exchangeInfo", symbolStatus="BREAK").body["symbols"]
    assert [one["symbol"] for one in paused] == [venue.symbol]
    for closed in (
        venue.order("BUY", "1", "20"),
        venue.trader.call("DELETE", "order", symbol=venue.symbol, orderId=order_id),
    ):
        assert closed.body["msg"] == "Market is closed."
    venue.change("POST", f"markets/{venue.symbol}/mode", mode="RUNNING")
    assert venue.order("BUY", "1", "20").status == 200


def test_the_prices_that_trades_keep_to_are_told(venue: Venue) -> None:
    def told(**choice: str) -> dict[str, list[dict[str, str]]]:
        body = venue.trader.get("executionRules", **choice).body
        return {one["symbol"]: one["rules"] for one in body["symbolRules"]}

    assert told(symbol=venue.symbol) == {venue.symbol: []}
    venue.set(rules={"range_bid_up": "1.05", "range_ask_down": "0.95"})

    rule = {"ruleType": "PRICE_RANGE", "bidLimitMultUp": "1.05", "askLimitMultDown": "0.95"}
    assert told(symbol=venue.symbol) == {venue.symbol: [rule]}
    assert told(symbols=f'["{venue.symbol}","{SYMBOL}"]') == {venue.symbol: [rule], SYMBOL: []}
    assert told()[venue.symbol] == told(symbolStatus="TRADING")[venue.symbol] == [rule]
    assert venue.symbol not in told(symbolStatus="HALT")


@pytest.mark.parametrize(
    ("choice", "code"),
    [
        ({"symbol": "NOSUCH"}, -1121),
        ({"symbol": SYMBOL, "symbolStatus": "TRADING"}, -1128),
        ({"symbol": SYMBOL, "symbols": f'["{SYMBOL}"]'}, -1128),
        ({"symbols": f'["{SYMBOL}"]', "symbolStatus": "TRADING"}, -1128),
        ({"symbolStatus": "OPEN"}, -1122),
    ],
)
def test_execution_rules_are_asked_for_in_one_way(
    backend: RunningBackend, choice: dict[str, str], code: int
) -> None:
    answer = Trader(backend.api).get("executionRules", **choice)

    assert (answer.status, answer.body["code"]) == (400, code)


# --- Fees -----------------------------------------------------------------------------------------


def test_fees_go_by_tier_wherever_they_are_told(venue: Venue) -> None:
    venue.set(maker="0.003", taker="0.004", tiers=[{"tier": 2, "maker": "0", "taker": "0.002"}])

    def told() -> tuple[Any, Any]:
        commission = venue.own("account/commission", symbol=venue.symbol)
        fee = venue.trade_fee()
        assert fee["makerCommission"] == commission["standardCommission"]["maker"]
        assert fee["takerCommission"] == commission["standardCommission"]["taker"]
        assert (commission["specialCommission"], commission["taxCommission"]) == (NO_RATES,) * 2
        return fee["makerCommission"], fee["takerCommission"]

    assert told() == ("0.00300000", "0.00400000")
    venue.account(tier=1)
    assert told() == ("0.00300000", "0.00400000")
    venue.account(tier=2)
    assert told() == ("0.00000000", "0.00200000")
    venue.set(dropTiers=[2])
    assert told() == ("0.00300000", "0.00400000")


def test_an_account_tells_the_highest_rates_of_its_tier(venue: Venue) -> None:
    venue.set(maker="0.011", taker="0.012", tiers=[{"tier": 3, "maker": "0", "taker": "0"}])

    first = venue.own("account")
    venue.account(tier=3)
    second = venue.own("account")
    venue.set(maker="0", taker="0")

    assert (first["makerCommission"], first["takerCommission"]) == (110, 120)
    assert first["commissionRates"]["taker"] == "0.01200000"
    assert second["makerCommission"] < 110


def test_a_discount_is_paid_in_its_asset_and_told_in_its_decimals(backend: RunningBackend) -> None:
    venue = Venue(backend)
    coin = f"C{uuid.uuid4().hex[:6].upper()}"
    venue.change("POST", "assets", asset=coin, decimals=3)
    venue.change("POST", "markets", symbol=f"{coin}USDC", base=coin, quote="USDC", tick="0.01",
                 lot="0.001", minNotional="0")  # fmt: skip
    backend.deposit(venue.name, coin, "100")
    coin_trade = {"symbol": f"{coin}USDC", "selfTradePreventionMode": "NONE"}
    venue.trader.order("SELL", "1", "2", **coin_trade)
    assert venue.trader.order("BUY", "1", "2", **coin_trade).body["status"] == "FILLED"

    try:
        venue.change("POST", "rules", rules={"discount_asset": coin, "discount": "0.75"})
        before = venue.own("account/commission", symbol=venue.symbol)["discount"]
        venue.account(discount=True)
        after = venue.own("account/commission", symbol=venue.symbol)["discount"]
        venue.order("SELL", "1", "20", selfTradePreventionMode="NONE")
        venue.order("BUY", "1", "20", selfTradePreventionMode="NONE")
    finally:
        venue.change("POST", "rules", rules={"discount_asset": "", "discount": "1"})

    shown = {"enabledForSymbol": True, "discountAsset": coin, "discount": "0.75000000"}
    assert before == {"enabledForAccount": False, **shown}
    assert after == {"enabledForAccount": True, **shown}
    # 20 USDC at 0.1 % and three quarters of it are 0.015 USDC, at 2 USDC for one.
    fees = [
        (one["isBuyer"], one["commission"], one["commissionAsset"])
        for one in venue.own("myTrades", symbol=venue.symbol)
    ]
    assert fees == [(True, "0.007", coin), (False, "0.007", coin)]


def test_a_market_may_stay_out_of_the_discount(venue: Venue) -> None:
    venue.set(rules={"fee_discount": "off"})
    venue.account(discount=True)
    try:
        venue.change("POST", "rules", rules={"discount_asset": "BTC"})
        shown = venue.own("account/commission", symbol=venue.symbol)["discount"]
    finally:
        venue.change("POST", "rules", rules={"discount_asset": ""})

    assert (shown["enabledForAccount"], shown["enabledForSymbol"]) == (True, False)


# --- The exchange and its accounts ------------------------------------------------------------------


def test_changes_through_several_backends_at_once_do_not_undo_each_other(
    venue: Venue, backend: RunningBackend
) -> None:
    limits = ("orders_max", "algo_orders_max", "iceberg_orders_max", "order_lists_max")
    second = backend.another(admin=True)
    with second.running("backend"):
        second.await_markets()

        def change(name: str, number: int) -> Answer:
            through = backend if limits.index(name) % 2 else second
            path = f"markets/{venue.symbol}/rules"
            return through.admin("POST", path, rules={name: str(number)})

        with ThreadPoolExecutor(len(limits)) as operators:
            for number in range(1, 11):
                answers = list(operators.map(change, limits, [number] * len(limits)))

                assert [answer.status for answer in answers] == [200] * len(limits), answers
                rules = backend.admin("GET", f"markets/{venue.symbol}/rules").body["rules"]
                assert [rules[name] for name in limits] == [number] * len(limits)


def test_the_rules_of_the_exchange_are_told_and_in_force(venue: Venue) -> None:
    try:
        venue.change(
            "POST", "rules", rules={"orders_max": "1", "assets_max": "SOL:5,USDC:70,BTC:1"}
        )
        shown = venue.own("myFilters", symbol=venue.symbol)
        information = venue.trader.get("exchangeInfo", symbol=venue.symbol).body
        refusals = [
            venue.order("BUY", "5.001", "10").error,
            venue.order("BUY", "3.5", "20.01").error,
            venue.order("BUY", "3.5", "20").status,
            venue.order("BUY", "1", "20").error,
        ]
    finally:
        venue.change("POST", "rules", rules={"orders_max": "0", "assets_max": ""})

    limit = {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1}
    assert shown["exchangeFilters"] == information["exchangeFilters"] == [limit]
    assert shown["symbolFilters"] == information["symbols"][0]["filters"]
    assert shown["assetFilters"] == [
        {"filterType": "MAX_ASSET", "asset": "SOL", "limit": "5.00000000"},
        {"filterType": "MAX_ASSET", "asset": "USDC", "limit": "70.00000000"},
    ]
    assert refusals == [
        (400, -1013, "Filter failure: MAX_ASSET"),
        (400, -1013, "Filter failure: MAX_ASSET"),
        200,
        (400, -1013, "Filter failure: EXCHANGE_MAX_NUM_ORDERS"),
    ]
    assert venue.own("myFilters", symbol=venue.symbol)["assetFilters"] == []


def test_a_stopped_account_has_nothing_open_and_may_not_trade(venue: Venue) -> None:
    for symbol in (venue.symbol, SYMBOL):
        assert venue.trader.order("BUY", "1", "20", symbol=symbol).status == 200

    stopped = venue.account(stopped=True)

    assert (stopped["stopped"], stopped["canceledOrders"]) == (True, 2)
    assert venue.own("openOrders") == []
    assert venue.own("account")["canTrade"] is False
    refused = venue.order("BUY", "1", "20")
    assert refused.error == (400, -2010, "This action is disabled on this account.")
    assert venue.account(stopped=False)["canceledOrders"] == 0
    assert venue.own("account")["canTrade"] is True
    assert venue.order("BUY", "1", "20").status == 200
