"""Trades as their takers made them: what one order took at one price is one aggregate."""

from collections.abc import Iterable

import msgspec

from exchange.services.orders import Side
from exchange.services.rows import Trade


class AggregateTrade(msgspec.Struct, frozen=True, kw_only=True):
    """`first_trade_id` is also its own id: it grows, and names the same trades for ever."""

    symbol: str
    price: int
    quantity: int
    first_trade_id: int
    last_trade_id: int
    time: int
    taker_side: Side


def aggregate(trades: Iterable[Trade]) -> list[AggregateTrade]:
    """Trades of one market, by id, as aggregates in the same order."""
    found: list[AggregateTrade] = []
    last: Trade | None = None
    for trade in trades:
        if last is not None and belong_together(last, trade):
            found[-1] = msgspec.structs.replace(
                found[-1],
                quantity=found[-1].quantity + trade.quantity,
                last_trade_id=trade.id,
            )
        else:
            found.append(
                AggregateTrade(
                    symbol=trade.symbol,
                    price=trade.price,
                    quantity=trade.quantity,
                    first_trade_id=trade.id,
                    last_trade_id=trade.id,
                    time=trade.time,
                    taker_side=trade.taker_side,
                )
            )
        last = trade
    return found


def belong_together(first: Trade, second: Trade) -> bool:
    """Whether two trades, one right after the other, are parts of one aggregate."""
    return (
        _taker(first) == _taker(second)
        and first.price == second.price
        and first.time == second.time
    )


def _taker(trade: Trade) -> int:
    return trade.buy_order if trade.taker_side is Side.BUY else trade.sell_order
