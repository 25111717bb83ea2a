"""Streams that speak at intervals: what each has said, and whether there is news.

A voice exists as long as somebody listens to its stream. All times are microseconds.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol

from exchange.services.candles import Interval, open_time, shift
from exchange.services.markets import Market
from exchange.websocket.events import Event, Message, array_message, kline_message
from exchange.websocket.running_candles import RunningCandles
from exchange.websocket.states import Mark, MarketStates, Statement
from exchange.websocket.streams import Stream

GRACE = 200_000
"""How long after its end a candle is closed: so long its last trades may be on their way."""


class Voice(Protocol):
    """One stream's."""

    def start(self, now: int) -> Event | None:
        """What a new listener is told at once."""

    def tick(self, now: int) -> Iterable[Event]:
        """What there is to say at the end of an interval."""


class StateVoice:
    """Tells a market's state, to a new listener at once and then when it has changed."""

    def __init__(self, stream: Stream, states: MarketStates, now: int) -> None:
        self._stream = stream
        self._news = _News(stream, states)
        self._news.take(now)

    def start(self, now: int) -> Event:
        return Event(self._stream, self._news.statement(now).message)

    def tick(self, now: int) -> Iterator[Event]:
        message = self._news.take(now)
        if message is not None:
            yield Event(self._stream, message)


class ArrayVoice:
    """Tells the states of those markets that have changed, and nothing when none has."""

    def __init__(self, stream: Stream, markets: Mapping[str, MarketStates], now: int) -> None:
        self._stream = stream
        self._markets = markets
        self._news: dict[str, _News] = {}
        for symbol, states in markets.items():
            self._of(symbol, states).take(now)

    def start(self, now: int) -> None:
        """Nothing: who wants to know what has not changed can ask."""

    def tick(self, now: int) -> Iterator[Event]:
        messages = [
            message
            for symbol, states in self._markets.items()
            if (message := self._of(symbol, states).take(now)) is not None
        ]
        if messages:
            yield Event(self._stream, array_message(messages))

    def _of(self, symbol: str, states: MarketStates) -> "_News":
        # A market that was added later is news as a whole.
        found = self._news.get(symbol)
        if found is None:
            found = self._news[symbol] = _News(self._stream, states)
        return found


class _News:
    """Whether a state has changed since it was taken last."""

    def __init__(self, stream: Stream, states: MarketStates) -> None:
        self._stream = stream
        self._states = states
        self._mark: Mark | None = None
        self._taken: object = None

    def statement(self, now: int) -> Statement:
        return self._states.statement(self._stream, now)

    def take(self, now: int) -> Message | None:
        mark = self._states.mark(now)
        if mark == self._mark:
            return None
        self._mark = mark
        statement = self.statement(now)
        if statement.state == self._taken:
            return None
        self._taken = statement.state
        return statement.message


class KlineVoice:
    """Tells the running candle when it has begun or changed, and each one that has ended.

    A candle is closed once, GRACE after its end, whether or not anything was traded in it. Should
    a trade of it become known later still, it is told again, closed as before.
    """

    def __init__(self, stream: Stream, market: Market, candles: RunningCandles, now: int) -> None:
        assert stream.interval is not None
        self.stream = stream
        self._market = market
        self._interval: Interval = stream.interval
        self._candles = candles
        self._running = open_time(self._interval, now, stream.offset)
        self._end = self._next(self._running)
        self._changed: set[int] = set()

    def change(self, times: Iterable[int]) -> None:
        """Trades of these times were made."""
        for time in times:
            self._changed.add(open_time(self._interval, time, self.stream.offset))

    def start(self, now: int) -> Event | None:
        return self._event(open_time(self._interval, now, self.stream.offset), now)

    def close(self, now: int) -> Iterator[Event]:
        """The candles that have ended, as they will stay."""
        while now >= self._end + GRACE:
            ended, self._running = self._running, self._end
            self._end = self._next(self._running)
            self._changed.discard(ended)
            # That another one has begun is told with the next changes.
            self._changed.add(self._running)
            yield from self._events((ended,), now)

    def tick(self, now: int) -> Iterator[Event]:
        """The running candle if it has changed, and earlier ones that turned out to have."""
        changed, self._changed = self._changed, set()
        # One that has ended and is not closed is left to that.
        is_left = self._end <= now
        return self._events(
            (one for one in sorted(changed) if not (is_left and one == self._running)), now
        )

    def _events(self, opens: Iterable[int], now: int) -> Iterator[Event]:
        for opened in opens:
            if self._candles.knows(self._interval, opened, self.stream.offset, now):
                event = self._event(opened, now)
                if event is not None:
                    yield event

    def _event(self, opened: int, now: int) -> Event | None:
        offset = self.stream.offset
        candle = self._candles.candle(self._interval, opened, offset)
        if candle is None:
            return None
        is_closed = self._next(opened) <= now
        message = kline_message(self._market, candle, offset, now, is_closed=is_closed)
        return Event(self.stream, message)

    def _next(self, opened: int) -> int:
        return shift(self._interval, opened, 1, self.stream.offset)
