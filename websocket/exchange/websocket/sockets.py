"""The stream server: its sockets, who listens to what, and writing it to them.

Each socket is an asyncio protocol of ours around the `websockets` library's protocol without I/O:
that one speaks the handshake and the control frames; events bypass it. An event becomes one
unmasked text frame per form, shared by all who listen, and all that a socket gets in one turn of
the loop is one write. The transport is ours and the library's bytes are always written out before
control returns to the loop, so frames cannot mix; no extension is ever agreed, so they are as the
client expects them.

A slow reader costs its transport's buffer and references to shared frames, not copies. It is cut
off when too much waits for it, or when its transport has been full for too long.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Container, Iterable, Sequence
from socket import SO_SNDBUF, SOL_SOCKET
from typing import cast

import msgspec
import prometheus_client
import structlog
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from exchange.services.market_view import MarketViews
from exchange.services.messages import OutcomeFrame
from exchange.services.settings import Address
from exchange.websocket.feeds import Feeds
from exchange.websocket.handshake import BadRequest, NotFound, Opening, parse_target
from exchange.websocket.outbox import Outbox
from exchange.websocket.streams import Event, Form, Kind, Speed
from exchange.websocket.subscriptions import STREAMS_MAX, Subscriptions

log = structlog.get_logger()

SOCKETS = prometheus_client.Gauge("exchange_websocket_sockets", "Sockets that are open.")
MESSAGES = prometheus_client.Counter(
    "exchange_websocket_messages_total", "Messages handed to sockets."
)
SLOW_CONSUMERS = prometheus_client.Counter(
    "exchange_websocket_slow_consumers_total", "Sockets closed since they read too slowly."
)
POSITION = prometheus_client.Gauge(
    "exchange_websocket_position", "Number of the last outcome that the streams have seen."
)

TRANSPORT_BYTES = 64 * 1024
"""A transport with more than this unsent is full: nothing is written to it until it has drained."""
KERNEL_BYTES = 128 * 1024
"""What the kernel holds of it besides; Linux doubles it."""
TICK_NS = 100_000_000
SWEEP_TICKS = 5

# The library logs every connection at level INFO.
_library_log = logging.getLogger("exchange.websocket.library")
_library_log.setLevel(logging.WARNING)


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What one socket may do and cost; times are in seconds."""

    messages_per_second: int = 1_000
    message_bytes: int = 64 * 1024
    handshake_bytes: int = 16 * 1024
    handshake_s: float = 10
    waiting_bytes: int = 4 * 1024 * 1024
    stalled_s: float = 3
    ping_s: float = 20
    pong_s: float = 60
    close_s: float = 1


LIMITS = Limits()


