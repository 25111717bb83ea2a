"""The exchange that chaos is done to: one of its own, which ends with the run, or one that runs."""

import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from exchange.services import children
from exchange.services.embedded import free_port
from exchange.services.run_file import Run, read_run

START_S_MAX = 60.0
STOP_S_MAX = 15.0


class SubjectFault(Exception):
    """There is no exchange to do chaos to; the text says why."""


class Subject:
    """A running exchange, by its folder."""

    def __init__(self, folder: Path, *, is_own: bool) -> None:
        self.folder = folder
        self.is_own = is_own
        self.is_kept = False
        """Set it, and the folder of an own exchange stays, so that somebody can look into it."""

    @property
    def run(self) -> Run:
        """As run.json says now."""
        try:
            run = read_run(self.folder)
        except (OSError, ValueError) as fault:
            raise SubjectFault(f"run.json cannot be read: {fault}") from None
        if run is None:
            raise SubjectFault(f"No exchange runs in {self.folder}: start one with `exchange up`.")
        return run


@contextlib.contextmanager
def exchange(folder: Path | None) -> Iterator[Subject]:
    """The one of a folder, which is left running, or a new one, of which nothing is left."""
    if folder is not None:
        yield Subject(folder, is_own=False)
        return
    parent = Path(tempfile.mkdtemp(prefix="exchange-chaos-"))
    subject = Subject(parent / "data", is_own=True)
    try:
        with _launched(subject.folder, parent / "output"):
            yield subject
    finally:
        if not subject.is_kept:
            shutil.rmtree(parent, ignore_errors=True)


@contextlib.contextmanager
def _launched(folder: Path, output: Path) -> Iterator[None]:
    ports = ("--api-port", str(free_port()), "--ws-port", str(free_port()))
    # In a session of its own: Ctrl-C is for us, who end it in our order. It ends if we are killed.
    launcher = children.spawn(
        [sys.executable, "-m", "exchange.services", "up", "--data", str(folder), *ports],
        log=output,
    )
    try:
        deadline = time.monotonic() + START_S_MAX
        while read_run(folder) is None:
            if launcher.poll() is not None or time.monotonic() > deadline:
                raise SubjectFault(f"The exchange did not start:\n{children.log_tail(output)}")
            time.sleep(0.05)
        yield
    finally:
        children.end(launcher, signal.SIGTERM, STOP_S_MAX)
