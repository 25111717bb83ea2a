"""Candles, of any interval and in any time zone: read from Postgres, without gaps."""

import re
from typing import Any

from exchange.backend import errors, formats, queries
from exchange.backend.answers import Kline
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.parameters import (
    END_TIME,
    START_TIME,
    SYMBOL,
    Parameter,
    choice_parameter,
    limit_parameter,
)
from exchange.backend.routes.orders import market_of
from exchange.services.candles import (
    HOUR,
    MINUTE,
    SECONDS_KEPT,
    Interval,
    fill,
    open_time,
    shift,
)
from exchange.services.markets import Market

KLINES_LIMIT = limit_parameter(500, 1_000)
INTERVAL = choice_parameter(
    "interval", {one.value: one for one in Interval}, "Case matters.", fault=errors.INTERVAL
).required()

_time_zone = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?", re.ASCII).fullmatch


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


_PARAMETERS = (SYMBOL.required(), INTERVAL, START_TIME, END_TIME, TIME_ZONE, KLINES_LIMIT)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/klines",
        klines,
        socket_method="klines",
        summary="Candles",
        answer=([Kline],),
        parameters=_PARAMETERS,
        weight=2,
    ),
    Endpoint(
        "GET",
        "/api/v3/uiKlines",
        klines,
        socket_method="uiKlines",
        summary="Candles for charts, which are the same candles here",
        answer=([Kline],),
        parameters=_PARAMETERS,
        weight=2,
    ),
)
