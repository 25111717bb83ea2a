"""ccxt, unmodified: two accounts trade, and everything it asks for agrees to the last unit."""

import time
from collections.abc import Callable

import ccxt
import pytest
from conftest import SYMBOL, Account, Exchange, ccxt_client


def balances(client: ccxt.binance) -> dict[str, tuple[str, str]]:
    """Free and locked as the exchange writes them: ccxt's own numbers are floats."""
    return {
        balance["asset"]: (balance["free"], balance["locked"])
        for balance in client.fetch_balance()["info"]["balances"]
        if balance["free"] != "0.00000000" or balance["locked"] != "0.00000000"
    }


def sell(client: ccxt.binance, amount: float, price: float, **parameters: str) -> dict:
    return client.create_order(SYMBOL, "limit", "sell", amount, price, parameters)


def buy(client: ccxt.binance, amount: float, price: float, **parameters: str) -> dict:
    return client.create_order(SYMBOL, "limit", "buy", amount, price, parameters)


# --- Markets ----------------------------------------------------------------------------------------


def test_markets_load_without_a_key(exchange: Exchange) -> None:
    client = ccxt_client(exchange.rest)

    markets = client.load_markets()

    assert {"SOL/USDC", "BTC/USDT", "ETH/USDT"} <= set(markets)
    assert markets[SYMBOL]["spot"] is True
    assert markets[SYMBOL]["active"] is True
    assert markets[SYMBOL]["precision"]["price"] == 0.01
    assert markets[SYMBOL]["precision"]["amount"] == 0.001
    assert markets[SYMBOL]["limits"]["cost"]["min"] == 5


def test_the_clock_agrees(exchange: Exchange) -> None:
    assert abs(ccxt_client(exchange.rest).fetch_time() - time.time() * 1000) < 5_000


# --- Orders -----------------------------------------------------------------------------------------


def test_an_order_rests_and_locks_what_it_needs(alice: ccxt.binance) -> None:
    order = sell(alice, 1.5, 120.25)

    fetched = alice.fetch_order(order["id"], SYMBOL)
    assert (fetched["status"], fetched["amount"], fetched["filled"]) == ("open", 1.5, 0)
    assert (fetched["price"], fetched["side"], fetched["type"]) == (120.25, "sell", "limit")
    assert [open_order["id"] for open_order in alice.fetch_open_orders(SYMBOL)] == [order["id"]]
    assert balances(alice) == {"SOL": ("8.50000000", "1.50000000")}


def test_an_order_is_partly_filled_at_the_price_that_rested(
    alice: ccxt.binance, bob: ccxt.binance
) -> None:
    resting = sell(alice, 2, 101.37)

    taken = buy(bob, 0.123, 105)

    assert (taken["status"], taken["filled"], taken["average"]) == ("closed", 0.123, 101.37)
    assert (taken["fee"]["currency"], taken["fee"]["cost"]) == ("SOL", 0.000123)
    partly = alice.fetch_order(resting["id"], SYMBOL)
    assert (partly["status"], partly["filled"], partly["remaining"]) == ("open", 0.123, 1.877)
    # 0.123 times 101.37 is 12.46851, of which a thousandth is the fee; Bob pays his in SOL.
    assert balances(alice) == {
        "SOL": ("8.00000000", "1.87700000"),
        "USDC": ("12.45604149", "0.00000000"),
    }
    assert balances(bob) == {
        "SOL": ("0.12287700", "0.00000000"),
        "USDC": ("987.53149000", "0.00000000"),
    }


def test_the_rest_of_an_order_can_be_cancelled(alice: ccxt.binance, bob: ccxt.binance) -> None:
    resting = sell(alice, 2, 102)
    buy(bob, 0.5, 102)

    cancelled = alice.cancel_order(resting["id"], SYMBOL)

    assert (cancelled["status"], cancelled["filled"]) == ("canceled", 0.5)
    assert alice.fetch_order(resting["id"], SYMBOL)["status"] == "canceled"
    assert alice.fetch_open_orders(SYMBOL) == []
    # 51 USDC less a thousandth; the 1.5 SOL that were locked are free again.
    assert balances(alice) == {
        "SOL": ("9.50000000", "0.00000000"),
        "USDC": ("50.94900000", "0.00000000"),
    }


def test_all_orders_can_be_cancelled_at_once(alice: ccxt.binance) -> None:
    for price in (130, 131, 132):
        sell(alice, 1, price)

    alice.cancel_all_orders(SYMBOL)

    assert alice.fetch_open_orders(SYMBOL) == []
    assert balances(alice) == {"SOL": ("10.00000000", "0.00000000")}


