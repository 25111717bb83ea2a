"""Tickers of every window and in every form, against what was traded."""

import time

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend
from servers import execute_sql

from exchange.services.candles import DAY, HOUR, MINUTE

SYMBOL, QUIET = "SOLUSDC", "BTCUSDT"
PATHS = ("ticker", "ticker/tradingDay")
FULL = [
    "symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "openPrice", "highPrice",
    "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime", "firstId", "lastId",
    "count",
]  # fmt: skip
MINI = [
    "symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume",
    "openTime", "closeTime", "firstId", "lastId", "count",
]  # fmt: skip
UNIT = 10**8


@pytest.fixture(scope="module")
def traded(backend: RunningBackend) -> Trader:
    """One trade of now, and candles of the days before as a db-processor has written them."""
    # A trade of the same minute would be written into the candle that we make.
    buyer, seller = backend.trader(USDC="10000"), backend.trader(SOL="10")
    seller.order("SELL", "2", "100")
    assert buyer.order("BUY", "2", "100").body["status"] == "FILLED"
    now = time.time_ns() // 1_000
    for place, (age, price) in enumerate(
        ((7 * DAY + 2 * MINUTE, 10), (6 * DAY, 20), (2 * DAY + 2 * MINUTE, 30), (DAY + HOUR, 40)), 1
    ):
        _add_candles(backend, now - age, price, trade_id=place - 10)
    return Trader(backend.api)


def _add_candles(backend: RunningBackend, time_us: int, price: int, *, trade_id: int) -> None:
    """A minute and its hour with one trade of 1 SOL."""
    for interval, width in (("1m", MINUTE), ("1h", HOUR)):
        values = [
            time_us - time_us % width, *[price * UNIT] * 4, UNIT, price * UNIT, 1, 0, 0,
            trade_id, trade_id,
        ]  # fmt: skip
        execute_sql(
            backend.database_url,
            f"INSERT INTO candles VALUES ('{SYMBOL}', '{interval}', {', '.join(map(str, values))})",
        )


def fields(answer: Answer) -> tuple[str, str, str, str, int]:
    body = answer.body
    opened, high, low, last = (
        body[name].removesuffix(".00000000")
        for name in ("openPrice", "highPrice", "lowPrice", "lastPrice")
    )
    return opened, high, low, last, body["count"]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ("1m", ("100", "100", "100", "100", 1)),
        ("59m", ("100", "100", "100", "100", 1)),
        ("23h", ("100", "100", "100", "100", 1)),
        ("1d", ("100", "100", "100", "100", 1)),
        ("2d", ("40", "100", "40", "100", 2)),
        ("3d", ("30", "100", "30", "100", 3)),
        ("7d", ("20", "100", "20", "100", 4)),
    ],
)
def test_a_window_holds_what_was_traded_in_it_and_no_more(
    traded: Trader, window: str, expected: tuple[str, str, str, str, int]
) -> None:
    answer = traded.get("ticker", symbol=SYMBOL, windowSize=window)

    # The trade of now may be a minute old by now, and then it is in no window of a minute.
    if window == "1m" and answer.body["count"] == 0:
        expected = (*expected[:4], 0)
    assert fields(answer) == expected


@pytest.mark.parametrize("window", ["1m", "2h", "1d", "7d"])
def test_a_window_opens_on_a_whole_minute_and_ends_now(traded: Trader, window: str) -> None:
    before = time.time_ns() // 1_000_000
    body = traded.get("ticker", symbol=SYMBOL, windowSize=window).body

    width = int(window[:-1]) * {"m": 60_000, "h": 3_600_000, "d": 86_400_000}[window[-1]]
    assert body["openTime"] % 60_000 == 0
    assert width <= body["closeTime"] - body["openTime"] < width + 60_000
    assert before <= body["closeTime"] <= time.time_ns() // 1_000_000


def test_without_a_size_the_window_is_a_day(traded: Trader) -> None:
    body = traded.get("ticker", symbol=SYMBOL).body

    assert 86_400_000 <= body["closeTime"] - body["openTime"] < 86_460_000


@pytest.mark.parametrize(
    "window", ["0m", "60m", "24h", "8d", "1d2h", "1w", "1", "m", "01m", "1M", "-1m"]
)
def test_other_windows_are_refused(traded: Trader, window: str) -> None:
    answer = traded.get("ticker", symbol=SYMBOL, windowSize=window)

    assert answer.error == (400, -1130, "Data sent for parameter 'windowSize' is not valid.")


def test_a_window_is_told_in_microseconds_where_that_is_asked_for(traded: Trader) -> None:
    target = f"/api/v3/ticker?symbol={SYMBOL}&windowSize=2d"

    body = traded.raw("GET", target, X_MBX_TIME_UNIT="MICROSECOND").body

    assert body["openTime"] % MINUTE == 0
    assert body["openTime"] > 10**15


@pytest.mark.parametrize("offset", [0, 8, -12, 14, -3.5])
def test_a_trading_day_is_the_day_that_it_is_in_a_time_zone(traded: Trader, offset: float) -> None:
    hours, minutes = divmod(abs(int(offset * 60)), 60)
    zone = f"{'-' if offset < 0 else ''}{hours}:{minutes:02}"
    shift = int(offset * 3_600_000)

    body = traded.get("ticker/tradingDay", symbol=SYMBOL, timeZone=zone).body

    now = time.time_ns() // 1_000_000
    opened = (now + shift) // 86_400_000 * 86_400_000 - shift
    assert (body["openTime"], body["closeTime"]) == (opened, opened + 86_399_999)
    assert body["lastPrice"] == "100.00000000"


