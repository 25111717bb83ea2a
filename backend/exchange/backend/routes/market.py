"""Public endpoints: the exchange, its markets, their books, candles and tickers."""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from exchange.backend import errors, formats, market_formats, queries
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.formats import Json
from exchange.backend.parameters import (
    END_TIME,
    START_TIME,
    SYMBOL,
    SYMBOLS,
    Parameter,
    Values,
    choice_parameter,
    flag_parameter,
    limit_parameter,
)
from exchange.backend.routes.orders import market_of
from exchange.backend.weights import LIMIT as WEIGHT_LIMIT
from exchange.services.candles import (
    HOUR,
    MINUTE,
    SECONDS_KEPT,
    Interval,
    fill,
    open_time,
    shift,
)
from exchange.services.market_view import MarketView
from exchange.services.markets import Market

T = TypeVar("T")

DEPTH_LIMIT = limit_parameter(100, 5_000)
KLINES_LIMIT = limit_parameter(500, 1_000)
_STATUSES = ("TRADING", "HALT", "BREAK")
SYMBOL_STATUS = choice_parameter(
    "symbolStatus",
    {status: status for status in _STATUSES},
    "Only markets that have this status.",
    fault=errors.SYMBOL_STATUS,
)
TICKER_TYPE = choice_parameter(
    "type",
    {name: name for name in ("FULL", "MINI")},
    "FULL by default.",
    fault=errors.TICKER_TYPE,
)
INTERVAL = choice_parameter(
    "interval", {one.value: one for one in Interval}, "Case matters.", fault=errors.INTERVAL
).required()
SHOW_PERMISSION_SETS = flag_parameter(
    "showPermissionSets", "Whether permissionSets are shown; true by default."
)

_PERMISSIONS = r'^("?[A-Z0-9_]{1,20}"?|\["[A-Z0-9_]{1,20}"(,"[A-Z0-9_]{1,20}"){0,}\])$'
_permissions = re.compile(_PERMISSIONS, re.ASCII).fullmatch
_time_zone = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?", re.ASCII).fullmatch


def _read_permissions(name: str, text: str) -> frozenset[str]:
    if _permissions(text) is None:
        raise errors.illegal(name, _PERMISSIONS)
    if text.startswith("["):
        return frozenset(msgspec.json.decode(text, type=list[str]))
    return frozenset({text.strip('"')})


PERMISSIONS = Parameter(
    name="permissions",
    read=_read_permissions,
    schema={"type": "string", "example": "SPOT"},
    description="Only markets with one of these permissions: a name, or a JSON list of names.",
)


def _read_time_zone(name: str, text: str) -> int:
    """What the time zone adds to UTC, in µs: `8`, `-3:30` or `+05:45`, from -12:00 to +14:00."""
    match = _time_zone(text)
    if match is None:
        raise errors.invalid(name)
    offset = int(match[2]) * HOUR + int(match[3] or 0) * MINUTE
    if match[1] == "-":
        offset = -offset
    if not -12 * HOUR <= offset <= 14 * HOUR:
        raise errors.invalid(name)
    return offset


TIME_ZONE = Parameter(
    name="timeZone",
    read=_read_time_zone,
    schema={"type": "string", "example": "+08:00"},
    description="Where intervals open: -12:00 to +14:00, UTC by default.",
)


async def ping(_call: Call) -> Json:
    return {}


async def server_time(call: Call) -> Json:
    return {"serverTime": call.unit.of(call.now)}


async def exchange_information(call: Call) -> Json:
    """The limits that are in force, and the markets with their rules."""
    _check_market_choice(call.values)
    state = call.state
    await state.barrier.market_data()
    markets = chosen_markets(call, state.directory.markets)
    shown = call.values.get(SHOW_PERMISSION_SETS, True)
    return {
        "timezone": "UTC",
        "serverTime": call.unit.of(call.now),
        "rateLimits": [
            {
                "rateLimitType": "REQUEST_WEIGHT",
                "interval": "MINUTE",
                "intervalNum": 1,
                "limit": WEIGHT_LIMIT,
            }
        ],
        "exchangeFilters": market_formats.exchange_filters(state.directory.exchange_rules),
        "symbols": [
            market_formats.symbol_information(market, permission_sets=shown) for market in markets
        ],
    }


