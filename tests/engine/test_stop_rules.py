"""Orders that wait for a price: when they are set off, in which order, and what they pay with."""

import pytest
from venue import (
    MARKET,
    UNIT,
    Venue,
    WatchedVenue,
    buyers,
    new,
    placed,
    reason,
    rows_of,
    sellers,
    trades,
)

from exchange.services.commands import NewOrder
from exchange.services.messages import Reason
from exchange.services.orders import ExpiryReason, OrderStatus, OrderType, Side, TimeInForce
from exchange.services.rows import Level, Order

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, STOP_LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT

DIRECTIONS = [
    (STOP_LOSS, BUY, 105, 104.99),
    (TAKE_PROFIT, SELL, 105, 104.99),
    (STOP_LOSS, SELL, 95, 95.01),
    (TAKE_PROFIT, BUY, 95, 95.01),
]
WITH_LIMIT = {STOP_LOSS: STOP_LOSS_LIMIT, TAKE_PROFIT: TAKE_PROFIT_LIMIT}


@pytest.fixture
def venue() -> Venue:
    """The last price is 100."""
    venue = WatchedVenue()
    venue.trade_at(100)
    return venue


@pytest.mark.parametrize(("type", "side", "stop", "before"), DIRECTIONS)
def test_a_stop_waits_until_a_trade_meets_its_price(
    venue: Venue, alice: int, bob: int, type: OrderType, side: Side, stop: float, before: float
) -> None:
    worst = 120 if side is BUY else 80
    venue.order(bob, SELL if side is BUY else BUY, 1, worst)
    order = placed(venue.order(alice, side, 1, type=type, stop=stop))
    venue.trade_at(before)
    assert order.terms.waiting
    assert order.terms.working_time == 0
    assert venue.state(order.id) == order

    outcome = venue.trade_at(stop)

    done = venue.state(order.id)
    assert trades(outcome) == [(stop, 1), (worst, 1)]
    assert (done.status, done.type) == (OrderStatus.FILLED, type)
    assert not done.terms.waiting
    assert done.terms.working_time == venue.now


@pytest.mark.parametrize(("type", "side", "stop", "before"), DIRECTIONS)
def test_a_stop_with_a_limit_rests_at_its_limit_once_it_is_set_off(
    venue: Venue, alice: int, type: OrderType, side: Side, stop: float, before: float
) -> None:
    limit = 80 if side is BUY else 120
    order = placed(venue.order(alice, side, 1, limit, type=WITH_LIMIT[type], stop=stop))
    venue.trade_at(before)
    assert venue.book.side(side).quantity(limit * UNIT) == 0

    venue.trade_at(stop)

    resting = venue.state(order.id)
    assert (resting.status, resting.is_resting) == (OrderStatus.NEW, True)
    assert venue.book.side(side).quantity(limit * UNIT) == UNIT


@pytest.mark.parametrize(("type", "side", "stop", "before"), DIRECTIONS)
def test_a_stop_that_would_be_set_off_at_once_is_refused(
    venue: Venue, alice: int, type: OrderType, side: Side, stop: float, before: float
) -> None:
    venue.trade_at(stop)
    assert reason(venue.order(alice, side, 1, type=type, stop=stop)) is Reason.WOULD_TRIGGER

    venue.trade_at(before)
    assert reason(venue.order(alice, side, 1, type=type, stop=stop)) is None


def test_in_a_market_that_never_traded_any_stop_waits_and_the_first_trade_counts() -> None:
    venue = WatchedVenue()
    alice = venue.account("alice", SOL=10, USDC=10_000)
    rising = placed(venue.order(alice, BUY, 1, 50, type=STOP_LOSS_LIMIT, stop=90))
    falling = placed(venue.order(alice, SELL, 1, 200, type=STOP_LOSS_LIMIT, stop=110))
    assert rising.terms.waiting
    assert falling.terms.waiting

    venue.trade_at(100)

    assert venue.state(rising.id).is_resting
    assert venue.state(falling.id).is_resting
    # What waits for a rise goes first.
    assert venue.state(rising.id).queue < venue.state(falling.id).queue


