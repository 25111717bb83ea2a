"""The simulation finds what it is for: each of these bugs breaks a promise in one of a few seeds."""

from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import asyncpg
import pytest
from simulation.redis_server import RedisServer
from simulation.simulation import Report, simulate

from exchange.backend import barrier
from exchange.db_processor import service as db_processor
from exchange.db_processor import writer
from exchange.engine.request_memory import RequestMemory
from exchange.postgres_db.connection import reporting_failures
from exchange.postgres_db.snapshot import Position
from exchange.redis.connection import Connection, ConnectionLost
from exchange.redis.journal import Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import OUTCOMES
from exchange.redis.scripts import INGEST
from exchange.services.messages import OutcomeFrame, encode

SEEDS_MAX = 40

_append, _ingest, _turn = Leadership.append, Journal.append, RedisServer._turn


async def publish_then_append(leadership: Leadership, frame: OutcomeFrame) -> None:
    """An engine whose outcomes are known before they are in the journal."""
    await leadership._connection.call("PUBLISH", OUTCOMES, encode(frame))
    await _append(leadership, frame)


def know_no_request(_memory: RequestMemory, _request: bytes, _now: int) -> None:
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


async def ingest_again(journal: Journal, payload: bytes, count: int, **options: Any) -> int:
    """A gateway that sends again what may have been journalled, as many Redis clients do."""
    try:
        return await _ingest(journal, payload, count, **options)
    except ConnectionLost:
        journal._connection = await Connection.open("redis://redis:6379", name="again")
        await INGEST.load(journal._connection)
        return await _ingest(journal, payload, count, **options)


async def do_not_wait(_progress: barrier.Progress, _position: int) -> None:
    """A backend that answers reads from whatever it has."""


def answer_then_sync(server: RedisServer, life: int) -> None:
    """A Redis with `appendfsync everysec`."""
    _turn(server, life)
    if life == server._life:
        replies, server._replies = server._replies, []
        for session, reply, _ in replies:
            session.send(reply)


Plant = tuple[Any, str, Callable[..., Any]]

PLANTS: dict[str, Plant] = {
    "publish, then append": (Leadership, "append", publish_then_append),
    "no memory of requests": (RequestMemory, "number", know_no_request),
    "a position without its rows": (db_processor, "write", move_then_write),
    "journalled again": (Journal, "append", ingest_again),
    "reads that do not wait": (barrier.Progress, "reach", do_not_wait),
    "answers before the disk": (RedisServer, "_turn", answer_then_sync),
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