@pytest.mark.parametrize("path", PATHS)
def test_one_symbol_gets_an_object_and_several_a_list(traded: Trader, path: str) -> None:
    one = traded.get(path, symbol=SYMBOL)
    several = traded.get(path, symbols=f'["{QUIET}","{SYMBOL}"]')

    assert list(one.body) == FULL
    assert [body["symbol"] for body in several.body] == [QUIET, SYMBOL]
    assert list(several.body[0]) == FULL


@pytest.mark.parametrize("path", PATHS)
def test_a_mini_ticker_has_less_in_it(traded: Trader, path: str) -> None:
    assert list(traded.get(path, symbol=SYMBOL, type="MINI").body) == MINI
    assert list(traded.get(path, symbols=f'["{SYMBOL}"]', type="FULL").body[0]) == FULL


@pytest.mark.parametrize("path", PATHS)
def test_a_market_that_never_traded_has_zeros(traded: Trader, path: str) -> None:
    body = traded.get(path, symbol=QUIET).body

    names = ("priceChange", "weightedAvgPrice", "openPrice", "lastPrice", "volume", "quoteVolume")
    assert {body[name] for name in names} == {"0.00000000"}
    assert (body["firstId"], body["lastId"], body["count"]) == (-1, -1, 0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({}, (-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")),
        (
            {"symbol": SYMBOL, "symbols": f'["{SYMBOL}"]'},
            (-1128, "Combination of optional parameters invalid."),
        ),
        ({"symbol": "NOSUCH"}, (-1121, "Invalid symbol.")),
        ({"symbols": '["NOSUCH"]'}, (-1121, "Invalid symbol.")),
        (
            {"symbols": f'["{SYMBOL}","{SYMBOL}"]'},
            (-1151, "Symbol is present multiple times in the list."),
        ),
        (
            {"symbols": "[" + ",".join(f'"S{number}"' for number in range(101)) + "]"},
            (-1101, "Too many values sent for parameter 'symbols', maximum allowed up to 100."),
        ),
        ({"symbol": SYMBOL, "type": "SHORT"}, (-1139, "Invalid ticker type.")),
        (
            {"symbol": SYMBOL, "symbolStatus": "HALT"},
            (-1220, "The symbol's status does not match the requested symbolStatus."),
        ),
        ({"symbol": SYMBOL, "symbolStatus": "OPEN"}, (-1122, "Invalid symbolStatus.")),
    ],
)
def test_what_no_ticker_answers(
    traded: Trader, path: str, parameters: dict[str, str], error: tuple[int, str]
) -> None:
    answer = traded.get(path, **parameters)

    assert answer.error == (400, *error)


@pytest.mark.parametrize("path", [*PATHS, "ticker/24hr", "ticker/price", "ticker/bookTicker"])
def test_of_several_markets_those_of_another_status_are_left_out(
    backend: RunningBackend, traded: Trader, path: str
) -> None:
    both = f'["{QUIET}","{SYMBOL}"]'
    assert backend.admin("POST", f"markets/{QUIET}/mode", mode="HALTED").status == 200
    try:
        halted = traded.get(path, symbols=both, symbolStatus="HALT").body
        trading = traded.get(path, symbols=both, symbolStatus="TRADING").body
    finally:
        assert backend.admin("POST", f"markets/{QUIET}/mode", mode="RUNNING").status == 200

    assert [one["symbol"] for one in halted] == [QUIET]
    assert [one["symbol"] for one in trading] == [SYMBOL]


@pytest.mark.parametrize(
    ("path", "symbols", "weight"),
    [
        ("ticker", 1, 4),
        ("ticker", 3, 12),
        ("ticker/tradingDay", 2, 8),
        ("ticker/tradingDay", 60, 200),
        ("ticker", 100, 200),
    ],
)
def test_a_window_weighs_four_for_each_symbol_up_to_two_hundred(
    traded: Trader, path: str, symbols: int, weight: int
) -> None:
    while time.time() % 60 > 57:
        time.sleep(0.1)
    before = int(traded.get("ping").headers["x-mbx-used-weight-1m"])

    listed = ",".join(f'"S{number}"' for number in range(symbols))
    after = int(traded.get(path, symbols=f"[{listed}]").headers["x-mbx-used-weight-1m"])

    assert after - before == weight


def test_charts_get_the_same_candles(traded: Trader) -> None:
    parameters = {"symbol": SYMBOL, "interval": "1d", "timeZone": "+08:00", "limit": 3}

    plain, chart = traded.get("klines", **parameters), traded.get("uiKlines", **parameters)

    assert chart.body == plain.body
    assert chart.body[-1][4] == "100.00000000"


def test_there_are_no_reference_prices_no_block_trades_and_no_allocations(
    backend: RunningBackend, traded: Trader
) -> None:
    owner = backend.trader()
    text = "This symbol doesn't have a reference price."

    assert traded.get("referencePrice", symbol=SYMBOL).error == (400, -2043, text)
    assert traded.get("referencePrice/calculation", symbol=SYMBOL).error == (400, -2043, text)
    assert traded.get("referencePrice", symbol="NOSUCH").error[1] == -1121
    assert traded.get("historicalBlockTrades", symbol=SYMBOL, fromId=1).body == []
    assert traded.get("historicalBlockTrades", symbol=SYMBOL).error[1] == -1102
    assert owner.call("GET", "myAllocations", symbol=SYMBOL).body == []
    assert owner.call("GET", "myAllocations", symbol="NOSUCH").error[1] == -1121