@pytest.mark.parametrize(
    ("side", "type", "price", "stop", "asset", "locked"),
    [
        (SELL, STOP_LOSS, None, 95, "SOL", 2),
        (SELL, TAKE_PROFIT_LIMIT, 120, 105, "SOL", 2),
        (BUY, STOP_LOSS_LIMIT, 110, 105, "USDC", 220),
        (BUY, TAKE_PROFIT_LIMIT, 110, 95, "USDC", 220),
        (BUY, STOP_LOSS, None, 105, "USDC", 210),
        (BUY, TAKE_PROFIT, None, 95, "USDC", 190),
    ],
)
def test_a_waiting_stop_holds_what_it_will_need_and_gives_it_back(
    venue: Venue,
    alice: int,
    side: Side,
    type: OrderType,
    price: float | None,
    stop: float,
    asset: str,
    locked: float,
) -> None:
    before = venue.free(alice, asset)

    order = placed(venue.order(alice, side, 2, price, type=type, stop=stop))

    assert order.locked == locked * UNIT
    assert (venue.free(alice, asset), venue.locked(alice, asset)) == (before - locked, locked)
    venue.cancel(alice, order.id)
    assert (venue.free(alice, asset), venue.locked(alice, asset)) == (before, 0)


def test_a_stop_without_cover_is_refused(venue: Venue) -> None:
    poor = venue.account("poor", SOL=0.999, USDC=104.99)

    for side, stop in ((SELL, 95), (BUY, 105)):
        outcome = venue.order(poor, side, 1, type=STOP_LOSS, stop=stop)
        assert reason(outcome) is Reason.INSUFFICIENT_BALANCE


def test_a_waiting_stop_is_not_in_the_book(venue: Venue, alice: int, bob: int) -> None:
    outcome = venue.order(alice, SELL, 1, 99, type=STOP_LOSS_LIMIT, stop=99)
    assert rows_of(outcome, Level) == []

    assert placed(venue.order(bob, BUY, 1, 99.5)).status is OrderStatus.NEW


def test_every_trade_of_a_sweep_counts_and_not_only_the_last(
    venue: Venue, alice: int, bob: int
) -> None:
    order = placed(venue.order(alice, BUY, 1, 50, type=STOP_LOSS_LIMIT, stop=106))
    for price in (106, 103):
        venue.order(bob, BUY, 1, price)

    outcome = venue.order(alice, SELL, 2, 103)

    assert trades(outcome) == [(106, 1), (103, 1)]
    assert venue.state(order.id).is_resting


def test_a_stop_works_after_the_order_that_set_it_off_is_finished(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, BUY, 1, 106)
    venue.order(bob, BUY, 1, 105)
    stop = placed(venue.order(alice, BUY, 2, type=STOP_LOSS, stop=106))

    outcome = venue.order(bob, SELL, 5, 104)

    # What the seller could not sell at once rests at 104, and only then the stop buys.
    assert trades(outcome) == [(106, 1), (105, 1), (104, 2)]
    assert buyers(outcome)[-1] == stop.id
    assert placed(outcome).filled == 4 * UNIT


def test_rising_stops_act_from_the_lowest_up_and_equals_by_age(venue: Venue, alice: int) -> None:
    ids = [
        placed(venue.order(alice, BUY, 1, 50, type=STOP_LOSS_LIMIT, stop=stop)).id
        for stop in (106, 105, 106, 104)
    ]

    outcome = venue.trade_at(110)

    assert _set_off(venue, outcome.number) == [ids[3], ids[1], ids[0], ids[2]]


def test_falling_stops_act_from_the_highest_down_and_equals_by_age(
    venue: Venue, alice: int
) -> None:
    ids = [
        placed(venue.order(alice, SELL, 1, 200, type=STOP_LOSS_LIMIT, stop=stop)).id
        for stop in (94, 95, 94, 96)
    ]

    outcome = venue.trade_at(90)

    assert _set_off(venue, outcome.number) == [ids[3], ids[1], ids[0], ids[2]]


def test_trailing_stops_act_after_the_plain_ones_and_by_age(venue: Venue, alice: int) -> None:
    def trailing(delta: int) -> int:
        order = venue.order(alice, SELL, 1, 200, type=STOP_LOSS_LIMIT, trailing_delta=delta)
        return placed(order).id

    old = trailing(500)
    plain = placed(venue.order(alice, SELL, 1, 200, type=STOP_LOSS_LIMIT, stop=91)).id
    touchy = trailing(100)

    outcome = venue.trade_at(90)

    assert _set_off(venue, outcome.number) == [plain, old, touchy]


