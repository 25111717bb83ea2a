"""Payloads, field by field, in the documented order."""

import json
from typing import Any

import msgspec
import pytest
from made_outcomes import BTCUSDT, START, UNIT, trade

from exchange.backend import formats
from exchange.services.aggregates import aggregate
from exchange.services.candles import HOUR, MINUTE, Candle, Interval, flat, fold_trades
from exchange.services.market_view import Ticker
from exchange.services.markets import Market
from exchange.services.orders import Side
from exchange.websocket.events import (
    Form,
    Message,
    aggregate_trade_message,
    array_message,
    average_price_message,
    book_ticker_message,
    depth_message,
    kline_message,
    mini_ticker_message,
    partial_depth_message,
    ticker_message,
    trade_message,
    window_ticker_message,
)
from exchange.websocket.streams import Window

RAW = Form()
COMBINED = Form(combined=True)
MICROSECONDS = Form(time_unit=1)
START_MS = START // 1_000


def payload(message: Message, form: Form = RAW) -> Any:
    return json.loads(message.text("a@b", form))


def fields(message: Message) -> str:
    """The names in their order, those of an inner object in braces."""

    def of(value: dict[str, Any]) -> str:
        inner = (
            f"{name}{{{of(one)}}}" if isinstance(one, dict) else name for name, one in value.items()
        )
        return " ".join(inner)

    return of(payload(message))


