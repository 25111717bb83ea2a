"""What clients read: codes and texts to the letter, numbers as text, times in the unit asked for."""

import json

import pytest
from msgspec.structs import replace

from exchange.backend import errors, formats
from exchange.backend.errors import Asked
from exchange.backend.formats import TimeUnit
from exchange.services.candles import Interval, fold_trades
from exchange.services.filters import Filter
from exchange.services.markets import Asset, ExchangeRules, Feature, default_markets
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import OrderType, Side
from exchange.services.rows import Account, Trade

ASSETS = {asset.name: asset for asset in default_markets()[0]}
MARKET = default_markets()[1][0]
UNIT = 10**8
TIME = 1_700_000_000_123_456
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

PLACE, CANCEL, AMEND = Asked


@pytest.mark.parametrize(
    ("reason", "detail", "asked", "status", "code", "text"),
    [
        (
            Reason.LATE, "", PLACE, 400, -1021,
            "Timestamp for this request is outside of the recvWindow.",
        ),
        (
            Reason.KEY_NOT_VALID, "", PLACE, 401, -2015,
            "Invalid API-key, IP, or permissions for action.",
        ),
        (Reason.UNKNOWN_SYMBOL, "", PLACE, 400, -1121, "Invalid symbol."),
        (Reason.UNKNOWN_ORDER, "", CANCEL, 400, -2011, "Unknown order sent."),
        (Reason.UNKNOWN_ORDER, "", AMEND, 400, -2038, "Unknown order sent."),
        (Reason.UNKNOWN_LIST, "", CANCEL, 400, -2011, "Unknown order list sent."),
        (Reason.NO_OPEN_ORDERS, "", CANCEL, 400, -2011, "Unknown order sent."),
        (
            Reason.ORDER_ID_MISMATCH, "", CANCEL, 400, -2039,
            "Client order ID is not correct for this order ID.",
        ),
        (
            Reason.CANCEL_RESTRICTED, "", CANCEL, 400, -2011,
            "Order was not canceled due to cancel restrictions.",
        ),
        (Reason.MARKET_CLOSED, "", PLACE, 400, -2010, "Market is closed."),
        (Reason.MARKET_CLOSED, "", CANCEL, 400, -2011, "Market is closed."),
        (Reason.MARKET_CLOSED, "", AMEND, 400, -2038, "Market is closed."),
        (
            Reason.ACCOUNT_STOPPED, "", PLACE, 400, -2010,
            "This action is disabled on this account.",
        ),
        (
            Reason.SELF_TRADE_MODE, "", PLACE, 400, -1013,
            "This symbol does not allow the specified self-trade prevention mode.",
        ),
        (Reason.ICEBERG_TOO_LARGE, "", PLACE, 400, -1013, "IcebergQty exceeds QTY."),
        (Reason.FILTER, "PRICE_FILTER", PLACE, 400, -1013, "Filter failure: PRICE_FILTER"),
        (Reason.FILTER, "NOTIONAL", PLACE, 400, -1013, "Filter failure: NOTIONAL"),
        (
            Reason.FILTER, "MAX_NUM_ORDER_AMENDS", AMEND, 400, -2038,
            "Filter failure: MAX_NUM_ORDER_AMENDS",
        ),
        (Reason.DUPLICATE_CLIENT_ORDER_ID, "", PLACE, 400, -2010, "Duplicate order sent."),
        (Reason.DUPLICATE_CLIENT_ORDER_ID, "", AMEND, 400, -2038, "Duplicate order sent."),
        (
            Reason.INSUFFICIENT_BALANCE, "", PLACE, 400, -2010,
            "Account has insufficient balance for requested action.",
        ),
        (Reason.WOULD_MATCH, "", PLACE, 400, -2010, "Order would immediately match and take."),
        (Reason.WOULD_TRIGGER, "", PLACE, 400, -2010, "Order would trigger immediately."),
        (
            Reason.LIST_PRICES, "", PLACE, 400, -2010,
            "The relationship of the prices for the orders is not correct.",
        ),
        (
            Reason.NO_LIQUIDITY, "", PLACE, 400, -2010,
            "Order book liquidity is less than symbol minimum quantity.",
        ),
        (
            Reason.TOO_LITTLE_LIQUIDITY, "MARKET_LOT_SIZE", PLACE, 400, -2010,
            "Order book liquidity is less than `MARKET_LOT_SIZE` filter minimum quantity.",
        ),
        (
            Reason.NO_CHANGE, "", AMEND, 400, -2038,
            "The requested action would change no state; rejecting",
        ),
        (
            Reason.AMEND_INCREASE, "", AMEND, 400, -2038,
            "Order amend (quantity increase) is not supported.",
        ),
        (
            Reason.NOT_SUPPORTED, "STOP_LOSS_LIMIT", PLACE, 400, -1013,
            "Stop loss limit orders are not supported for this symbol.",
        ),
        (
            Reason.NOT_SUPPORTED, "QUOTE_QUANTITY", PLACE, 400, -1013,
            "Quote order qty market orders are not support for this symbol.",
        ),
        (
            Reason.NOT_SUPPORTED, "OCO", PLACE, 400, -1013,
            "OCO orders are not supported for this symbol",
        ),
        (
            Reason.NOT_SUPPORTED, "AMEND", AMEND, 400, -2038,
            "Order amend is not supported for this symbol.",
        ),
    ],
)  # fmt: skip
def test_a_refusal_of_the_engine_has_its_code_and_text(
    reason: Reason, detail: str, asked: Asked, status: int, code: int, text: str
) -> None:
    error = errors.rejection(Rejected(reason=reason, detail=detail), asked)

    assert (error.status, error.code, error.message) == (status, code, text)


