"""Markets: which can exist, by which rules, what they cost, and that money stays whole."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.services.markets import (
    SMALL_MAX,
    Asset,
    Market,
    Mode,
    Rules,
    Tier,
    default_markets,
    market_fault,
)
from exchange.services.orders import OrderType, SelfTrade, Side

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
        assert market.rules.multipliers(Side.BUY) == market.rules.multipliers(Side.SELL)
        assert market.rules.multipliers(Side.BUY) == (5_000_000, 200_000)


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
        ({"notional_max": -1}, "minimum notional"),
        ({"notional_max": 5 * UNIT - 1}, "minimum notional"),
        ({"average_price_minutes": -1}, "at most 60 minutes"),
        ({"average_price_minutes": 61}, "at most 60 minutes"),
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


@pytest.mark.parametrize(
    "changes",
    [
        {"notional_max": 0},
        {"notional_max": 5 * UNIT},
        {"average_price_minutes": 0},
        {"average_price_minutes": 60},
        {"maker_rate": 0, "taker_rate": 999_999},
    ],
)
def test_a_market_at_the_edge_can_exist(changes: dict[str, int]) -> None:
    assert market_fault(msgspec.structs.replace(solusdc(), **changes)) is None


LOT = UNIT // 1_000


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (Rules(orders_max=-1), "below zero"),
        (Rules(position_max=-LOT), "below zero"),
        (Rules(range_ask_down=-1), "below zero"),
        (Rules(amends_max=SMALL_MAX + 1), "at most 2147483647"),
        (Rules(price_up=SMALL_MAX + 1), "at most 2147483647"),
        (Rules(position_max=LOT + 1), "multiples of the lot"),
        (Rules(market_lot=LOT // 2), "multiples of the lot"),
        (Rules(market_lot=LOT, market_quantity_min=LOT + 1), "multiples of the lot"),
        (Rules(market_lot=LOT, market_quantity_max=LOT + 1), "multiples of the lot"),
        (
            Rules(market_lot=LOT, market_quantity_min=2 * LOT, market_quantity_max=LOT),
            "minimum quantity of market orders",
        ),
        (Rules(market_quantity_max=LOT), "need a lot"),
        (Rules(market_quantity_min=LOT), "need a lot"),
        (Rules(trailing_above_min=11, trailing_above_max=10), "minimum trailing delta"),
        (Rules(trailing_below_min=11, trailing_below_max=10), "minimum trailing delta"),
        (Rules(trailing_above_max=10_000), "below 100 %"),
        (Rules(trailing_below_min=10_000), "below 100 %"),
        (Rules(price_up=1, price_down=2), "down must be at most"),
        (Rules(bid_up=1, bid_down=2, ask_up=1), "down must be at most"),
        (Rules(bid_up=1, ask_up=1, ask_down=2), "down must be at most"),
        (Rules(range_bid_up=1, range_bid_down=2), "down must be at most"),
        (Rules(range_ask_up=1, range_ask_down=2), "down must be at most"),
        (Rules(price_down=1), "needs one up"),
        (Rules(bid_up=1, bid_down=1, ask_down=1), "needs one up"),
        (Rules(bid_up=1), "both sides"),
        (Rules(ask_up=1, ask_down=1), "both sides"),
        (Rules(self_trade_modes=(SelfTrade.NONE,)), "one of the allowed"),
        (Rules(self_trade_modes=()), "one of the allowed"),
        (Rules(order_types=()), "some type of order"),
        (Rules(tiers=(Tier(tier=0, maker_rate=0, taker_rate=0),)), "number above zero"),
        (
            Rules(tiers=(Tier(tier=SMALL_MAX + 1, maker_rate=0, taker_rate=0),)),
            "number above zero",
        ),
        (Rules(tiers=(Tier(tier=1, maker_rate=0, taker_rate=0),) * 2), "one pair of rates"),
        (Rules(tiers=(Tier(tier=1, maker_rate=-1, taker_rate=0),)), "fee rate"),
        (Rules(tiers=(Tier(tier=1, maker_rate=0, taker_rate=1_000_000),)), "fee rate"),
    ],
)
def test_rules_that_do_not_fit_together_are_explained(rules: Rules, fault: str) -> None:
    found = market_fault(msgspec.structs.replace(solusdc(), rules=rules))

    assert found is not None
    assert fault in found


@pytest.mark.parametrize(
    "rules",
    [
        Rules(),
        Rules(market_lot=LOT, market_quantity_min=2 * LOT),
        Rules(market_lot=2 * LOT, market_quantity_max=5 * LOT),
        Rules(trailing_above_min=9_999),
        Rules(trailing_above_min=10, trailing_above_max=10, trailing_below_max=9_999),
        Rules(price_up=SMALL_MAX, price_down=SMALL_MAX),
        Rules(bid_up=1, ask_up=1, ask_down=1),
        Rules(range_bid_down=1, range_ask_up=1),
        Rules(position_max=10**20 * LOT, orders_max=SMALL_MAX),
        Rules(order_types=(OrderType.MARKET,), features=()),
        Rules(self_trade_modes=(SelfTrade.NONE,), self_trade_default=SelfTrade.NONE),
        Rules(tiers=(Tier(tier=SMALL_MAX, maker_rate=0, taker_rate=999_999),)),
    ],
)
def test_rules_at_the_edge_fit_together(rules: Rules) -> None:
    assert market_fault(msgspec.structs.replace(solusdc(), rules=rules)) is None


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


@pytest.mark.parametrize(
    ("tier", "rates"), [(0, (1_000, 2_000)), (1, (0, 500)), (2, (900, 900)), (3, (1_000, 2_000))]
)
def test_a_tier_has_its_own_rates_where_the_market_has_some_for_it(
    tier: int, rates: tuple[int, int]
) -> None:
    tiers = (
        Tier(tier=2, maker_rate=900, taker_rate=900),
        Tier(tier=1, maker_rate=0, taker_rate=500),
    )
    market = msgspec.structs.replace(
        solusdc(), maker_rate=1_000, taker_rate=2_000, rules=Rules(tiers=tiers)
    )

    assert market.fee_rates(tier) == rates


def test_buyers_and_sellers_have_their_own_multipliers() -> None:
    rules = Rules(
        bid_up=1, bid_down=2, ask_up=3, ask_down=4,
        range_bid_up=5, range_bid_down=6, range_ask_up=7, range_ask_down=8,
    )  # fmt: skip

    assert [rules.multipliers(side) for side in Side] == [(1, 2), (3, 4)]
    assert [rules.price_range(side) for side in Side] == [(5, 6), (7, 8)]


def test_only_an_open_market_takes_cancels() -> None:
    assert [mode for mode in Mode if mode.takes_cancels] == [Mode.RUNNING, Mode.CANCEL_ONLY]