def test_stops_of_two_trades_of_one_sweep_act_in_the_order_of_the_trades(
    venue: Venue, alice: int, bob: int
) -> None:
    falling = placed(venue.order(alice, SELL, 1, 200, type=STOP_LOSS_LIMIT, stop=95)).id
    rising = placed(venue.order(alice, BUY, 1, 50, type=STOP_LOSS_LIMIT, stop=105)).id
    venue.order(bob, SELL, 1, 94)
    venue.order(bob, SELL, 1, 106)

    outcome = venue.order(alice, BUY, 2, 106)

    assert _set_off(venue, outcome.number) == [falling, rising]


def test_stops_that_are_set_off_together_compete_for_what_is_there(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, SELL, 3, 110)
    first = placed(venue.order(alice, BUY, 2, type=STOP_LOSS, stop=105))
    second = placed(venue.order(alice, BUY, 2, type=STOP_LOSS, stop=105))

    venue.trade_at(105)

    assert venue.status(first.id) is OrderStatus.FILLED
    done = venue.state(second.id)
    assert (done.status, done.filled) == (OrderStatus.EXPIRED, UNIT)
    assert done.terms.expiry_reason is ExpiryReason.INSUFFICIENT_LIQUIDITY


def test_stops_set_off_stops_in_a_chain(venue: Venue, alice: int, bob: int) -> None:
    for price in (97, 94, 91):
        venue.order(bob, BUY, 1, price)
    first = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=98))
    second = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=97))
    third = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=94))

    outcome = venue.trade_at(98)

    assert trades(outcome) == [(98, 1), (97, 1), (94, 1), (91, 1)]
    assert sellers(outcome)[1:] == [first.id, second.id, third.id]


def test_a_chain_goes_first_in_first_out(venue: Venue, alice: int, bob: int) -> None:
    """What a stop sets off comes after those that were set off with it."""
    for price in (96, 93, 92):
        venue.order(bob, BUY, 1, price)
    first = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=98)).id
    beside = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=97)).id
    behind = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=96.5)).id

    outcome = venue.trade_at(97)

    assert sellers(outcome)[1:] == [first, beside, behind]


def test_a_stop_that_meets_nobody_expires(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=95))

    venue.trade_at(95)

    done = venue.state(order.id)
    assert (done.status, done.filled, done.locked) == (OrderStatus.EXPIRED, 0, 0)
    assert done.terms.expiry_reason is ExpiryReason.INSUFFICIENT_LIQUIDITY
    assert venue.locked(alice, "SOL") == 0


def test_a_buy_without_a_limit_pays_from_what_it_holds_and_from_what_is_free(
    venue: Venue, bob: int
) -> None:
    buyer = venue.account("buyer", USDC=300)
    venue.order(bob, SELL, 2, 130)
    order = placed(venue.order(buyer, BUY, 2, type=STOP_LOSS, stop=105))
    assert venue.free(buyer, "USDC") == 90

    venue.trade_at(105)

    assert venue.status(order.id) is OrderStatus.FILLED
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (40, 0)


def test_what_a_buy_without_a_limit_cannot_pay_expires(venue: Venue, bob: int) -> None:
    buyer = venue.account("buyer", USDC=230)
    venue.order(bob, SELL, 1, 110)
    venue.order(bob, SELL, 5, 130)
    order = placed(venue.order(buyer, BUY, 2, type=STOP_LOSS, stop=105))
    venue.order(buyer, BUY, 0.2, 75)
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (5, 225)

    venue.trade_at(105)

    done = venue.state(order.id)
    assert done.status is OrderStatus.EXPIRED
    assert done.terms.expiry_reason is ExpiryReason.REJECTED
    # There are 215: one at 110, and 105 more buy 0.807 at 130.
    assert done.filled == round(1.807 * UNIT)
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (0.09, 15)