_DETAILS = {
    Reason.FILTER: [one.value for one in Filter],
    Reason.NOT_SUPPORTED: [one.value for kind in (OrderType, Feature) for one in kind],
}


@pytest.mark.parametrize(
    ("reason", "detail"),
    [(reason, detail) for reason in Reason for detail in _DETAILS.get(reason, [""])],
)
@pytest.mark.parametrize("asked", list(Asked))
def test_every_refusal_is_an_error_of_the_api(reason: Reason, detail: str, asked: Asked) -> None:
    body = json.loads(errors.rejection(Rejected(reason=reason, detail=detail), asked).body())

    assert body.keys() == {"code", "msg"}
    assert body["code"] < -1000


@pytest.mark.parametrize(
    ("reason", "code"), [("CLOSED", -1008), ("BUSY", -1008), ("MEMORY", -1008), ("CLOCK", -1001)]
)
def test_what_was_not_executed_is_said_with_503(reason: str, code: int) -> None:
    error = errors.not_executed(reason)

    assert (error.status, error.code) == (503, code)
    assert error.retry_after_s == 1


@pytest.mark.parametrize(("partly", "status", "code"), [(True, 409, -2021), (False, 400, -2022)])
def test_a_replacement_that_failed_tells_both_halves(partly: bool, status: int, code: int) -> None:
    halves = {"cancelResult": "FAILURE"}

    error = errors.replace_failure(halves, partly=partly)

    assert (error.status, error.code) == (status, code)
    assert json.loads(error.body())["data"] == halves


def test_both_sides_of_a_trade_pay_in_what_they_receive() -> None:
    buyer = formats.commission(MARKET, Side.BUY, TRADE, ASSETS)
    seller = formats.commission(MARKET, Side.SELL, TRADE, ASSETS)

    assert (buyer, seller) == (("0.00100000", "SOL"), ("0.10000000", "USDC"))


def test_a_fee_in_another_asset_has_the_decimals_of_that_asset() -> None:
    assets = {**ASSETS, "PTS": Asset("PTS", 2)}
    trade = replace(TRADE, buy_fee=125, buy_fee_asset="PTS")

    assert formats.commission(MARKET, Side.BUY, trade, assets) == ("1.25", "PTS")


def test_a_discount_is_told_only_where_there_is_an_asset_for_it() -> None:
    account = Account(id=1, name="a", created=0, discount=True)
    rules = ExchangeRules(discount_asset="USDC", discount=750_000)

    assert formats.discount(MARKET, account, rules) == {
        "enabledForAccount": True,
        "enabledForSymbol": True,
        "discountAsset": "USDC",
        "discount": "0.75000000",
    }
    assert formats.discount(MARKET, account, ExchangeRules()) == {
        "enabledForAccount": True,
        "enabledForSymbol": False,
        "discountAsset": "",
        "discount": "0.00000000",
    }


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


def test_rates_are_written_with_eight_decimals() -> None:
    assert (formats.rate(1_000), formats.rate(1)) == ("0.00100000", "0.00000100")
