"""Names and payloads of streams."""

import json

import pytest
from made_outcomes import BTCUSDT, START, UNIT, trade

from exchange.services.markets import Market
from exchange.services.orders import Side
from exchange.websocket.streams import (
    Event,
    Form,
    Kind,
    Speed,
    Stream,
    book_ticker_event,
    depth_event,
    market_streams,
    parse_stream,
    partial_depth_event,
    trade_event,
)

RAW = Form()
COMBINED = Form(combined=True)
MICROSECONDS = Form(time_unit=1)


@pytest.mark.parametrize(
    ("name", "kind", "speed", "levels"),
    [
        ("btcusdt@trade", Kind.TRADE, None, 0),
        ("btcusdt@bookTicker", Kind.BOOK_TICKER, None, 0),
        ("btcusdt@depth", Kind.DEPTH, Speed.SLOW, 0),
        ("btcusdt@depth@1000ms", Kind.DEPTH, Speed.SLOW, 0),
        ("btcusdt@depth@100ms", Kind.DEPTH, Speed.FAST, 0),
        ("btcusdt@depth5", Kind.PARTIAL_DEPTH, Speed.SLOW, 5),
        ("btcusdt@depth10@1000ms", Kind.PARTIAL_DEPTH, Speed.SLOW, 10),
        ("btcusdt@depth20@100ms", Kind.PARTIAL_DEPTH, Speed.FAST, 20),
    ],
)
def test_a_name_is_read(name: str, kind: Kind, speed: Speed | None, levels: int) -> None:
    stream = parse_stream(name)

    assert stream is not None
    assert (stream.symbol, stream.kind, stream.levels) == ("BTCUSDT", kind, levels)
    assert speed is None or stream.speed is speed
    assert name in stream.names


@pytest.mark.parametrize(
    "name",
    [
        "", "0", "@", "@trade", "btcusdt", "btcusdt@", "btcusdt@kline_1m", "btcusdt@ticker",
        "!miniTicker@arr", "BTCUSDT@trade", "btcusdt@Trade", "btcusdt@bookticker",
        "btcusdt@depth@200ms", "btcusdt@depth7", "btcusdt@depth5@", "btcusdt@trade@100ms",
        "btcusdt@trade ", "btcusdt@@trade",
    ],
)  # fmt: skip
def test_what_is_no_stream_of_ours_is_none(name: str) -> None:
    assert parse_stream(name) is None


def test_every_stream_of_a_market_is_found_under_each_of_its_names() -> None:
    for stream in market_streams("BTCUSDT"):
        assert {parse_stream(name) for name in stream.names} == {stream}


def stream(name: str) -> Stream:
    found = parse_stream(name)
    assert found is not None
    return found


def payload(event: Event, form: Form = RAW) -> object:
    return json.loads(event.text(event.stream.names[0], form))


def test_a_trade_tells_who_was_there_first() -> None:
    sold = trade(7, 60_000 * UNIT, UNIT // 2, START + 1_234, side=Side.SELL)

    event = trade_event(stream("btcusdt@trade"), BTCUSDT, sold, START + 5_678)

    assert payload(event) == {
        "e": "trade", "E": START // 1_000 + 5, "s": "BTCUSDT", "t": 7, "p": "60000.00000000",
        "q": "0.50000000", "T": START // 1_000 + 1, "m": True, "M": True,
    }  # fmt: skip
    bought = trade(8, UNIT, UNIT, START)
    assert b'"m":false' in trade_event(stream("btcusdt@trade"), BTCUSDT, bought, START).text(
        "btcusdt@trade", RAW
    )


def test_times_come_in_the_unit_that_was_asked_for() -> None:
    event = trade_event(
        stream("btcusdt@trade"), BTCUSDT, trade(1, UNIT, UNIT, START + 1), START + 2
    )

    assert payload(event, MICROSECONDS) == {
        **json.loads(event.text("btcusdt@trade", RAW)), "E": START + 2, "T": START + 1
    }  # fmt: skip


def test_a_level_that_is_gone_has_exactly_this_quantity() -> None:
    odd = Market(
        symbol="BTCUSDT", base="BTC", quote="USDT", base_decimals=4, quote_decimals=2, tick=1,
        lot=1, price_max=10**9, quantity_min=1, quantity_max=10**9, notional_min=0,
        notional_max=10**18,
    )  # fmt: skip

    event = depth_event(
        stream("btcusdt@depth"), odd, first_update_id=3, last_update_id=9,
        bids=[(12_345, 0), (12_344, 50_000)], asks=[], now=START,
    )  # fmt: skip

    assert payload(event) == {
        "e": "depthUpdate", "E": START // 1_000, "s": "BTCUSDT", "U": 3, "u": 9,
        "b": [["123.45", "0.00000000"], ["123.44", "5.0000"]], "a": [],
    }  # fmt: skip


def test_partial_depth_has_neither_symbol_nor_time() -> None:
    event = partial_depth_event(stream("btcusdt@depth5"), BTCUSDT, 4, [(UNIT, 2)], [(2 * UNIT, 1)])

    assert payload(event) == {
        "lastUpdateId": 4, "bids": [["1.00000000", "0.00000002"]],
        "asks": [["2.00000000", "0.00000001"]],
    }  # fmt: skip


def test_an_empty_side_of_the_best_prices_is_zero() -> None:
    event = book_ticker_event(stream("btcusdt@bookTicker"), BTCUSDT, 4, None, (2 * UNIT, UNIT))

    assert payload(event) == {
        "u": 4, "s": "BTCUSDT", "b": "0.00000000", "B": "0.00000000", "a": "2.00000000",
        "A": "1.00000000",
    }  # fmt: skip


def test_the_envelope_names_the_stream_as_its_listener_does() -> None:
    event = partial_depth_event(stream("btcusdt@depth5"), BTCUSDT, 4, [], [])

    assert json.loads(event.text("btcusdt@depth5@1000ms", COMBINED)) == {
        "stream": "btcusdt@depth5@1000ms", "data": payload(event)
    }  # fmt: skip
