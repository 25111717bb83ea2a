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
from exchange.services.candles import DAY, MINUTE, Candle, Interval, fold_trades, merge
from exchange.services.markets import Market
from exchange.services.messages import (
    JUMP,
    Counters,
    Level,
    Opened,
    Outcome,
    Row,
    Side,
    Trade,
)

RECENT_TRADES = 1_000
CANDLES_KEPT = DAY + 10 * MINUTE
"""A little more than is asked for, since readers' clocks and trades' times differ."""

Prices = list[tuple[int, int]]
"""Price and quantity of levels, best first."""
Best = tuple[tuple[int, int] | None, tuple[int, int] | None]
"""Price and quantity of the best bid and the best ask; None for an empty side."""


class MarketChange(msgspec.Struct, frozen=True, kw_only=True):
    """What one outcome did to one market.

    Levels are absolute (0: gone). An outcome that changed levels used up exactly one update id;
    one that did not used none, and then `first_update_id` is above `last_update_id`. `jumped` says
    that ids were left out, so that no sequence goes on over this change.
    """

    symbol: str
    first_update_id: int
    last_update_id: int
    levels: tuple[Level, ...]
    trades: tuple[Trade, ...]
    jumped: bool = False


class Ticker(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of a day, exact to the minute: from the whole minute `open_time` until now.

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
            if change.levels or change.trades or change.jumped:
                changes.append(change)
        return changes

    def _sort(self, rows: tuple[Row, ...]) -> dict[str, "_MarketRows"]:
        touched: dict[str, _MarketRows] = {}
        for row in rows:
            if isinstance(row, Market):
                self._set_market(row)
            elif isinstance(row, Level | Trade | Counters):
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

    __slots__ = ("counters", "levels", "trades")

    def __init__(self) -> None:
        self.counters: Counters | None = None
        self.levels: list[Level] = []
        self.trades: list[Trade] = []

    def add(self, row: Level | Trade | Counters) -> None:
        if isinstance(row, Level):
            self.levels.append(row)
        elif isinstance(row, Trade):
            self.trades.append(row)
        else:
            self.counters = row


class MarketView:
    """One market: its rules, its book by price, its newest trades and its minutes."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self.counters = Counters(symbol=market.symbol)
        self.bids: SortedDict[int, int] = SortedDict()
        self.asks: SortedDict[int, int] = SortedDict()
        self.recent_trades: deque[Trade] = deque(maxlen=RECENT_TRADES)
        self._minutes: SortedDict[int, Candle] = SortedDict()
        self._average = AveragePrice()
        # The close of the newest minute that was dropped.
        self._dropped_close: int | None = None
        # Adding up a day of minutes is dear, so all but the newest are remembered as one.
        self._finished: tuple[int, int, Candle | None] | None = None

    # --- Changes ---

    def apply(self, rows: _MarketRows, *, opened: bool = False) -> MarketChange:
        """Take in one outcome's rows, and tell what they changed."""
        before = self.counters.update_id
        if rows.counters is not None:
            self.counters = rows.counters
        levels = tuple(level for level in rows.levels if self.set_level(level))
        moved = self.counters.update_id - before - bool(levels)
        # Where a generation begins the counters jump: with it, or with what was left before it.
        assert moved in (0, JUMP) or opened, (self.market.symbol, before, rows.counters, levels)
        trades = tuple(sorted(rows.trades, key=_trade_id))
        self.recent_trades.extend(trades)
        for candle in fold_trades(trades, Interval.MINUTE_1):
            self.add_candle(candle)
        return MarketChange(
            symbol=self.market.symbol,
            first_update_id=before + 1,
            last_update_id=self.counters.update_id,
            levels=levels,
            trades=trades,
            jumped=moved != 0,
        )

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
        known: Candle | None = self._minutes.get(candle.open_time)
        self._minutes[candle.open_time] = candle if known is None else merge(known, candle)
        newest: int = self._minutes.keys()[-1]
        if known is None or candle.open_time != newest:
            self._finished = None
        while (oldest := self._minutes.keys()[0]) <= newest - CANDLES_KEPT:
            self._dropped_close = self._minutes.pop(oldest).close

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
        return self._average.at(
            now, minutes, base_unit=self.market.base_unit, last_price=self.last_price
        )

    def ticker_24h(self, now: int) -> Ticker:
        """The statistics of the last day."""
        start = now - now % MINUTE - DAY + MINUTE
        day = self._day(start, now)
        last_price = self.counters.last_price
        opening = day.open if day else last_price
        change = last_price - opening
        bid, ask = self.best()
        return Ticker(
            symbol=self.market.symbol,
            open_time=start,
            close_time=now,
            price_change=change,
            price_change_percent=_rounded(change * 100_000, opening) if opening else 0,
            weighted_average_price=self._weighted(day),
            previous_close_price=self._close_before(start),
            last_price=last_price,
            last_quantity=self.recent_trades[-1].quantity if self.recent_trades else 0,
            bid=bid,
            ask=ask,
            open_price=opening,
            high_price=day.high if day else last_price,
            low_price=day.low if day else last_price,
            volume=day.volume if day else 0,
            quote_volume=day.quote_volume if day else 0,
            first_trade_id=day.first_trade_id if day else None,
            last_trade_id=day.last_trade_id if day else None,
            trades=day.trades if day else 0,
        )

    def _day(self, start: int, now: int) -> Candle | None:
        """All trades from `start` until `now` as one candle."""
        newest: int | None = self._minutes.keys()[-1] if self._minutes else None
        if newest is None or newest > now:
            # A clock behind the trades' is rare: then add up without remembering.
            return _merge_all(self._minutes_between(start, now))
        if self._finished is None or self._finished[:2] != (start, newest):
            finished = _merge_all(self._minutes_between(start, newest - 1))
            self._finished = (start, newest, finished)
        return _merge_all(
            candle
            for candle in (self._finished[2], self._minutes[newest])
            if candle is not None and candle.open_time >= start
        )

    def _minutes_between(self, start: int, end: int) -> Iterator[Candle]:
        return (self._minutes[minute] for minute in self._minutes.irange(start, end))

    def _weighted(self, candle: Candle | None) -> int:
        if candle is None or not candle.volume:
            return self.counters.last_price
        return candle.quote_volume * self.market.base_unit // candle.volume

    def _close_before(self, start: int) -> int | None:
        for minute in self._minutes.irange(maximum=start - 1, reverse=True):
            close: int = self._minutes[minute].close
            return close
        if self._dropped_close is not None:
            return self._dropped_close
        # After a load the day before is not there, but the newest trades may reach into it.
        earlier = (trade.price for trade in reversed(self.recent_trades) if trade.time < start)
        return next(earlier, None)


def _trade_id(trade: Trade) -> int:
    return trade.id


def _merge_all(candles: Iterable[Candle]) -> Candle | None:
    """All in one, with the first one's time."""
    total: Candle | None = None
    for candle in candles:
        if total is None:
            total = candle
        else:
            total = merge(total, msgspec.structs.replace(candle, open_time=total.open_time))
    return total


def _rounded(dividend: int, divisor: int) -> int:
    """The nearest integer, halves away from zero; the divisor is positive."""
    quotient, remainder = divmod(abs(dividend), divisor)
    rounded = quotient + (2 * remainder >= divisor)
    return rounded if dividend >= 0 else -rounded
