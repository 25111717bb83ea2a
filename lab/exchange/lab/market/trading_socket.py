"""A client of the WebSocket API: many requests under way on one connection, all signed by one key."""

import asyncio
import hmac
import itertools
import time
from typing import Any

import msgspec
import websockets
from msgspec import Struct

OPEN_S_MAX = 5.0
ANSWER_S_MAX = 15.0


class NotConnected(Exception):
    """The connection is gone; what was under way may have been executed or not."""


class Refused(Exception):
    """The exchange said no: `code` and its text."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Key(Struct, frozen=True):
    """An API key that signs by HMAC."""

    api_key: str
    secret_key: str


class TradingSocket:
    """One account's connection; it is used inside `async with`, and ends with the first fault."""

    def __init__(self, api_url: str, key: Key) -> None:
        self._url = f"{api_url.replace('http', 'ws', 1)}/ws-api/v3"
        self._key = key
        self._signer = hmac.new(key.secret_key.encode(), digestmod="sha256")
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> "TradingSocket":
        self._socket = await websockets.connect(
            self._url, open_timeout=OPEN_S_MAX, close_timeout=1, compression=None
        )
        self._hearing = asyncio.create_task(self._hear())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._hearing.cancel()
        await asyncio.gather(self._hearing, return_exceptions=True)
        await self._socket.close()

    async def request(self, method: str, **parameters: object) -> Any:
        """The result of a signed request. Raises Refused or NotConnected."""
        if self._hearing.done():
            raise NotConnected
        number = next(self._numbers)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": self._signed(parameters)}
        try:
            await self._socket.send(msgspec.json.encode(message).decode())
            async with asyncio.timeout(ANSWER_S_MAX):
                return await answered
        except (websockets.ConnectionClosed, TimeoutError):
            raise NotConnected from None
        finally:
            self._waiting.pop(number, None)

    async def ended(self) -> None:
        """Until the connection is gone."""
        await asyncio.wait([self._hearing])

    def _signed(self, parameters: dict[str, object]) -> dict[str, str]:
        values = {name: str(value) for name, value in parameters.items()}
        values |= {"apiKey": self._key.api_key, "timestamp": str(time.time_ns() // 1_000_000)}
        signer = self._signer.copy()
        # The WebSocket API signs the parameters by name, as they are.
        signer.update("&".join(f"{name}={values[name]}" for name in sorted(values)).encode())
        return {**values, "signature": signer.hexdigest()}

    async def _hear(self) -> None:
        try:
            async for text in self._socket:
                answer = msgspec.json.decode(text)
                waiting = self._waiting.get(answer.get("id"))
                if waiting is None or waiting.done():
                    continue
                if answer["status"] == 200:
                    waiting.set_result(answer["result"])
                else:
                    error = answer["error"]
                    waiting.set_exception(Refused(error["code"], error["msg"]))
        finally:
            for waiting in self._waiting.values():
                if not waiting.done():
                    waiting.set_exception(NotConnected())
