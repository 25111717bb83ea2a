"""Orders of one account that would trade with each other, in every mode of preventing that."""

import pytest
from msgspec.structs import replace
from venue import (
    MARKET,
    UNIT,
    Venue,
    WatchedVenue,
    listed,
    new,
    placed,
    prevented,
    reason,
    rows_of,
    trades,
)

from exchange.services.messages import Reason
from exchange.services.orders import (
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import Order, PreventedMatch

BUY, SELL = Side.BUY, Side.SELL
NONE, EXPIRE_TAKER = SelfTrade.NONE, SelfTrade.EXPIRE_TAKER
EXPIRE_MAKER, EXPIRE_BOTH = SelfTrade.EXPIRE_MAKER, SelfTrade.EXPIRE_BOTH
DECREMENT = SelfTrade.DECREMENT
NEW, FILLED = OrderStatus.NEW, OrderStatus.FILLED
EXPIRED, EXPIRED_IN_MATCH = OrderStatus.EXPIRED, OrderStatus.EXPIRED_IN_MATCH


@pytest.fixture
def venue() -> Venue:
    """Any value may be traded."""
    return WatchedVenue(replace(MARKET, notional_min=0))


def summary(order: Order) -> tuple[OrderStatus, float, float]:
    """Status, and what was traded and prevented in whole units."""
    return order.status, order.filled / UNIT, order.terms.prevented / UNIT


# --- The scenarios of the public API's documentation ---


def test_scenario_a_none_lets_an_account_trade_with_itself(venue: Venue, alice: int) -> None:
    maker = placed(venue.order(alice, BUY, 1, 1, self_trade=NONE))

    outcome = venue.order(alice, SELL, 1, 1, self_trade=NONE)

    assert trades(outcome) == [(1, 1)]
    assert venue.status(maker.id) is placed(outcome).status is FILLED
    assert prevented(outcome) == []


def test_scenario_b_expire_maker_ends_all_own_makers_and_the_taker_rests(
    venue: Venue, alice: int
) -> None:
    makers = [
        placed(venue.order(alice, BUY, quantity, price, self_trade=NONE)).id
        for quantity, price in ((1.2, 1.2), (1.3, 1.1), (8.1, 1))
    ]

    outcome = venue.order(alice, SELL, 3, 1, self_trade=EXPIRE_MAKER)

    assert [summary(venue.state(one)) for one in makers] == [
        (EXPIRED_IN_MATCH, 0, 1.2),
        (EXPIRED_IN_MATCH, 0, 1.3),
        (EXPIRED_IN_MATCH, 0, 8.1),
    ]
    assert summary(placed(outcome)) == (NEW, 0, 0)
    assert prevented(outcome) == [(makers[0], 0, 1.2), (makers[1], 0, 1.3), (makers[2], 0, 8.1)]
    rows = rows_of(outcome, PreventedMatch)
    assert [row.price / UNIT for row in rows] == [1.2, 1.1, 1]
    assert [row.id for row in rows] == [1, 2, 3]
    assert [venue.state(one).terms.prevented_match_id for one in makers] == [1, 2, 3]
    assert (venue.locked(alice, "USDC"), venue.locked(alice, "SOL")) == (0, 3)


def test_scenario_c_expire_taker_leaves_the_makers_alone(venue: Venue, alice: int) -> None:
    makers = [
        placed(venue.order(alice, BUY, quantity, price, self_trade=NONE)).id
        for quantity, price in ((1.2, 1.2), (1.3, 1.1), (8.1, 1))
    ]

    outcome = venue.order(alice, SELL, 3, 1, self_trade=EXPIRE_TAKER)

    assert [summary(venue.state(one)) for one in makers] == [(NEW, 0, 0)] * 3
    assert summary(placed(outcome)) == (EXPIRED_IN_MATCH, 0, 3)
    assert prevented(outcome) == [(makers[0], 3, 0)]
    assert placed(outcome).terms.prevented_match_id == 1
    assert venue.locked(alice, "SOL") == 0


def test_scenario_d_expire_both_ends_both(venue: Venue, alice: int) -> None:
    maker = placed(venue.order(alice, BUY, 1, 1, self_trade=NONE)).id

    outcome = venue.order(alice, SELL, 3, 1, self_trade=EXPIRE_BOTH)

    assert summary(venue.state(maker)) == (EXPIRED_IN_MATCH, 0, 1)
    assert summary(placed(outcome)) == (EXPIRED_IN_MATCH, 0, 3)
    assert prevented(outcome) == [(maker, 3, 1)]


def test_scenario_e_the_takers_mode_decides(venue: Venue, alice: int) -> None:
    maker = placed(venue.order(alice, BUY, 1, 1, self_trade=EXPIRE_MAKER)).id

    outcome = venue.order(alice, SELL, 1, 1, self_trade=EXPIRE_TAKER)

    assert summary(venue.state(maker)) == (NEW, 0, 0)
    assert summary(placed(outcome)) == (EXPIRED_IN_MATCH, 0, 1)
    (row,) = rows_of(outcome, PreventedMatch)
    assert row.self_trade is EXPIRE_TAKER


def test_scenario_f_a_market_order_that_ended_all_makers_runs_out_of_book(
    venue: Venue, alice: int
) -> None:
    maker = placed(venue.order(alice, BUY, 1, 1, self_trade=NONE)).id

    outcome = venue.order(alice, SELL, 1, self_trade=EXPIRE_MAKER)

    assert summary(venue.state(maker)) == (EXPIRED_IN_MATCH, 0, 1)
    assert summary(placed(outcome)) == (EXPIRED, 0, 0)
    assert placed(outcome).terms.expiry_reason is ExpiryReason.INSUFFICIENT_LIQUIDITY


def test_scenario_g_decrement_makes_both_smaller_by_the_smaller(venue: Venue, alice: int) -> None:
    maker = placed(venue.order(alice, BUY, 6, 2, self_trade=NONE)).id

    outcome = venue.order(alice, SELL, 2, 2, self_trade=DECREMENT)

    assert summary(venue.state(maker)) == (NEW, 0, 2)
    assert summary(placed(outcome)) == (EXPIRED_IN_MATCH, 0, 2)
    assert prevented(outcome) == [(maker, 2, 2)]
    assert venue.state(maker).terms.prevented_match_id == 1
    assert venue.book.side(BUY).quantity(2 * UNIT) == 4 * UNIT
    assert venue.locked(alice, "USDC") == 8


# --- Among others ---


def test_others_are_traded_with_before_and_after_own_orders(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, SELL, 1, 100)
    own = placed(venue.order(alice, SELL, 1, 101)).id
    venue.order(bob, SELL, 1, 102)

    outcome = venue.order(alice, BUY, 3, 102, self_trade=EXPIRE_MAKER)

    assert trades(outcome) == [(100, 1), (102, 1)]
    assert venue.status(own) is EXPIRED_IN_MATCH
    assert summary(placed(outcome)) == (OrderStatus.PARTIALLY_FILLED, 2, 0)


@pytest.mark.parametrize("mode", [EXPIRE_TAKER, EXPIRE_BOTH])
def test_a_taker_expires_with_what_it_has_left(
    venue: Venue, alice: int, bob: int, mode: SelfTrade
) -> None:
    venue.order(bob, SELL, 1, 100)
    own = placed(venue.order(alice, SELL, 5, 101)).id
    venue.order(bob, SELL, 1, 101)

    outcome = venue.order(alice, BUY, 3, 102, self_trade=mode)

    assert trades(outcome) == [(100, 1)]
    assert summary(placed(outcome)) == (EXPIRED_IN_MATCH, 1, 2)
    assert prevented(outcome) == [(own, 2, 5 if mode is EXPIRE_BOTH else 0)]
    assert venue.locked(alice, "USDC") == 0


def test_decrement_goes_on_with_what_the_taker_has_left(venue: Venue, alice: int, bob: int) -> None:
    own = placed(venue.order(alice, SELL, 1, 100)).id
    venue.order(bob, SELL, 1, 101)

    outcome = venue.order(alice, BUY, 3, 101, self_trade=DECREMENT)

    assert trades(outcome) == [(101, 1)]
    assert summary(venue.state(own)) == (EXPIRED_IN_MATCH, 0, 1)
    order = placed(outcome)
    assert summary(order) == (OrderStatus.PARTIALLY_FILLED, 1, 1)
    # One of three is left to buy.
    assert (order.remaining, order.locked) == (UNIT, 101 * UNIT)


def test_two_of_the_same_size_both_expire(venue: Venue, alice: int) -> None:
    own = placed(venue.order(alice, SELL, 1, 100)).id

    outcome = venue.order(alice, BUY, 1, 100, self_trade=DECREMENT)

    assert venue.status(own) is placed(outcome).status is EXPIRED_IN_MATCH


def test_the_last_lot_can_be_prevented_after_trades(venue: Venue, alice: int, bob: int) -> None:
    own = placed(venue.order(alice, SELL, 1, 100)).id
    venue.order(bob, BUY, 0.999, 100)

    outcome = venue.order(alice, BUY, 1, 100, self_trade=DECREMENT)

    assert summary(venue.state(own)) == (EXPIRED_IN_MATCH, 0.999, 0.001)
    assert summary(placed(outcome)) == (NEW, 0, 0.001)
    assert venue.locked(alice, "USDC") == 99.9


def test_an_order_whose_last_piece_is_traded_is_filled_whatever_was_prevented_before(
    venue: Venue, alice: int, bob: int
) -> None:
    own = placed(venue.order(alice, SELL, 3, 100)).id
    venue.order(alice, BUY, 1, 100, self_trade=DECREMENT)

    venue.order(bob, BUY, 2, 100)

    assert summary(venue.state(own)) == (FILLED, 2, 1)


def test_a_prevented_match_moves_no_price_and_no_money(venue: Venue, alice: int) -> None:
    venue.trade_at(90)
    venue.order(alice, SELL, 1, 100)

    venue.order(alice, BUY, 1, 100, self_trade=EXPIRE_BOTH)

    assert venue.book.last_price == 90 * UNIT
    assert (venue.free(alice, "SOL"), venue.free(alice, "USDC")) == (1_000, 100_000)


def test_another_accounts_order_is_no_self_trade(venue: Venue, alice: int, bob: int) -> None:
    venue.order(bob, SELL, 1, 100, self_trade=EXPIRE_BOTH)

    assert trades(venue.order(alice, BUY, 1, 100, self_trade=EXPIRE_BOTH)) == [(100, 1)]


# --- Every kind of order ---


@pytest.mark.parametrize("mode", [NONE, EXPIRE_MAKER])
def test_an_order_that_never_takes_is_refused_also_before_an_own_one(
    venue: Venue, alice: int, mode: SelfTrade
) -> None:
    venue.order(alice, SELL, 1, 100)

    outcome = venue.order(alice, BUY, 1, 100, type=OrderType.LIMIT_MAKER, self_trade=mode)

    assert reason(outcome) is Reason.WOULD_MATCH


@pytest.mark.parametrize("mode", [EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH, DECREMENT])
def test_an_order_that_must_be_filled_whole_does_nothing_if_it_cannot_trade_it_all(
    venue: Venue, alice: int, bob: int, mode: SelfTrade
) -> None:
    venue.order(bob, SELL, 1, 100)
    own = placed(venue.order(alice, SELL, 1, 100)).id

    outcome = venue.order(alice, BUY, 2, 100, time_in_force=TimeInForce.FOK, self_trade=mode)

    assert (trades(outcome), prevented(outcome)) == ([], [])
    assert summary(placed(outcome)) == (EXPIRED, 0, 0)
    assert placed(outcome).terms.expiry_reason is ExpiryReason.UNFILLED_FOK
    assert venue.status(own) is NEW


def test_an_order_that_must_be_filled_whole_passes_own_orders_if_others_fill_it(
    venue: Venue, alice: int, bob: int
) -> None:
    own = placed(venue.order(alice, SELL, 1, 100)).id
    venue.order(bob, SELL, 2, 100)

    outcome = venue.order(
        alice, BUY, 2, 100, time_in_force=TimeInForce.FOK, self_trade=EXPIRE_MAKER
    )

    assert (trades(outcome), venue.status(own)) == ([(100, 2)], EXPIRED_IN_MATCH)


def test_an_ioc_order_expires_with_what_neither_traded_nor_was_prevented(
    venue: Venue, alice: int
) -> None:
    venue.order(alice, SELL, 1, 100)

    outcome = venue.order(alice, BUY, 3, 100, time_in_force=TimeInForce.IOC, self_trade=DECREMENT)

    assert summary(placed(outcome)) == (EXPIRED, 0, 1)
    assert placed(outcome).terms.expiry_reason is ExpiryReason.UNFILLED_IOC


def test_a_quote_amount_is_used_up_by_what_is_prevented(venue: Venue, alice: int, bob: int) -> None:
    own = placed(venue.order(alice, SELL, 1, 100)).id
    venue.order(bob, SELL, 5, 100)

    outcome = venue.order(alice, BUY, None, quote_quantity=300, self_trade=DECREMENT)

    assert trades(outcome) == [(100, 2)]
    assert summary(venue.state(own)) == (EXPIRED_IN_MATCH, 0, 1)
    order = placed(outcome)
    assert (summary(order), order.quantity) == ((FILLED, 2, 1), 3 * UNIT)


@pytest.mark.parametrize("mode", [EXPIRE_TAKER, EXPIRE_BOTH])
def test_a_quote_amount_loses_what_it_could_have_traded_there(
    venue: Venue, alice: int, mode: SelfTrade
) -> None:
    venue.order(alice, SELL, 5, 100)

    order = placed(venue.order(alice, BUY, None, quote_quantity=300, self_trade=mode))

    assert (summary(order), order.quantity) == ((EXPIRED_IN_MATCH, 0, 3), 3 * UNIT)


def test_a_stop_prevents_with_its_own_mode_when_it_is_set_off(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    own = placed(venue.order(alice, SELL, 3, 106)).id
    stop = placed(
        venue.order(alice, BUY, 2, type=OrderType.STOP_LOSS, stop=105, self_trade=DECREMENT)
    ).id

    venue.trade_at(105)

    assert summary(venue.state(stop)) == (EXPIRED_IN_MATCH, 0, 2)
    assert summary(venue.state(own)) == (NEW, 0, 2)
    assert venue.locked(alice, "USDC") == 0


# --- Against icebergs ---


def test_decrement_takes_an_iceberg_slice_by_slice(venue: Venue, alice: int, bob: int) -> None:
    own = placed(venue.order(alice, SELL, 4, 100, iceberg=1)).id
    venue.order(bob, SELL, 1, 100)

    outcome = venue.order(alice, BUY, 3.5, 100, self_trade=DECREMENT)

    assert prevented(outcome) == [(own, 1, 1), (own, 1, 1), (own, 0.5, 0.5)]
    assert trades(outcome) == [(100, 1)]
    # Its first slice, then the other's order, then slices again.
    kinds = [type(row).__name__ for row in outcome.rows]
    matches = [kind for kind in kinds if kind in ("Trade", "PreventedMatch")]
    assert matches == ["PreventedMatch", "Trade", "PreventedMatch", "PreventedMatch"]
    assert summary(venue.state(own)) == (NEW, 0, 2.5)
    assert venue.state(own).shown == UNIT // 2


@pytest.mark.parametrize("mode", [EXPIRE_MAKER, EXPIRE_BOTH])
def test_an_iceberg_expires_with_all_that_it_hides(
    venue: Venue, alice: int, mode: SelfTrade
) -> None:
    own = placed(venue.order(alice, SELL, 4, 100, iceberg=1)).id

    outcome = venue.order(alice, BUY, 1, 100, self_trade=mode)

    assert summary(venue.state(own)) == (EXPIRED_IN_MATCH, 0, 4)
    assert prevented(outcome) == [(own, 1 if mode is EXPIRE_BOTH else 0, 4)]
    assert venue.book.side(SELL).best_price() is None


def test_an_iceberg_that_expires_offers_no_later_slice_in_the_same_sweep(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 4, 100, iceberg=1)
    venue.order(bob, SELL, 1, 100)

    outcome = venue.order(alice, BUY, 3, 100, self_trade=EXPIRE_MAKER)

    assert (trades(outcome), len(prevented(outcome))) == ([(100, 1)], 1)


# --- With lists ---


def test_a_prevented_match_of_one_leg_ends_the_other(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 2, 110, type=OrderType.LIMIT_MAKER),
            new(SELL, 2, type=OrderType.STOP_LOSS, stop=90),
        )
    )

    venue.order(alice, BUY, 1, 110, self_trade=DECREMENT)

    above, below = (venue.state(one) for one in pair.order_ids)
    assert summary(above) == (NEW, 0, 1)
    assert below.status is EXPIRED
    assert below.terms.expiry_reason is ExpiryReason.OCO_TRIGGER
    assert venue.locked(alice, "SOL") == 1
    assert venue.list_state(pair.id).status is ListStatus.EXECUTING


