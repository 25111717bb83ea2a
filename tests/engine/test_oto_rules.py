"""Orders that start others: one that works first, and one or two that wait until it is filled."""

import pytest
from msgspec.structs import replace
from venue import (
    UNIT,
    Venue,
    WatchedVenue,
    buyers,
    detail,
    listed,
    new,
    placed,
    reason,
    rows_of,
    trades,
)

from exchange.services.commands import NewOrder, PlaceList
from exchange.services.markets import Feature
from exchange.services.messages import Canceled, Reason
from exchange.services.orders import (
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from exchange.services.rows import Order, OrderList

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, STOP_LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
TAKE_PROFIT, LIMIT_MAKER = OrderType.TAKE_PROFIT, OrderType.LIMIT_MAKER
NEW, PENDING_NEW, FILLED = OrderStatus.NEW, OrderStatus.PENDING_NEW, OrderStatus.FILLED
CANCELED, EXPIRED = OrderStatus.CANCELED, OrderStatus.EXPIRED
PARTIALLY_FILLED = OrderStatus.PARTIALLY_FILLED


@pytest.fixture
def venue() -> Venue:
    """The last price is 100."""
    venue = WatchedVenue()
    venue.trade_at(100)
    return venue


def states(venue: Venue, group: OrderList) -> list[Order]:
    return [venue.state(order_id) for order_id in group.order_ids]


def statuses(venue: Venue, group: OrderList) -> list[OrderStatus]:
    return [one.status for one in states(venue, group)]


def reasons(venue: Venue, group: OrderList) -> list[ExpiryReason | None]:
    return [one.terms.expiry_reason for one in states(venue, group)]


def is_done(venue: Venue, group: OrderList) -> bool:
    return venue.list_state(group.id).status is ListStatus.ALL_DONE


# --- One order that another one starts ---


def test_a_pending_order_holds_nothing_and_is_not_in_the_book(venue: Venue, alice: int) -> None:
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 5, 96)))

    working, pending = states(venue, group)
    assert (working.status, working.is_resting) == (NEW, True)
    assert (pending.status, pending.locked, pending.is_resting) == (PENDING_NEW, 0, False)
    assert pending.terms.working_time == 0
    assert venue.locked(alice, "SOL") == 0
    assert venue.book.side(SELL).best_price() is None


def test_a_pending_order_starts_only_when_the_working_one_is_filled_whole(
    venue: Venue, alice: int, bob: int
) -> None:
    group = listed(venue.oto(alice, new(BUY, 2, 95), new(SELL, 2, 120)))

    venue.order(bob, SELL, 1.9, 95)
    assert statuses(venue, group) == [PARTIALLY_FILLED, PENDING_NEW]

    venue.order(bob, SELL, 0.1, 95)
    working, pending = states(venue, group)
    assert (working.status, pending.status) == (FILLED, NEW)
    assert pending.terms.working_time == venue.now
    assert (pending.locked, venue.locked(alice, "SOL")) == (2 * UNIT, 2)
    assert not is_done(venue, group)


def test_the_answer_has_the_pending_order_first_and_what_became_of_it_later(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, SELL, 1, 95)

    outcome = venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 120))

    working, pending = listed(outcome).order_ids
    rows = rows_of(outcome, Order)
    assert [row.status for row in rows if row.id == pending] == [PENDING_NEW, NEW]
    assert [row.status for row in rows if row.id == working][-1] is FILLED
    assert rows[0].id == pending


def test_a_list_is_done_when_its_last_order_is(venue: Venue, alice: int, bob: int) -> None:
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 105)))
    venue.order(bob, SELL, 1, 95)
    assert not is_done(venue, group)

    venue.order(bob, BUY, 1, 105)

    assert statuses(venue, group) == [FILLED, FILLED]
    assert is_done(venue, group)


def test_a_pending_market_order_trades_at_once(venue: Venue, alice: int, bob: int) -> None:
    venue.order(bob, BUY, 5, 94)
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 3)))

    outcome = venue.order(bob, SELL, 1, 95)

    assert trades(outcome) == [(95, 1), (94, 3)]
    assert statuses(venue, group) == [FILLED, FILLED]
    assert is_done(venue, group)


def test_a_pending_stop_sees_no_price_before_its_turn(venue: Venue, alice: int, bob: int) -> None:
    group = listed(
        venue.oto(alice, new(SELL, 1, 105), new(SELL, 1, 120, type=STOP_LOSS_LIMIT, stop=95))
    )
    venue.trade_at(94, 100)
    assert statuses(venue, group) == [NEW, PENDING_NEW]

    venue.order(bob, BUY, 1, 105)
    assert states(venue, group)[1].terms.waiting

    venue.trade_at(95)
    assert states(venue, group)[1].is_resting


