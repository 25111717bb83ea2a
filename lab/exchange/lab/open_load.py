"""An open-loop HTTP load: requests are sent when they are due, whether or not answers have come.

It is bounded by its connections: what is due while each of them still waits is counted as withheld.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import cast

import msgspec
from msgspec import Struct

from exchange.lab.http_load import is_whole

TICK_S = 0.01
OPENED_AT_ONCE = 100
LAST_ANSWERS_S_MAX = 15.0
NO_ANSWER = -1


class Request(Struct, frozen=True):
    """Bytes to send, and what they are."""

    trader: int
    content: bytes
    is_cancel: bool = False


class _Answer(Struct, frozen=True):
    """What matters of an answer."""

    order_id: int = msgspec.field(name="orderId", default=0)
    code: int = 0


class OpenLoad(Struct):
    """What became of the requests. Codes are those of the API, 0 for success."""

    sent: int = 0
    withheld: int = 0
    seconds: float = 0.0
    orders: Counter[int] = msgspec.field(default_factory=Counter)
    cancels: Counter[int] = msgspec.field(default_factory=Counter)
    acknowledged: set[tuple[int, int]] = msgspec.field(default_factory=set)
    """(trader, order id) of each order that was placed."""
    latencies: list[float] = msgspec.field(default_factory=list)
    """Seconds, of the orders that were placed."""


class _Connection(asyncio.Protocol):
    def __init__(self, load: OpenLoad, idle: "deque[_Connection]") -> None:
        self.request: Request | None = None
        self._load, self._idle = load, idle
        self._received = b""
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not derived from asyncio's.
        self.transport = cast("asyncio.Transport", transport)
        self._idle.append(self)

    def send(self, request: Request) -> None:
        self.request, self._sent = request, time.perf_counter()
        self.transport.write(request.content)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        _, _, body = self._received.partition(b"\r\n\r\n")
        self._received = b""
        self._note(msgspec.json.decode(body, type=_Answer))
        self._idle.append(self)

    def connection_lost(self, _fault: Exception | None) -> None:
        if self.request is not None:
            self._note(_Answer(code=NO_ANSWER))
        elif self in self._idle:
            self._idle.remove(self)

    def _note(self, answer: _Answer) -> None:
        request, self.request = self.request, None
        assert request is not None
        if request.is_cancel:
            self._load.cancels[answer.code] += 1
            return
        self._load.orders[answer.code] += 1
        if not answer.code:
            self._load.acknowledged.add((request.trader, answer.order_id))
            self._load.latencies.append(time.perf_counter() - self._sent)


async def open_load(
    port: int,
    next_request: Callable[[], Request],
    *,
    per_s: float,
    connections: int,
    seconds: float,
) -> OpenLoad:
    """Offer `per_s` requests for `seconds`, then wait for what is still to be answered."""
    load, idle = OpenLoad(), deque[_Connection]()
    opened = await _open(port, connections, load, idle)
    try:
        began = time.perf_counter()
        due = 0
        while (passed := time.perf_counter() - began) < seconds:
            owed, due = int(passed * per_s) - due, int(passed * per_s)
            now = min(owed, len(idle))
            load.withheld += owed - now
            load.sent += now
            for _ in range(now):
                idle.popleft().send(next_request())
            await asyncio.sleep(TICK_S)
        load.seconds = time.perf_counter() - began
        await _last_answers(opened)
    finally:
        for one in opened:
            one.transport.abort()
        await asyncio.sleep(TICK_S)
    return load


async def _last_answers(opened: list[_Connection]) -> None:
    until = time.perf_counter() + LAST_ANSWERS_S_MAX
    while any(one.request for one in opened) and time.perf_counter() < until:  # noqa: ASYNC110
        await asyncio.sleep(TICK_S)


async def _open(
    port: int, count: int, load: OpenLoad, idle: deque[_Connection]
) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    opened: list[_Connection] = []
    while len(opened) < count:
        # Not all at once: they would not fit into the queue of a server that listens.
        pairs = await asyncio.gather(
            *(
                loop.create_connection(lambda: _Connection(load, idle), "127.0.0.1", port)
                for _ in range(min(OPENED_AT_ONCE, count - len(opened)))
            )
        )
        opened += [connection for _, connection in pairs]
    return opened