@pytest.mark.parametrize("mode", [EXPIRE_MAKER, EXPIRE_BOTH])
def test_a_leg_that_expires_in_a_match_leaves_nothing_of_its_list(
    venue: Venue, alice: int, mode: SelfTrade
) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 2, 110, type=OrderType.LIMIT_MAKER),
            new(SELL, 2, type=OrderType.STOP_LOSS, stop=90),
        )
    )

    venue.order(alice, BUY, 1, 110, self_trade=mode)

    assert [venue.status(one) for one in pair.order_ids] == [EXPIRED_IN_MATCH, EXPIRED]
    assert venue.list_state(pair.id).status is ListStatus.ALL_DONE
    assert venue.locked(alice, "SOL") == 0


def test_a_leg_that_only_ended_the_taker_stays_with_the_other(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 2, 110, type=OrderType.LIMIT_MAKER),
            new(SELL, 2, type=OrderType.STOP_LOSS, stop=90),
        )
    )

    venue.order(alice, BUY, 1, 110, self_trade=EXPIRE_TAKER)

    assert [venue.status(one) for one in pair.order_ids] == [NEW, NEW]


def test_a_working_order_that_expires_in_a_match_starts_nothing(venue: Venue, alice: int) -> None:
    pair = listed(venue.oto(alice, new(SELL, 2, 100), new(BUY, 1, 90)))

    venue.order(alice, BUY, 1, 100, self_trade=EXPIRE_BOTH)

    working, pending = (venue.state(one) for one in pair.order_ids)
    assert summary(working) == (EXPIRED_IN_MATCH, 0, 2)
    assert pending.terms.expiry_reason is ExpiryReason.OTO_PHASE_ONE_EXPIRED


# --- What a market allows ---


def test_an_order_without_a_mode_has_that_of_its_market(venue: Venue, alice: int) -> None:
    venue.rule(self_trade_default=EXPIRE_BOTH)
    own = placed(venue.order(alice, SELL, 1, 100))

    order = placed(venue.order(alice, BUY, 1, 100))

    assert own.self_trade is order.self_trade is EXPIRE_BOTH
    assert order.status is EXPIRED_IN_MATCH


def test_a_mode_that_a_market_does_not_allow_is_refused(venue: Venue, alice: int) -> None:
    venue.rule(self_trade_modes=(NONE, EXPIRE_TAKER, EXPIRE_BOTH))

    outcome = venue.order(alice, SELL, 1, 100, self_trade=EXPIRE_MAKER)

    assert reason(outcome) is Reason.SELF_TRADE_MODE
    assert reason(venue.order(alice, SELL, 1, 100, self_trade=EXPIRE_TAKER)) is None


def test_a_new_default_leaves_orders_as_they_are(venue: Venue, alice: int) -> None:
    own = placed(venue.order(alice, SELL, 1, 100))
    venue.rule(self_trade_default=DECREMENT)

    assert venue.book.orders[own.id].self_trade is NONE
