"""What there is to say: outcomes in, events of all streams out.

Diffs of a depth stream are collected whether or not anyone listens, so that its events are the
same for everyone: whoever subscribes in the middle of a tick receives that tick's whole event, and
its first update id is therefore never later than what the REST snapshot shows. All else costs
nothing, or next to nothing, until somebody listens.
"""

from collections.abc import Container, Iterable, Iterator

from exchange.services.aggregates import aggregate
from exchange.services.candles import Candle
from exchange.services.market_view import Best, MarketChange, MarketView, MarketViews
from exchange.services.messages import Opened, OutcomeFrame
from exchange.services.orders import Side
from exchange.services.rows import Level, Trade
from exchange.websocket.events import (
    Event,
    Message,
    aggregate_trade_message,
    book_ticker_message,
    depth_message,
    trade_message,
)
from exchange.websocket.running_candles import RunningCandles
from exchange.websocket.states import MarketStates
from exchange.websocket.streams import (
    ALL,
    DEPTH_SPEEDS,
    Kind,
    Speed,
    Stream,
    market_streams,
)
from exchange.websocket.voices import ArrayVoice, KlineVoice, StateVoice, Voice


class Feeds:
    """The markets as the outcomes left them, and what their streams have not said yet.

    `candles` are those of a second and of an hour that were stored before the views' position.
    """

    def __init__(self, views: MarketViews, now: int, candles: Iterable[Candle] = ()) -> None:
        self.views = views
        self.generation = 1
        self._feeds: dict[str, _MarketFeed] = {}
        self._states: dict[str, MarketStates] = {}
        # What is listened to, and the voices of what speaks at intervals, fastest first.
        self._wanted: dict[Stream, None] = {}
        self._voices: dict[Speed, dict[Stream, Voice]] = {speed: {} for speed in Speed}
        self._klines: dict[Stream, KlineVoice] = {}
        # Whose best prices, diffs and candles may have changed since these were last told.
        self._touched: dict[str, _MarketFeed] = {}
        self._diffs: dict[Speed, dict[str, _MarketFeed]] = {speed: {} for speed in DEPTH_SPEEDS}
        self._traded: dict[str, _MarketFeed] = {}
        stored = _by_symbol(candles)
        for symbol, view in views.markets.items():
            candles_of_market = RunningCandles(view, now, stored.get(symbol, ()))
            self._feeds[symbol] = _MarketFeed(view, view.best(), candles_of_market)
            self._states[symbol] = self._feeds[symbol].states

    @property
    def symbols(self) -> Container[str]:
        return self.views.markets.keys()

    # --- Listeners ---

    def want(self, stream: Stream, now: int) -> None:
        """Somebody listens from now on."""
        if stream in self._wanted:
            return
        self._wanted[stream] = None
        voice = self._make_voice(stream, now)
        if voice is not None:
            assert stream.speed is not None
            self._voices[stream.speed][stream] = voice
        if isinstance(voice, KlineVoice):
            self._klines[stream] = voice

    def unwant(self, stream: Stream) -> None:
        """Nobody does any more."""
        self._wanted.pop(stream, None)
        self._klines.pop(stream, None)
        if stream.speed is not None:
            self._voices[stream.speed].pop(stream, None)

    def start(self, stream: Stream, now: int) -> Event | None:
        """What a new listener of a stream that is wanted is told at once, if anything."""
        if stream.speed is None or stream not in self._voices[stream.speed]:
            return None
        self._count_trades()
        return self._voices[stream.speed][stream].start(now)

    def _make_voice(self, stream: Stream, now: int) -> Voice | None:
        if stream.speed is None or stream.kind is Kind.DEPTH:
            return None
        if stream.symbol == ALL:
            return ArrayVoice(stream, self._states, now)
        if stream.kind is Kind.KLINE:
            feed = self._feed(stream.symbol, now)
            return KlineVoice(stream, feed.view.market, feed.candles, now)
        return StateVoice(stream, self._feed(stream.symbol, now).states, now)

    # --- Outcomes ---

    def apply(self, frame: OutcomeFrame, now: int) -> list[Event]:
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
                events += self._take(change, now)
        return events

    def book_tickers(self) -> list[Event]:
        """The best prices that changed since the last call."""
        touched, self._touched = self._touched, {}
        return [event for feed in touched.values() for event in feed.book_ticker(self._wanted)]

    def tick(self, speeds: Iterable[Speed], now: int) -> list[Event]:
        """What streams of these speeds have to say at the end of their interval.

        Candles are closed at every tick, as soon as it is time.
        """
        self._count_trades()
        events = [event for voice in self._klines.values() for event in voice.close(now)]
        for speed in speeds:
            if speed in self._diffs:
                changed, self._diffs[speed] = self._diffs[speed], {}
                for feed in changed.values():
                    events += feed.depth(speed, now, self._wanted)
            for voice in self._voices[speed].values():
                events += voice.tick(now)
        if Speed.SLOW in speeds:
            for feed in self._feeds.values():
                feed.candles.advance(now)
        return events

    def begin_generation(self) -> None:
        """Forget what was not said: nobody's sequence goes on with it."""
        self.generation += 1
        self._touched = {}
        self._diffs = {speed: {} for speed in DEPTH_SPEEDS}
        for feed in self._feeds.values():
            feed.begin_generation()

    def _take(self, change: MarketChange, now: int) -> Iterator[Event]:
        symbol = change.symbol
        feed = self._feed(symbol, now)
        self._touched[symbol] = feed
        if change.levels:
            for changed in self._diffs.values():
                changed[symbol] = feed
        if change.began:
            self._traded.pop(symbol, None)
        if change.trades:
            self._traded[symbol] = feed
        return feed.take(change, now, self._wanted)

    def _count_trades(self) -> None:
        """Add the newest trades to the candles: together, which is cheaper than one by one."""
        traded, self._traded = self._traded, {}
        times = {symbol: feed.count_trades() for symbol, feed in traded.items()}
        for stream, voice in self._klines.items():
            voice.change(times.get(stream.symbol, ()))

    def _feed(self, symbol: str, now: int) -> "_MarketFeed":
        feed = self._feeds.get(symbol)
        if feed is None:
            # A market may be added at any time; its book is empty until its first change.
            view = self.views.markets[symbol]
            feed = _MarketFeed(view, (None, None), RunningCandles(view, now))
            self._feeds[symbol], self._states[symbol] = feed, feed.states
        return feed


