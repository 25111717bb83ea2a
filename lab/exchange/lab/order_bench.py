"""`exchange bench orders`: signed, durable orders beside what others would do, in turns, in one run."""

import contextlib
import os
import signal
import statistics
import time
from collections.abc import Coroutine, Iterator
from functools import partial
from urllib.parse import urlsplit

import uvloop
from msgspec import Struct
from redis.asyncio import Redis
from rich.progress import Progress

from exchange.lab import running
from exchange.lab.http_load import Load, get, load, median_ms, median_ratio
from exchange.lab.socket_load import socket_load
from exchange.lab.traders import Signer, Trader, order_requests, plain_requests, socket_requests
from exchange.services.admin import Admin
from exchange.services.run_file import Run

REST = "signed durable orders over REST"
SOCKET = "… over the WebSocket API"
FASTAPI = "trivial FastAPI + pydantic handler"
NAIVE = "naive pipeline on the same Redis"
EVERYSEC = "… over REST, AOF everysec"
WRITTEN = "… over REST, until Postgres has them"
WITHOUT_POSTGRES = "… over REST, db-processor stopped"
REST_OPEN = "… over REST, half as many, open loop"
SOCKET_OPEN = "… over the WebSocket API, half as many, open loop"
TURNS = (REST, SOCKET, FASTAPI, NAIVE, EVERYSEC, WITHOUT_POSTGRES, REST_OPEN, SOCKET_OPEN)
RATIOS = {
    "rest_vs_fastapi": (REST, FASTAPI),
    "rest_vs_naive": (REST, NAIVE),
    "ws_api_vs_rest": (SOCKET, REST),
    "always_vs_everysec": (REST, EVERYSEC),
    "with_postgres_vs_without": (WRITTEN, WITHOUT_POSTGRES),
}
TRADERS = 20
SOCKETS = 8
"""Connections to the WebSocket API; what is in flight is spread over them."""
CATCH_UP_S_MAX = 60.0


class Options(Struct, frozen=True):
    """How long and how hard; all of it is bounded by the command line."""

    seconds: float
    rounds: int
    connections: int
    seed: int


class Row(Struct, frozen=True):
    """The medians of one contender over the rounds, and its slowest and fastest round."""

    name: str
    per_s: float
    per_s_min: float
    per_s_max: float
    p50_ms: float
    p99_ms: float
    p99_9_ms: float


class Report(Struct, frozen=True):
    """What was measured; the ratios are medians of the ratios of neighbouring rounds."""

    rows: list[Row]
    ratios: dict[str, float]


class BenchFault(Exception):
    """The numbers would mean nothing; the text says why."""


def run(options: Options, progress: Progress) -> Report:
    """Start all contenders, let them take turns, and stop them. Raises BenchFault."""
    if os.environ.get("ACK") == "postgres":
        raise BenchFault(
            "With ACK=postgres nobody is answered while the db-processor stands still, as it does in"
            " one of the turns. Measure it by `exchange bench scaling --backends 1`, or `latency`."
        )
    warm_up_s = min(1.0, options.seconds)
    steps = progress.add_task("starting an exchange", total=2 + len(TURNS) * (1 + options.rounds))
    with (
        running.exchange() as exchange,
        running.baseline() as baseline,
        running.naive_pipeline(exchange.redis_url) as naive,
    ):
        progress.update(steps, advance=1, description="creating accounts")
        contest = _Contest(options, exchange, baseline, naive)
        progress.update(steps, advance=1)
        loads: dict[str, list[Load]] = {name: [] for name in (*TURNS, WRITTEN)}
        for number in range(1 + options.rounds):
            for name in TURNS:
                label = f"round {number}" if number else "warming up"
                progress.update(steps, description=f"{label}: {name}")
                measured = contest.turn(name, options.seconds if number else warm_up_s)
                if number:
                    for kind, one in measured.items():
                        loads[kind].append(one)
                progress.update(steps, advance=1)
    return _report(loads)


