"""binance-sdk-spot, the official SDK, unmodified: two accounts use all that it has for spot."""

import logging
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from binance_common.configuration import ConfigurationRestAPI
from binance_common.errors import BadRequestError, UnauthorizedError
from binance_sdk_spot.rest_api import SpotRestAPI
from binance_sdk_spot.spot import Spot
from conftest import Account, Exchange

SYMBOL, OTHER = "SOLUSDC", "BTCUSDT"


@pytest.fixture(autouse=True)
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """It warns where an answer is not as it was described, and goes on: to us that is a fault."""
    yield
    complaints = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    assert complaints == []


@pytest.fixture
def open_sdk(exchange: Exchange) -> Iterator[Callable[..., SpotRestAPI]]:
    """Makes a client of a new account that holds what it is told; its orders go afterwards."""
    clients = []

    def make(**deposits: str) -> SpotRestAPI:
        clients.append(sdk_of(exchange, exchange.account(**deposits)))
        return clients[-1]

    yield make
    for client in clients:
        if got(client.get_open_orders(SYMBOL)):
            client.delete_open_orders(SYMBOL)


@pytest.fixture
def alice(open_sdk: Callable[..., SpotRestAPI]) -> SpotRestAPI:
    """She has ten SOL to sell."""
    return open_sdk(SOL="10")


@pytest.fixture
def bob(open_sdk: Callable[..., SpotRestAPI]) -> SpotRestAPI:
    """He has a thousand USDC to buy with."""
    return open_sdk(USDC="1000")


def sdk_of(exchange: Exchange, account: Account) -> SpotRestAPI:
    # It waits for one second by default, and the machine may have other things to do.
    configuration = ConfigurationRestAPI(
        api_key=account.api_key,
        api_secret=account.secret,
        base_path=exchange.rest,
        timeout=20_000,
    )
    return Spot(config_rest_api=configuration).rest_api


def got(response: Any) -> Any:
    """An answer with the names of the API."""
    return _plain(response.data())


def _plain(data: Any) -> Any:
    if getattr(data, "actual_instance", None) is not None:
        return _plain(data.actual_instance)
    if hasattr(data, "model_dump"):
        return _plain(data.model_dump(by_alias=True, exclude_none=True))
    if isinstance(data, dict):
        known = {name: value for name, value in data.items() if name != "additional_properties"}
        # What it has no name for stands apart.
        return {
            name: _plain(value)
            for name, value in {**data.get("additional_properties", {}), **known}.items()
        }
    return [_plain(one) for one in data] if isinstance(data, list) else data


def order(client: SpotRestAPI, side: str, quantity: float, price: float, **more: Any) -> Any:
    wish = {"type": "LIMIT", "time_in_force": "GTC", **more}
    return got(client.new_order(SYMBOL, side, quantity=quantity, price=price, **wish))


def held(client: SpotRestAPI) -> dict[str, tuple[str, str]]:
    balances = got(client.get_account(omit_zero_balances=True))["balances"]
    return {one["asset"]: (one["free"], one["locked"]) for one in balances}


def trade(alice: SpotRestAPI, bob: SpotRestAPI, price: float, quantity: float = 1) -> Any:
    """Bob's order, which takes hers."""
    order(alice, "SELL", quantity, price)
    return order(bob, "BUY", quantity, price)


# --- Markets ----------------------------------------------------------------------------------------


def test_markets_and_their_rules(alice: SpotRestAPI) -> None:
    everything = got(alice.exchange_info())
    one = got(alice.exchange_info(symbol=SYMBOL))["symbols"][0]

    assert {SYMBOL, OTHER} <= {market["symbol"] for market in everything["symbols"]}
    assert (one["baseAsset"], one["quoteAsset"], one["status"]) == ("SOL", "USDC", "TRADING")
    assert len(one["orderTypes"]) == 7
    assert abs(got(alice.time())["serverTime"] - time.time() * 1_000) < 5_000
    assert {limit["rateLimitType"] for limit in everything["rateLimits"]} == {
        "REQUEST_WEIGHT", "ORDERS", "RAW_REQUESTS",
    }  # fmt: skip
    assert got(alice.execution_rules(symbol=SYMBOL))["symbolRules"][0]["symbol"] == SYMBOL
    assert got(alice.my_filters(SYMBOL))["symbolFilters"]


