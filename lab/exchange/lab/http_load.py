"""A closed-loop HTTP load generator that costs little: the server under test shares its machine.

Each connection sends the next request when it has the answer to the last one.
"""

import asyncio
import time
from collections.abc import Callable
from typing import cast

from msgspec import Struct


class Load(Struct, frozen=True):
    """What a bounded burst of requests measured; latencies in seconds."""

    seconds: float
    latencies: list[float]
    failures: list[bytes]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile_ms(self, percent: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000


class _Connection(asyncio.Protocol):
    """One keep-alive connection; understands answers with a Content-Length."""

    def __init__(self, next_request: Callable[[], bytes], end: float) -> None:
        self.latencies: list[float] = []
        self.failures: list[bytes] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._next_request = next_request
        self._end = end
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not is_whole(self._received):
            return
        head, _, body = self._received.partition(b"\r\n\r\n")
        self._received = b""
        now = time.perf_counter()
        self.latencies.append(now - self._sent)
        if not head.startswith(b"HTTP/1.1 200") and len(self.failures) < 10:
            self.failures.append(body)
        if now < self._end:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, fault: Exception | None) -> None:
        if time.perf_counter() < self._end:
            self.failures.append(f"connection lost: {fault}".encode())
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        request = self._next_request()
        self._sent = time.perf_counter()
        self._transport.write(request)


async def load(
    host: str, port: int, next_request: Callable[[], bytes], *, connections: int, seconds: float
) -> Load:
    """Keep `connections` requests in flight for `seconds`; ends within ten seconds after that."""
    began = time.perf_counter()
    opened = []
    for _ in range(connections):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(next_request, began + seconds), host, port
        )
        opened.append(connection)
    async with asyncio.timeout(seconds + 10):
        await asyncio.gather(*(connection.done for connection in opened))
    return Load(
        time.perf_counter() - began,
        [latency for connection in opened for latency in connection.latencies],
        [failure for connection in opened for failure in connection.failures],
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
