"""An `exchange up` for tests of the whole system, and what they do with it from outside."""

import json
import re
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from exchange.services.admin import Admin
from exchange.services.own_exchange import OwnExchange

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Keys(msgspec.Struct, frozen=True):
    """Who a client is; in the spelling of the command line."""

    accountId: int  # noqa: N815
    apiKey: str  # noqa: N815
    secretKey: str  # noqa: N815


class RunningExchange(OwnExchange):
    """One `exchange up` in a folder, with what tests ask of it."""

    @property
    def data(self) -> Path:
        return self.folder

    @property
    def journal_file(self) -> Path:
        """What Redis writes to: one file in 6.2, one in a folder later."""
        folder = self.data / "redis"
        (found,) = [*folder.glob("appendonlydir/*.incr.aof"), *folder.glob("appendonly.aof")]
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


def samples(port: int) -> Iterator[tuple[str, str, float]]:
    """What a process measures: each name with its labels, as they are written, and its value."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    for name, labels, value in _SAMPLE.findall(text):
        yield name, labels, float(value)


def exchange_command(*arguments: str) -> list[str]:
    """The command line, wherever it is installed."""
    return [sys.executable, "-c", "from exchange.services.cli import main; main()", *arguments]
