"""How much one client may ask for, and how the public API lists that."""

import msgspec

from exchange.services.candles import DAY, SECOND
from exchange.services.settings import RateLimits

SHORT, LONG = 10 * SECOND, DAY
"""The windows, in µs, that orders are counted in; they begin at whole multiples of themselves."""


class ApiLimits(msgspec.Struct, frozen=True):
    """By address: weight in a minute, requests and attempts to sign in in five. By account: orders
    that nobody has filled, in ten seconds and in a day of UTC. `connections` may one address have
    open at a time."""

    request_weight: int
    raw_requests: int
    orders_short: int
    orders_long: int
    attempts: int = 50
    connections: int = 300

    def listed(self) -> list[dict[str, str | int]]:
        """As the public API tells them."""
        return [
            _limit("REQUEST_WEIGHT", "MINUTE", 1, self.request_weight),
            *self.listed_orders(),
            _limit("RAW_REQUESTS", "MINUTE", 5, self.raw_requests),
        ]

    def listed_orders(self) -> list[dict[str, str | int]]:
        """Those of orders, the shorter window first."""
        return [
            _limit("ORDERS", "SECOND", 10, self.orders_short),
            _limit("ORDERS", "DAY", 1, self.orders_long),
        ]


def _limit(kind: str, interval: str, number: int, limit: int) -> dict[str, str | int]:
    return {
        "rateLimitType": kind,
        "interval": interval,
        "intervalNum": number,
        "limit": limit,
    }


API_LIMITS: dict[RateLimits, ApiLimits] = {
    "relaxed": ApiLimits(600_000, 30_000_000, 100_000, 200_000_000, 100_000, 10_000),
    "binance": ApiLimits(6_000, 300_000, 100, 200_000),
}
