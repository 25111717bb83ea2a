"""Orders that end each other: the two legs of an OCO."""

from typing import Any

import pytest
from msgspec.structs import replace
from venue import (
    UNIT,
    Venue,
    WatchedVenue,
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
    Contingency,
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
TAKE_PROFIT, TAKE_PROFIT_LIMIT = OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT
LIMIT_MAKER = OrderType.LIMIT_MAKER
NEW, FILLED, CANCELED = OrderStatus.NEW, OrderStatus.FILLED, OrderStatus.CANCELED
EXPIRED, PARTIALLY_FILLED = OrderStatus.EXPIRED, OrderStatus.PARTIALLY_FILLED


@pytest.fixture
def venue() -> Venue:
    """The last price is 100."""
    venue = WatchedVenue()
    venue.trade_at(100)
    return venue


def sell_pair(
    venue: Venue,
    account: int,
    quantity: float = 2,
    gain: float = 110,
    stop: float = 90,
    **terms: Any,
) -> OrderList:
    """Sell dearer, or stop a loss at any price."""
    return listed(
        venue.oco(
            account,
            new(SELL, quantity, gain, type=LIMIT_MAKER),
            new(SELL, quantity, type=STOP_LOSS, stop=stop, **terms),
        )
    )


def buy_pair(venue: Venue, account: int) -> OrderList:
    """Stop a loss at 110 for up to 120, or buy cheaper at 90."""
    return listed(
        venue.oco(
            account,
            new(BUY, 2, 120, type=STOP_LOSS_LIMIT, stop=110),
            new(BUY, 2, 90, type=LIMIT_MAKER),
        )
    )


def legs(venue: Venue, pair: OrderList) -> list[Order]:
    return [venue.state(order_id) for order_id in pair.order_ids]


def statuses(venue: Venue, pair: OrderList) -> list[OrderStatus]:
    return [leg.status for leg in legs(venue, pair)]


def is_done(venue: Venue, pair: OrderList) -> bool:
    return venue.list_state(pair.id).status is ListStatus.ALL_DONE


def test_both_legs_of_an_oco_are_there_from_the_start(venue: Venue, alice: int) -> None:
    pair = sell_pair(venue, alice)

    above, below = legs(venue, pair)
    assert (above.is_resting, below.terms.waiting) == (True, True)
    assert above.id + 1 == below.id
    assert above.terms.list_id == below.terms.list_id == pair.id == venue.number
    assert (pair.contingency, pair.status) == (Contingency.OCO, ListStatus.EXECUTING)


def test_two_sells_hold_their_quantity_once(venue: Venue, alice: int) -> None:
    seller = venue.account("seller", SOL=2)

    pair = sell_pair(venue, seller)

    assert (venue.free(seller, "SOL"), venue.locked(seller, "SOL")) == (0, 2)
    assert [leg.locked for leg in legs(venue, pair)] == [2 * UNIT, 0]


def test_of_two_buys_the_first_holds_what_the_needier_one_needs(venue: Venue) -> None:
    buyer = venue.account("buyer", USDC=240)
    poor = venue.account("poor", USDC=239.99)

    pair = buy_pair(venue, buyer)
    outcome = venue.oco(
        poor,
        new(BUY, 2, 120, type=STOP_LOSS_LIMIT, stop=110),
        new(BUY, 2, 90, type=LIMIT_MAKER),
    )

    assert [leg.locked for leg in legs(venue, pair)] == [240 * UNIT, 0]
    assert venue.locked(buyer, "USDC") == 240
    assert reason(outcome) is Reason.INSUFFICIENT_BALANCE
    assert outcome.rows == ()


def test_a_leg_that_is_filled_ends_the_other(venue: Venue, alice: int, bob: int) -> None:
    pair = sell_pair(venue, alice)

    venue.order(bob, BUY, 2, 110)

    assert statuses(venue, pair) == [FILLED, EXPIRED]
    assert legs(venue, pair)[1].terms.expiry_reason is ExpiryReason.OCO_TRIGGER
    assert is_done(venue, pair)
    assert venue.locked(alice, "SOL") == 0


def test_the_first_fill_of_a_leg_ends_the_other_and_the_rest_of_it_stays(
    venue: Venue, alice: int, bob: int
) -> None:
    pair = sell_pair(venue, alice)

    venue.order(bob, BUY, 0.5, 110)

    assert statuses(venue, pair) == [PARTIALLY_FILLED, EXPIRED]
    assert not is_done(venue, pair)
    assert venue.locked(alice, "SOL") == 1.5
    venue.trade_at(90)
    assert statuses(venue, pair) == [PARTIALLY_FILLED, EXPIRED]


def test_a_leg_that_was_filled_in_part_can_be_cancelled(venue: Venue, alice: int, bob: int) -> None:
    pair = sell_pair(venue, alice)
    venue.order(bob, BUY, 0.5, 110)

    outcome = venue.cancel(alice, pair.order_ids[0])

    assert isinstance(outcome.result, Canceled)
    assert outcome.result.order_ids == pair.order_ids[:1]
    assert statuses(venue, pair) == [CANCELED, EXPIRED]
    assert is_done(venue, pair)
    assert venue.locked(alice, "SOL") == 0


def test_what_the_dearer_leg_held_more_is_free_once_the_other_trades(
    venue: Venue, bob: int
) -> None:
    buyer = venue.account("buyer", USDC=240)
    pair = buy_pair(venue, buyer)

    venue.order(bob, SELL, 0.5, 90)

    above, below = legs(venue, pair)
    assert (above.locked, below.locked) == (0, 135 * UNIT)
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (60, 135)


def test_a_leg_that_is_set_off_ends_the_other_before_it_trades(
    venue: Venue, alice: int, bob: int
) -> None:
    pair = sell_pair(venue, alice)
    venue.order(bob, BUY, 2, 85)

    outcome = venue.trade_at(90)

    assert trades(outcome) == [(90, 1), (85, 2)]
    assert statuses(venue, pair) == [EXPIRED, FILLED]
    assert legs(venue, pair)[0].terms.expiry_reason is ExpiryReason.OCO_TRIGGER
    assert is_done(venue, pair)
    assert venue.book.side(SELL).best_price() is None


def test_a_leg_that_is_set_off_ends_the_other_even_if_it_then_meets_nobody(
    venue: Venue, alice: int
) -> None:
    pair = sell_pair(venue, alice)

    venue.trade_at(90)

    assert [leg.terms.expiry_reason for leg in legs(venue, pair)] == [
        ExpiryReason.OCO_TRIGGER,
        ExpiryReason.INSUFFICIENT_LIQUIDITY,
    ]
    assert is_done(venue, pair)


def test_a_leg_with_a_limit_rests_alone_once_it_is_set_off(venue: Venue) -> None:
    buyer = venue.account("buyer", USDC=240)
    pair = buy_pair(venue, buyer)

    venue.trade_at(110)

    above, below = legs(venue, pair)
    assert (above.is_resting, above.locked) == (True, 240 * UNIT)
    assert below.status is EXPIRED
    assert not is_done(venue, pair)


def test_two_legs_may_both_wait(venue: Venue, alice: int, bob: int) -> None:
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 1, type=TAKE_PROFIT, stop=110),
            new(SELL, 1, 80, type=STOP_LOSS_LIMIT, stop=90),
        )
    )
    assert all(leg.terms.waiting for leg in legs(venue, pair))
    venue.order(bob, BUY, 1, 70)

    venue.trade_at(110)

    assert statuses(venue, pair) == [FILLED, EXPIRED]


