"""An `exchange up` for tests of the whole system, and what they do with it from outside."""

import json
import re
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from exchange.services.admin import Admin
from exchange.services.embedded import free_port
from exchange.services.run_file import Run, read_run

READY_S_MAX, STOPPED_S_MAX = 120.0, 60.0
"""The promise is 30 s; a test machine may have other things to do at the same time."""


_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Keys(msgspec.Struct, frozen=True):
    """Who a client is; in the spelling of the command line."""

    accountId: int  # noqa: N815
    apiKey: str  # noqa: N815
    secretKey: str  # noqa: N815


class RunningExchange:
    """One `exchange up` in a folder; it can be started again after it was stopped or killed."""

    def __init__(self, data: Path, *options: str) -> None:
        self.data = data
        self.api_port, self.ws_port = free_port(), free_port()
        self.launcher: subprocess.Popen[str] | None = None
        self._options = options
        self._output = data.with_name(data.name + ".output")

    def start(self) -> None:
        """Returns when it has written its `run.json`."""
        stale = read_run(self.data)
        with self._output.open("w", encoding="utf-8") as output:
            self.launcher = subprocess.Popen(
                [
                    *exchange_command("up", "--data", str(self.data)),
                    *("--api-port", str(self.api_port), "--ws-port", str(self.ws_port)),
                    *self._options,
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )
        deadline = time.monotonic() + READY_S_MAX
        while read_run(self.data) in (None, stale):
            assert self.launcher.poll() is None, self.output
            assert time.monotonic() < deadline, self.output + self._logs()
            time.sleep(0.05)

    def stop(self) -> int:
        """By SIGTERM; its exit code. Nothing happens if it does not run."""
        assert self.launcher is not None
        self.launcher.terminate()
        try:
            return self.launcher.wait(STOPPED_S_MAX)
        except subprocess.TimeoutExpired:
            self.launcher.kill()
            self.launcher.wait()
            raise

    @property
    def output(self) -> str:
        """What the launcher has printed."""
        return self._output.read_text(encoding="utf-8")

    @property
    def journal_file(self) -> Path:
        """What Redis writes to: one file in 6.2, one in a folder later."""
        folder = self.data / "redis"
        (found,) = [*folder.glob("appendonlydir/*.incr.aof"), *folder.glob("appendonly.aof")]
        return found

    @property
    def run(self) -> Run:
        found = read_run(self.data)
        assert found is not None, "it is not running"
        return found

    @property
    def api(self) -> str:
        return self.run.api

    @property
    def ws(self) -> str:
        return self.run.ws

    @property
    def admin(self) -> str:
        return self.run.admin

    @property
    def admin_token(self) -> str:
        return self.run.admin_token

    @property
    def redis_url(self) -> str:
        return self.run.redis_url

    @property
    def database_url(self) -> str:
        return self.run.database_url

    def pids(self) -> dict[str, int | None]:
        """As run.json says now."""
        return self.run.pids

    def account(self, name: str = "") -> Keys:
        """A new account with a key that may trade; without a name, one that nobody has."""
        name = name or f"test-{uuid.uuid4().hex[:12]}"
        admin = Admin.find(self.data)
        admin.post("accounts", body={"name": name})
        return msgspec.convert(admin.post("accounts", name, "keys", body={"kind": "hmac"}), Keys)

    def deposit(self, name: str, asset: str, amount: str, reference: str = "") -> dict[str, Any]:
        """Credit an account, by its name."""
        body = {"account": name, "asset": asset, "amount": amount}
        reference = reference or uuid.uuid4().hex
        return Admin.find(self.data).post("deposits", body={**body, "reference": reference})

    def status(self) -> dict[str, Any]:
        return Admin.find(self.data).get("status")

    def command(self, *arguments: str) -> Any:
        """What an `exchange … --json` prints."""
        done = subprocess.run(
            exchange_command(*arguments, "--data", str(self.data), "--json"),
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _logs(self) -> str:
        logs = sorted((self.data / "logs").glob("*.log"))
        return "".join(
            f"\n--- {log.name}\n{log.read_text(encoding='utf-8')[-2000:]}" for log in logs
        )


def samples(port: int) -> Iterator[tuple[str, str, float]]:
    """What a process measures: each name with its labels, as they are written, and its value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for name, labels, value in _SAMPLE.findall(text):
        yield name, labels, float(value)


def exchange_command(*arguments: str) -> list[str]:
    """The command line, wherever it is installed."""
    return [sys.executable, "-c", "from exchange.services.cli import main; main()", *arguments]
