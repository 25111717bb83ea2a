"""Streams that speak at intervals: when they have something to say, and what."""

import json
from typing import Any

import pytest
from made_outcomes import MARKETS, START, UNIT, MadeMarket, outcome, trade, views

from exchange.services.candles import DAY, HOUR, MINUTE, SECOND, Interval
from exchange.services.messages import OutcomeFrame
from exchange.services.orders import Side
from exchange.services.rows import Counters
from exchange.websocket.events import Event, Form
from exchange.websocket.feeds import Feeds
from exchange.websocket.streams import Speed, Stream, parse_stream
from exchange.websocket.voices import GRACE

SLOW = [speed for speed in Speed if speed is not Speed.FAST]


class Exchange:
    """Feeds with their clock in the test's hand; one market trades, one only when told to."""

    def __init__(self) -> None:
        self.feeds = Feeds(views(*MARKETS), START)
        self.number = 0
        self.counters = {market.symbol: Counters(symbol=market.symbol) for market in MARKETS}

    def trade(self, price: int, time: int, symbol: str = "BTCUSDT", quantity: int = UNIT) -> None:
        known = self.counters[symbol]
        made = trade(known.trade_id + 1, price * UNIT, quantity, time, symbol=symbol)
        self.counters[symbol] = Counters(
            symbol=symbol,
            trade_id=made.id,
            update_id=known.update_id,
            last_price=made.price,
        )
        self._apply(made, self.counters[symbol])

    def _apply(self, *rows: Any) -> None:
        self.number += 1
        one = outcome(self.number, *rows)
        self.feeds.apply(
            OutcomeFrame(
                epoch=1, previous=self.number - 1, time=START, state_hash=0, outcomes=(one,)
            ),
            START,
        )

    def listen(self, name: str, now: int) -> Any:
        """What a new listener is told at once."""
        stream = parse_stream(name)
        assert stream is not None
        self.feeds.want(stream, now)
        event = self.feeds.start(stream, now)
        return None if event is None else text(event)

    def at(self, now: int, *speeds: Speed) -> list[Any]:
        return [text(event) for event in self.feeds.tick(speeds or SLOW, now)]


def text(event: Event) -> Any:
    return json.loads(event.message.text("", Form()))


