"""Orders that show only a slice: how they queue, and what the book says of them."""

import pytest
from venue import UNIT, Venue, detail, placed, reason, rows_of, sellers, trades

from exchange.services.messages import Reason
from exchange.services.orders import ExpiryReason, OrderStatus, OrderType, Side, TimeInForce
from exchange.services.rows import Level, Trade

BUY, SELL = Side.BUY, Side.SELL


def shown(venue: Venue, price: float, side: Side = SELL) -> float:
    return venue.book.side(side).quantity(round(price * UNIT)) / UNIT


def pieces(venue: Venue, number: int) -> list[tuple[int, float]]:
    """Seller and quantity of each trade of an outcome."""
    (outcome,) = (one for one in venue.outcomes if one.number == number)
    return [(row.sell_order, row.quantity / UNIT) for row in rows_of(outcome, Trade)]


def test_the_book_shows_a_slice_and_the_order_holds_the_whole(venue: Venue, alice: int) -> None:
    outcome = venue.order(alice, SELL, 10, 100, iceberg=3)

    assert placed(outcome).shown == 3 * UNIT
    assert [row.quantity for row in rows_of(outcome, Level)] == [3 * UNIT]
    assert venue.locked(alice, "SOL") == 10


def test_a_slice_is_used_up_before_the_next_one_is_shown(
    venue: Venue, alice: int, bob: int
) -> None:
    order = placed(venue.order(alice, SELL, 10, 100, iceberg=3))

    venue.order(bob, BUY, 2, 100)
    assert shown(venue, 100) == 1
    venue.order(bob, BUY, 1, 100)
    assert shown(venue, 100) == 3
    venue.order(bob, BUY, 6, 100)

    # Nine are gone: the last slice is smaller.
    assert shown(venue, 100) == 1
    venue.order(bob, BUY, 1, 100)
    assert venue.status(order.id) is OrderStatus.FILLED
    assert shown(venue, 100) == 0


def test_the_next_slice_goes_to_the_back_of_the_queue(venue: Venue, alice: int, bob: int) -> None:
    iceberg = placed(venue.order(alice, SELL, 4, 100, iceberg=1)).id
    plain = placed(venue.order(alice, SELL, 1, 100)).id
    venue.order(bob, BUY, 1, 100)

    outcome = venue.order(bob, BUY, 2, 100)

    assert sellers(outcome) == [plain, iceberg]


def test_a_slice_that_is_only_begun_keeps_its_place(venue: Venue, alice: int, bob: int) -> None:
    iceberg = placed(venue.order(alice, SELL, 4, 100, iceberg=1)).id
    venue.order(alice, SELL, 1, 100)
    venue.order(bob, BUY, 0.5, 100)

    outcome = venue.order(bob, BUY, 0.5, 100)

    assert sellers(outcome) == [iceberg]


def test_one_sweep_takes_slice_after_slice_each_in_its_turn(
    venue: Venue, alice: int, bob: int
) -> None:
    first = placed(venue.order(alice, SELL, 2.5, 100, iceberg=1)).id
    plain = placed(venue.order(alice, SELL, 2, 100)).id
    second = placed(venue.order(alice, SELL, 4, 100, iceberg=1.5)).id
    dearer = placed(venue.order(alice, SELL, 5, 101)).id

    outcome = venue.order(bob, BUY, 9, 101)

    assert pieces(venue, outcome.number) == [
        (first, 1),
        (plain, 2),
        (second, 1.5),
        (first, 1),
        (second, 1.5),
        (first, 0.5),
        (second, 1),
        (dearer, 0.5),
    ]
    assert [row.quantity for row in rows_of(outcome, Level)] == [0, round(4.5 * UNIT)]


def test_a_sweep_that_ends_within_a_slice_leaves_the_queue_as_it_was_passed(
    venue: Venue, alice: int, bob: int
) -> None:
    first = placed(venue.order(alice, SELL, 3, 100, iceberg=1)).id
    second = placed(venue.order(alice, SELL, 3, 100, iceberg=1)).id
    venue.order(bob, BUY, 2.5, 100)
    assert shown(venue, 100) == 1.5

    outcome = venue.order(bob, BUY, 3.5, 100)

    assert pieces(venue, outcome.number) == [(first, 0.5), (second, 1), (first, 1), (second, 1)]


