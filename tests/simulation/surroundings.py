"""What the product finds around it in a simulation instead of the real thing.

The event loop is simulated too (loop.py), and with it all waiting and every connection to Redis.
What is left is replaced here: the wall clock, the driver of Postgres, chance, logs, and the
collector of garbage, which would run finalizers at times of its own.
"""

import asyncio
import gc
import logging
import random
import sys
import warnings
from asyncio import events, tasks
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import repeat
from math import inf
from random import Random
from typing import Any
from unittest import mock

import asyncpg
import structlog
from simulation.loop import OWNER, SimulatedLoop
from simulation.postgres_driver import Driver

from exchange.backend import gateway
from exchange.redis import leadership
from exchange.redis.heartbeat import Heartbeat
from exchange.services import clock


class TurningHeartbeat(Heartbeat):
    """Without a thread of its own: in simulated time no command takes long."""

    def __init__(self, url: str, epoch: int) -> None:
        super().__init__(url, epoch, loop_silent_s=inf)

    def __enter__(self) -> "TurningHeartbeat":
        self._beating = asyncio.get_running_loop().create_task(self._beat())
        return self

    def __exit__(self, *_: object) -> None:
        self._beating.cancel()


@contextmanager
def surrounded(loop: SimulatedLoop, driver: Driver, chance: Random) -> Iterator[None]:
    """For the time of a simulation."""

    def time_ns() -> int:
        return (OWNER.get() or loop.outside).clock_ns()

    random.seed(chance.getrandbits(64))
    replaced: list[tuple[Any, str, Any]] = [
        (clock, "time_ns", time_ns),
        (clock, "monotonic", loop.time),
        (asyncpg, "connect", driver.connect),
        (asyncpg, "create_pool", driver.create_pool),
        (leadership, "Heartbeat", TurningHeartbeat),
        (gateway, "_new_uid", partial(chance.getrandbits, 63)),
        # There is one loop. asyncio would ask the system for the number of this process each time.
        (asyncio, "get_running_loop", repeat(loop).__next__),
        (events, "get_running_loop", repeat(loop).__next__),
        (events, "_get_running_loop", repeat(loop).__next__),
        (tasks, "current_task", partial(tasks.current_task, loop)),
    ]
    with ExitStack() as stack:
        for owner, name, value in replaced:
            stack.enter_context(mock.patch.object(owner, name, value))
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)


@contextmanager
def quiet(*, is_told: bool, freezes: bool = True) -> Iterator[None]:
    """No logs unless somebody wants to be told, and no collector."""
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(
            logging.INFO if is_told else logging.CRITICAL
        ),
        processors=(
            [_with_simulated_time, structlog.dev.ConsoleRenderer(colors=False)]
            if is_told
            else [_dropped]
        ),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    was_enabled, collect, unfreeze = gc.isenabled(), gc.collect, gc.unfreeze
    gc.disable()
    # What is there already need not be walked through after each seed.
    if freezes:
        gc.freeze()
    try:
        with (
            mock.patch.object(gc, "collect", int),
            mock.patch.object(gc, "freeze", int),
            mock.patch.object(gc, "unfreeze", int),
            mock.patch.object(sys, "unraisablehook", _ignored),
            warnings.catch_warnings(),
        ):
            # Who is killed has awaited nothing of what he had begun.
            warnings.simplefilter("ignore", RuntimeWarning)
            yield
            # What was killed in the middle of something is finalized here: it may complain, and
            # may begin something that has to be finalized, too.
            while collect():
                pass
    finally:
        unfreeze()
        if was_enabled:
            gc.enable()
        structlog.reset_defaults()


def _ignored(_fault: object) -> None:
    """Not a mock, which would remember it, and with it all that has died."""


def _dropped(
    _logger: object, _method: str, _event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    raise structlog.DropEvent


def _with_simulated_time(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    owner = OWNER.get()
    if owner is not None:
        event["event"] = f"{owner.loop.time():9.4f} {owner.name}: {event['event']}"
    return event
