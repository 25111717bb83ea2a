"""The wall clock, which may be set. Waiting goes by the event loop's own time instead."""

from time import monotonic, time_ns


def now_us() -> int:
    """Microseconds since the Unix epoch."""
    return time_ns() // 1_000


def elapsed_s() -> float:
    """Seconds since some moment before this process: a clock that nobody can set."""
    return monotonic()
