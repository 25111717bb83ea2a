"""The wall clock. Waiting goes by the event loop's own time instead, which never jumps."""

from time import time_ns


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time_ns() // 1_000
