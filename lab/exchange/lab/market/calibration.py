"""How a real market behaves, as numbers: half an hour of one large pair, at a price of 78,000.

Prices and amounts are in units of the quote asset at that price; another market has the same shape
at its own price.
"""

import random
from bisect import bisect_right
from itertools import pairwise
from math import exp, log

from msgspec import Struct

PRICE = 78_000.0


class Quantiles:
    """A distribution by some of its quantiles, straight between them on a logarithmic scale."""

    def __init__(self, *points: tuple[float, float]) -> None:
        """Pairs of probability and value, from 0 to 1, both ascending."""
        assert points[0][0] == 0, points
        assert points[-1][0] == 1, points
        assert all(low < high for low, high in pairwise(points)), points
        self._probabilities = [probability for probability, _ in points]
        self._logarithms = [log(value) for _, value in points]

    def at(self, probability: float) -> float:
        """The value below which this share lies; 0 ≤ probability ≤ 1."""
        place = min(bisect_right(self._probabilities, probability), len(self._probabilities) - 1)
        left, right = self._probabilities[place - 1], self._probabilities[place]
        low, high = self._logarithms[place - 1], self._logarithms[place]
        return exp(low + (high - low) * (probability - left) / (right - left))

    def draw(self, chance: random.Random) -> float:
        return self.at(chance.random())


DISTANCE = Quantiles((0, 0.8), (0.25, 2), (0.5, 12), (0.9, 61), (1, 400))
"""Of a new order's price from the best one of the other side."""
SIZE = Quantiles((0, 0.0004), (0.1, 0.0013), (0.5, 0.07), (0.99, 1.5), (1, 6))
"""Of a new order, in base units at PRICE."""
LIFE_S = Quantiles((0, 0.02), (0.5, 0.206), (0.75, 1.5), (0.9, 10), (0.98, 70), (1, 300))
"""From an order's acceptance to its cancel."""


class Calibration(Struct, frozen=True):
    """How much of it happens; rates are per second."""

    attempts: float = 84.0
    """New orders, most of which come too late for their price and are refused."""
    accepted: float = 27.0
    taker_gap_s: float = 10.6
    """Mean time between takers."""
    branching: float = 0.45
    """How many takers one taker brings along; below 1."""
    decay: float = 2.0
    """Of that excitement, per second."""
    round_sizes: float = 0.4
    """Share of sizes that are round numbers."""
    volatility: float = 0.000_09
    """Of the fundamental value, relative, per square root of a second."""

    def scaled(self, intensity: float) -> "Calibration":
        """The same market with more or fewer orders."""
        return Calibration(
            attempts=self.attempts * intensity,
            accepted=self.accepted * intensity,
            taker_gap_s=self.taker_gap_s / intensity,
            branching=self.branching,
            decay=self.decay * intensity,
            round_sizes=self.round_sizes,
            volatility=self.volatility,
        )