def test_a_trailing_leg_that_is_set_off_ends_the_limit(venue: Venue, alice: int) -> None:
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 1, 110, type=LIMIT_MAKER),
            new(SELL, 1, 80, type=STOP_LOSS_LIMIT, trailing_delta=500),
        )
    )
    venue.trade_at(105)

    venue.trade_at(99.75)

    above, below = legs(venue, pair)
    assert (above.status, below.is_resting) == (EXPIRED, True)
    assert venue.book.side(SELL).best_price() == 80 * UNIT


def test_a_leg_that_is_filled_before_its_sibling_had_its_turn_wins(
    venue: Venue, alice: int, bob: int
) -> None:
    """One sweep sets the stop off with its first trade and takes the limit with its second."""
    pair = sell_pair(venue, alice, quantity=1)
    venue.order(bob, SELL, 1, 89)

    outcome = venue.order(bob, BUY, 3, 110)

    assert trades(outcome) == [(89, 1), (110, 1)]
    assert statuses(venue, pair) == [FILLED, EXPIRED]
    assert legs(venue, pair)[1].filled == 0


def test_cancelling_one_leg_cancels_both(venue: Venue, alice: int) -> None:
    for place in (0, 1):
        pair = sell_pair(venue, alice)

        outcome = venue.cancel(alice, pair.order_ids[place])

        assert isinstance(outcome.result, Canceled)
        assert outcome.result.order_ids == pair.order_ids
        assert statuses(venue, pair) == [CANCELED, CANCELED]
        assert is_done(venue, pair)
    assert venue.locked(alice, "SOL") == 0


