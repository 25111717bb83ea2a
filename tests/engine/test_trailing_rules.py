"""Orders that follow the price: where they begin, what they remember, and what sets them off."""

from typing import Any

import pytest
from venue import UNIT, Venue, WatchedVenue, detail, placed, reason

from exchange.services.messages import Reason
from exchange.services.orders import OrderStatus, OrderType, Side
from exchange.services.rows import Order

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, STOP_LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT


def trailing(
    venue: Venue, account: int, side: Side, type: OrderType, delta: int, **terms: Any
) -> Order:
    """An order that rests, far away, once it is set off."""
    price = terms.pop("price", 50 if side is BUY else 200)
    return placed(venue.order(account, side, 1, price, type=type, trailing_delta=delta, **terms))


def follows_from(venue: Venue, order: Order) -> float | None:
    """The best price since an order follows; None while it does not."""
    terms = venue.state(order.id).terms
    return terms.trailing_extreme / UNIT if terms.trailing_from else None


def is_set_off(venue: Venue, order: Order) -> bool:
    return not venue.state(order.id).terms.waiting


def walk(venue: Venue, end: float) -> None:
    """Trades at prices that lead evenly from the last one to another."""
    begin = venue.book.last_price / UNIT
    for step in range(1, 5):
        price = begin + (end - begin) * step / 4
        venue.trade_at(round(price, 2))


# --- The scenarios of the public API's documentation ---


@pytest.fixture
def busy() -> Venue:
    """The last price is 40,000."""
    venue = WatchedVenue()
    venue.trade_at(40_000)
    return venue


@pytest.fixture
def trader(busy: Venue) -> int:
    return busy.account("trader", SOL=10, USDC=100_000)


def test_scenario_a_a_stop_loss_buy_begins_at_its_stop_price_and_follows_down(
    busy: Venue, trader: int
) -> None:
    order = trailing(busy, trader, BUY, STOP_LOSS_LIMIT, 500, price=45_000, stop=44_000)
    walk(busy, 37_000)
    assert follows_from(busy, order) is None

    walk(busy, 43_999)
    assert follows_from(busy, order) is None
    walk(busy, 44_000)
    assert follows_from(busy, order) == 44_000

    walk(busy, 45_000)
    walk(busy, 46_000)
    assert follows_from(busy, order) == 44_000
    walk(busy, 42_000)
    assert follows_from(busy, order) == 42_000

    walk(busy, 44_099.99)
    assert not is_set_off(busy, order)
    busy.trade_at(44_100)
    assert is_set_off(busy, order)
    assert busy.book.side(BUY).best_price() == 45_000 * UNIT


def test_scenario_b_a_stop_loss_sell_begins_at_its_stop_price_and_follows_up(
    busy: Venue, trader: int
) -> None:
    order = trailing(busy, trader, SELL, STOP_LOSS_LIMIT, 1_000, price=38_000, stop=39_000)
    walk(busy, 41_500)
    walk(busy, 39_000.01)
    assert follows_from(busy, order) is None

    busy.trade_at(39_000)
    walk(busy, 37_000)
    assert follows_from(busy, order) == 39_000
    walk(busy, 41_000)
    assert follows_from(busy, order) == 41_000

    walk(busy, 36_900.01)
    assert not is_set_off(busy, order)
    busy.trade_at(36_900)
    assert is_set_off(busy, order)
    assert busy.book.side(SELL).best_price() == 38_000 * UNIT


def test_scenario_c_a_take_profit_buy_begins_at_its_stop_price_and_follows_down(
    busy: Venue, trader: int
) -> None:
    order = trailing(busy, trader, BUY, TAKE_PROFIT_LIMIT, 850, price=38_500, stop=38_000)
    walk(busy, 42_000)
    walk(busy, 38_000.01)
    assert follows_from(busy, order) is None

    busy.trade_at(38_000)
    walk(busy, 37_000)
    assert follows_from(busy, order) == 37_000
    walk(busy, 39_000)
    walk(busy, 38_000)
    assert follows_from(busy, order) == 37_000

    walk(busy, 40_144.99)
    assert not is_set_off(busy, order)
    busy.trade_at(40_145)
    assert is_set_off(busy, order)
    assert busy.book.side(BUY).best_price() == 38_500 * UNIT


def test_scenario_d_a_take_profit_sell_begins_at_its_stop_price_and_follows_up(
    busy: Venue, trader: int
) -> None:
    order = trailing(busy, trader, SELL, TAKE_PROFIT_LIMIT, 750, price=41_000, stop=42_000)
    walk(busy, 41_500)
    walk(busy, 39_000)
    assert follows_from(busy, order) is None

    walk(busy, 42_000)
    walk(busy, 45_000)
    walk(busy, 44_000)
    assert follows_from(busy, order) == 45_000
    walk(busy, 46_500)
    assert follows_from(busy, order) == 46_500

    walk(busy, 43_012.51)
    assert not is_set_off(busy, order)
    # 43,012.5 would rest at 41,000, which the trade of that price does not stand in the way of.
    busy.trade_at(43_012.5)
    assert is_set_off(busy, order)
    assert busy.book.side(SELL).best_price() == 41_000 * UNIT


