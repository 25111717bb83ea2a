"""What a bench runs against: a whole exchange of its own, or any other server, ended afterwards."""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from exchange.services.admin import Admin
from exchange.services.embedded import free_port
from exchange.services.own_exchange import own_exchange
from exchange.services.run_file import Run

START_S_MAX = 60.0
STOP_S_MAX = 15.0
LOOK_S = 0.1


@contextlib.contextmanager
def exchange() -> Iterator[Run]:
    """`exchange up` on free ports and in a folder of its own, which is deleted at the end."""
    with (
        tempfile.TemporaryDirectory(prefix="exchange-bench-") as folder,
        own_exchange(Path(folder) / "data") as one,
    ):
        yield one.run


@contextlib.contextmanager
def baseline() -> Iterator[int]:
    """The trivial handler under the same server program, as one process; gives its port."""
    port = str(free_port())
    command = [
        sys.executable, "-m", "uvicorn", "exchange.lab.baseline:app",
        "--host", "127.0.0.1", "--port", port, "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    with process(command):
        wait_for_answer(f"http://127.0.0.1:{port}/docs")
        yield int(port)


@contextlib.contextmanager
def naive_pipeline(redis_url: str) -> Iterator[int]:
    """The naive pipeline: its handler and its worker, a process each; gives its port."""
    port, there = str(free_port()), {"REDIS_URL": redis_url}
    handler = [
        sys.executable, "-m", "uvicorn", "exchange.lab.naive_pipeline:app",
        "--host", "127.0.0.1", "--port", port, "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    worker = [sys.executable, "-m", "exchange.lab.naive_pipeline"]
    with process(handler, there), process(worker, there):
        wait_for_answer(f"http://127.0.0.1:{port}/docs")
        yield int(port)


@contextlib.contextmanager
def plain_broadcast(updates: int) -> Iterator[tuple[int, int]]:
    """The plain loop, as one process; gives its port and its pid."""
    port = str(free_port())
    command = [sys.executable, "-m", "exchange.lab.plain_broadcast", port, str(updates)]
    with process(command) as started:
        _wait_for_port(int(port))
        yield int(port), started.pid


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many files open, or as many as may be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < count:
        limit = count if hard == resource.RLIM_INFINITY else min(count, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def funded_account(admin: Admin, name: str) -> tuple[str, str]:
    """A new account with plenty of everything that is traded; its API key and secret."""
    admin.post("accounts", body={"name": name})
    for asset in ("SOL", "USDC"):
        body = {"account": name, "asset": asset, "amount": "100000000"}
        admin.post("deposits", body={**body, "reference": f"{name}-{asset}"})
    key = admin.post("accounts", name, "keys", body={"kind": "hmac", "canTrade": True})
    return key["apiKey"], key["secretKey"]


@contextlib.contextmanager
def process(
    command: list[str], variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs for the time of the block; what it prints is not kept."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(variables or {})}
    started = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield started
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def backend_variables(folder: Path, run: Run, *, server: str, metrics: str) -> dict[str, str]:
    """For one more backend of the exchange in a folder: it has no admin port, of which one is enough."""
    return {
        "SERVER_ADDR": server,
        "METRICS_ADDR": metrics,
        "ADMIN_TOKEN": "",
        "MASTER_KEY_FILE": str(folder / "master.key"),
        "DATABASE_URL": run.database_url,
        "REDIS_URL": run.redis_url,
    }


def wait_for_answer(url: str) -> None:
    """Until it answers with a status that is no error. Raises TimeoutError."""

    def answers() -> bool:
        with contextlib.suppress(URLError, ConnectionError), urlopen(url, timeout=1):  # noqa: S310
            return True
        return False

    wait_until(answers, f"{url} does not answer")


def _wait_for_port(port: int) -> None:
    def listens() -> bool:
        with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)):
            return True
        return False

    wait_until(listens, f"nobody listens on port {port}")


def wait_until(condition: Callable[[], bool], otherwise: str, s_max: float = START_S_MAX) -> None:
    """A process that starts tells nobody when it is there: it has to be asked.

    Raises TimeoutError with that text.
    """
    end = time.monotonic() + s_max
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{otherwise} after {s_max:.0f} s")
        time.sleep(LOOK_S)