def test_a_pending_trailing_order_follows_from_the_price_at_its_start(
    venue: Venue, alice: int, bob: int
) -> None:
    group = listed(
        venue.oto(
            alice, new(SELL, 1, 105), new(SELL, 1, 120, type=STOP_LOSS_LIMIT, trailing_delta=100)
        )
    )
    venue.trade_at(90)

    venue.order(bob, BUY, 1, 105)

    terms = states(venue, group)[1].terms
    assert (terms.trailing_extreme, terms.trailing_time) == (105 * UNIT, venue.now)


def test_a_pending_market_like_buy_holds_by_the_price_at_its_start(
    venue: Venue, alice: int, bob: int
) -> None:
    group = listed(
        venue.oto(alice, new(SELL, 1, 105), new(BUY, 1, type=STOP_LOSS, trailing_delta=100))
    )
    assert states(venue, group)[1].locked == 0

    venue.order(bob, BUY, 1, 105)

    assert states(venue, group)[1].locked == round(106.05 * UNIT)


def test_what_the_working_order_brought_is_there_for_the_pending_one_less_its_fee(
    venue: Venue, bob: int
) -> None:
    buyer = venue.account("buyer", USDC=300)
    all_of_it = listed(venue.oto(buyer, new(BUY, 1, 95), new(SELL, 1, 120)))
    venue.order(bob, SELL, 1, 95)
    # A thousandth of what was bought went as the fee.
    assert statuses(venue, all_of_it) == [FILLED, EXPIRED]
    assert reasons(venue, all_of_it)[1] is ExpiryReason.REJECTED

    less = listed(venue.oto(buyer, new(BUY, 1, 95), new(SELL, 1.998, 120)))
    venue.order(bob, SELL, 1, 95)
    assert statuses(venue, less) == [FILLED, NEW]


@pytest.mark.parametrize(
    "pending",
    [
        new(SELL, 5, 120),
        new(SELL, 5),
        new(BUY, 10, 119),
        new(SELL, 1, 90, type=LIMIT_MAKER),
        new(SELL, 1, type=STOP_LOSS, stop=95),
        new(BUY, 1, type=STOP_LOSS, stop=90),
        new(BUY, 1),
    ],
    ids=[
        "nothing to sell",
        "nothing to sell at the market",
        "nothing to buy with",
        "would match",
        "would be set off",
        "would be set off by a rise",
        "nobody sells",
    ],
)
def test_a_pending_order_that_cannot_start_expires_and_its_list_is_done(
    venue: Venue, bob: int, pending: NewOrder
) -> None:
    trader = venue.account("trader", SOL=2, USDC=1_000)
    venue.order(bob, BUY, 10, 94)
    group = listed(venue.oto(trader, new(BUY, 1, 95), pending))

    venue.order(bob, SELL, 1, 95)

    assert statuses(venue, group) == [FILLED, EXPIRED]
    assert reasons(venue, group) == [None, ExpiryReason.REJECTED]
    assert is_done(venue, group)
    assert (venue.locked(trader, "SOL"), venue.locked(trader, "USDC")) == (0, 0)


@pytest.mark.parametrize("place", [0, 1])
def test_cancelling_one_order_cancels_the_list(venue: Venue, alice: int, place: int) -> None:
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 120)))

    outcome = venue.cancel(alice, group.order_ids[place])

    assert isinstance(outcome.result, Canceled)
    assert outcome.result.order_ids == group.order_ids
    assert statuses(venue, group) == [CANCELED, CANCELED]
    assert is_done(venue, group)


def test_a_started_order_is_cancelled_alone(venue: Venue, alice: int, bob: int) -> None:
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 120)))
    venue.order(bob, SELL, 1, 95)

    outcome = venue.cancel_list(alice, list_id=group.id)

    assert isinstance(outcome.result, Canceled)
    assert outcome.result.order_ids == group.order_ids[1:]
    assert statuses(venue, group) == [FILLED, CANCELED]


@pytest.mark.parametrize(("life", "filled"), [(TimeInForce.IOC, UNIT), (TimeInForce.FOK, 0)])
def test_a_working_order_that_expires_unfilled_starts_nothing(
    venue: Venue, alice: int, bob: int, life: TimeInForce, filled: int
) -> None:
    venue.order(bob, SELL, 1, 95)

    group = listed(venue.oto(alice, new(BUY, 2, 95, time_in_force=life), new(SELL, 1, 120)))

    working, pending = states(venue, group)
    assert (working.status, working.filled) == (EXPIRED, filled)
    assert pending.status is EXPIRED
    assert pending.terms.expiry_reason is ExpiryReason.OTO_PHASE_ONE_EXPIRED
    assert is_done(venue, group)


