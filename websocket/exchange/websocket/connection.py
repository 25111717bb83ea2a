"""One connection to the stream server, from its first byte on.

It is an asyncio protocol of ours around the `websockets` library's protocol without I/O: that one
speaks the handshake and the control frames; events bypass it. The transport is ours and the
library's bytes are always written out before control returns to the loop, so frames cannot mix.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Container, Mapping
from math import ceil
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Protocol, cast

import prometheus_client
import structlog
from msgspec import structs
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from exchange.services.proxies import Proxies
from exchange.websocket.events import Form
from exchange.websocket.frames import DEFLATE, deflate_bits, text_frame
from exchange.websocket.handshake import BadRequest, NotFound, Opening, parse_target
from exchange.websocket.limits import Limits
from exchange.websocket.outbox import Outbox
from exchange.websocket.streams import Stream
from exchange.websocket.subscriptions import STREAMS_MAX, Subscriptions
from exchange.websocket.user_feeds import UserFeeds

log = structlog.get_logger()

SOCKETS = prometheus_client.Gauge("exchange_websocket_sockets", "Sockets that are open.")
MESSAGES = prometheus_client.Counter(
    "exchange_websocket_messages_total", "Messages handed to sockets."
)
SLOW_CONSUMERS = prometheus_client.Counter(
    "exchange_websocket_slow_consumers_total", "Sockets closed since they read too slowly."
)

TRANSPORT_BYTES = 64 * 1024
"""A transport with more than this unsent is full: nothing is written to it until it has drained."""
KERNEL_BYTES = 128 * 1024
"""What the kernel holds of it besides; Linux doubles it."""
PINGS_OPEN = 4
"""So many of the newest pings may be answered; any other pong is no sign of life."""

# The library logs every connection at level INFO.
_library_log = logging.getLogger("exchange.websocket.library")
_library_log.setLevel(logging.WARNING)


class Server(Protocol):
    """What a socket belongs to, as far as it asks for anything there."""

    limits: Limits
    compresses: bool
    proxies: Proxies
    users: UserFeeds

    @property
    def is_accepting(self) -> bool: ...
    @property
    def symbols(self) -> Container[str]: ...
    def admit(self, socket: "Socket") -> None: ...
    def forget(self, socket: "Socket") -> None: ...
    def count_connect(self, address: str) -> float: ...
    def leave(self, address: str) -> None: ...
    def listen(self, socket: "Socket", streams: Mapping[str, Stream]) -> None: ...
    def stop_listening(self, socket: "Socket", streams: Mapping[str, Stream]) -> None: ...
    def flush_later(self, socket: "Socket") -> None: ...


class Socket(asyncio.Protocol):
    """A client, as its server sees it: `subscriptions` are what it listens to."""

    def __init__(self, server: Server) -> None:
        self.subscriptions = Subscriptions(Form())
        self.is_full = False
        self._server = server
        self._limits = server.limits
        self._protocol = ServerProtocol(
            extensions=[DEFLATE] if server.compresses else None,
            max_size=self._limits.message_bytes,
            logger=_library_log,
        )
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._began = self._pinged = self._ponged = self._loop.time()
        self._pings: deque[bytes] = deque(maxlen=PINGS_OPEN)
        self._full_since = 0.0
        self._handshake_bytes = 0
        self._message = bytearray()
        self._arrivals: deque[float] = deque(maxlen=self._limits.messages_per_second + 1)
        self._outbox = Outbox()
        self._is_unflushed = False
        self._is_counted = False
        self._counted_for: str | None = None
        self._abort: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Between the handshake and the first close frame of either side."""
        return self._protocol.state is State.OPEN

    @property
    def form(self) -> Form:
        """How it wants to be told."""
        return self.subscriptions.form

    # --- Writing ---

    def tell(self, text: bytes) -> None:
        """Write a message at the end of this turn."""
        self.send(text_frame(text, self.form.deflate_bits))
        MESSAGES.inc()

    def send(self, frames: bytes) -> None:
        """Write whole frames at the end of this turn."""
        self._outbox.add(frames)
        if not self._is_unflushed:
            self._is_unflushed = True
            self._server.flush_later(self)

    def send_when_drained(self, name: str, frames: bytes) -> None:
        """Write the newest that was said under that name once the transport has room again."""
        self._outbox.keep_newest(name, frames)

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it, or part from a slow consumer."""
        self._is_unflushed = False
        if not self.is_open:
            self._outbox.clear()
            return
        while self._outbox and not self.is_full:
            self._transport.write(b"".join(self._outbox.take()))
        if self._outbox.waiting_bytes > self._limits.waiting_bytes:
            self._cut_off()

    def pause_writing(self) -> None:
        self.is_full = True
        self._full_since = self._loop.time()

    def resume_writing(self) -> None:
        self.is_full = False
        self._outbox.add_newest()
        self.flush()

    # --- Parting ---

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye and give the client a moment to answer."""
        self.flush()
        if self.is_open:
            self._leave()
            self._protocol.send_close(code, reason)
            self._write_protocol()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()

    def sweep(self, now: float) -> None:
        """Ping when it is time, and part from a client that is late with anything."""
        if not self.is_open:
            if self._abort is None and now - self._began > self._limits.handshake_s:
                self.abort()
        elif self.is_full and now - self._full_since > self._limits.stalled_s:
            self._cut_off()
        elif now - self._ponged > self._limits.pong_s:
            self._fail(CloseCode.POLICY_VIOLATION, "no pong")
        elif now - self._began > self._limits.life_s:
            self.close(CloseCode.GOING_AWAY, "end of life")
        elif now - self._pinged >= self._limits.ping_s:
            self._pinged = now
            self._pings.append(str(time.time_ns() // 1_000_000).encode())
            self._protocol.send_ping(self._pings[-1])
            self._write_protocol()

    def _cut_off(self) -> None:
        SLOW_CONSUMERS.inc()
        self._fail(CloseCode.POLICY_VIOLATION, "slow consumer")

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Part from a client that broke a rule, without waiting for its answer."""
        host, port = self._peer()
        log.info("socket closed", code=int(code), reason=reason, peer=f"{host}:{port}")
        self._leave()
        self._protocol.fail(code, reason)
        self._write_protocol()

    def _leave(self) -> None:
        self._server.stop_listening(self, self.subscriptions.streams)
        self._server.users.stop_listening(self, self.subscriptions.listen_keys)
        self._outbox.clear()

    def _abort_later(self) -> None:
        if self._abort is None:
            self._abort = self._loop.call_later(self._limits.close_s, self.abort)

    def _peer(self) -> tuple[str, int]:
        host, port, *_ = self._transport.get_extra_info("peername") or ("", 0)
        return host, port

    def _address(self, request: Request) -> str:
        """Who asks, as far as proxies in front of us can be believed."""
        headers = ((name.encode(), value.encode()) for name, value in request.headers.raw_items())
        return self._server.proxies.client(self._peer()[0], headers)

    # --- Reading ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=TRANSPORT_BYTES)
        # Left alone, the kernel would take megabytes for a client that does not read, and hide it.
        connection = self._transport.get_extra_info("socket")
        connection.setsockopt(SOL_SOCKET, SO_SNDBUF, KERNEL_BYTES)
        self._server.admit(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self._is_counted:
            SOCKETS.dec()
        if self._counted_for is not None:
            self._server.leave(self._counted_for)
        if self._abort is not None:
            self._abort.cancel()
        self._outbox.clear()
        self._server.forget(self)
        # The library's parser is a suspended generator that holds what holds it.
        self._protocol.receive_eof()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self._take_frame(event)
            elif isinstance(event, Request):
                self._answer_request(event)
        if self._protocol.state is State.CONNECTING:
            self._count_handshake(len(data))
        self._write_protocol()
        self.flush()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._write_protocol()

    def _write_protocol(self) -> None:
        """Write what the library has to say, and do not wait for ever for the client to leave."""
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            else:
                self._transport.write_eof()
        if self._protocol.close_expected():
            self._abort_later()

    def _count_handshake(self, size: int) -> None:
        self._handshake_bytes += size
        if self._handshake_bytes > self._limits.handshake_bytes and self._abort is None:
            self._reject(431, "The request is too long.")

    def _answer_request(self, request: Request) -> None:
        try:
            opening = parse_target(request.path)
        except NotFound as fault:
            self._reject(404, str(fault))
        except BadRequest as fault:
            self._reject(400, str(fault))
        else:
            self._open(request, opening)

    def _open(self, request: Request, opening: Opening) -> None:
        if not self._server.is_accepting:
            self._reject(503, "The streams are starting; try again in a second.", wait_s=1)
        elif len(opening.names) > STREAMS_MAX:
            self._reject(400, f"A socket can have {STREAMS_MAX} streams.")
        elif wait_s := self._server.count_connect(address := self._address(request)):
            self._reject(429, "Too many connections from this address.", wait_s=wait_s)
        else:
            self._counted_for = address
            self._protocol.send_response(self._protocol.accept(request))
            if self.is_open:
                self._begin(opening)

    def _reject(self, status: int, sentence: str, *, wait_s: float = 0) -> None:
        response: Response = self._protocol.reject(status, sentence + "\n")
        if wait_s:
            response.headers["Retry-After"] = str(ceil(wait_s))
        self._protocol.send_response(response)

    def _begin(self, opening: Opening) -> None:
        SOCKETS.inc()
        self._is_counted = True
        self._ponged = self._pinged = self._loop.time()
        bits = deflate_bits(self._protocol.extensions)
        self.subscriptions = Subscriptions(structs.replace(opening.form, deflate_bits=bits))
        self.subscriptions.open(opening.names, self._server.symbols)
        # The answer to the handshake goes first.
        self._write_protocol()
        self._server.listen(self, self.subscriptions.streams)
        self._server.users.listen(self, self.subscriptions.listen_keys)

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            if frame.data in self._pings:
                self._ponged = self._loop.time()
            self._count_message()
        elif frame.opcode is Opcode.PING:
            self._count_message()
        elif frame.opcode is not Opcode.CLOSE:
            self._message += frame.data
            if frame.fin:
                message, self._message = bytes(self._message), bytearray()
                if self._count_message():
                    self._take_message(message)

    def _count_message(self) -> bool:
        """Whether the client may go on."""
        now = self._loop.time()
        self._arrivals.append(now)
        is_full = len(self._arrivals) == self._arrivals.maxlen
        if not self.is_open or not is_full or now - self._arrivals[0] >= 1:
            return self.is_open
        self._fail(CloseCode.POLICY_VIOLATION, "too many messages")
        return False

    def _take_message(self, message: bytes) -> None:
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self._fail(CloseCode.INVALID_DATA, "invalid UTF-8")
            return
        answer = self.subscriptions.answer(text, self._server.symbols)
        self.tell(answer.text)
        self._server.stop_listening(self, answer.removed)
        for name in answer.removed:
            self._outbox.forget_newest(name)
        self._server.listen(self, answer.added)
        self._server.users.stop_listening(self, answer.removed_keys)
        self._server.users.listen(self, answer.added_keys)
