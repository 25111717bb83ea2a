"""What streams say, by the rule that clients keep their book by."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from made_outcomes import BTCUSDT, START, UNIT, MadeMarket, frame, level, outcome, views

from exchange.services.candles import SECOND
from exchange.services.orders import Side
from exchange.services.rows import Counters
from exchange.websocket.events import Event, Form
from exchange.websocket.feeds import Feeds
from exchange.websocket.streams import (
    DEPTH_SPEEDS,
    Kind,
    Speed,
    Stream,
    market_streams,
    parse_stream,
)

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
def unheard() -> Feeds:
    """Nobody listens yet."""
    return Feeds(views(BTCUSDT), START)


@pytest.fixture
def feeds(unheard: Feeds) -> Feeds:
    """Somebody listens to everything at once and to all depths."""
    want_depths(unheard)
    return unheard


def want_depths(feeds: Feeds) -> None:
    for one in market_streams("BTCUSDT"):
        if one.speed is None or one.kind in (Kind.DEPTH, Kind.PARTIAL_DEPTH):
            feeds.want(one, START)


@pytest.fixture
def market() -> MadeMarket:
    return MadeMarket()


def told(events: list[Event]) -> dict[str, Any]:
    """The payloads by the first name of their stream."""
    return {
        stream.names[0]: json.loads(message.text(stream.names[0], Form()))
        for stream, message in events
    }


def tick(feeds: Feeds, speed: Speed) -> dict[str, Any]:
    return told(feeds.tick([speed], START))


def stream(name: str) -> Stream:
    found = parse_stream(name)
    assert found is not None
    return found


@pytest.mark.parametrize("speed", DEPTH_SPEEDS)
@pytest.mark.parametrize("seed", range(5))
def test_a_book_kept_by_the_published_recipe_is_the_book(
    unheard: Feeds, market: MadeMarket, speed: Speed, seed: int
) -> None:
    chance, feeds = random.Random(seed), unheard
    view = feeds.views.markets["BTCUSDT"]
    depth = stream(f"btcusdt@depth@{speed}ms")
    subscribed, fetched = chance.randrange(20, 60), chance.randrange(60, 90)
    events: list[dict[str, Any]] = []
    snapshot: tuple[int, list[tuple[int, int]], list[tuple[int, int]]] | None = None

    for step in range(150):
        for _ in range(chance.randrange(3)):
            side = chance.choice((BUY, SELL))
            price, quantity = chance.randrange(1, 30) * UNIT, chance.choice((0, 1, 2, 3)) * UNIT
            book = view.bids if side is BUY else view.asks
            changed = book.get(price, 0) != quantity
            changes = [(side, price, quantity)] if changed else []
            feeds.apply(market.frame(*changes), START)
        if step == fetched:
            snapshot = view.depth(1_000)
        if step % 4 == 3:
            events += tick(feeds, speed).values()
        if step == subscribed:
            feeds.want(depth, START)
    events += tick(feeds, speed).values()

    assert snapshot is not None
    assert client_book(events, snapshot) == view.depth(1_000)


def client_book(
    events: list[dict[str, Any]],
    snapshot: tuple[int, list[tuple[int, int]], list[tuple[int, int]]],
) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
    """Buffer, take the snapshot, drop what it has, apply the rest, and insist on every id."""
    assert all(one["u"] + 1 == other["U"] for one, other in pairwise(events))
    assert events[0]["U"] <= snapshot[0] + 1
    update_id, bids, asks = snapshot[0], dict(snapshot[1]), dict(snapshot[2])
    for event in events:
        assert event["b"] or event["a"]
        if event["u"] <= snapshot[0]:
            continue
        assert event["U"] <= update_id + 1 <= event["u"]
        for side, changes in ((bids, event["b"]), (asks, event["a"])):
            for price, quantity in changes:
                key = int(price.replace(".", ""))
                if quantity == "0.00000000":
                    side.pop(key, None)
                else:
                    side[key] = int(quantity.replace(".", ""))
        update_id = event["u"]
    return update_id, sorted(bids.items(), reverse=True), sorted(asks.items())


def test_a_tick_without_a_change_says_nothing(feeds: Feeds, market: MadeMarket) -> None:
    feeds.apply(market.frame((BUY, UNIT, UNIT)), START)
    assert tick(feeds, Speed.FAST)
    feeds.apply(market.frame(), START)

    assert tick(feeds, Speed.FAST) == {}
    assert "btcusdt@depth" in tick(feeds, Speed.SLOW)
    assert tick(feeds, Speed.SLOW) == {}


def test_an_interval_tells_the_last_state_of_each_level(feeds: Feeds, market: MadeMarket) -> None:
    for quantity in (5, 6, 0):
        feeds.apply(market.frame((SELL, UNIT, quantity)), START)

    event = tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]

    assert (event["U"], event["u"]) == (1, 3)
    assert (event["b"], event["a"]) == ([], [["1.00000000", "0.00000000"]])


def test_trades_are_told_one_by_one_at_once(unheard: Feeds, market: MadeMarket) -> None:
    unheard.want(stream("btcusdt@trade"), START)

    events = unheard.apply(market.frame(trades=((5, 1), (6, 2))), START)

    texts = [json.loads(message.text("", Form())) for _, message in events]
    assert [(text["t"], text["p"]) for text in texts] == [(1, "0.00000005"), (2, "0.00000006")]


def test_trades_of_one_taker_at_one_price_are_told_as_one(
    unheard: Feeds, market: MadeMarket
) -> None:
    unheard.want(stream("btcusdt@aggTrade"), START)

    events = unheard.apply(market.frame(trades=((5, 1), (5, 2), (6, 2))), START)
    events += unheard.apply(market.frame(trades=((6, 4),)), START)

    texts = [json.loads(message.text("", Form())) for _, message in events]
    assert [(one["a"], one["f"], one["l"], one["p"], one["q"]) for one in texts] == [
        (1, 1, 2, "0.00000005", "0.00000003"),
        (3, 3, 3, "0.00000006", "0.00000002"),
        (4, 4, 4, "0.00000006", "0.00000004"),
    ]


def test_what_nobody_wants_is_not_written(unheard: Feeds, market: MadeMarket) -> None:
    made = market.frame((BUY, UNIT, UNIT), trades=((5, 1),))

    assert unheard.apply(made, START) == []
    assert unheard.book_tickers() == []
    assert unheard.tick(list(Speed), START + 10 * SECOND) == []


def test_what_nobody_wants_any_more_is_not_written(feeds: Feeds, market: MadeMarket) -> None:
    for one in market_streams("BTCUSDT"):
        feeds.want(one, START)
        feeds.unwant(one)

    assert feeds.apply(market.frame((BUY, UNIT, UNIT), trades=((5, 1),)), START) == []
    assert feeds.book_tickers() == []
    assert feeds.tick(list(Speed), START + 10 * SECOND) == []


def test_best_prices_are_told_when_they_changed(feeds: Feeds, market: MadeMarket) -> None:
    def after(*levels: tuple[Side, int, int]) -> dict[str, Any]:
        for one in levels:
            feeds.apply(market.frame(one), START)
        return told(feeds.book_tickers())

    first = after((BUY, 5, 1), (BUY, 6, 2), (SELL, 8, 3))["btcusdt@bookTicker"]

    assert (first["u"], first["b"], first["a"]) == (3, "0.00000006", "0.00000008")
    assert after((BUY, 4, 9)) == {}
    assert after((BUY, 6, 7))["btcusdt@bookTicker"]["B"] == "0.00000007"
    assert after((BUY, 6, 3), (BUY, 6, 7)) == {}
    assert after((SELL, 8, 0))["btcusdt@bookTicker"]["a"] == "0.00000000"
    assert after() == {}


def test_partial_depth_is_told_when_its_levels_changed(feeds: Feeds, market: MadeMarket) -> None:
    def after(*levels: tuple[Side, int, int]) -> set[str]:
        for one in levels:
            feeds.apply(market.frame(one), START)
        return set(tick(feeds, Speed.FAST)) - {"btcusdt@depth@100ms"}

    fast = {f"btcusdt@depth{levels}@100ms" for levels in (5, 10, 20)}

    assert after(*((BUY, price, 1) for price in range(101, 108))) == fast
    assert after((BUY, 101, 2)) == fast - {"btcusdt@depth5@100ms"}
    assert after((BUY, 107, 2), (BUY, 107, 1)) == set()
    assert after((BUY, 107, 0)) == fast
    assert after() == set()


def test_a_new_listener_is_told_a_state_at_once_and_of_what_happens_only_what_will(
    unheard: Feeds, market: MadeMarket
) -> None:
    unheard.apply(market.frame((BUY, 5, 1), trades=((5, 1),)), START)
    silent = {"trade", "aggTrade", "bookTicker", "depth", "depth@100ms"}

    for one in market_streams("BTCUSDT"):
        unheard.want(one, START)
        event = unheard.start(one, START)
        assert (event is None) == (one.names[0].partition("@")[2] in silent), one.names

    event = unheard.start(stream("btcusdt@depth5"), START)
    assert event is not None
    assert told([event])["btcusdt@depth5"]["lastUpdateId"] == 1


def test_what_a_listener_was_told_at_once_is_not_told_again(
    unheard: Feeds, market: MadeMarket
) -> None:
    unheard.apply(market.frame((BUY, 5, 1), trades=((5, 1),)), START)
    unheard.tick(list(Speed), START)
    for one in market_streams("BTCUSDT"):
        unheard.want(one, START)

    assert unheard.tick(list(Speed), START) == []


def test_a_generation_begins_with_clean_intervals(feeds: Feeds, market: MadeMarket) -> None:
    feeds.apply(market.frame((BUY, 5, 1)), START)
    generation = feeds.generation
    feeds.apply(market.opening(), START)
    assert feeds.generation == generation + 1
    feeds.apply(market.frame((BUY, 6, 1)), START)
    assert feeds.generation == generation + 1

    event = tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]

    assert event["U"] == event["u"] == (1 << 20) + 2


def test_a_reset_goes_on_with_the_sequence_and_tells_of_an_empty_book(
    feeds: Feeds, market: MadeMarket
) -> None:
    feeds.apply(market.frame((BUY, 5, 1), (SELL, 9, 1)), START)
    tick(feeds, Speed.FAST)
    generation = feeds.generation

    feeds.apply(market.reset((BUY, 5), (SELL, 9)), START)

    event = tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]
    assert (event["U"], event["u"]) == (2, 2)
    assert (len(event["b"]), len(event["a"])) == (1, 1)
    assert feeds.views.markets["BTCUSDT"].depth(9) == (2, [], [])
    assert feeds.generation == generation


def test_after_a_reset_statistics_begin_anew_even_where_the_book_was_empty(
    unheard: Feeds, market: MadeMarket
) -> None:
    ticker, kline = stream("btcusdt@ticker"), stream("btcusdt@kline_1m")
    for one in (ticker, kline):
        unheard.want(one, START)
    unheard.apply(market.frame(trades=((500, 3),)), START)
    unheard.tick(list(Speed), START)
    # This one is not counted yet when the market begins anew.
    unheard.apply(market.frame(trades=((600, 3),)), START)

    unheard.apply(market.reset(), START)

    said = told(unheard.tick(list(Speed), START))
    assert said.keys() == {"btcusdt@ticker"}
    assert (said["btcusdt@ticker"]["n"], float(said["btcusdt@ticker"]["c"])) == (0, 0)
    assert unheard.start(kline, START) is None
    unheard.apply(market.frame(trades=((700, 2),)), START)
    said = told(unheard.tick(list(Speed), START))
    assert (said["btcusdt@ticker"]["n"], said["btcusdt@kline_1m"]["k"]["n"]) == (1, 1)
    assert said["btcusdt@kline_1m"]["k"]["f"] == 3


def test_a_market_can_be_added_while_running() -> None:
    feeds = Feeds(views(), START)
    assert "BTCUSDT" not in feeds.symbols

    feeds.apply(frame(0, outcome(1, BTCUSDT, Counters(symbol="BTCUSDT"))), START)
    for one in market_streams("BTCUSDT"):
        feeds.want(one, START)
    made = outcome(2, level(BUY, 5, 1), Counters(symbol="BTCUSDT", update_id=1))
    feeds.apply(frame(1, made), START)

    assert "BTCUSDT" in feeds.symbols
    assert set(told(feeds.book_tickers())) == {"btcusdt@bookTicker"}
    assert tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]["U"] == 1
