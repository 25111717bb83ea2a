"""Public endpoints: the exchange, its markets, their books and their reference prices."""

import re
from typing import TypeVar

import msgspec

from exchange.backend import errors, formats, market_formats
from exchange.backend.answers import AveragePrice, Depth, ExchangeInformation, Nothing, ServerTime
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.formats import Json
from exchange.backend.parameters import (
    SYMBOL,
    SYMBOLS,
    Parameter,
    Values,
    choice_parameter,
    flag_parameter,
    limit_parameter,
)
from exchange.services.market_view import MarketView
from exchange.services.markets import Market

T = TypeVar("T")

DEPTH_LIMIT = limit_parameter(100, 5_000)
_STATUSES = ("TRADING", "HALT", "BREAK")
SYMBOL_STATUS = choice_parameter(
    "symbolStatus",
    {status: status for status in _STATUSES},
    "Only markets that have this status.",
    fault=errors.SYMBOL_STATUS,
)
SHOW_PERMISSION_SETS = flag_parameter(
    "showPermissionSets", "Whether permissionSets are shown; true by default."
)

_PERMISSIONS = r'^("?[A-Z0-9_]{1,20}"?|\["[A-Z0-9_]{1,20}"(,"[A-Z0-9_]{1,20}"){0,}\])$'
_permissions = re.compile(_PERMISSIONS, re.ASCII).fullmatch


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
        "rateLimits": call.current.limits.listed(),
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
        return [known(markets, symbol) for symbol in without_duplicates(symbols)]
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


async def reference_price(call: Call) -> None:
    """No market has a reference price."""
    await current_view(call)
    errors.NO_REFERENCE_PRICE.refuse()


async def current_view(call: Call) -> MarketView:
    """The market of `symbol`, current; raises the error for an unknown one."""
    state = call.state
    await state.barrier.market_data()
    view = known(state.views.markets, call.values[SYMBOL])
    status = call.values.get(SYMBOL_STATUS)
    if status not in (None, market_formats.market_status(view.market)):
        errors.STATUS_MISMATCH.refuse()
    return view


def known(markets: dict[str, T], symbol: str) -> T:
    """Raises the error for a symbol that there is not."""
    if symbol not in markets:
        errors.SYMBOL.refuse()
    return markets[symbol]


def without_duplicates(symbols: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(symbols)) != len(symbols):
        errors.DUPLICATE_SYMBOL.refuse()
    return symbols


def _depth_weight(values: Values) -> int:
    limit = values.get(DEPTH_LIMIT, 100)
    return next(weight for most, weight in _DEPTH_WEIGHTS if limit <= most)


_DEPTH_WEIGHTS = ((100, 5), (500, 25), (1_000, 50), (5_000, 250))

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/ping",
        ping,
        socket_method="ping",
        summary="Whether anybody is there",
        answer=(Nothing,),
    ),
    Endpoint(
        "GET",
        "/api/v3/time",
        server_time,
        socket_method="time",
        summary="The server's time",
        answer=(ServerTime,),
    ),
    Endpoint(
        "GET",
        "/api/v3/exchangeInfo",
        exchange_information,
        socket_method="exchangeInfo",
        summary="The markets and their rules",
        answer=(ExchangeInformation,),
        parameters=(SYMBOL, SYMBOLS, PERMISSIONS, SHOW_PERMISSION_SETS, SYMBOL_STATUS),
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/depth",
        depth,
        socket_method="depth",
        summary="The order book",
        answer=(Depth,),
        parameters=(SYMBOL.required(), DEPTH_LIMIT, SYMBOL_STATUS),
        weight=_depth_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/avgPrice",
        average_price,
        socket_method="avgPrice",
        summary="The average price of the last minutes",
        answer=(AveragePrice,),
        parameters=(SYMBOL.required(),),
        weight=2,
    ),
    Endpoint(
        "GET",
        "/api/v3/referencePrice",
        reference_price,
        socket_method="referencePrice",
        summary="Not offered: a market's reference price",
        answer=(),
        parameters=(SYMBOL.required(),),
        weight=2,
    ),
    Endpoint(
        "GET",
        "/api/v3/referencePrice/calculation",
        reference_price,
        socket_method="referencePrice.calculation",
        summary="Not offered: how a reference price is calculated",
        answer=(),
        parameters=(SYMBOL.required(), SYMBOL_STATUS),
        weight=2,
    ),
)
