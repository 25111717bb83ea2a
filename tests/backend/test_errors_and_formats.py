"""What clients read: codes and texts to the letter, numbers as text, times in the unit asked for."""

import json

import pytest

from exchange.backend import errors, formats
from exchange.backend.formats import TimeUnit
from exchange.services.candles import Interval, fold_trades
from exchange.services.markets import Mode, default_markets
from exchange.services.messages import (
    Order,
    OrderStatus,
    OrderType,
    Reason,
    Rejected,
    Side,
    TimeInForce,
    Trade,
)

MARKET = default_markets()[1][0]
UNIT = 10**8
TIME = 1_700_000_000_123_456

ORDER = Order(
    symbol="SOLUSDC",
    id=5,
    account=7,
    client_order_id="mine",
    side=Side.BUY,
    type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    price=101 * UNIT,
    quantity=3 * UNIT,
    quote_quantity=0,
    filled=UNIT,
    filled_quote=100 * UNIT,
    locked=202 * UNIT,
    status=OrderStatus.PARTIALLY_FILLED,
    queue=1,
    created=TIME,
    updated=TIME + 1_000,
    request=None,
    deadline=0,
)
TRADE = Trade(
    symbol="SOLUSDC",
    id=9,
    price=100 * UNIT,
    quantity=UNIT,
    quote_quantity=100 * UNIT,
    time=TIME,
    taker_side=Side.BUY,
    buy_order=5,
    sell_order=4,
    buy_account=7,
    sell_account=8,
    buy_fee=UNIT // 1_000,
    sell_fee=UNIT // 10,
)


@pytest.mark.parametrize(
    ("reason", "cancel", "status", "code", "text"),
    [
        (
            Reason.LATE, False, 400, -1021,
            "Timestamp for this request is outside of the recvWindow.",
        ),
        (
            Reason.KEY_NOT_VALID, False, 401, -2015,
            "Invalid API-key, IP, or permissions for action.",
        ),
        (Reason.UNKNOWN_SYMBOL, False, 400, -1121, "Invalid symbol."),
        (Reason.UNKNOWN_ORDER, True, 400, -2011, "Unknown order sent."),
        (Reason.NO_OPEN_ORDERS, True, 400, -2011, "Unknown order sent."),
        (
            Reason.ORDER_ID_MISMATCH, True, 400, -2039,
            "Client order ID is not correct for this order ID.",
        ),
        (
            Reason.CANCEL_RESTRICTED, True, 400, -2011,
            "Order was not canceled due to cancel restrictions.",
        ),
        (Reason.MARKET_CLOSED, False, 400, -2010, "Market is closed."),
        (Reason.MARKET_CLOSED, True, 400, -2011, "Market is closed."),
        (Reason.PRICE_FILTER, False, 400, -1013, "Filter failure: PRICE_FILTER"),
        (Reason.LOT_SIZE, False, 400, -1013, "Filter failure: LOT_SIZE"),
        (Reason.NOTIONAL, False, 400, -1013, "Filter failure: NOTIONAL"),
        (Reason.DUPLICATE_CLIENT_ORDER_ID, False, 400, -2010, "Duplicate order sent."),
        (
            Reason.INSUFFICIENT_BALANCE, False, 400, -2010,
            "Account has insufficient balance for requested action.",
        ),
        (Reason.WOULD_MATCH, False, 400, -2010, "Order would immediately match and take."),
        (
            Reason.NO_LIQUIDITY, False, 400, -2010,
            "Order book liquidity is less than symbol minimum quantity.",
        ),
    ],
)  # fmt: skip
def test_a_refusal_of_the_engine_has_its_code_and_text(
    reason: Reason, cancel: bool, status: int, code: int, text: str
) -> None:
    error = errors.rejection(Rejected(reason=reason), cancel=cancel)

    assert (error.status, error.code, error.message) == (status, code, text)


@pytest.mark.parametrize("reason", list(Reason))
@pytest.mark.parametrize("cancel", [False, True])
def test_every_refusal_is_an_error_of_the_api(reason: Reason, cancel: bool) -> None:
    body = json.loads(errors.rejection(Rejected(reason=reason, detail="?"), cancel=cancel).body())

    assert body.keys() == {"code", "msg"}
    assert body["code"] < -1000