def test_a_working_order_that_is_refused_refuses_the_list(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, SELL, 1, 101)
    poor = venue.account("poor")

    would_match = venue.oto(alice, new(BUY, 1, 101, type=LIMIT_MAKER), new(SELL, 1, 120))
    uncovered = venue.oto(poor, new(BUY, 1, 95), new(SELL, 1, 120))

    assert (reason(would_match), would_match.rows) == (Reason.WOULD_MATCH, ())
    assert (reason(uncovered), uncovered.rows) == (Reason.INSUFFICIENT_BALANCE, ())


def test_a_pending_order_starts_after_the_order_that_filled_the_working_one_is_finished(
    venue: Venue, alice: int, bob: int
) -> None:
    group = listed(venue.oto(alice, new(BUY, 1, 95), new(BUY, 3, 96)))

    outcome = venue.order(bob, SELL, 3, 94)

    # What the seller could not sell rests at 94, and only then the pending order buys.
    assert trades(outcome) == [(95, 1), (94, 2)]
    assert buyers(outcome) == list(group.order_ids)
    assert statuses(venue, group) == [FILLED, PARTIALLY_FILLED]


def test_stops_that_the_same_trade_sets_off_act_before_what_it_starts(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, BUY, 1, 90)
    started = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 1)))
    stop = placed(venue.order(bob, SELL, 1, type=STOP_LOSS, stop=95))

    outcome = venue.order(bob, SELL, 1, 95)

    assert trades(outcome) == [(95, 1), (90, 1)]
    assert venue.status(stop.id) is FILLED
    assert statuses(venue, started) == [FILLED, EXPIRED]


def test_one_list_can_start_another(venue: Venue, alice: int, bob: int) -> None:
    second = listed(venue.oto(bob, new(BUY, 1, 90), new(BUY, 1, 80)))
    first = listed(venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 90)))

    outcome = venue.order(bob, SELL, 1, 95)

    assert trades(outcome) == [(95, 1), (90, 1)]
    assert statuses(venue, first) == [FILLED, FILLED]
    assert statuses(venue, second) == [FILLED, NEW]


def test_a_working_order_may_never_take_or_show_little(venue: Venue, alice: int, bob: int) -> None:
    group = listed(
        venue.oto(alice, new(BUY, 3, 95, type=LIMIT_MAKER, iceberg=1), new(SELL, 3, 120, iceberg=1))
    )

    venue.order(bob, SELL, 3, 95)

    assert statuses(venue, group) == [FILLED, NEW]
    assert venue.book.side(SELL).quantity(120 * UNIT) == UNIT


@pytest.mark.parametrize(
    ("working", "pending"),
    [
        (new(BUY, 1), new(SELL, 1, 120)),
        (new(BUY, 1, type=STOP_LOSS, stop=110), new(SELL, 1, 120)),
        (new(BUY, 1, 95), new(SELL, None, quote_quantity=100)),
    ],
)
def test_a_list_of_other_kinds_is_refused(
    venue: Venue, alice: int, working: NewOrder, pending: NewOrder
) -> None:
    assert reason(venue.oto(alice, working, pending)) is Reason.INVALID


def test_a_list_is_two_orders_or_three(venue: Venue, alice: int) -> None:
    venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 120))
    command = venue.commands[-1]
    assert isinstance(command, PlaceList)
    working, pending = (
        replace(one, client_order_id=one.client_order_id + "x") for one in command.orders
    )
    for orders in ((working,), (), (working, pending, pending, pending)):
        again = replace(command, orders=orders, client_list_id="another")
        assert reason(venue.do(again)) is Reason.INVALID


def test_a_pending_order_must_pass_the_filters_at_once(venue: Venue, alice: int) -> None:
    outcome = venue.oto(alice, new(BUY, 1, 95), new(SELL, 0.001, 120))

    assert (reason(outcome), detail(outcome)) == (Reason.FILTER, "NOTIONAL")


def test_the_client_order_id_of_a_pending_order_is_taken(venue: Venue, alice: int) -> None:
    venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 120, client_order_id="x"))

    outcome = venue.order(alice, SELL, 1, 130, client_order_id="x")

    assert reason(outcome) is Reason.DUPLICATE_CLIENT_ORDER_ID


# --- Two that end each other ---


