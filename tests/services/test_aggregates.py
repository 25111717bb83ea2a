"""Aggregates: one taker, one price, one moment."""

from made_outcomes import START, UNIT, trade
from msgspec.structs import replace

from exchange.services.aggregates import aggregate
from exchange.services.orders import Side
from exchange.services.rows import Trade


def taken(id: int, taker: int, price: int, *, time: int = START, side: Side = Side.BUY) -> Trade:
    """A trade of one unit that this order took from a maker of its own."""
    orders = {"buy_order": taker, "sell_order": 900 + id}
    if side is Side.SELL:
        orders = {"buy_order": 900 + id, "sell_order": taker}
    return replace(trade(id, price, UNIT, time), taker_side=side, **orders)


def summary(*trades: Trade) -> list[tuple[int, int, int, int]]:
    """First id, last id, price and whole units of each aggregate."""
    return [
        (one.first_trade_id, one.last_trade_id, one.price, one.quantity // UNIT)
        for one in aggregate(trades)
    ]


def test_what_one_order_takes_at_one_price_is_one() -> None:
    assert summary(taken(1, 7, 100), taken(2, 7, 100), taken(3, 7, 101)) == [
        (1, 2, 100, 2),
        (3, 3, 101, 1),
    ]


def test_another_order_begins_another_one() -> None:
    assert summary(taken(1, 7, 100), taken(2, 8, 100)) == [(1, 1, 100, 1), (2, 2, 100, 1)]


def test_sellers_that_take_are_told_apart_by_their_own_order() -> None:
    trades = [taken(1, 7, 100, side=Side.SELL), taken(2, 7, 100, side=Side.SELL)]

    (only,) = aggregate(trades)

    assert (only.taker_side, only.quantity) == (Side.SELL, 2 * UNIT)


def test_another_moment_begins_another_one() -> None:
    assert len(aggregate([taken(1, 7, 100), taken(2, 7, 100, time=START + 1)])) == 2


def test_nothing_is_nothing() -> None:
    assert aggregate([]) == []