def test_a_market_order_takes_what_there_is(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 100)
    sell(alice, 1, 101)

    order = bob.create_order(SYMBOL, "market", "buy", 1.5)

    assert (order["status"], order["filled"], order["cost"]) == ("closed", 1.5, 150.5)
    assert balances(bob)["SOL"] == ("1.49850000", "0.00000000")
    assert balances(bob)["USDC"] == ("849.50000000", "0.00000000")


def test_a_market_order_can_say_what_it_wants_to_spend(
    alice: ccxt.binance, bob: ccxt.binance
) -> None:
    sell(alice, 5, 100)

    order = bob.create_market_buy_order_with_cost(SYMBOL, 250)

    assert (order["status"], order["filled"], order["cost"]) == ("closed", 2.5, 250)


def test_immediate_or_cancel_leaves_nothing_behind(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 100)

    order = buy(bob, 3, 100, timeInForce="IOC")

    assert (order["status"], order["filled"]) == ("expired", 1)
    assert bob.fetch_open_orders(SYMBOL) == []
    assert balances(bob)["USDC"] == ("900.00000000", "0.00000000")


def test_an_order_is_found_by_its_client_order_id(alice: ccxt.binance) -> None:
    order = sell(alice, 1, 140, newClientOrderId="my.order:1/a_b-c")

    by_name = alice.fetch_order(None, SYMBOL, {"origClientOrderId": "my.order:1/a_b-c"})

    assert by_name["id"] == order["id"]
    assert by_name["clientOrderId"] == "my.order:1/a_b-c"
    alice.cancel_order(None, SYMBOL, {"origClientOrderId": "my.order:1/a_b-c"})
    # Once the order has ended its name is free again.
    assert sell(alice, 1, 140, newClientOrderId="my.order:1/a_b-c")["id"] != order["id"]


def test_a_test_order_changes_nothing(alice: ccxt.binance) -> None:
    sell(alice, 1, 120, test=True)

    assert alice.fetch_open_orders(SYMBOL) == []


# --- What is known afterwards ---------------------------------------------------------------------


def test_both_sides_see_the_same_trades(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 100)
    sell(alice, 1, 100.5)
    order = buy(bob, 1.25, 101)

    (first, second), sold = bob.fetch_my_trades(SYMBOL), alice.fetch_my_trades(SYMBOL)

    assert [trade["id"] for trade in sold] == [first["id"], second["id"]]
    assert (first["price"], first["amount"], first["cost"]) == (100, 1, 100)
    assert (second["price"], second["amount"], second["cost"]) == (100.5, 0.25, 25.125)
    assert {first["order"], second["order"]} == {order["id"]}
    assert {trade["takerOrMaker"] for trade in sold} == {"maker"}
    assert {trade["takerOrMaker"] for trade in (first, second)} == {"taker"}
    assert (second["fee"]["currency"], second["fee"]["cost"]) == ("SOL", 0.00025)
    assert (sold[1]["fee"]["currency"], sold[1]["fee"]["cost"]) == ("USDC", 0.025125)
    public = alice.fetch_trades(SYMBOL)[-2:]
    assert [trade["id"] for trade in public] == [first["id"], second["id"]]
    assert [trade["side"] for trade in public] == ["buy", "buy"]


def test_closed_orders_are_listed(alice: ccxt.binance, bob: ccxt.binance) -> None:
    filled = sell(alice, 1, 100)
    buy(bob, 1, 100)
    cancelled = sell(alice, 1, 125)
    alice.cancel_order(cancelled["id"], SYMBOL)

    statuses = {order["id"]: order["status"] for order in alice.fetch_orders(SYMBOL)}

    assert statuses == {filled["id"]: "closed", cancelled["id"]: "canceled"}
    assert [order["id"] for order in alice.fetch_closed_orders(SYMBOL)] == [filled["id"]]


def test_the_order_book_shows_the_sum_of_each_price(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 110)
    sell(alice, 0.5, 110)
    sell(alice, 2, 111)
    buy(bob, 3, 90)

    book = alice.fetch_order_book(SYMBOL)

    assert book["asks"] == [[110, 1.5], [111, 2]]
    assert book["bids"] == [[90, 3]]
    assert book["nonce"] > 0


def test_tickers_and_candles_follow_the_trades(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 103)
    buy(bob, 1, 103)

    ticker = bob.fetch_ticker(SYMBOL)
    candle = bob.fetch_ohlcv(SYMBOL, "1m")[-1]

    assert ticker["last"] == 103
    assert ticker["low"] <= 103 <= ticker["high"]
    assert candle[4] == 103
    assert candle[5] >= 1
    assert bob.fetch_tickers([SYMBOL])[SYMBOL]["last"] == 103


