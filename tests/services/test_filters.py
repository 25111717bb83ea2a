"""Filters: what a market does not take, at every boundary, and which fault is named first."""

from typing import Any

import msgspec
import pytest

from exchange.services.commands import NewOrder
from exchange.services.filters import (
    Filter,
    notional_failure,
    notional_filter,
    order_refusal,
    quantity_failure,
)
from exchange.services.markets import (
    TRAILING_DELTA_MAX,
    ExchangeRules,
    Feature,
    Market,
    Rules,
    default_markets,
    market_fault,
)
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import OrderType, SelfTrade, Side, TimeInForce

UNIT = 10**8
LOT, TICK = UNIT // 1_000, UNIT // 100
PRICE = 20 * UNIT
CONTINGENT = [type for type in OrderType if type.is_contingent]
MARKETS = [type for type in OrderType if type.is_market]
SOLUSDC = default_markets()[1][0]
UNLIMITED = ExchangeRules()


def market(**rules: Any) -> Market:
    """SOLUSDC with its grid and notional, and with these rules alone."""
    made = msgspec.structs.replace(SOLUSDC, rules=Rules(**rules))
    assert market_fault(made) is None
    return made


def order(type: OrderType = OrderType.LIMIT, **changes: Any) -> NewOrder:
    """A well-formed buy of its type, of one SOL at 20."""
    fields: dict[str, Any] = {
        "side": Side.BUY,
        "type": type,
        "price": 0 if type.is_market else PRICE,
        "quantity": UNIT,
        "stop_price": PRICE if type.is_contingent else 0,
        "client_order_id": "mine",
    }
    return NewOrder(**{**fields, **changes})


def refusal(
    where: Market, wanted: NewOrder, average_price: int = 0, exchange: ExchangeRules = UNLIMITED
) -> Rejected | None:
    return order_refusal(where, exchange, wanted, average_price)


def failed(
    where: Market, wanted: NewOrder, average_price: int = 0, exchange: ExchangeRules = UNLIMITED
) -> Filter | None:
    """The filter that the order fails; other refusals are no filter."""
    found = refusal(where, wanted, average_price=average_price, exchange=exchange)
    if found is None:
        return None
    assert found.reason is Reason.FILTER, found
    return Filter(found.detail)


# --- What is no order at all --------------------------------------------------------------------


@pytest.mark.parametrize("type", list(OrderType))
def test_every_type_has_an_order_that_is_taken(type: OrderType) -> None:
    assert refusal(market(), order(type), average_price=PRICE) is None
    assert refusal(SOLUSDC, order(type), average_price=PRICE) is None


@pytest.mark.parametrize(
    "malformed",
    [
        order(quantity=None),
        order(quote_quantity=PRICE),
        order(quantity=None, quote_quantity=PRICE),
        order(OrderType.STOP_LOSS, quantity=None, quote_quantity=PRICE),
        order(OrderType.MARKET, quote_quantity=PRICE),
        order(OrderType.MARKET, quantity=None),
        order(OrderType.MARKET, quantity=None, quote_quantity=0),
        order(OrderType.MARKET, quantity=None, quote_quantity=-1),
        order(OrderType.MARKET, price=PRICE),
        order(OrderType.MARKET, price=-PRICE),
        order(OrderType.STOP_LOSS, price=PRICE),
        order(OrderType.TAKE_PROFIT, price=PRICE),
        order(stop_price=PRICE),
        order(trailing_delta=100),
        order(OrderType.MARKET, stop_price=PRICE),
        order(OrderType.LIMIT_MAKER, trailing_delta=100),
        order(OrderType.STOP_LOSS, stop_price=0),
        order(OrderType.TAKE_PROFIT_LIMIT, stop_price=0),
        order(OrderType.STOP_LOSS, stop_price=-TICK),
        order(OrderType.STOP_LOSS, trailing_delta=-1),
        order(iceberg_quantity=-LOT),
        order(iceberg_quantity=LOT, time_in_force=TimeInForce.IOC),
        order(iceberg_quantity=LOT, time_in_force=TimeInForce.FOK),
        order(OrderType.MARKET, iceberg_quantity=LOT),
        order(OrderType.STOP_LOSS, iceberg_quantity=LOT),
        order(OrderType.MARKET, time_in_force=TimeInForce.IOC),
        order(OrderType.STOP_LOSS, time_in_force=TimeInForce.FOK),
        order(OrderType.TAKE_PROFIT, time_in_force=TimeInForce.IOC),
        order(OrderType.LIMIT_MAKER, time_in_force=TimeInForce.IOC),
    ],
    ids=str,
)
def test_parts_that_do_not_fit_each_other_are_no_order(malformed: NewOrder) -> None:
    assert refusal(market(), malformed) == Rejected(reason=Reason.INVALID)


