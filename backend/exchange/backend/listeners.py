"""The HTTP servers inside this process: opened once, and kept when the state is loaded anew."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from exchange.services.settings import Address, InvalidSettings, parse_address

HEAD_BYTES_MAX = 64 * 1024
KEEP_ALIVE_S = 75
FINISH_S = 3
START_POLL_S = 0.01
BACKLOG = 2_048


class BoundedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that gives up a request whose head goes on and on.

    What came before the head began is not counted, nor is the read that it began in: that one is
    bounded by the transport.
    """

    _head_bytes = 0
    _is_in_head = False

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._is_in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        if self._is_in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self.send_400_response("The head of the request is too large.")
                return
        super().data_received(data)


class _Server(uvicorn.Server):
    """Leaves the signals to the process, which stops us in its own order."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listeners:
    """Any number of servers; `open` them once, `close` them before the process ends."""

    def __init__(self) -> None:
        self._running: list[tuple[_Server, asyncio.Task[None]]] = []

    async def open(self, variable: str, address_text: str, application: ASGIApp) -> None:
        """Listen at the address that a setting names; raises InvalidSettings if it is taken."""
        address = parse_address(variable, address_text)
        config = uvicorn.Config(
            application,
            loop="none",
            http=BoundedProtocol,
            ws="none",
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
        server = _Server(config)
        task = asyncio.create_task(server.serve([_bound(variable, address)]))
        self._running.append((server, task))
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


def _bound(variable: str, address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address.host, address.port))
    except OSError as fault:
        listening.close()
        raise InvalidSettings(
            f"{variable} {address} cannot be used: {fault.strerror or fault}"
        ) from None
    listening.setblocking(False)
    return listening
