"""What the streams that tell a market's state would say: its tickers, average price, best levels."""

from operator import attrgetter
from typing import NamedTuple

from exchange.services.candles import MINUTE
from exchange.services.market_view import MarketView
from exchange.websocket.events import (
    Message,
    average_price_message,
    mini_ticker_message,
    partial_depth_message,
    ticker_message,
    window_ticker_message,
)
from exchange.websocket.streams import Kind, Stream, Window

Mark = tuple[int, int, int, int]


class Statement(NamedTuple):
    """A message, and the state that it tells: another message about the same state is not news.

    The time at which it is said is no part of the state, nor is the window's own.
    """

    state: object
    message: Message


class MarketStates:
    """One market's; each statement is made once a tick, however many streams make it."""

    def __init__(self, view: MarketView) -> None:
        self._view = view
        self._moment: tuple[Mark, int] | None = None
        self._known: dict[tuple[Kind, Window | None, int], Statement] = {}

    def mark(self, now: int) -> Mark:
        """As long as this stays the same, so do all states: windows move on by minutes."""
        counters = self._view.counters
        return counters.update_id, counters.trade_id, self._view.beginning, now // MINUTE

    def statement(self, stream: Stream, now: int) -> Statement:
        """What a stream of that kind would say now, whatever its speed, alone or in an array."""
        moment = (self.mark(now), now)
        if moment != self._moment:
            self._moment = moment
            self._known.clear()
        key = (stream.kind, stream.window, stream.levels)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._make(stream, now)
        return known

    def _make(self, stream: Stream, now: int) -> Statement:
        market = self._view.market
        match stream.kind:
            case Kind.MINI_TICKER:
                ticker = self._view.ticker_24h(now)
                return Statement(_in_short(ticker), mini_ticker_message(market, ticker, now))
            case Kind.TICKER:
                ticker = self._view.ticker_24h(now)
                return Statement(_in_full(ticker), ticker_message(market, ticker, now))
            case Kind.WINDOW_TICKER:
                assert stream.window is not None
                ticker = self._view.ticker(now, stream.window.width)
                message = window_ticker_message(market, ticker, stream.window, now)
                return Statement(_of_window(ticker), message)
            case Kind.AVERAGE_PRICE:
                return self._average_price(now)
            case Kind.PARTIAL_DEPTH:
                depth = self._view.depth(stream.levels)
                return Statement(depth[1:], partial_depth_message(market, *depth))
        raise AssertionError(stream)

    def _average_price(self, now: int) -> Statement:
        market, trades = self._view.market, self._view.recent_trades
        price = self._view.average_price(now, market.average_price_minutes)
        last_trade_time = trades[-1].time if trades else 0
        message = average_price_message(market, price, last_trade_time, now)
        return Statement((price, last_trade_time), message)


_SHORT = ("last_price", "open_price", "high_price", "low_price", "volume", "quote_volume")
_WINDOW = (*_SHORT, "first_trade_id", "last_trade_id", "trades")
_FULL = (*_WINDOW, "previous_close_price", "last_quantity", "bid", "ask")

_in_short = attrgetter(*_SHORT)
_of_window = attrgetter(*_WINDOW)
_in_full = attrgetter(*_FULL)
