"""Orders that are changed: replaced by others, or made smaller in their place."""

import pytest
from msgspec.structs import replace
from venue import (
    MARKET,
    UNIT,
    Venue,
    WatchedVenue,
    detail,
    listed,
    new,
    placed,
    reason,
    rows_of,
    sellers,
    trades,
)

from exchange.services.commands import AmendOrder, NewOrder, ReplaceOrder
from exchange.services.markets import Feature
from exchange.services.messages import (
    Amended,
    Canceled,
    Outcome,
    Placed,
    Reason,
    Rejected,
    Replaced,
)
from exchange.services.orders import ListStatus, OrderStatus, OrderType, SelfTrade, Side
from exchange.services.rows import Amendment, Counters, OrderList

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, STOP_LOSS_LIMIT = OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT
LIMIT_MAKER = OrderType.LIMIT_MAKER
CANCELED = OrderStatus.CANCELED


def parts(outcome: Outcome) -> tuple[bool | Reason, bool | Reason | None]:
    """Whether the cancel and the new order succeeded, or why not; None: not attempted."""
    result = outcome.result
    assert isinstance(result, Replaced), result

    def part(one: object) -> bool | Reason:
        return one.reason if isinstance(one, Rejected) else True

    return part(result.canceled), None if result.placed is None else part(result.placed)


# --- Cancel and replace ---


def test_a_replacement_cancels_one_order_and_places_another(venue: Venue, alice: int) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 2, 101))

    assert outcome.result == Replaced(
        canceled=Canceled(symbol=MARKET.symbol, order_ids=(old.id,)),
        placed=Placed(symbol=MARKET.symbol, order_id=old.id + 1),
    )
    assert venue.status(old.id) is CANCELED
    assert venue.locked(alice, "USDC") == 202
    assert len(rows_of(outcome, Counters)) == 1


def test_the_new_order_may_have_the_client_order_id_of_the_old_one(
    venue: Venue, alice: int
) -> None:
    old = placed(venue.order(alice, BUY, 1, 100, client_order_id="x"))

    venue.replace(alice, old.id, new(BUY, 1, 101, client_order_id="x"))

    order = venue.book.order_by_client_id(alice, "x")
    assert order is not None
    assert order.id == old.id + 1


def test_the_new_order_can_use_what_the_old_one_held(venue: Venue, bob: int) -> None:
    buyer = venue.account("buyer", USDC=100)
    old = placed(venue.order(buyer, BUY, 1, 100))

    assert parts(venue.replace(buyer, old.id, new(BUY, 2, 50))) == (True, True)
    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (0, 100)


def test_the_new_order_is_the_youngest(venue: Venue, alice: int, bob: int) -> None:
    old = placed(venue.order(alice, SELL, 1, 100)).id
    other = placed(venue.order(alice, SELL, 1, 100)).id
    venue.replace(alice, old, new(SELL, 1, 100))

    assert sellers(venue.order(bob, BUY, 2, 100)) == [other, other + 1]


def test_the_new_order_does_not_meet_the_old_one(venue: Venue, alice: int) -> None:
    old = placed(venue.order(alice, SELL, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 1, 100, self_trade=SelfTrade.NONE))

    assert (parts(outcome), trades(outcome)) == ((True, True), [])


def test_a_failed_cancel_stops_the_placement_if_that_is_asked(venue: Venue, alice: int) -> None:
    stopped = venue.replace(alice, 999, new(BUY, 1, 100), stop=True)
    went_on = venue.replace(alice, 999, new(BUY, 1, 100), stop=False)

    assert parts(stopped) == (Reason.UNKNOWN_ORDER, None)
    assert parts(went_on) == (Reason.UNKNOWN_ORDER, True)
    assert stopped.rows == ()
    assert len(venue.book.orders) == 1


@pytest.mark.parametrize("stop", [True, False])
def test_a_failed_placement_leaves_the_cancel_done(venue: Venue, alice: int, stop: bool) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 2_000, 100), stop=stop)

    assert parts(outcome) == (True, Reason.INSUFFICIENT_BALANCE)
    assert isinstance(outcome.result, Replaced)
    assert outcome.result.rejected is not None
    assert outcome.result.rejected.status is OrderStatus.REJECTED
    assert venue.status(old.id) is CANCELED
    assert venue.locked(alice, "USDC") == 0


