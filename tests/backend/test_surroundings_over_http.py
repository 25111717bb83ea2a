"""What clients ask when they start is answered, by the rules of every other endpoint."""

import time
from urllib.parse import urlencode

import pytest
from backend.api_client import Answer, Trader, send
from backend.conftest import RunningBackend


@pytest.fixture(scope="module")
def trader(backend: RunningBackend) -> Trader:
    return backend.trader(SOL="12.5")


def trader_get(trader: Trader, path: str, **parameters: object) -> Answer:
    """A signed request outside of the spot API."""
    parameters.setdefault("timestamp", time.time_ns() // 1_000_000)
    text = urlencode(parameters)
    return trader.raw("GET", f"{path}?{text}&signature={trader.sign(text)}")


def test_currencies_tell_all_assets_and_own_balances(trader: Trader) -> None:
    answer = trader_get(trader, "/sapi/v1/capital/config/getall")

    assert answer.status == 200
    by_coin = {one["coin"]: one for one in answer.body}
    assert set(by_coin) >= {"SOL", "USDC", "BTC", "USDT", "ETH"}
    assert by_coin["SOL"]["free"] == "12.50000000"
    assert by_coin["BTC"]["free"] == "0.00000000"
    assert by_coin["SOL"]["networkList"] == []


def test_fees_are_told_for_one_market_or_all(trader: Trader) -> None:
    one = trader_get(trader, "/sapi/v1/asset/tradeFee", symbol="SOLUSDC")
    every = trader_get(trader, "/sapi/v1/asset/tradeFee")

    assert one.body == [
        {"symbol": "SOLUSDC", "makerCommission": "0.00100000", "takerCommission": "0.00100000"}
    ]
    assert {fee["symbol"] for fee in every.body} >= {"SOLUSDC", "BTCUSDT", "ETHUSDT"}
    unknown = trader_get(trader, "/sapi/v1/asset/tradeFee", symbol="NOPE")
    assert unknown.error == (400, -1121, "Invalid symbol.")


@pytest.mark.parametrize("path", ["margin/allPairs", "margin/isolated/allPairs"])
def test_there_is_no_margin(trader: Trader, path: str) -> None:
    assert trader_get(trader, f"/sapi/v1/{path}").body == []


def test_signed_ones_want_a_signature(backend: RunningBackend) -> None:
    for path in ("capital/config/getall", "asset/tradeFee", "account/status"):
        assert send(backend.api, "GET", f"/sapi/v1/{path}").error[:2] == (401, -2014)


def test_there_are_no_futures_and_all_is_well(backend: RunningBackend, trader: Trader) -> None:
    for futures in ("fapi", "dapi"):
        assert send(backend.api, "GET", f"/{futures}/v1/exchangeInfo").body["symbols"] == []
    status = send(backend.api, "GET", "/sapi/v1/system/status").body
    assert status == {"status": 0, "msg": "normal"}
    assert trader_get(trader, "/sapi/v1/account/status").body == {"data": "Normal"}
