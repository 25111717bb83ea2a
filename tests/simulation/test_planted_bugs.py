"""The simulation finds what it is for: each of these bugs breaks a promise in some seed."""

import hashlib
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any
from unittest import mock

import asyncpg
import pytest
from simulation.simulation import Report, simulate

from exchange.backend import barrier
from exchange.db_processor import service as db_processor
from exchange.db_processor import writer
from exchange.engine.horizon import Horizon
from exchange.engine.request_memory import RequestMemory
from exchange.postgres_db.connection import reporting_failures
from exchange.postgres_db.snapshot import Position
from exchange.redis import leadership, scripts
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import OUTCOMES
from exchange.redis.scripts import Script
from exchange.services.messages import Outcome, OutcomeFrame, encode

# Far more than it takes, since every change of the product makes other stories of the seeds.
SEEDS_MAX = 100

_append = Leadership.append


async def publish_then_append(leader: Leadership, frame: OutcomeFrame) -> None:
    """An engine whose outcomes are known before they are in the journal."""
    await leader._connection.call("PUBLISH", OUTCOMES, encode(frame))
    await _append(leader, frame)


def know_no_request(_memory: RequestMemory, _request: bytes) -> None:
    """An engine that does not look whether it has seen a request before."""


async def move_then_write(
    connection: asyncpg.Connection, frames: Sequence[OutcomeFrame]
) -> Position:
    """A writer that commits the position, and the rows a moment later."""
    with reporting_failures():
        position = await writer._move_position(connection, frames)
        async with connection.transaction():
            await writer._Changes(frames).write(connection)
    return position


async def do_not_wait(_progress: barrier.Progress, _position: int) -> None:
    """A backend that answers reads from whatever it has."""


def unfenced() -> Script:
    """An append that does not ask whether another engine has claimed since."""
    script = Script("append")
    script._source = script._source.replace(b"if top[1] ~= ARGV[2] then", b"if false then")
    script._hash = hashlib.sha1(script._source, usedforsecurity=False).hexdigest()
    assert script._hash != scripts.APPEND._hash
    return script


def forget_by_the_clock(_horizon: Horizon, time: int, _outcomes: Iterable[Outcome]) -> None:
    """An engine that takes a clock far ahead for proof that a minute has passed."""
    _horizon._smallest = deque([time - 60_000_000])


Plant = tuple[Any, str, Any]

PLANTS: dict[str, Plant] = {
    "publish, then append": (Leadership, "append", publish_then_append),
    "no memory of requests": (RequestMemory, "number", know_no_request),
    "forgetting by the clock": (Horizon, "note", forget_by_the_clock),
    "a position without its rows": (db_processor, "write", move_then_write),
    "an engine that is not fenced": (leadership, "APPEND", unfenced()),
    "reads that do not wait": (barrier.Progress, "reach", do_not_wait),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_found_and_its_seed_replays_exactly(name: str) -> None:
    with mock.patch.object(*PLANTS[name]):
        found = first_bad(range(1, SEEDS_MAX + 1))
        again = simulate(found.seed)

    assert again == found
    assert simulate(found.seed).broken == []


def first_bad(seeds: range) -> Report:
    reports = (simulate(seed) for seed in seeds)
    return next(report for report in reports if report.broken)
