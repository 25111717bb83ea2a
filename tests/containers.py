"""The servers of the tests as containers, with the same abilities as the embedded ones."""

import os
import secrets
import time
from abc import ABC, abstractmethod
from typing import Any

import asyncpg
import docker  # type: ignore[import-untyped]
from servers import ask_redis, execute_sql
from testcontainers.core.container import DockerContainer

from exchange.services.embedded import free_port

_START_S_MAX = 60.0
_PASSWORD = secrets.token_hex(16)


def engine_answers() -> bool:
    """Whether there is a Docker engine to run them."""
    try:
        client = docker.from_env(timeout=5)
        try:
            client.ping()
        finally:
            client.close()
    except (docker.errors.DockerException, OSError):
        return False
    return True


class Container(ABC):
    """A server that keeps its port and its data when it is killed and started again."""

    def __init__(self, image: str, port: int, **environment: str) -> None:
        self.port = free_port()
        self._definition = DockerContainer(image)
        self._definition.with_envs(**environment)
        # A fixed port survives a restart; testcontainers' own way would publish it to everyone.
        ports: dict[str, Any] = {f"{port}/tcp": ("127.0.0.1", self.port)}
        self._definition.ports = ports
        self._container: Any = None

    @property
    @abstractmethod
    def url(self) -> str: ...

    @abstractmethod
    def answers(self) -> bool: ...

    @property
    def pid(self) -> int:
        """As the host counts, so that a test can send it any signal."""
        self._container.reload()
        pid: int = self._container.attrs["State"]["Pid"]
        return pid

    def start(self) -> None:
        if self._container is None:
            self._container = self._definition.start().get_wrapped_container()
        else:
            self._container.start()
        deadline = time.monotonic() + _START_S_MAX
        while not self.answers():
            self._container.reload()
            is_hopeful = self._container.status == "running" and time.monotonic() < deadline
            assert is_hopeful, self._container.logs(tail=20).decode()
            time.sleep(0.05)

    def stop(self) -> None:
        if self._container is not None:
            self._container.stop(timeout=10)

    def kill(self) -> None:
        self._container.kill("SIGKILL")
        self._container.wait(timeout=10)

    def remove(self) -> None:
        """For good, with its data."""
        if self._container is not None:
            self._container.remove(force=True, v=True)


class Postgres(Container):
    def __init__(self) -> None:
        super().__init__(
            os.environ.get("EXCHANGE_TEST_POSTGRES_IMAGE", "postgres:12.2"),
            5432,
            POSTGRES_USER="exchange",
            POSTGRES_DB="exchange-db",
            POSTGRES_PASSWORD=_PASSWORD,
        )

    @property
    def url(self) -> str:
        return f"postgresql://exchange:{_PASSWORD}@127.0.0.1:{self.port}/exchange-db"

    def answers(self) -> bool:
        try:
            execute_sql(self.url, "SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        return True


class Redis(Container):
    def __init__(self) -> None:
        super().__init__(os.environ.get("EXCHANGE_TEST_REDIS_IMAGE", "redis:6.2-alpine"), 6379)
        self._definition.with_command(
            # Reached from outside its container, but published on the loopback address only.
            "redis-server --protected-mode no --bind 0.0.0.0 --appendonly yes --appendfsync always --save '' "
            "--maxmemory 1gb --maxmemory-policy noeviction"
        )

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        try:
            return ask_redis(self.url, "PING") == "+PONG"
        except OSError:
            return False
