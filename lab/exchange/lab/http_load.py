"""An HTTP load generator that costs little: the server under test shares its machine."""

import asyncio
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from typing import cast

from msgspec import Struct

from exchange.lab.histogram import Histogram
from exchange.services.settings import Address

FAILURES_KEPT = 10


class Load(Struct, frozen=True):
    """What a bounded burst of requests measured; `seconds` from its first to its last one."""

    seconds: float
    latencies: Histogram
    failures: list[bytes]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds


def median_ms(loads: Iterable[Load], percent: float) -> float:
    """A percentile of the latencies of each, and of these the median."""
    return round(statistics.median(one.latencies.percentile_ms(percent) for one in loads), 3)


def median_ratio(ours: Sequence[Load], theirs: Sequence[Load]) -> float:
    """Of the rates of those that were measured beside each other."""
    pairs = zip(ours, theirs, strict=True)
    return round(statistics.median(one.per_second / other.per_second for one, other in pairs), 3)


class Client:
    """Sends one request at a time, from when it is told to `begin` to the end of the load.

    In a closed loop a request is due when the one before it was answered. In an open loop one is due
    at each interval, whatever became of those before; a latency counts from there, so that what had
    to wait for a slow answer is slow too (no coordinated omission).
    """

    def __init__(self, send: Callable[[], None], end: float, interval_s: float) -> None:
        """`end` is a time of `time.perf_counter`; without an interval the loop is closed."""
        self.latencies = Histogram()
        self.failures: list[bytes] = []
        self._send, self._end, self._interval_s = send, end, interval_s
        self._due = 0.0
        self._loop = asyncio.get_running_loop()

    def begin(self, *, share: float) -> None:
        """`share` of an interval from now, so that not all clients send at the same time."""
        self._due = time.perf_counter() + share * self._interval_s
        self._loop.call_later(share * self._interval_s, self._send)

    def answered(self, failure: bytes | None) -> bool:
        """Take note of the answer, and send the next one when it is due; False: it was the last."""
        now = time.perf_counter()
        self.latencies.add(now - self._due)
        if failure is not None and len(self.failures) < FAILURES_KEPT:
            self.failures.append(failure)
        self._due = self._due + self._interval_s if self._interval_s else now
        if max(now, self._due) >= self._end:
            return False
        if self._due > now:
            self._loop.call_later(self._due - now, self._send)
        else:
            self._send()
        return True


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one client; understands answers with a Content-Length."""

    def __init__(self, next_request: Callable[[], bytes], end: float, interval_s: float) -> None:
        self.client = Client(self._send, end, interval_s)
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next_request = next_request
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        head, _, body = self._received.partition(b"\r\n\r\n")
        self._received = b""
        if not self.client.answered(None if head.startswith(b"HTTP/1.1 200") else body):
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, fault: Exception | None) -> None:
        if not self.done.done():
            self.client.failures.append(f"connection lost: {fault}".encode())
            self.done.set_result(None)

    def _send(self) -> None:
        self._transport.write(self._next_request())


async def load(
    host: str,
    port: int,
    next_request: Callable[[], bytes],
    *,
    connections: int,
    seconds: float,
    per_s: float = 0,
) -> Load:
    """Keep `connections` requests in flight for `seconds`, or send `per_s` of them whatever comes
    back; ends within ten seconds after that."""
    began = time.perf_counter()
    end, interval_s = began + seconds, connections / per_s if per_s else 0.0
    opened = []
    for number in range(connections):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(next_request, end, interval_s), host, port
        )
        connection.client.begin(share=number / connections)
        opened.append(connection)
    async with asyncio.timeout(seconds + 10):
        await asyncio.gather(*(connection.done for connection in opened))
    return summary(time.perf_counter() - began, [connection.client for connection in opened])


async def spread_load(
    servers: Sequence[Address],
    next_request: Callable[[], bytes],
    *,
    connections: int,
    seconds: float,
) -> Load:
    """A closed loop over several servers at a time, which share the connections evenly."""
    shares = [len(range(place, connections, len(servers))) for place in range(len(servers))]
    parts = await asyncio.gather(
        *(
            load(server.host, server.port, next_request, connections=share, seconds=seconds)
            for server, share in zip(servers, shares, strict=True)
        )
    )
    return Load(
        max(part.seconds for part in parts),
        Histogram(part.latencies for part in parts),
        [failure for part in parts for failure in part.failures],
    )


def summary(seconds: float, clients: list[Client]) -> Load:
    """What all clients have measured together."""
    return Load(
        seconds,
        Histogram(client.latencies for client in clients),
        [failure for client in clients for failure in client.failures],
    )


def is_whole(answer: bytes) -> bool:
    """Whether all of an answer that has a Content-Length is there."""
    head, separator, body = answer.partition(b"\r\n\r\n")
    return bool(separator) and len(body) >= content_length(head)


def content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def get(host: str, port: int, request: bytes) -> bytes:
    """The body of the answer to one request."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        return await reader.readexactly(content_length(head))
    finally:
        writer.close()
