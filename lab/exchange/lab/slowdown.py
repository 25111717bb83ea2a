"""A process that gets only a part of each tenth of a second, by SIGSTOP and SIGCONT."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

PERIOD_S = 0.1


@contextlib.contextmanager
def slowed(pid: int, share: float) -> Iterator[None]:
    """Let a process run for this share of the time, 0 < share ≤ 1; it runs freely afterwards."""
    if share == 1:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_slow, args=(pid, share, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _slow(pid: int, share: float, over: threading.Event) -> None:
    with contextlib.suppress(ProcessLookupError):
        try:
            while not over.wait(share * PERIOD_S):
                os.kill(pid, signal.SIGSTOP)
                over.wait((1 - share) * PERIOD_S)
                os.kill(pid, signal.SIGCONT)
        finally:
            os.kill(pid, signal.SIGCONT)
