"""`exchange up`: a whole exchange on one machine, kept alive until it is told to stop.

The launcher starts everything as processes by name, restarts what dies, and writes `run.json`, by
which others find it.
"""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from exchange.services import children, embedded, replacement, snapshots
from exchange.services.admin import Admin, AdminFault
from exchange.services.data_folder import LauncherFault, held, read_note, secret, was_used
from exchange.services.fault_file import write_script
from exchange.services.fault_script import Script
from exchange.services.markets import default_markets
from exchange.services.readiness import await_each, status_of
from exchange.services.run_file import Run, default_folder, run_path, write_private, write_run
from exchange.services.settings import Acknowledgement, Settings

SERVICES = ("backend", "engine", "db-processor", "websocket")
"""In which order they start: the first takes as long to load as two others."""

DEMO = "demo"
STOP_STAGES = (
    ((DEMO,), 1.5),
    (("backend", "websocket"), 3.0),
    (("engine",), 4.5),
    (("db-processor",), 6.5),
    (("redis",), 7.5),
    (("postgres",), 9.5),
)
"""In which order things end, and how many seconds after the signal each is killed instead."""

LOGIN_NAME = "admin"
LOGIN_PASSWORD_BYTES = 8
DEATHS_MAX_BEFORE_READY = 5
_TURN_S = 0.02

# These are the launcher's to say; every other setting of the caller reaches the services.
_OWN_SETTINGS = frozenset([
    "database_url", "redis_url", "server_addr", "ws_stream_url", "admin_addr", "admin_url",
    "admin_token", "master_key_file", "metrics_addr", "testing", "faults_file",
])  # fmt: skip
_SYSTEM_VARIABLES = (
    "PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH",
    "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
)  # fmt: skip

_FAULTS_NOTE = " FAULTS ON REQUEST ARE ON: what goes wrong may be meant to."


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `exchange up` can be told."""

    data: Path
    api_port: int = 8080
    ws_port: int = 4000
    host: str = "127.0.0.1"
    redis_url: str | None = None
    ack: Acknowledgement | None = None
    postgres_url: str | None = None
    demo: bool = False
    """Let simulated traders trade on it, and in a new one a day be over already."""
    testing: bool = False
    """Let it be reset: a folder that was not made for that cannot be used so."""
    faults: Script | None = None
    """Let faults be asked for, these to begin with."""
    snapshot: Path | None = None
    """Begin as this one."""


def up(options: Options) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP. Raises LauncherFault or embedded.ServerFault."""
    with held(options.data) as lock:
        launcher = Launcher(options)
        # First, because what is left behind may sit on the very ports that are asked for.
        launcher.end_leftovers()
        _check_ports_and_urls(options)
        _check_purpose(options)
        _check_snapshot(options)
        launcher.heed_signals()
        try:
            launcher.start()
            launcher.supervise()
        except _Stopped:
            pass
        except OSError as fault:
            # Such as a full disk, or a file in the folder that belongs to another user.
            where = fault.filename or options.data
            raise LauncherFault(f"{where} cannot be used: {fault.strerror}.") from None
        finally:
            launcher.stop()
        lock.truncate(0)


class _Task(NamedTuple):
    name: str
    process: subprocess.Popen[bytes]
    log: Path
    while_waiting: Callable[[], None]

    def await_end(self) -> None:
        """Raises LauncherFault where it has failed."""
        # In turns: a wish to stop has to be heard while it works.
        while self.process.poll() is None:
            self.while_waiting()
            time.sleep(_TURN_S)
        if self.process.returncode != 0:
            raise LauncherFault(
                f"{self.name}: failed. The end of {self.log}:\n{children.log_tail(self.log)}"
            )


class _Stopped(Exception):
    """Somebody wants it to end while it is still starting."""


