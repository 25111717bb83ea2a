"""What every service process does alike: signals, logs, restarts from scratch, health, metrics.

A service is a coroutine function that runs until it is told to stop. When the world fails it
raises one of WORLD_FAILED, and is started again from nothing in the same process; any other
exception is a fault of ours and ends the process.
"""

import asyncio
import gc
import logging
import resource
import signal
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import prometheus_client
import structlog
import uvloop

from exchange.services import tracing
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.settings import InvalidSettings, Settings, parse_address

log = structlog.get_logger()

RESTARTS = prometheus_client.Counter(
    "exchange_restarts_total", "Times that this process dropped its state and started again."
)

READY = prometheus_client.Gauge("exchange_ready", "1 while this process says that it is ready.")
RECOVERY_SECONDS = prometheus_client.Gauge(
    "exchange_recovery_seconds",
    "From the start of this process, or from what made it start again, until it was ready.",
)

LOOP_SILENT_S = 10.0
RETRY_S_MIN, RETRY_S_MAX = 0.05, 0.1
OPERATOR_S = 1.0
LASTED_S = 5.0
"""A life of so long was one: what ended it is news, and is tried again at once."""


class Health:
    """What this process answers to probes; written by the loop, read by the probe's thread."""

    def __init__(self) -> None:
        self.ready = False
        self.sentence = "starting"
        self.beat_time = time.monotonic()
        # When it began to recover; None once it has.
        self._since: float | None = self.beat_time

    @property
    def live(self) -> bool:
        return time.monotonic() - self.beat_time < LOOP_SILENT_S

    def set(self, ready: bool, sentence: str) -> None:
        self.ready, self.sentence = ready, sentence
        if ready and self._since is not None:
            RECOVERY_SECONDS.set(time.monotonic() - self._since)
            self._since = None

    def note_failure(self) -> None:
        """What it was has ended: from here on it recovers."""
        if self._since is None:
            self._since = time.monotonic()


Service = Callable[[Settings, Health, asyncio.Event], Awaitable[None]]
"""Called as `service(settings, health, stop)`; returns soon after `stop` is set."""


def run(name: str, service: Service) -> None:
    """The body of every `python -m exchange.<name>`: until SIGTERM, whatever the world does."""
    try:
        settings = Settings.from_environment()
        configure_logs(name, settings)
        _allow_files()
        health = Health()
        READY.set_function(lambda: float(health.ready))
        tracing.configure(name)
        _serve_probes(settings, health)
        uvloop.run(_run(service, settings, health))
        tracing.end()
    except InvalidSettings as fault:
        sys.exit(str(fault))


def _allow_files() -> None:
    """As many as may be: the usual limit, made for programs that use `select`, is 1,024 clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard and hard != resource.RLIM_INFINITY:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(service: Service, settings: Settings, health: Health) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    beat = asyncio.create_task(_beat(health))
    pause, said = RETRY_S_MIN, ""
    while not stop.is_set():
        began, pause_max = loop.time(), RETRY_S_MAX
        try:
            await service(settings, health, stop)
        except OperatorNeeded as fault:
            health.set(False, str(fault))
            log.critical(str(fault))
            pause = pause_max = OPERATOR_S
        except (WorldFailed, OSError, TimeoutError) as fault:
            # Whether it is ready now is the service's to say: some answer without their stores.
            health.sentence = f"starting again after: {fault}"
            cause = f"{type(fault).__name__}: {fault}"
            # Who waits for a server tries often, and says so once.
            is_news = cause != said or loop.time() - began > LASTED_S
            log.log(logging.WARNING if is_news else logging.DEBUG, "starting again", cause=cause)
            said = cause
        else:
            if not stop.is_set():
                raise AssertionError("a service returned without being told to stop")
            break
        RESTARTS.inc()
        health.note_failure()
        gc.unfreeze()
        has_lasted = loop.time() - began > LASTED_S
        pause = RETRY_S_MIN if has_lasted else min(pause * 2, pause_max)
        await wait(stop, pause)
    beat.cancel()


async def wait(stop: asyncio.Event, seconds: float) -> bool:
    """Sleep, but not past `stop`; says whether it is set."""
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        pass
    return stop.is_set()


async def until_stopped(stop: asyncio.Event, *work: Awaitable[None]) -> None:
    """Run coroutines side by side until `stop` is set or one of them fails, whose error it raises."""
    tasks = [asyncio.ensure_future(one) for one in work]
    stopping = asyncio.create_task(stop.wait())
    try:
        done, _ = await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {stopping}:
            await task
    finally:
        for task in [*tasks, stopping]:
            task.cancel()
        await asyncio.gather(*tasks, stopping, return_exceptions=True)


def configure_logs(name: str, settings: Settings) -> None:
    """One line per event on standard error; JSON for machines, text for people."""
    render: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), pad_event_to=0)
    )
    shared: list[structlog.typing.Processor] = [
        # Whatever is said while a request is served carries its id.
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        lambda _logger, _method, event: {**event, "service": name},
        structlog.processors.format_exc_info,
    ]
    level = getattr(logging, settings.log_level)
    structlog.configure(
        processors=[*shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # Libraries log through the standard library: the same lines, the same place.
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processor=render, foreign_pre_chain=shared)
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


async def _beat(health: Health) -> None:
    while True:
        health.beat_time = time.monotonic()
        await asyncio.sleep(1)


def _serve_probes(settings: Settings, health: Health) -> None:
    """From a thread of its own, so that a stuck loop is reported and not merely unreachable."""
    address = parse_address("METRICS_ADDR", settings.metrics_addr)

    class Probe(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            match self.path:
                case "/metrics":
                    self._answer(200, prometheus_client.generate_latest())
                case "/live":
                    self._answer(200 if health.live else 503, b"live" if health.live else b"stuck")
                case "/ready":
                    self._answer(200 if health.ready else 503, health.sentence.encode())
                case _:
                    self._answer(404, b"try /live, /ready or /metrics")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds: they are not logged."""

    try:
        server = ThreadingHTTPServer((address.host, address.port), Probe)
    except OSError as fault:
        raise InvalidSettings(f"METRICS_ADDR {address} cannot be used: {fault.strerror}") from None
    threading.Thread(target=server.serve_forever, name="probes", daemon=True).start()
