"""What a market takes and when, and how far its trades may go."""

import pytest
from msgspec.structs import replace
from venue import (
    MARKET,
    SYMBOL,
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

from exchange.services.commands import ChangeExchange, ChangeMarket
from exchange.services.markets import Feature, Market, Mode
from exchange.services.messages import Done, Reason
from exchange.services.orders import (
    ExpiryReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import AveragePrices

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, LIMIT_MAKER = OrderType.STOP_LOSS, OrderType.LIMIT_MAKER
MINUTE = 60_000_000
MILLION = 1_000_000


@pytest.fixture
def venue() -> Venue:
    """The last price is 100."""
    venue = WatchedVenue()
    venue.trade_at(100)
    return venue


# --- Modes ---


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.BREAK])
def test_a_market_in_a_break_or_halted_takes_nothing(venue: Venue, alice: int, mode: Mode) -> None:
    order = placed(venue.order(alice, SELL, 2, 110)).id
    pair = listed(
        venue.oco(alice, new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90))
    )
    venue.mode(mode)

    for outcome in (
        venue.order(alice, SELL, 1, 110),
        venue.oco(
            alice, new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90)
        ),
        venue.oto(alice, new(SELL, 1, 110), new(SELL, 1, 120)),
        venue.replace(alice, order, new(SELL, 1, 110)),
        venue.amend(alice, order, 1),
        venue.cancel(alice, order),
        venue.cancel_list(alice, list_id=pair.id),
        venue.cancel_all(alice),
    ):
        assert reason(outcome) is Reason.MARKET_CLOSED
    venue.mode(Mode.RUNNING)
    assert reason(venue.cancel_all(alice)) is None


def test_a_market_that_only_cancels_takes_what_makes_less(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 2, 110)).id
    pair = listed(
        venue.oco(alice, new(SELL, 1, 110, type=LIMIT_MAKER), new(SELL, 1, type=STOP_LOSS, stop=90))
    )
    venue.mode(Mode.CANCEL_ONLY)

    assert reason(venue.order(alice, SELL, 1, 110)) is Reason.MARKET_CLOSED
    assert reason(venue.oto(alice, new(SELL, 1, 110), new(SELL, 1, 120))) is Reason.MARKET_CLOSED
    assert reason(venue.replace(alice, order, new(SELL, 1, 110))) is Reason.MARKET_CLOSED
    assert venue.status(order) is OrderStatus.NEW
    assert reason(venue.amend(alice, order, 1)) is None
    assert reason(venue.cancel_list(alice, list_id=pair.id)) is None
    assert reason(venue.cancel(alice, order)) is None


def test_what_waits_goes_on_waiting_through_a_break(venue: Venue, alice: int, bob: int) -> None:
    venue.order(bob, BUY, 1, 80)
    order = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=90))
    venue.mode(Mode.BREAK)
    venue.mode(Mode.RUNNING)
    assert venue.book.orders[order.id].terms.waiting

    venue.trade_at(90)

    assert venue.status(order.id) is OrderStatus.FILLED


# --- What a market offers ---


@pytest.mark.parametrize("type", list(OrderType))
def test_a_type_that_a_market_does_not_offer_is_refused(
    venue: Venue, alice: int, type: OrderType
) -> None:
    venue.rule(order_types=tuple(one for one in OrderType if one is not type))
    price = None if type.is_market else 110
    stop = 90 if type.is_stop_loss else 110 if type.is_contingent else 0

    outcome = venue.order(alice, SELL, 1, price, type=type, stop=stop)

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, type.value)


@pytest.mark.parametrize(
    ("feature", "terms"),
    [
        (Feature.ICEBERG, {"quantity": 2, "price": 110, "iceberg": 1}),
        (Feature.TRAILING, {"quantity": 1, "type": STOP_LOSS, "trailing_delta": 100}),
        (Feature.QUOTE_QUANTITY, {"quantity": None, "quote_quantity": 100}),
    ],
)
def test_a_feature_that_a_market_does_not_offer_is_refused(
    venue: Venue, alice: int, bob: int, feature: Feature, terms: dict[str, object]
) -> None:
    venue.order(bob, BUY, 10, 99)
    assert reason(venue.order(alice, SELL, **terms)) is None  # type: ignore[arg-type]
    venue.rule(features=tuple(one for one in Feature if one is not feature))

    outcome = venue.order(alice, SELL, **terms)  # type: ignore[arg-type]

    assert (reason(outcome), detail(outcome)) == (Reason.NOT_SUPPORTED, feature.value)