class _Contest:
    """Everybody who takes turns, and what has to be done before and after a turn."""

    def __init__(self, options: Options, exchange: Run, baseline: int, naive: int) -> None:
        self._options, self._exchange = options, exchange
        self._port = urlsplit(exchange.api).port or 0
        admin = Admin(exchange.admin, exchange.admin_token)
        traders = [
            Trader(*running.funded_account(admin, f"bench-{number}")) for number in range(TRADERS)
        ]
        self._reader = Signer(traders[0])
        self._rest = partial(load, "127.0.0.1", self._port, order_requests(traders, options.seed))
        self._socket = partial(
            socket_load, self._port, socket_requests(traders, options.seed + 1)
        )  # fmt: skip
        self._plain = {
            FASTAPI: partial(load, "127.0.0.1", baseline, plain_requests()),
            NAIVE: partial(load, "127.0.0.1", naive, plain_requests()),
        }
        self._rates: dict[str, float] = {}

    def turn(self, name: str, seconds: float) -> dict[str, Load]:
        """What a contender does, by the names of the rows that it is for."""
        if name in self._plain:
            at_once = self._options.connections
            return {name: _measured(self._plain[name](connections=at_once, seconds=seconds))}
        with self._circumstances(name):
            began = time.perf_counter()
            measured = _measured(self._load(name, seconds))
        # The next one shall not have to wait for what is left of this one.
        uvloop.run(self._catch_up())
        self._rates[name] = measured.per_second
        if name != REST:
            return {name: measured}
        caught_up = time.perf_counter() - began
        return {name: measured, WRITTEN: Load(caught_up, measured.latencies, [])}

    def _load(self, name: str, seconds: float) -> Coroutine[object, object, Load]:
        at_once = self._options.connections
        if name in (SOCKET, SOCKET_OPEN):
            connections = min(SOCKETS, at_once)
            return self._socket(
                connections=connections,
                clients=at_once // connections,
                seconds=seconds,
                per_s=self._rates[SOCKET] / 2 if name == SOCKET_OPEN else 0,
            )
        per_s = self._rates[REST] / 2 if name == REST_OPEN else 0
        return self._rest(connections=at_once, seconds=seconds, per_s=per_s)

    @contextlib.contextmanager
    def _circumstances(self, name: str) -> Iterator[None]:
        """What is different during a turn, and as it was before afterwards."""
        if name == EVERYSEC:
            uvloop.run(self._sync("everysec"))
            try:
                yield
            finally:
                uvloop.run(self._sync("always"))
        elif name == WITHOUT_POSTGRES:
            writer = self._exchange.pids["db-processor"]
            assert writer is not None
            os.kill(writer, signal.SIGSTOP)
            try:
                yield
            finally:
                os.kill(writer, signal.SIGCONT)
        else:
            yield

    async def _sync(self, when: str) -> None:
        async with Redis.from_url(self._exchange.redis_url) as redis:
            await redis.config_set("appendfsync", when)

    async def _catch_up(self) -> None:
        """Until the db-processor has written all: an account is read when that is so, or refused."""
        deadline = time.perf_counter() + CATCH_UP_S_MAX
        while b'"balances"' not in await get(
            "127.0.0.1", self._port, self._reader.request("GET", "account", "")
        ):
            if time.perf_counter() > deadline:
                raise BenchFault(f"Postgres has not caught up within {CATCH_UP_S_MAX:.0f} s.")


def _measured(work: Coroutine[object, object, Load]) -> Load:
    return checked(uvloop.run(work))


def checked(measured: Load) -> Load:
    """The same. Raises BenchFault where a request of it has failed."""
    if measured.failures:
        raise BenchFault(f"A request failed: {measured.failures[0].decode(errors='replace')}")
    return measured


def _report(loads: dict[str, list[Load]]) -> Report:
    rows = [_row(name, rounds) for name, rounds in loads.items()]
    pairs = {name: (loads[ours], loads[theirs]) for name, (ours, theirs) in RATIOS.items()}
    return Report(rows, {name: median_ratio(*pair) for name, pair in pairs.items()})


def _row(name: str, rounds: list[Load]) -> Row:
    rates = [one.per_second for one in rounds]

    return Row(
        name,
        round(statistics.median(rates), 1),
        round(min(rates), 1),
        round(max(rates), 1),
        median_ms(rounds, 50),
        median_ms(rounds, 99),
        median_ms(rounds, 99.9),
    )
