"""A load on the WebSocket API that costs little: several requests under way on each connection."""

import asyncio
import os
import time
from base64 import b64encode
from collections.abc import Callable
from typing import cast

import msgspec

from exchange.lab.http_load import Client, Load, summary

PATH = "/ws-api/v3?returnRateLimits=false"


class _Answer(msgspec.Struct):
    id: int
    status: int


_decode = msgspec.json.Decoder(_Answer).decode


class _Connection(asyncio.Protocol):
    """One connection with several clients, who know their answers by the id of the request."""

    def __init__(
        self, next_request: Callable[[int], bytes], clients: int, end: float, interval_s: float
    ) -> None:
        loop = asyncio.get_running_loop()
        self.clients = [
            Client(lambda number=number: self._send(number), end, interval_s)  # type: ignore[misc]  # a default of a lambda
            for number in range(clients)
        ]
        self.is_open: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._next_request = next_request
        self._unanswered = clients
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not derived from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        key = b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET {PATH} HTTP/1.1\r\nHost: exchange\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            .encode()
        )  # fmt: skip

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self.is_open.done():
            head, separator, rest = self._received.partition(b"\r\n\r\n")
            if not separator:
                return
            self._received = rest
            if head.startswith(b"HTTP/1.1 101"):
                self.is_open.set_result(None)
            else:
                self.is_open.set_exception(ConnectionError(head.decode(errors="replace")))
        while (text := self._next_text()) is not None:
            self._take(text)

    def connection_lost(self, fault: Exception | None) -> None:
        if not self.is_open.done():
            self.is_open.set_exception(ConnectionError(f"connection lost: {fault}"))
        if not self.done.done():
            self.clients[0].failures.append(f"connection lost: {fault}".encode())
            self.done.set_result(None)

    def _take(self, text: bytes) -> None:
        answer = _decode(text)
        if not self.clients[answer.id].answered(None if answer.status == 200 else text):
            self._unanswered -= 1
            if not self._unanswered:
                self.done.set_result(None)
                self._transport.close()

    def _next_text(self) -> bytes | None:
        """The next whole text message; other frames are passed over: nobody pings in so short a
        time, and the end is seen from the connection's."""
        while (frame := split_frame(self._received)) is not None:
            opcode, content, self._received = frame
            if opcode == 1:
                return content
        return None

    def _send(self, number: int) -> None:
        self._transport.write(text_frame(self._next_request(number)))


async def socket_load(
    port: int,
    next_request: Callable[[int], bytes],
    *,
    connections: int,
    clients: int,
    seconds: float,
    per_s: float = 0,
) -> Load:
    """Keep `clients` requests in flight on each of `connections`, or send `per_s` whatever comes
    back. `next_request` is told the id of the request; it ends within ten seconds after `seconds`."""
    began = time.perf_counter()
    total = connections * clients
    end, interval_s = began + seconds, total / per_s if per_s else 0.0
    opened = []
    for _ in range(connections):
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(next_request, clients, end, interval_s), "127.0.0.1", port
        )
        opened.append(connection)
    async with asyncio.timeout(seconds + 10):
        await asyncio.gather(*(connection.is_open for connection in opened))
        everyone = [client for connection in opened for client in connection.clients]
        for place, client in enumerate(everyone):
            client.begin(share=place / total)
        await asyncio.gather(*(connection.done for connection in opened))
    return summary(time.perf_counter() - began, everyone)


def text_frame(content: bytes) -> bytes:
    """A client's frame. Its mask is zero, which is a mask like any other, and costs nothing here."""
    size = len(content)
    if size < 126:
        return b"\x81%c\0\0\0\0%b" % (0x80 | size, content)
    return b"\x81\xfe%b\0\0\0\0%b" % (size.to_bytes(2), content)


def split_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """A server's first frame: its opcode, its content, and what follows; None: not all is there."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10]), 10
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], data[start + size :]
