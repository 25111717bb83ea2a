"""Many seeds, on all CPUs."""

import multiprocessing
import os
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from simulation.simulation import Report, simulate

AT_ONCE = 4


def reports(
    seeds: range, jobs: int, *, lying_disk: bool | None = None
) -> Iterator[tuple[int, Report | str]]:
    """What each seed came to, in their order; a text where the simulation itself has a fault."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_step_back) as pool:
        yield from pool.map(partial(attempt, lying_disk=lying_disk), seeds, chunksize=AT_ONCE)


def attempt(seed: int, *, lying_disk: bool | None = None) -> tuple[int, Report | str]:
    try:
        return seed, simulate(seed, lying_disk=lying_disk)
    except Exception:
        # As much worth a replay as a broken promise.
        return seed, traceback.format_exc()


def _step_back() -> None:
    os.nice(5)
