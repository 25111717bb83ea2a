"""What a stream says: rows and statistics, written as its payload.

Times arrive in microseconds and are written in the unit that a socket asked for. Prices and
quantities are written as REST writes them, with all decimals of their assets.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from exchange.services.aggregates import AggregateTrade
from exchange.services.amounts import format_amount
from exchange.services.candles import Candle, close_time
from exchange.services.market_view import Prices, Ticker
from exchange.services.markets import Market
from exchange.services.orders import Side
from exchange.services.rows import Trade
from exchange.websocket import payloads
from exchange.websocket.payloads import encode
from exchange.websocket.streams import Stream, Window

REMOVED = "0.00000000"
"""The quantity of a level that is gone: clients compare this text, whatever the asset's decimals."""
NO_TRADE = -1
PERCENT_DECIMALS = 3


class Form(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """How a socket wants events written.

    `combined` wraps each in an object that names its stream; `time_unit` is how many microseconds
    one unit of a written time has; `deflate_bits` is the window of its compression, 0 for none.
    """

    combined: bool = False
    time_unit: int = 1_000
    deflate_bits: int = 0


class Message:
    """One thing that is said, encoded once per time unit, however many listen."""

    __slots__ = ("_payloads", "_write")

    def __init__(self, write: Callable[[int], bytes]) -> None:
        self._write = write
        self._payloads: dict[int, bytes] = {}

    def payload(self, time_unit: int) -> bytes:
        """The JSON with times in that unit."""
        known = self._payloads.get(time_unit)
        if known is None:
            known = self._payloads[time_unit] = self._write(time_unit)
        return known

    def text(self, name: str, form: Form) -> bytes:
        """The JSON for those who listen under that name and want it in that form."""
        payload = self.payload(form.time_unit)
        return b'{"stream":"%b","data":%b}' % (name.encode(), payload) if form.combined else payload


class Event(NamedTuple):
    """A message, and the stream that says it."""

    stream: Stream
    message: Message


def trade_message(market: Market, trade: Trade, now: int) -> Message:
    def write(time_unit: int) -> bytes:
        return encode(
            payloads.Trade(
                event_time=now // time_unit,
                symbol=market.symbol,
                id=trade.id,
                price=_price(market, trade.price),
                quantity=_quantity(market, trade.quantity),
                time=trade.time // time_unit,
                # The buyer was there first if the seller took.
                buyer_is_maker=trade.taker_side is Side.SELL,
                ignored=True,
            )
        )

    return Message(write)


def aggregate_trade_message(market: Market, trade: AggregateTrade, now: int) -> Message:
    def write(time_unit: int) -> bytes:
        return encode(
            payloads.AggregateTrade(
                event_time=now // time_unit,
                symbol=market.symbol,
                id=trade.first_trade_id,
                price=_price(market, trade.price),
                quantity=_quantity(market, trade.quantity),
                first_trade_id=trade.first_trade_id,
                last_trade_id=trade.last_trade_id,
                time=trade.time // time_unit,
                buyer_is_maker=trade.taker_side is Side.SELL,
                ignored=True,
            )
        )

    return Message(write)


def kline_message(
    market: Market, candle: Candle, offset: int, now: int, *, is_closed: bool
) -> Message:
    closes = close_time(candle.interval, candle.open_time, offset)

    def write(time_unit: int) -> bytes:
        written = payloads.Candle(
            open_time=candle.open_time // time_unit,
            close_time=closes // time_unit,
            symbol=market.symbol,
            interval=candle.interval,
            first_trade_id=candle.first_trade_id,
            last_trade_id=candle.last_trade_id,
            open=_price(market, candle.open),
            close=_price(market, candle.close),
            high=_price(market, candle.high),
            low=_price(market, candle.low),
            volume=_quantity(market, candle.volume),
            trades=candle.trades,
            is_closed=is_closed,
            quote_volume=_price(market, candle.quote_volume),
            taker_base=_quantity(market, candle.taker_base),
            taker_quote=_price(market, candle.taker_quote),
            ignored="0",
        )
        return encode(
            payloads.Kline(event_time=now // time_unit, symbol=market.symbol, candle=written)
        )

    return Message(write)


def mini_ticker_message(market: Market, ticker: Ticker, now: int) -> Message:
    def write(time_unit: int) -> bytes:
        return encode(
            payloads.MiniTicker(
                event_time=now // time_unit,
                symbol=market.symbol,
                last_price=_price(market, ticker.last_price),
                open_price=_price(market, ticker.open_price),
                high_price=_price(market, ticker.high_price),
                low_price=_price(market, ticker.low_price),
                volume=_quantity(market, ticker.volume),
                quote_volume=_price(market, ticker.quote_volume),
            )
        )

    return Message(write)


def ticker_message(market: Market, ticker: Ticker, now: int) -> Message:
    bid_price, bid_quantity = _best(market, ticker.bid)
    ask_price, ask_quantity = _best(market, ticker.ask)

    def write(time_unit: int) -> bytes:
        return encode(
            payloads.Ticker(
                event_time=now // time_unit,
                symbol=market.symbol,
                price_change=_price(market, ticker.price_change),
                price_change_percent=format_amount(ticker.price_change_percent, PERCENT_DECIMALS),
                weighted_average_price=_price(market, ticker.weighted_average_price),
                previous_close_price=_price(market, ticker.previous_close_price or 0),
                last_price=_price(market, ticker.last_price),
                last_quantity=_quantity(market, ticker.last_quantity),
                bid_price=bid_price,
                bid_quantity=bid_quantity,
                ask_price=ask_price,
                ask_quantity=ask_quantity,
                open_price=_price(market, ticker.open_price),
                high_price=_price(market, ticker.high_price),
                low_price=_price(market, ticker.low_price),
                volume=_quantity(market, ticker.volume),
                quote_volume=_price(market, ticker.quote_volume),
                open_time=ticker.open_time // time_unit,
                close_time=ticker.close_time // time_unit,
                first_trade_id=_trade_id(ticker.first_trade_id),
                last_trade_id=_trade_id(ticker.last_trade_id),
                trades=ticker.trades,
            )
        )

    return Message(write)


def window_ticker_message(market: Market, ticker: Ticker, window: Window, now: int) -> Message:
    def write(time_unit: int) -> bytes:
        return encode(
            payloads.WindowTicker(
                event=payloads.WINDOW_EVENTS[window],
                event_time=now // time_unit,
                symbol=market.symbol,
                price_change=_price(market, ticker.price_change),
                price_change_percent=format_amount(ticker.price_change_percent, PERCENT_DECIMALS),
                open_price=_price(market, ticker.open_price),
                high_price=_price(market, ticker.high_price),
                low_price=_price(market, ticker.low_price),
                last_price=_price(market, ticker.last_price),
                weighted_average_price=_price(market, ticker.weighted_average_price),
                volume=_quantity(market, ticker.volume),
                quote_volume=_price(market, ticker.quote_volume),
                open_time=ticker.open_time // time_unit,
                close_time=ticker.close_time // time_unit,
                first_trade_id=_trade_id(ticker.first_trade_id),
                last_trade_id=_trade_id(ticker.last_trade_id),
                trades=ticker.trades,
            )
        )

    return Message(write)


def array_message(messages: Sequence[Message]) -> Message:
    """What is said of several markets, as one."""

    def write(time_unit: int) -> bytes:
        return b"[%b]" % b",".join(message.payload(time_unit) for message in messages)

    return Message(write)


def average_price_message(market: Market, price: int, last_trade_time: int, now: int) -> Message:
    def write(time_unit: int) -> bytes:
        return encode(
            payloads.AveragePrice(
                event_time=now // time_unit,
                symbol=market.symbol,
                interval=f"{market.average_price_minutes}m",
                price=_price(market, price),
                last_trade_time=last_trade_time // time_unit,
            )
        )

    return Message(write)


def book_ticker_message(
    market: Market,
    update_id: int,
    bid: tuple[int, int] | None,
    ask: tuple[int, int] | None,
) -> Message:
    """The best price and quantity of each side, both zero where a side is empty."""
    bid_price, bid_quantity = _best(market, bid)
    ask_price, ask_quantity = _best(market, ask)
    payload = payloads.BookTicker(
        update_id=update_id,
        symbol=market.symbol,
        bid_price=bid_price,
        bid_quantity=bid_quantity,
        ask_price=ask_price,
        ask_quantity=ask_quantity,
    )
    return Message(lambda _: encode(payload))


def depth_message(
    market: Market,
    *,
    first_update_id: int,
    last_update_id: int,
    bids: Iterable[tuple[int, int]],
    asks: Iterable[tuple[int, int]],
    now: int,
) -> Message:
    """The levels that changed with those update ids; quantity 0 for one that is gone."""
    changed_bids, changed_asks = _levels(market, bids), _levels(market, asks)

    def write(time_unit: int) -> bytes:
        return encode(
            payloads.Depth(
                event_time=now // time_unit,
                symbol=market.symbol,
                first_update_id=first_update_id,
                last_update_id=last_update_id,
                bids=changed_bids,
                asks=changed_asks,
            )
        )

    return Message(write)


def partial_depth_message(market: Market, update_id: int, bids: Prices, asks: Prices) -> Message:
    """The best levels as they are."""

    def write(_: int) -> bytes:
        return encode(
            payloads.PartialDepth(
                last_update_id=update_id, bids=_levels(market, bids), asks=_levels(market, asks)
            )
        )

    return Message(write)


def _trade_id(id: int | None) -> int:
    return NO_TRADE if id is None else id


def _best(market: Market, best: tuple[int, int] | None) -> tuple[str, str]:
    price, quantity = best or (0, 0)
    return _price(market, price), _quantity(market, quantity)


def _levels(market: Market, levels: Iterable[tuple[int, int]]) -> list[list[str]]:
    return [
        [_price(market, price), _quantity(market, quantity) if quantity else REMOVED]
        for price, quantity in levels
    ]


def _price(market: Market, price: int) -> str:
    return format_amount(price, market.quote_decimals)


def _quantity(market: Market, quantity: int) -> str:
    return format_amount(quantity, market.base_decimals)
