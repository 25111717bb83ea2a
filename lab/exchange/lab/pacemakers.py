"""Who makes a server tick: each tick is as many messages to every listener.

The exchange ticks by a market order that takes slices of an iceberg: every slice is a trade.
"""

import itertools
import selectors
import socket
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from exchange.lab.http_load import is_whole
from exchange.lab.stream_crowd import BUFFER_BYTES, CrowdFault, upgrade
from exchange.lab.traders import Signer, Trader

IN_FLIGHT_MIN, IN_FLIGHT_SOCKETS = 2, 12_000
TICKS_OF_ONE = 20
"""An iceberg is for so many ticks: putting it into the book shall cost little beside them."""
STOCK = 1_000
"""For so many ticks icebergs lie in the book; an account may have 200 orders."""
SLICE = 0.1
PRICES = 10_000
GO = b"\x81\x82\0\0\0\0go"
"""A client's frame, masked with nothing."""


def in_flight(sockets: int) -> int:
    """So many ticks may be on their way: the next one is there when a server is done with one."""
    return max(IN_FLIGHT_MIN, IN_FLIGHT_SOCKETS // sockets)


class Pacemaker(Protocol):
    """Makes one server tick. What it has to hear is registered with a selector, to be called."""

    def tick(self) -> bool:
        """Ask for a tick, if that is possible at the moment."""

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be heard."""

    def close(self) -> None:
        """No tick will be asked for any more."""


class GoPacemaker:
    """Of the plain loop."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(upgrade("/go"))
        self._socket.recv(4_096)

    def tick(self) -> bool:
        self._socket.sendall(GO)
        return True

    @property
    def is_busy(self) -> bool:
        return False

    def close(self) -> None:
        self._socket.close()


class Market(Struct):
    """Two accounts, one of which has icebergs in the book, which stay there between turns.

    `stock` is for how many ticks they are.
    """

    port: int
    seller: Trader
    buyer: Trader
    stock: int = 0
    made: int = 0


def parts_of_one(updates: int) -> int:
    """How many slices an iceberg has; the market must allow as many (`iceberg_parts`)."""
    return updates * TICKS_OF_ONE


class OrderPacemaker:
    """Of the exchange: one account sells icebergs, another one takes one for each tick."""

    def __init__(
        self, selector: selectors.BaseSelector, market: Market, *, updates: int, in_flight: int
    ) -> None:
        self._market, port = market, market.port
        self._seller, self._buyer = Signer(market.seller), Signer(market.buyer)
        self._updates = updates
        self._names = itertools.count(time.time_ns())
        self._making = [_Connection(selector, port, self._have_made) for _ in range(in_flight)]
        self._taking = [_Connection(selector, port, lambda: None) for _ in range(in_flight)]
        self._make()

    def tick(self) -> bool:
        idle = next((one for one in self._taking if one.is_idle), None)
        if idle is None or not self._market.stock:
            return False
        self._market.stock -= 1
        idle.send(self._buyer.order(f"side=BUY&type=MARKET&{self._amount(self._updates)}"))
        self._make()
        return True

    @property
    def is_busy(self) -> bool:
        return any(not one.is_idle for one in (*self._making, *self._taking))

    def close(self) -> None:
        for connection in (*self._making, *self._taking):
            connection.close()

    def _make(self) -> None:
        """Fill up the stock."""
        idle = [one for one in self._making if one.is_idle]
        coming = self._market.stock + (len(self._making) - len(idle)) * TICKS_OF_ONE
        amount = parts_of_one(self._updates)
        for connection in idle[: max(0, STOCK - coming) // TICKS_OF_ONE]:
            # Each has a price of its own: slices of one price are taken by turns.
            self._market.made += 1
            price = 100 + self._market.made % PRICES / 100
            terms = f"side=SELL&type=LIMIT&timeInForce=GTC&icebergQty={SLICE}&price={price:.2f}"
            connection.send(self._seller.order(f"{terms}&{self._amount(amount)}"))

    def _amount(self, slices: int) -> str:
        name = f"t{next(self._names)}"
        return f"quantity={slices * SLICE:.1f}&newClientOrderId={name}&newOrderRespType=ACK"

    def _have_made(self) -> None:
        self._market.stock += TICKS_OF_ONE
        self._make()


class _Connection:
    """One request after the other over HTTP; each must be answered with 200."""

    def __init__(
        self, selector: selectors.BaseSelector, port: int, answered: Callable[[], None]
    ) -> None:
        self.is_idle = True
        self._selector = selector
        self._answered = answered
        self._received = b""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        selector.register(self._socket, selectors.EVENT_READ, self._hear)

    def send(self, request: bytes) -> None:
        assert self.is_idle
        self.is_idle = False
        self._socket.sendall(request)

    def close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        received = self._socket.recv(BUFFER_BYTES)
        self._received += received
        if received and not is_whole(self._received):
            return
        if not self._received.startswith(b"HTTP/1.1 200"):
            raise CrowdFault(f"an order failed: {self._received.decode(errors='replace')}")
        self._received = b""
        self.is_idle = True
        self._answered()
