"""Who makes a server tick: each tick is as many messages to every listener.

The exchange ticks by a market order that takes slices of an iceberg: every slice is a trade.
"""

import itertools
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from exchange.lab.socket_load import split_frame, text_frame
from exchange.lab.stream_crowd import BUFFER_BYTES, CrowdFault, upgrade
from exchange.lab.traders import Signer, Terms, Trader

IN_FLIGHT_MIN, IN_FLIGHT_MAX, IN_FLIGHT_SOCKETS = 2, 16, 12_000
TICKS_OF_ONE = 20
"""An iceberg is for so many ticks: putting it into the book shall cost little beside them."""
STOCK = 1_000
"""For so many ticks icebergs lie in the book; an account may have 200 orders."""
SLICE = 0.1
PRICES = 10_000
TEXT = 1
ORDERS = "/ws-api/v3?returnRateLimits=false"
GO = b"\x81\x82\0\0\0\0go"
"""A client's frame, masked with nothing."""


def in_flight(sockets: int) -> int:
    """So many ticks may be on their way: the next one is there when a server is done with one."""
    return min(IN_FLIGHT_MAX, max(IN_FLIGHT_MIN, IN_FLIGHT_SOCKETS // sockets))


class Pacemaker(Protocol):
    """Makes one server tick. What it has to hear is registered with a selector, to be called."""

    def tick(self, count: int) -> int:
        """Ask for so many ticks, or as many as are possible now; says how many it asked for."""

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

    def tick(self, count: int) -> int:
        self._socket.sendall(GO * count)
        return count

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
    """Of the exchange: one account sells icebergs, another one takes one for each tick.

    Both trade over the WebSocket API, and send together what they have to send at the same time.
    """

    def __init__(self, selector: selectors.BaseSelector, market: Market, *, updates: int) -> None:
        self._market, self._updates = market, updates
        self._making = _OrderSocket(selector, market.port, market.seller, self._have_made)
        self._taking = _OrderSocket(selector, market.port, market.buyer, lambda: None)
        self._names = itertools.count(time.time_ns())
        self._make()

    def tick(self, count: int) -> int:
        count = min(count, self._market.stock)
        self._market.stock -= count
        self._taking.place([self._taken() for _ in range(count)])
        self._make()
        return count

    @property
    def is_busy(self) -> bool:
        return bool(self._making.unanswered or self._taking.unanswered)

    def close(self) -> None:
        self._making.close()
        self._taking.close()

    def _make(self) -> None:
        """Fill up the stock."""
        coming = self._market.stock + self._making.unanswered * TICKS_OF_ONE
        self._making.place([self._made() for _ in range((STOCK - coming) // TICKS_OF_ONE)])

    def _made(self) -> Terms:
        # Each has a price of its own: slices of one price are taken by turns.
        self._market.made += 1
        price = 100 + self._market.made % PRICES / 100
        return {
            **self._order(parts_of_one(self._updates)),
            "side": "SELL",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "icebergQty": str(SLICE),
            "price": f"{price:.2f}",
        }

    def _taken(self) -> Terms:
        return {**self._order(self._updates), "side": "BUY", "type": "MARKET"}

    def _order(self, slices: int) -> Terms:
        return {
            "newClientOrderId": f"t{next(self._names)}",
            "newOrderRespType": "ACK",
            "quantity": f"{slices * SLICE:.1f}",
        }

    def _have_made(self) -> None:
        self._market.stock += TICKS_OF_ONE
        self._make()


class _OrderSocket:
    """An account's connection to the WebSocket API; each order must be answered with 200.

    `unanswered` is how many are under way.
    """

    def __init__(
        self,
        selector: selectors.BaseSelector,
        port: int,
        trader: Trader,
        answered: Callable[[], None],
    ) -> None:
        self.unanswered = 0
        self._signer = Signer(trader)
        self._selector = selector
        self._answered = answered
        self._received = b""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._socket.sendall(upgrade(ORDERS))
        # Nothing follows it: whoever asks for nothing is told nothing.
        answer = self._socket.recv(BUFFER_BYTES)
        if not answer.startswith(b"HTTP/1.1 101 "):
            raise CrowdFault(f"a trader was refused: {answer.decode(errors='replace')}")
        selector.register(self._socket, selectors.EVENT_READ, self._hear)

    def place(self, orders: Sequence[Terms]) -> None:
        """Send orders, all at once."""
        self.unanswered += len(orders)
        self._socket.sendall(b"".join(map(text_frame, map(self._signer.placing, orders))))

    def close(self) -> None:
        self._selector.unregister(self._socket)
        self._socket.close()

    def _hear(self) -> None:
        received = self._socket.recv(BUFFER_BYTES)
        if not received:
            raise CrowdFault("a trader was closed")
        self._received += received
        while (frame := split_frame(self._received)) is not None:
            opcode, text, self._received = frame
            if opcode != TEXT:
                continue
            if b'"status":200' not in text:
                raise CrowdFault(f"an order failed: {text.decode(errors='replace')}")
            self.unanswered -= 1
            self._answered()
