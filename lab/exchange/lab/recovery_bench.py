"""`exchange bench recovery`: from kill -9 of each process to what it is for being done again.

With as many open orders as somebody wants to know of; and how fast outcomes are taken over.
"""

import contextlib
import http.client
import itertools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from exchange.lab import running
from exchange.lab.chaos.subject import Subject, exchange
from exchange.lab.http_load import load
from exchange.lab.traders import SYMBOL, Signer, Trader
from exchange.services.admin import Admin
from exchange.services.children import HEALTHY_S, is_running
from exchange.services.embedded import free_port

ANSWER_S_MAX = 15.0
RECOVERY_S_MAX = 60.0
POLL_S = 0.01
QUIET_S = HEALTHY_S
"""Whoever dies again and again is started again later and later; that is not what is measured."""
PARTS = ("engine", "backend", "redis", "db-processor", "postgres", "websocket")
CROWD, CONNECTIONS = 10, 64
WITH_STANDBY = "engine, with a standby"


class Row(Struct, frozen=True):
    """Of one process: seconds until `what` was done again."""

    killed: str
    what: str
    times: int
    median_s: float
    max_s: float


class NotRecovered(Exception):
    """Something was not done again within a minute; the text says what."""


class Replayed(Struct, frozen=True):
    """How long an engine takes to take over so many outcomes."""

    entries: int
    megabytes: int
    seconds: float
    processor_s: float


class Report(Struct, frozen=True):
    """`replay` is None where nobody asked for it."""

    rows: list[Row]
    replay: Replayed | None


def run(
    rounds: int, open_orders: tuple[int, ...], entries: int, say: Callable[[str], None]
) -> Report:
    """On an exchange of its own, which is removed afterwards."""
    rows = _kills(rounds, open_orders, say)
    if not entries:
        return Report(rows, None)
    say(f"taking over {entries:,} outcomes …")
    command = [sys.executable, "-m", "exchange.engine", "bench-replay", f"--entries={entries}"]
    printed = subprocess.run([*command, "--json"], capture_output=True, check=True).stdout
    return Report(rows, msgspec.json.decode(printed, type=Replayed))


def _kills(rounds: int, open_orders: tuple[int, ...], say: Callable[[str], None]) -> list[Row]:
    say("starting an exchange …")
    with exchange(None) as subject:
        found = subject.run
        admin = Admin(found.admin, found.admin_token)
        asking = _Asking(subject, Trader(*running.funded_account(admin, "bench")))
        rows = []
        for part in PARTS:
            say(f"killing: {part} …")
            what, attempt = asking.for_which(part)
            victim = partial(_living, subject, part)
            seconds = [_recovery(victim, attempt, what) for _ in range(rounds)]
            rows.append(_row(part, what, seconds))
        say(f"killing: {WITH_STANDBY} …")
        with _Pair(subject) as pair:
            seconds = [_recovery(pair.await_leader, asking.trades, "order") for _ in range(rounds)]
        rows.append(_row(WITH_STANDBY, "order", seconds))
        crowd = _Crowd(subject, admin)
        for count in sorted(open_orders):
            say(f"placing {count:,} orders …")
            crowd.grow(count)
            for part in ("engine", "backend", "redis"):
                say(f"killing: {part} …")
                victim = partial(_living, subject, part)
                seconds = [_recovery(victim, asking.trades, "order") for _ in range(rounds)]
                rows.append(_row(f"{part}, with {crowd.count:,} open orders", "order", seconds))
    return rows


def _living(subject: Subject, part: str) -> int:
    pid = subject.run.pids[part]
    assert pid is not None
    return pid


def _recovery(victim: Callable[[], int], attempt: Callable[[], bool], what: str) -> float:
    """Kill it while all is well, and try again and again."""
    _until(attempt, what)
    time.sleep(QUIET_S)
    pid = victim()
    os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    # An attempt that it still answered was made in time, and says nothing.
    while is_running(pid):
        time.sleep(POLL_S / 10)
    _until(attempt, what)
    return time.monotonic() - killed