def test_a_list_is_cancelled_by_either_of_its_ids(venue: Venue, alice: int) -> None:
    first, second = sell_pair(venue, alice), sell_pair(venue, alice)

    by_id = venue.cancel_list(alice, list_id=first.id)
    by_name = venue.cancel_list(alice, client_list_id=second.client_list_id)

    for pair, outcome in ((first, by_id), (second, by_name)):
        assert isinstance(outcome.result, Canceled)
        assert outcome.result.order_ids == pair.order_ids
        assert is_done(venue, pair)


def test_a_list_that_is_not_open_or_not_ones_own_is_not_found(
    venue: Venue, alice: int, bob: int
) -> None:
    pair = sell_pair(venue, alice)

    for account, ids in (
        (bob, {"list_id": pair.id}),
        (bob, {"client_list_id": pair.client_list_id}),
        (alice, {"list_id": pair.id + 1}),
        (alice, {"list_id": pair.id, "client_list_id": "another"}),
    ):
        assert reason(venue.cancel_list(account, **ids)) is Reason.UNKNOWN_LIST
    assert reason(venue.cancel_list(alice)) is Reason.INVALID
    venue.cancel_list(alice, list_id=pair.id)
    assert reason(venue.cancel_list(alice, list_id=pair.id)) is Reason.UNKNOWN_LIST


def test_cancelling_all_orders_cancels_each_list_once(venue: Venue, alice: int) -> None:
    single = placed(venue.order(alice, SELL, 1, 120)).id
    pair = sell_pair(venue, alice)

    outcome = venue.cancel_all(alice)

    assert isinstance(outcome.result, Canceled)
    assert outcome.result.order_ids == (single, *pair.order_ids)
    assert len([row for row in rows_of(outcome, OrderList) if row.id == pair.id]) == 1
    assert is_done(venue, pair)


@pytest.mark.parametrize(
    ("above", "below"),
    [
        # The gain of a sell is above the last price, its stop below.
        (new(SELL, 1, 100, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90)),
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=100)),
        (new(SELL, 1, 95, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=96)),
        (new(SELL, 1, type=TAKE_PROFIT, stop=100), new(SELL, 1, type=STOP_LOSS, stop=90)),
        (new(BUY, 1, 120, type=STOP_LOSS_LIMIT, stop=100), new(BUY, 1, 90, type=LIMIT_MAKER)),
        (new(BUY, 1, 120, type=STOP_LOSS_LIMIT, stop=110), new(BUY, 1, 100, type=LIMIT_MAKER)),
        (
            new(BUY, 1, type=STOP_LOSS, stop=110),
            new(BUY, 1, 90, type=TAKE_PROFIT_LIMIT, stop=100),
        ),
    ],
)
def test_the_legs_must_stand_on_both_sides_of_the_last_price(
    venue: Venue, alice: int, above: NewOrder, below: NewOrder
) -> None:
    outcome = venue.oco(alice, above, below)

    assert reason(outcome) is Reason.LIST_PRICES
    assert outcome.rows == ()


def test_a_limit_beyond_the_last_price_does_not_matter_for_a_stop_with_a_limit(
    venue: Venue, alice: int
) -> None:
    outcome = venue.oco(
        alice,
        new(SELL, 1, 110, type=LIMIT_MAKER),
        new(SELL, 1, 120, type=STOP_LOSS_LIMIT, stop=90),
    )

    assert reason(outcome) is None


def test_in_a_market_that_never_traded_only_the_legs_themselves_must_stand_apart() -> None:
    venue = WatchedVenue()
    alice = venue.account("alice", SOL=10)

    wrong = venue.oco(
        alice,
        new(SELL, 1, 100, type=LIMIT_MAKER),
        new(SELL, 1, type=STOP_LOSS, stop=100),
    )
    right = venue.oco(
        alice,
        new(SELL, 1, 100, type=LIMIT_MAKER),
        new(SELL, 1, type=STOP_LOSS, stop=99.99),
    )

    assert (reason(wrong), reason(right)) == (Reason.LIST_PRICES, None)


def test_a_trailing_leg_without_a_stop_price_stands_nowhere(venue: Venue, alice: int) -> None:
    outcome = venue.oco(
        alice,
        new(SELL, 1, 100.01, type=LIMIT_MAKER),
        new(SELL, 1, type=STOP_LOSS, trailing_delta=100),
    )

    assert reason(outcome) is None


def test_a_leg_that_would_take_is_refused_with_its_list(venue: Venue, alice: int, bob: int) -> None:
    venue.order(bob, BUY, 1, 112)

    outcome = venue.oco(
        alice, new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90)
    )

    assert reason(outcome) is Reason.WOULD_MATCH
    assert outcome.rows == ()