def test_the_two_pending_orders_of_a_list_become_an_oco(venue: Venue, alice: int, bob: int) -> None:
    group = listed(
        venue.oto(
            alice,
            new(BUY, 1, 95),
            new(SELL, 2, 110, type=LIMIT_MAKER),
            new(SELL, 2, type=STOP_LOSS, stop=90),
        )
    )
    assert statuses(venue, group) == [NEW, PENDING_NEW, PENDING_NEW]
    assert venue.locked(alice, "SOL") == 0

    venue.order(bob, SELL, 1, 95)
    assert statuses(venue, group) == [FILLED, NEW, NEW]
    assert [one.locked for one in states(venue, group)] == [0, 2 * UNIT, 0]
    assert venue.locked(alice, "SOL") == 2

    venue.order(bob, BUY, 2, 110)
    assert statuses(venue, group) == [FILLED, FILLED, EXPIRED]
    assert reasons(venue, group)[2] is ExpiryReason.OCO_TRIGGER
    assert is_done(venue, group)


def test_the_stop_of_a_started_pair_ends_its_limit(venue: Venue, alice: int, bob: int) -> None:
    group = listed(
        venue.oto(
            alice,
            new(BUY, 1, 95),
            new(SELL, 2, 110, type=LIMIT_MAKER),
            new(SELL, 2, type=STOP_LOSS, stop=90),
        )
    )
    venue.order(bob, SELL, 1, 95)
    venue.order(bob, BUY, 2, 85)

    venue.trade_at(90)

    assert statuses(venue, group) == [FILLED, EXPIRED, FILLED]
    assert is_done(venue, group)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        (new(SELL, 1, 95, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90)),
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=95)),
    ],
)
def test_a_pair_whose_prices_are_wrong_when_its_turn_comes_expires(
    venue: Venue, alice: int, bob: int, above: NewOrder, below: NewOrder
) -> None:
    """At its placement the last price is 100, and nobody looks at it yet."""
    group = listed(venue.oto(alice, new(BUY, 1, 95), above, below))

    venue.order(bob, SELL, 1, 95)

    assert statuses(venue, group) == [FILLED, EXPIRED, EXPIRED]
    assert reasons(venue, group) == [None, ExpiryReason.REJECTED, ExpiryReason.REJECTED]
    assert is_done(venue, group)
    assert venue.locked(alice, "SOL") == 0


def test_a_pair_that_cannot_be_covered_when_its_turn_comes_expires(venue: Venue, bob: int) -> None:
    trader = venue.account("trader", USDC=1_000)
    group = listed(
        venue.oto(
            trader,
            new(BUY, 1, 95),
            new(SELL, 1, 110, type=LIMIT_MAKER),
            new(SELL, 1, type=STOP_LOSS, stop=90),
        )
    )

    venue.order(bob, SELL, 1, 95)

    assert reasons(venue, group) == [None, ExpiryReason.REJECTED, ExpiryReason.REJECTED]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_cancelling_any_of_three_cancels_all(venue: Venue, alice: int, place: int) -> None:
    group = listed(
        venue.oto(
            alice,
            new(BUY, 1, 95),
            new(SELL, 1, 110, type=LIMIT_MAKER),
            new(SELL, 1, type=STOP_LOSS, stop=90),
        )
    )

    venue.cancel(alice, group.order_ids[place])

    assert statuses(venue, group) == [CANCELED] * 3


def test_a_working_order_that_expires_ends_both(venue: Venue, alice: int) -> None:
    group = listed(
        venue.oto(
            alice,
            new(BUY, 1, 95, time_in_force=TimeInForce.IOC),
            new(SELL, 1, 110, type=LIMIT_MAKER),
            new(SELL, 1, type=STOP_LOSS, stop=90),
        )
    )

    assert reasons(venue, group) == [
        ExpiryReason.UNFILLED_IOC,
        ExpiryReason.OTO_PHASE_ONE_EXPIRED,
        ExpiryReason.OTO_PHASE_ONE_EXPIRED,
    ]


def test_two_pending_orders_must_be_a_pair(venue: Venue, alice: int) -> None:
    outcome = venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 110), new(SELL, 1, 120))

    assert reason(outcome) is Reason.INVALID


@pytest.mark.parametrize("lacking", [Feature.OTO, Feature.OCO])
def test_a_market_that_lacks_one_of_its_parts_refuses_a_list_of_three(
    venue: Venue, alice: int, lacking: Feature
) -> None:
    venue.rule(features=tuple(one for one in Feature if one is not lacking))
    pair = (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90))

    outcome = venue.oto(alice, new(BUY, 1, 95), *pair)

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, lacking.value)
    single = venue.oto(alice, new(BUY, 1, 95), new(SELL, 1, 110))
    assert (reason(single) is None) == (lacking is Feature.OCO)
