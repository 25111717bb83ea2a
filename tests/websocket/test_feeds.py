"""What streams say, by the rule that clients keep their book by."""

import json
import random
from collections.abc import Container
from itertools import pairwise
from typing import Any

import pytest
from made_outcomes import BTCUSDT, START, UNIT, MadeMarket, frame, level, outcome, views

from exchange.services.messages import Counters
from exchange.services.orders import Side
from exchange.websocket.feeds import Feeds
from exchange.websocket.streams import Event, Form, Speed, Stream, parse_stream

BUY, SELL = Side.BUY, Side.SELL


class Everything:
    """What is wanted where everyone listens to everything."""

    def __contains__(self, name: object) -> bool:
        return True


EVERYTHING = Everything()


@pytest.fixture
def feeds() -> Feeds:
    return Feeds(views(BTCUSDT))


@pytest.fixture
def market() -> MadeMarket:
    return MadeMarket()


def told(events: list[Event]) -> dict[str, Any]:
    """The payloads by the first name of their stream."""
    return {
        event.stream.names[0]: json.loads(event.text(event.stream.names[0], Form()))
        for event in events
    }


def tick(feeds: Feeds, speed: Speed, wanted: Container[str] = EVERYTHING) -> dict[str, Any]:
    return told(feeds.tick(speed, START, wanted))


def stream(name: str) -> Stream:
    found = parse_stream(name)
    assert found is not None
    return found


@pytest.mark.parametrize("speed", list(Speed))
@pytest.mark.parametrize("seed", range(5))
def test_a_book_kept_by_the_published_recipe_is_the_book(
    feeds: Feeds, market: MadeMarket, speed: Speed, seed: int
) -> None:
    chance = random.Random(seed)
    view = feeds.views.markets["BTCUSDT"]
    name = stream(f"btcusdt@depth@{speed}ms").names[0]
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
            feeds.apply(market.frame(*changes), START, EVERYTHING)
        if step == fetched:
            snapshot = view.depth(1_000)
        if step % 4 == 3:
            wanted = {name} if step > subscribed else set[str]()
            if name in (said := tick(feeds, speed, wanted)):
                events.append(said[name])
    events += tick(feeds, speed, {name}).values()

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
    feeds.apply(market.frame((BUY, UNIT, UNIT)), START, EVERYTHING)
    assert tick(feeds, Speed.FAST)
    feeds.apply(market.frame(), START, EVERYTHING)

    assert tick(feeds, Speed.FAST) == {}
    assert "btcusdt@depth" in tick(feeds, Speed.SLOW)
    assert tick(feeds, Speed.SLOW) == {}


def test_an_interval_tells_the_last_state_of_each_level(feeds: Feeds, market: MadeMarket) -> None:
    for quantity in (5, 6, 0):
        feeds.apply(market.frame((SELL, UNIT, quantity)), START, EVERYTHING)

    event = tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]

    assert (event["U"], event["u"]) == (1, 3)
    assert (event["b"], event["a"]) == ([], [["1.00000000", "0.00000000"]])


def test_trades_are_told_one_by_one_at_once(feeds: Feeds, market: MadeMarket) -> None:
    events = feeds.apply(market.frame(trades=((5, 1), (6, 2))), START, {"btcusdt@trade"})

    texts = [json.loads(event.text("btcusdt@trade", Form())) for event in events]
    assert [(text["t"], text["p"]) for text in texts] == [(1, "0.00000005"), (2, "0.00000006")]


def test_what_nobody_wants_is_not_written(feeds: Feeds, market: MadeMarket) -> None:
    made = market.frame((BUY, UNIT, UNIT), trades=((5, 1),))

    assert feeds.apply(made, START, set()) == []
    assert feeds.book_tickers(set()) == []
    assert feeds.tick(Speed.FAST, START, set()) == []


def test_best_prices_are_told_when_they_changed(feeds: Feeds, market: MadeMarket) -> None:
    def after(*levels: tuple[Side, int, int]) -> dict[str, Any]:
        for one in levels:
            feeds.apply(market.frame(one), START, EVERYTHING)
        return told(feeds.book_tickers(EVERYTHING))

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
            feeds.apply(market.frame(one), START, EVERYTHING)
        return set(tick(feeds, Speed.FAST)) - {"btcusdt@depth@100ms"}

    fast = {f"btcusdt@depth{levels}@100ms" for levels in (5, 10, 20)}

    assert after(*((BUY, price, 1) for price in range(101, 108))) == fast
    assert after((BUY, 101, 2)) == fast - {"btcusdt@depth5@100ms"}
    assert after((BUY, 107, 2), (BUY, 107, 1)) == set()
    assert after((BUY, 107, 0)) == fast
    assert after() == set()


def test_a_new_listener_is_told_the_partial_depth_and_nothing_else(
    feeds: Feeds, market: MadeMarket
) -> None:
    feeds.apply(market.frame((BUY, 5, 1)), START, set())

    assert feeds.start(stream("btcusdt@depth")) is None
    assert feeds.start(stream("btcusdt@trade")) is None
    event = feeds.start(stream("btcusdt@depth5"))

    assert event is not None
    assert told([event])["btcusdt@depth5"]["lastUpdateId"] == 1
    # The same is not said twice to those who heard it.
    assert tick(feeds, Speed.SLOW, {"btcusdt@depth5"}) == {}


def test_a_generation_begins_with_clean_intervals(feeds: Feeds, market: MadeMarket) -> None:
    feeds.apply(market.frame((BUY, 5, 1)), START, EVERYTHING)
    generation = feeds.generation
    feeds.apply(market.opening(), START, EVERYTHING)
    assert feeds.generation == generation + 1
    feeds.apply(market.frame((BUY, 6, 1)), START, EVERYTHING)
    assert feeds.generation == generation + 1

    event = tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]

    assert event["U"] == event["u"] == (1 << 20) + 2


def test_a_market_can_be_added_while_running() -> None:
    feeds = Feeds(views())
    assert "BTCUSDT" not in feeds.symbols

    feeds.apply(frame(0, outcome(1, BTCUSDT, Counters(symbol="BTCUSDT"))), START, EVERYTHING)
    made = outcome(2, level(BUY, 5, 1), Counters(symbol="BTCUSDT", update_id=1))
    feeds.apply(frame(1, made), START, EVERYTHING)

    assert "BTCUSDT" in feeds.symbols
    assert set(told(feeds.book_tickers(EVERYTHING))) == {"btcusdt@bookTicker"}
    assert tick(feeds, Speed.FAST)["btcusdt@depth@100ms"]["U"] == 1
