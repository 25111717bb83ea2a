"""What one connection tells of one market: every stream held against the others, and against REST.

Depth at either speed, partial depth, best prices and REST share update ids: whatever is said of the
same update must be the same. It is pure; a Gap says what does not fit.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from exchange.lab.chaos.book import Book, Gap
from exchange.lab.chaos.found import units

KINDS = (
    "trade", "aggTrade", "bookTicker", "depth@100ms", "depth", "depth5@100ms", "depth10",
    "depth20@100ms", "kline_1s", "kline_1m", "kline_1h@+08:00", "miniTicker", "ticker", "ticker_1h",
    "avgPrice",
)  # fmt: skip
"""All that a market says, though not at every speed, depth and length."""
CORRECTED_US = 20_000_000
"""A candle may be told again, corrected, when an outcome was held up for so long."""

Levels = list[tuple[str, str]]
Side = list[list[str]]


class Record:
    """One life of one connection; `book` is kept from the diffs by somebody else."""

    def __init__(self, book: Book) -> None:
        self.compared = 0
        """How often something was said of an update at which the book was known."""
        self.closed: dict[tuple[str, int], dict[str, Any]] = {}
        """Candles that were told as final, the last telling of each, by interval and opening."""
        self._book = book
        self._update_ids: dict[str, int] = {}
        self._trades: dict[int, dict[str, Any]] = {}
        self._aggregated = 0
        self._running: dict[tuple[str, int], int] = {}
        self._claims: list[_Claim] = []

    def hear(self, kind: str, event: dict[str, Any]) -> None:
        """Take one message of the stream of that kind; `depth@100ms` after the book. Raises Gap."""
        match event.get("e"):
            case "trade":
                self._trades[event["t"]] = event
            case "aggTrade":
                self._hear_aggregate(event)
            case "depthUpdate":
                self._hear_diff(kind, event)
            case "kline":
                self._hear_candle(event["k"])
            case None if "u" in event:
                best = ([[event["b"], event["B"]]], [[event["a"], event["A"]]])
                self._claim(kind, event["u"], *best, depth=1)
            case None:
                depth = int(kind.removeprefix("depth").partition("@")[0])
                self._claim(kind, event["lastUpdateId"], event["bids"], event["asks"], depth=depth)

    def settled(self, now_us: int | None) -> Iterator[tuple[tuple[str, int], dict[str, Any]]]:
        """The final candles that would have been corrected by now; without a time, all of them."""
        for key, candle in self.closed.items():
            if now_us is None or candle["T"] * 1_000 + CORRECTED_US < now_us:
                yield key, candle

    def _hear_aggregate(self, event: dict[str, Any]) -> None:
        first, last = event["f"], event["l"]
        if self._aggregated and first != self._aggregated + 1:
            raise Gap(f"aggregate {event} comes after trade {self._aggregated}")
        self._aggregated = last
        parts = [self._trades.pop(id, None) for id in range(first, last + 1)]
        told = [part for part in parts if part is not None]
        is_sum = units(event["q"]) == sum(units(part["q"]) for part in told)
        marks = {(part["p"], part["T"], part["m"]) for part in told}
        if len(told) < len(parts) or not is_sum or marks != {(event["p"], event["T"], event["m"])}:
            raise Gap(f"aggregate {event} is not {parts}")

    def _hear_diff(self, kind: str, event: dict[str, Any]) -> None:
        before = self._update_ids.get(kind)
        if event["U"] > event["u"] or (before is not None and event["U"] != before + 1):
            raise Gap(f"{kind}: {event['U']} to {event['u']} comes after {before}")
        self._update_ids[kind] = event["u"]
        if kind == "depth@100ms":
            claims, self._claims = self._claims, []
            for claim in claims:
                self._judge(claim)
        else:
            # Of its levels this is known: as they are now, each of them is in the book, or gone.
            self._judge(_Claim(kind, event["u"], event["b"], event["a"], 0))

    def _hear_candle(self, candle: dict[str, Any]) -> None:
        key = (candle["i"], candle["t"])
        if candle["n"] < self._running.get(key, 0):
            raise Gap(f"candle {candle} had {self._running[key]} trades before")
        if key in self.closed and not candle["x"]:
            raise Gap(f"candle {candle} was closed before")
        self._running[key] = candle["n"]
        if candle["x"]:
            self.closed[key] = candle

    def _claim(self, kind: str, update_id: int, bids: Side, asks: Side, *, depth: int) -> None:
        before = self._update_ids.get(kind, 0)
        # A state may be told again as it was; a best price is told when it has changed.
        if update_id < before or (depth == 1 and update_id == before):
            raise Gap(f"{kind}: {update_id} comes after {before}")
        self._update_ids[kind] = update_id
        self._judge(_Claim(kind, update_id, bids, asks, depth))

    def _judge(self, claim: "_Claim") -> None:
        """Compare, where the book is at the same update; wait, where it is not there yet."""
        if self._book.is_loading or claim.update_id > self._book.update_id:
            self._claims.append(claim)
        elif claim.update_id == self._book.update_id:
            self.compared += 1
            if not claim.fits(self._book):
                raise Gap(f"the book is not {claim}: {best(self._book, max(claim.depth, 1))}")


class _Claim(Struct, frozen=True):
    """What a stream said of the book at an update: its best levels, or some (depth 0)."""

    kind: str
    update_id: int
    bids: Side
    asks: Side
    depth: int

    def fits(self, book: Book) -> bool:
        if not self.depth:
            return all(
                units(quantity) == units(side.get(price, "0"))
                for side, levels in ((book.bids, self.bids), (book.asks, self.asks))
                for price, quantity in levels
            )
        bids, asks = best(book, self.depth)
        return (_there(self.bids), _there(self.asks)) == (bids, asks)


def best(book: Book, depth: int) -> tuple[Levels, Levels]:
    """So many levels of either side, the best first."""
    bids = sorted(book.bids.items(), key=lambda level: -units(level[0]))
    asks = sorted(book.asks.items(), key=lambda level: units(level[0]))
    return bids[:depth], asks[:depth]


def _there(levels: Side) -> Levels:
    """Without the zeroes that stand for an empty side."""
    return [(price, quantity) for price, quantity in levels if units(quantity)]


def is_candle(told: Mapping[str, Any], shown: list[Any]) -> bool:
    """Whether a closed candle of a stream is that of REST's klines."""
    return [told[name] for name in "tohlcvTqnVQ"] == shown[:11]
