"""The candles of a market that are running or have just ended, of every interval.

The market view knows the minutes of the last day. What it does not: the seconds, which are kept
here for a while, and what was traded earlier in a candle that is longer than a day, which is
added up here by hours, once they lie so far back that they hardly change any more.
"""

from collections.abc import Iterable, Iterator

import msgspec

from exchange.services.candles import (
    DAY,
    HOUR,
    MINUTE,
    Candle,
    Interval,
    add_up,
    close_time,
    flat,
    fold_trades,
    merge,
    open_time,
)
from exchange.services.market_view import MarketView
from exchange.services.rows import Trade

SECONDS_KEPT = 2 * MINUTE
HOURS_HELD_BACK = 2 * HOUR
"""So young are hours that are still taken from the minutes."""
OFFSETS = (0, 8 * HOUR)
LONG = (Interval.DAY_3, Interval.WEEK_1, Interval.MONTH_1)
"""They open longer ago than minutes are kept."""


def history_start(now: int) -> int:
    """From when on the hours must be known to tell every running candle."""
    return min(open_time(interval, now, offset) for interval in LONG for offset in OFFSETS)


class RunningCandles:
    """One market's; `stored` holds its candles of a second and of an hour before this position.

    Seconds should reach SECONDS_KEPT back, hours to `history_start`.
    """

    def __init__(self, view: MarketView, now: int, stored: Iterable[Candle] = ()) -> None:
        self._view = view
        self._seconds: dict[int, Candle] = {}
        # The newest of those that were forgotten.
        self._last_second: Candle | None = None
        # What was traded before this time is in `_earlier`, all after it in the view's minutes.
        self._split = now - now % HOUR - HOURS_HELD_BACK
        self._earlier: dict[tuple[Interval, int], Candle] = {}
        for candle in stored:
            if candle.interval is Interval.SECOND_1:
                self._seconds[candle.open_time] = candle
            elif candle.open_time < self._split:
                self._add_earlier(candle)

    def add(self, trades: Iterable[Trade]) -> list[int]:
        """Take in trades that the view has already, and say which seconds they were made in."""
        seconds = fold_trades(trades, Interval.SECOND_1)
        for second in seconds:
            known = self._seconds.get(second.open_time)
            self._seconds[second.open_time] = second if known is None else merge(known, second)
            if second.open_time < self._split:
                self._add_earlier(second)
        return [second.open_time for second in seconds]

    def begin(self) -> None:
        """Know nothing of what was traded so far."""
        self._seconds.clear()
        self._last_second = None
        self._earlier.clear()

    def advance(self, now: int) -> None:
        """Forget old seconds, and move on what is counted by hours."""
        for second in sorted(one for one in self._seconds if one < now - SECONDS_KEPT):
            self._last_second = self._seconds.pop(second)
        while self._split + HOURS_HELD_BACK + HOUR <= now:
            hour = self._view.traded(self._split, self._split + HOUR - 1)
            self._split += HOUR
            if hour is not None:
                self._add_earlier(hour)

    def candle(self, interval: Interval, opened: int, offset: int = 0) -> Candle | None:
        """The candle that opens then, flat if nothing was traded in it.

        None before the market's first trade, and for what is too long ago to be known.
        """
        traded = add_up(self._parts(interval, opened, offset))
        if traded is not None:
            return msgspec.structs.replace(traded, interval=interval, open_time=opened)
        is_second = interval is Interval.SECOND_1
        price = self._second_before(opened) if is_second else self._view.close_before(opened)
        return flat(self._view.market.symbol, interval, opened, price) if price else None

    def knows(self, interval: Interval, opened: int, offset: int, now: int) -> bool:
        """Whether a candle of then can still be told whole."""
        if interval is Interval.SECOND_1:
            return opened >= now - SECONDS_KEPT
        if interval in LONG:
            earlier = self._earlier.get((interval, offset))
            return earlier is None or earlier.open_time <= opened
        return opened >= now - DAY

    def _parts(self, interval: Interval, opened: int, offset: int) -> Iterator[Candle]:
        if interval is Interval.SECOND_1:
            second = self._seconds.get(opened)
            if second is not None:
                yield second
            return
        end = close_time(interval, opened, offset)
        earlier = self._earlier.get((interval, offset))
        if earlier is not None and earlier.open_time == opened:
            yield earlier
        start = max(opened, self._split) if interval in LONG else opened
        recent = self._view.traded(start, end)
        if recent is not None:
            yield recent

    def _second_before(self, opened: int) -> int | None:
        """The last price of the last second before in which anything was traded."""
        earlier = [second for second in self._seconds if second < opened]
        if earlier:
            return self._seconds[max(earlier)].close
        if self._last_second is not None:
            return self._last_second.close
        # Then there is nothing in its own minute either.
        return self._view.close_before(opened - opened % MINUTE)

    def _add_earlier(self, candle: Candle) -> None:
        """Add what was traded in an hour, or later found to have been, to the long candles."""
        for interval in LONG:
            for offset in OFFSETS:
                opened = open_time(interval, candle.open_time, offset)
                part = msgspec.structs.replace(candle, interval=interval, open_time=opened)
                known = self._earlier.get((interval, offset))
                if known is None or known.open_time < opened:
                    self._earlier[interval, offset] = part
                elif known.open_time == opened:
                    self._earlier[interval, offset] = merge(known, part)
