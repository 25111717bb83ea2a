"""The simulated crowd's wishes have the shape of the market that they are calibrated on."""

import random
import statistics
from itertools import pairwise

import pytest

from exchange.lab.market.calibration import DISTANCE, LIFE_S, PRICE, SIZE, Calibration, Quantiles
from exchange.lab.market.flow import Arrivals, Flow, Fundamental, Grid, Quote, Touch
from exchange.lab.market.momentum import Averages

BTC = Grid(tick=0.01, lot=0.00001, quantity_min=0.00001, notional_min=5)
SOL = Grid(tick=0.01, lot=0.001, quantity_min=0.001, notional_min=5)
TOUCH = Touch(round((PRICE - 0.5) / 0.01), round((PRICE + 0.5) / 0.01))
DRAWS = 20_000


def flow(seed: str = "1", grid: Grid = BTC, price: float = PRICE) -> Flow:
    return Flow(grid, Calibration(round_sizes=0), price, seed)


def quotes() -> list[Quote]:
    drawing = flow()
    return [drawing.quote(TOUCH) for _ in range(DRAWS)]


def distance(quote: Quote) -> int:
    """Ticks from the best price of the other side."""
    assert TOUCH.bid is not None
    assert TOUCH.ask is not None
    return TOUCH.ask - quote.price if quote.is_buy else quote.price - TOUCH.bid


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def test_quantiles_give_back_their_points() -> None:
    for table in (DISTANCE, SIZE, LIFE_S):
        values = [table.at(step / 1_000) for step in range(1_001)]

        assert all(low < high for low, high in pairwise(values))
    assert Quantiles((0, 1), (0.5, 10), (1, 1_000)).at(0.75) == pytest.approx(100)


def test_a_third_of_the_quotes_can_rest_as_far_from_the_other_side_as_in_the_real_market() -> None:
    distances = [distance(quote) * 0.01 for quote in quotes()]
    resting = [one for one in distances if one > 0]

    assert len(resting) / DRAWS == pytest.approx(27 / 84, abs=0.01)
    assert quantile(resting, 0.25) == pytest.approx(2, rel=0.15)
    assert quantile(resting, 0.5) == pytest.approx(12, rel=0.15)
    assert quantile(resting, 0.9) == pytest.approx(61, rel=0.15)


def test_half_of_the_orders_live_for_a_fifth_of_a_second() -> None:
    lives = [quote.life_s for quote in quotes()]

    assert quantile(lives, 0.5) == pytest.approx(0.206, rel=0.05)


def test_sizes_are_those_of_the_real_market() -> None:
    sizes = [quote.quantity * BTC.lot for quote in quotes()]

    assert quantile(sizes, 0.1) == pytest.approx(0.0013, rel=0.1)
    assert quantile(sizes, 0.5) == pytest.approx(0.07, rel=0.1)
    assert quantile(sizes, 0.99) == pytest.approx(1.5, rel=0.1)


def test_another_market_has_the_same_shape_at_its_own_price() -> None:
    drawing = flow(grid=SOL, price=PRICE / 500)
    touch = Touch(15_599, 15_601)

    drawn = [drawing.quote(touch) for _ in range(DRAWS)]

    worth = [quote.quantity * SOL.lot * PRICE / 500 for quote in drawn]
    assert quantile(worth, 0.5) == pytest.approx(0.07 * PRICE, rel=0.1)
    away = [15_601 - quote.price if quote.is_buy else quote.price - 15_599 for quote in drawn]
    assert quantile([one * 0.01 for one in away if one > 0], 0.9) == pytest.approx(0.122, rel=0.2)


def test_sizes_are_enough_for_the_least_that_a_market_takes() -> None:
    strict = Grid(tick=0.01, lot=0.00001, quantity_min=0.01, notional_min=2_000)
    drawing = Flow(strict, Calibration(), PRICE, "1")

    drawn = [drawing.quote(TOUCH).quantity for _ in range(1_000)]

    assert min(drawn) * strict.lot >= 2_000 / PRICE


def test_takers_come_in_clusters() -> None:
    arrivals = Arrivals(Calibration(), random.Random(1))
    gaps = [arrivals.gap() for _ in range(50_000)]

    mean = statistics.mean(gaps)
    assert mean == pytest.approx(10.6, rel=0.05)
    assert statistics.stdev(gaps) / mean == pytest.approx(1.6, rel=0.05)


def test_takers_lean_to_the_value() -> None:
    drawing = flow()
    cheap = Touch(round(PRICE * 0.999 / 0.01), round(PRICE * 0.9991 / 0.01))

    buys = sum(drawing.take(cheap).is_buy for _ in range(1_000))

    assert buys > 900


def test_makers_do_not_stand_in_the_way_of_the_value() -> None:
    drawing = flow()
    value = round(PRICE / 0.01)

    def stands(is_buy: bool, price: int) -> bool:
        return drawing.stands_in_the_way(Quote(is_buy, price, 1, 1.0), rested_s=1.0)

    assert stands(True, value + 1)
    assert stands(False, value - 1)
    assert not stands(True, value - 1)
    assert not stands(False, value + 1)
    assert not drawing.stands_in_the_way(Quote(True, value + 1, 1, 1.0), rested_s=0.1)


def test_the_value_wanders_and_is_drawn_back() -> None:
    value = Fundamental(PRICE, Calibration().volatility, random.Random(1))
    seen = []
    for _ in range(40_000):
        value.advance(1.0)
        seen.append(value.value / PRICE)

    assert 0.9 < min(seen) < 0.999
    assert 1.001 < max(seen) < 1.1


def test_one_seed_is_one_flow() -> None:
    def first(seed: str) -> list[Quote]:
        drawing = flow(seed)
        return [*drawing.first_quotes(5), *(drawing.quote(TOUCH) for _ in range(20))]

    assert first("1") == first("1") != first("2")


def test_a_book_begins_on_both_sides_and_does_not_cross() -> None:
    drawn = flow().first_quotes(60)

    assert max(quote.price for quote in drawn if quote.is_buy) < min(
        quote.price for quote in drawn if not quote.is_buy
    )


def test_the_momentum_taker_follows_the_price_and_closes_when_it_rests() -> None:
    taker = Averages()

    wanted = []
    for price in (*[100.0] * 5, *[101.0] * 20, *[101.0] * 300, *[99.0] * 20):
        taker.look(price)
        wanted.append(taker.wanted)

    assert (wanted[4], wanted[24], wanted[324], wanted[-1]) == (0, 1, 0, -1)