@pytest.mark.parametrize(
    "well_formed",
    [
        order(OrderType.MARKET, quantity=None, quote_quantity=PRICE),
        order(OrderType.STOP_LOSS, stop_price=0, trailing_delta=100),
        order(OrderType.TAKE_PROFIT_LIMIT, trailing_delta=100),
        order(OrderType.STOP_LOSS_LIMIT, time_in_force=TimeInForce.FOK),
        order(time_in_force=TimeInForce.IOC),
        order(iceberg_quantity=LOT),
        order(OrderType.LIMIT_MAKER, iceberg_quantity=LOT),
        order(OrderType.TAKE_PROFIT_LIMIT, iceberg_quantity=LOT),
    ],
    ids=str,
)
def test_parts_that_fit_each_other_are_an_order(well_formed: NewOrder) -> None:
    assert refusal(market(), well_formed) is None


# --- What a market does not offer -----------------------------------------------------------------


@pytest.mark.parametrize("type", list(OrderType))
def test_a_type_that_a_market_does_not_take_is_named(type: OrderType) -> None:
    others = tuple(one for one in OrderType if one is not type)

    assert refusal(market(order_types=others), order(type)) == Rejected(
        reason=Reason.NOT_SUPPORTED, detail=type.value
    )
    assert refusal(market(order_types=(type,)), order(type)) is None


@pytest.mark.parametrize(
    ("feature", "wanted"),
    [
        (Feature.ICEBERG, order(iceberg_quantity=LOT)),
        (Feature.TRAILING, order(OrderType.STOP_LOSS, stop_price=0, trailing_delta=100)),
        (Feature.QUOTE_QUANTITY, order(OrderType.MARKET, quantity=None, quote_quantity=PRICE)),
    ],
)
def test_a_feature_that_a_market_does_not_offer_is_named(
    feature: Feature, wanted: NewOrder
) -> None:
    others = tuple(one for one in Feature if one is not feature)

    assert refusal(market(features=others), wanted) == Rejected(
        reason=Reason.NOT_SUPPORTED, detail=feature.value
    )
    assert refusal(market(features=(feature,)), wanted) is None


def test_features_of_several_orders_are_not_asked_of_one() -> None:
    assert refusal(market(features=()), order()) is None


@pytest.mark.parametrize("mode", list(SelfTrade))
def test_a_self_trade_mode_must_be_allowed_by_the_market(mode: SelfTrade) -> None:
    only = market(self_trade_modes=(mode,), self_trade_default=mode)

    for wanted in SelfTrade:
        found = refusal(only, order(self_trade=wanted))
        assert found == (None if wanted is mode else Rejected(reason=Reason.SELF_TRADE_MODE))
    assert refusal(only, order(self_trade=None)) is None


@pytest.mark.parametrize("more", [1, LOT, 10**30])
def test_an_iceberg_shows_no_more_than_it_has(more: int) -> None:
    assert refusal(market(), order(iceberg_quantity=UNIT)) is None
    assert refusal(market(), order(iceberg_quantity=UNIT + more)) == Rejected(
        reason=Reason.ICEBERG_TOO_LARGE
    )


