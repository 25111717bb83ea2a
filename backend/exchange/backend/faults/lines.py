"""The connection that a request came by, for those faults that are about it."""

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NoReturn, Protocol

import msgspec
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.backend.listeners import DROP
from exchange.backend.responder import ClientGone
from exchange.services import fault_script
from exchange.services.fault_file import FaultFile
from exchange.services.fault_script import SOCKET_API, Fault


class Line(Protocol):
    """Where a request came from."""

    async def drop(self) -> NoReturn:
        """Cut it; whoever works for its client is stopped."""


_line: ContextVar[Line] = ContextVar("line")


def current_line() -> Line:
    """Of the request that is served."""
    return _line.get()


class Lines:
    """An application whose handlers know their line, and whose sockets may break."""

    def __init__(self, application: ASGIApp, file: FaultFile) -> None:
        self._application = application
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        abort = scope["extensions"][DROP]
        if scope["type"] == "websocket":
            socket = _Socket(abort, receive, send, self._file.faults().of_socket(SOCKET_API))
            _line.set(socket)
            await self._application(scope, socket.receive, socket.send)
        else:
            _line.set(_Request(abort, receive))
            await self._application(scope, receive, send)


class _Request:
    """A request over HTTP."""

    def __init__(self, abort: Callable[[], None], receive: Receive) -> None:
        self._abort = abort
        self._receive = receive

    async def drop(self) -> NoReturn:
        self._abort()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise ClientGone


class _Named(msgspec.Struct, frozen=True):
    apiKey: str = ""  # noqa: N815, the public API calls it so


class _Asked(msgspec.Struct, frozen=True):
    params: _Named = _Named()


class _Socket:
    """A connection of the WebSocket API: it is about the keys that were named on it."""

    def __init__(
        self, abort: Callable[[], None], receive: Receive, send: Send, line: fault_script.Line
    ) -> None:
        self._abort = abort
        self._receive = receive
        self._send = send
        self._line = line
        self._keys: set[str] = set()
        self._is_stalled = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._keys.add(_key_in(message.get("text") or message.get("bytes") or ""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            if not self._is_stalled and (fault := self._line.fault(self._keys)) is not None:
                self._is_stalled = True
                if fault is Fault.DROP:
                    self._abort()
            if self._is_stalled:
                return
        await self._send(message)

    async def drop(self) -> NoReturn:
        self._abort()
        # What works for a client that is gone is cancelled.
        await asyncio.Event().wait()
        raise AssertionError


def _key_in(text: Any) -> str:
    """The key that a request names, "" for none; what is no request is for others to say."""
    try:
        return msgspec.json.decode(text, type=_Asked).params.apiKey
    except (msgspec.MsgspecError, UnicodeError):
        return ""
