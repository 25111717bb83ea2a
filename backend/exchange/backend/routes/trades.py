"""Public endpoints about what was traded: the newest trades, older ones, and aggregates."""

from itertools import islice

import asyncpg

from exchange.backend import errors, formats, queries
from exchange.backend.answers import Aggregate, PublicTrade
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.formats import Json
from exchange.backend.parameters import (
    END_TIME,
    FROM_ID,
    START_TIME,
    SYMBOL,
    limit_parameter,
)
from exchange.backend.routes.market import current_view
from exchange.backend.routes.orders import market_of
from exchange.services.aggregates import AggregateTrade, aggregate, belong_together
from exchange.services.rows import Trade

LIMIT_DEFAULT, LIMIT_MAX = 500, 1_000
LIMIT = limit_parameter(LIMIT_DEFAULT, LIMIT_MAX)

READ_AT_ONCE = 2_000
READS_MAX = 50
"""So many trades, so many times: an order that takes more than that at one price is cut there."""


async def recent_trades(call: Call) -> list[Json]:
    """The newest trades, oldest first."""
    view = await current_view(call)
    limit = call.values.get(LIMIT, LIMIT_DEFAULT)
    newest = list(islice(reversed(view.recent_trades), limit))
    return [formats.public_trade(view.market, trade, call.unit) for trade in reversed(newest)]


async def historical_trades(call: Call) -> list[Json]:
    """Trades from an id on, or the newest."""
    market = market_of(call)
    async with call.state.barrier.snapshot() as connection:
        trades = await queries.select_trades(
            connection,
            market.symbol,
            first_id=call.values.get(FROM_ID),
            limit=call.values.get(LIMIT, LIMIT_DEFAULT),
        )
    return [formats.public_trade(market, trade, call.unit) for trade in trades]


async def block_trades(call: Call) -> list[Json]:
    """There are none: nothing is traded past the book."""
    await current_view(call)
    return []


async def aggregate_trades(call: Call) -> list[Json]:
    """What takers took, one price at a time."""
    market = market_of(call)
    from_id, start = call.values.get(FROM_ID), call.values.get(START_TIME)
    end, limit = call.values.get(END_TIME), call.values.get(LIMIT, LIMIT_DEFAULT)
    if from_id is not None and (start is not None or end is not None):
        errors.COMBINATION.refuse()
    async with call.state.barrier.snapshot() as connection:
        if from_id is not None:
            found = await _from_id(connection, market.symbol, from_id, limit)
        elif start is not None:
            found = await _from_time(connection, market.symbol, start, end, limit)
        else:
            found = await _newest(connection, market.symbol, end, limit)
    return [formats.aggregate_trade(market, one, call.unit) for one in found]


async def _from_id(
    connection: asyncpg.Connection, symbol: str, first_id: int, limit: int
) -> list[AggregateTrade]:
    trades = await _read_on(connection, symbol, first_id, limit + 1)
    before = await queries.select_trades(connection, symbol, last_id=first_id - 1, limit=1)
    found = aggregate(trades)
    if before and trades and belong_together(before[0], trades[0]):
        # The first one began before the id that was asked for.
        del found[0]
    return found[:limit]


async def _from_time(
    connection: asyncpg.Connection, symbol: str, start: int, end: int | None, limit: int
) -> list[AggregateTrade]:
    first_id = await queries.select_first_trade_id(connection, symbol, start)
    if first_id is None:
        return []
    trades = await _read_on(connection, symbol, first_id, limit, start=start, end=end)
    return aggregate(trades)[:limit]


async def _read_on(
    connection: asyncpg.Connection,
    symbol: str,
    first_id: int,
    limit: int,
    *,
    start: int = 0,
    end: int | None = None,
) -> list[Trade]:
    """Trades of a time from an id on: all there are, or those of more than `limit` aggregates."""
    last = queries.NEWEST if end is None else end
    trades: list[Trade] = []
    for _ in range(READS_MAX):
        portion = await queries.select_trades(
            connection, symbol, first_id=first_id, limit=READ_AT_ONCE
        )
        trades += [trade for trade in portion if start <= trade.time <= last]
        is_over = len(portion) < READ_AT_ONCE or portion[-1].time > last
        # The last aggregate is whole only if another one has begun.
        if is_over or len(aggregate(trades)) > limit:
            break
        first_id = portion[-1].id + 1
    return trades


async def _newest(
    connection: asyncpg.Connection, symbol: str, end: int | None, limit: int
) -> list[AggregateTrade]:
    last_id, last = queries.NEWEST, queries.NEWEST
    if end is not None:
        last_id, last = await queries.select_last_trade_id(connection, symbol, end) or 0, end
    trades: list[Trade] = []
    for _ in range(READS_MAX):
        portion = await queries.select_trades(
            connection, symbol, last_id=last_id, limit=READ_AT_ONCE
        )
        trades = [trade for trade in portion if trade.time <= last] + trades
        # The oldest aggregate is whole only if another one ends before it.
        if len(portion) < READ_AT_ONCE or len(aggregate(trades)) > limit:
            break
        last_id = portion[0].id - 1
    return aggregate(trades)[-limit:]


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/trades",
        recent_trades,
        socket_method="trades.recent",
        summary="The newest trades",
        answer=([PublicTrade],),
        parameters=(SYMBOL.required(), LIMIT),
        weight=25,
    ),
    Endpoint(
        "GET",
        "/api/v3/historicalTrades",
        historical_trades,
        socket_method="trades.historical",
        summary="Older trades",
        answer=([PublicTrade],),
        parameters=(SYMBOL.required(), LIMIT, FROM_ID),
        weight=25,
    ),
    Endpoint(
        "GET",
        "/api/v3/historicalBlockTrades",
        block_trades,
        socket_method="blockTrades.historical",
        summary="Block trades: none",
        answer=([],),
        parameters=(SYMBOL.required(), FROM_ID.required(), LIMIT),
        weight=25,
    ),
    Endpoint(
        "GET",
        "/api/v3/aggTrades",
        aggregate_trades,
        socket_method="trades.aggregate",
        summary="Trades, aggregated by taker and price",
        answer=([Aggregate],),
        parameters=(SYMBOL.required(), FROM_ID, START_TIME, END_TIME, LIMIT),
        weight=4,
    ),
)
