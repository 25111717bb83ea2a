"""Market data and account history, from real trades."""

import time
from itertools import pairwise
from typing import Any

import pytest
from backend.api_client import Trader
from backend.conftest import RunningBackend

DAY = 24 * 3600 * 1000


class Traded:
    """Two accounts and what they traded on ETHUSDT, where nobody else does."""

    def __init__(self, backend: RunningBackend) -> None:
        self.began = time.time_ns() // 1_000_000
        self.maker = backend.trader(ETH="100", USDT="100000")
        self.taker = backend.trader(ETH="100", USDT="100000")
        for price in ("2000", "2001", "2002"):
            self._order(self.maker, "SELL", "1", price)
        self._order(self.maker, "BUY", "1", "1990")
        self._order(self.taker, "BUY", "2.5", "2005")
        self._order(self.taker, "SELL", "0.25", "1990")
        self.ended = time.time_ns() // 1_000_000

    @staticmethod
    def _order(trader: Trader, side: str, quantity: str, price: str) -> None:
        answer = trader.order(side, quantity, price, symbol="ETHUSDT")
        assert answer.status == 200, answer


@pytest.fixture(scope="module")
def traded(backend: RunningBackend) -> Traded:
    return Traded(backend)


def get(trader: Trader, path: str, **parameters: object) -> Any:
    answer = trader.get(path, **parameters)
    assert answer.status == 200, answer
    return answer.body


def own(trader: Trader, path: str, **parameters: object) -> Any:
    answer = trader.call("GET", path, **parameters)
    assert answer.status == 200, answer
    return answer.body


def test_the_depth_is_what_is_left(traded: Traded) -> None:
    book = get(traded.maker, "depth", symbol="ETHUSDT")

    assert book["asks"] == [["2002.00000000", "0.50000000"]]
    assert book["bids"] == [["1990.00000000", "0.75000000"]]
    assert book["lastUpdateId"] == 6
    assert get(traded.maker, "depth", symbol="ETHUSDT", limit=1)["asks"] == book["asks"][:1]


def test_recent_trades_are_oldest_first(traded: Traded) -> None:
    trades = get(traded.maker, "trades", symbol="ETHUSDT")

    assert [one["price"][:4] for one in trades] == ["2000", "2001", "2002", "1990"]
    assert [one["id"] for one in trades] == [1, 2, 3, 4]
    assert [one["isBuyerMaker"] for one in trades] == [False, False, False, True]
    assert get(traded.maker, "trades", symbol="ETHUSDT", limit=2) == trades[2:]


def test_one_symbol_is_an_object_and_everything_else_a_list(traded: Traded) -> None:
    for path in ("ticker/price", "ticker/bookTicker", "ticker/24hr"):
        one = get(traded.maker, path, symbol="ETHUSDT")
        some = get(traded.maker, path, symbols='["ETHUSDT","SOLUSDC"]')
        every = get(traded.maker, path)

        assert one["symbol"] == "ETHUSDT"
        assert [ticker["symbol"] for ticker in some] == ["ETHUSDT", "SOLUSDC"]
        assert {ticker["symbol"] for ticker in every} == {"SOLUSDC", "BTCUSDT", "ETHUSDT"}


def test_a_market_without_trades_has_tickers_of_zero(traded: Traded) -> None:
    assert get(traded.maker, "ticker/price", symbol="BTCUSDT")["price"] == "0.00000000"
    book = get(traded.maker, "ticker/bookTicker", symbol="BTCUSDT")
    assert set(book.values()) == {"BTCUSDT", "0.00000000"}
    assert get(traded.maker, "ticker/24hr", symbol="BTCUSDT")["firstId"] == -1


def test_the_day_is_told_in_full_or_short(traded: Traded) -> None:
    full = get(traded.maker, "ticker/24hr", symbol="ETHUSDT")
    mini = get(traded.maker, "ticker/24hr", symbol="ETHUSDT", type="MINI")

    assert full["lastPrice"] == "1990.00000000"
    assert full["highPrice"] == "2002.00000000"
    assert full["volume"] == "2.75000000"
    assert full["priceChange"] == "-10.00000000"
    assert full["priceChangePercent"] == "-0.500"
    assert full["count"] == 4
    assert mini.keys() < full.keys()
    assert "bidQty" not in mini