@pytest.mark.parametrize(
    ("above", "below"),
    [
        # The two must be a gain and a stop, of one side and size, each in its place.
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, 90, type=LIMIT_MAKER)),
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(BUY, 1, type=STOP_LOSS, stop=110)),
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 2, type=STOP_LOSS, stop=90)),
        (new(SELL, 1, type=STOP_LOSS, stop=90), new(SELL, 1, 110, type=LIMIT_MAKER)),
        (new(BUY, 1, 90, type=LIMIT_MAKER), new(BUY, 1, type=STOP_LOSS, stop=110)),
        (new(SELL, 1, 110), new(SELL, 1, type=STOP_LOSS, stop=90)),
        (new(SELL, 1), new(SELL, 1, type=STOP_LOSS, stop=90)),
        (new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=TAKE_PROFIT, stop=110)),
        (new(SELL, 1, type=TAKE_PROFIT, stop=110), new(SELL, 1, type=TAKE_PROFIT, stop=120)),
    ],
)
def test_two_orders_that_are_no_pair_are_refused(
    venue: Venue, alice: int, above: NewOrder, below: NewOrder
) -> None:
    assert reason(venue.oco(alice, above, below)) is Reason.INVALID


def test_a_pair_is_two_orders(venue: Venue, alice: int) -> None:
    sell_pair(venue, alice)
    command = venue.commands[-1]
    assert isinstance(command, PlaceList)
    orders = tuple(
        replace(one, client_order_id=one.client_order_id + "x") for one in command.orders
    )

    for wrong in (orders[:1], (*orders, replace(orders[0], client_order_id="third")), ()):
        again = replace(command, orders=wrong, client_list_id="another")
        assert reason(venue.do(again)) is Reason.INVALID


def test_each_leg_must_pass_the_filters(venue: Venue, alice: int) -> None:
    outcome = venue.oco(
        alice,
        new(SELL, 1, 110, type=LIMIT_MAKER),
        new(SELL, 1, type=STOP_LOSS, stop=90.001),
    )

    assert (reason(outcome), detail(outcome)) == (Reason.FILTER, "PRICE_FILTER")


def test_ids_of_a_list_are_open_once(venue: Venue, alice: int, bob: int) -> None:
    def pair(account: int, list_name: str, above: str, below: str) -> Reason | None:
        return reason(
            venue.oco(
                account,
                new(SELL, 1, 110, type=LIMIT_MAKER, client_order_id=above),
                new(SELL, 1, type=STOP_LOSS, stop=90, client_order_id=below),
                client_list_id=list_name,
            )
        )

    assert pair(alice, "l", "a", "a") is Reason.DUPLICATE_CLIENT_ORDER_ID
    assert pair(alice, "l", "a", "b") is None
    assert pair(alice, "m", "c", "b") is Reason.DUPLICATE_CLIENT_ORDER_ID
    assert pair(alice, "l", "c", "d") is Reason.DUPLICATE_CLIENT_ORDER_ID
    assert pair(bob, "l", "a", "b") is None
    venue.cancel_list(alice, client_list_id="l")
    assert pair(alice, "l", "a", "b") is None


def test_a_leg_may_be_an_iceberg(venue: Venue, alice: int, bob: int) -> None:
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 5, 110, type=LIMIT_MAKER, iceberg=2),
            new(SELL, 5, 85, type=STOP_LOSS_LIMIT, stop=90, iceberg=1),
        )
    )
    assert venue.book.side(SELL).quantity(110 * UNIT) == 2 * UNIT

    venue.order(bob, BUY, 3, 110)

    assert statuses(venue, pair) == [PARTIALLY_FILLED, EXPIRED]
    assert venue.book.side(SELL).quantity(110 * UNIT) == UNIT


@pytest.mark.parametrize("life", [TimeInForce.IOC, TimeInForce.FOK])
def test_a_leg_may_have_a_short_life(venue: Venue, alice: int, life: TimeInForce) -> None:
    pair = listed(
        venue.oco(
            alice,
            new(SELL, 1, 110, type=LIMIT_MAKER),
            new(SELL, 1, 85, type=STOP_LOSS_LIMIT, stop=90, time_in_force=life),
        )
    )

    venue.trade_at(90)

    assert statuses(venue, pair) == [EXPIRED, EXPIRED]
    assert is_done(venue, pair)


def test_a_market_may_not_offer_pairs(venue: Venue, alice: int) -> None:
    venue.rule(features=tuple(one for one in Feature if one is not Feature.OCO))

    outcome = venue.oco(
        alice, new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90)
    )

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, "OCO")