def _check_market_choice(values: Values) -> None:
    choices = [one for one in (SYMBOL, SYMBOLS, PERMISSIONS) if one in values]
    if len(choices) > 1:
        errors.COMBINATION.refuse()
    if SYMBOL_STATUS in values and (SYMBOL in values or SYMBOLS in values):
        errors.COMBINATION.refuse()


def chosen_markets(call: Call, markets: dict[str, Market]) -> list[Market]:
    """Those of `symbol` or `symbols`, else all with the permission and the status, if asked for."""
    values = call.values
    if SYMBOL in values or SYMBOLS in values:
        symbols = values[SYMBOLS] if SYMBOLS in values else (values[SYMBOL],)
        return [_known(markets, symbol) for symbol in _without_duplicates(symbols)]
    if "SPOT" not in values.get(PERMISSIONS, ("SPOT",)):
        return []
    status = values.get(SYMBOL_STATUS)
    return [one for one in markets.values() if status in (None, market_formats.market_status(one))]


async def depth(call: Call) -> Json:
    """The order book, in the same sequence of update ids as the streams."""
    view = await current_view(call)
    update_id, bids, asks = view.depth(call.values.get(DEPTH_LIMIT, 100))
    return {
        "lastUpdateId": update_id,
        "bids": formats.levels(view.market, bids),
        "asks": formats.levels(view.market, asks),
    }


async def average_price(call: Call) -> Json:
    """The price by which market orders are valued."""
    view = await current_view(call)
    minutes = view.market.average_price_minutes
    last = view.recent_trades[-1].time if view.recent_trades else 0
    return {
        "mins": minutes,
        "price": formats.price(view.market, view.average_price(call.now, minutes)),
        "closeTime": call.unit.of(last),
    }


async def klines(call: Call) -> list[list[Any]]:
    """Candles, the running one included; quiet ones are flat."""
    market = market_of(call)
    interval, offset = call.values[INTERVAL], call.values.get(TIME_ZONE, 0)
    opens = _candle_opens(call, market, interval, offset)
    if not opens:
        return []
    last = shift(interval, opens[-1], 1, offset) - 1
    async with call.state.barrier.snapshot() as connection:
        candles = await queries.select_candles(
            connection, market.symbol, interval, offset, opens, last
        )
        previous_close = await queries.select_close_before(
            connection, market.symbol, interval, offset, opens[0]
        )
    filled = fill(
        candles,
        opens[0],
        opens[-1],
        symbol=market.symbol,
        interval=interval,
        previous_close=previous_close,
        limit=len(opens),
        offset=offset,
    )
    return [formats.kline(market, candle, offset, call.unit) for candle in filled]


def _candle_opens(call: Call, market: Market, interval: Interval, offset: int) -> list[int]:
    """When the candles open that are asked for: none before the market, none in the future."""
    limit = call.values.get(KLINES_LIMIT, 500)
    start, end = call.values.get(START_TIME), call.values.get(END_TIME)
    last = open_time(interval, min(call.now, call.now if end is None else end), offset)
    first = open_time(interval, market.created, offset)
    if interval is Interval.SECOND_1:
        first = max(first, open_time(interval, call.now - SECONDS_KEPT))
    if start is None:
        first = max(first, shift(interval, last, 1 - limit, offset))
    elif start > first:
        opened = open_time(interval, start, offset) if start <= call.now else call.now + 1
        # A candle belongs to the window that it opens in.
        first = opened if opened >= start else shift(interval, opened, 1, offset)
    opens: list[int] = []
    while first <= last and len(opens) < limit:
        opens.append(first)
        first = shift(interval, first, 1, offset)
    return opens