def test_both_parts_can_fail(venue: Venue, alice: int) -> None:
    outcome = venue.replace(alice, 999, new(BUY, 2_000, 100), stop=False)

    assert parts(outcome) == (Reason.UNKNOWN_ORDER, Reason.INSUFFICIENT_BALANCE)
    assert isinstance(outcome.result, Replaced)
    assert outcome.result.rejected is None
    assert outcome.rows == ()


def test_a_new_order_that_no_filter_lets_through_is_refused_before_the_cancel(
    venue: Venue, alice: int
) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))

    for order, name in ((new(BUY, 1, 100.001), "PRICE_FILTER"), (new(BUY, 0.01, 100), "NOTIONAL")):
        outcome = venue.replace(alice, old.id, order, stop=False)
        assert (reason(outcome), detail(outcome)) == (Reason.FILTER, name)
    assert venue.status(old.id) is OrderStatus.NEW


def test_a_new_order_beyond_the_number_of_orders_is_refused_before_the_cancel(
    venue: Venue, alice: int
) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))
    venue.rule(orders_max=1)

    outcome = venue.replace(alice, old.id, new(BUY, 1, 101))

    assert (reason(outcome), detail(outcome)) == (Reason.FILTER, "MAX_NUM_ORDERS")
    assert venue.status(old.id) is OrderStatus.NEW


def test_a_replacement_may_be_restricted_to_a_status(venue: Venue, alice: int, bob: int) -> None:
    old = placed(venue.order(alice, BUY, 2, 100))
    venue.order(bob, SELL, 1, 100)

    outcome = venue.replace(alice, old.id, new(BUY, 1, 101), only=OrderStatus.NEW)

    assert parts(outcome) == (Reason.CANCEL_RESTRICTED, None)


def test_the_ids_of_the_old_order_must_agree(venue: Venue, alice: int) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 1, 101), client_order_id="another")

    assert parts(outcome) == (Reason.ORDER_ID_MISMATCH, None)


def test_the_client_order_id_of_a_third_order_cannot_be_had(venue: Venue, alice: int) -> None:
    venue.order(alice, BUY, 1, 99, client_order_id="x")
    old = placed(venue.order(alice, BUY, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 1, 101, client_order_id="x"))

    assert parts(outcome) == (True, Reason.DUPLICATE_CLIENT_ORDER_ID)


def test_replacing_one_order_of_a_list_cancels_the_list(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(alice, new(SELL, 2, 110, type=LIMIT_MAKER), new(SELL, 2, type=STOP_LOSS, stop=90))
    )

    outcome = venue.replace(alice, pair.order_ids[1], new(SELL, 2, 120))

    assert isinstance(outcome.result, Replaced)
    assert isinstance(outcome.result.canceled, Canceled)
    assert outcome.result.canceled.order_ids == pair.order_ids
    assert venue.list_state(pair.id).status is ListStatus.ALL_DONE


def test_a_new_order_can_trade_and_set_stops_off(venue: Venue, alice: int, bob: int) -> None:
    venue.trade_at(100)
    venue.order(bob, SELL, 1, 105)
    venue.order(bob, SELL, 1, 106)
    venue.order(bob, BUY, 1, type=STOP_LOSS, stop=105)
    old = placed(venue.order(alice, BUY, 1, 90))

    outcome = venue.replace(alice, old.id, new(BUY, 1))

    assert trades(outcome) == [(105, 1), (106, 1)]


def test_a_late_replacement_is_refused(venue: Venue, alice: int) -> None:
    old = placed(venue.order(alice, BUY, 1, 100))

    outcome = venue.replace(alice, old.id, new(BUY, 1, 101), deadline=venue.now)

    assert reason(outcome) is Reason.LATE
    assert venue.status(old.id) is OrderStatus.NEW


def test_a_market_may_not_offer_to_replace(venue: Venue, alice: int) -> None:
    venue.rule(features=tuple(one for one in Feature if one is not Feature.CANCEL_REPLACE))

    outcome = venue.replace(alice, 1, new(BUY, 1, 101))

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, "CANCEL_REPLACE")


# --- Amend ---


