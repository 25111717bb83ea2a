"""The flow of orders in one market: who wants what, and when. Pure and seeded.

A zero-intelligence model of limit orders (Smith, Farmer, Gillemot and Krishnamurthy, "Statistical
theory of the continuous double auction", 2003): limit orders arrive by chance at a distance from
the best price of the other side, and live for a while. Takers come in clusters, as a Hawkes
process. What moves the price is a fundamental value that wanders slowly, which takers lean to and
makers do not stand in the way of; and whatever other people do to the book.
"""

import random
from math import exp, floor, log10, sqrt, tanh

from msgspec import Struct

from exchange.lab.market.calibration import DISTANCE, LIFE_S, PRICE, SIZE, Calibration

LEANING = 30.0
"""Of PRICE: takers lean strongly to a fundamental value that is this far away."""
NOTICE_S = 0.25
"""Until makers see where the value is: orders do not live shorter for it than half of them do."""


class Grid(Struct, frozen=True):
    """What prices and quantities a market takes; floats, for drawing by chance only."""

    tick: float
    lot: float
    quantity_min: float
    notional_min: float

    def price(self, wanted: float) -> int:
        """In ticks, at least one."""
        return max(1, round(wanted / self.tick))

    def quantity(self, wanted: float, price: float) -> int:
        """In lots, and enough for the market's minima."""
        least = max(self.quantity_min, 1.1 * self.notional_min / price)
        return max(round(wanted / self.lot), floor(least / self.lot) + 1)


class Touch(Struct, frozen=True):
    """The best prices in ticks; None where there is nobody."""

    bid: int | None
    ask: int | None


class Quote(Struct, frozen=True):
    """A post-only limit order, in ticks and lots, to be cancelled after `life_s` seconds."""

    is_buy: bool
    price: int
    quantity: int
    life_s: float


class Take(Struct, frozen=True):
    """A market order, in lots."""

    is_buy: bool
    quantity: int


class Fundamental:
    """A value that wanders: what everybody would agree on, if they could see it."""

    def __init__(self, value: float, volatility: float, chance: random.Random) -> None:
        self.value = value
        self._volatility, self._chance = volatility, chance
        self._start = value

    def advance(self, seconds: float) -> None:
        """Pass time; it is drawn back to where it began, slowly."""
        step = self._chance.gauss(0, self._volatility) * sqrt(seconds)
        pull = 0.000_05 * seconds * (self._start - self.value) / self._start
        self.value *= exp(step + pull)


class Arrivals:
    """When takers come: a Hawkes process with an exponential memory."""

    def __init__(self, calibration: Calibration, chance: random.Random) -> None:
        self._mean = (1 - calibration.branching) / calibration.taker_gap_s
        self._jump = calibration.branching * calibration.decay
        self._decay = calibration.decay
        self._chance = chance
        self._excitement = 0.0

    def gap(self) -> float:
        """Seconds until the next one, by thinning."""
        waited = 0.0
        while True:
            most = self._mean + self._excitement
            step = self._chance.expovariate(most)
            waited += step
            self._excitement *= exp(-self._decay * step)
            if self._chance.random() * most <= self._mean + self._excitement:
                self._excitement += self._jump
                return waited


class Flow:
    """The wishes of one market's crowd."""

    def __init__(self, grid: Grid, calibration: Calibration, price: float, seed: str) -> None:
        chance = random.Random(seed)
        self._grid, self._calibration, self._chance = grid, calibration, chance
        self._scale = price / PRICE
        self.fundamental = Fundamental(price, calibration.volatility, chance)
        self._takers = Arrivals(calibration, chance)

    def quote_gap(self) -> float:
        """Seconds until the next limit order."""
        return self._chance.expovariate(self._calibration.attempts)

    def taker_gap(self) -> float:
        return self._takers.gap()

    def first_quotes(self, each_side: int) -> list[Quote]:
        """A book to begin with, around the fundamental value."""
        quotes = []
        for place in range(each_side):
            distance = DISTANCE.at((place + 0.5) / each_side) * self._scale
            for is_buy in (True, False):
                price = self.fundamental.value + (-distance if is_buy else distance)
                life = LIFE_S.at(0.8 + 0.2 * self._chance.random())
                quotes.append(Quote(is_buy, self._grid.price(price), self._size(price), life))
        return quotes

    def quote(self, touch: Touch) -> Quote:
        """A limit order as of now."""
        calibration, chance = self._calibration, self._chance
        is_buy = chance.random() < 0.5
        opposite = touch.ask if is_buy else touch.bid
        if opposite is None:
            opposite = self._grid.price(self.fundamental.value)
        is_late = chance.random() < 1 - calibration.accepted / calibration.attempts
        # Who is late wanted the price that was there a moment ago, and finds the other side on it.
        distance = 0 if is_late else self._ticks(DISTANCE.draw(chance))
        price = max(1, opposite - distance if is_buy else opposite + distance)
        life = LIFE_S.draw(chance)
        return Quote(is_buy, price, self._size(price * self._grid.tick), life)

    def take(self, touch: Touch) -> Take:
        """A market order as of now."""
        value = self.fundamental.value
        gap = value - self._middle(touch)
        is_buy = self._chance.random() < 0.5 + 0.5 * tanh(gap / (LEANING * self._scale))
        return Take(is_buy, self._size(value))

    def stands_in_the_way(self, quote: Quote, rested_s: float) -> bool:
        """Whether who placed it so long ago would rather not have it any more: the value has
        passed it."""
        if rested_s < NOTICE_S:
            return False
        value = self.fundamental.value
        price = quote.price * self._grid.tick
        return price > value if quote.is_buy else price < value

    def _middle(self, touch: Touch) -> float:
        """Between the best prices, as far as there are any."""
        sides = [side * self._grid.tick for side in (touch.bid, touch.ask) if side is not None]
        return sum(sides) / len(sides) if sides else self.fundamental.value

    def _ticks(self, distance: float) -> int:
        return max(1, round(distance * self._scale / self._grid.tick))

    def _size(self, price: float) -> int:
        size = SIZE.draw(self._chance)
        if self._chance.random() < self._calibration.round_sizes:
            # One digit, as people type it.
            digit = 10 ** floor(log10(size))
            size = max(1, round(size / digit)) * digit
        return self._grid.quantity(size * PRICE / price, price)