async def ticker_24h(call: Call) -> Json | list[Json]:
    """The statistics of the last 24 hours."""
    write = formats.mini_ticker if call.values.get(TICKER_TYPE) == "MINI" else formats.full_ticker
    return await _for_markets(
        call, lambda view: write(view.market, view.ticker_24h(call.now), call.unit)
    )


async def ticker_price(call: Call) -> Json | list[Json]:
    """The last price."""
    return await _for_markets(call, formats.price_ticker)


async def ticker_book(call: Call) -> Json | list[Json]:
    """The best bid and ask."""
    return await _for_markets(call, formats.book_ticker)


async def _for_markets(call: Call, write: Callable[[MarketView], Json]) -> Json | list[Json]:
    """One answer for `symbol`; a list for `symbols`, and for nothing, which means all."""
    values = call.values
    if SYMBOL in values:
        if SYMBOLS in values:
            errors.COMBINATION.refuse()
        return write(await current_view(call))
    state = call.state
    await state.barrier.market_data()
    views = state.views.markets
    chosen = list(views.values())
    if SYMBOLS in values:
        chosen = [_known(views, symbol) for symbol in _without_duplicates(values[SYMBOLS])]
    status = values.get(SYMBOL_STATUS)
    return [
        write(view)
        for view in chosen
        if status in (None, market_formats.market_status(view.market))
    ]


async def current_view(call: Call) -> MarketView:
    """The market of `symbol`, current; raises the error for an unknown one."""
    state = call.state
    await state.barrier.market_data()
    view = _known(state.views.markets, call.values[SYMBOL])
    status = call.values.get(SYMBOL_STATUS)
    if status not in (None, market_formats.market_status(view.market)):
        errors.STATUS_MISMATCH.refuse()
    return view


def _known(known: dict[str, T], symbol: str) -> T:
    if symbol not in known:
        errors.SYMBOL.refuse()
    return known[symbol]


def _without_duplicates(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(symbols)) != len(symbols):
        errors.DUPLICATE_SYMBOL.refuse()
    return symbols


def _depth_weight(values: Values) -> int:
    limit = values.get(DEPTH_LIMIT, 100)
    return next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)


_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))


def _day_weight(values: Values) -> int:
    if SYMBOL in values:
        return 2
    symbols = len(values.get(SYMBOLS, ()))
    if not symbols or symbols > 100:
        return 80
    return 2 if symbols <= 20 else 40


def _ticker_weight(values: Values) -> int:
    return 2 if SYMBOL in values else 4


_TICKER_PARAMETERS = (SYMBOL, SYMBOLS, SYMBOL_STATUS)

ENDPOINTS = (
    Endpoint("GET", "/api/v3/ping", ping, summary="Whether anybody is there"),
    Endpoint("GET", "/api/v3/time", server_time, summary="The server's time"),
    Endpoint(
        "GET",
        "/api/v3/exchangeInfo",
        exchange_information,
        summary="The markets and their rules",
        parameters=(SYMBOL, SYMBOLS, PERMISSIONS, SHOW_PERMISSION_SETS, SYMBOL_STATUS),
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/depth",
        depth,
        summary="The order book",
        parameters=(SYMBOL.required(), DEPTH_LIMIT, SYMBOL_STATUS),
        weight=_depth_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/avgPrice",
        average_price,
        summary="The average price of the last minutes",
        parameters=(SYMBOL.required(),),
        weight=2,
    ),
    Endpoint(
        "GET",
        "/api/v3/klines",
        klines,
        summary="Candles",
        parameters=(
            SYMBOL.required(), INTERVAL, START_TIME, END_TIME, TIME_ZONE, KLINES_LIMIT,
        ),
        weight=2,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/24hr",
        ticker_24h,
        summary="The last 24 hours",
        parameters=(*_TICKER_PARAMETERS, TICKER_TYPE),
        weight=_day_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/price",
        ticker_price,
        summary="The last price",
        parameters=_TICKER_PARAMETERS,
        weight=_ticker_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/ticker/bookTicker",
        ticker_book,
        summary="The best bid and ask",
        parameters=_TICKER_PARAMETERS,
        weight=_ticker_weight,
    ),
)  # fmt: skip
