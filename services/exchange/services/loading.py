"""Loading a process' modules quickly: before it has them it serves nobody."""

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def quick_loading() -> Iterator[None]:
    """Around the imports of a process that logs, and prints no tables."""
    # structlog would load it, a third of a small service, for tracebacks that are plain text here.
    sys.modules.setdefault("rich", None)  # type: ignore[arg-type]
    # Nothing of what is loaded is garbage, now or ever: looking for some takes a tenth of the time.
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