def candles(events: list[Any]) -> list[tuple[int, str, int, bool]]:
    """When they open after START in seconds, their last price, number of trades, and closedness."""
    return [
        (one["k"]["t"] // 1_000 - START // SECOND, one["k"]["c"][:-9], one["k"]["n"], one["k"]["x"])
        for one in events
    ]


@pytest.fixture
def exchange() -> Exchange:
    exchange = Exchange()
    exchange.trade(100, START)
    return exchange


# --- Klines ---


def test_a_candle_is_told_when_it_changed(exchange: Exchange) -> None:
    started = exchange.listen("btcusdt@kline_1m", START)
    assert candles([started]) == [(0, "100", 1, False)]
    exchange.at(START + SECOND)

    exchange.trade(101, START + SECOND)
    exchange.trade(102, START + SECOND + 1)

    assert candles(exchange.at(START + 2 * SECOND)) == [(0, "102", 3, False)]
    assert exchange.at(START + 4 * SECOND) == []


def test_a_candle_is_closed_once_shortly_after_its_end(exchange: Exchange) -> None:
    exchange.listen("btcusdt@kline_1m", START)
    exchange.at(START)
    exchange.trade(101, START + 59 * SECOND)
    end = START + MINUTE

    assert exchange.at(end) == []
    assert exchange.at(end + 100_000, Speed.FAST) == []
    closed = exchange.at(end + GRACE, Speed.FAST)
    assert candles(closed) == [(0, "101", 2, True)]
    assert closed[0]["E"] > closed[0]["k"]["T"]
    assert exchange.at(end + 300_000, Speed.FAST) == []


def test_trades_that_were_on_their_way_are_in_the_closed_candle(exchange: Exchange) -> None:
    exchange.listen("btcusdt@kline_1m", START)
    exchange.at(START)
    end = START + MINUTE

    assert exchange.at(end) == []
    exchange.trade(102, end + 1_000)
    exchange.trade(101, end - 1_000)

    assert candles(exchange.at(end + GRACE, Speed.FAST)) == [(0, "101", 2, True)]
    assert candles(exchange.at(end + 2 * SECOND)) == [(60, "102", 1, False)]


def test_a_trade_that_comes_later_still_tells_its_candle_again(exchange: Exchange) -> None:
    exchange.listen("btcusdt@kline_1m", START)
    end = START + MINUTE
    exchange.at(end + GRACE)
    exchange.at(end + 2 * SECOND)

    exchange.trade(103, end - 1)

    assert candles(exchange.at(end + 4 * SECOND)) == [(0, "103", 2, True)]


def test_a_quiet_candle_begins_and_ends_at_the_last_price(exchange: Exchange) -> None:
    exchange.listen("btcusdt@kline_1m", START)
    heard = []

    for tenth in range(1, 1_300):
        now = START + tenth * 100_000
        heard += exchange.at(now, *(one for one in Speed if now // 1_000 % one == 0))

    assert candles(heard) == [
        (0, "100", 1, False), (0, "100", 1, True),
        (60, "100", 0, False), (60, "100", 0, True),
        (120, "100", 0, False),
    ]  # fmt: skip
    assert heard[-1]["k"]["v"] == "0.00000000"


def test_every_second_has_its_candle_told_once_closed(exchange: Exchange) -> None:
    exchange.at(START + 100_000, Speed.FAST)
    assert candles([exchange.listen("btcusdt@kline_1s", START + 100_000)]) == [(0, "100", 1, False)]
    heard = []

    for tenth in range(2, 45):
        now = START + tenth * 100_000
        if tenth in (13, 17):
            exchange.trade(tenth, now)
        heard += exchange.at(now, *(one for one in Speed if now // 1_000 % one == 0))

    assert candles(heard) == [
        (0, "100", 1, True), (1, "17", 2, True), (2, "17", 0, True), (3, "17", 0, True)
    ]  # fmt: skip


def test_after_a_pause_no_candle_is_left_out(exchange: Exchange) -> None:
    exchange.listen("btcusdt@kline_1m", START)
    exchange.trade(101, START + 3 * MINUTE)

    heard = exchange.at(START + 4 * MINUTE + 5 * SECOND, Speed.FAST)

    assert candles(heard) == [
        (0, "100", 1, True), (60, "100", 0, True), (120, "100", 0, True), (180, "101", 1, True)
    ]  # fmt: skip


def test_a_market_without_trades_has_no_candles(exchange: Exchange) -> None:
    assert exchange.listen("ethusdt@kline_1m", START) is None

    assert exchange.at(START + 5 * MINUTE) == []


@pytest.mark.parametrize("interval", list(Interval))
def test_every_interval_tells_a_trade_at_its_own_pace(
    exchange: Exchange, interval: Interval
) -> None:
    exchange.at(START)
    for zone in ("", "@+08:00"):
        exchange.listen(f"btcusdt@kline_{interval}{zone}", START)
    exchange.trade(101, START + 300_000)

    slow = exchange.at(START + 999_000, Speed.SLOW)
    slower = exchange.at(START + 999_001, Speed.SLOWER)

    told, other = (slow, slower) if interval is Interval.SECOND_1 else (slower, slow)
    assert {(one["k"]["i"], one["k"]["n"], one["k"]["x"]) for one in told} == {
        (interval.value, 2, False)
    }
    assert other == []


def test_a_day_opens_in_its_time_zone(exchange: Exchange) -> None:
    here = exchange.listen("btcusdt@kline_1d", START)["k"]["t"]
    there = exchange.listen("btcusdt@kline_1d@+08:00", START)["k"]["t"]

    assert here % (DAY // 1_000) == 0
    assert there % (DAY // 1_000) == 16 * HOUR // 1_000


# --- Tickers, average price ---


STATES = [
    "btcusdt@miniTicker", "btcusdt@ticker", "btcusdt@ticker_1h", "btcusdt@ticker_4h",
    "btcusdt@ticker_1d", "btcusdt@avgPrice",
]  # fmt: skip


@pytest.mark.parametrize("name", STATES)
def test_a_state_is_told_at_once_and_when_it_changed(exchange: Exchange, name: str) -> None:
    started = exchange.listen(name, START + SECOND)
    assert started["E"] == START // 1_000 + 1_000

    assert exchange.at(START + 2 * SECOND) == []
    exchange.trade(110, START + 2 * SECOND)
    (told,) = exchange.at(START + 3 * SECOND)

    assert told["E"] == START // 1_000 + 3_000
    assert told.keys() == started.keys()
    assert told.get("c", told.get("w"))[:3] in ("110", "105")
    assert exchange.at(START + 4 * SECOND) == []


@pytest.mark.parametrize("name", STATES)
def test_a_state_changes_by_itself_when_trades_grow_old(exchange: Exchange, name: str) -> None:
    exchange.trade(110, START + 2 * MINUTE)
    exchange.listen(name, START + 2 * MINUTE)
    heard = []

    for minute in range(3, 1_500):
        heard += exchange.at(START + minute * MINUTE)

    # First the one trade leaves the window, then the other, which is the last price anyway.
    assert len(heard) == (1 if name.endswith("avgPrice") else 2)


def test_the_best_prices_are_in_the_full_ticker_alone() -> None:
    feeds, market = Feeds(views(*MARKETS), START), MadeMarket()
    for name in STATES:
        stream = parse_stream(name)
        assert stream is not None
        feeds.want(stream, START)

    feeds.apply(market.frame((Side.BUY, UNIT, UNIT)), START)

    (event,) = feeds.tick(SLOW, START + SECOND)
    assert event.stream.names == ("btcusdt@ticker",)
    assert text(event)["b"] == "1.00000000"


def test_the_windows_reach_back_as_far_as_they_say(exchange: Exchange) -> None:
    now = START + 90 * MINUTE + 30 * SECOND
    hour = exchange.listen("btcusdt@ticker_1h", now)
    four = exchange.listen("btcusdt@ticker_4h", now)

    assert (hour["n"], four["n"]) == (0, 1)
    assert (hour["F"], hour["c"], hour["o"]) == (-1, four["c"], four["c"])
    assert hour["O"] == (START + 30 * MINUTE) // 1_000
    assert four["C"] == now // 1_000


# --- Arrays ---


@pytest.mark.parametrize(
    "name", ["!miniTicker@arr", "!ticker@arr", "!ticker_1h@arr", "!ticker_4h@arr", "!ticker_1d@arr"]
)
def test_an_array_has_the_markets_that_changed_and_is_not_sent_without_any(
    exchange: Exchange, name: str
) -> None:
    assert exchange.listen(name, START) is None
    assert exchange.at(START + SECOND) == []

    exchange.trade(10, START + SECOND, "ETHUSDT")
    (told,) = exchange.at(START + 2 * SECOND)
    assert [one["s"] for one in told] == ["ETHUSDT"]
    assert exchange.at(START + 3 * SECOND) == []

    exchange.trade(11, START + 3 * SECOND, "ETHUSDT")
    exchange.trade(99, START + 3 * SECOND)
    (told,) = exchange.at(START + 4 * SECOND)
    assert {one["s"]: one["c"][:2] for one in told} == {"ETHUSDT": "11", "BTCUSDT": "99"}


def test_an_array_says_the_same_as_the_streams_of_its_markets(exchange: Exchange) -> None:
    exchange.listen("!ticker@arr", START)
    exchange.listen("btcusdt@ticker", START)
    exchange.trade(105, START + SECOND)

    alone, (in_array,) = sorted(exchange.at(START + 2 * SECOND), key=lambda one: type(one) is list)

    assert alone == in_array


def test_a_slower_array_tells_at_its_own_pace_what_changed_meanwhile(exchange: Exchange) -> None:
    exchange.listen("!miniTicker@arr@3000ms", START)
    exchange.trade(105, START)
    assert exchange.at(START + SECOND, Speed.SLOW) == []
    exchange.trade(10, START + SECOND, "ETHUSDT")

    (told,) = exchange.at(START + 3 * SECOND, Speed.SLOW, Speed.SLOWEST)

    assert {one["s"] for one in told} == {"BTCUSDT", "ETHUSDT"}


def test_a_market_that_is_added_joins_the_array_when_it_changes() -> None:
    exchange = Exchange()
    exchange.feeds = Feeds(views(), START)
    exchange.listen("!miniTicker@arr", START)
    exchange._apply(MARKETS[0], exchange.counters[MARKETS[0].symbol])
    assert exchange.at(START) == []

    exchange.trade(5, START, MARKETS[0].symbol)

    (told,) = exchange.at(START + SECOND)
    assert [(one["s"], one["c"][0]) for one in told] == [(MARKETS[0].symbol, "5")]


def test_markets_that_nobody_listens_to_are_not_looked_at(exchange: Exchange) -> None:
    stream: Stream | None = parse_stream("btcusdt@ticker")
    assert stream is not None
    exchange.feeds.want(stream, START)

    exchange.trade(10, START, "ETHUSDT")
    exchange.at(START + SECOND)

    assert exchange.feeds._states["ETHUSDT"]._known == {}