def test_an_amended_order_keeps_its_id_and_its_place(venue: Venue, alice: int, bob: int) -> None:
    """The example of the public API's documentation."""
    venue.deposit(bob, "USDC", 10**7 * UNIT)
    venue.deposit(alice, "USDC", 10**7 * UNIT)
    first = placed(venue.order(bob, BUY, 1, 87_000)).id
    mine = placed(venue.order(alice, BUY, 5.5, 87_000)).id
    third = placed(venue.order(bob, BUY, 4, 87_000)).id
    last = placed(venue.order(bob, BUY, 2, 86_999)).id

    outcome = venue.amend(alice, mine, 5)

    assert outcome.result == Amended(symbol=MARKET.symbol, order_id=mine)
    orders = [(one.id, one.quantity / UNIT) for one in venue.book.side(BUY).orders()]
    assert orders == [(first, 1), (mine, 5), (third, 4), (last, 2)]
    assert venue.locked(alice, "USDC") == 5 * 87_000
    assert venue.book.side(BUY).quantity(87_000 * UNIT) == 10 * UNIT


def test_an_amendment_is_written_down(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100, client_order_id="before"))

    outcome = venue.amend(alice, order.id, 4, "after")

    assert rows_of(outcome, Amendment) == [
        Amendment(
            symbol=MARKET.symbol,
            number=venue.number,
            order_id=order.id,
            account=alice,
            client_order_id="before",
            new_client_order_id="after",
            quantity=5 * UNIT,
            new_quantity=4 * UNIT,
            time=venue.now,
        )
    ]
    assert venue.state(order.id).terms.amends == 1


def test_the_new_client_order_id_is_taken_and_the_old_one_free(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100, client_order_id="before"))
    venue.amend(alice, order.id, 4, "after")

    taken = venue.order(alice, SELL, 1, 100, client_order_id="after")
    free = venue.order(alice, SELL, 1, 100, client_order_id="before")

    assert (reason(taken), reason(free)) == (Reason.DUPLICATE_CLIENT_ORDER_ID, None)


def test_an_amended_order_may_keep_its_client_order_id(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100, client_order_id="x"))
    venue.order(alice, SELL, 5, 100, client_order_id="y")

    assert reason(venue.amend(alice, order.id, 4, "x")) is None
    assert reason(venue.amend(alice, order.id, 3, "y")) is Reason.DUPLICATE_CLIENT_ORDER_ID


def test_an_order_is_only_made_smaller(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100))

    assert reason(venue.amend(alice, order.id, 5.001)) is Reason.AMEND_INCREASE
    assert reason(venue.amend(alice, order.id, 5)) is Reason.NO_CHANGE
    assert reason(venue.amend(alice, order.id, 4.999)) is None


def test_more_must_remain_than_was_traded_or_prevented(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100))
    venue.order(bob, BUY, 2, 100)
    venue.order(alice, BUY, 1, 100, self_trade=SelfTrade.DECREMENT)

    assert reason(venue.amend(alice, order.id, 3)) is Reason.INVALID
    assert reason(venue.amend(alice, order.id, 3.001)) is None

    state = venue.state(order.id)
    assert (state.status, state.remaining) == (OrderStatus.PARTIALLY_FILLED, UNIT // 1000)
    assert venue.locked(alice, "SOL") == 0.001


def test_the_smaller_order_must_pass_the_filters(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100))

    assert detail(venue.amend(alice, order.id, 4.0005)) == "LOT_SIZE"
    assert detail(venue.amend(alice, order.id, 0.049)) == "NOTIONAL"
    assert reason(venue.amend(alice, order.id, 0.05)) is None


def test_an_order_is_amended_only_so_often(venue: Venue, alice: int) -> None:
    venue.rule(amends_max=2)
    order = placed(venue.order(alice, SELL, 5, 100))
    for quantity in (4, 3):
        assert reason(venue.amend(alice, order.id, quantity)) is None

    assert detail(venue.amend(alice, order.id, 2)) == "MAX_NUM_ORDER_AMENDS"