def test_scenario_e_without_a_stop_price_an_order_follows_from_the_last_price_on(
    busy: Venue, trader: int
) -> None:
    order = trailing(busy, trader, SELL, STOP_LOSS_LIMIT, 700, price=39_000)
    assert follows_from(busy, order) == 40_000

    walk(busy, 42_000)
    walk(busy, 39_500)
    assert follows_from(busy, order) == 42_000
    walk(busy, 45_500)
    assert follows_from(busy, order) == 45_500

    walk(busy, 42_315.01)
    assert not is_set_off(busy, order)
    busy.trade_at(42_315)
    assert is_set_off(busy, order)
    assert busy.book.side(SELL).best_price() == 39_000 * UNIT


# --- Where they begin ---


@pytest.fixture
def venue() -> Venue:
    """The last price is 100."""
    venue = WatchedVenue()
    venue.trade_at(100)
    return venue


def test_in_a_market_that_never_traded_the_first_trade_is_the_best_price() -> None:
    venue = WatchedVenue()
    alice = venue.account("alice", SOL=10, USDC=1_000)
    sell = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 100)
    buy = trailing(venue, alice, BUY, STOP_LOSS_LIMIT, 100)
    assert follows_from(venue, sell) == follows_from(venue, buy) == 0

    venue.trade_at(100)

    assert follows_from(venue, buy) == 100
    venue.trade_at(101)
    assert is_set_off(venue, buy)
    venue.trade_at(99.99)
    assert is_set_off(venue, sell)


@pytest.mark.parametrize(
    ("type", "side", "stop"),
    [
        (STOP_LOSS_LIMIT, BUY, 100),
        (TAKE_PROFIT_LIMIT, SELL, 99),
        (STOP_LOSS_LIMIT, SELL, 101),
        (TAKE_PROFIT_LIMIT, BUY, 100),
    ],
)
def test_a_stop_price_that_is_met_already_lets_an_order_follow_at_once(
    venue: Venue, alice: int, type: OrderType, side: Side, stop: float
) -> None:
    order = trailing(venue, alice, side, type, 100, stop=stop)

    assert follows_from(venue, order) == 100
    assert order.terms.trailing_time == venue.now


def test_the_trade_that_meets_the_stop_price_is_the_first_best_price(
    venue: Venue, alice: int
) -> None:
    order = trailing(venue, alice, SELL, TAKE_PROFIT_LIMIT, 100, stop=105)
    assert (order.terms.trailing_time, order.terms.trailing_extreme) == (0, 0)

    venue.trade_at(107)

    assert follows_from(venue, order) == 107
    assert venue.state(order.id).terms.trailing_time == venue.now
    assert venue.state(order.id).terms.waiting
    # The stop price is done with: below it the order still follows.
    venue.trade_at(105.94)
    assert not is_set_off(venue, order)
    venue.trade_at(105.93)
    assert is_set_off(venue, order)


# --- What sets them off ---


@pytest.mark.parametrize(
    ("side", "just_not", "enough"), [(SELL, 98.51, 98.5), (BUY, 101.49, 101.5)]
)
def test_the_whole_distance_sets_an_order_off_and_not_a_tick_less(
    venue: Venue, alice: int, side: Side, just_not: float, enough: float
) -> None:
    order = trailing(venue, alice, side, STOP_LOSS_LIMIT, 150)

    venue.trade_at(just_not)
    assert not is_set_off(venue, order)

    venue.trade_at(enough)
    assert is_set_off(venue, order)


def test_prices_in_the_middle_of_a_sweep_count(venue: Venue, alice: int, bob: int) -> None:
    order = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 200)
    for price in (110, 108, 107.8):
        venue.order(bob, BUY, 1, price)

    venue.order(alice, SELL, 2, 108)
    assert follows_from(venue, order) == 110
    assert not is_set_off(venue, order)

    venue.order(alice, SELL, 1, 107.8)
    assert is_set_off(venue, order)


def test_one_sweep_can_let_an_order_begin_and_set_it_off(
    venue: Venue, alice: int, bob: int
) -> None:
    order = trailing(venue, alice, SELL, TAKE_PROFIT_LIMIT, 100, stop=105)
    for price in (106, 104):
        venue.order(bob, BUY, 1, price)

    venue.order(alice, SELL, 2, 104)

    assert is_set_off(venue, order)


