"""A backend with all that it needs, as processes; shared by the tests of one module."""

import copy
import http.client
import itertools
import json
import os
import secrets
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from backend.api_client import Answer, Trader, send
from conftest import Servers
from servers import ask_redis, execute_sql, with_database

from exchange.services.embedded import free_port

READY_S_MAX = 120.0
_numbers = itertools.count(1)


class RunningBackend:
    """Engine, db-processor and backend on a new database and an empty Redis."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, **settings: str) -> None:
        """`settings` are variables of its environment."""
        self.folder = folder
        self.database_url = database_url
        self.token = secrets.token_hex(16)
        self.database_url = database_url
        master_key = folder / "master.key"
        master_key.write_text(secrets.token_hex(32))
        master_key.chmod(0o600)
        self._ports = {
            name: free_port() for name in ("api", "admin", "engine", "db_processor", "websocket")
        }
        self._probe = free_port()
        self._environment = {
            **os.environ,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SERVER_ADDR": f"127.0.0.1:{self._ports['api']}",
            "ADMIN_ADDR": f"127.0.0.1:{self._ports['admin']}",
            "ADMIN_TOKEN": self.token,
            "MASTER_KEY_FILE": str(master_key),
            "CREATE_DEFAULT_MARKETS": "1",
            **settings,
        }
        self.api = f"http://127.0.0.1:{self._ports['api']}"
        self.admin_url = f"http://127.0.0.1:{self._ports['admin']}"

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[bytes]]:
        """A service as a process, until the block ends."""
        port = self._ports.get(name, self._probe)
        environment = {**self._environment, "METRICS_ADDR": f"127.0.0.1:{port}"}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", f"exchange.{name}"], env=environment, stderr=log, stdout=log
            )
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise

    @contextmanager
    def running_websocket(self) -> Iterator[str]:
        """The address of a websocket server beside it, until the block ends."""
        address = f"127.0.0.1:{free_port()}"
        self._environment["WS_STREAM_URL"] = address
        with self.running("websocket"):
            self._await_ready(self._ports["websocket"])
            yield f"ws://{address}"

    def another(self, *, admin: bool = False) -> "RunningBackend":
        """A backend more of the same exchange, which does not run yet, with or without admin API."""
        one = copy.copy(self)
        one._ports = {name: free_port() for name in self._ports}
        one._probe = free_port()
        address = f"127.0.0.1:{one._ports['api']}"
        one._environment = {
            **self._environment,
            "SERVER_ADDR": address,
            "ADMIN_ADDR": f"127.0.0.1:{one._ports['admin']}",
            "ADMIN_TOKEN": self.token if admin else "",
        }
        one.api = f"http://{address}"
        one.admin_url = f"http://127.0.0.1:{one._ports['admin']}"
        return one

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in self.folder.glob("*.log"))

    def admin(self, method: str, path: str, **body: object) -> Answer:
        return send(
            self.admin_url,
            method,
            f"/admin/{path}",
            body=json.dumps(body) if body else b"",
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )

    def trader(self, *, can_trade: bool = True, **amounts: str) -> Trader:
        """A new account with these amounts, and a key of it."""
        name = f"trader-{next(_numbers)}"
        assert self.admin("POST", "accounts", name=name).status == 200
        for asset, amount in amounts.items():
            self.deposit(name, asset, amount)
        key = self.key(name, kind="hmac", canTrade=can_trade)
        return Trader(self.api, key["apiKey"], key["secretKey"])

    def key(self, account: str, **wish: object) -> dict[str, Any]:
        answer = self.admin("POST", f"accounts/{account}/keys", **wish)
        assert answer.status == 200, answer
        body: dict[str, Any] = answer.body
        return body

    def deposit(self, account: str, asset: str, amount: str) -> None:
        answer = self.admin(
            "POST",
            "deposits",
            account=account,
            asset=asset,
            amount=amount,
            reference=uuid.uuid4().hex,
        )
        assert answer.status == 200, answer

    def _await_ready(self, port: int) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            try:
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
                connection.request("GET", "/ready")
                if connection.getresponse().status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(self.logs())

    def await_markets(self) -> None:
        deadline = time.monotonic() + READY_S_MAX
        while time.monotonic() < deadline:
            try:
                answer = Trader(self.api).get("exchangeInfo")
            except OSError:
                answer = None
            if answer is not None and answer.status == 200 and len(answer.body["symbols"]) >= 3:
                return
            time.sleep(0.05)
        raise AssertionError(self.logs())


@pytest.fixture(scope="module")
def backend(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBackend]:
    """Started once per module; tests make accounts of their own."""
    with running_backend(servers, template_database, tmp_path_factory.mktemp("backend")) as one:
        yield one


@pytest.fixture(scope="module")
def page_backend(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBackend]:
    """Open to everybody; its password hashes cost next to nothing."""
    with running_backend(
        servers,
        template_database,
        tmp_path_factory.mktemp("page"),
        REGISTRATION="open",
        TEST_FUNDS="on",
        PASSWORD_MEMORY_KIB="8",
    ) as one:
        yield one


@contextmanager
def running_backend(
    servers: Servers, template_database: str, folder: Path, **settings: str
) -> Iterator[RunningBackend]:
    """A whole exchange whose environment has these settings."""
    name = f"backend_{uuid.uuid4().hex}"
    execute_sql(servers.postgres.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    assert ask_redis(servers.redis.url, "FLUSHALL") == "+OK"
    one = RunningBackend(
        folder, with_database(servers.postgres.url, name), servers.redis.url, **settings
    )
    with ExitStack() as stack:
        for service in ("engine", "db_processor", "backend"):
            stack.enter_context(one.running(service))
        one.await_markets()
        yield one