def test_only_an_open_order_of_ones_own_is_amended(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100))

    assert reason(venue.amend(bob, order.id, 4)) is Reason.UNKNOWN_ORDER
    command = venue.commands[-1]
    assert isinstance(command, AmendOrder)
    mismatch = replace(command, account=alice, client_order_id="another")
    assert reason(venue.do(mismatch)) is Reason.ORDER_ID_MISMATCH
    nobody = replace(command, account=alice, order_id=None)
    assert reason(venue.do(nobody)) is Reason.INVALID
    by_name = replace(nobody, client_order_id=order.client_order_id)
    assert reason(venue.do(by_name)) is None


@pytest.mark.parametrize(("quantity", "shown"), [(9, 3), (3.5, 3), (3, 3), (2.5, 2.5), (1, 1)])
def test_a_slice_changes_only_if_the_order_is_smaller_than_it(
    venue: Venue, alice: int, quantity: float, shown: float
) -> None:
    order = placed(venue.order(alice, SELL, 10, 100, iceberg=3))

    venue.amend(alice, order.id, quantity)

    assert venue.book.side(SELL).quantity(100 * UNIT) == round(shown * UNIT)
    assert venue.locked(alice, "SOL") == quantity


def test_a_slice_that_was_begun_shrinks_to_what_is_left(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, SELL, 10, 100, iceberg=3))
    venue.order(bob, BUY, 4, 100)

    venue.amend(alice, order.id, 7)
    assert venue.book.side(SELL).quantity(100 * UNIT) == 2 * UNIT

    venue.amend(alice, order.id, 5)
    assert venue.book.side(SELL).quantity(100 * UNIT) == UNIT


def test_an_amended_iceberg_keeps_its_place(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, SELL, 10, 100, iceberg=3)).id
    venue.order(alice, SELL, 1, 100)
    venue.amend(alice, order, 2)

    assert sellers(venue.order(bob, BUY, 2, 100)) == [order]


def test_both_legs_of_an_oco_are_amended_together(venue: Venue, alice: int) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(alice, new(SELL, 2, 110, type=LIMIT_MAKER), new(SELL, 2, type=STOP_LOSS, stop=90))
    )
    name = venue.state(pair.order_ids[0]).client_order_id

    outcome = venue.amend(alice, pair.order_ids[1], 1.5, "other")

    above, below = (venue.state(one) for one in pair.order_ids)
    assert above.quantity == below.quantity == round(1.5 * UNIT)
    assert (above.client_order_id, below.client_order_id) == (name, "other")
    assert (above.locked, below.locked) == (round(1.5 * UNIT), 0)
    assert above.terms.amends == below.terms.amends == 1
    assert [row.order_id for row in rows_of(outcome, Amendment)] == list(pair.order_ids)
    assert venue.locked(alice, "SOL") == 1.5


@pytest.mark.parametrize(
    ("above", "below", "held"),
    [
        (
            new(BUY, 2, 120, type=STOP_LOSS_LIMIT, stop=110),
            new(BUY, 2, 90, type=LIMIT_MAKER),
            120,
        ),
        (
            new(BUY, 2, type=STOP_LOSS, stop=110),
            new(BUY, 2, 130, type=OrderType.TAKE_PROFIT_LIMIT, stop=90),
            130,
        ),
    ],
)
def test_the_dearer_leg_of_two_buys_says_what_an_amended_pair_holds(
    venue: Venue, above: NewOrder, below: NewOrder, held: float
) -> None:
    venue.trade_at(100)
    buyer = venue.account("buyer", USDC=2 * held)
    pair = listed(venue.oco(buyer, above, below))
    assert venue.free(buyer, "USDC") == 0

    venue.amend(buyer, pair.order_ids[1], 1)

    assert (venue.free(buyer, "USDC"), venue.locked(buyer, "USDC")) == (held, held)
    assert [venue.state(one).locked for one in pair.order_ids] == [held * UNIT, 0]


def test_a_leg_that_is_alone_is_amended_alone(venue: Venue, alice: int, bob: int) -> None:
    venue.trade_at(100)
    pair = listed(
        venue.oco(alice, new(SELL, 2, 110, type=LIMIT_MAKER), new(SELL, 2, type=STOP_LOSS, stop=90))
    )
    venue.order(bob, BUY, 0.5, 110)
    below = venue.state(pair.order_ids[1])

    venue.amend(alice, pair.order_ids[0], 1)

    assert venue.state(pair.order_ids[1]) == below
    assert venue.locked(alice, "SOL") == 0.5