def test_candles_hold_all_trades_whatever_the_interval(traded: Traded) -> None:
    intervals = [
        "1s",
        "1m",
        "3m",
        "5m",
        "15m",
        "30m",
        "1h",
        "2h",
        "4h",
        "6h",
        "8h",
        "12h",
        "1d",
        "3d",
        "1w",
        "1M",
    ]
    for interval in intervals:
        candles = get(traded.maker, "klines", symbol="ETHUSDT", interval=interval)

        assert sum(candle[8] for candle in candles) == 4, interval
        with_trades = [candle for candle in candles if candle[8]]
        assert (with_trades[0][1], with_trades[-1][4]) == ("2000.00000000", "1990.00000000")
        for one, following in pairwise(candles):
            assert following[0] == one[6] + 1
            if not following[8]:
                assert following[1] == following[4] == one[4]


def test_candles_open_where_the_time_zone_says(traded: Traded) -> None:
    for zone, hours in (("+08:00", 8), ("8", 8), ("-3:30", -3.5), ("+05:45", 5.75), ("0", 0)):
        candles = get(
            traded.maker, "klines", symbol="ETHUSDT", interval="1d", timeZone=zone, limit=1
        )

        assert (candles[0][0] + hours * 3_600_000) % DAY == 0
        assert candles[0][8] == 4


def test_candles_begin_with_the_market_and_respect_their_window(traded: Traded) -> None:
    whole = get(traded.maker, "klines", symbol="ETHUSDT", interval="1s", startTime=0, limit=1000)
    first, last = whole[0][0], whole[-1][0]

    window = get(
        traded.maker,
        "klines",
        symbol="ETHUSDT",
        interval="1s",
        startTime=first + 1,
        endTime=min(first + 2_000, last),
    )

    assert first >= traded.began - 60_000
    assert [one[0] for one in window] == [
        one[0] for one in whole if first + 1 <= one[0] <= first + 2_000
    ]
    assert get(traded.maker, "klines", symbol="ETHUSDT", interval="1d", endTime=1) == []
    future = traded.ended + DAY
    assert get(traded.maker, "klines", symbol="ETHUSDT", interval="1s", startTime=future) == []


def test_exchange_information_can_be_narrowed(traded: Traded) -> None:
    def symbols(**parameters: object) -> list[str]:
        return [one["symbol"] for one in get(traded.maker, "exchangeInfo", **parameters)["symbols"]]

    assert symbols(symbol="ETHUSDT") == ["ETHUSDT"]
    assert symbols(symbols='["ETHUSDT","BTCUSDT"]') == ["ETHUSDT", "BTCUSDT"]
    assert len(symbols(permissions="SPOT")) == 3
    assert len(symbols(permissions='["SPOT","MARGIN"]')) == 3
    assert symbols(permissions="MARGIN") == []
    assert len(symbols(symbolStatus="TRADING")) == 3
    assert symbols(symbolStatus="HALT") == []
    shown = get(traded.maker, "exchangeInfo", symbol="ETHUSDT", showPermissionSets="false")
    assert "permissionSets" not in shown["symbols"][0]


@pytest.mark.parametrize(
    ("path", "parameters", "code"),
    [
        ("depth", {"symbol": "NOSUCH"}, -1121),
        ("klines", {"symbol": "NOSUCH", "interval": "1m"}, -1121),
        ("ticker/price", {"symbols": '["NOSUCH"]'}, -1121),
        ("ticker/price", {"symbols": '["ETHUSDT","ETHUSDT"]'}, -1151),
        ("depth", {"symbol": "ETHUSDT", "symbolStatus": "HALT"}, -1220),
        ("exchangeInfo", {"symbol": "NOSUCH"}, -1121),
    ],
)
def test_what_there_is_not_has_its_error(
    traded: Traded, path: str, parameters: dict[str, str], code: int
) -> None:
    answer = traded.maker.get(path, **parameters)

    assert (answer.status, answer.body["code"]) == (400, code)


def test_times_follow_the_header(traded: Traded) -> None:
    answer = traded.maker.raw("GET", "/api/v3/trades?symbol=ETHUSDT", X_MBX_TIME_UNIT="microsecond")

    assert answer.body[0]["time"] > 10**15