class Launcher:
    """The processes of one exchange, in one folder."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._folder = options.data
        self._logs = options.data / "logs"
        self._children: dict[str, children.Child] = {}
        self._stopping = False
        self._is_recorded = True
        self._ports: dict[str, int] = {}
        self._admin_token = ""
        self._login_password = ""
        self._redis_url = options.redis_url or ""
        self._database_url = options.postgres_url or ""

    def heed_signals(self) -> None:
        """Note a wish to stop; whatever waits looks at it often."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            # Under nohup SIGHUP is ignored, and is meant to be.
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._note_signal)

    def start(self) -> None:
        """Everything in its order, until all services say that they are ready."""
        self._logs.mkdir(mode=0o700, exist_ok=True)
        snapshot = self._options.snapshot
        is_new = not was_used(self._folder) and snapshot is None
        if snapshot is not None:
            snapshots.copy_secrets(snapshot, self._folder)
        self._choose_ports()
        self._make_secrets()
        self._set_faults()
        replacement.settle(self._folder)
        servers = self._make_servers()
        has_past = is_new and self._options.demo and self._backend_settings.create_default_markets
        # Services load meanwhile, and wait for servers and schema as they do wherever they run.
        if snapshot is not None:
            # Only the first of them beside the copying, for which all others wait.
            self._start_services(SERVICES[:1])
            self._say("Copying the snapshot …")
            snapshots.take_stores(snapshot, self._folder)
        if not has_past:
            self._start_services(SERVICES)
        self._begin_servers(servers)
        self._prepare_database(servers)
        if has_past:
            self._make_history()
            self._start_services(SERVICES)
        await_each({name: self._ports[name] for name in SERVICES}, self._say, self._look_after)
        self._await_trading()
        self._make_login()
        self._write_run()
        if self._options.demo:
            self._start_demo()
        self._announce()

    def supervise(self) -> None:
        """Until a signal: start again what dies, keep run.json true and the logs short."""
        next_rotation = 0.0
        while not self._stopping:
            self._revive()
            if replacement.is_prepared(self._folder):
                self._replace_stores()
            if not self._is_recorded:
                self._record_again()
            if time.monotonic() > next_rotation:
                self._rotate_logs()
                next_rotation = time.monotonic() + 1
            time.sleep(_TURN_S)

    def stop(self) -> None:
        """First those who take orders, at last those who keep them; each in its share of time."""
        began = time.monotonic()
        run_path(self._folder).unlink(missing_ok=True)
        if self._children:
            self._say("Stopping …")
        for names, seconds in STOP_STAGES:
            stage = [self._children[name] for name in names if name in self._children]
            for child in stage:
                child.ask_to_end()
            for child in stage:
                child.await_end(began + seconds)
        self._pids_path.unlink(missing_ok=True)
        if self._children:
            self._say("Stopped.")

    # The steps of starting, in their order.

    def end_leftovers(self) -> None:
        """End what a launcher that was killed has left behind; only what is surely its own."""
        run_path(self._folder).unlink(missing_ok=True)
        leftovers = read_note(self._pids_path, dict[str, tuple[int, str]], {})
        order = [name for names, _ in STOP_STAGES for name in names]
        for name in sorted(leftovers, key=lambda name: order.index(name) if name in order else -1):
            pid, mark = leftovers[name]
            if mark and children.start_mark(pid) == mark:
                self._say(f"Ending {name} (process {pid}), left by a launcher that was killed …")
                wish = signal.SIGINT if name == "postgres" else signal.SIGTERM
                children.end_stranger(pid, wish, 5.0)

    def _choose_ports(self) -> None:
        """Those of last time where they are free, so that what others have noted stays true."""
        path = self._folder / "ports.json"
        former = read_note(path, dict[str, int], {})
        taken = {self._options.api_port, self._options.ws_port}
        for name in ("postgres", "redis", "admin", *SERVICES):
            port = embedded.free_port(former.get(name))
            while port in taken:
                port = embedded.free_port()
            taken.add(port)
            self._ports[name] = port
        write_private(path, json.dumps(self._ports, indent=2) + "\n")

    def _make_secrets(self) -> None:
        secret(self._folder / "master.key")
        self._admin_token = secret(self._folder / "admin.token")

    def _set_faults(self) -> None:
        if self._options.faults is not None:
            write_script(self._faults_path, self._options.faults)

    def _make_login(self) -> None:
        """Who runs an exchange on his own machine is its first user, and its admin."""
        self._login_password = secret(self._folder / "login.password", LOGIN_PASSWORD_BYTES)
        admin = Admin(f"http://127.0.0.1:{self._ports['admin']}", self._admin_token)
        body = {"name": LOGIN_NAME, "password": self._login_password, "role": "ADMIN"}
        # It has existed since the first start, unless somebody else took the name before.
        with contextlib.suppress(AdminFault):
            admin.post("accounts", body=body)

    def _make_servers(self) -> dict[str, embedded.Server]:
        """Those that are ours, and from here on the addresses of both."""
        servers: dict[str, embedded.Server] = {}
        if self._options.redis_url is None:
            log, port = self._log("redis"), self._ports["redis"]
            servers["redis"] = redis = embedded.Redis(self._folder / "redis", log=log, port=port)
            self._redis_url = redis.url
        if self._options.postgres_url is None:
            log, port = self._log("postgres"), self._ports["postgres"]
            servers["postgres"] = postgres = embedded.Postgres(
                self._folder / "postgres", log=log, port=port
            )
            self._database_url = postgres.url
        return servers

    def _begin_servers(self, servers: dict[str, embedded.Server]) -> None:
        """Redis answers then; Postgres takes longer, and has only begun to start."""
        # The journal first: while the database is away, nobody can begin on what it holds.
        self._begin_server("redis", servers)
        self._await_server("redis", servers)
        self._begin_server("postgres", servers)

    def _prepare_database(self, servers: dict[str, embedded.Server]) -> None:
        """Until Postgres answers, and has the tables that the services need."""
        with self._running("migrations", "exchange.postgres_db", "upgrade") as migrations:
            self._await_server("postgres", servers)
            self._say("Preparing the database …")
            migrations.await_end()

    def _replace_stores(self) -> None:
        """Go on with other stores; the services begin again by themselves."""
        self._say("Loading a snapshot …")
        for name in ("redis", "postgres"):
            if name in self._children:
                self._children[name].kill()
        replacement.complete(self._folder)
        servers = self._make_servers()
        self._begin_servers(servers)
        # The snapshot may be of a time before the last migration.
        self._prepare_database(servers)
        replacement.sweep(self._folder)
        self._write_run()

    def _begin_server(self, name: str, servers: dict[str, embedded.Server]) -> None:
        if (server := servers.get(name)) is None:
            return
        self._say(f"Starting {server.name} …")
        child = children.Child(name, server.spawn, log=server.log, stop_signal=server.stop_signal)
        self._children[name] = child
        server.begin()
        self._adopt(name, server)

    def _await_server(self, name: str, servers: dict[str, embedded.Server]) -> None:
        if (server := servers.get(name)) is None:
            return
        try:
            server.await_answer(while_waiting=self._raise_if_stopping)
        finally:
            self._adopt(name, server)

    def _adopt(self, name: str, server: embedded.Server) -> None:
        """It may be another process by now."""
        if server.process is not None:
            self._children[name].adopt(server.process)
            self._record_pids()

    def _make_history(self) -> None:
        self._say("Trading through the last 24 hours …")
        # Already now, so that it is nearly done when the others start.
        self._start_service("db-processor")
        with self._running("history", "exchange.engine", "history") as history:
            history.await_end()

    @contextlib.contextmanager
    def _running(self, name: str, module: str, *arguments: str) -> Iterator["_Task"]:
        """A module that does one thing, for the time of a block."""
        log, environment = self._log(name), self._environment(name)
        command = [sys.executable, "-m", module, *arguments]
        process = children.spawn(command, log=log, environment=environment)
        try:
            yield _Task(name, process, log, self._raise_if_stopping)
        finally:
            children.end(process, signal.SIGTERM, 2.0)

    def _start_services(self, names: Sequence[str]) -> None:
        missing = [name for name in names if name not in self._children]
        if missing:
            self._say(f"Starting {', '.join(missing)} …")
        for name in missing:
            self._start_service(name)

    def _start_service(self, name: str) -> None:
        self._start_module(name, f"exchange.{name.replace('-', '_')}")

    def _start_demo(self) -> None:
        # An ordinary client of what runs already: nothing waits for it.
        self._start_module(DEMO, "exchange.lab.market", "--data", str(self._folder))

    def _start_module(self, name: str, module: str, *arguments: str) -> None:
        log, environment = self._log(name), self._environment(name)
        command = [sys.executable, "-m", module, *arguments]

        def start() -> subprocess.Popen[bytes]:
            return children.spawn(command, log=log, environment=environment)

        child = children.Child(name, start, log=log)
        self._children[name] = child
        child.start()
        self._record_pids()

    def _await_trading(self) -> None:
        """Ready processes need a moment more: an engine leads, a new exchange gets its markets."""
        usual = {market.symbol for market in default_markets()[1]}
        expected = usual if self._backend_settings.create_default_markets else set()
        admin = Admin(f"http://127.0.0.1:{self._ports['admin']}", self._admin_token)
        said = ""
        while not (status := status_of(admin)).ready or status.markets < expected:
            self._look_after()
            if status.sentence != said and not status.ready:
                said = status.sentence
                self._say(f"Waiting: {said}")
            time.sleep(_TURN_S)

    def _look_after(self) -> None:
        """What is to be done again and again until everything is there."""
        self._raise_if_stopping()
        self._revive()
        for child in self._children.values():
            if child.deaths >= DEATHS_MAX_BEFORE_READY:
                raise LauncherFault(
                    f"{child.name} does not stay up. The end of {child.log}:\n"
                    f"{children.log_tail(child.log)}"
                )

    def _announce(self) -> None:
        options = self._options
        data = (
            "" if options.data == default_folder() else f" --data {shlex.quote(str(options.data))}"
        )
        api = f"http://127.0.0.1:{options.api_port}"
        faults = "" if options.faults is None else _FAULTS_NOTE
        text = f"""
The exchange is ready.{faults}

  page      {api}
  API       {api}/api/v3
  streams   ws://127.0.0.1:{options.ws_port}/ws
  data      {options.data}   (logs: {self._logs})
  login     {LOGIN_NAME}, password {self._login_password}   (until you change it)

In another terminal:

  exchange account create alice{data}
  exchange deposit alice USDC 1000{data}
  curl '{api}/api/v3/depth?symbol=SOLUSDC'

Ctrl-C stops it; what it holds stays.
"""
        # A closed terminal is no reason to end.
        with contextlib.suppress(OSError):
            print(text, flush=True)

    # What every step uses.

    @property
    def _pids_path(self) -> Path:
        return self._folder / "pids.json"

    @property
    def _faults_path(self) -> Path:
        return self._folder / "faults.json"

    @property
    def _backend_settings(self) -> Settings:
        return Settings.from_environment(self._environment("backend"))

    def _log(self, name: str) -> Path:
        """The log of a process that is about to start, with the last one's moved aside."""
        log = self._logs / f"{name}.log"
        children.rotate_log(log)
        return log

    def _environment(self, name: str) -> dict[str, str]:
        """Nothing but what the process needs; only the backend gets secrets."""
        passed = [
            field.upper() for field in Settings.__struct_fields__ if field not in _OWN_SETTINGS
        ]
        passed += [key for key in os.environ if key.startswith("OTEL_")]
        kept = {key: os.environ[key] for key in (*_SYSTEM_VARIABLES, *passed) if key in os.environ}
        environment = {
            "CREATE_DEFAULT_MARKETS": "1",
            "REGISTRATION": "open",
            "TEST_FUNDS": "on",
            "PUBLIC_WS_URL": f":{self._options.ws_port}",
            **kept,
            "PYTHONUNBUFFERED": "1",
            "DATABASE_URL": self._database_url,
            "REDIS_URL": self._redis_url,
        }
        if self._options.ack is not None:
            environment["ACK"] = self._options.ack
        if self._options.faults is not None and name in ("backend", "websocket"):
            environment["FAULTS_FILE"] = str(self._faults_path)
        if name in SERVICES:
            environment["METRICS_ADDR"] = f"127.0.0.1:{self._ports[name]}"
        if name == "backend":
            environment["SERVER_ADDR"] = f"{self._options.host}:{self._options.api_port}"
            environment["ADMIN_ADDR"] = f"127.0.0.1:{self._ports['admin']}"
            environment["ADMIN_TOKEN_FILE"] = str(self._folder / "admin.token")
            environment["MASTER_KEY_FILE"] = str(self._folder / "master.key")
            environment["TESTING"] = str(int(self._options.testing))
        if name == "websocket":
            environment["WS_STREAM_URL"] = f"{self._options.host}:{self._options.ws_port}"
        return environment

    def _revive(self) -> None:
        for child in self._children.values():
            if event := child.revive():
                self._say(event)
                self._is_recorded = False

    def _record_again(self) -> None:
        try:
            self._record_pids()
            self._write_run()
        except OSError as fault:
            # A full disk passes; the processes are alive meanwhile, and the next turn tries again.
            self._say(f"run.json cannot be written: {fault.strerror}")
            time.sleep(1)
        else:
            self._is_recorded = True

    def _record_pids(self) -> None:
        """For the next launcher, should this one be killed."""
        marks = {
            name: [child.pid, children.start_mark(child.pid)]
            for name, child in self._children.items()
            if child.pid is not None
        }
        write_private(self._pids_path, json.dumps(marks), outlives_power=False)

    def _write_run(self) -> None:
        names = ("backend", "websocket", "engine", "db-processor", "redis", "postgres")
        write_run(
            self._folder,
            Run(
                api=f"http://127.0.0.1:{self._options.api_port}",
                ws=f"ws://127.0.0.1:{self._options.ws_port}",
                admin=f"http://127.0.0.1:{self._ports['admin']}",
                admin_token=self._admin_token,
                redis_url=self._redis_url,
                database_url=self._database_url,
                pids={
                    name: self._children[name].pid if name in self._children else None
                    for name in names
                },
            ),
        )

    def _rotate_logs(self) -> None:
        for log in self._logs.glob("*.log"):
            if log.stat().st_size > children.LOG_BYTES_MAX:
                children.rotate_log(log)

    def _raise_if_stopping(self) -> None:
        if self._stopping:
            raise _Stopped

    def _note_signal(self, *_: object) -> None:
        self._stopping = True

    def _say(self, text: str) -> None:
        # A closed terminal is no reason to end.
        with contextlib.suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def _check_ports_and_urls(options: Options) -> None:
    for option, port in (("--api-port", options.api_port), ("--ws-port", options.ws_port)):
        if not embedded.is_free(port):
            raise LauncherFault(f"Port {port} is taken: choose another with {option}.")
    if options.api_port == options.ws_port:
        raise LauncherFault("--api-port and --ws-port are the same.")
    if options.faults is not None and (options.redis_url or options.postgres_url):
        raise LauncherFault("--faults is only for an exchange on stores of its own.")
    for option, url, schemes in (
        ("--redis", options.redis_url, ("redis", "rediss")),
        ("--postgres", options.postgres_url, ("postgres", "postgresql")),
    ):
        if url is not None and url.partition("://")[0] not in schemes:
            raise LauncherFault(f"{option} must begin with {schemes[0]}://")


def _check_snapshot(options: Options) -> None:
    if options.snapshot is None:
        return
    if options.redis_url or options.postgres_url:
        raise LauncherFault("--snapshot is of both stores: no --redis, --postgres.")
    if was_used(options.data) or any((options.data / one).exists() for one in replacement.STORES):
        raise LauncherFault(
            f"There is an exchange in {options.data}: name a new folder with --data, or let it be"
            " what it was with `exchange snapshot load`."
        )
    try:
        snapshots.read_at(options.snapshot)
    except snapshots.SnapshotFault as fault:
        raise LauncherFault(str(fault)) from None


def _check_purpose(options: Options) -> None:
    """What was once made for tests may be reset; what was not, never."""
    mark = options.data / "made-for-tests"
    if not options.testing:
        return
    if options.host != "127.0.0.1":
        raise LauncherFault("An exchange for tests listens on 127.0.0.1: leave out --host.")
    if options.redis_url or options.postgres_url:
        raise LauncherFault("An exchange for tests has servers of its own: no --redis, --postgres.")
    if not mark.exists() and was_used(options.data):
        raise LauncherFault(
            f"The exchange in {options.data} was not made for tests, where one request ends all"
            " orders: name another folder with --data."
        )
    mark.touch(mode=0o600)
