"""The streams: their names, how to read one, and what each has to say.

Names and fields are those of the public API; a name's symbol is in lower case. Times arrive in
microseconds and are written in the unit that a socket asked for.
"""

from collections.abc import Callable, Iterable
from enum import IntEnum, StrEnum
from functools import cache

import msgspec

from exchange.services.amounts import format_amount
from exchange.services.market_view import Prices
from exchange.services.markets import Market
from exchange.services.messages import Side, Trade

REMOVED = "0.00000000"
"""The quantity of a level that is gone: clients compare this text, whatever the asset's decimals."""

PARTIAL_LEVELS = (5, 10, 20)


class Kind(StrEnum):
    TRADE = "trade"
    DEPTH = "depth"
    PARTIAL_DEPTH = "partialDepth"
    BOOK_TICKER = "bookTicker"


class Speed(IntEnum):
    """How often a depth stream speaks, in milliseconds."""

    FAST = 100
    SLOW = 1_000


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """How a socket wants events written.

    `combined` wraps each in an object that names its stream; `time_unit` is how many microseconds
    one unit of a written time has.
    """

    combined: bool = False
    time_unit: int = 1_000


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to listen to; `speed` counts only for depth, `levels` only for partial depth.

    `names` are all its spellings, which all say the same.
    """

    symbol: str
    kind: Kind
    speed: Speed = Speed.SLOW
    levels: int = 0
    names: tuple[str, ...]


def market_streams(symbol: str) -> list[Stream]:
    """All streams of a market."""
    return [
        _named(symbol, Kind.TRADE),
        _named(symbol, Kind.BOOK_TICKER),
        *(_named(symbol, Kind.DEPTH, speed) for speed in Speed),
        *(
            _named(symbol, Kind.PARTIAL_DEPTH, speed, levels)
            for speed in Speed
            for levels in PARTIAL_LEVELS
        ),
    ]


def parse_stream(name: str) -> Stream | None:
    """The stream of that name, whether or not its market exists; None where we have none such."""
    symbol, _, suffix = name.partition("@")
    found = _streams_by_suffix().get(suffix)
    if found is None or not symbol or symbol != symbol.lower():
        return None
    return _named(symbol.upper(), found.kind, found.speed, found.levels)


def _named(symbol: str, kind: Kind, speed: Speed = Speed.SLOW, levels: int = 0) -> Stream:
    prefix = f"{symbol.lower()}@"
    if kind in (Kind.TRADE, Kind.BOOK_TICKER):
        names = [prefix + kind]
    elif speed is Speed.FAST:
        names = [f"{prefix}depth{levels or ''}@100ms"]
    else:
        names = [f"{prefix}depth{levels or ''}", f"{prefix}depth{levels or ''}@1000ms"]
    return Stream(symbol=symbol, kind=kind, speed=speed, levels=levels, names=tuple(names))


@cache
def _streams_by_suffix() -> dict[str, Stream]:
    streams = market_streams("")
    return {name.removeprefix("@"): stream for stream in streams for name in stream.names}


class Event:
    """One thing that a stream says, encoded once per time unit, however many listen."""

    __slots__ = ("_payloads", "_write", "stream")

    def __init__(self, stream: Stream, write: Callable[[int], bytes]) -> None:
        self.stream = stream
        self._write = write
        self._payloads: dict[int, bytes] = {}

    def text(self, name: str, form: Form) -> bytes:
        """The JSON for those who listen under that name and want it in that form."""
        payload = self._payloads.get(form.time_unit)
        if payload is None:
            payload = self._payloads[form.time_unit] = self._write(form.time_unit)
        if form.combined:
            return b'{"stream":"%b","data":%b}' % (name.encode(), payload)
        return payload


def trade_event(stream: Stream, market: Market, trade: Trade, now: int) -> Event:
    def write(time_unit: int) -> bytes:
        return _encode(
            _TradePayload(
                event_time=now // time_unit,
                symbol=market.symbol,
                id=trade.id,
                price=_price(market, trade.price),
                quantity=_quantity(market, trade.quantity),
                time=trade.time // time_unit,
                # The buyer was there first if the seller took.
                buyer_is_maker=trade.taker_side is Side.SELL,
            )
        )

    return Event(stream, write)


def depth_event(
    stream: Stream,
    market: Market,
    *,
    first_update_id: int,
    last_update_id: int,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    now: int,
) -> Event:
    """The levels that changed with those update ids; quantity 0 for one that is gone."""
    changed_bids, changed_asks = _levels(market, bids), _levels(market, asks)

    def write(time_unit: int) -> bytes:
        return _encode(
            _DepthPayload(
                event_time=now // time_unit,
                symbol=market.symbol,
                first_update_id=first_update_id,
                last_update_id=last_update_id,
                bids=changed_bids,
                asks=changed_asks,
            )
        )

    return Event(stream, write)


def partial_depth_event(
    stream: Stream, market: Market, update_id: int, bids: Prices, asks: Prices
) -> Event:
    """The best levels as they are."""
    return _timeless(
        stream,
        _PartialDepthPayload(
            last_update_id=update_id, bids=_levels(market, bids), asks=_levels(market, asks)
        ),
    )


def book_ticker_event(
    stream: Stream,
    market: Market,
    update_id: int,
    bid: tuple[int, int] | None,
    ask: tuple[int, int] | None,
) -> Event:
    """The best price and quantity of each side, both zero where a side is empty."""
    bid_price, bid_quantity = bid or (0, 0)
    ask_price, ask_quantity = ask or (0, 0)
    return _timeless(
        stream,
        _BookTickerPayload(
            update_id=update_id,
            symbol=market.symbol,
            bid_price=_price(market, bid_price),
            bid_quantity=_quantity(market, bid_quantity),
            ask_price=_price(market, ask_price),
            ask_quantity=_quantity(market, ask_quantity),
        ),
    )


class _TradePayload(msgspec.Struct, kw_only=True):
    event: str = msgspec.field(name="e", default="trade")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    id: int = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    # Means nothing any more, but is always there.
    ignored: bool = msgspec.field(name="M", default=True)


class _DepthPayload(msgspec.Struct, kw_only=True):
    event: str = msgspec.field(name="e", default="depthUpdate")
    event_time: int = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first_update_id: int = msgspec.field(name="U")
    last_update_id: int = msgspec.field(name="u")
    bids: list[tuple[str, str]] = msgspec.field(name="b")
    asks: list[tuple[str, str]] = msgspec.field(name="a")


class _PartialDepthPayload(msgspec.Struct, kw_only=True):
    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[tuple[str, str]]
    asks: list[tuple[str, str]]


class _BookTickerPayload(msgspec.Struct, kw_only=True):
    """The one without an event name: clients know it by that."""

    update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_price: str = msgspec.field(name="b")
    bid_quantity: str = msgspec.field(name="B")
    ask_price: str = msgspec.field(name="a")
    ask_quantity: str = msgspec.field(name="A")


_encode = msgspec.json.Encoder().encode


def _timeless(stream: Stream, payload: msgspec.Struct) -> Event:
    return Event(stream, lambda _: _encode(payload))


def _levels(market: Market, levels: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    return [
        (_price(market, price), _quantity(market, quantity) if quantity else REMOVED)
        for price, quantity in levels
    ]


def _price(market: Market, price: int) -> str:
    return format_amount(price, market.quote_decimals)


def _quantity(market: Market, quantity: int) -> str:
    return format_amount(quantity, market.base_decimals)
