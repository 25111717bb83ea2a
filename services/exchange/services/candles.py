"""Candles: the 16 intervals, folding trades into them, and filling the quiet periods.

All times are microseconds since the Unix epoch. An offset is what a time zone adds to UTC, in
microseconds: at +08:00 a day opens at 16:00 UTC. Only the STORED intervals are written to
Postgres; each other one is folded from the largest of them that divides it.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from enum import StrEnum
from functools import reduce
from operator import attrgetter

import msgspec

from exchange.services.orders import Side
from exchange.services.rows import Trade

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


class Interval(StrEnum):
    """How long a candle lasts; the public API's names, where case tells minutes from months."""

    SECOND_1 = "1s"
    MINUTE_1 = "1m"
    MINUTE_3 = "3m"
    MINUTE_5 = "5m"
    MINUTE_15 = "15m"
    MINUTE_30 = "30m"
    HOUR_1 = "1h"
    HOUR_2 = "2h"
    HOUR_4 = "4h"
    HOUR_6 = "6h"
    HOUR_8 = "8h"
    HOUR_12 = "12h"
    DAY_1 = "1d"
    DAY_3 = "3d"
    WEEK_1 = "1w"
    MONTH_1 = "1M"


STORED = (Interval.SECOND_1, Interval.MINUTE_1, Interval.HOUR_1, Interval.DAY_1)

SECONDS_KEPT = 7 * DAY
"""Candles of a second are dropped when they are older."""

_UNITS = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}
# A month has no width; every other interval is a whole number of its unit.
_WIDTHS: dict[Interval, int] = {
    interval: int(interval[:-1]) * _UNITS[interval[-1]]
    for interval in Interval
    if interval is not Interval.MONTH_1
}
# The Unix epoch was a Thursday, weeks open on Monday.
_FIRST_MONDAY = 4 * DAY
# The Gregorian calendar repeats after 400 years, so one such era serves for times of any size.
_ERA_DAYS = 146_097
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


