"""`python -m exchange.lab demo`: a maker and a taker that let every market of an exchange move.

For looking at: prices walk at random, a few orders rest on both sides, and somebody takes one now and
then. It stays below the limits that real clients have.
"""

import hashlib
import hmac
import http.client
import json
import random
import threading
import time
import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode, urlsplit

from msgspec import Struct

from exchange.services.admin import Admin, AdminFault

FAULTS_MAX = 40
"""So many turns in a row that came to nothing, and it ends: whoever started it can start it anew."""
TURN_S = 1.5
"""One market is looked after in each turn: a maker's orders of a day stay within a day's limit."""
LEVELS = 3
DEPOSIT = "1000000000"
FIRST_PRICES = {"BTCUSDT": "60000", "ETHUSDT": "3000", "SOLUSDC": "150"}
_NOT_NOW = (OSError, http.client.HTTPException, ValueError)


class Market(Struct, frozen=True):
    """What an order there has to keep to."""

    symbol: str
    tick: Decimal
    step: Decimal
    quantity: Decimal
    """So much that no order is too small."""


class Refused(ValueError):
    """The exchange has answered, and not as wished."""


class Trader:
    """An account with a key of its own for as long as this runs."""

    def __init__(self, url: str, admin: Admin, name: str, assets: list[str]) -> None:
        self._url = urlsplit(url)
        try:
            admin.post("accounts", body={"name": name})
        except AdminFault as fault:
            if "exists already" not in str(fault):
                raise
        for asset in assets:
            body = {"account": name, "asset": asset, "amount": DEPOSIT}
            # Given twice it happens once.
            admin.post("deposits", body={**body, "reference": f"{name}-{asset}"})
        self._keys = admin.post("accounts", name, "keys", body={"kind": "hmac", "canTrade": True})

    @property
    def api_key(self) -> str:
        return str(self._keys["apiKey"])

    def call(self, method: str, path: str, **parameters: str | int | Decimal) -> Any:
        """A signed request; raises Refused, or what _NOT_NOW names."""
        text = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
        secret = str(self._keys["secretKey"]).encode()
        signature = hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()
        return ask(self._url.netloc, method, f"{path}?{text}&signature={signature}", self.api_key)

    def order(self, market: Market, side: str, **parameters: str | Decimal) -> None:
        self.call(
            "POST", "/api/v3/order", symbol=market.symbol, side=side, quantity=market.quantity,
            newClientOrderId=uuid.uuid4().hex, **parameters,
        )  # fmt: skip


def ask(address: str, method: str, target: str, api_key: str = "") -> Any:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, target, headers={"X-MBX-APIKEY": api_key} if api_key else {})
        answer = connection.getresponse()
        body = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Refused(body)
    return body


def run(url: str, admin: Admin, stop: threading.Event, *, seed: int | None = None) -> None:
    """Until `stop`; what cannot be done now is tried again, for about a minute."""
    address = urlsplit(url).netloc
    chance = random.Random(seed)
    assets, markets = _markets(address)
    maker, taker = (Trader(url, admin, f"demo-{role}", assets) for role in ("maker", "taker"))
    faults = 0
    for market in _for_ever(markets):
        try:
            _turn(address, market, maker, taker, chance)
            faults = 0
        except _NOT_NOW as fault:
            print(f"{market.symbol}: {fault}", flush=True)
            faults += 1
            if faults > FAULTS_MAX:
                raise
        if stop.wait(TURN_S):
            break
    for trader in (maker, taker):
        admin.delete("keys", trader.api_key)


def _turn(
    address: str, market: Market, maker: Trader, taker: Trader, chance: random.Random
) -> None:
    """Orders around a price that has walked on a little, and perhaps somebody who takes one."""
    middle = _last_price(address, market) * Decimal(1 + chance.gauss(0, 0.0005))
    open_orders = maker.call("GET", "/api/v3/openOrders", symbol=market.symbol)
    if open_orders:
        maker.call("DELETE", "/api/v3/openOrders", symbol=market.symbol)
    for level in range(1, LEVELS + 1):
        distance = middle * level * Decimal("0.0004")
        for side, price in (("BUY", middle - distance), ("SELL", middle + distance)):
            on_grid = (price // market.tick) * market.tick
            maker.order(market, side, type="LIMIT", timeInForce="GTC", price=on_grid)
    if chance.random() < 0.7:
        taker.order(market, chance.choice(["BUY", "SELL"]), type="MARKET")


def _last_price(address: str, market: Market) -> Decimal:
    ticker = ask(address, "GET", f"/api/v3/ticker/24hr?symbol={market.symbol}")
    return Decimal(ticker["lastPrice"]) or Decimal(FIRST_PRICES.get(market.symbol, "100"))


def _markets(address: str) -> tuple[list[str], list[Market]]:
    assets, markets = set(), []
    for symbol in ask(address, "GET", "/api/v3/exchangeInfo")["symbols"]:
        filters = {one["filterType"]: one for one in symbol["filters"]}
        assets |= {symbol["baseAsset"], symbol["quoteAsset"]}
        step = Decimal(filters["LOT_SIZE"]["stepSize"])
        price = Decimal(FIRST_PRICES.get(symbol["symbol"], "100"))
        quantity = max((Decimal(50) / price // step) * step, step)
        tick = Decimal(filters["PRICE_FILTER"]["tickSize"])
        markets.append(Market(symbol["symbol"], tick, step, quantity))
    return sorted(assets), markets


def _for_ever(markets: list[Market]) -> Iterator[Market]:
    while True:
        yield from markets
