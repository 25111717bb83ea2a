"""Child processes: started again when they die, ended in time, and never mistaken for others."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from exchange.services import children
from exchange.services.children import Child, StartFailed

STUBBORN = (
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
)


def sleeper(log: Path, *command: str) -> Callable[[], subprocess.Popen[bytes]]:
    return lambda: children.spawn(command or ("sleep", "60"), log=log)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "child.log"


def revived(child: Child, seconds: float = 10) -> str:
    deadline = time.monotonic() + seconds
    while not (event := child.revive()):
        assert time.monotonic() < deadline, "it was not started again"
        time.sleep(0.01)
    return event


def test_what_dies_is_started_again_at_once(log: Path) -> None:
    child = Child("sample", sleeper(log), log=log)
    child.start()
    first = child.pid
    assert child.revive() is None
    assert first is not None
    os.kill(first, signal.SIGKILL)
    died = time.monotonic()

    event = revived(child)

    assert time.monotonic() - died < 1
    assert child.pid != first
    assert event == f"sample ended (SIGKILL) and was started again as process {child.pid}"
    child.await_end(0)


def test_what_keeps_dying_is_started_again_ever_more_slowly(log: Path) -> None:
    child = Child("sample", sleeper(log, "false"), log=log)
    child.start()
    gaps = []
    for _ in range(4):
        began = time.monotonic()
        assert "exit code 1" in revived(child)
        gaps.append(time.monotonic() - began)

    assert child.deaths == 4
    assert gaps[0] < 0.3
    assert gaps[1] < gaps[2] < gaps[3]


def test_what_cannot_be_started_again_is_tried_again(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(children, "PAUSE_S_MAX", 0.2)
    attempts = 0

    def start() -> subprocess.Popen[bytes]:
        nonlocal attempts
        attempts += 1
        if attempts == 2:
            raise StartFailed("the port is taken")
        return sleeper(log)()

    child = Child("sample", start, log=log)
    child.start()
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)

    assert revived(child) == "sample could not be started again: the port is taken"
    assert "was started again" in revived(child)
    child.await_end(0)


def test_a_child_that_ignores_the_wish_to_end_is_killed_in_time(log: Path) -> None:
    process = children.spawn([sys.executable, "-c", STUBBORN], log=log)
    _wait_for(lambda: log.read_bytes().startswith(b"1"))
    began = time.monotonic()

    children.end(process, signal.SIGTERM, 0.3)

    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - began < 3


def test_a_stopped_child_is_ended_too(log: Path) -> None:
    process = children.spawn(["sleep", "60"], log=log)
    process.send_signal(signal.SIGSTOP)
    _wait_for(lambda: ") T " in Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii"))

    children.end(process, signal.SIGTERM, 0.2)

    assert process.returncode == -signal.SIGKILL


def test_a_stranger_that_ignores_the_wish_to_end_is_killed(log: Path) -> None:
    process = children.spawn([sys.executable, "-c", STUBBORN], log=log)
    _wait_for(lambda: log.read_bytes().startswith(b"1"))

    children.end_stranger(process.pid, signal.SIGTERM, 0.3)

    assert process.wait(5) == -signal.SIGKILL


def test_a_child_is_in_a_session_of_its_own(log: Path) -> None:
    process = children.spawn(["sleep", "60"], log=log)

    assert os.getsid(process.pid) == process.pid != os.getsid(0)
    children.end(process, signal.SIGKILL, 5)


def test_a_child_sees_only_the_environment_it_is_given(log: Path) -> None:
    process = children.spawn(["/usr/bin/env"], log=log, environment={"ONLY": "this"})

    assert process.wait(10) == 0
    assert log.read_text(encoding="ascii") == "ONLY=this\n"


def test_processes_are_told_apart_by_when_they_started(log: Path) -> None:
    one = children.spawn(["sleep", "60"], log=log)
    time.sleep(0.05)
    other = children.spawn(["sleep", "60"], log=log)
    mark = children.start_mark(one.pid)

    assert mark
    assert mark == children.start_mark(one.pid)
    assert mark != children.start_mark(other.pid)
    for process in (one, other):
        children.end(process, signal.SIGKILL, 5)
    assert children.start_mark(one.pid) == ""


def test_an_ended_process_that_nobody_waited_for_does_not_run(log: Path) -> None:
    process = children.spawn(["true"], log=log)

    _wait_for(lambda: not children.is_running(process.pid))

    process.wait()


@pytest.mark.skipif(shutil.which("ps") is None, reason="without /proc it is ps that knows")
def test_nor_does_it_where_there_is_no_proc(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(children, "_stat", lambda _: [])
    ended = children.spawn(["true"], log=log)
    running = children.spawn(["sleep", "60"], log=log)

    _wait_for(lambda: not children.is_running(ended.pid))

    assert children.is_running(running.pid)
    for process in (ended, running):
        children.end(process, signal.SIGKILL, 5)


def branched_off(work: str, log: Path) -> int:
    """A process of its own does it, since this one has threads; the branch's number."""
    script = f"""
import os, sys, time
from pathlib import Path
from exchange.services.children import branch_off
loaded = {{}}
def work():
    {work}
print(branch_off(work, log=Path(sys.argv[1])))
"""
    mine, theirs = os.pipe()
    with open(mine, "rb") as end_of_file:
        done = subprocess.run(
            [sys.executable, "-c", script, str(log)],
            pass_fds=[theirs], capture_output=True, text=True, timeout=20, check=True,
        )  # fmt: skip
        os.close(theirs)
        # Nobody has the other end any more, though the branch may still be there.
        assert end_of_file.read() == b""
    assert done.stderr == ""
    return int(done.stdout)


def test_a_branch_goes_on_alone_with_what_was_loaded(log: Path) -> None:
    facts = "print(loaded, os.getcwd(), os.getsid(0) == os.getpid(), flush=True); time.sleep(60)"

    branch = branched_off(facts, log)

    _wait_for(lambda: log.read_bytes() != b"")
    assert log.read_text(encoding="ascii") == "{} / True\n"
    assert children.is_running(branch)
    children.end_stranger(branch, signal.SIGTERM, 5)
    assert not children.is_running(branch)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        ("sys.exit('Port 1 is taken.')", "Port 1 is taken.\n"),
        ("raise ValueError('wrong')", "ValueError: wrong\n"),
    ],
)
def test_why_a_branch_ended_is_in_its_log(work: str, said: str, log: Path) -> None:
    branch = branched_off(work, log)

    _wait_for(lambda: not children.is_running(branch))
    assert log.read_text(encoding="ascii").endswith(said)


def test_a_log_is_shortened_under_the_one_who_writes_it(log: Path) -> None:
    script = "import sys, time\nprint('before', flush=True)\ntime.sleep(1)\nprint('after')"
    process = children.spawn([sys.executable, "-c", script], log=log)
    _wait_for(lambda: log.read_bytes() == b"before\n")

    children.rotate_log(log)
    process.wait(10)

    assert log.read_bytes() == b"after\n"
    assert log.with_name("child.log.1").read_bytes() == b"before\n"


def test_the_tail_of_a_log_is_its_last_lines(log: Path) -> None:
    assert children.log_tail(log) == ""
    log.write_text("".join(f"line {number}\n" for number in range(5_000)), encoding="ascii")

    assert children.log_tail(log, lines=2) == "line 4998\nline 4999"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