class Candle(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What was traded in one interval; `taker_base` and `taker_quote` are what takers bought.

    A candle without trades stands at the price before it, and its trade ids are -1.
    """

    symbol: str
    interval: Interval
    open_time: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    trades: int
    taker_base: int
    taker_quote: int
    first_trade_id: int
    last_trade_id: int


def open_time(interval: Interval, time: int, offset: int = 0) -> int:
    """When the candle that holds `time` opens."""
    local = time + offset
    if interval is Interval.MONTH_1:
        return _month_start(_month(local)) - offset
    origin = _FIRST_MONDAY if interval is Interval.WEEK_1 else 0
    return local - (local - origin) % _WIDTHS[interval] - offset


def close_time(interval: Interval, time: int, offset: int = 0) -> int:
    """The last microsecond of the candle that holds `time`."""
    return shift(interval, time, 1, offset) - 1


def shift(interval: Interval, time: int, count: int, offset: int = 0) -> int:
    """When the candle opens that comes `count` candles after (negative: before) that of `time`."""
    if interval is Interval.MONTH_1:
        return _month_start(_month(time + offset) + count) - offset
    return open_time(interval, time, offset) + count * _WIDTHS[interval]


def stored_interval(interval: Interval, offset: int = 0) -> Interval:
    """The largest stored interval whose candles add up to those of `interval` in that time zone."""
    width = _WIDTHS.get(interval, DAY)
    return next(
        stored
        for stored in reversed(STORED)
        if width % _WIDTHS[stored] == 0 and offset % _WIDTHS[stored] == 0
    )


def fold_trades(trades: Iterable[Trade], interval: Interval) -> list[Candle]:
    """The candles of trades in any order and of any markets, by symbol and time."""
    groups: dict[tuple[str, int], list[Trade]] = {}
    for trade in trades:
        groups.setdefault((trade.symbol, open_time(interval, trade.time)), []).append(trade)
    return [_candle(interval, opened, groups[symbol, opened]) for symbol, opened in sorted(groups)]


def fold(candles: Iterable[Candle], interval: Interval, offset: int = 0) -> list[Candle]:
    """Longer candles from shorter ones that divide them, by symbol and time."""
    groups: dict[tuple[str, int], list[Candle]] = {}
    for candle in candles:
        opened = open_time(interval, candle.open_time, offset)
        longer = msgspec.structs.replace(candle, interval=interval, open_time=opened)
        groups.setdefault((candle.symbol, opened), []).append(longer)
    return [reduce(merge, groups[key]) for key in sorted(groups)]


def merge(one: Candle, other: Candle) -> Candle:
    """One candle of two for the same time whose trades are different ones."""
    assert (one.symbol, one.interval, one.open_time) == (
        other.symbol, other.interval, other.open_time
    )  # fmt: skip
    if not (one.trades and other.trades):
        return one if one.trades else other
    return _added(one, (other,))


def add_up(candles: Iterable[Candle]) -> Candle | None:
    """All that was traded, in a candle with the time of the first one; None if nothing was."""
    traded = (candle for candle in candles if candle.trades)
    first = next(traded, None)
    return None if first is None else _added(first, traded)


def _added(one: Candle, others: Iterable[Candle]) -> Candle:
    """One and the others, whose trades are different ones.

    Which of them opens and which closes is decided by trade ids: clocks may step back, ids do not.
    """
    first = last = one
    high, low, volume, quote_volume = one.high, one.low, one.volume, one.quote_volume
    trades, taker_base, taker_quote = one.trades, one.taker_base, one.taker_quote
    for other in others:
        if other.first_trade_id < first.first_trade_id:
            first = other
        if other.last_trade_id > last.last_trade_id:
            last = other
        if other.high > high:
            high = other.high
        if other.low < low:
            low = other.low
        volume += other.volume
        quote_volume += other.quote_volume
        trades += other.trades
        taker_base += other.taker_base
        taker_quote += other.taker_quote
    return Candle(
        symbol=one.symbol,
        interval=one.interval,
        open_time=one.open_time,
        open=first.open,
        high=high,
        low=low,
        close=last.close,
        volume=volume,
        quote_volume=quote_volume,
        trades=trades,
        taker_base=taker_base,
        taker_quote=taker_quote,
        first_trade_id=first.first_trade_id,
        last_trade_id=last.last_trade_id,
    )


def fill(
    candles: Sequence[Candle],
    start: int,
    end: int,
    *,
    symbol: str,
    interval: Interval,
    previous_close: int,
    limit: int,
    offset: int = 0,
) -> list[Candle]:
    """Every candle from the one that holds `start` to the one that holds `end`, `limit` at most.

    Where nothing was traded the candle is flat at the last close, which before the first of
    `candles` is `previous_close` (0: the market has never traded).
    """
    traded = {candle.open_time: candle for candle in candles}
    filled: list[Candle] = []
    opened, price = open_time(interval, start, offset), previous_close
    while opened <= end and len(filled) < limit:
        candle = traded.get(opened) or flat(symbol, interval, opened, price)
        filled.append(candle)
        opened, price = shift(interval, opened, 1, offset), candle.close
    return filled


def flat(symbol: str, interval: Interval, opened: int, price: int) -> Candle:
    """A candle in which nothing was traded."""
    return Candle(
        symbol=symbol,
        interval=interval,
        open_time=opened,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=0,
        quote_volume=0,
        trades=0,
        taker_base=0,
        taker_quote=0,
        first_trade_id=-1,
        last_trade_id=-1,
    )


_trade_id = attrgetter("id")


def _candle(interval: Interval, opened: int, trades: Sequence[Trade]) -> Candle:
    first, last = min(trades, key=_trade_id), max(trades, key=_trade_id)
    prices = [trade.price for trade in trades]
    bought = [trade for trade in trades if trade.taker_side is Side.BUY]
    return Candle(
        symbol=first.symbol,
        interval=interval,
        open_time=opened,
        open=first.price,
        high=max(prices),
        low=min(prices),
        close=last.price,
        volume=sum(trade.quantity for trade in trades),
        quote_volume=sum(trade.quote_quantity for trade in trades),
        trades=len(trades),
        taker_base=sum(trade.quantity for trade in bought),
        taker_quote=sum(trade.quote_quantity for trade in bought),
        first_trade_id=first.id,
        last_trade_id=last.id,
    )


def _month(local: int) -> int:
    """The month that holds a local time, counted from January of the year 1."""
    era, day = divmod(local // DAY + _EPOCH_ORDINAL - 1, _ERA_DAYS)
    found = date.fromordinal(day + 1)
    return era * 4_800 + (found.year - 1) * 12 + found.month - 1


def _month_start(month: int) -> int:
    """When a month opens; the opposite of _month."""
    era, month_of_era = divmod(month, 4_800)
    year, month_of_year = divmod(month_of_era, 12)
    ordinal = date(year + 1, month_of_year + 1, 1).toordinal() + era * _ERA_DAYS
    return (ordinal - _EPOCH_ORDINAL) * DAY
