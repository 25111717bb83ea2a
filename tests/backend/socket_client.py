"""A client of the WebSocket API."""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from backend.api_client import Trader

WAIT_S = 60
Json = dict[str, Any]


class SocketClient:
    """One connection: answers by their ids, and the events in the order in which they came."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, trader: Trader | None) -> None:
        self.socket = socket
        self.trader = trader
        self.events: list[Json] = []
        self._ids = itertools.count(1)
        self._answers: dict[Any, Json] = {}

    async def call(self, method: str, **params: object) -> Json:
        """The answer to a request as it is."""
        return await self.answer(await self.send(method, **params))

    async def signed(self, method: str, **params: object) -> Json:
        """The answer to a request that carries key, time and signature."""
        return await self.call(method, **self.sign(params))

    async def vouched(self, method: str, **params: object) -> Json:
        """The answer to a request of a session, which has a time only."""
        return await self.call(method, **params, timestamp=_now())

    def sign(self, params: dict[str, Any]) -> dict[str, Any]:
        assert self.trader is not None
        params = {"timestamp": _now(), **params, "apiKey": self.trader.api_key}
        text = "&".join(f"{name}={params[name]}" for name in sorted(params))
        secret = self.trader.secret.encode()
        return {**params, "signature": hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()}

    async def send(self, method: str, **params: object) -> int:
        """The id of a request that was sent, and is not answered yet."""
        id = next(self._ids)
        await self.socket.send_json({"id": id, "method": method, "params": params})
        return id

    async def answer(self, id: Any) -> Json:
        async with asyncio.timeout(WAIT_S):
            while id not in self._answers:
                await self._take()
        return self._answers.pop(id)

    async def raw(self, text: str | bytes) -> Json:
        """The answer to a message that need not be a request; nothing else may be under way."""
        if isinstance(text, bytes):
            await self.socket.send_bytes(text)
        else:
            await self.socket.send_str(text)
        message: Json = json.loads(await self.socket.receive_str(timeout=WAIT_S))
        return message

    async def until(self, is_last: Callable[[Json], bool]) -> list[Json]:
        """The events up to one, without their wrapping; what was here before counts."""
        seen = 0
        async with asyncio.timeout(WAIT_S):
            while True:
                while seen < len(self.events):
                    seen += 1
                    if is_last(self.events[seen - 1]["event"]):
                        taken, self.events = self.events[:seen], self.events[seen:]
                        return [one["event"] for one in taken]
                await self._take()

    async def closed(self) -> int | None:
        """The code with which the server parts."""
        async with asyncio.timeout(WAIT_S):
            while not self.socket.closed:
                message = await self.socket.receive()
                if message.type is aiohttp.WSMsgType.CLOSED:
                    break
        return self.socket.close_code

    async def _take(self) -> None:
        message = json.loads(await self.socket.receive_str())
        if "event" in message:
            self.events.append(message)
        else:
            self._answers[message["id"]] = message


@asynccontextmanager
async def connected(
    url: str, trader: Trader | None = None, query: str = ""
) -> AsyncIterator[SocketClient]:
    """`url` is that of the public API."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{url.replace('http', 'ws', 1)}/ws-api/v3{query}") as socket,
    ):
        yield SocketClient(socket, trader)


def _now() -> int:
    return time.time_ns() // 1_000_000
