"""Tickers: last prices, best prices, and what happened in a window of time, of one or many markets.

The market view knows the minutes of the last day; windows that are longer come from Postgres.
"""

import re

from exchange.backend import errors, formats, market_formats, queries
from exchange.backend.answers import BookTicker, DayTicker, MiniTicker, PriceTicker, WindowTicker
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.formats import Json
from exchange.backend.parameters import SYMBOL, SYMBOLS, Parameter, Values, choice_parameter
from exchange.backend.routes.candles import TIME_ZONE
from exchange.backend.routes.market import SYMBOL_STATUS, current_view, known, without_duplicates
from exchange.services.candles import DAY, HOUR, MINUTE, Interval, close_time, open_time
from exchange.services.market_view import MarketView, Ticker

SYMBOLS_MAX = 100
WINDOW_DEFAULT = DAY
WINDOW_TICKERS = (WindowTicker, [WindowTicker], MiniTicker, [MiniTicker])
WEIGHT_EACH, WEIGHT_MAX = 4, 200

TICKER_TYPE = choice_parameter(
    "type",
    {name: name for name in ("FULL", "MINI")},
    "FULL by default.",
    fault=errors.TICKER_TYPE,
)
_UNITS = {"m": (MINUTE, 59), "h": (HOUR, 23), "d": (DAY, 7)}
_window = re.compile("([1-9][0-9]?)([mhd])", re.ASCII).fullmatch


def _read_window(name: str, text: str) -> int:
    """How long a window is, in µs: 1m to 59m, 1h to 23h, or 1d to 7d."""
    match = _window(text)
    if match is None or int(match[1]) > _UNITS[match[2]][1]:
        raise errors.invalid(name)
    return int(match[1]) * _UNITS[match[2]][0]


WINDOW_SIZE = Parameter(
    name="windowSize",
    read=_read_window,
    schema={"type": "string", "pattern": "^([1-5]?[0-9]m|(1?[0-9]|2[0-3])h|[1-7]d)$"},
    description="How far the window reaches back: 1m to 59m, 1h to 23h, 1d to 7d; 1d by default.",
)


async def ticker_24h(call: Call) -> Json | list[Json]:
    """The statistics of the last 24 hours."""
    is_mini = call.values.get(TICKER_TYPE) == "MINI"
    write = formats.mini_ticker if is_mini else formats.full_ticker
    return _one_or_many(
        call,
        [
            write(view.market, view.ticker_24h(call.now), call.unit)
            for view in await _chosen_views(call)
        ],
    )


async def ticker_price(call: Call) -> Json | list[Json]:
    """The last price."""
    return _one_or_many(call, [formats.price_ticker(view) for view in await _chosen_views(call)])


async def ticker_book(call: Call) -> Json | list[Json]:
    """The best bid and ask."""
    return _one_or_many(call, [formats.book_ticker(view) for view in await _chosen_views(call)])


async def ticker_trading_day(call: Call) -> Json | list[Json]:
    """The statistics of the day that it is in a time zone."""
    _check_symbols(call.values)
    offset = call.values.get(TIME_ZONE, 0)
    start = open_time(Interval.DAY_1, call.now, offset)
    end = close_time(Interval.DAY_1, call.now, offset)
    tickers = [
        (view, view.summary(view.traded(start, call.now), start, end))
        for view in await _chosen_views(call)
    ]
    return _windows(call, tickers)


async def ticker_window(call: Call) -> Json | list[Json]:
    """The statistics of a window that ends now and begins with a whole minute."""
    _check_symbols(call.values)
    width, now = call.values.get(WINDOW_SIZE, WINDOW_DEFAULT), call.now
    views = await _chosen_views(call)
    if width <= DAY:
        return _windows(call, [(view, view.ticker(now, width)) for view in views])
    start = now - now % MINUTE - width
    async with call.state.barrier.snapshot() as connection:
        traded = await queries.select_traded(
            connection, [view.market.symbol for view in views], start
        )
    return _windows(
        call,
        [(view, view.summary(traded.get(view.market.symbol), start, now)) for view in views],
    )


def _windows(call: Call, tickers: list[tuple[MarketView, Ticker]]) -> Json | list[Json]:
    is_mini = call.values.get(TICKER_TYPE) == "MINI"
    write = formats.mini_ticker if is_mini else formats.window_ticker
    return _one_or_many(call, [write(view.market, ticker, call.unit) for view, ticker in tickers])


def _one_or_many(call: Call, answers: list[Json]) -> Json | list[Json]:
    """One answer for `symbol`; a list for `symbols`, and for nothing, which means all."""
    return answers[0] if SYMBOL in call.values else answers


async def _chosen_views(call: Call) -> list[MarketView]:
    """The markets that are asked for, current; a wrong status is an error for `symbol` alone."""
    values = call.values
    if SYMBOL in values:
        if SYMBOLS in values:
            errors.COMBINATION.refuse()
        return [await current_view(call)]
    state = call.state
    await state.barrier.market_data()
    views = state.views.markets
    chosen = list(views.values())
    if SYMBOLS in values:
        chosen = [known(views, symbol) for symbol in without_duplicates(values[SYMBOLS])]
    status = values.get(SYMBOL_STATUS)
    return [one for one in chosen if status in (None, market_formats.market_status(one.market))]


def _check_symbols(values: Values) -> None:
    """Raises ApiError where all markets are meant, or too many."""
    if SYMBOL not in values and SYMBOLS not in values:
        raise errors.one_of_mandatory(SYMBOL.name, SYMBOLS.name)
    if len(values.get(SYMBOLS, ())) > SYMBOLS_MAX:
        raise errors.too_many_values(SYMBOLS.name, SYMBOLS_MAX)


def _day_weight(values: Values) -> int:
    if SYMBOL in values:
        return 2
    symbols = len(values.get(SYMBOLS, ()))
    if not symbols or symbols > 100:
        return 80
    return 2 if symbols <= 20 else 40


def _ticker_weight(values: Values) -> int:
    return 2 if SYMBOL in values else 4


def _window_weight(values: Values) -> int:
    return min(WEIGHT_EACH * (len(values.get(SYMBOLS, ())) or 1), WEIGHT_MAX)


_PARAMETERS = (SYMBOL, SYMBOLS, SYMBOL_STATUS)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/ticker/24hr",
        ticker_24h,
        socket_method="ticker.24hr",
        summary="The last 24 hours",
        answer=(DayTicker, [DayTicker], MiniTicker, [MiniTicker]),
        parameters=(*_PARAMETERS, TICKER_TYPE),
        weight=_day_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/tradingDay",
        ticker_trading_day,
        socket_method="ticker.tradingDay",
        summary="The day that it is",
        answer=WINDOW_TICKERS,
        parameters=(*_PARAMETERS, TIME_ZONE, TICKER_TYPE),
        weight=_window_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker",
        ticker_window,
        socket_method="ticker",
        summary="The last minutes, hours or days",
        answer=WINDOW_TICKERS,
        parameters=(*_PARAMETERS, WINDOW_SIZE, TICKER_TYPE),
        weight=_window_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/price",
        ticker_price,
        socket_method="ticker.price",
        summary="The last price",
        answer=(PriceTicker, [PriceTicker]),
        parameters=_PARAMETERS,
        weight=_ticker_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/bookTicker",
        ticker_book,
        socket_method="ticker.book",
        summary="The best bid and ask",
        answer=(BookTicker, [BookTicker]),
        parameters=_PARAMETERS,
        weight=_ticker_weight,
    ),
)
