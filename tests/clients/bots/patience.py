"""Waiting for what another program will do, for so long as it may take."""

import time
from collections.abc import Callable
from typing import Any

S_MAX = 30.0


def until(is_so: Callable[[], Any]) -> Any:
    """What `is_so` says once it says something."""
    end = time.monotonic() + S_MAX
    while not (found := is_so()):
        assert time.monotonic() < end, f"not within {S_MAX:.0f} s"
        time.sleep(0.05)
    return found
