"""The HTTP servers inside this process: opened once, and kept when the state is loaded anew."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from exchange.backend import errors
from exchange.services.open_connections import OpenConnections
from exchange.services.proxies import Proxies
from exchange.services.settings import Address, InvalidSettings, parse_address

HEAD_BYTES_MAX = 64 * 1024
KEEP_ALIVE_S = 75
FINISH_S = 3
START_POLL_S = 0.01
BACKLOG = 2_048
ARRIVAL_S_MAX = 10.0
"""How long the whole of a request may take to arrive."""
UNREAD_S_MAX = 30.0
"""How long nothing of an answer may be read."""
CONNECTIONS_MAX = 10_000
"""Of one listener; one more is closed at once, as is one too many of an address."""
SWEEP_S = 1.0
MESSAGE_BYTES_MAX = 64 * 1024
PING_S, PONG_S = 20, 60
STALLED_S_MAX = 3.0
"""How long a socket may take nothing of what it is sent."""
TRANSPORT_BYTES = 64 * 1024
DROP = "exchange.drop"
"""The extension of a scope that cuts its connection."""
KERNEL_BYTES = 128 * 1024
"""What the kernel holds of a socket's texts besides; Linux doubles it."""

_body = errors.REQUEST_TOO_SLOW.error().body()
_TOO_SLOW = (
    b"HTTP/1.1 408 Request Timeout\r\ncontent-type: application/json;charset=UTF-8\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%b" % (len(_body), _body)
)


class _Config(uvicorn.Config):
    """With what the connections of one listener share: the count of them by address.

    Proxies of ours are left out of it, since they come for all the world.
    """

    open_connections: OpenConnections
    proxies: Proxies

    def enter(self, peer: str) -> bool:
        return self.proxies.trusts(peer) or self.open_connections.enter(peer)

    def leave(self, peer: str) -> None:
        if not self.proxies.trusts(peer):
            self.open_connections.leave(peer)


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that gives up a request which goes on and on, in bytes or in time.

    Of the head, what came before it began is not counted, nor is the read that it began in: that
    one is bounded by the transport.
    """

    config: _Config
    _peer = ""
    _has_entered = False
    _head_bytes = 0
    _is_in_head = False
    _began: float | None = None
    _full_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(cast("asyncio.Transport", _GatheringTransport(transport)))
        self._peer = _peer_of(transport)
        self._has_entered = self.config.enter(self._peer)
        if not self._has_entered or len(self.connections) > CONNECTIONS_MAX:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Not called where the connection has become a WebSocket."""
        super().connection_lost(exc)
        if self._has_entered:
            self.config.leave(self._peer)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._full_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._full_since = None

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0
        self._began = self.loop.time()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._began = None
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)

    def drop_if_late(self) -> None:
        """Answer 408 and close where a request has been arriving for too long; cut off who does
        not read his answer.

        Its handler, if there is one by now, learns that the client is gone.
        """
        now = self.loop.time()
        if self._full_since is not None and now - self._full_since > UNREAD_S_MAX:
            self.transport.abort()
        elif self._began is not None and now - self._began > ARRIVAL_S_MAX:
            self.transport.write(_TOO_SLOW)
            self.transport.close()


class BoundedSocket(WebSocketsSansIOProtocol):
    """A WebSocket that gives up a client which does not read what it is sent.

    It was counted when it was still HTTP.
    """

    config: _Config
    _peer = ""
    _full_since: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._peer = _peer_of(transport)
        self.transport.set_write_buffer_limits(high=TRANSPORT_BYTES)
        # Left alone, the kernel would take megabytes for a client that does not read, and hide it.
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.config.leave(self._peer)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._full_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._full_since = None

    def drop_if_late(self) -> None:
        """Cut it off where nothing has been read for too long; a farewell would not be read."""
        if self._full_since is not None and self.loop.time() - self._full_since > STALLED_S_MAX:
            self.transport.abort()


class DroppableProtocol(BoundedProtocol):
    """Tells its application how to cut its connection."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("Scope", self.scope)["extensions"] = {DROP: self.transport.abort}


class DroppableSocket(BoundedSocket):
    """The same for a WebSocket."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.close_sent:
            # The application runs no earlier than control returns to the loop.
            cast("Scope", self.scope)["extensions"][DROP] = self.transport.abort


class _GatheringTransport:
    """Writes once in a turn of the event loop: uvicorn writes head and body of an answer apart."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._parts: list[bytes] = []
        self._call_soon = asyncio.get_running_loop().call_soon

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()


class _Server(uvicorn.Server):
    """Leaves the signals to the process, which stops us in its own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listeners:
    """Any number of servers; `open` them once, `close` them before the process ends."""

    def __init__(
        self, connections_max: int = CONNECTIONS_MAX, proxies: Proxies | None = None
    ) -> None:
        """Of each listener so many may be open to one address that is no proxy of ours."""
        self._connections_max = connections_max
        self._proxies = proxies or Proxies()
        self._running: list[tuple[_Server, asyncio.Task[None]]] = []
        self._sweeping: asyncio.Task[None] | None = None

    async def open(
        self,
        variable: str,
        address_text: str,
        application: ASGIApp,
        *,
        share_port: bool = False,
        can_drop: bool = False,
    ) -> None:
        """Listen at the address that a setting names; raises InvalidSettings if it is taken.

        Processes that all share a port divide its clients. With `can_drop` each scope holds the way
        to cut its connection.
        """
        address = parse_address(variable, address_text)
        config = _Config(
            application,
            loop="none",
            http=DroppableProtocol if can_drop else BoundedProtocol,
            ws=DroppableSocket if can_drop else BoundedSocket,
            ws_max_size=MESSAGE_BYTES_MAX,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PONG_S,
            ws_per_message_deflate=False,
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=FINISH_S,
            backlog=BACKLOG,
        )
        config.open_connections = OpenConnections(self._connections_max)
        config.proxies = self._proxies
        server = _Server(config)
        task = asyncio.create_task(server.serve([_bound(variable, address, share_port)]))
        self._running.append((server, task))
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        while not server.started and not task.done():  # noqa: ASYNC110, it has no event
            await asyncio.sleep(START_POLL_S)
        if task.done():
            await task

    async def close(self) -> None:
        """Take no more connections, finish what is under way, and return within some seconds."""
        for server, _ in self._running:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._running))
        self._running.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None

    async def _sweep(self) -> None:
        """One look at all connections costs less than a timer for every request."""
        while True:
            await asyncio.sleep(SWEEP_S)
            for server, _ in self._running:
                for connection in list(server.server_state.connections):
                    if isinstance(connection, BoundedProtocol | BoundedSocket):
                        connection.drop_if_late()


def _peer_of(transport: asyncio.BaseTransport) -> str:
    return str((transport.get_extra_info("peername") or ("",))[0])


def _bound(variable: str, address: Address, share_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((address.host, address.port))
    except OSError as fault:
        listening.close()
        raise InvalidSettings(
            f"{variable} {address} cannot be used: {fault.strerror or fault}"
        ) from None
    listening.setblocking(False)
    return listening
