"""`exchange up` before it starts anything: what it refuses, and how it says so.

The whole of it runs in tests/system/test_up.py.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.services import children, launcher
from exchange.services.data_folder import LauncherFault
from exchange.services.embedded import free_port
from exchange.services.launcher import Options
from exchange.services.run_file import Run, read_run, run_path, write_private, write_run


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", 0))
        taker.listen()
        yield taker.getsockname()[1]


def options(folder: Path, **changes: object) -> Options:
    values: dict[str, object] = {"api_port": free_port(), "ws_port": free_port(), **changes}
    return Options(data=folder, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "option"), [("api_port", "--api-port"), ("ws_port", "--ws-port")]
)
def test_a_taken_port_is_refused_before_anything_starts(
    tmp_path: Path, taken_port: int, field: str, option: str
) -> None:
    with pytest.raises(LauncherFault, match=f"Port {taken_port} is taken: .* {option}"):
        launcher.up(options(tmp_path, **{field: taken_port}))

    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_one_port_for_both_is_refused(tmp_path: Path) -> None:
    port = free_port()

    with pytest.raises(LauncherFault, match="the same"):
        launcher.up(options(tmp_path, api_port=port, ws_port=port))


@pytest.mark.parametrize(
    ("field", "url", "sentence"),
    [
        ("redis_url", "localhost:6379", "--redis must begin with redis://"),
        ("postgres_url", "mysql://localhost/db", "--postgres must begin with postgres"),
    ],
)
def test_an_address_of_something_else_is_refused(
    tmp_path: Path, field: str, url: str, sentence: str
) -> None:
    with pytest.raises(LauncherFault, match=sentence):
        launcher.up(options(tmp_path, **{field: url}))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"host": "0.0.0.0"}, "leave out --host"),
        ({"redis_url": "redis://localhost"}, "no --redis"),
        ({"postgres_url": "postgres://localhost/db"}, "no --redis, --postgres"),
    ],
)
def test_an_exchange_for_tests_is_alone_on_this_machine(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(LauncherFault, match=sentence):
        launcher.up(options(tmp_path, testing=True, **changes))


def test_what_was_not_made_for_tests_can_never_be_reset(tmp_path: Path) -> None:
    (tmp_path / "ports.json").write_text("{}")

    with pytest.raises(LauncherFault, match="was not made for tests"):
        launcher.up(options(tmp_path, testing=True))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "There is no snapshot none in"),
        ({"redis_url": "redis://localhost"}, "no --redis"),
        ({"postgres_url": "postgres://localhost/db"}, "no --redis, --postgres"),
    ],
)
def test_what_cannot_be_begun_as_a_snapshot_is_said(
    tmp_path: Path, changes: dict[str, object], sentence: str
) -> None:
    with pytest.raises(LauncherFault, match=sentence):
        launcher.up(options(tmp_path / "new", snapshot=tmp_path / "none", **changes))

    assert [path.name for path in (tmp_path / "new").iterdir()] == ["lock"]


@pytest.mark.parametrize("used", ["ports.json", "postgres", "redis"])
def test_a_snapshot_is_never_laid_over_an_exchange(tmp_path: Path, used: str) -> None:
    (tmp_path / used).touch()

    with pytest.raises(LauncherFault, match="There is an exchange in"):
        launcher.up(options(tmp_path, snapshot=tmp_path / "snapshots" / "base"))


def test_a_held_folder_names_its_holder(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write("4711\n")
        lock.flush()

        with pytest.raises(LauncherFault, match="held by another `exchange up`, process 4711"):
            launcher.up(options(tmp_path))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("", encoding="ascii")

    with pytest.raises(LauncherFault, match="cannot be used"):
        launcher.up(options(file))


def test_the_wish_to_stop_is_heeded_while_it_starts(tmp_path: Path) -> None:
    """SIGTERM comes while it waits for a Postgres that never answers."""
    command = [
        sys.executable, "-c", "from exchange.services.cli import main; main()", "up",
        "--data", str(tmp_path), "--api-port", str(free_port()), "--ws-port", str(free_port()),
        "--redis", f"redis://127.0.0.1:{free_port()}",
        "--postgres", f"postgresql://exchange@127.0.0.1:{free_port()}/none",
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "Preparing the database" in line:
                break
        process.send_signal(signal.SIGTERM)

        assert process.wait(10) == 0


def test_only_what_is_surely_ours_is_ended(tmp_path: Path) -> None:
    """A number in pids.json may belong to somebody else by now."""
    ours = children.spawn(["sleep", "60"], log=tmp_path / "log")
    others = children.spawn(["sleep", "60"], log=tmp_path / "log")
    noted = {
        "engine": [ours.pid, children.start_mark(ours.pid)],
        "backend": [others.pid, "1"],
        "websocket": [os.getpid(), ""],
        "nonsense": [2**22 - 1, "1"],
    }
    (tmp_path / "pids.json").write_text(json.dumps(noted), encoding="ascii")

    launcher.Launcher(options(tmp_path)).end_leftovers()

    assert ours.wait(5) == -signal.SIGTERM
    assert others.poll() is None
    children.end(others, signal.SIGKILL, 5)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"engine": 7}', '{"engine": ["x", 1]}', "\x00"])
def test_an_unreadable_note_is_no_note(tmp_path: Path, text: str) -> None:
    (tmp_path / "pids.json").write_text(text, encoding="ascii")

    launcher.Launcher(options(tmp_path)).end_leftovers()


class TestRunFile:
    RUN = Run(
        api="http://127.0.0.1:1",
        ws="ws://127.0.0.1:2",
        admin="http://127.0.0.1:3",
        admin_token="token",
        redis_url="redis://127.0.0.1:4",
        database_url="postgresql://exchange@127.0.0.1:5/exchange-db",
        pids={"engine": 1, "redis": None},
    )

    def test_it_is_written_for_its_owner_and_read_back(self, tmp_path: Path) -> None:
        write_run(tmp_path, self.RUN)

        assert read_run(tmp_path) == self.RUN
        assert run_path(tmp_path).stat().st_mode & 0o777 == 0o600
        assert json.loads(run_path(tmp_path).read_bytes())["pids"] == {"engine": 1, "redis": None}

    def test_where_nothing_runs_there_is_none(self, tmp_path: Path) -> None:
        assert read_run(tmp_path) is None

    def test_a_broken_one_is_an_error(self, tmp_path: Path) -> None:
        run_path(tmp_path).write_text("{", encoding="ascii")

        with pytest.raises(ValueError, match="truncated"):
            read_run(tmp_path)

    def test_what_an_interrupted_writer_left_does_not_matter(self, tmp_path: Path) -> None:
        (tmp_path / "secret.new").write_text("half", encoding="ascii")
        (tmp_path / "secret.new").chmod(0o666)

        write_private(tmp_path / "secret", "whole")

        assert (tmp_path / "secret").read_text(encoding="ascii") == "whole"
        assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600