def candle(interval: Interval = Interval.MINUTE_1) -> Candle:
    trades = [
        trade(7, 60_000 * UNIT, UNIT // 2, START + 1),
        trade(8, 50_000 * UNIT, UNIT, START + 2, side=Side.SELL),
        trade(9, 55_000 * UNIT, UNIT // 4, START + 3),
    ]
    (found,) = fold_trades(trades, interval)
    return found


TICKER = Ticker(
    symbol="BTCUSDT",
    open_time=START - HOUR,
    close_time=START + 5_678,
    price_change=-15 * UNIT,
    price_change_percent=-1_500,
    weighted_average_price=990 * UNIT,
    previous_close_price=999 * UNIT,
    last_price=985 * UNIT,
    last_quantity=UNIT // 10,
    bid=(984 * UNIT, UNIT),
    ask=None,
    open_price=1_000 * UNIT,
    high_price=1_001 * UNIT,
    low_price=900 * UNIT,
    volume=12 * UNIT,
    quote_volume=11_880 * UNIT,
    first_trade_id=3,
    last_trade_id=14,
    trades=12,
)


def test_fields_stand_in_the_documented_order() -> None:
    best = (UNIT, UNIT)
    (bought,) = aggregate([trade(1, UNIT, UNIT, START)])
    expected = {
        "e E s t p q T m M": trade_message(BTCUSDT, trade(1, UNIT, UNIT, START), START),
        "e E s a p q f l T m M": aggregate_trade_message(BTCUSDT, bought, START),
        "e E s k{t T s i f L o c h l v n x q V Q B}": kline_message(
            BTCUSDT, candle(), 0, START, is_closed=False
        ),
        "e E s c o h l v q": mini_ticker_message(BTCUSDT, TICKER, START),
        "e E s p P w x c Q b B a A o h l v q O C F L n": ticker_message(BTCUSDT, TICKER, START),
        "e E s p P o h l c w v q O C F L n": window_ticker_message(
            BTCUSDT, TICKER, Window.HOUR_1, START
        ),
        "e E s i w T": average_price_message(BTCUSDT, UNIT, START, START),
        "u s b B a A": book_ticker_message(BTCUSDT, 1, best, best),
        "e E s U u b a": depth_message(
            BTCUSDT, first_update_id=1, last_update_id=1, bids=[best], asks=[], now=START
        ),
        "lastUpdateId bids asks": partial_depth_message(BTCUSDT, 1, [best], [best]),
    }

    for names, message in expected.items():
        assert fields(message) == names


def test_a_trade_tells_who_was_there_first() -> None:
    sold = trade(7, 60_000 * UNIT, UNIT // 2, START + 1_234, side=Side.SELL)

    assert payload(trade_message(BTCUSDT, sold, START + 5_678)) == {
        "e": "trade", "E": START_MS + 5, "s": "BTCUSDT", "t": 7, "p": "60000.00000000",
        "q": "0.50000000", "T": START_MS + 1, "m": True, "M": True,
    }  # fmt: skip
    bought = trade(8, UNIT, UNIT, START)
    assert payload(trade_message(BTCUSDT, bought, START))["m"] is False


def test_an_aggregate_has_the_id_of_its_first_trade() -> None:
    trades = [trade(id, UNIT, id, START, side=Side.SELL) for id in (5, 6, 7)]
    (sold,) = aggregate(trades)

    assert payload(aggregate_trade_message(BTCUSDT, sold, START + 2_000)) == {
        "e": "aggTrade", "E": START_MS + 2, "s": "BTCUSDT", "a": 5, "p": "1.00000000",
        "q": "0.00000018", "f": 5, "l": 7, "T": START_MS, "m": True, "M": True,
    }  # fmt: skip


def test_a_kline_has_a_candle_in_it() -> None:
    message = kline_message(BTCUSDT, candle(), 0, START + 5_678, is_closed=False)

    assert payload(message) == {
        "e": "kline", "E": START_MS + 5, "s": "BTCUSDT",
        "k": {
            "t": START_MS, "T": START_MS + 59_999, "s": "BTCUSDT", "i": "1m", "f": 7, "L": 9,
            "o": "60000.00000000", "c": "55000.00000000", "h": "60000.00000000",
            "l": "50000.00000000", "v": "1.75000000", "n": 3, "x": False,
            "q": "93750.00000000", "V": "0.75000000", "Q": "43750.00000000", "B": "0",
        },
    }  # fmt: skip


def test_a_candle_without_trades_has_their_ids_at_minus_one() -> None:
    quiet = flat("BTCUSDT", Interval.SECOND_1, START, UNIT)

    told = payload(kline_message(BTCUSDT, quiet, 0, START, is_closed=True))["k"]

    assert (told["f"], told["L"], told["n"], told["v"]) == (-1, -1, 0, "0.00000000")
    assert (told["o"], told["c"], told["x"]) == ("1.00000000", "1.00000000", True)


def test_a_candle_of_a_time_zone_closes_there() -> None:
    opened = START - START % (24 * HOUR) - 8 * HOUR
    day = flat("BTCUSDT", Interval.DAY_1, opened, UNIT)

    told = payload(kline_message(BTCUSDT, day, 8 * HOUR, START, is_closed=False))["k"]

    assert told["T"] - told["t"] == 24 * 3_600_000 - 1


def test_tickers_tell_the_same_day_in_full_and_in_short() -> None:
    short = payload(mini_ticker_message(BTCUSDT, TICKER, START + 5_678))
    full = payload(ticker_message(BTCUSDT, TICKER, START + 5_678))

    assert short == {
        "e": "24hrMiniTicker", "E": START_MS + 5, "s": "BTCUSDT", "c": "985.00000000",
        "o": "1000.00000000", "h": "1001.00000000", "l": "900.00000000", "v": "12.00000000",
        "q": "11880.00000000",
    }  # fmt: skip
    assert full == short | {
        "e": "24hrTicker", "p": "-15.00000000", "P": "-1.500", "w": "990.00000000",
        "x": "999.00000000", "Q": "0.10000000", "b": "984.00000000", "B": "1.00000000",
        "a": "0.00000000", "A": "0.00000000", "O": START_MS - 3_600_000, "C": START_MS + 5,
        "F": 3, "L": 14, "n": 12,
    }  # fmt: skip


@pytest.mark.parametrize("window", list(Window))
def test_the_ticker_of_a_window_says_which(window: Window) -> None:
    full = payload(ticker_message(BTCUSDT, TICKER, START))

    told = payload(window_ticker_message(BTCUSDT, TICKER, window, START))

    assert told == {
        name: value for name, value in full.items() if name not in ("x", "Q", "b", "B", "a", "A")
    } | {"e": f"{window}Ticker"}


def test_a_market_that_never_traded_has_zeros_and_no_trade_ids() -> None:
    never = msgspec.structs.replace(
        TICKER, previous_close_price=None, first_trade_id=None, last_trade_id=None, trades=0
    )

    told = payload(ticker_message(BTCUSDT, never, START))

    assert (told["x"], told["F"], told["L"], told["n"]) == ("0.00000000", -1, -1, 0)


def test_an_average_price_says_of_how_many_minutes_it_is() -> None:
    market = msgspec.structs.replace(BTCUSDT, average_price_minutes=7)

    assert payload(average_price_message(market, 3 * UNIT, START, START + MINUTE)) == {
        "e": "avgPrice", "E": START_MS + 60_000, "s": "BTCUSDT", "i": "7m", "w": "3.00000000",
        "T": START_MS,
    }  # fmt: skip


def test_an_array_holds_what_its_markets_say() -> None:
    messages = [mini_ticker_message(BTCUSDT, TICKER, START) for _ in range(2)]

    assert payload(array_message(messages), MICROSECONDS) == [
        payload(message, MICROSECONDS) for message in messages
    ]


def test_times_come_in_the_unit_that_was_asked_for() -> None:
    message = trade_message(BTCUSDT, trade(1, UNIT, UNIT, START + 1), START + 2)
    kline = kline_message(BTCUSDT, candle(), 0, START + 5, is_closed=False)

    assert payload(message, MICROSECONDS) == payload(message) | {"E": START + 2, "T": START + 1}
    told = payload(kline, MICROSECONDS)
    assert (told["E"], told["k"]["t"], told["k"]["T"]) == (START + 5, START, START + MINUTE - 1)
    ticker = payload(ticker_message(BTCUSDT, TICKER, START), MICROSECONDS)
    assert (ticker["O"], ticker["C"]) == (START - HOUR, START + 5_678)


def test_a_level_that_is_gone_has_exactly_this_quantity() -> None:
    odd = Market(
        symbol="BTCUSDT", base="BTC", quote="USDT", base_decimals=4, quote_decimals=2, tick=1,
        lot=1, price_max=10**9, quantity_min=1, quantity_max=10**9, notional_min=0,
        notional_max=10**18,
    )  # fmt: skip

    message = depth_message(
        odd, first_update_id=3, last_update_id=9, bids=[(12_345, 0), (12_344, 50_000)], asks=[],
        now=START,
    )  # fmt: skip

    assert payload(message) == {
        "e": "depthUpdate", "E": START_MS, "s": "BTCUSDT", "U": 3, "u": 9,
        "b": [["123.45", "0.00000000"], ["123.44", "5.0000"]], "a": [],
    }  # fmt: skip


def test_partial_depth_has_neither_symbol_nor_time() -> None:
    message = partial_depth_message(BTCUSDT, 4, [(UNIT, 2)], [(2 * UNIT, 1)])

    assert payload(message) == {
        "lastUpdateId": 4, "bids": [["1.00000000", "0.00000002"]],
        "asks": [["2.00000000", "0.00000001"]],
    }  # fmt: skip


def test_an_empty_side_of_the_best_prices_is_zero() -> None:
    message = book_ticker_message(BTCUSDT, 4, None, (2 * UNIT, UNIT))

    assert payload(message) == {
        "u": 4, "s": "BTCUSDT", "b": "0.00000000", "B": "0.00000000", "a": "2.00000000",
        "A": "1.00000000",
    }  # fmt: skip


def test_the_envelope_names_the_stream_as_its_listener_does() -> None:
    message = partial_depth_message(BTCUSDT, 4, [], [])

    assert json.loads(message.text("btcusdt@depth5@1000ms", COMBINED)) == {
        "stream": "btcusdt@depth5@1000ms", "data": payload(message)
    }  # fmt: skip


def test_a_message_is_written_once_for_each_unit_of_time() -> None:
    written: list[int] = []

    def write(time_unit: int) -> bytes:
        written.append(time_unit)
        return b"{}"

    message = Message(write)
    for form in (RAW, COMBINED, MICROSECONDS, RAW, Form(combined=True, time_unit=1)):
        message.text("a@b", form)

    assert written == [1_000, 1]


def test_streams_and_rest_write_the_same_numbers() -> None:
    ms = formats.TimeUnit.MILLISECOND
    rest = formats.full_ticker(BTCUSDT, TICKER, ms)
    told = payload(ticker_message(BTCUSDT, TICKER, START))
    letters = {
        "priceChange": "p", "priceChangePercent": "P", "weightedAvgPrice": "w",
        "prevClosePrice": "x", "lastPrice": "c", "lastQty": "Q", "bidPrice": "b", "bidQty": "B",
        "askPrice": "a", "askQty": "A", "openPrice": "o", "highPrice": "h", "lowPrice": "l",
        "volume": "v", "quoteVolume": "q", "openTime": "O", "closeTime": "C", "firstId": "F",
        "lastId": "L", "count": "n", "symbol": "s",
    }  # fmt: skip
    assert {name: told[letters[name]] for name in rest} == rest

    kline = payload(kline_message(BTCUSDT, candle(), 0, START, is_closed=True))["k"]
    assert [kline[letter] for letter in "tohlcvTqnVQB"] == formats.kline(BTCUSDT, candle(), 0, ms)

    (bought,) = aggregate([trade(1, UNIT, UNIT, START)])
    event = payload(aggregate_trade_message(BTCUSDT, bought, START))
    assert event == formats.aggregate_trade(BTCUSDT, bought, ms) | {
        "e": "aggTrade", "E": START_MS, "s": "BTCUSDT"
    }  # fmt: skip