def test_ccxt_starts_with_its_own_options_where_every_address_is_ours(
    exchange: Exchange, alice: ccxt.binance
) -> None:
    addresses = {
        name: f"{exchange.rest}/{path}"
        for name, path in {
            "public": "api/v3",
            "private": "api/v3",
            "v1": "api/v1",
            "sapi": "sapi/v1",
            "fapiPublic": "fapi/v1",
            "dapiPublic": "dapi/v1",
        }.items()
    }
    client = ccxt.binance(
        {"apiKey": alice.apiKey, "secret": alice.secret, "urls": {"api": addresses}}
    )

    markets = client.load_markets()

    assert {"SOL/USDC", "BTC/USDT", "ETH/USDT"} <= set(markets)
    assert {"SOL", "USDC"} <= set(client.currencies)
    assert client.fetch_trading_fees()["SOL/USDC"]["maker"] == 0.001
    assert client.fetch_status()["status"] == "ok"


# --- Refusals ---------------------------------------------------------------------------------------


def test_too_little_balance(alice: ccxt.binance) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        sell(alice, 11, 100)

    assert balances(alice) == {"SOL": ("10.00000000", "0.00000000")}


@pytest.mark.parametrize(
    ("quantity", "price", "filter_name"),
    [
        ("1.0005", "100", "LOT_SIZE"),
        ("1", "100.005", "PRICE_FILTER"),
        ("0.001", "100", "NOTIONAL"),
    ],
)
def test_an_order_off_the_grid(
    alice: ccxt.binance, quantity: str, price: str, filter_name: str
) -> None:
    # ccxt would round first: this is what it sends for those who format for themselves.
    with pytest.raises(ccxt.ExchangeError, match=f"Filter failure: {filter_name}"):
        alice.private_post_order(
            {
                "symbol": "SOLUSDC",
                "side": "SELL",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": quantity,
                "price": price,
            }
        )


def test_a_client_order_id_that_is_open_already(alice: ccxt.binance) -> None:
    sell(alice, 1, 120, newClientOrderId="once")

    with pytest.raises(ccxt.InvalidOrder, match="Duplicate order sent"):
        sell(alice, 1, 121, newClientOrderId="once")

    assert len(alice.fetch_open_orders(SYMBOL)) == 1


def test_an_order_that_does_not_exist(alice: ccxt.binance) -> None:
    with pytest.raises(ccxt.OrderNotFound, match="Order does not exist"):
        alice.fetch_order("999999999", SYMBOL)
    with pytest.raises(ccxt.OrderNotFound, match="Unknown order sent"):
        alice.cancel_order("999999999", SYMBOL)


def test_an_order_of_somebody_else(alice: ccxt.binance, bob: ccxt.binance) -> None:
    order = sell(alice, 1, 120)

    with pytest.raises(ccxt.OrderNotFound):
        bob.fetch_order(order["id"], SYMBOL)
    with pytest.raises(ccxt.OrderNotFound):
        bob.cancel_order(order["id"], SYMBOL)

    assert alice.fetch_order(order["id"], SYMBOL)["status"] == "open"


def test_an_order_that_must_not_take(alice: ccxt.binance, bob: ccxt.binance) -> None:
    sell(alice, 1, 100)

    with pytest.raises(ccxt.OrderImmediatelyFillable):
        buy(bob, 1, 100, postOnly=True)

    assert balances(bob) == {"USDC": ("1000.00000000", "0.00000000")}


def test_an_unknown_market(alice: ccxt.binance) -> None:
    with pytest.raises(ccxt.BadSymbol):
        alice.public_get_depth({"symbol": "NOTHING"})


def test_a_wrong_secret_and_a_wrong_key(
    exchange: Exchange, open_client: Callable[..., ccxt.binance]
) -> None:
    account = exchange.account(SOL="1")

    for wrong in (account._replace(secret="x" * 64), Account("", "y" * 64, "z" * 64)):
        with pytest.raises(ccxt.AuthenticationError):
            ccxt_client(exchange.rest, wrong).fetch_balance()


def test_a_clock_that_is_wrong(alice: ccxt.binance) -> None:
    alice.nonce = lambda: int(time.time() * 1000) - 60_000

    with pytest.raises(ccxt.InvalidNonce):
        sell(alice, 1, 120)

    del alice.nonce
    assert alice.fetch_open_orders(SYMBOL) == []
