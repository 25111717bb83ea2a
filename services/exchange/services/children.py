"""Processes that we start: in groups of their own, logged to files, and ended by their id."""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

LOG_BYTES_MAX = 20 * 1024 * 1024
HEALTHY_S = 3.0
"""Whatever lived for so long did start; what ended it may be over, and it is needed back."""
PAUSE_S_MAX = 2.0
KILLED_S_MAX = 10.0

_FILES_MAX = 65_536
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
"""Loaded here, because a child between fork and exec may not load anything."""


class StartFailed(Exception):
    """A process could not be started; the text says why."""


class Child:
    """One supervised process: it is started again when it has died."""

    def __init__(
        self,
        name: str,
        start: Callable[[], subprocess.Popen[bytes]],
        *,
        log: Path,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.log, self.stop_signal = name, log, stop_signal
        self.deaths = 0
        self._start = start
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._quick_deaths = 0
        self._next_attempt: float | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        self._began = time.monotonic()
        self._next_attempt = None
        self._process = self._start()

    def adopt(self, process: subprocess.Popen[bytes]) -> None:
        """Take over what was started already."""
        self._began = time.monotonic()
        self._process = process

    def revive(self) -> str | None:
        """Start it again if it has died and its pause is over; says what happened."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        now = time.monotonic()
        if self._next_attempt is None:
            self._next_attempt = now + self._pause_after_death(now)
        if now < self._next_attempt:
            return None
        try:
            self.start()
        except (StartFailed, OSError) as fault:
            self._next_attempt = now + PAUSE_S_MAX
            return f"{self.name} could not be started again: {fault}"
        return f"{self.name} ended ({_ending(code)}) and was started again as process {self.pid}"

    def ask_to_end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(self.stop_signal)

    def kill(self) -> None:
        """What it has open is of no use to anybody any more."""
        if self._process is not None:
            end(self._process, signal.SIGKILL, KILLED_S_MAX)

    def await_end(self, deadline: float) -> None:
        if self._process is not None:
            await_end(self._process, deadline - time.monotonic())

    def _pause_after_death(self, now: float) -> float:
        self.deaths += 1
        self._quick_deaths = 0 if now - self._began > HEALTHY_S else self._quick_deaths + 1
        return 0.0 if self._quick_deaths < 2 else min(0.1 * 2**self._quick_deaths, PAUSE_S_MAX)


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name


class Owner(msgspec.Struct, frozen=True):
    """The user that a child runs as."""

    uid: int
    gid: int


def spawn(
    command: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    death_signal: signal.Signals | None = signal.SIGTERM,
    owner: Owner | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child that Ctrl-C does not reach, and that gets `death_signal` should we be killed;
    with None it goes on without us.

    The death signal follows the thread that calls this, so that must be one that stays.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd="/",
            start_new_session=True,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
            # It only makes two system calls, which is safe between fork and exec.
            preexec_fn=_dying_with_parent(death_signal),
        )


def _dying_with_parent(death_signal: signal.Signals | None) -> Callable[[], None] | None:
    if _LIBC is None or death_signal is None:
        return None
    prctl, parent = _LIBC.prctl, os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def branch_off(work: Callable[[], None], *, log: Path) -> int:
    """Do `work` in a second process, which goes on without us and Ctrl-C does not reach: its number.

    It begins with all that is loaded here, where a command of its own would load it again. `work`
    may end by `sys.exit(sentence)`. Only for a process of a single thread.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        os.setsid()
        os.chdir("/")
        _speak_to(log)
        work()
        code = 0
    except SystemExit as end:
        print(end, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        # What our caller still has to do when it ends is not this process' to do.
        os._exit(code)


def _speak_to(log: Path) -> None:
    """Let nothing be open but the three standard streams: nobody waits for the end of another."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for target, source in enumerate((nothing, output, output)):
        os.dup2(source, target)
    os.closerange(3, _FILES_MAX)


def end(child: subprocess.Popen[bytes], number: signal.Signals, patience_s: float) -> None:
    """Ask a child to end, and kill it when it has not done so in time."""
    if child.poll() is None:
        child.send_signal(number)
    await_end(child, patience_s)


def await_end(child: subprocess.Popen[bytes], patience_s: float) -> None:
    """Wait for a child that was asked to end, and kill it when it has not done so in time."""
    try:
        child.wait(max(0.0, patience_s))
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def end_stranger(pid: int, number: signal.Signals, patience_s: float) -> None:
    """The same for a process that is not our child, such as one of a launcher that was killed."""
    for wish in (number, signal.SIGKILL):
        deadline = time.monotonic() + patience_s
        if is_running(pid):
            os.kill(pid, wish)
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether there is such a process, ended ones that nobody has waited for not counted."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # While threads of it are still ending, they hold its ports.
    if fields := _stat(pid):
        return fields[0] != "Z" or int(fields[17]) > 1
    return not _ps(pid, "stat").startswith("Z")


def start_mark(pid: int) -> str:
    """A text that no other process of the same number has: when it started. "" if there is none."""
    if not is_running(pid):
        return ""
    if fields := _stat(pid):
        return fields[19]
    return _ps(pid, "lstart")


def works_in(pid: int, folder: Path) -> bool:
    """Whether a process is one that has made `folder` its own, as both servers do."""
    if not is_running(pid):
        return False
    try:
        return Path(os.readlink(f"/proc/{pid}/cwd")) == folder.resolve()
    except OSError:
        name = _ps(pid, "comm")
        return any(word in name for word in ("postgres", "redis", "valkey"))


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty where there is no such file."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    # The name before it is in brackets and may hold anything, brackets and spaces included.
    return text.rpartition(")")[2].split()


def _ps(pid: int, field: str) -> str:
    if (ps := shutil.which("ps")) is None:
        return ""
    answer = subprocess.run(
        [ps, "-p", str(pid), "-o", f"{field}="], capture_output=True, text=True, check=False
    )
    return answer.stdout.strip()


def rotate_log(log: Path) -> None:
    """Move what a log holds to `<name>.1`, leaving an empty file.

    By copy and truncation, because its process goes on writing (at the end, wherever that is);
    a line written in between may be lost.
    """
    if log.exists() and log.stat().st_size:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)


def log_tail(log: Path, lines: int = 6) -> str:
    """The last lines of a log, for the one who wants to know why something ended."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 8192))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])