def test_orders_that_are_open_already_stay_when_a_market_offers_less(
    venue: Venue, alice: int, bob: int
) -> None:
    stop = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=90))
    venue.order(bob, BUY, 1, 80)
    venue.rule(order_types=(OrderType.LIMIT,), features=())

    venue.trade_at(90)

    assert venue.status(stop.id) is OrderStatus.FILLED


# --- Prices that are too far off ---


def test_a_price_must_be_within_multiples_of_the_average(venue: Venue, alice: int) -> None:
    venue.rule(price_up=1_100_000, price_down=900_000)

    for price in (110.01, 89.99):
        assert detail(venue.order(alice, SELL, 1, price)) == "PERCENT_PRICE"
    for price in (110, 90):
        assert reason(venue.order(alice, SELL, 1, price)) is None


def test_buyers_and_sellers_can_have_different_limits(venue: Venue, alice: int) -> None:
    venue.rule(bid_up=1_050_000, bid_down=500_000, ask_up=2_000_000, ask_down=950_000)

    for side, price in ((BUY, 105.01), (BUY, 49.99), (SELL, 200.01), (SELL, 94.99)):
        assert detail(venue.order(alice, side, 1, price)) == "PERCENT_PRICE_BY_SIDE"
    for side, price in ((BUY, 50), (SELL, 200)):
        assert reason(venue.order(alice, side, 1, price)) is None


def test_without_a_trade_no_price_is_too_far_off() -> None:
    venue = WatchedVenue()
    venue.rule(price_up=1_100_000, price_down=900_000, range_bid_up=1_100_000)
    alice = venue.account("alice", SOL=10)
    bob = venue.account("bob", USDC=10_000)
    venue.order(alice, SELL, 1, 500)

    assert trades(venue.order(bob, BUY, 1, 500)) == [(500, 1)]


