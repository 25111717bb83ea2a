"""A client of one account's events, over the WebSocket API or by a listenKey, until it is cancelled."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import websockets

from exchange.lab.chaos.client import Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.user_record import UserRecord

PAUSE_S = 0.05
OPEN_S_MAX = 2.0
ANSWER_S_MAX = 5.0
OVER = frozenset({"eventStreamTerminated", "listenKeyExpired"})


class NotNow(Exception):
    """The exchange does not let anybody listen at the moment."""


_NOT_NOW = (
    OSError, TimeoutError, websockets.WebSocketException, NotNow, NotSent, NoAnswer, Malformed,
)  # fmt: skip


class UserListener:
    """Keeps a record, over one connection after the other."""

    def __init__(
        self, public: PublicApi, record: UserRecord, api: str, streams: str | None
    ) -> None:
        """With the address of the streams by a listenKey there, else at the backend."""
        self._public, self._record = public, record
        self._socket_api = api.replace("http", "ws", 1) + "/ws-api/v3"
        self._streams = streams

    async def listen(self) -> None:
        """Connect, and again whenever a connection ends, which is no fault."""
        while True:
            try:
                async with self._listening() as stream:
                    self._record.begin()
                    # What it is told until it is cancelled is told to the end.
                    with suppress(websockets.ConnectionClosedError):
                        await self._hear_out(stream)
                    self._record.end()
            except _NOT_NOW:
                pass
            await asyncio.sleep(PAUSE_S)

    @asynccontextmanager
    async def _listening(self) -> AsyncIterator[websockets.ClientConnection]:
        """A connection on which all that happens from now on is told."""
        url = await self._stream_url() if self._streams else self._socket_api
        async with websockets.connect(
            url, open_timeout=OPEN_S_MAX, close_timeout=OPEN_S_MAX
        ) as stream:
            if not self._streams:
                await self._subscribe(stream)
            yield stream

    async def _stream_url(self) -> str:
        answer = await self._public.call("POST", "userDataStream", "")
        if answer.status != 200:
            raise NotNow(answer)
        return f"{self._streams}/ws/{answer.body['listenKey']}"

    async def _subscribe(self, stream: websockets.ClientConnection) -> None:
        method = "userDataStream.subscribe.signature"
        request = {"id": 1, "method": method, "params": self._public.signed_for_socket()}
        await stream.send(msgspec.json.encode(request).decode())
        async with asyncio.timeout(ANSWER_S_MAX):
            answer = msgspec.json.decode(await stream.recv())
        if answer["status"] != 200:
            raise NotNow(answer)

    async def _hear_out(self, stream: websockets.ClientConnection) -> None:
        """Until the connection ends, or says that nothing more will come."""
        async for text in stream:
            message: Mapping[str, Any] = msgspec.json.decode(text)
            event = message.get("event", message)
            if event.get("e") in OVER:
                return
            self._record.hear(event)
