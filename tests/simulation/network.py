"""The simulated network: connections between processes and servers, which may fail at any moment.

A connection keeps the order of what is sent in each direction, as TCP does. It can be cut, with
what is under way lost or not, and it can fall silent for a while, as when packets are dropped.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from simulation.loop import Process, SimulatedLoop

LATENCY_S = 0.0001


_TAIL: tuple[float, ...] = tuple(1 / (1.001 - place / 1024) ** 0.5 for place in range(1024))


class Session(Protocol):
    """The server's end of a connection."""

    def receive(self, data: Any) -> None: ...
    def closed(self) -> None: ...


class Endpoint(Protocol):
    """The client's end of it."""

    def data_received(self, data: Any) -> None: ...
    def connection_lost(self, fault: Exception | None) -> None: ...


class Server(Protocol):
    """What listens at a host."""

    is_up: bool

    def accept(self, link: "Link") -> Session: ...


class Link:
    """One connection. `up` leads to the server, `down` to the process."""

    def __init__(self, network: "Network", process: Process, server: Server) -> None:
        self.network = network
        self.process = process
        self.server = server
        self.is_open = True
        self.silent_until = 0.0
        self._is_losing_up = self._is_losing_down = self._is_cut = False
        self.client: Endpoint | None = None
        self.session = server.accept(self)
        self._last_up = self._last_down = 0.0

    def up(self, data: Any) -> None:
        if self.is_open and not self.process.is_dead:
            self._last_up = self._send(self._last_up, self._arrive_up, data)

    def down(self, data: Any) -> None:
        if self.is_open:
            self._last_down = self._send(self._last_down, self._arrive_down, data)

    def close(self) -> None:
        """By the client: what it has sent arrives before the end of it does."""
        if self.is_open and not self.process.is_dead:
            self._end()
            self._last_up = self._send(self._last_up, self.session.closed)

    def client_died(self) -> None:
        """As its kernel closes it."""
        if self.is_open:
            self._end()
            self._last_up = self._send(self._last_up, self.session.closed)

    def cut(self) -> None:
        """By the network, or by a server that is gone. Of what is under way some may still arrive."""
        if not self.is_open:
            return
        self._end()
        self._is_cut = True
        self._send(0.0, self._reset)
        self._send(0.0, self.session.closed)

    def heal(self) -> None:
        """End a silence, which is the end of the connection: nobody knows what to send again."""
        if self.silent_until > self.network.loop.time():
            self.silent_until = 0.0
            self.cut()

    def fall_silent(self, seconds: float) -> None:
        """Nothing arrives for so long; it is sent again until it does."""
        self.silent_until = max(self.silent_until, self.network.loop.time() + seconds)

    @property
    def _client(self) -> Endpoint:
        assert self.client is not None
        return self.client

    def _end(self) -> None:
        self.is_open = False
        self.network.links.pop(self, None)

    def _reset(self) -> None:
        # What arrives later than this is not taken any more.
        self._is_losing_down = True
        fault = ConnectionResetError(104, "Connection reset by peer")
        self.process.arrive(self._client.connection_lost, fault)

    def _arrive_up(self, data: Any) -> None:
        # Cut while this was under way: the end of it is lost.
        if self._is_cut and not self._is_losing_up:
            self._is_losing_up = self.network.chance.random() < 0.5
        if not self._is_losing_up:
            self.session.receive(data)

    def _arrive_down(self, data: Any) -> None:
        if not self.is_open and not self._is_losing_down:
            self._is_losing_down = self.network.chance.random() < 0.5
        if not self._is_losing_down:
            self.process.arrive(self._client.data_received, data)

    def _send(self, after: float, deliver: Callable[..., object], *arguments: Any) -> float:
        """Deliver after what was sent before, and say when that will be."""
        loop = self.network.loop
        when = loop._now + self.network.latency()
        if when < after or when < self.silent_until:
            when = max(after, self.silent_until)
        loop.happen_at(when, deliver, *arguments)
        return when


class Transport(asyncio.Transport):
    """What a protocol of asyncio writes to."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self._link = link
        self._is_closing = False

    def write(self, data: Any) -> None:
        self._link.up(bytes(data))

    def close(self) -> None:
        self.abort()

    def abort(self) -> None:
        if not self._is_closing and not self._link.process.is_dead:
            self._is_closing = True
            was_open = self._link.is_open
            self._link.close()
            if was_open:
                client = self._link.client
                assert client is not None
                self._link.process.arrive(client.connection_lost, None)

    def is_closing(self) -> bool:
        return self._is_closing or not self._link.is_open


class Network:
    """All links and the servers that they lead to, by host."""

    def __init__(self, loop: SimulatedLoop, chance: Random) -> None:
        self.loop = loop
        self.chance = chance
        self.servers: dict[str, Server] = {}
        self.links: dict[Link, None] = {}
        self.latency_s = LATENCY_S
        loop.connector = self

    def latency(self) -> float:
        """A little more than nothing mostly, and much more now and then."""
        chance = self.chance.random()
        return self.latency_s * (0.5 + chance * 1e6 % 1) * _TAIL[int(chance * 1024)]

    async def connect(
        self, process: Process, host: str, factory: Callable[[], asyncio.BaseProtocol]
    ) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
        link = await self.open(process, host)
        protocol: Any = factory()
        link.client = protocol
        transport = Transport(link)
        protocol.connection_made(transport)
        return transport, protocol

    async def open(self, process: Process, host: str) -> Link:
        """Raises ConnectionRefusedError where nobody listens."""
        await asyncio.sleep(self.latency() * 2)
        server = self.servers[host]
        if not server.is_up:
            raise ConnectionRefusedError(111, "Connection refused")
        link = Link(self, process, server)
        self.links[link] = None
        return link

    def of(self, end: Process | Server) -> list[Link]:
        return [link for link in self.links if end in (link.process, link.server)]
