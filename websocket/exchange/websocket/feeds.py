"""What there is to say: outcomes in, events of all streams out.

Diffs of a depth stream are collected whether or not anyone listens, so that its events are the
same for everyone: whoever subscribes in the middle of a tick receives that tick's whole event, and
its first update id is therefore never later than what the REST snapshot shows.
"""

from collections.abc import Container

from exchange.services.market_view import Best, MarketChange, MarketView, MarketViews, Prices
from exchange.services.messages import Level, Opened, OutcomeFrame
from exchange.services.orders import Side
from exchange.websocket.streams import (
    Event,
    Kind,
    Speed,
    Stream,
    book_ticker_event,
    depth_event,
    market_streams,
    partial_depth_event,
    trade_event,
)


class Feeds:
    """The markets as the outcomes left them, and what their streams have not said yet.

    `wanted` holds the stream names that someone listens to: nothing else is written.
    """

    def __init__(self, views: MarketViews) -> None:
        self.views = views
        self._feeds: dict[str, _MarketFeed] = {}
        self._touched: dict[str, _MarketFeed] = {}
        self.generation = 0
        self.begin_generation()

    @property
    def symbols(self) -> Container[str]:
        return self.views.markets.keys()

    def apply(self, frame: OutcomeFrame, now: int, wanted: Container[str]) -> list[Event]:
        """Take in a frame and tell its trades; all else waits for its turn or tick.

        When `generation` has changed afterwards, ids were left out: no client's sequence goes on.
        """
        events: list[Event] = []
        for outcome in frame.outcomes:
            changes = self.views.apply(outcome)
            if isinstance(outcome.result, Opened) or any(change.jumped for change in changes):
                self.begin_generation()
                events.clear()
            for change in changes:
                feed = self._feed(change.symbol)
                self._touched[change.symbol] = feed
                events += feed.apply(change, now, wanted)
        return events

    def book_tickers(self, wanted: Container[str]) -> list[Event]:
        """The best prices that changed since the last call."""
        touched, self._touched = self._touched, {}
        events = (feed.book_ticker(wanted) for feed in touched.values())
        return [event for event in events if event is not None]

    def tick(self, speed: Speed, now: int, wanted: Container[str]) -> list[Event]:
        """What the depth streams of that speed have to say at the end of their interval."""
        return [
            event
            for symbol in self.views.markets
            for event in self._feed(symbol).tick(speed, now, wanted)
        ]

    def start(self, stream: Stream) -> Event | None:
        """What a new listener is told at once: the levels of a partial depth, else nothing."""
        if stream.kind is not Kind.PARTIAL_DEPTH:
            return None
        return self._feed(stream.symbol).partial(stream)

    def begin_generation(self) -> None:
        """Forget what was not said: nobody's sequence goes on with it."""
        self.generation += 1
        self._touched = {}
        self._feeds = {
            symbol: _MarketFeed(view, view.best()) for symbol, view in self.views.markets.items()
        }

    def _feed(self, symbol: str) -> "_MarketFeed":
        feed = self._feeds.get(symbol)
        if feed is None:
            # A market may be added at any time; its book was empty until this very change.
            feed = self._feeds[symbol] = _MarketFeed(self.views.markets[symbol], (None, None))
        return feed


class _MarketFeed:
    """One market's streams."""

    def __init__(self, view: MarketView, best: Best) -> None:
        self._view = view
        self._best = best
        streams = market_streams(view.market.symbol)
        self._trade, self._book_ticker = streams[0], streams[1]
        self._diffs = {one.speed: _Diff(one) for one in streams if one.kind is Kind.DEPTH}
        self._partials = [one for one in streams if one.kind is Kind.PARTIAL_DEPTH]
        # The depth that those who listen saw last, with its update id; without them, nothing.
        self._seen: dict[Stream, tuple[int, Prices, Prices]] = {}

    def apply(self, change: MarketChange, now: int, wanted: Container[str]) -> list[Event]:
        if change.levels:
            for diff in self._diffs.values():
                diff.add(change)
        if not change.trades or not _is_wanted(self._trade, wanted):
            return []
        market = self._view.market
        return [trade_event(self._trade, market, trade, now) for trade in change.trades]

    def book_ticker(self, wanted: Container[str]) -> Event | None:
        best = self._view.best()
        if best == self._best:
            return None
        self._best = best
        if not _is_wanted(self._book_ticker, wanted):
            return None
        update_id = self._view.counters.update_id
        return book_ticker_event(self._book_ticker, self._view.market, update_id, *best)

    def tick(self, speed: Speed, now: int, wanted: Container[str]) -> list[Event]:
        diff = self._diffs[speed].take(self._view, now, wanted)
        partials = (
            self._changed_partial(stream, wanted)
            for stream in self._partials
            if stream.speed is speed
        )
        return [event for event in (diff, *partials) if event is not None]

    def partial(self, stream: Stream) -> Event:
        """The best levels now."""
        depth = self._view.depth(stream.levels)
        self._seen.setdefault(stream, depth)
        return partial_depth_event(stream, self._view.market, *depth)

    def _changed_partial(self, stream: Stream, wanted: Container[str]) -> Event | None:
        if not _is_wanted(stream, wanted):
            self._seen.pop(stream, None)
            return None
        seen = self._seen.get(stream)
        if seen is not None and seen[0] == self._view.counters.update_id:
            return None
        depth = self._seen[stream] = self._view.depth(stream.levels)
        if seen is not None and seen[1:] == depth[1:]:
            return None
        return partial_depth_event(stream, self._view.market, *depth)


class _Diff:
    """The changes of one interval, the last one of each level."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._first_update_id = 0
        self._last_update_id = 0
        self._levels: dict[tuple[Side, int], Level] = {}

    def add(self, change: MarketChange) -> None:
        if not self._levels:
            self._first_update_id = change.first_update_id
        else:
            assert change.first_update_id == self._last_update_id + 1, change
        self._last_update_id = change.last_update_id
        for level in change.levels:
            self._levels[level.side, level.price] = level

    def take(self, view: MarketView, now: int, wanted: Container[str]) -> Event | None:
        """The interval's event, if anything changed and anyone listens; a new interval begins."""
        levels, self._levels = self._levels, {}
        if not levels or not _is_wanted(self._stream, wanted):
            return None
        return depth_event(
            self._stream,
            view.market,
            first_update_id=self._first_update_id,
            last_update_id=self._last_update_id,
            bids=_side(levels, Side.BUY),
            asks=_side(levels, Side.SELL),
            now=now,
        )


def _side(levels: dict[tuple[Side, int], Level], side: Side) -> list[tuple[int, int]]:
    return [(one.price, one.quantity) for one in levels.values() if one.side is side]


def _is_wanted(stream: Stream, wanted: Container[str]) -> bool:
    return any(name in wanted for name in stream.names)