@pytest.mark.parametrize(
    ("reason", "code"), [("CLOSED", -1008), ("BUSY", -1008), ("MEMORY", -1008), ("CLOCK", -1001)]
)
def test_what_was_not_executed_is_said_with_503(reason: str, code: int) -> None:
    error = errors.not_executed(reason)

    assert (error.status, error.code) == (503, code)
    assert error.retry_after_s == 1


def test_a_full_answer_tells_the_order_and_its_fills() -> None:
    answer = formats.full_placement(MARKET, ORDER, [TRADE], TIME, TimeUnit.MILLISECOND)

    assert answer == {
        "symbol": "SOLUSDC",
        "orderId": 5,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": 1_700_000_000_123,
        "price": "101.00000000",
        "origQty": "3.00000000",
        "executedQty": "1.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "100.00000000",
        "status": "PARTIALLY_FILLED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": 1_700_000_000_123,
        "selfTradePreventionMode": "NONE",
        "fills": [
            {
                "price": "100.00000000",
                "qty": "1.00000000",
                "commission": "0.00100000",
                "commissionAsset": "SOL",
                "tradeId": 9,
            }
        ],
    }


def test_a_cancellation_has_its_own_client_order_id() -> None:
    answer = formats.cancellation(MARKET, ORDER, "cancel", TIME, TimeUnit.MICROSECOND)

    assert (answer["origClientOrderId"], answer["clientOrderId"]) == ("mine", "cancel")
    assert answer["transactTime"] == TIME


def test_both_sides_of_a_trade_pay_in_what_they_receive() -> None:
    buyer = formats.own_trade(MARKET, TRADE, Side.BUY, TimeUnit.MILLISECOND)
    seller = formats.own_trade(MARKET, TRADE, Side.SELL, TimeUnit.MILLISECOND)

    assert (buyer["commission"], buyer["commissionAsset"]) == ("0.00100000", "SOL")
    assert (seller["commission"], seller["commissionAsset"]) == ("0.10000000", "USDC")
    assert (buyer["orderId"], buyer["isBuyer"], buyer["isMaker"]) == (5, True, False)
    assert (seller["orderId"], seller["isBuyer"], seller["isMaker"]) == (4, False, True)


def test_a_candle_closes_before_the_next_one_opens() -> None:
    candle = fold_trades([TRADE], Interval.MINUTE_1)[0]

    assert formats.kline(MARKET, candle, 0, TimeUnit.MILLISECOND) == [
        1_699_999_980_000,
        "100.00000000",
        "100.00000000",
        "100.00000000",
        "100.00000000",
        "1.00000000",
        1_700_000_039_999,
        "100.00000000",
        1,
        "1.00000000",
        "100.00000000",
        "0",
    ]
    assert formats.kline(MARKET, candle, 0, TimeUnit.MICROSECOND)[6] == 1_700_000_039_999_999


def test_a_market_lists_only_what_works() -> None:
    shown = formats.symbol_information(MARKET, permission_sets=True)

    assert shown["filters"][0] == {
        "filterType": "PRICE_FILTER",
        "minPrice": "0.01000000",
        "maxPrice": "1000000.00000000",
        "tickSize": "0.01000000",
    }
    assert [one["filterType"] for one in shown["filters"]] == [
        "PRICE_FILTER",
        "LOT_SIZE",
        "NOTIONAL",
    ]
    assert shown["permissionSets"] == [["SPOT"]]
    assert shown["allowedSelfTradePreventionModes"] == ["NONE"]
    assert not any(shown[name] for name in ("icebergAllowed", "ocoAllowed", "amendAllowed"))


def test_every_mode_is_a_status() -> None:
    statuses = {formats._STATUSES[mode] for mode in Mode}

    assert statuses == {"TRADING", "CANCEL_ONLY", "HALT"}


def test_rates_are_written_with_eight_decimals() -> None:
    assert (formats.rate(1_000), formats.rate(1)) == ("0.00100000", "0.00000100")