def oto(venue: Venue, account: int) -> OrderList:
    return listed(venue.oto(account, new(BUY, 2, 95), new(SELL, 2, 120)))


def test_a_pending_order_is_amended_by_itself_and_holds_nothing(
    venue: Venue, alice: int, bob: int
) -> None:
    group = oto(venue, alice)

    venue.amend(alice, group.order_ids[1], 1)

    working, pending = (venue.state(one) for one in group.order_ids)
    assert (working.quantity, pending.quantity, pending.locked) == (2 * UNIT, UNIT, 0)
    venue.order(bob, SELL, 2, 95)
    assert venue.locked(alice, "SOL") == 1


def test_a_working_order_is_amended_by_itself(venue: Venue, alice: int, bob: int) -> None:
    group = oto(venue, alice)

    venue.amend(alice, group.order_ids[0], 1)
    venue.order(bob, SELL, 1, 95)

    working, pending = (venue.state(one) for one in group.order_ids)
    assert (working.status, working.filled) == (OrderStatus.FILLED, UNIT)
    assert (pending.status, pending.quantity) == (OrderStatus.NEW, 2 * UNIT)


def test_both_pending_legs_are_amended_together(venue: Venue, alice: int, bob: int) -> None:
    group = listed(
        venue.oto(
            alice,
            new(BUY, 2, 95),
            new(SELL, 2, 110, type=LIMIT_MAKER),
            new(SELL, 2, type=STOP_LOSS, stop=90),
        )
    )

    venue.amend(alice, group.order_ids[2], 1)

    assert [venue.state(one).quantity // UNIT for one in group.order_ids] == [2, 1, 1]
    venue.order(bob, SELL, 2, 95)
    assert venue.locked(alice, "SOL") == 1


@pytest.mark.parametrize(
    ("order", "held"),
    [
        (new(BUY, 2, type=STOP_LOSS, stop=110), 165),
        (new(BUY, 2, 120, type=STOP_LOSS_LIMIT, stop=110), 180),
        (new(BUY, 2, type=STOP_LOSS, trailing_delta=1_000), 165),
    ],
)
def test_a_waiting_order_is_amended_and_holds_less(
    venue: Venue, alice: int, order: NewOrder, held: float
) -> None:
    venue.trade_at(100)
    waiting = placed(venue.place(alice, order))

    venue.amend(alice, waiting.id, 1.5)

    assert venue.state(waiting.id).locked == held * UNIT
    assert venue.state(waiting.id).terms.waiting


def test_a_market_may_not_offer_to_amend(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 5, 100))
    venue.rule(features=tuple(one for one in Feature if one is not Feature.AMEND))

    outcome = venue.amend(alice, order.id, 4)

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, "AMEND")


def test_only_the_level_that_shrinks_is_told(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 10, 100, iceberg=3))
    before = venue.book.update_id

    hidden = venue.amend(alice, order.id, 8)
    assert venue.book.update_id == before
    seen = venue.amend(alice, order.id, 2)

    assert venue.book.update_id == before + 1
    assert [type(row).__name__ for row in hidden.rows].count("Level") == 0
    assert [type(row).__name__ for row in seen.rows].count("Level") == 1


def test_a_replacement_of_nothing_in_particular_is_refused(venue: Venue, alice: int) -> None:
    venue.replace(alice, 1, new(BUY, 1, 100), stop=True)
    command = venue.commands[-1]
    assert isinstance(command, ReplaceOrder)

    assert parts(venue.do(replace(command, order_id=None))) == (Reason.INVALID, None)


def test_orders_of_another_market_are_not_found() -> None:
    other = replace(MARKET, symbol="BNBUSDC", base="BNB")
    venue = WatchedVenue(MARKET, other)
    alice = venue.account("alice", BNB=10, USDC=1_000)
    order = placed(venue.order(alice, SELL, 5, 100, symbol="BNBUSDC"))

    assert reason(venue.amend(alice, order.id, 4)) is Reason.UNKNOWN_ORDER
    assert parts(venue.replace(alice, order.id, new(BUY, 1, 90))) == (Reason.UNKNOWN_ORDER, None)