def test_what_a_buy_without_a_limit_did_not_need_is_given_back(venue: Venue, bob: int) -> None:
    buyer = venue.account("buyer", USDC=210)
    venue.order(bob, SELL, 2, 101)
    order = placed(venue.order(buyer, BUY, 2, type=TAKE_PROFIT, stop=95))
    assert venue.free(buyer, "USDC") == 20

    venue.trade_at(95)

    assert venue.status(order.id) is OrderStatus.FILLED
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (8, 0)


@pytest.mark.parametrize(
    ("life", "filled", "why"),
    [
        (TimeInForce.IOC, 1, ExpiryReason.UNFILLED_IOC),
        (TimeInForce.FOK, 0, ExpiryReason.UNFILLED_FOK),
    ],
)
def test_the_life_of_a_stop_with_a_limit_begins_when_it_is_set_off(
    venue: Venue, alice: int, bob: int, life: TimeInForce, filled: int, why: ExpiryReason
) -> None:
    order = placed(
        venue.order(alice, BUY, 2, 110, type=STOP_LOSS_LIMIT, stop=105, time_in_force=life)
    )
    venue.order(bob, SELL, 1, 108)

    venue.trade_at(105)

    done = venue.state(order.id)
    assert (done.status, done.filled) == (OrderStatus.EXPIRED, filled * UNIT)
    assert done.terms.expiry_reason is why
    assert venue.locked(alice, "USDC") == 0


def test_a_cancelled_stop_is_not_set_off(venue: Venue, alice: int, bob: int) -> None:
    venue.order(bob, BUY, 1, 90)
    order = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=95))
    venue.cancel(alice, order.id)

    outcome = venue.trade_at(95)

    assert trades(outcome) == [(95, 1)]
    assert venue.status(order.id) is OrderStatus.CANCELED


def test_a_stop_that_was_set_off_is_not_set_off_again(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 1, 120, type=STOP_LOSS_LIMIT, stop=95))
    venue.trade_at(95)
    resting = venue.state(order.id)

    venue.trade_at(100, 94)

    assert venue.state(order.id) == resting


def test_a_stop_can_take_and_then_rest(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, BUY, 3, 107, type=STOP_LOSS_LIMIT, stop=105))
    venue.order(bob, SELL, 1, 106)

    venue.trade_at(105)

    after = venue.state(order.id)
    assert (after.status, after.filled) == (OrderStatus.PARTIALLY_FILLED, UNIT)
    assert (after.locked, venue.locked(alice, "USDC")) == (214 * UNIT, 214)


def test_the_client_order_id_of_a_waiting_stop_is_taken(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 1, type=STOP_LOSS, stop=95, client_order_id="x")

    duplicate = venue.order(alice, SELL, 1, 101, client_order_id="x")

    assert reason(duplicate) is Reason.DUPLICATE_CLIENT_ORDER_ID


@pytest.mark.parametrize(
    "order",
    [
        new(SELL, 1, type=STOP_LOSS),
        new(SELL, 1, 90, type=STOP_LOSS, stop=95),
        new(SELL, 1, 90, stop=95),
        new(SELL, 1, stop=95),
        new(SELL, 1, 90, trailing_delta=100),
        new(SELL, None, type=STOP_LOSS, stop=95, quote_quantity=100),
        new(SELL, 1, type=STOP_LOSS, stop=95, time_in_force=TimeInForce.IOC),
        new(SELL, 1, type=STOP_LOSS, stop=95, iceberg=0.5),
    ],
)
def test_an_order_whose_parts_do_not_fit_is_refused(
    venue: Venue, alice: int, order: NewOrder
) -> None:
    assert reason(venue.place(alice, order)) is Reason.INVALID


def test_a_stop_price_must_be_on_the_grid(venue: Venue, alice: int) -> None:
    for stop in (95.001, MARKET.price_max / UNIT + 0.01):
        outcome = venue.order(alice, SELL, 1, type=TAKE_PROFIT, stop=stop)
        assert reason(outcome) is Reason.FILTER


def _set_off(venue: Venue, number: int) -> list[int]:
    """Orders that an outcome lets rest, in the order in which they began to."""
    (outcome,) = (one for one in venue.outcomes if one.number == number)
    found = [venue.state(order_id) for order_id in {row.id for row in rows_of(outcome, Order)}]
    return [
        one.id
        for one in sorted(found, key=lambda one: one.queue)
        if one.is_resting and one.type.is_contingent
    ]
