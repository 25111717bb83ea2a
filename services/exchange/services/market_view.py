"""What the outcomes say about each market: its book, its newest trades and its last day.

Backend and websocket server each keep one, loaded at a position and then fed every outcome, so
that both tell the same story. Nothing here reads a clock: `now` and all times are microseconds.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice

import msgspec
from sortedcontainers import SortedDict

from exchange.services.average_price import AveragePrice
from exchange.services.candles import (
    DAY,
    HOUR,
    MINUTE,
    Candle,
    Interval,
    add_up,
    fold_trades,
    merge,
)
from exchange.services.markets import Market
from exchange.services.messages import JUMP, Opened, Outcome
from exchange.services.orders import Side
from exchange.services.rows import Beginning, Counters, Level, Row, Trade

RECENT_TRADES = 1_000
CANDLES_KEPT = DAY + 10 * MINUTE
"""A little more than is asked for, since readers' clocks and trades' times differ."""
STARTS_REMEMBERED = 64
TRADES_ASIDE_MAX = 1_000
SUMS_REMEMBERED = 512

Prices = list[tuple[int, int]]
"""Price and quantity of levels, best first."""
Best = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""Price and quantity of the best bid and the best ask; None for an empty side."""


class MarketChange(msgspec.Struct, frozen=True, kw_only=True):
    """What one outcome did to one market.

    Levels are absolute (0: gone). An outcome that changed levels used up exactly one update id;
    one that did not used none, and then `first_update_id` is above `last_update_id`. `jumped` says
    that ids were left out, so that no sequence goes on over this change; `began`, that what was
    traded before is not told any more.
    """

    symbol: str
    first_update_id: int
    last_update_id: int
    levels: tuple[Level, ...]
    trades: tuple[Trade, ...]
    jumped: bool = False
    began: bool = False


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a window, exact to the minute: from the whole minute `open_time` until now.

    Prices are 0 while a market has never traded. None means that there is no such thing: an
    empty side of the book, no trade in the window, no known trade before it.
    """

    symbol: str
    open_time: int
    close_time: int
    price_change: int
    price_change_percent: int
    """In thousandths of a percent."""
    weighted_average_price: int
    previous_close_price: int | None
    last_price: int
    last_quantity: int
    bid: tuple[int, int] | None
    ask: tuple[int, int] | None
    open_price: int
    high_price: int
    low_price: int
    volume: int
    quote_volume: int
    first_trade_id: int | None
    last_trade_id: int | None
    trades: int


_ROWS = (Level, Trade, Counters, Beginning)
_OF_MARKETS = frozenset((Market, *_ROWS))


class MarketViews:
    """All markets by symbol, at a position."""

    def __init__(self, position: int) -> None:
        self.position = position
        self.markets: dict[str, MarketView] = {}

    @classmethod
    def load(
        cls,
        position: int,
        *,
        rows: Iterable[Row],
        levels: Iterable[Level],
        candles: Iterable[Candle],
        trades: Iterable[Trade],
    ) -> "MarketViews":
        """From a snapshot: its control rows, levels, minute candles and recent trades.

        Candles should reach CANDLES_KEPT back; trades are oldest first within their market.
        """
        views = cls(position)
        rows = list(rows)
        for row in rows:
            if isinstance(row, Market):
                views.markets[row.symbol] = MarketView(row)
        for row in rows:
            if isinstance(row, Counters):
                views.markets[row.symbol].counters = row
            elif isinstance(row, Beginning):
                views.markets[row.symbol].beginning = row.trade_id
        for level in levels:
            views.markets[level.symbol].set_level(level)
        for candle in candles:
            views.markets[candle.symbol].add_candle(candle)
        for trade in trades:
            views.markets[trade.symbol].recent_trades.append(trade)
        return views

    def apply(self, outcome: Outcome) -> list[MarketChange]:
        """Take in the next outcome and tell what it did to which market."""
        assert outcome.number > self.position, (outcome.number, self.position)
        self.position = outcome.number
        touched = self._sort(outcome.rows)
        opened = isinstance(outcome.result, Opened)
        changes = []
        # Rows come in any order; a market's own row, which may be new, is in place by now.
        for symbol, rows in touched.items():
            change = self.markets[symbol].apply(rows, opened=opened)
            if change.levels or change.trades or change.jumped or change.began:
                changes.append(change)
        return changes

    def _sort(self, rows: tuple[Row, ...]) -> dict[str, "_MarketRows"]:
        touched: dict[str, _MarketRows] = {}
        for row in rows:
            # Most rows are none of these, and this is done for every command in every process.
            if type(row) not in _OF_MARKETS:
                continue
            if isinstance(row, Market):
                self._set_market(row)
            elif isinstance(row, _ROWS):
                of_market = touched.get(row.symbol)
                if of_market is None:
                    of_market = touched[row.symbol] = _MarketRows()
                of_market.add(row)
        return touched

    def _set_market(self, market: Market) -> None:
        if (known := self.markets.get(market.symbol)) is not None:
            known.market = market
        else:
            self.markets[market.symbol] = MarketView(market)


class _MarketRows:
    """The rows of one outcome that belong to one market."""

    __slots__ = ("beginning", "counters", "levels", "trades")

    def __init__(self) -> None:
        self.beginning: Beginning | None = None
        self.counters: Counters | None = None
        self.levels: list[Level] = []
        self.trades: list[Trade] = []

    def add(self, row: Level | Trade | Counters | Beginning) -> None:
        if isinstance(row, Level):
            self.levels.append(row)
        elif isinstance(row, Trade):
            self.trades.append(row)
        elif isinstance(row, Counters):
            self.counters = row
        else:
            self.beginning = row


class MarketView:
    """One market: its rules, its book by price, its newest trades and its minutes."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.counters = Counters(symbol=market.symbol)
        self.bids: SortedDict[int, int] = SortedDict()
        self.asks: SortedDict[int, int] = SortedDict()
        self._begin(0)

    # --- Changes ---

    def apply(self, rows: _MarketRows, *, opened: bool = False) -> MarketChange:
        """Take in one outcome's rows, and tell what they changed."""
        before = self.counters.update_id
        if rows.counters is not None:
            self.counters = rows.counters
        if rows.beginning is not None:
            self._begin(rows.beginning.trade_id)
        levels = tuple(level for level in rows.levels if self.set_level(level))
        moved = self.counters.update_id - before - bool(levels)
        # Where a generation begins the counters jump: with it, or with what was left before it.
        assert moved in (0, JUMP) or opened, (self.market.symbol, before, rows.counters, levels)
        trades = tuple(sorted(rows.trades, key=_trade_id)) if rows.trades else ()
        if trades:
            self.recent_trades.extend(trades)
            self._set_aside(trades)
        return MarketChange(
            symbol=self.market.symbol,
            first_update_id=before + 1,
            last_update_id=self.counters.update_id,
            levels=levels,
            trades=trades,
            jumped=moved != 0,
            began=rows.beginning is not None,
        )

    def _begin(self, trade_id: int) -> None:
        """Know nothing of what was traded up to this id."""
        self.beginning = trade_id
        self.recent_trades: deque[Trade] = deque(maxlen=RECENT_TRADES)
        self._minutes = _Minutes()
        self._average = AveragePrice()
        # Trades of one minute that are not in it yet: together they cost little, each by itself much.
        self._aside: list[Trade] = []

    def _set_aside(self, trades: tuple[Trade, ...]) -> None:
        """Those of one outcome, which have one time."""
        if self._aside:
            is_other = self._aside[0].time // MINUTE != trades[0].time // MINUTE
            if is_other or len(self._aside) >= TRADES_ASIDE_MAX:
                self._fold()
        self._aside += trades

    def _fold(self) -> None:
        """Count what was set aside: whoever asks about minutes comes here first."""
        if self._aside:
            trades, self._aside = self._aside, []
            for candle in fold_trades(trades, Interval.MINUTE_1):
                self.add_candle(candle)

    def set_level(self, level: Level) -> bool:
        """Whether that changed the book."""
        levels = self.bids if level.side is Side.BUY else self.asks
        if levels.get(level.price, 0) == level.quantity:
            return False
        if level.quantity:
            levels[level.price] = level.quantity
        else:
            del levels[level.price]
        return True

    def add_candle(self, candle: Candle) -> None:
        """Add a minute, or more trades to a minute."""
        self._average.add(candle.open_time, candle.volume, candle.quote_volume)
        self._minutes.add(candle)

    # --- Questions ---

    @property
    def last_price(self) -> int:
        """The price of the last trade; 0 before the first."""
        return self.counters.last_price

    def depth(self, limit: int) -> tuple[int, Prices, Prices]:
        """The last update id, and up to `limit` bids and asks, best first."""
        bids = [(price, self.bids[price]) for price in islice(reversed(self.bids), limit)]
        return self.counters.update_id, bids, list(islice(self.asks.items(), limit))

    def best(self) -> Best:
        return (
            self.bids.peekitem(-1) if self.bids else None,
            self.asks.peekitem(0) if self.asks else None,
        )

    def average_price(self, now: int, minutes: int) -> int:
        """What a whole base cost on average in the last minutes, as the engine reckons it."""
        self._fold()
        return self._average.at(
            now, minutes, base_unit=self.market.base_unit, last_price=self.last_price
        )

    def ticker_24h(self, now: int) -> Ticker:
        """The statistics of the last day."""
        return self._ticker(now - now % MINUTE - DAY + MINUTE, now)

    def ticker(self, now: int, width: int) -> Ticker:
        """The statistics of the last `width`, a day at most, and of up to a minute more."""
        return self._ticker(now - now % MINUTE - width, now)

    def traded(self, start: int, end: int) -> Candle | None:
        """All trades of the minutes that open from `start` to `end`, if they are of the last day."""
        self._fold()
        return self._minutes.between(start, end)

    def close_before(self, start: int) -> int | None:
        """The price of the last known trade before the minute `start`."""
        self._fold()
        close = self._minutes.close_before(start)
        if close is not None:
            return close
        # After a load the day before is not there, but the newest trades may reach into it.
        earlier = (trade.price for trade in reversed(self.recent_trades) if trade.time < start)
        return next(earlier, None)

    def _ticker(self, start: int, now: int) -> Ticker:
        return self.summary(self.traded(start, now), start, now)

    def summary(self, traded: Candle | None, start: int, end: int) -> Ticker:
        """The statistics of what was traded from `start` to `end`; None is nothing."""
        last_price = self.counters.last_price
        opening = traded.open if traded else last_price
        change = last_price - opening
        bid, ask = self.best()
        return Ticker(
            symbol=self.market.symbol,
            open_time=start,
            close_time=end,
            price_change=change,
            price_change_percent=_rounded(change * 100_000, opening) if opening else 0,
            weighted_average_price=self._weighted(traded),
            previous_close_price=self.close_before(start),
            last_price=last_price,
            last_quantity=self.recent_trades[-1].quantity if self.recent_trades else 0,
            bid=bid,
            ask=ask,
            open_price=opening,
            high_price=traded.high if traded else last_price,
            low_price=traded.low if traded else last_price,
            volume=traded.volume if traded else 0,
            quote_volume=traded.quote_volume if traded else 0,
            first_trade_id=traded.first_trade_id if traded else None,
            last_trade_id=traded.last_trade_id if traded else None,
            trades=traded.trades if traded else 0,
        )

    def _weighted(self, candle: Candle | None) -> int:
        if candle is None or not candle.volume:
            return self.counters.last_price
        return candle.quote_volume * self.market.base_unit // candle.volume


