"""Every message that a stream sends, exactly as it is written; docs/asyncapi.yaml is made of these.

Fields stand in the order of the public API's documentation. Numbers that may have a fraction are
text. Times are milliseconds, or microseconds for a socket that asked for them.
"""

from typing import Annotated, Literal

import msgspec

from exchange.websocket.streams import Window

Amount = Annotated[str, msgspec.Meta(pattern="^[0-9]+([.][0-9]+)?$")]
Difference = Annotated[str, msgspec.Meta(pattern="^-?[0-9]+([.][0-9]+)?$")]
Level = Annotated[list[Amount], msgspec.Meta(min_length=2, max_length=2)]
"""A price and the quantity there."""
Time = Annotated[int, msgspec.Meta(ge=0)]
TradeId = Annotated[int, msgspec.Meta(ge=-1)]
"""-1 where nothing was traded."""
WindowEvent = Literal["1hTicker", "4hTicker", "1dTicker"]
WINDOW_EVENTS: dict[Window, WindowEvent] = {
    Window.HOUR_1: "1hTicker",
    Window.HOUR_4: "4hTicker",
    Window.DAY_1: "1dTicker",
}


class Payload(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, gc=False):
    """A message; the tag of an event is its first field."""


class Trade(Payload, tag_field="e", tag="trade"):
    """One trade."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    id: int = msgspec.field(name="t")
    price: Amount = msgspec.field(name="p")
    quantity: Amount = msgspec.field(name="q")
    time: Time = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    # Means nothing any more, but is always there.
    ignored: bool = msgspec.field(name="M")


class AggregateTrade(Payload, tag_field="e", tag="aggTrade"):
    """What one order took at one price; its id is also that of its first trade."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    id: int = msgspec.field(name="a")
    price: Amount = msgspec.field(name="p")
    quantity: Amount = msgspec.field(name="q")
    first_trade_id: int = msgspec.field(name="f")
    last_trade_id: int = msgspec.field(name="l")
    time: Time = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")
    ignored: bool = msgspec.field(name="M")


class Candle(Payload):
    """A candle as it is; `x` says whether its time is over. V and Q are what takers bought."""

    open_time: Time = msgspec.field(name="t")
    close_time: Time = msgspec.field(name="T")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    first_trade_id: TradeId = msgspec.field(name="f")
    last_trade_id: TradeId = msgspec.field(name="L")
    open: Amount = msgspec.field(name="o")
    close: Amount = msgspec.field(name="c")
    high: Amount = msgspec.field(name="h")
    low: Amount = msgspec.field(name="l")
    volume: Amount = msgspec.field(name="v")
    trades: int = msgspec.field(name="n")
    is_closed: bool = msgspec.field(name="x")
    quote_volume: Amount = msgspec.field(name="q")
    taker_base: Amount = msgspec.field(name="V")
    taker_quote: Amount = msgspec.field(name="Q")
    ignored: str = msgspec.field(name="B")


class Kline(Payload, tag_field="e", tag="kline"):
    """A candle that changed, began or ended."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    candle: Candle = msgspec.field(name="k")


class MiniTicker(Payload, tag_field="e", tag="24hrMiniTicker"):
    """The last 24 hours in short."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    last_price: Amount = msgspec.field(name="c")
    open_price: Amount = msgspec.field(name="o")
    high_price: Amount = msgspec.field(name="h")
    low_price: Amount = msgspec.field(name="l")
    volume: Amount = msgspec.field(name="v")
    quote_volume: Amount = msgspec.field(name="q")


class Ticker(Payload, tag_field="e", tag="24hrTicker"):
    """The last 24 hours, and the best prices."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    price_change: Difference = msgspec.field(name="p")
    price_change_percent: Difference = msgspec.field(name="P")
    weighted_average_price: Amount = msgspec.field(name="w")
    previous_close_price: Amount = msgspec.field(name="x")
    last_price: Amount = msgspec.field(name="c")
    last_quantity: Amount = msgspec.field(name="Q")
    bid_price: Amount = msgspec.field(name="b")
    bid_quantity: Amount = msgspec.field(name="B")
    ask_price: Amount = msgspec.field(name="a")
    ask_quantity: Amount = msgspec.field(name="A")
    open_price: Amount = msgspec.field(name="o")
    high_price: Amount = msgspec.field(name="h")
    low_price: Amount = msgspec.field(name="l")
    volume: Amount = msgspec.field(name="v")
    quote_volume: Amount = msgspec.field(name="q")
    open_time: Time = msgspec.field(name="O")
    close_time: Time = msgspec.field(name="C")
    first_trade_id: TradeId = msgspec.field(name="F")
    last_trade_id: TradeId = msgspec.field(name="L")
    trades: int = msgspec.field(name="n")


class WindowTicker(Payload):
    """The last hour, four hours or day."""

    event: WindowEvent = msgspec.field(name="e")
    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    price_change: Difference = msgspec.field(name="p")
    price_change_percent: Difference = msgspec.field(name="P")
    open_price: Amount = msgspec.field(name="o")
    high_price: Amount = msgspec.field(name="h")
    low_price: Amount = msgspec.field(name="l")
    last_price: Amount = msgspec.field(name="c")
    weighted_average_price: Amount = msgspec.field(name="w")
    volume: Amount = msgspec.field(name="v")
    quote_volume: Amount = msgspec.field(name="q")
    open_time: Time = msgspec.field(name="O")
    close_time: Time = msgspec.field(name="C")
    first_trade_id: TradeId = msgspec.field(name="F")
    last_trade_id: TradeId = msgspec.field(name="L")
    trades: int = msgspec.field(name="n")


class AveragePrice(Payload, tag_field="e", tag="avgPrice"):
    """The average price of the last minutes, by which orders without a price are valued."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    interval: str = msgspec.field(name="i")
    price: Amount = msgspec.field(name="w")
    last_trade_time: Time = msgspec.field(name="T")


class BookTicker(Payload):
    """The best price and quantity of each side; the one without an event name."""

    update_id: int = msgspec.field(name="u")
    symbol: str = msgspec.field(name="s")
    bid_price: Amount = msgspec.field(name="b")
    bid_quantity: Amount = msgspec.field(name="B")
    ask_price: Amount = msgspec.field(name="a")
    ask_quantity: Amount = msgspec.field(name="A")


class Depth(Payload, tag_field="e", tag="depthUpdate"):
    """Levels that changed; a quantity of exactly 0.00000000 means that the level is gone."""

    event_time: Time = msgspec.field(name="E")
    symbol: str = msgspec.field(name="s")
    first_update_id: int = msgspec.field(name="U")
    last_update_id: int = msgspec.field(name="u")
    bids: list[Level] = msgspec.field(name="b")
    asks: list[Level] = msgspec.field(name="a")


class PartialDepth(Payload):
    """The best levels of each side, best first."""

    last_update_id: int = msgspec.field(name="lastUpdateId")
    bids: list[Level]
    asks: list[Level]


class ServerShutdown(Payload, tag_field="e", tag="serverShutdown"):
    """The server is about to stop: connect again."""

    event_time: Time = msgspec.field(name="E")


encode = msgspec.json.Encoder().encode
