"""One pipelined connection to Redis: the hot path of the journal.

Each call is one packed command and one future, calls made in one turn of the event loop share one write, and nothing is ever sent
twice: whoever gets ConnectionLost does not know whether the server has executed the call.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import hiredis

from exchange.services.failures import WorldFailed
from exchange.services.settings import InvalidSettings

CONNECT_TIMEOUT_S = 2.0
CALL_TIMEOUT_S = 5.0
"""A server that is silent for so long is given up; blocking reads must be shorter."""


class ConnectionLost(WorldFailed):
    """The connection ended while a call was under way, or before."""


class CommandRefused(WorldFailed):
    """Redis answered with an error: the command was not executed.

    Callers handle what they expect; anything else is a server that is not what it should be, and
    starting again asks it anew.
    """

    @property
    def out_of_memory(self) -> bool:
        # Within a script, Redis 6.2 wraps the reason into a sentence of its own.
        return "OOM" in str(self)


class Connection(asyncio.Protocol):
    """Use `Connection.open`."""

    def __init__(self, on_message: Callable[[bytes, bytes], None] | None) -> None:
        self._on_message = on_message
        self._reader = hiredis.Reader(replyError=CommandRefused)
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._unsent: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._cause = "not connected"

    @classmethod
    async def open(
        cls, url: str, *, name: str, on_message: Callable[[bytes, bytes], None] | None = None
    ) -> "Connection":
        """Connect, log on and say who we are.

        `on_message(channel, data)` is called for what arrives on subscribed channels. Raises
        ConnectionLost, or CommandRefused where Redis is still loading or wants another password.
        """
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname:
            raise InvalidSettings("REDIS_URL must be redis://[:password@]host[:port][/database]")
        tls = ssl.create_default_context() if parts.scheme == "rediss" else None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: cls(on_message), parts.hostname, parts.port or 6379, ssl=tls
                )
        except (OSError, TimeoutError) as fault:
            raise ConnectionLost(f"Redis cannot be reached: {fault or 'timed out'}") from None
        try:
            if parts.password:
                user = [unquote(parts.username)] if parts.username else []
                await connection.call("AUTH", *user, unquote(parts.password))
            if database := parts.path.strip("/"):
                await connection.call("SELECT", database)
            await connection.call("CLIENT", "SETNAME", name)
            # While it loads its journal it answers this, like all that matters, with an error.
            await connection.call("PING")
        except BaseException:
            connection.close()
            raise
        return connection

    async def call(self, *arguments: bytes | str | int) -> Any:
        """Send one command and wait for its answer.

        Raises CommandRefused for an error reply (definite) and ConnectionLost (unknown). A caller
        that is cancelled only stops waiting: answers stay matched, since they come in order.
        """
        if self._transport is None:
            raise ConnectionLost(self._cause)
        future: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append((future, self._loop.time() + CALL_TIMEOUT_S))
        if self._watch is None:
            self._watch = self._loop.call_later(CALL_TIMEOUT_S, self._give_up_if_silent)
        if not self._unsent:
            self._loop.call_soon(self._send)
        self._unsent.append(hiredis.pack_command(arguments))  # type: ignore[arg-type]  # the stub knows one argument only
        return await future

    def close(self) -> None:
        self._lose("closed")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as fault:
            self._lose(f"Redis sent what is not its protocol: {fault}")

    def connection_lost(self, fault: Exception | None) -> None:
        self._lose(f"Redis closed the connection: {fault or 'end of stream'}")

    def _send(self) -> None:
        if self._transport is not None:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def _take(self, reply: Any) -> None:
        if self._on_message is not None and type(reply) is list and reply[0] == b"message":
            self._on_message(reply[1], reply[2])
            return
        if not self._waiting:
            self._lose("Redis answered what nobody asked")
            return
        future, _ = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, CommandRefused):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _give_up_if_silent(self) -> None:
        self._watch = None
        if not self._waiting:
            return
        _, deadline = self._waiting[0]
        if deadline <= self._loop.time():
            self._lose(f"Redis did not answer within {CALL_TIMEOUT_S:.0f} s")
        else:
            self._watch = self._loop.call_at(deadline, self._give_up_if_silent)

    def _lose(self, cause: str) -> None:
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        self._cause = cause
        if self._watch is not None:
            self._watch.cancel()
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(ConnectionLost(cause))
