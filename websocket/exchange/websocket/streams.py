"""The streams: what there is to listen to, and under which names.

Names are those of the public API: a market's begin with its symbol in lower case, those of all
markets at once with an exclamation mark.
"""

from collections.abc import Container, Iterator
from enum import IntEnum, StrEnum
from functools import cache

import msgspec

from exchange.services.candles import DAY, HOUR, Interval, open_time

PARTIAL_LEVELS = (5, 10, 20)
ALL = ""
"""In place of a symbol: all markets."""


class Kind(StrEnum):
    TRADE = "trade"
    AGGREGATE_TRADE = "aggTrade"
    KLINE = "kline"
    MINI_TICKER = "miniTicker"
    TICKER = "ticker"
    WINDOW_TICKER = "windowTicker"
    BOOK_TICKER = "bookTicker"
    AVERAGE_PRICE = "avgPrice"
    DEPTH = "depth"
    PARTIAL_DEPTH = "partialDepth"


class Speed(IntEnum):
    """How often a stream may speak, in milliseconds."""

    FAST = 100
    SLOW = 1_000
    SLOWER = 2_000
    SLOWEST = 3_000


DEPTH_SPEEDS = (Speed.FAST, Speed.SLOW)
ARRAY_SPEEDS = (Speed.SLOW, Speed.SLOWEST)


class Window(StrEnum):
    """What the statistics of a WINDOW_TICKER are of."""

    HOUR_1 = "1h"
    HOUR_4 = "4h"
    DAY_1 = "1d"

    @property
    def width(self) -> int:
        """In microseconds."""
        return _WIDTHS[self]


_WIDTHS = {Window.HOUR_1: HOUR, Window.HOUR_4: 4 * HOUR, Window.DAY_1: DAY}


class Stream(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """One thing to listen to; `names` are all its spellings, which all say the same.

    Without a speed it speaks at once. A partial depth has `levels`, a kline an interval and what
    its time zone adds to UTC (in microseconds), and a ticker may have a window.
    """

    symbol: str = ALL
    kind: Kind
    speed: Speed | None = None
    levels: int = 0
    interval: Interval | None = None
    offset: int = 0
    window: Window | None = None
    names: tuple[str, ...]

    @property
    def is_conflated(self) -> bool:
        """Whether only the newest of what it said matters to a client that is slow."""
        return self.symbol != ALL and self.kind in _CONFLATED

    def exists(self, symbols: Container[str]) -> bool:
        """Whether there is something to listen to, where these are the markets."""
        return self.symbol == ALL or self.symbol in symbols


# Each of these tells a state, whole, and none of them promises every state that there was.
_CONFLATED = {
    Kind.BOOK_TICKER,
    Kind.MINI_TICKER,
    Kind.TICKER,
    Kind.WINDOW_TICKER,
    Kind.AVERAGE_PRICE,
    Kind.PARTIAL_DEPTH,
}


def parse_stream(name: str) -> Stream | None:
    """The stream of that name, whether or not its market exists; None where we have none such."""
    found = _array_streams().get(name)
    if found is not None:
        return found
    symbol, _, suffix = name.partition("@")
    found = _patterns_by_suffix().get(suffix)
    if found is None or not symbol or symbol != symbol.lower():
        return None
    return _of_market(found, symbol.upper())


def market_streams(symbol: str) -> list[Stream]:
    """All streams of a market."""
    return [_of_market(pattern, symbol) for pattern in _patterns()]


def array_streams() -> list[Stream]:
    """All streams of all markets at once."""
    return list(dict.fromkeys(_array_streams().values()))


def _of_market(pattern: Stream, symbol: str) -> Stream:
    prefix = f"{symbol.lower()}@"
    names = tuple(prefix + suffix for suffix in pattern.names)
    return msgspec.structs.replace(pattern, symbol=symbol, names=names)


def _patterns() -> Iterator[Stream]:
    """The streams that every market has; their names are what stands behind the symbol."""
    for kind in (Kind.TRADE, Kind.AGGREGATE_TRADE, Kind.BOOK_TICKER):
        yield Stream(kind=kind, names=(kind,))
    yield Stream(kind=Kind.AVERAGE_PRICE, speed=Speed.SLOW, names=(Kind.AVERAGE_PRICE,))
    yield from _tickers()
    for interval in Interval:
        yield from _klines(interval)
    for speed in DEPTH_SPEEDS:
        yield Stream(kind=Kind.DEPTH, speed=speed, names=_depth_names("depth", speed))
        for levels in PARTIAL_LEVELS:
            names = _depth_names(f"depth{levels}", speed)
            yield Stream(kind=Kind.PARTIAL_DEPTH, speed=speed, levels=levels, names=names)


def _tickers() -> Iterator[Stream]:
    for kind in (Kind.MINI_TICKER, Kind.TICKER):
        yield Stream(kind=kind, speed=Speed.SLOW, names=(kind,))
    for window in Window:
        yield Stream(
            kind=Kind.WINDOW_TICKER, speed=Speed.SLOW, window=window, names=(f"ticker_{window}",)
        )


def _klines(interval: Interval) -> Iterator[Stream]:
    """In UTC and at +08:00, which for most intervals is the same."""
    name, offset = f"kline_{interval}", 8 * HOUR
    speed = Speed.SLOW if interval is Interval.SECOND_1 else Speed.SLOWER
    here = Stream(kind=Kind.KLINE, speed=speed, interval=interval, names=(name,))
    there = msgspec.structs.replace(here, offset=offset, names=(f"{name}@+08:00",))
    # Where one candle opens at the offset, all of them do, except for months: those never do.
    if open_time(interval, offset) == offset:
        yield msgspec.structs.replace(here, names=here.names + there.names)
    else:
        yield from (here, there)


def _depth_names(name: str, speed: Speed) -> tuple[str, ...]:
    return (f"{name}@100ms",) if speed is Speed.FAST else (name, f"{name}@1000ms")


@cache
def _patterns_by_suffix() -> dict[str, Stream]:
    return {name: pattern for pattern in _patterns() for name in pattern.names}


@cache
def _array_streams() -> dict[str, Stream]:
    """Tickers alone; libraries append how fast they want them."""
    found: dict[str, Stream] = {}
    for pattern in _tickers():
        (name,) = pattern.names
        for speed in ARRAY_SPEEDS:
            names = [f"!{name}@arr", f"!{name}@arr@{speed}ms"]
            if speed is not Speed.SLOW:
                del names[0]
            stream = msgspec.structs.replace(pattern, speed=speed, names=tuple(names))
            found |= dict.fromkeys(names, stream)
    return found
