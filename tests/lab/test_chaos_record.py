"""What a connection tells is held against itself: each thing that does not fit is seen."""

from typing import Any

import pytest

from exchange.lab.chaos.book import Book, Gap
from exchange.lab.chaos.record import Record, is_candle

SNAPSHOT: dict[str, Any] = {
    "lastUpdateId": 10,
    "bids": [["9.00000000", "1.00000000"], ["10.00000000", "2.00000000"]],
    "asks": [["11.00000000", "3.00000000"]],
}
NOON = 1_700_000_000_000


def diff(first: int, last: int, bids: Any = (), asks: Any = ()) -> dict[str, Any]:
    return {"e": "depthUpdate", "s": "SOLUSDC", "U": first, "u": last, "b": bids, "a": asks}


def best_prices(update_id: int, bid: str, ask: str = "11.00000000") -> dict[str, Any]:
    return {
        "u": update_id,
        "s": "SOLUSDC",
        "b": bid,
        "B": "2.00000000",
        "a": ask,
        "A": "3.00000000",
    }


def trade(id: int, quantity: str = "1", price: str = "10", time: int = NOON) -> dict[str, Any]:
    return {"e": "trade", "t": id, "p": price, "q": quantity, "T": time, "m": True}


def aggregate(first: int, last: int, quantity: str, price: str = "10") -> dict[str, Any]:
    return {
        "e": "aggTrade", "a": first, "p": price, "q": quantity, "f": first, "l": last, "T": NOON,
        "m": True,
    }  # fmt: skip


def candle(opened: int, trades: int, *, is_closed: bool = False) -> dict[str, Any]:
    kline = {"i": "1s", "t": opened, "T": opened + 999, "n": trades, "x": is_closed}
    return {"e": "kline", "k": kline | dict.fromkeys("ohlcvqVQ", "1.00000000")}


class Heard:
    """A record, and the book that its listener keeps."""

    def __init__(self) -> None:
        self.book = Book()
        self.record = Record(self.book)

    def hear(self, kind: str, *events: dict[str, Any]) -> None:
        for event in events:
            if kind == "depth@100ms":
                self.book.hear(event)
            self.record.hear(kind, event)

    def load(self) -> None:
        self.book.load(SNAPSHOT)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_what_is_said_of_the_same_update_is_compared(heard: Heard) -> None:
    heard.load()
    bid = ["10.50000000", "2.00000000"]
    heard.hear("bookTicker", best_prices(11, bid[0]))
    assert heard.record.compared == 0

    heard.hear("depth@100ms", diff(11, 11, [bid]))
    heard.hear("depth", diff(9, 11, [bid, ["9.00000000", "1.00000000"]]))
    asks = SNAPSHOT["asks"]
    heard.hear("depth5@100ms", {"lastUpdateId": 11, "bids": [bid, *_below()], "asks": asks})

    assert heard.record.compared == 3


def _below() -> list[list[str]]:
    return [["10.00000000", "2.00000000"], ["9.00000000", "1.00000000"]]


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("bookTicker", best_prices(10, "9.00000000")),
        ("bookTicker", best_prices(10, "10.00000000", ask="0.00000000")),
        ("depth", diff(9, 10, [["10.00000000", "1.00000000"]])),
        ("depth", diff(9, 10, [], [["12.00000000", "1.00000000"]])),
        ("depth5@100ms", {"lastUpdateId": 10, "bids": _below()[:1], "asks": SNAPSHOT["asks"]}),
        ("depth10", {"lastUpdateId": 10, "bids": _below()[::-1], "asks": SNAPSHOT["asks"]}),
    ],
)
def test_a_book_that_is_told_otherwise_is_seen(
    heard: Heard, kind: str, event: dict[str, Any]
) -> None:
    heard.load()

    with pytest.raises(Gap, match="the book is not"):
        heard.hear(kind, event)


def test_what_is_said_before_the_snapshot_is_compared_when_the_book_is_there(heard: Heard) -> None:
    heard.hear("bookTicker", best_prices(11, "10.00000000"))
    heard.load()

    with pytest.raises(Gap, match="the book is not"):
        heard.hear("depth@100ms", diff(11, 11, [["10.50000000", "1.00000000"]]))


@pytest.mark.parametrize(
    ("kind", "events"),
    [
        ("depth", [diff(1, 2), diff(4, 4)]),
        ("depth", [diff(1, 2), diff(2, 4)]),
        ("depth", [diff(3, 2)]),
        ("bookTicker", [best_prices(11, "1"), best_prices(11, "2")]),
        ("depth5@100ms", [{"lastUpdateId": one, "bids": [], "asks": []} for one in (12, 11)]),
        ("kline_1s", [candle(NOON, 2), candle(NOON, 1)]),
        ("kline_1s", [candle(NOON, 2, is_closed=True), candle(NOON, 2)]),
    ],
)
def test_a_sequence_that_breaks_is_seen(
    heard: Heard, kind: str, events: list[dict[str, Any]]
) -> None:
    heard.hear(kind, *events[:-1])

    with pytest.raises(Gap):
        heard.hear(kind, events[-1])


def test_an_aggregate_is_its_trades(heard: Heard) -> None:
    heard.hear("trade", trade(4), trade(5, "2"), trade(6))

    heard.hear("aggTrade", aggregate(4, 5, "3"), aggregate(6, 6, "1"))


@pytest.mark.parametrize(
    "wrong",
    [
        aggregate(4, 5, "4"),
        aggregate(4, 5, "3", price="11"),
        aggregate(4, 7, "3"),
        aggregate(3, 4, "1"),
    ],
)
def test_an_aggregate_that_is_not_its_trades_is_seen(heard: Heard, wrong: dict[str, Any]) -> None:
    heard.hear("trade", trade(4), trade(5, "2"))

    with pytest.raises(Gap):
        heard.hear("aggTrade", wrong)


def test_an_aggregate_that_is_left_out_is_seen(heard: Heard) -> None:
    heard.hear("trade", trade(4), trade(5), trade(6))
    heard.hear("aggTrade", aggregate(4, 4, "1"))

    with pytest.raises(Gap, match="comes after trade 4"):
        heard.hear("aggTrade", aggregate(6, 6, "1"))


def test_a_candle_is_final_when_nothing_would_correct_it_any_more(heard: Heard) -> None:
    heard.hear("kline_1s", candle(NOON, 2, is_closed=True), candle(NOON, 3, is_closed=True))
    heard.hear("kline_1s", candle(NOON + 30_000, 1, is_closed=True))

    soon = [told["n"] for _, told in heard.record.settled((NOON + 31_000) * 1_000)]
    at_rest = [told["n"] for _, told in heard.record.settled(None)]

    assert (soon, at_rest) == ([3], [3, 1])


def test_a_candle_is_compared_field_by_field() -> None:
    told = candle(NOON, 2, is_closed=True)["k"]
    one = "1.00000000"
    shown = [NOON, one, one, one, one, one, NOON + 999, one, 2, one, one, "0"]

    assert is_candle(told, shown)
    assert not any(
        is_candle(told, [*shown[:place], "?", *shown[place + 1 :]]) for place in range(11)
    )
