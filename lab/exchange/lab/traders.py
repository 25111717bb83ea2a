"""Accounts that send signed orders: how the load generator looks like many ordinary bots."""

import hmac
import itertools
import random
import time
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

SYMBOL = "SOLUSDC"
ORDERS_AT_A_PRICE = 200
PRICES = 40

Terms = dict[str, str]
"""What an order is to be, by the names of its parameters."""


class Trader(Struct, frozen=True):
    """One funded account and its key."""

    api_key: str
    secret: str


class Signer:
    """Makes an account's requests; an order needs a client order id, or it would be a repetition."""

    def __init__(self, trader: Trader) -> None:
        self.api_key = trader.api_key
        # A keyed hash is copied for each request: preparing the key costs more than signing.
        self._keyed = hmac.new(trader.secret.encode(), digestmod="sha256")

    def order(self, terms: str) -> bytes:
        """The whole request for an order with these parameters."""
        timestamp = time.time_ns() // 1_000_000
        body = f"symbol={SYMBOL}&{terms}&recvWindow=60000&timestamp={timestamp}".encode()
        signer = self._keyed.copy()
        signer.update(body)
        body += b"&signature=" + signer.hexdigest().encode()
        return (
            b"POST /api/v3/order HTTP/1.1\r\nHost: exchange\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\nX-MBX-APIKEY: %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (self.api_key.encode(), len(body), body)
        )

    def socket_order(self, id: int, name: str, price: str, side: str) -> bytes:
        """The whole message for a limit order over the WebSocket API; signed is what is sorted."""
        timestamp = time.time_ns() // 1_000_000
        signer = self._keyed.copy()
        signer.update(
            f"apiKey={self.api_key}&newClientOrderId={name}&price={price}&quantity=0.1"
            f"&recvWindow=60000&side={side}&symbol={SYMBOL}&timeInForce=GTC&timestamp={timestamp}"
            "&type=LIMIT".encode()
        )
        return (
            f'{{"id":{id},"method":"order.place","params":{{"apiKey":"{self.api_key}",'
            f'"newClientOrderId":"{name}","price":"{price}","quantity":"0.1","recvWindow":60000,'
            f'"side":"{side}","symbol":"{SYMBOL}","timeInForce":"GTC","timestamp":{timestamp},'
            f'"type":"LIMIT","signature":"{signer.hexdigest()}"}}}}'
        ).encode()

    def placing(self, terms: Terms) -> bytes:
        """The whole message for an order with these parameters over the WebSocket API."""
        timestamp = time.time_ns() // 1_000_000
        params = {"apiKey": self.api_key, "recvWindow": "60000", "symbol": SYMBOL, **terms}
        params["timestamp"] = str(timestamp)
        signer = self._keyed.copy()
        signer.update("&".join(f"{name}={params[name]}" for name in sorted(params)).encode())
        params["signature"] = signer.hexdigest()
        return msgspec.json.encode({"id": timestamp, "method": "order.place", "params": params})

    def request(self, method: str, path: str, parameters: str) -> bytes:
        """A whole request with everything in the query."""
        return (
            f"{method} {self.target(path, parameters)} HTTP/1.1\r\nHost: exchange\r\n"
            f"X-MBX-APIKEY: {self.api_key}\r\n\r\n"
        ).encode()

    def target(self, path: str, parameters: str) -> str:
        """What stands behind the method; the key has to be sent with it, as X-MBX-APIKEY."""
        query = f"{parameters}&" * bool(parameters)
        query += f"recvWindow=60000&timestamp={time.time_ns() // 1_000_000}"
        signer = self._keyed.copy()
        signer.update(query.encode())
        return f"/api/v3/{path}?{query}&signature={signer.hexdigest()}"


def order_requests(traders: list[Trader], seed: int) -> Callable[[], bytes]:
    """Signed limit orders over REST, about half of which trade when they arrive."""
    signers = [Signer(trader) for trader in traders]
    wishes = _wishes(len(signers), seed)

    def next_request() -> bytes:
        trader, side, price, name = next(wishes)
        return signers[trader].order(
            f"side={side}&type=LIMIT&timeInForce=GTC&quantity=0.1"
            f"&price={price}&newClientOrderId={name}"
        )

    return next_request


def socket_requests(traders: list[Trader], seed: int) -> Callable[[int], bytes]:
    """The same orders for the WebSocket API, each with an id that its sender chooses."""
    signers = [Signer(trader) for trader in traders]
    wishes = _wishes(len(signers), seed)

    def next_request(id: int) -> bytes:
        trader, side, price, name = next(wishes)
        return signers[trader].socket_order(id, name, price, side)

    return next_request


def _wishes(traders: int, seed: int) -> Iterator[tuple[int, str, str, str]]:
    """Trader, side, price and client order id of one order after another.

    Sellers and buyers take turns, at a price that wanders up and down: whatever is left behind is
    taken when the price comes by again, so that the book stays small however long it goes on.
    """
    chance = random.Random(seed)
    for number in itertools.count(1):
        step = number // ORDERS_AT_A_PRICE % (2 * PRICES)
        price = 10_000 + min(step, 2 * PRICES - step)
        yield (
            chance.randrange(traders),
            "SELL" if number % 2 else "BUY",
            f"{price // 100}.{price % 100:02}",
            f"b{seed}-{number}",
        )


def plain_requests() -> Callable[[], bytes]:
    """What the trivial handler is sent: the same order as JSON, unsigned."""
    body = b'{"symbol":"SOLUSDC","side":"BUY","type":"LIMIT","quantity":"0.1","price":"100.00"}'
    request = (
        b"POST /order HTTP/1.1\r\nHost: baseline\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return lambda: request