class StreamServer:
    """All sockets. Until `load` and `accept` were called it answers handshakes with 503."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.limits = limits
        self.port = 0
        self._feeds = Feeds(MarketViews(0))
        self._accepting = False
        self._server: asyncio.Server | None = None
        self._sockets: set[Socket] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._listeners: dict[str, dict[Socket, None]] = {}
        self._unflushed: list[Socket] = []
        self._messages_sent = 0

    # --- What comes from the exchange ---

    def load(self, views: MarketViews) -> None:
        """Begin from these markets."""
        self._feeds = Feeds(views)

    def accept(self) -> None:
        """The markets are current: let clients in."""
        self._accepting = True

    @property
    def is_accepting(self) -> bool:
        return self._accepting

    @property
    def position(self) -> int:
        """The number of the last outcome that was applied."""
        return self._feeds.views.position

    def apply(self, frames: Sequence[OutcomeFrame], now: int) -> None:
        """Tell what these outcomes mean at once: trades, then the best prices that changed."""
        for frame in frames:
            generation = self._feeds.generation
            events = self._feeds.apply(frame, now, self._listeners)
            if self._feeds.generation != generation:
                self.close_all(CloseCode.SERVICE_RESTART, "service restart")
            self._publish(events)
        self._publish(self._feeds.book_tickers(self._listeners))
        self._flush()
        POSITION.set(self.position)

    def tick(self, speeds: Iterable[Speed], now: int) -> None:
        """Tell what the depth streams of these speeds have collected."""
        for speed in speeds:
            self._publish(self._feeds.tick(speed, now, self._listeners))
        self._flush()

    # --- Listening ---

    async def open(self, address: Address) -> None:
        """Listen; `port` is then the one in use."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Socket(self), address.host or None, address.port, backlog=1_024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def run_clock(self) -> None:
        """The ticks, on whole tenths of a second, and what has to be looked at now and then."""
        last = time.time_ns() // TICK_NS
        while True:
            await asyncio.sleep((TICK_NS - time.time_ns() % TICK_NS) / 1e9)
            now = time.time_ns()
            number = now // TICK_NS
            if number == last:
                continue
            is_whole_second = number // 10 != last // 10
            self.tick(Speed if is_whole_second else (Speed.FAST,), now // 1_000)
            if number // SWEEP_TICKS != last // SWEEP_TICKS:
                self.sweep()
            last = number

    def sweep(self) -> None:
        """Ping, and drop whoever takes too long with anything."""
        now = asyncio.get_running_loop().time()
        for socket in list(self._sockets):
            socket.sweep(now)

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Ask every client to leave; they have `close_s` for it."""
        self._flush()
        for socket in list(self._sockets):
            socket.close(code, reason)

    async def close(self, code: CloseCode, reason: str) -> None:
        """Stop listening and part from everyone; returns when all connections are gone."""
        self._accepting = False
        if self._server is not None:
            self._server.close()
        self.close_all(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.close_s + 0.5):
                await self._nobody.wait()
        for socket in list(self._sockets):
            socket.abort()

    # --- What sockets ask for ---

    def admit(self, socket: "Socket") -> None:
        self._sockets.add(socket)
        self._nobody.clear()

    def listen(self, socket: "Socket", names: Iterable[str]) -> None:
        """From now on this socket is told what these streams say."""
        subscriptions = socket.subscriptions
        for name in names:
            self._listeners.setdefault(name, {})[socket] = None
            event = self._feeds.start(subscriptions.streams[name])
            if event is not None:
                socket.send(text_frame(event.text(name, subscriptions.form)))

    def stop_listening(self, socket: "Socket", names: Iterable[str]) -> None:
        for name in names:
            listeners = self._listeners.get(name, {})
            listeners.pop(socket, None)
            if not listeners:
                self._listeners.pop(name, None)

    def forget(self, socket: "Socket") -> None:
        """It is gone."""
        self.stop_listening(socket, socket.subscriptions.streams)
        self._sockets.discard(socket)
        if not self._sockets:
            self._nobody.set()

    @property
    def symbols(self) -> Container[str]:
        return self._feeds.symbols

    def count_messages(self, sent: int) -> None:
        self._messages_sent += sent

    def flush_later(self, socket: "Socket") -> None:
        """It has something to write at the end of this turn."""
        self._unflushed.append(socket)

    # --- Fan-out ---

    def _publish(self, events: Iterable[Event]) -> None:
        for event in events:
            for name in event.stream.names:
                if listeners := self._listeners.get(name):
                    _tell(event, name, listeners)

    def _flush(self) -> None:
        sockets, self._unflushed = self._unflushed, []
        for socket in sockets:
            socket.flush()
        # One count for all of them: a counter costs about as much as a write.
        MESSAGES.inc(self._messages_sent)
        self._messages_sent = 0


def _tell(event: Event, name: str, sockets: Iterable["Socket"]) -> None:
    # Of best prices only the newest matter; of all else a client needs every one.
    is_conflated = event.stream.kind is Kind.BOOK_TICKER
    frames: dict[Form, bytes] = {}
    for socket in sockets:
        form = socket.subscriptions.form
        frame = frames.get(form)
        if frame is None:
            frame = frames[form] = text_frame(event.text(name, form))
        if is_conflated and socket.is_full:
            socket.send_when_drained(name, frame)
        else:
            socket.send(frame)


def text_frame(text: bytes) -> bytes:
    """A whole message as it goes over the wire."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


class Socket(asyncio.Protocol):
    """One connection, from its first byte on."""

    def __init__(self, server: StreamServer) -> None:
        self.subscriptions = Subscriptions(Form())
        self.is_full = False
        self._server = server
        self._limits = server.limits
        self._protocol = ServerProtocol(max_size=self._limits.message_bytes, logger=_library_log)
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._began = self._pinged = self._ponged = self._loop.time()
        self._full_since = 0.0
        self._handshake_bytes = 0
        self._message = bytearray()
        self._arrivals: deque[float] = deque(maxlen=self._limits.messages_per_second + 1)
        self._outbox = Outbox()
        self._is_unflushed = False
        self._is_counted = False
        self._abort: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Between the handshake and the first close frame of either side."""
        return self._protocol.state is State.OPEN

    # --- Writing ---

    def send(self, frame: bytes) -> None:
        """Write a frame at the end of this turn."""
        self._outbox.add(frame)
        if not self._is_unflushed:
            self._is_unflushed = True
            self._server.flush_later(self)

    def send_when_drained(self, name: str, frame: bytes) -> None:
        """Write the newest frame of that name once the transport has room again."""
        self._outbox.keep_newest(name, frame)

    def flush(self) -> None:
        """Write what waits, as far as the transport takes it, or part from a slow consumer."""
        self._is_unflushed = False
        if not self.is_open:
            self._outbox.clear()
            return
        self._server.count_messages(self._write_waiting())
        if self._outbox.waiting_bytes > self._limits.waiting_bytes:
            self._cut_off()

    def _write_waiting(self) -> int:
        """How many frames could be written."""
        count = 0
        while self._outbox and not self.is_full:
            frames = self._outbox.take()
            count += len(frames)
            self._transport.write(b"".join(frames))
        return count

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
        elif now - self._pinged >= self._limits.ping_s:
            self._pinged = now
            self._protocol.send_ping(str(time.time_ns() // 1_000_000).encode())
            self._write_protocol()

    def _cut_off(self) -> None:
        SLOW_CONSUMERS.inc()
        self._fail(CloseCode.POLICY_VIOLATION, "slow consumer")

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Part from a client that broke a rule, without waiting for its answer."""
        log.info("socket closed", code=int(code), reason=reason, peer=self._peer())
        self._leave()
        self._protocol.fail(code, reason)
        self._write_protocol()

    def _leave(self) -> None:
        self._server.stop_listening(self, self.subscriptions.streams)
        self._outbox.clear()

    def _abort_later(self) -> None:
        if self._abort is None:
            self._abort = self._loop.call_later(self._limits.close_s, self.abort)

    def _peer(self) -> str:
        host, port, *_ = self._transport.get_extra_info("peername") or ("", 0)
        return f"{host}:{port}"

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
            self._reject(503, "The streams are starting; try again in a second.")
        elif len(opening.names) > STREAMS_MAX:
            self._reject(400, f"A socket can have {STREAMS_MAX} streams.")
        else:
            self._protocol.send_response(self._protocol.accept(request))
            if self.is_open:
                self._begin(opening)

    def _reject(self, status: int, sentence: str) -> None:
        response: Response = self._protocol.reject(status, sentence + "\n")
        if status == 503:
            response.headers["Retry-After"] = "1"
        self._protocol.send_response(response)

    def _begin(self, opening: Opening) -> None:
        SOCKETS.inc()
        self._is_counted = True
        self._ponged = self._pinged = self._loop.time()
        self.subscriptions = Subscriptions(opening.form)
        self.subscriptions.open(opening.names, self._server.symbols)
        # The answer to the handshake goes first.
        self._write_protocol()
        self._server.listen(self, self.subscriptions.streams)

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PONG:
            self._ponged = self._loop.time()
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
        self.send(text_frame(answer.text))
        self._server.stop_listening(self, answer.removed)
        for name in answer.removed:
            self._outbox.forget_newest(name)
        self._server.listen(self, answer.added)