def test_books_trades_and_candles(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    taken = trade(alice, bob, 100)
    order(alice, "SELL", 2, 130)

    book = got(alice.depth(SYMBOL, limit=5))
    assert ["130.00000000", "2.00000000"] in [list(level) for level in book["asks"]]
    trade_id = taken["fills"][0]["tradeId"]
    for found in (
        got(alice.get_trades(SYMBOL, limit=1)),
        got(alice.historical_trades(SYMBOL, from_id=trade_id)),
    ):
        assert (found[-1]["id"], found[-1]["price"]) == (trade_id, "100.00000000")
    assert got(alice.agg_trades(SYMBOL, limit=1))[0]["l"] == trade_id
    for candles in (alice.klines(SYMBOL, "1m", limit=1), alice.ui_klines(SYMBOL, "1d", limit=1)):
        assert got(candles)[0][4] == "100.00000000"
    assert Decimal(got(alice.avg_price(SYMBOL))["price"]) > 0
    assert got(alice.historical_block_trades(SYMBOL, 1)) == []


def test_tickers(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    trade(alice, bob, 100)

    for ticker in (
        got(alice.ticker24hr(symbol=SYMBOL)),
        got(alice.ticker_trading_day(symbol=SYMBOL)),
        got(alice.ticker(symbol=SYMBOL, window_size="1h")),
        got(alice.ticker(symbol=SYMBOL, window_size="7d")),
    ):
        assert (ticker["symbol"], ticker["lastPrice"]) == (SYMBOL, "100.00000000")
        assert ticker["count"] >= 1
    assert got(alice.ticker_price(symbol=SYMBOL)) == {"symbol": SYMBOL, "price": "100.00000000"}
    both = got(alice.ticker_price(symbols=[SYMBOL, OTHER]))
    assert [one["symbol"] for one in both] == [SYMBOL, OTHER]
    assert got(alice.ticker_book_ticker(symbol=SYMBOL))["symbol"] == SYMBOL


# --- Orders -----------------------------------------------------------------------------------------


def test_an_order_rests_locks_and_is_cancelled(alice: SpotRestAPI) -> None:
    placed = order(alice, "SELL", 1.5, 120.25, new_client_order_id="mine-1")

    found = got(alice.get_order(SYMBOL, orig_client_order_id="mine-1"))
    assert (found["orderId"], found["status"]) == (placed["orderId"], "NEW")
    assert held(alice) == {"SOL": ("8.50000000", "1.50000000")}
    assert [one["orderId"] for one in got(alice.get_open_orders(SYMBOL))] == [placed["orderId"]]
    canceled = got(alice.delete_order(SYMBOL, order_id=placed["orderId"]))
    assert canceled["status"] == "CANCELED"
    assert held(alice) == {"SOL": ("10.00000000", "0.00000000")}


def test_two_trade_and_pay_their_fees(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    taken = trade(alice, bob, 100, 2)

    assert (taken["status"], taken["fills"][0]["commission"]) == ("FILLED", "0.00200000")
    assert held(alice)["USDC"] == ("199.80000000", "0.00000000")
    assert held(bob)["SOL"] == ("1.99800000", "0.00000000")
    assert [one["isBuyer"] for one in got(bob.my_trades(SYMBOL))] == [True]
    assert [one["isMaker"] for one in got(alice.my_trades(SYMBOL))] == [True]
    assert got(bob.all_orders(SYMBOL))[-1]["status"] == "FILLED"


@pytest.mark.parametrize(
    ("type", "more"),
    [
        ("LIMIT", {"price": 140, "time_in_force": "GTC"}),
        ("LIMIT_MAKER", {"price": 140}),
        ("STOP_LOSS", {"stop_price": 50}),
        ("STOP_LOSS_LIMIT", {"stop_price": 50, "price": 49, "time_in_force": "GTC"}),
        ("TAKE_PROFIT", {"stop_price": 150}),
        ("TAKE_PROFIT_LIMIT", {"stop_price": 150, "price": 149, "time_in_force": "GTC"}),
        ("STOP_LOSS", {"trailing_delta": 1_000}),
        ("LIMIT", {"price": 140, "time_in_force": "GTC", "iceberg_qty": 0.5}),
    ],
)
def test_every_type_of_order_waits(
    alice: SpotRestAPI, bob: SpotRestAPI, type: str, more: dict[str, Any]
) -> None:
    trade(alice, bob, 100)

    placed = got(
        alice.new_order(SYMBOL, "SELL", type, quantity=1, new_order_resp_type="RESULT", **more)
    )

    assert (placed["status"], placed["type"]) == ("NEW", type)
    assert got(alice.get_order(SYMBOL, order_id=placed["orderId"]))["type"] == type
    assert held(alice)["SOL"] == ("8.00000000", "1.00000000")


def test_a_market_order_takes_the_book(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    order(alice, "SELL", 2, 100)

    by_quote = got(bob.new_order(SYMBOL, "BUY", "MARKET", quote_order_qty=100))
    by_quantity = got(bob.new_order(SYMBOL, "BUY", "MARKET", quantity=1))

    assert (by_quote["executedQty"], by_quantity["executedQty"]) == ("1.00000000", "1.00000000")


def test_a_stop_is_triggered_by_a_trade(
    alice: SpotRestAPI, bob: SpotRestAPI, open_sdk: Callable[..., SpotRestAPI]
) -> None:
    trade(alice, bob, 100)
    stop = got(alice.new_order(SYMBOL, "SELL", "STOP_LOSS", quantity=1, stop_price=90))
    order(bob, "BUY", 1, 85)
    trade(open_sdk(SOL="1"), bob, 90)

    assert got(alice.get_order(SYMBOL, order_id=stop["orderId"]))["status"] == "FILLED"


def test_an_order_is_only_tested(alice: SpotRestAPI) -> None:
    checked = got(
        alice.order_test(
            SYMBOL, "SELL", "LIMIT", time_in_force="GTC", quantity=1, price=120,
            compute_commission_rates=True,
        )
    )  # fmt: skip

    assert checked["standardCommissionForOrder"]["maker"] == "0.00100000"
    assert got(alice.get_open_orders(SYMBOL)) == []


def test_an_order_is_replaced_and_made_smaller(alice: SpotRestAPI) -> None:
    first = order(alice, "SELL", 1, 120)
    replaced = got(
        alice.order_cancel_replace(
            SYMBOL, "SELL", "LIMIT", "STOP_ON_FAILURE", time_in_force="GTC", quantity=2, price=121,
            cancel_order_id=first["orderId"],
        )
    )  # fmt: skip
    second = replaced["newOrderResponse"]["orderId"]
    amended = got(alice.order_amend_keep_priority(SYMBOL, 1.5, order_id=second))

    assert replaced["cancelResult"] == replaced["newOrderResult"] == "SUCCESS"
    assert amended["amendedOrder"]["qty"] == "1.50000000"
    assert [one["newQty"] for one in got(alice.order_amendments(SYMBOL, second))] == ["1.50000000"]
    assert held(alice) == {"SOL": ("8.50000000", "1.50000000")}


def test_own_orders_do_not_trade_with_each_other(bob: SpotRestAPI, alice: SpotRestAPI) -> None:
    trade(alice, bob, 100)
    order(alice, "BUY", 0.5, 95)
    taker = order(alice, "SELL", 0.5, 95)

    (found,) = got(alice.my_prevented_matches(SYMBOL, order_id=taker["orderId"]))

    assert (found["price"], found["selfTradePreventionMode"]) == ("95.00000000", "EXPIRE_MAKER")


# --- Lists ------------------------------------------------------------------------------------------


def test_an_oco_locks_once_and_is_cancelled(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    trade(alice, bob, 100)

    placed = got(
        alice.order_list_oco(
            SYMBOL, "SELL", 2, "LIMIT_MAKER", "STOP_LOSS", above_price=140, below_stop_price=60
        )
    )

    list_id = placed["orderListId"]
    assert held(alice)["SOL"] == ("7.00000000", "2.00000000")
    assert got(alice.get_order_list(order_list_id=list_id))["listOrderStatus"] == "EXECUTING"
    assert [one["orderListId"] for one in got(alice.open_order_list())] == [list_id]
    ended = got(alice.delete_order_list(SYMBOL, order_list_id=list_id))
    assert ended["listOrderStatus"] == "ALL_DONE"
    assert got(alice.all_order_list())[-1]["orderListId"] == list_id
    assert held(alice)["SOL"] == ("9.00000000", "0.00000000")


def test_an_order_starts_others_when_it_is_filled(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    trade(alice, bob, 100)
    placed = got(
        bob.order_list_otoco(
            SYMBOL, "LIMIT", "BUY", 99, 1, "SELL", 0.9, "LIMIT_MAKER",
            working_time_in_force="GTC", pending_above_price=140,
            pending_below_type="STOP_LOSS", pending_below_stop_price=60,
        )
    )  # fmt: skip
    waiting = {one["status"] for one in placed["orderReports"]}
    order(alice, "SELL", 1, 99)

    assert waiting == {"NEW", "PENDING_NEW"}
    found = got(bob.get_open_orders(SYMBOL))
    assert sorted(one["type"] for one in found) == ["LIMIT_MAKER", "STOP_LOSS"]
    assert {one["status"] for one in found} == {"NEW"}


def test_the_older_oco_and_an_oto(alice: SpotRestAPI, bob: SpotRestAPI) -> None:
    trade(alice, bob, 100)

    oco = got(alice.order_oco(SYMBOL, "SELL", 1, 140, 60))
    oto = got(
        alice.order_list_oto(
            SYMBOL, "LIMIT", "SELL", 141, 1, "MARKET", "SELL", 1, working_time_in_force="GTC"
        )
    )

    assert (oco["contingencyType"], oto["contingencyType"]) == ("OCO", "OTO")
    ended = got(alice.delete_open_orders(SYMBOL))
    assert len(ended) == 2


# --- Accounts and refusals --------------------------------------------------------------------------


def test_fees_limits_and_what_there_is_not(alice: SpotRestAPI) -> None:
    assert got(alice.account_commission(SYMBOL))["standardCommission"]["taker"] == "0.00100000"
    assert [one["interval"] for one in got(alice.rate_limit_order())] == ["SECOND", "DAY"]
    assert got(alice.my_allocations(SYMBOL)) == []
    with pytest.raises(BadRequestError) as refusal:
        alice.reference_price(SYMBOL)
    assert "-2043" in str(refusal.value)


def test_refusals_have_their_codes_and_texts(alice: SpotRestAPI, exchange: Exchange) -> None:
    for call, code, text in (
        (lambda: order(alice, "BUY", 1, 100), -2010, "insufficient balance"),
        (lambda: order(alice, "SELL", 0.0001, 100), -1013, "Filter failure: LOT_SIZE"),
        (lambda: alice.depth("NOSUCH"), -1121, "Invalid symbol."),
        (lambda: alice.delete_order(SYMBOL, order_id=99_999_999), -2011, "Unknown order sent."),
        (lambda: alice.get_order(SYMBOL, order_id=99_999_999), -2013, "Order does not exist."),
    ):
        with pytest.raises(BadRequestError) as refusal:
            call()
        assert str(code) in str(refusal.value)
        assert text in str(refusal.value)
    stranger = sdk_of(exchange, Account("nobody", "A" * 64, "B" * 64))
    with pytest.raises(UnauthorizedError):
        stranger.get_account()
