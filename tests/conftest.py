"""What every test can ask for: a real Postgres and a real Redis, shared or of its own.

They are the embedded servers, or containers where EXCHANGE_TEST_SERVERS=containers and a Docker
engine answers; images are EXCHANGE_TEST_POSTGRES_IMAGE and EXCHANGE_TEST_REDIS_IMAGE. The same
tests run on both.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import hypothesis
import pytest
from servers import KillableServer, ask_redis, execute_sql, with_database

from exchange.services import embedded

# A shared machine may be slow at any moment: time is measured in benchmarks, not in tests.
hypothesis.settings.register_profile("exchange", deadline=None)
hypothesis.settings.load_profile("exchange")

_TEMPLATE = "exchange_template"
_database_numbers = itertools.count(1)


class Servers(NamedTuple):
    """The session's two servers."""

    postgres: KillableServer
    redis: KillableServer


def pytest_report_header() -> str:
    if _in_containers():
        return "servers: containers"
    programs = (embedded.find_postgres() / "postgres", embedded.find_redis())
    versions = [
        subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
        for program in programs
    ]
    return "".join(f"\nserver: {version.strip()}" for version in versions).strip()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """One Postgres and one Redis for the whole session; never kill these."""
    folder = tmp_path_factory.mktemp("servers")
    with ExitStack() as stack:
        yield Servers(
            stack.enter_context(_running_postgres(folder)),
            stack.enter_context(_running_redis(folder)),
        )


@pytest.fixture(scope="session")
def postgres_url(servers: Servers) -> str:
    """The session's Postgres, as its superuser."""
    return servers.postgres.url


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    """The name of a migrated database that others are copied from."""
    execute_sql(postgres_url, f"CREATE DATABASE {_TEMPLATE}")
    subprocess.run(
        [sys.executable, "-m", "exchange.postgres_db", "upgrade"],
        env={**os.environ, "DATABASE_URL": with_database(postgres_url, _TEMPLATE)},
        check=True,
        timeout=300,
    )
    return _TEMPLATE


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """A new database without tables."""
    yield from _database(postgres_url, "template1")


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """A new database with all tables."""
    yield from _database(postgres_url, template_database)


@pytest.fixture
def redis_url(servers: Servers) -> str:
    """The session's Redis, emptied."""
    url = servers.redis.url
    assert ask_redis(url, "FLUSHALL") == "+OK"
    return url


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[KillableServer]:
    """A running Redis of the test's own: `.url`, `.pid`, `.kill()`, `.stop()`, `.start()`."""
    with _running_redis(tmp_path) as server:
        yield server


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[KillableServer]:
    """A running, empty Postgres of the test's own, alike."""
    with _running_postgres(tmp_path) as server:
        yield server


def _database(postgres_url: str, template: str) -> Iterator[str]:
    name = f"test_{next(_database_numbers)}"
    execute_sql(postgres_url, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield with_database(postgres_url, name)
    execute_sql(
        postgres_url,
        # Postgres 12 has no DROP DATABASE … WITH (FORCE).
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'",
        f"DROP DATABASE {name}",
    )


@contextmanager
def _running_postgres(folder: Path) -> Iterator[KillableServer]:
    if _in_containers():
        import containers

        yield from _lifetime(containers.Postgres())
    else:
        log = folder / "postgres.log"
        yield from _lifetime(embedded.Postgres(folder / "postgres", log=log))


@contextmanager
def _running_redis(folder: Path) -> Iterator[KillableServer]:
    if _in_containers():
        import containers

        yield from _lifetime(containers.Redis())
    else:
        yield from _lifetime(embedded.Redis(folder / "redis", log=folder / "redis.log"))


def _lifetime(server: KillableServer) -> Iterator[KillableServer]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@cache
def _in_containers() -> bool:
    if os.environ.get("EXCHANGE_TEST_SERVERS") != "containers":
        return False
    import containers

    return containers.engine_answers()