def test_a_market_order_has_limits_of_its_own_for_its_quantity(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.rule(market_lot=UNIT // 10, market_quantity_min=UNIT // 2, market_quantity_max=3 * UNIT)
    venue.order(bob, SELL, 100, 101)

    for quantity in (0.4, 3.1, 0.55):
        assert detail(venue.order(alice, BUY, quantity)) == "MARKET_LOT_SIZE"
        waiting = venue.order(alice, SELL, quantity, type=STOP_LOSS, stop=90)
        assert detail(waiting) == "MARKET_LOT_SIZE"
        assert reason(venue.order(alice, BUY, quantity, 50)) is None
    assert placed(venue.order(alice, BUY, 0.6)).filled == round(0.6 * UNIT)


def test_a_quote_amount_keeps_to_the_lot_of_market_orders(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.rule(market_lot=UNIT // 10, market_quantity_min=UNIT // 2, market_quantity_max=3 * UNIT)
    venue.order(bob, SELL, 1, 100)
    venue.order(bob, SELL, 0.25, 101)
    venue.order(bob, SELL, 100, 102)

    order = placed(venue.order(alice, BUY, None, quote_quantity=140))
    assert (order.status, order.filled) == (OrderStatus.FILLED, round(1.3 * UNIT))
    # No more than the greatest quantity.
    order = placed(venue.order(alice, BUY, None, quote_quantity=1_000))
    assert (order.status, order.filled) == (OrderStatus.FILLED, 3 * UNIT)
    assert detail(venue.order(alice, BUY, None, quote_quantity=50)) == "MARKET_LOT_SIZE"


def test_a_quote_amount_keeps_to_that_lot_also_after_a_prevented_match(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.rule(market_lot=UNIT // 10, market_quantity_min=UNIT // 10)
    venue.order(bob, SELL, 0.25, 100)
    venue.order(alice, SELL, 5, 101)

    order = placed(
        venue.order(alice, BUY, None, quote_quantity=40, self_trade=SelfTrade.EXPIRE_MAKER)
    )

    assert order.filled == round(0.2 * UNIT)


def test_too_little_liquidity_for_the_least_quantity_is_refused(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.rule(market_lot=UNIT // 10, market_quantity_min=UNIT // 2)
    venue.order(bob, SELL, 0.4, 100)

    outcome = venue.order(alice, BUY, None, quote_quantity=100)

    assert (reason(outcome), detail(outcome)) == (
        Reason.TOO_LITTLE_LIQUIDITY,
        "MARKET_LOT_SIZE",
    )


# --- How far the trades of a taker may go ---


@pytest.mark.parametrize("price", [110, None])
def test_a_taker_stops_at_trades_out_of_range_and_expires(
    venue: Venue, alice: int, bob: int, price: float | None
) -> None:
    venue.rule(range_bid_up=1_050_000)
    for ask in (104, 105, 105.01):
        venue.order(bob, SELL, 1, ask)

    outcome = venue.order(alice, BUY, 3, price)

    order = placed(outcome)
    assert trades(outcome) == [(104, 1), (105, 1)]
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, 2 * UNIT)
    assert order.terms.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED
    assert venue.book.side(SELL).best_price() == round(105.01 * UNIT)
    assert venue.locked(alice, "USDC") == 0


def test_a_sellers_range_is_below(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(range_ask_down=950_000)
    for price in (95, 94.99):
        venue.order(bob, BUY, 1, price)

    outcome = venue.order(alice, SELL, 2, 90)

    assert trades(outcome) == [(95, 1)]
    assert placed(outcome).terms.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED


def test_the_range_is_that_of_the_average_before_the_first_trade(
    venue: Venue, alice: int, bob: int
) -> None:
    """The trades of a sweep do not widen its own range, but that of the next one."""
    venue.rule(range_bid_up=1_050_000)
    venue.order(bob, SELL, 900, 105)
    venue.order(bob, SELL, 1, 109)

    first = venue.order(alice, BUY, 901, 110)
    second = venue.order(alice, BUY, 1, 110)

    assert trades(first) == [(105, 900)]
    assert placed(first).terms.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED
    # Now the average is close to 105.
    assert trades(second) == [(109, 1)]


def test_an_order_that_takes_nothing_may_rest_out_of_range(venue: Venue, alice: int) -> None:
    venue.rule(range_bid_up=1_050_000)

    assert placed(venue.order(alice, BUY, 1, 200)).status is OrderStatus.NEW


def test_a_quote_amount_stops_at_the_range_too(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(range_bid_up=1_050_000)
    venue.order(bob, SELL, 1, 106)

    order = placed(venue.order(alice, BUY, None, quote_quantity=200))

    assert (order.status, order.filled) == (OrderStatus.EXPIRED, 0)
    assert order.terms.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED


def test_a_stop_stops_at_the_range_too(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(range_ask_down=950_000)
    venue.order(bob, BUY, 1, 80)
    order = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=98))

    venue.trade_at(98)

    assert venue.state(order.id).terms.expiry_reason is ExpiryReason.PRICE_RANGE_EXCEEDED
    assert venue.locked(alice, "SOL") == 0


def test_an_order_that_must_be_filled_whole_does_nothing_if_the_range_forbids_it(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.rule(range_bid_up=1_050_000)
    venue.order(bob, SELL, 1, 105)
    venue.order(bob, SELL, 1, 106)

    outcome = venue.order(alice, BUY, 2, 106, time_in_force=TimeInForce.FOK)

    assert trades(outcome) == []
    assert placed(outcome).terms.expiry_reason is ExpiryReason.UNFILLED_FOK


# --- Quote amounts ---


def test_a_sell_by_quote_amount_takes_no_worse_price_while_a_better_one_is_there(
    venue: Venue, alice: int, bob: int
) -> None:
    """What is left of 10.02 after a tenth at 100 buys no lot at 100, but would at 20."""
    venue.order(bob, BUY, 1, 100)
    venue.order(bob, BUY, 1, 20)

    outcome = venue.order(alice, SELL, None, quote_quantity=10.05)

    assert trades(outcome) == [(100, 0.1)]
    assert placed(outcome).status is OrderStatus.FILLED


# --- The average price ---


def average(venue: Venue) -> float:
    return venue.book.average(venue.now) / UNIT


def test_the_average_is_that_of_the_last_minutes_and_part_of_the_state(venue: Venue) -> None:
    venue.now += MINUTE
    outcome = venue.trade_at(110)

    (row,) = rows_of(outcome, AveragePrices)
    assert [minute[1:] for minute in row.minutes] == [
        (UNIT, 100 * UNIT),
        (UNIT, 110 * UNIT),
    ]
    assert average(venue) == 105
    venue.now += 4 * MINUTE
    assert average(venue) == 110
    venue.now += MINUTE
    # Nothing was traded within five minutes: the last price.
    venue.trade_at(120)
    assert average(venue) == 120


def test_a_clock_that_steps_back_counts_only_what_is_not_to_come(venue: Venue) -> None:
    venue.now += 3 * MINUTE
    venue.trade_at(110)
    venue.now -= 2 * MINUTE

    venue.trade_at(120)
    assert average(venue) == 110  # of 100 and 120; what was traded at 110 is still to come
    assert venue.book.last_price == 120 * UNIT

    venue.now += 2 * MINUTE
    assert average(venue) == 110


def test_a_clock_that_stepped_back_far_is_believed(venue: Venue, alice: int, bob: int) -> None:
    venue.now -= 600 * MINUTE
    assert average(venue) == 100

    venue.trade_at(120)
    assert average(venue) == 120
    for minute in range(1, 7):
        venue.now += MINUTE
        venue.trade_at(120 + minute)

    assert average(venue) == 124
    average_prices = venue.book.average_prices()
    assert average_prices is not None
    assert len(average_prices.minutes) == 5


def test_a_market_without_minutes_goes_by_its_last_price() -> None:
    venue = WatchedVenue(replace(MARKET, average_price_minutes=0))
    venue.trade_at(100, 110)

    assert average(venue) == 110


# --- Changes of rules ---


def test_a_change_of_rules_leaves_grid_and_mode_alone(venue: Venue) -> None:
    venue.mode(Mode.CANCEL_ONLY)

    (row,) = rows_of(venue.rule(maker_rate=5, price_up=2 * MILLION), Market)

    assert row == replace(
        venue.book.market, maker_rate=5, rules=replace(MARKET.rules, price_up=2 * MILLION)
    )
    assert (row.mode, row.tick) == (Mode.CANCEL_ONLY, MARKET.tick)


def test_rules_that_others_have_changed_since_they_were_read_are_not_replaced(venue: Venue) -> None:
    read = venue.book.market
    venue.rule(orders_max=7)

    late = venue.do(ChangeMarket(uid=1, symbol=SYMBOL, maker_rate=0, taker_rate=0,
                                 rules=read.rules, replaces=read))  # fmt: skip
    unread = venue.rule(maker_rate=5)

    assert reason(late) is Reason.CHANGED_MEANWHILE
    assert isinstance(unread.result, Done)
    assert (venue.book.market.rules.orders_max, venue.book.market.maker_rate) == (7, 5)


def test_a_halt_does_not_stand_in_the_way_of_a_change_of_rules(venue: Venue) -> None:
    read = venue.book.market
    venue.mode(Mode.HALTED)

    changed = venue.do(ChangeMarket(uid=1, symbol=SYMBOL, maker_rate=1, taker_rate=2,
                                    rules=read.rules, replaces=read))  # fmt: skip

    assert isinstance(changed.result, Done)
    assert (venue.book.market.mode, venue.book.market.maker_rate) == (Mode.HALTED, 1)


def test_rules_of_the_exchange_that_others_have_changed_are_not_replaced(venue: Venue) -> None:
    read = venue.engine.registry.exchange_rules
    venue.exchange_rule(orders_max=7)

    late = venue.do(ChangeExchange(uid=1, rules=replace(read, algo_orders_max=3), replaces=read))

    assert reason(late) is Reason.CHANGED_MEANWHILE
    assert venue.engine.registry.exchange_rules.orders_max == 7


def test_an_unknown_market_has_no_rules(venue: Venue) -> None:
    venue.rule(maker_rate=5)
    command = replace(venue.commands[-1], symbol="NOPE")

    assert reason(venue.do(command)) is Reason.UNKNOWN_SYMBOL
    assert venue.engine.books.keys() == {SYMBOL}
