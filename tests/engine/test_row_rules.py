"""What the rows of an outcome say beyond their amounts: times, names, counters, what is remembered."""

from random import Random

import pytest
from crowd import Crowd
from msgspec.structs import replace
from venue import (
    MARKET,
    SYMBOL,
    UNIT,
    Venue,
    WatchedVenue,
    listed,
    new,
    placed,
    reason,
    rows_of,
    trades,
)

from exchange.engine.ledger import Ledger
from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import AnyCommand, ChangeMarket, Undecodable
from exchange.services.markets import Market
from exchange.services.messages import JUMP, Done, Outcome, Reason, Rejected
from exchange.services.orders import OrderStatus, OrderType, SelfTrade, Side
from exchange.services.rows import Level, Order, OrderList, PreventedMatch, Trade

BUY, SELL = Side.BUY, Side.SELL
STOP = OrderType.STOP_LOSS
DECREMENT = SelfTrade.DECREMENT


def market_change(market: Market, maker_rate: int) -> AnyCommand:
    return ChangeMarket(
        symbol=market.symbol, maker_rate=maker_rate, taker_rate=0, rules=market.rules
    )


def test_every_row_carries_the_time_of_its_command() -> None:
    venue, chance = Venue(), Random(7)
    traders = [venue.account(name, SOL=10_000, USDC=1_000_000) for name in ("alice", "bob")]
    crowd = Crowd(venue.engine, traders, [SYMBOL])
    known: dict[int, Order] = {}
    seen = set()

    for _ in range(1_500):
        outcome = venue.do(crowd.command(chance))

        for row in outcome.rows:
            if isinstance(row, Trade | PreventedMatch):
                assert (row.symbol, row.time) == (SYMBOL, venue.now)
            elif isinstance(row, OrderList):
                assert row.updated == venue.now
            elif isinstance(row, Order):
                assert row.updated == venue.now or only_remembers(known[row.id], row), row
                known[row.id] = row
            seen.add(type(row))

    assert {Trade, PreventedMatch, OrderList, Order} <= seen


def only_remembers(before: Order, after: Order) -> bool:
    """Whether nothing but the extreme of a trailing stop is new, which is no event of the order."""
    extreme = after.terms.trailing_extreme
    special = replace(before.terms, trailing_extreme=extreme)
    return after == replace(before, special=special) and after != before


def test_levels_name_their_market(venue: Venue, alice: int) -> None:
    outcome = venue.order(alice, BUY, 1, 20)

    assert [level.symbol for level in rows_of(outcome, Level)] == [SYMBOL]


def test_a_jump_moves_every_counter_on(venue: Venue, alice: int) -> None:
    venue.trade_at(20)
    venue.order(alice, SELL, 1, 21)
    venue.order(alice, BUY, 1, 21, self_trade=DECREMENT)
    (before,) = venue.engine.counters()

    venue.engine.jump(JUMP)

    assert min(before.order_id, before.trade_id, before.update_id, before.match_id) > 0
    assert venue.engine.counters() == (
        replace(
            before,
            order_id=before.order_id + JUMP,
            trade_id=before.trade_id + JUMP,
            update_id=before.update_id + JUMP,
            queue=before.queue + JUMP,
            match_id=before.match_id + JUMP,
        ),
    )


def test_the_room_of_a_list_that_ended_is_there_for_one_other(venue: Venue, alice: int) -> None:
    venue.trade_at(20)
    venue.rule(order_lists_max=2)
    legs = (new(SELL, 1, 25, type=OrderType.LIMIT_MAKER), new(SELL, 1, type=STOP, stop=15))
    first, _ = (listed(venue.oco(alice, *legs)) for _ in range(2))

    venue.cancel_list(alice, list_id=first.id)

    assert reason(venue.oco(alice, *legs)) is None
    assert reason(venue.oco(alice, *legs)) is Reason.FILTER


def test_a_quote_amount_counts_every_piece_that_was_prevented(venue: Venue, alice: int) -> None:
    for price in (20, 21):
        venue.order(alice, SELL, 1, price)

    order = placed(venue.order(alice, BUY, None, quote_quantity=41, self_trade=DECREMENT))

    assert (order.quantity, order.terms.prevented) == (2 * UNIT, 2 * UNIT)
    assert order.status is OrderStatus.EXPIRED_IN_MATCH


def test_a_quote_amount_ends_as_its_last_piece_does(venue: Venue, alice: int, bob: int) -> None:
    for account, price in ((bob, 20), (bob, 21), (alice, 22)):
        venue.order(account, SELL, 1, price)

    order = placed(venue.order(alice, BUY, None, quote_quantity=63, self_trade=DECREMENT))

    assert (order.status, order.filled) == (OrderStatus.EXPIRED_IN_MATCH, 2 * UNIT)


@pytest.mark.parametrize(
    ("amount", "status"),
    [
        # All of it; less than a lot is left; just a lot is left, and nobody sells it.
        (20.0, OrderStatus.FILLED),
        (20.019, OrderStatus.FILLED),
        (20.02, OrderStatus.EXPIRED),
    ],
)
def test_a_quote_amount_is_filled_when_the_rest_buys_no_lot(
    venue: Venue, alice: int, bob: int, amount: float, status: OrderStatus
) -> None:
    venue.order(alice, SELL, 1, 20)

    order = placed(venue.order(bob, BUY, None, quote_quantity=amount))

    assert (order.status, order.filled) == (status, UNIT)


def test_who_follows_a_price_that_never_was_remembers_none(venue: Venue, alice: int) -> None:
    older, newer = (
        placed(venue.order(alice, SELL, 1, type=STOP, trailing_delta=100)) for _ in range(2)
    )

    outcome = venue.cancel(alice, newer.id)

    assert [row.id for row in rows_of(outcome, Order)] == [newer.id]
    assert venue.state(older.id).terms.trailing_extreme == 0


def test_a_change_of_a_market_is_done_or_says_what_does_not_fit() -> None:
    venue = WatchedVenue()

    fits = venue.do(market_change(MARKET, 5))
    does_not = venue.do(market_change(MARKET, -5))

    assert fits.result == Done()
    assert does_not.result == Rejected(
        reason=Reason.INVALID, detail="A fee rate must be at least 0 and below 1."
    )


def test_what_cannot_be_read_uses_up_its_number_and_says_why() -> None:
    engine = MatchingEngine()

    outcome = engine.apply(7, Undecodable("no such command"), 9)

    assert outcome == Outcome(
        number=7,
        time=9,
        uid=0,
        request=None,
        deadline=0,
        result=Rejected(reason=Reason.POISON, detail="no such command"),
    )


def test_an_iceberg_that_ends_does_not_end_the_one_behind_it(
    venue: Venue, alice: int, bob: int
) -> None:
    for account in (alice, bob):
        venue.order(account, SELL, 2, 20, iceberg=1)

    outcome = venue.order(alice, BUY, 2, 20, self_trade=SelfTrade.EXPIRE_MAKER)

    assert trades(outcome) == [(20, 1), (20, 1)]


@pytest.mark.parametrize("amount", [0, -1])
def test_nothing_is_moved_by_nothing(amount: int) -> None:
    ledger = Ledger()
    ledger.deposit(1, "SOL", 2)

    for move in (ledger.deposit, ledger.withdraw):
        with pytest.raises(AssertionError):
            move(1, "SOL", amount)
    ledger.withdraw(1, "SOL", 1)

    assert ledger.free(1, "SOL") == 1