def test_what_an_iceberg_does_not_take_rests_with_a_full_slice(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 2.5, 100)

    order = placed(venue.order(bob, BUY, 6, 100, iceberg=2))

    # It takes with all it has, not slice by slice.
    assert order.filled == 2.5 * UNIT
    assert (order.shown, shown(venue, 100, BUY)) == (2 * UNIT, 2)


def test_an_iceberg_that_has_less_than_a_slice_left_shows_all_of_it(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 5, 100)

    order = placed(venue.order(bob, BUY, 6, 100, iceberg=2))

    assert (order.remaining, order.shown) == (UNIT, UNIT)
    assert shown(venue, 100, BUY) == 1


def test_what_an_iceberg_hides_can_be_taken_by_an_order_that_must_be_filled_whole(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 10, 100, iceberg=1)

    killed = venue.order(bob, BUY, 10.001, 100, time_in_force=TimeInForce.FOK)
    filled = venue.order(bob, BUY, 10, 100, time_in_force=TimeInForce.FOK)

    assert trades(killed) == []
    assert placed(killed).terms.expiry_reason is ExpiryReason.UNFILLED_FOK
    assert trades(filled) == [(100, 1)] * 10


def test_a_market_order_takes_what_is_hidden_before_it_takes_a_worse_price(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 3, 100, iceberg=1)
    venue.order(alice, SELL, 3, 101)

    assert trades(venue.order(bob, BUY, 4)) == [(100, 1), (100, 1), (100, 1), (101, 1)]


def test_a_quote_amount_takes_slices_too(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 3, 100, iceberg=1)

    order = placed(venue.order(bob, BUY, None, quote_quantity=250))

    assert (order.status, order.filled) == (OrderStatus.FILLED, round(2.5 * UNIT))


def test_a_cancelled_iceberg_gives_back_what_it_hid(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, BUY, 10, 100, iceberg=3))
    venue.order(bob, SELL, 4, 100)

    venue.cancel(alice, order.id)

    assert (venue.free(alice, "USDC"), venue.locked(alice, "USDC")) == (99_600, 0)
    assert venue.book.side(BUY).best_price() is None


def test_a_stop_can_become_an_iceberg(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    order = placed(
        venue.order(alice, SELL, 5, 120, type=OrderType.STOP_LOSS_LIMIT, stop=95, iceberg=2)
    )
    assert venue.locked(alice, "SOL") == 5

    venue.trade_at(95)

    assert shown(venue, 120) == 2
    assert venue.state(order.id).remaining == 5 * UNIT


def test_a_slice_may_be_the_whole_order(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 3, 100, iceberg=3)

    assert shown(venue, 100) == 3


def test_a_slice_larger_than_its_order_is_refused(venue: Venue, alice: int) -> None:
    outcome = venue.order(alice, SELL, 3, 100, iceberg=3.001)

    assert reason(outcome) is Reason.ICEBERG_TOO_LARGE


def test_a_slice_is_a_quantity_like_any_other(venue: Venue, alice: int) -> None:
    assert detail(venue.order(alice, SELL, 3, 100, iceberg=0.0005)) == "LOT_SIZE"


def test_an_iceberg_has_at_most_so_many_slices(venue: Venue, alice: int) -> None:
    venue.rule(iceberg_parts=3)

    assert detail(venue.order(alice, SELL, 3.001, 100, iceberg=1)) == "ICEBERG_PARTS"
    assert reason(venue.order(alice, SELL, 3, 100, iceberg=1)) is None


@pytest.mark.parametrize("life", [TimeInForce.IOC, TimeInForce.FOK])
def test_an_iceberg_is_good_till_cancelled(venue: Venue, alice: int, life: TimeInForce) -> None:
    outcome = venue.order(alice, SELL, 3, 100, iceberg=1, time_in_force=life)

    assert reason(outcome) is Reason.INVALID


def test_an_order_that_never_takes_can_be_an_iceberg(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 3, 100, iceberg=1, type=OrderType.LIMIT_MAKER)

    assert shown(venue, 100) == 1