def test_orders_are_listed_oldest_first_within_their_window(traded: Traded) -> None:
    maker = traded.maker
    orders = own(maker, "allOrders", symbol="ETHUSDT")
    ids = [order["orderId"] for order in orders]

    assert ids == sorted(ids)
    assert len(ids) == 4
    assert [one["orderId"] for one in own(maker, "allOrders", symbol="ETHUSDT", limit=1)] == ids[
        -1:
    ]
    from_second = own(maker, "allOrders", symbol="ETHUSDT", orderId=ids[1], limit=2)
    assert [one["orderId"] for one in from_second] == ids[1:3]
    started = own(maker, "allOrders", symbol="ETHUSDT", startTime=traded.began, limit=1)
    assert [one["orderId"] for one in started] == ids[:1]
    assert own(maker, "allOrders", symbol="ETHUSDT", endTime=traded.began - DAY) == []
    exactly = orders[1]["time"]
    between = own(
        maker, "allOrders", symbol="ETHUSDT", startTime=exactly * 1000, endTime=exactly + 1
    )
    assert ids[1] in [one["orderId"] for one in between]


def test_own_trades_can_be_asked_for_in_many_ways(traded: Traded) -> None:
    taker = traded.taker
    trades = own(taker, "myTrades", symbol="ETHUSDT")
    ids = [trade["id"] for trade in trades]
    buying = trades[0]["orderId"]

    assert ids == [1, 2, 3, 4]
    assert [one["isBuyer"] for one in trades] == [True, True, True, False]
    assert [one["commissionAsset"] for one in trades] == ["ETH", "ETH", "ETH", "USDT"]

    def asked(**parameters: object) -> list[int]:
        return [one["id"] for one in own(taker, "myTrades", symbol="ETHUSDT", **parameters)]

    assert asked(limit=2) == ids[2:]
    assert asked(fromId=2, limit=2) == [2, 3]
    assert asked(orderId=buying) == [1, 2, 3]
    assert asked(orderId=buying, fromId=3) == [3]
    assert asked(startTime=traded.began, endTime=traded.ended + 1_000) == ids
    assert asked(endTime=traded.began - 1) == []


def test_both_sides_of_a_self_trade_are_own_trades(backend: RunningBackend) -> None:
    trader = backend.trader(BTC="1", USDT="100000")
    trader.order("SELL", "0.01", "50000", symbol="BTCUSDT")
    trader.order("BUY", "0.01", "50000", symbol="BTCUSDT", selfTradePreventionMode="NONE")

    trades = own(trader, "myTrades", symbol="BTCUSDT")

    assert [(one["isBuyer"], one["isMaker"]) for one in trades] == [(True, False), (False, True)]
    assert trades[0]["id"] == trades[1]["id"]


@pytest.mark.parametrize(
    ("path", "more", "code"),
    [
        ("allOrders", {"startTime": 0, "endTime": DAY + 1}, -1127),
        ("myTrades", {"startTime": 0, "endTime": DAY + 1}, -1127),
        ("myTrades", {"startTime": 0, "fromId": 1}, -1128),
        ("myTrades", {"endTime": 0, "orderId": 1}, -1128),
        ("order", {}, -1102),
        ("order", {"orderId": 10**6}, -2013),
        ("allOrders", {"limit": "x"}, -1100),
        ("allOrders", {"orderId": str(2**63)}, -1108),
    ],
)
def test_a_bad_question_has_its_error(
    traded: Traded, path: str, more: dict[str, object], code: int
) -> None:
    answer = traded.maker.call("GET", path, symbol="ETHUSDT", **more)

    assert (answer.status, answer.body["code"]) == (400, code)


def test_an_account_lists_its_balances(traded: Traded) -> None:
    whole = own(traded.taker, "account")
    held = own(traded.taker, "account", omitZeroBalances="true")

    assert [one["asset"] for one in whole["balances"]] == ["BTC", "ETH", "SOL", "USDC", "USDT"]
    assert [one["asset"] for one in held["balances"]] == ["ETH", "USDT"]
    assert held["makerCommission"] == 10
    assert held["commissionRates"]["taker"] == "0.00100000"
    assert held["permissions"] == ["SPOT"]
    assert traded.began <= held["updateTime"] <= time.time_ns() // 1_000_000
    maker = own(traded.maker, "account", omitZeroBalances="true")["balances"]
    assert maker[0] == {"asset": "ETH", "free": "97.24975000", "locked": "0.50000000"}


def test_open_orders_are_those_that_can_still_trade(traded: Traded) -> None:
    orders = own(traded.maker, "openOrders")

    assert [(one["side"], one["price"][:4]) for one in orders] == [
        ("SELL", "2002"),
        ("BUY", "1990"),
    ]
    assert own(traded.maker, "openOrders", symbol="BTCUSDT") == []