# --- Prices ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (TICK, Filter.NOTIONAL),
        (5 * UNIT, None),
        (1_000_000 * UNIT, None),
        (0, Filter.PRICE_FILTER),
        (-TICK, Filter.PRICE_FILTER),
        (PRICE + 1, Filter.PRICE_FILTER),
        (1_000_000 * UNIT + TICK, Filter.PRICE_FILTER),
        (10**38, Filter.PRICE_FILTER),
    ],
)
@pytest.mark.parametrize("type", [type for type in OrderType if not type.is_market])
def test_a_price_is_on_the_tick_and_within_its_bounds(
    type: OrderType, price: int, expected: Filter | None
) -> None:
    assert failed(market(), order(type, price=price)) is expected


@pytest.mark.parametrize(
    ("stop_price", "expected"),
    [
        (TICK, None),
        (1_000_000 * UNIT, None),
        (TICK + 1, Filter.PRICE_FILTER),
        (TICK // 2, Filter.PRICE_FILTER),
        (1_000_000 * UNIT + TICK, Filter.PRICE_FILTER),
    ],
)
@pytest.mark.parametrize("type", CONTINGENT)
def test_a_stop_price_is_a_price(type: OrderType, stop_price: int, expected: Filter | None) -> None:
    assert failed(market(), order(type, stop_price=stop_price)) is expected


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (26 * UNIT, None),
        (26 * UNIT + TICK, Filter.PERCENT_PRICE),
        (14 * UNIT, None),
        (14 * UNIT - TICK, Filter.PERCENT_PRICE),
    ],
)
@pytest.mark.parametrize("side", list(Side))
def test_a_price_keeps_to_multiples_of_the_average(
    side: Side, price: int, expected: Filter | None
) -> None:
    banded = market(price_up=1_300_000, price_down=700_000)

    assert failed(banded, order(side=side, price=price), average_price=PRICE) is expected
    assert failed(banded, order(side=side, price=price), average_price=0) is None


@pytest.mark.parametrize(
    ("side", "price", "expected"),
    [
        (Side.BUY, 24 * UNIT, None),
        (Side.BUY, 24 * UNIT + TICK, Filter.PERCENT_PRICE_BY_SIDE),
        (Side.BUY, 10 * UNIT, None),
        (Side.BUY, 10 * UNIT - TICK, Filter.PERCENT_PRICE_BY_SIDE),
        (Side.SELL, 100 * UNIT, None),
        (Side.SELL, 100 * UNIT + TICK, Filter.PERCENT_PRICE_BY_SIDE),
        (Side.SELL, 16 * UNIT, None),
        (Side.SELL, 16 * UNIT - TICK, Filter.PERCENT_PRICE_BY_SIDE),
    ],
)
def test_each_side_has_its_own_multiples(side: Side, price: int, expected: Filter | None) -> None:
    banded = market(bid_up=1_200_000, bid_down=500_000, ask_up=5_000_000, ask_down=800_000)

    assert failed(banded, order(side=side, price=price), average_price=PRICE) is expected


def test_multiples_of_an_average_off_the_tick_are_exact() -> None:
    banded = market(price_up=1_000_001, price_down=999_999)

    # 1.000001 times 20.00000001 is less than 20.01.
    assert failed(banded, order(price=PRICE + TICK), average_price=PRICE + 1) is not None
    assert failed(banded, order(price=PRICE), average_price=PRICE + 1) is None
    assert failed(banded, order(price=PRICE), average_price=PRICE + 2_000) is None
    assert failed(banded, order(price=PRICE), average_price=PRICE + 2_001) is not None


def test_a_multiple_down_of_zero_is_no_bound() -> None:
    banded = market(price_up=1_000_000, bid_up=1_000_000, ask_up=1_000_000)

    assert failed(banded, order(price=TICK, quantity=500 * UNIT), average_price=PRICE) is None


@pytest.mark.parametrize("type", MARKETS)
def test_an_order_without_a_price_has_no_multiples_to_keep(type: OrderType) -> None:
    banded = market(price_up=1, price_down=1, bid_up=1, ask_up=1)

    assert failed(banded, order(type), average_price=PRICE) is None


