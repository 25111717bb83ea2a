"""The stream server: its sockets, who listens to what, and writing it to them.

What a stream has to say in one turn of the loop becomes one piece of whole frames for each form,
shared by all who listen, and all that a socket gets in one turn is one write.

A slow reader costs its transport's buffer and references to shared frames, not copies. It is cut
off when too much waits for it, or when its transport has been full for too long.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence

import prometheus_client
from websockets.frames import CloseCode

from exchange.services.candles import Candle
from exchange.services.clock import now_us
from exchange.services.market_view import MarketViews
from exchange.services.messages import OutcomeFrame
from exchange.services.open_connections import OpenConnections
from exchange.services.proxies import Proxies
from exchange.services.settings import Address
from exchange.websocket.connection import MESSAGES, Socket
from exchange.websocket.events import Event, Form, Message
from exchange.websocket.feeds import Feeds
from exchange.websocket.frames import text_frame
from exchange.websocket.limits import LIMITS, Connects, Limits
from exchange.websocket.payloads import ServerShutdown, encode
from exchange.websocket.streams import Speed, Stream
from exchange.websocket.user_feeds import UserFeeds

POSITION = prometheus_client.Gauge(
    "exchange_websocket_position", "Number of the last outcome that the streams have seen."
)

TICK_MS = 100
SWEEP_MS = 500
WAIT_FOR_ROOM_S = 1
"""Who has too many connections is asked to wait so long."""
SHUTDOWN = "!serverShutdown"
"""The name of the stream that nobody needs to subscribe to."""


class StreamServer:
    """All sockets. Until `load` and `accept` were called it answers handshakes with 503."""

    def __init__(
        self,
        limits: Limits = LIMITS["relaxed"],
        *,
        compresses: bool = False,
        proxies: Proxies | None = None,
        new_socket: Callable[["StreamServer"], Socket] = Socket,
        read_clock: Callable[[], int] = now_us,
    ) -> None:
        self.limits = limits
        self.compresses = compresses
        self.proxies = proxies or Proxies()
        self.port = 0
        self._new_socket = new_socket
        self._read_clock = read_clock
        self._feeds = Feeds(MarketViews(0), read_clock())
        self.users = UserFeeds(read_clock)
        self._connects = Connects(limits)
        self._open = OpenConnections(limits.connections)
        self._accepting = False
        self._server: asyncio.Server | None = None
        self._sockets: set[Socket] = set()
        self._nobody = asyncio.Event()
        self._nobody.set()
        self._listeners: dict[Stream, dict[str, dict[Socket, None]]] = {}
        self._unflushed: list[Socket] = []

    # --- What comes from the exchange ---

    def load(self, views: MarketViews, candles: Iterable[Candle] = ()) -> None:
        """Begin from these markets, and their stored candles of a second and of an hour."""
        self._feeds = Feeds(views, self._read_clock(), candles)

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
            events = self._feeds.apply(frame, now)
            if self._feeds.generation != generation:
                self.close_all(CloseCode.SERVICE_RESTART, "service restart")
            self._publish(events)
            self.users.apply(frame)
        self._publish(self._feeds.book_tickers())
        self._flush()
        POSITION.set(self.position)

    def tick(self, speeds: Sequence[Speed], now: int) -> None:
        """Tell what the streams of these speeds have to say, and close candles."""
        self._publish(self._feeds.tick(speeds, now))
        self._flush()

    # --- Listening ---

    async def open(self, address: Address, *, share_port: bool = False) -> None:
        """Listen; `port` is then the one in use. Servers that all share a port divide its clients."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._new_socket(self),
            address.host or None,
            address.port,
            backlog=1_024,
            reuse_port=share_port,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def run_clock(self) -> None:
        """The ticks, on whole tenths of a second, and what has to be looked at now and then."""
        before = now = self._read_clock() // 1_000
        while True:
            await asyncio.sleep((TICK_MS - now % TICK_MS) / 1_000)
            now = self._read_clock() // 1_000
            if speeds := [speed for speed in Speed if now // speed != before // speed]:
                self.tick(speeds, self._read_clock())
            if now // SWEEP_MS != before // SWEEP_MS:
                self.sweep()
            before = now

    def sweep(self) -> None:
        """Ping, and drop whoever takes too long with anything."""
        now = asyncio.get_running_loop().time()
        for socket in list(self._sockets):
            socket.sweep(now)
        self._connects.sweep(now)

    def announce_shutdown(self) -> bool:
        """Tell every client that this server is about to stop, and let no more of them in.

        False where there is none.
        """
        self._stop_listening()
        now = self._read_clock()
        message = Message(lambda unit: encode(ServerShutdown(event_time=now // unit)))
        told = [socket for socket in self._sockets if socket.is_open]
        self._tell([message], SHUTDOWN, told)
        self._flush()
        return bool(told)

    def close_all(self, code: CloseCode, reason: str) -> None:
        """Ask every client to leave; they have `close_s` for it."""
        self._flush()
        for socket in list(self._sockets):
            socket.close(code, reason)

    async def close(self, code: CloseCode, reason: str) -> None:
        """Stop listening and part from everyone; returns when all connections are gone."""
        self._stop_listening()
        self.close_all(code, reason)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.close_s + 0.5):
                await self._nobody.wait()
        for socket in list(self._sockets):
            socket.abort()

    # --- What sockets ask for ---

    def admit(self, socket: Socket) -> None:
        self._sockets.add(socket)
        self._nobody.clear()

    def count_connect(self, address: str) -> float:
        """Count a connection from there: 0, or the seconds that it has to wait with it."""
        wait_s = self._connects.count(address, asyncio.get_running_loop().time())
        if wait_s:
            return wait_s
        return 0 if self._open.enter(address) else WAIT_FOR_ROOM_S

    def leave(self, address: str) -> None:
        """A connection that was counted is gone."""
        self._open.leave(address)

    def listen(self, socket: Socket, streams: Mapping[str, Stream]) -> None:
        """From now on this socket is told what these streams say."""
        now = self._read_clock()
        for name, stream in streams.items():
            self._feeds.want(stream, now)
            self._listeners.setdefault(stream, {}).setdefault(name, {})[socket] = None
            event = self._feeds.start(stream, now)
            if event is not None:
                socket.tell(event.message.text(name, socket.form))

    def stop_listening(self, socket: Socket, streams: Mapping[str, Stream]) -> None:
        for name, stream in streams.items():
            names = self._listeners.get(stream, {})
            listeners = names.get(name, {})
            listeners.pop(socket, None)
            if not listeners:
                names.pop(name, None)
            if not names:
                self._listeners.pop(stream, None)
                self._feeds.unwant(stream)

    def forget(self, socket: Socket) -> None:
        """It is gone."""
        self.stop_listening(socket, socket.subscriptions.streams)
        self.users.stop_listening(socket, socket.subscriptions.listen_keys)
        self._sockets.discard(socket)
        if not self._sockets:
            self._nobody.set()

    @property
    def symbols(self) -> Container[str]:
        return self._feeds.symbols

    def flush_later(self, socket: Socket) -> None:
        """It has something to write at the end of this turn."""
        self._unflushed.append(socket)

    def _stop_listening(self) -> None:
        self._accepting = False
        if self._server is not None:
            self._server.close()

    # --- Fan-out ---

    def _publish(self, events: Iterable[Event]) -> None:
        """Hand on what streams say, all of one stream together: each socket costs once per stream."""
        said: dict[Stream, list[Message]] = {}
        for stream, message in events:
            said.setdefault(stream, []).append(message)
        for stream, messages in said.items():
            for name, sockets in self._listeners.get(stream, {}).items():
                self._tell(messages, name, sockets, is_conflated=stream.is_conflated)

    def _tell(
        self,
        messages: Sequence[Message],
        name: str,
        sockets: Collection[Socket],
        *,
        is_conflated: bool = False,
    ) -> None:
        made: dict[Form, bytes] = {}
        for socket in sockets:
            # Not by way of `form`: this is done for every stream of every socket.
            form = socket.subscriptions.form
            frames = made.get(form)
            if frames is None:
                frames = made[form] = b"".join(
                    text_frame(message.text(name, form), form.deflate_bits) for message in messages
                )
            if is_conflated and socket.is_full:
                socket.send_when_drained(name, frames)
            else:
                socket.send(frames)
        MESSAGES.inc(len(messages) * len(sockets))

    def _flush(self) -> None:
        sockets, self._unflushed = self._unflushed, []
        for socket in sockets:
            socket.flush()
