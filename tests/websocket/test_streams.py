"""Names of streams: which there are, and how fast each speaks."""

import pytest

from exchange.services.candles import HOUR, MINUTE, Interval, open_time
from exchange.websocket.streams import (
    ALL,
    Kind,
    Speed,
    Window,
    array_streams,
    market_streams,
    parse_stream,
)


@pytest.mark.parametrize(
    ("name", "kind", "speed"),
    [
        ("btcusdt@trade", Kind.TRADE, None),
        ("btcusdt@aggTrade", Kind.AGGREGATE_TRADE, None),
        ("btcusdt@bookTicker", Kind.BOOK_TICKER, None),
        ("btcusdt@avgPrice", Kind.AVERAGE_PRICE, 1_000),
        ("btcusdt@miniTicker", Kind.MINI_TICKER, 1_000),
        ("btcusdt@ticker", Kind.TICKER, 1_000),
        ("btcusdt@ticker_1h", Kind.WINDOW_TICKER, 1_000),
        ("btcusdt@kline_1s", Kind.KLINE, 1_000),
        ("btcusdt@kline_1m", Kind.KLINE, 2_000),
        ("btcusdt@kline_1M@+08:00", Kind.KLINE, 2_000),
        ("btcusdt@depth", Kind.DEPTH, 1_000),
        ("btcusdt@depth@1000ms", Kind.DEPTH, 1_000),
        ("btcusdt@depth@100ms", Kind.DEPTH, 100),
        ("btcusdt@depth5", Kind.PARTIAL_DEPTH, 1_000),
        ("btcusdt@depth10@1000ms", Kind.PARTIAL_DEPTH, 1_000),
        ("btcusdt@depth20@100ms", Kind.PARTIAL_DEPTH, 100),
        ("!miniTicker@arr", Kind.MINI_TICKER, 1_000),
        ("!miniTicker@arr@1000ms", Kind.MINI_TICKER, 1_000),
        ("!miniTicker@arr@3000ms", Kind.MINI_TICKER, 3_000),
        ("!ticker@arr", Kind.TICKER, 1_000),
        ("!ticker_1h@arr", Kind.WINDOW_TICKER, 1_000),
        ("!ticker_1d@arr", Kind.WINDOW_TICKER, 1_000),
    ],
)
def test_a_name_is_read(name: str, kind: Kind, speed: int | None) -> None:
    stream = parse_stream(name)

    assert stream is not None
    assert (stream.kind, stream.speed) == (kind, speed)
    assert stream.symbol == (ALL if name.startswith("!") else "BTCUSDT")
    assert name in stream.names


@pytest.mark.parametrize(
    "name",
    [
        "", "0", "@", "@trade", "btcusdt", "btcusdt@", "BTCUSDT@trade", "btcusdt@Trade",
        "btcusdt@bookticker", "btcusdt@depth@200ms", "btcusdt@depth7", "btcusdt@depth5@",
        "btcusdt@trade@100ms", "btcusdt@trade ", "btcusdt@@trade", "btcusdt@kline", "btcusdt@kline_",
        "btcusdt@kline_7m", "btcusdt@kline_1m@", "btcusdt@kline_1m@+09:00", "btcusdt@kline_1m@ 08:00",
        "btcusdt@ticker_2h", "btcusdt@miniTicker@arr", "!miniTicker", "!miniTicker@arr@500ms",
        "!trade@arr", "!ticker_2h@arr", "btcusdt@aggtrade", "!", "!@arr",
    ],
)  # fmt: skip
def test_what_is_no_stream_of_ours_is_none(name: str) -> None:
    assert parse_stream(name) is None


def test_every_stream_is_found_under_each_of_its_names() -> None:
    for stream in (*market_streams("BTCUSDT"), *array_streams()):
        assert {parse_stream(name) for name in stream.names} == {stream}


def test_no_name_means_two_streams() -> None:
    names = [name for one in (*market_streams("BTCUSDT"), *array_streams()) for name in one.names]

    assert len(set(names)) == len(names)


def test_every_interval_has_a_stream_in_both_time_zones() -> None:
    for interval in Interval:
        here = parse_stream(f"btcusdt@kline_{interval}")
        there = parse_stream(f"btcusdt@kline_{interval}@+08:00")

        assert here is not None
        assert there is not None
        assert here.interval is there.interval is interval
        for hours in range(24):
            time = 500_000 * HOUR + hours * HOUR + 7 * MINUTE
            opened = open_time(interval, time, 8 * HOUR)
            assert open_time(interval, time, there.offset) == opened
            assert open_time(interval, time, here.offset) == open_time(interval, time)


def test_windows_are_as_wide_as_they_say() -> None:
    assert [window.width for window in Window] == [HOUR, 4 * HOUR, 24 * HOUR]


def test_only_whole_states_of_one_market_may_be_skipped_by_slow_readers() -> None:
    skippable = {
        name.partition("@")[2]
        for stream in (*market_streams("BTCUSDT"), *array_streams())
        if stream.is_conflated
        for name in stream.names
    }

    assert skippable == {
        "bookTicker", "avgPrice", "miniTicker", "ticker", "ticker_1h", "ticker_4h", "ticker_1d",
        *(f"depth{levels}{speed}" for levels in (5, 10, 20) for speed in ("", "@100ms", "@1000ms")),
    }  # fmt: skip


def test_speeds_follow_each_other_from_fast_to_slow() -> None:
    assert list(Speed) == sorted(Speed) == [100, 1_000, 2_000, 3_000]