class _Minutes:
    """Candles of a minute, of a little more than a day, and what any stretch of them adds up to.

    Adding up a day of minutes is dear. So whole hours are remembered until one of their minutes
    changes, so are stretches of whole hours, and of minutes before and behind them, and for the
    newest starts everything but the newest minute, until another one comes.
    """

    def __init__(self) -> None:
        self._candles: SortedDict[int, Candle] = SortedDict()
        # The close of the newest minute that was dropped.
        self._dropped_close: int | None = None
        self._hours: dict[int, Candle] = {}
        self._finished: dict[int, Candle | None] = {}
        # By start and end, of what ended before the newest minute.
        self._sums: dict[tuple[int, int], Candle | None] = {}

    def add(self, candle: Candle) -> None:
        """Add a minute, or more trades to a minute."""
        known: Candle | None = self._candles.get(candle.open_time)
        self._candles[candle.open_time] = candle if known is None else merge(known, candle)
        newest: int = self._candles.keys()[-1]
        self._forget_hour(candle.open_time)
        if candle.open_time != newest:
            self._sums.clear()
        if known is None or candle.open_time != newest:
            self._finished.clear()
        while (oldest := self._candles.keys()[0]) <= newest - CANDLES_KEPT:
            self._dropped_close = self._candles.pop(oldest).close
            self._forget_hour(oldest)

    def between(self, start: int, end: int) -> Candle | None:
        """All trades of the minutes that open from `start` to `end`; None if there are none."""
        newest: int | None = self._candles.keys()[-1] if self._candles else None
        if newest is None or newest < start:
            return None
        if newest > end:
            return add_up(self._parts(start, end))
        if start not in self._finished:
            if len(self._finished) == STARTS_REMEMBERED:
                self._finished.clear()
            self._finished[start] = add_up(self._parts(start, newest - 1))
        finished, running = self._finished[start], self._candles[newest]
        return add_up((running,) if finished is None else (finished, running))

    def close_before(self, start: int) -> int | None:
        for minute in self._candles.irange(maximum=start - 1, reverse=True):
            close: int = self._candles[minute].close
            return close
        return self._dropped_close

    def _parts(self, start: int, end: int) -> Iterator[Candle]:
        """The whole hours of a stretch, the minutes before, and those behind, each added up."""
        start, end = start + -start % MINUTE, end - end % MINUTE
        first, last = start + -start % HOUR, (end + MINUTE) - (end + MINUTE) % HOUR
        if last < first:
            yield from self._between(start, end)
            return
        if len(self._sums) > SUMS_REMEMBERED:
            self._sums.clear()
        for part in (self._before(start, first), self._of_hours(first, last)):
            if part is not None:
                yield part
        if (part := self._behind(last, end)) is not None:
            yield part

    def _before(self, start: int, hour: int) -> Candle | None:
        """From a minute to the next whole hour: made of the same from the next minute on."""
        if start == hour:
            return None
        key = (start, hour)
        if key not in self._sums:
            later = self._before(start + MINUTE, hour)
            self._sums[key] = _sum_of(self._candles.get(start), later)
        return self._sums[key]

    def _behind(self, hour: int, end: int) -> Candle | None:
        """From a whole hour to a minute, which is part of it: made of the same up to the one before."""
        if end < hour:
            return None
        key = (hour, end)
        if key not in self._sums:
            earlier = self._behind(hour, end - MINUTE)
            self._sums[key] = _sum_of(earlier, self._candles.get(end))
        return self._sums[key]

    def _of_hours(self, first: int, last: int) -> Candle | None:
        if first == last:
            return None
        key = (first, last)
        if key not in self._sums:
            hours = (self._hour(hour) for hour in range(first, last, HOUR))
            self._sums[key] = add_up(hour for hour in hours if hour is not None)
        return self._sums[key]

    def _hour(self, start: int) -> Candle | None:
        known = self._hours.get(start)
        if known is None:
            known = add_up(self._between(start, start + HOUR - 1))
            if known is not None:
                self._hours[start] = known
        return known

    def _forget_hour(self, minute: int) -> None:
        self._hours.pop(minute - minute % HOUR, None)

    def _between(self, start: int, end: int) -> Iterator[Candle]:
        return (self._candles[minute] for minute in self._candles.irange(start, end))


def _trade_id(trade: Trade) -> int:
    return trade.id


def _rounded(dividend: int, divisor: int) -> int:
    """The nearest integer, halves away from zero; the divisor is positive."""
    quotient, remainder = divmod(abs(dividend), divisor)
    rounded = quotient + (2 * remainder >= divisor)
    return rounded if dividend >= 0 else -rounded


def _sum_of(*candles: Candle | None) -> Candle | None:
    return add_up(candle for candle in candles if candle is not None)
