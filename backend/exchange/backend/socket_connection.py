"""One connection of the WebSocket API: messages in, several at a time, and texts out, in order."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from exchange.backend.responder import Receive, Send

log = structlog.get_logger()

MESSAGES_MAX = 1_000
"""How many are worked on at once; what comes then waits in the network."""
WAITING_BYTES_MAX = 4 * 1024 * 1024
"""How much may wait for the client to read it: a slower reader is parted from."""
CHUNK_BYTES = 64 * 1024
LIFE_S = 24 * 60 * 60
PARTING_S = 1.0

GOING_AWAY, POLICY_VIOLATION, SERVICE_RESTART = 1001, 1008, 1012


class Connection:
    """Give it texts with `write`, and let `run` give you messages."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send
        self._work: set[asyncio.Task[None]] = set()
        self._waiting: deque[bytes] = deque()
        self._waiting_bytes = 0
        self._has_waiting = asyncio.Event()
        self._parting: asyncio.Future[tuple[int, str]]
        self._parting = asyncio.get_running_loop().create_future()

    def write(self, text: bytes) -> None:
        """Send a text when those before it are sent; from a slow reader we part."""
        if self._parting.done():
            return
        self._waiting.append(text)
        self._waiting_bytes += len(text)
        self._has_waiting.set()
        if self._waiting_bytes > WAITING_BYTES_MAX:
            self._waiting.clear()
            self.part(POLICY_VIOLATION, "slow consumer")

    def part(self, code: int, reason: str) -> None:
        """End it, after what waits was sent as far as the client takes it soon."""
        if not self._parting.done():
            log.info("socket closed", code=code, reason=reason)
            self._parting.set_result((code, reason))

    async def run(self, take: Callable[[str | bytes], Awaitable[None]]) -> None:
        """Until the client leaves or we part from it. Whatever `take` raises ends it, and is raised.

        What `take` was given, and is not done with then, is cancelled.
        """
        reading = asyncio.create_task(self._read(take))
        writing = asyncio.create_task(self._write_on())
        ends: list[asyncio.Future[Any]] = [reading, writing, self._parting]
        try:
            await asyncio.wait(ends, timeout=LIFE_S, return_when=asyncio.FIRST_COMPLETED)
            if not (reading.done() or writing.done()):
                self.part(GOING_AWAY, "a connection lives for 24 hours")
            if self._parting.done():
                await self._say_goodbye(*self._parting.result())
        finally:
            # From now on nothing more is written.
            self._parting.cancel()
            tasks = [reading, writing, *self._work]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, take: Callable[[str | bytes], Awaitable[None]]) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            text = message.get("text")
            work = asyncio.ensure_future(take(message["bytes"] if text is None else text))
            self._work.add(work)
            work.add_done_callback(self._done)
            if len(self._work) >= MESSAGES_MAX:
                await asyncio.wait(self._work, return_when=asyncio.FIRST_COMPLETED)

    def _done(self, work: asyncio.Future[None]) -> None:
        self._work.discard(work)
        if work.cancelled():
            return
        fault = work.exception()
        if fault is not None and not self._parting.done():
            self._parting.set_exception(fault)

    async def _write_on(self) -> None:
        while True:
            await self._has_waiting.wait()
            self._has_waiting.clear()
            if not await self._write_waiting():
                return

    async def _write_waiting(self) -> bool:
        """False when the client has gone."""
        size = 0
        while self._waiting:
            text = self._waiting.popleft()
            self._waiting_bytes -= len(text)
            size += len(text)
            try:
                await self._send({"type": "websocket.send", "text": text.decode()})
            except OSError:
                return False
            if size > CHUNK_BYTES:
                # The transport says only at the end of a turn that it is full.
                size = 0
                await asyncio.sleep(0)
        return True

    async def _say_goodbye(self, code: int, reason: str) -> None:
        try:
            async with asyncio.timeout(PARTING_S):
                if await self._write_waiting():
                    await self._send({"type": "websocket.close", "code": code, "reason": reason})
        except (TimeoutError, OSError):
            # The listener drops whoever does not read.
            return
