"""A whole exchange in one process: the product's services, each in a process of its own, between a
simulated Redis and a simulated Postgres.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from simulation.loop import Process, SimulatedLoop
from simulation.network import Network
from simulation.postgres_driver import Driver
from simulation.postgres_server import PostgresServer
from simulation.redis_server import RedisServer

from exchange.backend.service import Backend
from exchange.backend.state import Current
from exchange.backend.vault import Vault
from exchange.db_processor import service as db_processor
from exchange.engine import service as engine
from exchange.services import process as process_module
from exchange.services.process import Health, until_stopped
from exchange.services.settings import Settings
from exchange.websocket import service as websocket
from exchange.websocket.sockets import StreamServer

SETTINGS = Settings(
    redis_url="redis://redis:6379",
    database_url="postgresql://postgres/exchange",
    create_default_markets=True,
    # It asks in SQL, which is not simulated; `exchange chaos` and the tests of the auditor have it.
    audit_seconds=0,
)
_VAULT = Vault(bytes(32))

SUPERVISOR_S = 0.2
"""What ends by itself is started again after so long."""

Service = Callable[[Settings, Health, asyncio.Event], Awaitable[None]]


class Part:
    """One service: its process comes and goes, its machine's clock stays."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.process: Process | None = None
        self.health = Health()
        self.clock_error_ns = 0
        self.starts = 0

    @property
    def is_running(self) -> bool:
        return self.process is not None

    @property
    def is_ready(self) -> bool:
        return self.process is not None and self.health.ready

    def start(self) -> None:
        if self.process is not None:
            return
        self.starts += 1
        process = Process(self.cluster.loop, f"{self.name}.{self.starts}")
        process.clock_error_ns = self.clock_error_ns
        self.process = process
        self.health = Health()
        life = process.start(process_module._run(self._service(), SETTINGS, self.health))
        life.add_done_callback(lambda life: self._ended(process, life))

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            for link in self.cluster.network.of(process):
                link.client_died()

    def terminate(self) -> None:
        """SIGTERM."""
        if self.process is not None:
            self.process.signal(signal.SIGTERM)

    def freeze(self, seconds: float) -> None:
        if self.process is not None:
            self.process.freeze(seconds)

    def set_clock(self, error_ns: int) -> None:
        self.clock_error_ns = error_ns
        if self.process is not None:
            self.process.clock_error_ns = error_ns

    def _service(self) -> Service:
        raise NotImplementedError

    def _ended(self, process: Process, life: asyncio.Task[Any]) -> None:
        if process.is_dead:
            return
        fault = life.exception()
        if fault is not None:
            self.cluster.crashes.append((process.name, fault))
        self.kill()
        self.cluster.loop.happen(SUPERVISOR_S, self.start)


class EnginePart(Part):
    def _service(self) -> Service:
        return engine.run


class DbProcessorPart(Part):
    def _service(self) -> Service:
        return db_processor.run


class _QuietBackend(Backend):
    """Without listeners: requests are made in its process."""

    async def _listen(self, _settings: Settings, _health: Health) -> Vault:
        return _VAULT


class BackendPart(Part):
    """`current` is what requests are answered from."""

    def __init__(self, cluster: "Cluster", name: str) -> None:
        super().__init__(cluster, name)
        self.current = Current()

    def _service(self) -> Service:
        backend = _QuietBackend()
        self.current = backend._current
        watch = self.cluster.watch_backend
        if watch is not None:
            self.current = backend._current = watch(self.name)
        return backend.run


class WebsocketPart(Part):
    """The streams, told to one listener instead of to sockets."""

    def __init__(
        self,
        cluster: "Cluster",
        name: str,
        make_server: Callable[[], StreamServer],
        serve: Callable[[StreamServer], Awaitable[None]],
    ) -> None:
        super().__init__(cluster, name)
        self._make_server = make_server
        self._serve = serve
        self.server: StreamServer | None = None

    def _service(self) -> Service:
        async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
            self.server = server = self._make_server()
            await until_stopped(
                stop,
                websocket._follow(settings, health, server),
                server.run_clock(),
                server.users.run_checks(),
                self._serve(server),
            )

        return run


class Cluster:
    """All of it. `crashes` are processes that ended by themselves, which none ever should."""

    def __init__(self, loop: SimulatedLoop, chance: Random) -> None:
        self.loop = loop
        self.network = Network(loop, Random(chance.getrandbits(64)))
        self.redis = RedisServer(loop, Random(chance.getrandbits(64)))
        self.postgres = PostgresServer(loop, Random(chance.getrandbits(64)))
        self.network.servers = {"redis": self.redis, "postgres": self.postgres}
        self.driver = Driver(self.network)
        self.crashes: list[tuple[str, BaseException]] = []
        self.watch_backend: Callable[[str], Current] | None = None
        self.engines: list[Part] = []
        self.db_processors: list[Part] = []
        self.backends: list[BackendPart] = []
        self.websockets: list[WebsocketPart] = []

    @property
    def parts(self) -> list[Part]:
        return [*self.engines, *self.db_processors, *self.backends, *self.websockets]

    def part(self, process: Process) -> Part | None:
        return next((part for part in self.parts if part.process is process), None)

    def end(self) -> None:
        for part in self.parts:
            part.kill()
