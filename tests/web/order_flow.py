"""A market that moves: quotes around a price that wanders, and others who take from them."""

import hashlib
import hmac
import http.client
import json
import time
from decimal import Decimal
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

LEVELS = 20
"""How many prices there are on either side."""


class Trader(msgspec.Struct, frozen=True):
    """An account's key on a running exchange."""

    api: str
    api_key: str
    secret_key: str


IDLE_S_MAX = 30.0


class Client:
    """Signed requests over one connection."""

    def __init__(self, trader: Trader) -> None:
        self._trader = trader
        self._connection = http.client.HTTPConnection(urlsplit(trader.api).netloc, timeout=30)
        self._used = time.monotonic()

    def ask(self, method: str, path: str, **parameters: Any) -> Any:
        query = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
        if time.monotonic() - self._used > IDLE_S_MAX:
            # The server parts from who says nothing for long; the next request opens another one.
            self._connection.close()
        self._used = time.monotonic()
        secret = self._trader.secret_key.encode()
        signature = hmac.new(secret, query.encode(), hashlib.sha256).hexdigest()
        self._connection.request(
            method,
            f"/api/v3/{path}?{query}&signature={signature}",
            headers={"X-MBX-APIKEY": self._trader.api_key},
        )
        return json.loads(self._connection.getresponse().read())


class OrderFlow:
    """What a maker and a taker do on one market; the same seed wishes the same."""

    def __init__(
        self,
        maker: Trader,
        taker: Trader,
        symbol: str,
        *,
        price: Decimal,
        tick: Decimal,
        size: Decimal,
        seed: int = 1,
    ) -> None:
        """`tick` is how far prices are apart, `size` what a usual order has."""
        self._maker, self._taker = Client(maker), Client(taker)
        self._symbol = symbol
        self._chance = Random(seed)
        self._price, self._tick, self._size = price, tick, size
        self._resting: dict[tuple[str, Decimal], int] = {}

    def step(self) -> None:
        """The price moves a little, the maker follows, and sometimes somebody trades."""
        self._price += self._tick * round(self._chance.gauss(0, 2.5))
        for side, direction in (("SELL", 1), ("BUY", -1)):
            self._follow(side, direction)
        if self._chance.random() < 0.7:
            self.take(self._chance.choice(("BUY", "SELL")))

    def fill(self) -> None:
        """A whole book, without a trade."""
        for side, direction in (("SELL", 1), ("BUY", -1)):
            for distance in range(1, LEVELS + 1):
                self._quote(side, self._price + direction * distance * self._tick)

    def take(self, side: str) -> None:
        quantity = self._quantity(self._chance.uniform(0.05, 1.2))
        self._taker.ask(
            "POST", "order", symbol=self._symbol, side=side, type="MARKET", quantity=quantity
        )

    def _follow(self, side: str, direction: int) -> None:
        behind = [
            price
            for (which, price) in self._resting
            if which == side and not 0 < (price - self._price) * direction <= LEVELS * self._tick
        ]
        for price in behind:
            order = self._resting.pop((side, price))
            self._maker.ask("DELETE", "order", symbol=self._symbol, orderId=order)
        # Nearer prices are quoted more often, as on any market.
        for _ in range(3):
            distance = 1 + int(abs(self._chance.gauss(0, LEVELS / 3)))
            self._quote(side, self._price + direction * min(distance, LEVELS) * self._tick)

    def _quote(self, side: str, price: Decimal) -> None:
        known = self._resting.pop((side, price), None)
        if known is not None:
            self._maker.ask("DELETE", "order", symbol=self._symbol, orderId=known)
        placed = self._maker.ask(
            "POST", "order", symbol=self._symbol, side=side, type="LIMIT_MAKER",
            price=str(price), quantity=self._quantity(self._chance.lognormvariate(0, 0.7)),
        )  # fmt: skip
        if "orderId" in placed:
            self._resting[side, price] = placed["orderId"]

    def _quantity(self, times: float) -> str:
        exponent = self._size.as_tuple().exponent
        assert isinstance(exponent, int)
        return f"{float(self._size) * (0.2 + times):.{-exponent}f}"