def _until(attempt: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + RECOVERY_S_MAX
    while not attempt():
        if time.monotonic() > deadline:
            raise NotRecovered(f"{what}: not within {RECOVERY_S_MAX:.0f} s")
        time.sleep(POLL_S)


class _Asking:
    """What clients do, each time over a new connection."""

    def __init__(self, subject: Subject, trader: Trader) -> None:
        self._subject, self._signer = subject, Signer(trader)
        self._api, self._streams = urlsplit(subject.run.api), urlsplit(subject.run.ws)

    def for_which(self, part: str) -> tuple[str, Callable[[], bool]]:
        """What a process is for."""
        if part in ("db-processor", "postgres"):
            return "read of the account", self.reads
        if part == "websocket":
            return "new stream", self.listens
        return "order", self.trades

    def trades(self) -> bool:
        # It is filled by nobody and not left behind: what an account may have open is bounded.
        wish = f"symbol={SYMBOL}&side=BUY&type=LIMIT&timeInForce=IOC&quantity=1&price=50"
        return self._asks("POST", "order", wish)

    def reads(self) -> bool:
        # Behind an order, so that something has to get into Postgres first.
        return self.trades() and self._asks("GET", "account", "")

    def listens(self) -> bool:
        headers = {
            "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        }  # fmt: skip
        port = self._streams.port
        return _status(port, "GET", "/ws/solusdc@bookTicker", headers) == 101

    def _asks(self, method: str, path: str, wish: str) -> bool:
        target, headers = self._signer.target(path, wish), {"X-MBX-APIKEY": self._signer.api_key}
        return _status(self._api.port, method, target, headers) == 200


def _status(port: int | None, method: str, target: str, headers: dict[str, str]) -> int:
    """The status of an answer; 0 where there is none."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S_MAX)
    with contextlib.closing(connection):
        try:
            connection.request(method, target, headers=headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0


class _Crowd:
    """Accounts with orders that nobody takes."""

    def __init__(self, subject: Subject, admin: Admin) -> None:
        self.count = 0
        self._subject = subject
        # An account may have 200 open orders in a market, unless an operator says otherwise.
        admin.post("markets", SYMBOL, "rules", body={"rules": {"orders_max": "10000000"}})
        traders = [Trader(*running.funded_account(admin, f"crowd-{one}")) for one in range(CROWD)]
        self._names = itertools.count()
        self._signers = itertools.cycle([Signer(trader) for trader in traders])

    def grow(self, count: int) -> None:
        """To at least so many orders."""
        port = urlsplit(self._subject.run.api).port or 0
        while self.count < count:
            seconds = min(2.0, max(0.1, (count - self.count) / 5_000))
            placed = uvloop.run(
                load("127.0.0.1", port, self._request, connections=CONNECTIONS, seconds=seconds)
            )
            if placed.failures:
                raise NotRecovered(placed.failures[0].decode(errors="replace"))
            self.count += len(placed.latencies)

    def _request(self) -> bytes:
        name = next(self._names)
        price = f"{50 + name % 4_000 // 100}.{name % 100:02}"
        wish = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.1"
        return next(self._signers).order(f"{wish}&price={price}&newClientOrderId=crowd-{name}")


class _Pair:
    """The engine of an exchange, and a second one beside it that is started again, too."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        ports = json.loads((subject.folder / "ports.json").read_text(encoding="utf-8"))
        self._ports = {"own": int(ports["engine"]), "second": free_port()}
        self._second: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "_Pair":
        return self

    def __exit__(self, *_: object) -> None:
        if self._second is not None:
            self._second.kill()
            self._second.wait()

    def await_leader(self) -> int:
        """The one that leads, as soon as the other one stands by."""
        deadline = time.monotonic() + RECOVERY_S_MAX
        while time.monotonic() < deadline:
            if self._second is None or self._second.poll() is not None:
                self._second = self._start()
            says = {name: _sentence(port) for name, port in self._ports.items()}
            if sorted(says.values()) == ["leading", "standing by"]:
                time.sleep(QUIET_S)
                own = self._subject.run.pids["engine"]
                assert own is not None
                return own if says["own"] == "leading" else self._second.pid
            time.sleep(POLL_S)
        raise NotRecovered(f"no engine stands by: {says}")

    def _start(self) -> subprocess.Popen[bytes]:
        found = self._subject.run
        environment = {
            **os.environ,
            "DATABASE_URL": found.database_url,
            "REDIS_URL": found.redis_url,
            "METRICS_ADDR": f"127.0.0.1:{self._ports['second']}",
        }
        return subprocess.Popen(
            [sys.executable, "-m", "exchange.engine"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip


def _sentence(port: int) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    with contextlib.closing(connection):
        try:
            connection.request("GET", "/ready")
            return connection.getresponse().read(200).decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return ""


def _row(killed: str, what: str, seconds: list[float]) -> Row:
    median, greatest = statistics.median(seconds), max(seconds)
    return Row(killed, what, len(seconds), round(median, 2), round(greatest, 2))
