"""Markets: which can exist, what their filters let through, and that money stays whole."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.services.markets import (
    Asset,
    Filter,
    Market,
    Mode,
    default_markets,
    failed_filter,
    market_fault,
)

UNIT = 10**8


def solusdc() -> Market:
    return default_markets()[1][0]


def test_the_default_markets_are_those_of_the_contract() -> None:
    assets, markets = default_markets()

    assert assets == [Asset(name, 8) for name in ("SOL", "USDC", "BTC", "USDT", "ETH")]
    assert [market_fault(market) for market in markets] == [None] * 3
    assert {market.symbol: (market.tick, market.lot) for market in markets} == {
        "SOLUSDC": (UNIT // 100, UNIT // 1_000),
        "BTCUSDT": (UNIT // 100, UNIT // 100_000),
        "ETHUSDT": (UNIT // 100, UNIT // 10_000),
    }
    for market in markets:
        assert market.quantity_min == market.lot
        assert market.quantity_max == 100_000 * UNIT
        assert (market.notional_min, market.notional_max) == (5 * UNIT, 9_000_000 * UNIT)
        assert (market.maker_rate, market.taker_rate) == (1_000, 1_000)
        assert market.mode is Mode.RUNNING


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"base_decimals": 19}, "0 to 18 decimals"),
        ({"quote_decimals": -1}, "0 to 18 decimals"),
        ({"quote": "SOL"}, "the same asset"),
        ({"tick": 0}, "above zero"),
        ({"lot": -1}, "above zero"),
        ({"tick": 1}, "not a whole number"),
        ({"quantity_min": 0}, "minimum quantity"),
        ({"quantity_min": 100_001 * UNIT}, "minimum quantity"),
        ({"quantity_min": UNIT // 1_000 + 1}, "multiples of the lot"),
        ({"quantity_max": 100_000 * UNIT + 1}, "multiples of the lot"),
        ({"price_max": 0}, "maximum price"),
        ({"price_max": UNIT + 1}, "maximum price"),
        ({"notional_min": -1}, "minimum notional"),
        ({"notional_max": 0}, "minimum notional"),
        ({"maker_rate": -1}, "fee rate"),
        ({"taker_rate": 1_000_000}, "fee rate"),
    ],
)
def test_a_market_that_does_not_fit_together_is_explained(
    changes: dict[str, int | str], fault: str
) -> None:
    found = market_fault(msgspec.structs.replace(solusdc(), **changes))

    assert found is not None
    assert fault in found


@given(
    st.integers(min_value=1, max_value=10_000_000),
    st.integers(min_value=1, max_value=100_000_000),
)
def test_price_times_quantity_on_the_grid_is_whole(ticks: int, lots: int) -> None:
    market = solusdc()

    notional = market.notional(ticks * market.tick, lots * market.lot)

    assert notional * market.base_unit == ticks * market.tick * lots * market.lot


def test_price_times_quantity_off_the_grid_is_our_fault() -> None:
    with pytest.raises(AssertionError):
        solusdc().notional(1, 1)


@given(
    st.integers(min_value=0, max_value=10**18), st.integers(min_value=1, max_value=1_000_000_000)
)
def test_a_quote_amount_buys_the_most_that_it_can_pay(budget: int, ticks: int) -> None:
    market, price = solusdc(), ticks * 1_000_000

    quantity = market.quantity_for(budget, price)

    assert quantity % market.lot == 0
    assert market.notional(price, quantity) <= budget
    assert market.notional(price, quantity + market.lot) > budget


LOT, TICK = UNIT // 1_000, UNIT // 100


@pytest.mark.parametrize(
    ("price", "quantity", "failed"),
    [
        (20 * UNIT, UNIT, None),
        (TICK, 500 * UNIT, None),
        (5 * UNIT, UNIT, None),
        (1_000_000 * UNIT, UNIT, None),
        (90 * UNIT, 100_000 * UNIT, None),
        (0, UNIT, Filter.PRICE_FILTER),
        (-TICK, UNIT, Filter.PRICE_FILTER),
        (20 * UNIT + 1, UNIT, Filter.PRICE_FILTER),
        (1_000_000 * UNIT + TICK, UNIT, Filter.PRICE_FILTER),
        (10**38, UNIT, Filter.PRICE_FILTER),
        (20 * UNIT, 0, Filter.LOT_SIZE),
        (20 * UNIT, -LOT, Filter.LOT_SIZE),
        (20 * UNIT, LOT + 1, Filter.LOT_SIZE),
        (20 * UNIT, 100_000 * UNIT + LOT, Filter.LOT_SIZE),
        (20 * UNIT, 10**38, Filter.LOT_SIZE),
        (5 * UNIT - TICK, UNIT, Filter.NOTIONAL),
        (90 * UNIT + TICK, 100_000 * UNIT, Filter.NOTIONAL),
        # The order of the filters: price, lot, notional.
        (1, 1, Filter.PRICE_FILTER),
        (TICK, 1, Filter.LOT_SIZE),
    ],
)
def test_limit_orders_pass_the_filters_or_fail_the_first(
    price: int, quantity: int, failed: Filter | None
) -> None:
    found = failed_filter(
        solusdc(), price=price, quantity=quantity, quote_quantity=None, average_price=0
    )

    assert found is failed


@pytest.mark.parametrize(
    ("quantity", "quote_quantity", "average_price", "failed"),
    [
        (UNIT, None, 20 * UNIT, None),
        (UNIT, None, 0, None),
        (LOT, None, 0, None),
        (LOT + 1, None, 20 * UNIT, Filter.LOT_SIZE),
        (LOT, None, 20 * UNIT, Filter.NOTIONAL),
        # An average price need not lie on the tick.
        (UNIT, None, 20 * UNIT + 1, None),
        # Only the least is checked: the book decides what the most can be.
        (100_000 * UNIT, None, 1_000 * UNIT, None),
        (None, 5 * UNIT, 0, None),
        (None, 5 * UNIT - 1, 0, Filter.NOTIONAL),
        (None, 0, 0, Filter.NOTIONAL),
        (None, 10**30, 20 * UNIT, None),
    ],
)
def test_market_orders_are_measured_by_the_average_price(
    quantity: int | None, quote_quantity: int | None, average_price: int, failed: Filter | None
) -> None:
    found = failed_filter(
        solusdc(),
        price=None,
        quantity=quantity,
        quote_quantity=quote_quantity,
        average_price=average_price,
    )

    assert found is failed