@pytest.mark.parametrize(
    ("type", "side", "is_above"),
    [
        (OrderType.STOP_LOSS, Side.BUY, True),
        (OrderType.STOP_LOSS_LIMIT, Side.BUY, True),
        (OrderType.TAKE_PROFIT, Side.SELL, True),
        (OrderType.TAKE_PROFIT_LIMIT, Side.SELL, True),
        (OrderType.STOP_LOSS, Side.SELL, False),
        (OrderType.STOP_LOSS_LIMIT, Side.SELL, False),
        (OrderType.TAKE_PROFIT, Side.BUY, False),
        (OrderType.TAKE_PROFIT_LIMIT, Side.BUY, False),
    ],
)
def test_a_trailing_delta_keeps_to_the_bounds_of_its_direction(
    type: OrderType, side: Side, is_above: bool
) -> None:
    bounded = market(
        trailing_above_min=10, trailing_above_max=2_000,
        trailing_below_min=20, trailing_below_max=3_000,
    )  # fmt: skip
    low, high = (10, 2_000) if is_above else (20, 3_000)

    for delta in (low, high):
        assert failed(bounded, order(type, side=side, trailing_delta=delta)) is None
    for delta in (low - 1, high + 1):
        wanted = order(type, side=side, trailing_delta=delta)
        assert failed(bounded, wanted) is Filter.TRAILING_DELTA


@pytest.mark.parametrize("side", list(Side))
def test_no_trailing_delta_reaches_100_percent(side: Side) -> None:
    def trailing(delta: int) -> NewOrder:
        return order(OrderType.STOP_LOSS, side=side, trailing_delta=delta)

    assert failed(market(), trailing(1)) is None
    assert failed(market(), trailing(TRAILING_DELTA_MAX)) is None
    assert failed(market(), trailing(TRAILING_DELTA_MAX + 1)) is Filter.TRAILING_DELTA


# --- Quantities -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (250 * LOT, None),
        (100_000 * UNIT, None),
        (0, Filter.LOT_SIZE),
        (-LOT, Filter.LOT_SIZE),
        (UNIT + 1, Filter.LOT_SIZE),
        (100_000 * UNIT + LOT, Filter.LOT_SIZE),
        (10**38, Filter.LOT_SIZE),
    ],
)
@pytest.mark.parametrize("type", list(OrderType))
def test_a_quantity_is_on_the_lot_and_within_its_bounds(
    type: OrderType, quantity: int, expected: Filter | None
) -> None:
    assert failed(market(), order(type, quantity=quantity)) is expected


def test_the_least_quantity_is_the_markets_own() -> None:
    larger = msgspec.structs.replace(market(), quantity_min=2 * UNIT)

    assert failed(larger, order(quantity=2 * UNIT)) is None
    assert failed(larger, order(quantity=2 * UNIT - LOT)) is Filter.LOT_SIZE


@pytest.mark.parametrize(
    ("slice", "expected"),
    [(LOT, None), (UNIT, None), (LOT + 1, Filter.LOT_SIZE), (LOT // 2, Filter.LOT_SIZE)],
)
def test_an_icebergs_slice_is_a_quantity(slice: int, expected: Filter | None) -> None:
    assert failed(market(), order(iceberg_quantity=slice)) is expected


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [
        (4 * LOT, Filter.MARKET_LOT_SIZE),
        (6 * LOT, None),
        (7 * LOT, Filter.MARKET_LOT_SIZE),
        (600 * LOT, None),
        (602 * LOT, Filter.MARKET_LOT_SIZE),
    ],
)
def test_orders_without_a_price_have_a_lot_of_their_own(
    quantity: int, expected: Filter | None
) -> None:
    lotted = market(market_lot=2 * LOT, market_quantity_min=6 * LOT, market_quantity_max=600 * LOT)

    for type in OrderType:
        found = quantity_failure(lotted, type, quantity)
        assert found is (expected if type.is_market else None), type


def test_a_market_lot_without_a_maximum_bounds_only_from_below() -> None:
    lotted = market(market_lot=LOT, market_quantity_min=6 * LOT)

    assert quantity_failure(lotted, OrderType.MARKET, 5 * LOT) is Filter.MARKET_LOT_SIZE
    assert quantity_failure(lotted, OrderType.MARKET, 100_000 * UNIT) is None


# --- What an order is worth -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("price", "quantity", "is_passed"),
    [
        (5 * UNIT, UNIT, True),
        (5 * UNIT - TICK, UNIT, False),
        (TICK, 500 * UNIT, True),
        (90 * UNIT, 100_000 * UNIT, True),
        (90 * UNIT + TICK, 100_000 * UNIT, False),
    ],
)
def test_an_order_is_worth_neither_too_little_nor_too_much(
    price: int, quantity: int, is_passed: bool
) -> None:
    expected = None if is_passed else Filter.NOTIONAL

    assert failed(market(), order(price=price, quantity=quantity)) is expected
    assert notional_failure(market(), OrderType.LIMIT, price, quantity) is expected


