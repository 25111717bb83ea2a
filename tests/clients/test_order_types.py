"""Every order type as unmodified clients place it: stops, trails, icebergs, edits and lists.

One test moves the price of its market, so the last price of each begins where a trade puts it.
"""

from collections.abc import Iterator

import ccxt
import pytest
from binance.base_client import BaseClient
from binance.client import Client
from conftest import SYMBOL, Exchange

NATIVE = "SOLUSDC"


@pytest.fixture
def native(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """python-binance, with ten SOL and a thousand USDC."""
    monkeypatch.setattr(BaseClient, "API_URL", f"{exchange.rest}/api")
    account = exchange.account(SOL="10", USDC="1000")
    client = Client(account.api_key, account.secret)
    yield client
    for order in client.get_open_orders(symbol=NATIVE):
        if any(one["orderId"] == order["orderId"] for one in client.get_open_orders(symbol=NATIVE)):
            client.cancel_order(symbol=NATIVE, orderId=order["orderId"])
    client.close_connection()


def trade(alice: ccxt.binance, bob: ccxt.binance, price: float, amount: float = 0.1) -> None:
    """The last price is this one afterwards."""
    alice.create_order(SYMBOL, "limit", "sell", amount, price)
    assert bob.create_order(SYMBOL, "limit", "buy", amount, price)["status"] == "closed"


def test_a_stop_loss_waits_for_its_price_and_sells(
    alice: ccxt.binance, bob: ccxt.binance, native: Client
) -> None:
    trade(alice, bob, 100)
    stop = native.create_order(
        symbol=NATIVE, side="SELL", type="STOP_LOSS", quantity="1", stopPrice="95"
    )
    waiting = native.get_order(symbol=NATIVE, orderId=stop["orderId"])
    bob.create_order(SYMBOL, "limit", "buy", 1, 94)

    trade(alice, bob, 95)

    assert (waiting["status"], waiting["isWorking"]) == ("NEW", False)
    done = native.get_order(symbol=NATIVE, orderId=stop["orderId"])
    assert (done["status"], done["executedQty"], done["cummulativeQuoteQty"]) == (
        "FILLED",
        "1.00000000",
        "94.00000000",
    )
    # The fee of 0.1 % is in what was received.
    assert native.get_asset_balance("USDC")["free"] == "1093.90600000"


def test_ccxt_places_a_stop_limit_order_with_its_trigger_price(
    alice: ccxt.binance, bob: ccxt.binance
) -> None:
    trade(alice, bob, 100)

    order = alice.create_order(SYMBOL, "limit", "sell", 1, 90, {"stopLossPrice": 92})

    found = alice.fetch_order(order["id"], SYMBOL)
    assert (found["info"]["type"], found["status"]) == ("STOP_LOSS_LIMIT", "open")
    assert (found["triggerPrice"], found["price"]) == (92, 90)
    assert alice.cancel_order(order["id"], SYMBOL)["status"] == "canceled"


def test_a_trailing_stop_follows_the_price(
    alice: ccxt.binance, bob: ccxt.binance, native: Client
) -> None:
    trade(alice, bob, 100)
    order = native.create_order(
        symbol=NATIVE, side="SELL", type="STOP_LOSS", quantity="1", trailingDelta=500
    )
    bob.create_order(SYMBOL, "limit", "buy", 1, 90)
    trade(alice, bob, 110)
    # 5 % below 110 is 104.5.
    trade(alice, bob, 104.51)
    before = native.get_order(symbol=NATIVE, orderId=order["orderId"])

    trade(alice, bob, 104.5)

    after = native.get_order(symbol=NATIVE, orderId=order["orderId"])
    assert (before["status"], after["status"]) == ("NEW", "FILLED")
    assert before["trailingDelta"] == 500
    assert before["trailingTime"] > 0


def test_an_iceberg_shows_one_slice(alice: ccxt.binance, native: Client) -> None:
    native.create_order(
        symbol=NATIVE, side="SELL", type="LIMIT", timeInForce="GTC",
        quantity="5", price="150", icebergQty="1",
    )  # fmt: skip

    (level,) = [
        one for one in native.get_order_book(symbol=NATIVE)["asks"] if one[0].startswith("150.")
    ]

    assert level == ["150.00000000", "1.00000000"]


def test_ccxt_edits_an_order_into_another(alice: ccxt.binance) -> None:
    order = alice.create_order(SYMBOL, "limit", "sell", 1, 160)

    edited = alice.edit_order(order["id"], SYMBOL, "limit", "sell", 2, 161)

    assert alice.fetch_order(order["id"], SYMBOL)["status"] == "canceled"
    assert [
        (one["id"], one["amount"], one["price"]) for one in alice.fetch_open_orders(SYMBOL)
    ] == [(edited["id"], 2, 161)]


def test_one_leg_of_an_oco_ends_the_other(
    alice: ccxt.binance, bob: ccxt.binance, native: Client
) -> None:
    trade(alice, bob, 100)
    placed = native.create_oco_order(
        symbol=NATIVE, side="SELL", quantity="1",
        aboveType="LIMIT_MAKER", abovePrice="105",
        belowType="STOP_LOSS_LIMIT", belowStopPrice="95", belowPrice="94",
        belowTimeInForce="GTC",
    )  # fmt: skip
    limit, stop = sorted(placed["orderReports"], key=lambda one: one["type"])
    assert native.get_asset_balance("SOL")["locked"] == "1.00000000"

    bob.create_order(SYMBOL, "limit", "buy", 0.4, 105)

    states = {
        order["orderId"]: (order["status"], order["executedQty"])
        for order in native.get_all_orders(symbol=NATIVE)
    }
    assert states == {
        limit["orderId"]: ("PARTIALLY_FILLED", "0.40000000"),
        stop["orderId"]: ("EXPIRED", "0.00000000"),
    }
    cancelled = native.cancel_order(symbol=NATIVE, orderId=limit["orderId"])
    assert cancelled["listOrderStatus"] == "ALL_DONE"
    assert native.get_asset_balance("SOL") == {
        "asset": "SOL",
        "free": "9.60000000",
        "locked": "0.00000000",
    }


def test_orders_of_one_account_do_not_trade_with_each_other(native: Client) -> None:
    maker = native.order_limit_sell(symbol=NATIVE, quantity="1", price="99")

    taker = native.order_limit_buy(symbol=NATIVE, quantity="1", price="99")

    assert native.get_order(symbol=NATIVE, orderId=maker["orderId"])["status"] == "EXPIRED_IN_MATCH"
    assert (taker["status"], taker["fills"]) == ("NEW", [])
    (match,) = native.get_prevented_matches(symbol=NATIVE, orderId=taker["orderId"])
    assert (match["makerOrderId"], match["selfTradePreventionMode"]) == (
        maker["orderId"],
        "EXPIRE_MAKER",
    )
