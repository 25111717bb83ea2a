"""Accounts that send signed orders: how the load generator looks like many ordinary bots."""

import hmac
import itertools
import random
import time
from collections.abc import Callable

from msgspec import Struct

SYMBOL = "SOLUSDC"


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
    """Signed limit orders around one price, about half of which trade when they arrive."""
    chance = random.Random(seed)
    numbers = itertools.count(1)
    signers = [Signer(trader) for trader in traders]

    def next_request() -> bytes:
        signer = chance.choice(signers)
        side = "BUY" if chance.random() < 0.5 else "SELL"
        price = 10_000 + chance.randrange(-20, 21)
        return signer.order(
            f"side={side}&type=LIMIT&timeInForce=GTC&quantity=0.1"
            f"&price={price // 100}.{price % 100:02}&newClientOrderId=b{seed}-{next(numbers)}"
        )

    return next_request


def plain_requests() -> Callable[[], bytes]:
    """What the trivial handler is sent: the same order as JSON, unsigned."""
    body = b'{"symbol":"SOLUSDC","side":"BUY","type":"LIMIT","quantity":"0.1","price":"100.00"}'
    request = (
        b"POST /order HTTP/1.1\r\nHost: baseline\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    )
    return lambda: request