def test_a_market_order_without_a_stop_price_holds_the_last_price_and_its_distance(
    venue: Venue,
) -> None:
    alice = venue.account("alice", USDC=1_000)
    venue.trade_at(99.99)

    order = placed(venue.order(alice, BUY, 0.333, type=STOP_LOSS, trailing_delta=333))

    # 99.99 and 3.33 % of it is 103.319667; a third of that, rounded up.
    assert order.locked == -(-10_331_966_700 * 333 // 1_000)
    assert venue.locked(alice, "USDC") == order.locked / UNIT


def test_a_market_order_in_a_market_that_never_traded_has_nothing_to_hold_yet() -> None:
    venue = WatchedVenue()
    alice = venue.account("alice", USDC=1_000)
    bob = venue.account("bob", SOL=10)
    order = placed(venue.order(alice, BUY, 1, type=STOP_LOSS, trailing_delta=100))
    assert order.locked == 0
    venue.order(bob, SELL, 1, 110)

    venue.trade_at(100, 101)

    # It pays from what is free then.
    assert venue.status(order.id) is OrderStatus.FILLED
    assert venue.free(alice, "USDC") == 890


# --- Many at a time ---


def test_orders_that_began_at_different_prices_have_different_best_ones(
    venue: Venue, alice: int
) -> None:
    early = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 500)
    venue.trade_at(104)
    venue.trade_at(102)
    late = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 500)

    venue.trade_at(98.8)
    assert is_set_off(venue, early)
    assert not is_set_off(venue, late)

    venue.trade_at(96.9)
    assert is_set_off(venue, late)


def test_a_new_best_price_is_one_for_all_who_have_not_seen_a_better_one(
    venue: Venue, alice: int
) -> None:
    first = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 1_000)
    venue.trade_at(110, 100)
    second = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 1_000)
    venue.trade_at(104, 100.5)
    third = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 1_000)
    venue.trade_at(105)

    # The newest of those who share a best price remembers it for all of them.
    assert follows_from(venue, third) == 105
    venue.cancel(alice, third.id)
    assert follows_from(venue, second) == 105
    assert follows_from(venue, first) == 110

    venue.trade_at(99)
    assert [is_set_off(venue, one) for one in (first, second)] == [True, False]
    venue.trade_at(94.5)
    assert is_set_off(venue, second)


def test_the_more_sensitive_of_two_is_set_off_first_whoever_is_older(
    venue: Venue, alice: int
) -> None:
    patient = trailing(venue, alice, BUY, STOP_LOSS_LIMIT, 500)
    touchy = trailing(venue, alice, BUY, STOP_LOSS_LIMIT, 100)
    venue.trade_at(90)

    venue.trade_at(90.9)
    assert [is_set_off(venue, one) for one in (patient, touchy)] == [False, True]

    venue.trade_at(94.5)
    assert is_set_off(venue, patient)


def test_an_order_that_is_made_smaller_goes_on_following(venue: Venue, alice: int) -> None:
    order = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 500)
    venue.trade_at(110)

    venue.amend(alice, order.id, 0.5)

    assert follows_from(venue, order) == 110
    venue.trade_at(104.5)
    assert is_set_off(venue, order)
    assert venue.book.side(SELL).quantity(200 * UNIT) == UNIT // 2


def test_numbers_that_jump_change_nothing_for_those_who_follow(venue: Venue, alice: int) -> None:
    old = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 500)
    venue.trade_at(110)
    venue.engine.jump(1_000_000)
    young = trailing(venue, alice, SELL, STOP_LOSS_LIMIT, 500)
    assert (follows_from(venue, old), follows_from(venue, young)) == (110, 110)
    assert young.terms.trailing_from > old.terms.trailing_from + 1_000_000


# --- Limits ---


@pytest.mark.parametrize(
    ("type", "side", "low", "high"),
    [
        (STOP_LOSS, BUY, 20, 200),
        (TAKE_PROFIT, SELL, 20, 200),
        (STOP_LOSS, SELL, 30, 300),
        (TAKE_PROFIT, BUY, 30, 300),
    ],
)
def test_a_trailing_delta_has_limits_above_and_below_the_price(
    venue: Venue, alice: int, type: OrderType, side: Side, low: int, high: int
) -> None:
    venue.rule(
        trailing_above_min=20,
        trailing_above_max=200,
        trailing_below_min=30,
        trailing_below_max=300,
    )

    for delta in (low - 1, high + 1):
        outcome = venue.order(alice, side, 1, type=type, trailing_delta=delta)
        assert (reason(outcome), detail(outcome)) == (Reason.FILTER, "TRAILING_DELTA")
    for delta in (low, high):
        assert reason(venue.order(alice, side, 1, type=type, trailing_delta=delta)) is None


def test_only_orders_that_wait_for_a_price_can_follow_it(venue: Venue, alice: int) -> None:
    for price in (120, None):
        outcome = venue.order(alice, SELL, 1, price, trailing_delta=100)
        assert reason(outcome) is Reason.INVALID
