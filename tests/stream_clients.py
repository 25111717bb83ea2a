"""A stream server in the test's loop, fed by hand, and the clients that dial it."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from made_outcomes import MARKETS, START, MadeMarket, views
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from exchange.services.orders import Side
from exchange.services.proxies import Proxies
from exchange.services.settings import Address
from exchange.websocket.limits import Limits
from exchange.websocket.sockets import StreamServer
from exchange.websocket.streams import Speed

SILENCE_S = 0.15


class Exchange:
    """A stream server with its clock in the test's hand, and the market that feeds it."""

    def __init__(self, limits: Limits, *, compresses: bool, proxies: Proxies | None) -> None:
        self.now = START
        self.server = StreamServer(
            limits, compresses=compresses, proxies=proxies, read_clock=lambda: self.now
        )
        self.server.load(views(*MARKETS))
        self.market = MadeMarket()

    def change(
        self, *levels: tuple[Side, int, int], trades: tuple[tuple[int, int], ...] = ()
    ) -> None:
        self.server.apply([self.market.frame(*levels, trades=trades)], self.now)

    def tick(self, *speeds: Speed) -> None:
        self.server.tick(speeds or list(Speed), self.now)

    @asynccontextmanager
    async def client(
        self, path: str, *, headers: dict[str, str] | None = None
    ) -> AsyncIterator[ClientConnection]:
        uri = f"ws://127.0.0.1:{self.server.port}{path}"
        async with connect(
            uri, compression=None, close_timeout=1, additional_headers=headers
        ) as client:
            yield client


@asynccontextmanager
async def running(
    limits: Limits, *, compresses: bool = False, proxies: Proxies | None = None
) -> AsyncIterator[Exchange]:
    exchange = Exchange(limits, compresses=compresses, proxies=proxies)
    await exchange.server.open(Address("127.0.0.1", 0))
    exchange.server.accept()
    try:
        yield exchange
    finally:
        await exchange.server.close(CloseCode.GOING_AWAY, "server shutdown")


async def receive(client: ClientConnection) -> Any:
    async with asyncio.timeout(60):
        return json.loads(await client.recv())


async def ask(client: ClientConnection, method: str, *params: object, id: object = 1) -> Any:
    await client.send(json.dumps({"method": method, "params": params, "id": id}))
    return await receive(client)


async def silence(client: ClientConnection) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE_S):
            pytest.fail(f"sent unasked: {await client.recv()!r}")


async def close_of(client: ClientConnection) -> tuple[int, str]:
    """The close code and reason, whatever is still to be read before."""
    async with asyncio.timeout(60):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await client.recv()
    assert client.close_code is not None
    return client.close_code, client.close_reason or ""


async def handshake(
    exchange: Exchange, path: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that does nothing by itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.server.port)
    writer.write(upgrade(path))
    async with asyncio.timeout(60):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    return reader, writer


def deaf_socket(exchange: Exchange, path: str) -> socket.socket:
    """A client that asks and does not read what comes."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    client.connect(("127.0.0.1", exchange.server.port))
    client.sendall(upgrade(path))
    return client


def upgrade(path: str) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def drain(client: socket.socket) -> bytes:
    """All that comes until the end, however it ends."""
    data = bytearray()
    client.settimeout(5)
    try:
        while chunk := client.recv(65_536):
            data += chunk
    except ConnectionResetError:
        pass
    finally:
        client.close()
    return bytes(data)


def texts_of(data: bytes) -> list[bytes]:
    """The texts of whole, short frames after the answer to the handshake."""
    data = data.partition(b"\r\n\r\n")[2]
    texts = []
    while data and data[0] == 0x81:
        size, start = data[1], 2
        if size == 126:
            size, start = int.from_bytes(data[2:4]), 4
        texts.append(data[start : start + size])
        data = data[start + size :]
    return texts


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await asyncio.sleep(0.01)