def test_without_a_maximum_there_is_a_minimum_by_another_name() -> None:
    unbounded = msgspec.structs.replace(market(), notional_max=0)

    assert notional_filter(unbounded) is Filter.MIN_NOTIONAL
    assert notional_filter(market()) is Filter.NOTIONAL
    assert failed(unbounded, order(price=5 * UNIT - TICK)) is Filter.MIN_NOTIONAL
    assert failed(unbounded, order(price=1_000_000 * UNIT, quantity=100_000 * UNIT)) is None


@pytest.mark.parametrize("type", MARKETS)
@pytest.mark.parametrize(
    ("quantity", "average_price", "min_counts", "max_counts", "is_passed"),
    [
        (250 * LOT, PRICE, True, True, True),
        (249 * LOT, PRICE, True, True, False),
        (249 * LOT, PRICE, False, True, True),
        # An average price need not lie on the tick.
        (250 * LOT, PRICE - 1, True, True, False),
        (250 * LOT, PRICE + 1, True, True, True),
        (100_000 * UNIT, 90 * UNIT, True, True, True),
        (100_000 * UNIT, 90 * UNIT + 1, True, True, False),
        (100_000 * UNIT, 1_000 * UNIT, True, False, True),
        # Nothing can be said where nothing was ever traded.
        (LOT, 0, True, True, True),
    ],
)
def test_orders_without_a_price_are_measured_by_the_average(
    type: OrderType,
    quantity: int,
    average_price: int,
    min_counts: bool,
    max_counts: bool,
    is_passed: bool,
) -> None:
    where = market(notional_min_for_market=min_counts, notional_max_for_market=max_counts)

    found = failed(where, order(type, quantity=quantity), average_price=average_price)

    assert found is (None if is_passed else Filter.NOTIONAL)


@pytest.mark.parametrize(
    ("quote_quantity", "min_counts", "max_counts", "is_passed"),
    [
        (5 * UNIT, True, True, True),
        (5 * UNIT - 1, True, True, False),
        (1, False, True, True),
        (9_000_000 * UNIT, True, True, True),
        (9_000_000 * UNIT + 1, True, True, False),
        (10**30, True, False, True),
    ],
)
@pytest.mark.parametrize("average_price", [0, PRICE])
def test_a_quote_quantity_is_worth_itself(
    quote_quantity: int, min_counts: bool, max_counts: bool, is_passed: bool, average_price: int
) -> None:
    where = market(notional_min_for_market=min_counts, notional_max_for_market=max_counts)
    wanted = order(OrderType.MARKET, quantity=None, quote_quantity=quote_quantity)

    found = failed(where, wanted, average_price=average_price)

    assert found is (None if is_passed else Filter.NOTIONAL)


@pytest.mark.parametrize(
    ("slice", "expected"),
    [(100 * LOT, None), (99 * LOT, Filter.ICEBERG_PARTS), (1_000 * LOT, None)],
)
def test_an_iceberg_has_no_more_parts_than_allowed(slice: int, expected: Filter | None) -> None:
    # One SOL in slices of 0.099 has eleven parts.
    assert failed(market(iceberg_parts=10), order(iceberg_quantity=slice)) is expected
    assert failed(market(), order(iceberg_quantity=slice)) is None


