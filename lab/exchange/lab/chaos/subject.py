"""The exchange that chaos is done to: one of its own, which ends with the run, or one that runs."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from exchange.services.own_exchange import NotStarted, own_exchange
from exchange.services.run_file import Run, read_run


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
        with own_exchange(subject.folder):
            yield subject
    except NotStarted as fault:
        raise SubjectFault(str(fault)) from None
    finally:
        if not subject.is_kept:
            shutil.rmtree(parent, ignore_errors=True)
