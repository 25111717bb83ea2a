"""Starting an exchange for a session of tests, in a folder that is gone afterwards."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exchange.services.own_exchange import NotStarted, OwnExchange

ATTEMPTS = 3


@contextmanager
def started_exchange() -> Iterator[Path]:
    """The folder of one that runs for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="exchange-testing-") as parent:
        # Where root may not have namespaces, Postgres runs as nobody, who has to get in.
        Path(parent).chmod(0o711)
        one = _started(Path(parent))
        try:
            yield one.folder
        finally:
            one.stop()


def _started(parent: Path) -> OwnExchange:
    # A port that was free may be taken when it is needed: other workers are starting theirs.
    for attempt in range(1, ATTEMPTS):
        try:
            return _start(parent / f"data-{attempt}")
        except NotStarted:
            continue
    return _start(parent / f"data-{ATTEMPTS}")


def _start(folder: Path) -> OwnExchange:
    one = OwnExchange(folder, "--testing", "--faults")
    one.start()
    return one