class _MarketFeed:
    """What one market's streams say at once, and what is collected for the others."""

    def __init__(self, view: MarketView, best: Best, candles: RunningCandles) -> None:
        self.view = view
        self.candles = candles
        self.states = MarketStates(view)
        self._best = best
        self._fresh: list[Trade] = []
        streams = market_streams(view.market.symbol)
        at_once = {one.kind: one for one in streams if one.speed is None}
        self._trade = at_once[Kind.TRADE]
        self._aggregate_trade = at_once[Kind.AGGREGATE_TRADE]
        self._book_ticker = at_once[Kind.BOOK_TICKER]
        self._depths = {one.speed: one for one in streams if one.kind is Kind.DEPTH}
        self._diffs = {speed: _Diff() for speed in DEPTH_SPEEDS}

    def take(self, change: MarketChange, now: int, wanted: Container[Stream]) -> Iterator[Event]:
        if change.began:
            self._fresh = []
            self.candles.begin()
        if change.levels:
            for diff in self._diffs.values():
                diff.add(change)
        if not change.trades:
            return
        self._fresh += change.trades
        market = self.view.market
        if self._trade in wanted:
            for trade in change.trades:
                yield Event(self._trade, trade_message(market, trade, now))
        if self._aggregate_trade in wanted:
            # No order takes anything in two outcomes, so these aggregates are whole.
            for one in aggregate(change.trades):
                yield Event(self._aggregate_trade, aggregate_trade_message(market, one, now))

    def book_ticker(self, wanted: Container[Stream]) -> Iterator[Event]:
        best = self.view.best()
        if best == self._best:
            return
        self._best = best
        if self._book_ticker in wanted:
            update_id = self.view.counters.update_id
            message = book_ticker_message(self.view.market, update_id, *best)
            yield Event(self._book_ticker, message)

    def depth(self, speed: Speed, now: int, wanted: Container[Stream]) -> Iterator[Event]:
        stream = self._depths[speed]
        message = self._diffs[speed].take(self.view, now, is_wanted=stream in wanted)
        if message is not None:
            yield Event(stream, message)

    def count_trades(self) -> list[int]:
        """Add what was traded since the last call to the candles; says in which seconds it was."""
        fresh, self._fresh = self._fresh, []
        return self.candles.add(fresh)

    def begin_generation(self) -> None:
        self._best = self.view.best()
        self._diffs = {speed: _Diff() for speed in DEPTH_SPEEDS}


class _Diff:
    """The changes of one interval, the last one of each level."""

    def __init__(self) -> None:
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

    def take(self, view: MarketView, now: int, *, is_wanted: bool) -> Message | None:
        """What changed in the interval, if anyone listens; a new interval begins."""
        levels, self._levels = self._levels, {}
        if not is_wanted:
            return None
        return depth_message(
            view.market,
            first_update_id=self._first_update_id,
            last_update_id=self._last_update_id,
            bids=_side(levels, Side.BUY),
            asks=_side(levels, Side.SELL),
            now=now,
        )


def _side(levels: dict[tuple[Side, int], Level], side: Side) -> list[tuple[int, int]]:
    return [(one.price, one.quantity) for one in levels.values() if one.side is side]


def _by_symbol(candles: Iterable[Candle]) -> dict[str, list[Candle]]:
    found: dict[str, list[Candle]] = {}
    for candle in candles:
        found.setdefault(candle.symbol, []).append(candle)
    return found