@pytest.mark.parametrize(
    ("assets_max", "is_passed"),
    [
        ({"SOL": UNIT}, True),
        ({"SOL": UNIT - 1}, False),
        ({"SOL": 0}, False),
        ({"USDC": PRICE}, True),
        ({"USDC": PRICE - 1}, False),
        ({"SOL": UNIT, "USDC": PRICE - 1}, False),
        ({"BTC": 0}, True),
    ],
)
@pytest.mark.parametrize("type", list(OrderType))
def test_an_order_moves_no_more_of_an_asset_than_allowed(
    type: OrderType, assets_max: dict[str, int], is_passed: bool
) -> None:
    exchange = ExchangeRules(assets_max=assets_max)

    found = failed(market(), order(type), average_price=PRICE, exchange=exchange)

    assert found is (None if is_passed else Filter.MAX_ASSET)


@pytest.mark.parametrize("average_price", [0, PRICE])
def test_a_quote_quantity_moves_the_quote_asset(average_price: int) -> None:
    wanted = order(OrderType.MARKET, quantity=None, quote_quantity=PRICE)

    def found(limit: int) -> Filter | None:
        exchange = ExchangeRules(assets_max={"USDC": limit, "SOL": 0})
        return failed(market(), wanted, average_price=average_price, exchange=exchange)

    assert found(PRICE) is None
    assert found(PRICE - 1) is Filter.MAX_ASSET


# --- Which fault is named ---------------------------------------------------------------------------


def test_the_first_fault_is_named() -> None:
    strict = market(
        price_up=1_100_000,
        bid_up=1_050_000,
        ask_up=1_050_000,
        trailing_above_min=10,
        trailing_above_max=10,
        market_lot=2 * LOT,
        iceberg_parts=1,
    )
    exchange = ExchangeRules(assets_max={"SOL": 0})
    wrong: dict[str, Any] = {
        "price": 3 * PRICE + 1,
        "trailing_delta": 11,
        "quantity": LOT + 1,
        "iceberg_quantity": LOT,
    }
    repairs: list[tuple[Filter, dict[str, Any]]] = [
        (Filter.PRICE_FILTER, {"price": 3 * PRICE}),
        (Filter.PERCENT_PRICE, {"price": PRICE * 107 // 100}),
        (Filter.PERCENT_PRICE_BY_SIDE, {"price": PRICE}),
        (Filter.TRAILING_DELTA, {"trailing_delta": 10}),
        (Filter.LOT_SIZE, {"quantity": 2 * LOT}),
        (Filter.NOTIONAL, {"quantity": UNIT}),
        (Filter.ICEBERG_PARTS, {"iceberg_quantity": UNIT}),
    ]

    for expected, repair in repairs:
        wanted = order(OrderType.STOP_LOSS_LIMIT, **wrong)
        assert failed(strict, wanted, average_price=PRICE, exchange=exchange) is expected
        wrong |= repair
    wanted = order(OrderType.STOP_LOSS_LIMIT, **wrong)
    assert failed(strict, wanted, average_price=PRICE, exchange=exchange) is Filter.MAX_ASSET
    assert failed(strict, wanted, average_price=PRICE) is None


def test_the_lot_of_all_orders_comes_before_that_of_market_orders() -> None:
    lotted = market(market_lot=2 * LOT, market_quantity_min=6 * LOT)

    assert quantity_failure(lotted, OrderType.MARKET, LOT + 1) is Filter.LOT_SIZE
    assert failed(lotted, order(OrderType.MARKET, quantity=LOT), average_price=PRICE) is (
        Filter.MARKET_LOT_SIZE
    )


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (order(price=-1, quantity=None, self_trade=SelfTrade.DECREMENT), Reason.INVALID),
        (
            order(price=-1, iceberg_quantity=2 * UNIT, self_trade=SelfTrade.DECREMENT),
            Reason.NOT_SUPPORTED,
        ),
        (order(price=-1, self_trade=SelfTrade.DECREMENT), Reason.SELF_TRADE_MODE),
        (order(price=-1), Reason.FILTER),
    ],
)
def test_what_is_not_offered_comes_before_the_filters(wanted: NewOrder, reason: Reason) -> None:
    bare = market(
        features=(), self_trade_modes=(SelfTrade.NONE,), self_trade_default=SelfTrade.NONE
    )

    found = refusal(bare, wanted)

    assert found is not None
    assert found.reason is reason
