"""An exchange of one's own: `exchange up` as a process, started and ended from outside."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from exchange.services import children
from exchange.services.embedded import free_port
from exchange.services.run_file import Run, read_run

START_S_MAX, STOP_S_MAX = 120.0, 60.0
"""Far more than it takes: a machine may have other things to do at the same time."""
_LOOK_S = 0.01
"""run.json is the one word of a launcher that any process can read, and files do not call."""


class NotStarted(Exception):
    """It did not come up; the text is the end of what it has said."""


class OwnExchange:
    """One `exchange up` in a folder; it can be started again after it was stopped or killed.

    It is in a session of its own, which Ctrl-C does not reach, and ends when its starter does.
    """

    def __init__(self, folder: Path, *options: str) -> None:
        """`options` are those of the command line, beside the folder and the ports."""
        self.folder = folder
        self.api_port, self.ws_port = free_port(), free_port()
        self.launcher: subprocess.Popen[bytes] | None = None
        self._options = options
        self._output = folder.with_name(folder.name + ".output")

    def start(self) -> None:
        """Returns when it has written its `run.json`. Raises NotStarted."""
        stale = read_run(self.folder)
        self._output.write_bytes(b"")
        ports = ("--api-port", str(self.api_port), "--ws-port", str(self.ws_port))
        folder = ("--data", str(self.folder))
        self.launcher = children.spawn(
            [sys.executable, "-m", "exchange.services", "up", *folder, *ports, *self._options],
            log=self._output,
        )
        try:
            await_run(self.folder, self.launcher.pid, output=self._output, stale=stale)
        except BaseException:
            # Also where somebody does not want to wait any longer: nothing is left behind.
            self.stop()
            raise

    def stop(self) -> int:
        """Its exit code. Nothing happens if it does not run any more."""
        assert self.launcher is not None, "it was never started"
        children.end(self.launcher, signal.SIGTERM, STOP_S_MAX)
        return self.launcher.returncode

    @property
    def run(self) -> Run:
        """As run.json says now."""
        found = read_run(self.folder)
        assert found is not None, "it is not running"
        return found

    @property
    def output(self) -> str:
        """What the launcher has printed."""
        return _text(self._output)


def await_run(folder: Path, launcher: int, *, output: Path, stale: Run | None = None) -> Run:
    """What is in `run.json`, as soon as a launcher that we have started says that it is ready.

    Raises NotStarted where that process has ended, with what it has said in its file `output`.
    """
    deadline = time.monotonic() + START_S_MAX
    while (run := read_run(folder)) in (None, stale):
        if not children.is_running(launcher) or time.monotonic() > deadline:
            logs = sorted((folder / "logs").glob("*.log"))
            ends = (f"\n--- {log.name}\n{children.log_tail(log, 20)}" for log in logs)
            raise NotStarted(f"The exchange did not start:\n{_text(output)}{''.join(ends)}")
        time.sleep(_LOOK_S)
    assert run is not None
    return run


def _text(output: Path) -> str:
    return output.read_text(encoding="utf-8", errors="replace")


@contextlib.contextmanager
def own_exchange(folder: Path, *options: str) -> Iterator[OwnExchange]:
    """One that runs for the time of the block."""
    one = OwnExchange(folder, *options)
    one.start()
    try:
        yield one
    finally:
        one.stop()
