"""The loop around the engine: load, stand by, claim, lead.

There is one way to start. An engine that has caught up stands by; when nobody leads it claims, and
from then on every append is checked against its claim.
"""

import asyncio
import gc
import time
from collections import deque
from contextlib import aclosing

import prometheus_client
import structlog

from exchange.engine.replica import Replica, check_claim, load
from exchange.postgres_db import epochs
from exchange.redis.journal import CommandFrame, Journal
from exchange.redis.leadership import Claim, Leadership, vacant
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.services.messages import JUMP
from exchange.services.process import Health, until_stopped
from exchange.services.settings import Settings

CLEAN_STOP_S_MAX = 3.0

COMMANDS = prometheus_client.Counter("exchange_engine_commands_total", "Commands executed.")
POSITION = prometheus_client.Gauge("exchange_engine_position", "Number of the last outcome.")
LEADS = prometheus_client.Gauge("exchange_engine_leads", "1 while this engine leads.")
FRAME_SECONDS = prometheus_client.Histogram(
    "exchange_engine_frame_seconds",
    "From taking commands to their outcomes being durable.",
    buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0),
)

log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """One life of an engine, from nothing to leading; ends by `stop` or by an exception."""
    # Its sentence stays: what an operator has to do is said until it is done.
    health.ready = False
    await check(settings.redis_url)
    dsn = settings.database_dsn()
    async with await Outcomes.open(settings.redis_url) as outcomes:
        await outcomes.cluster(await epochs.cluster_uuid(dsn))
        replica = await load(dsn, outcomes, now_us())
        # What was loaded stays: the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        await _stand_by(settings, outcomes, replica, health, stop)
        if stop.is_set():
            return
        leadership = await Leadership.open(settings.redis_url)
        try:
            await _claim_and_lead(settings, outcomes, replica, leadership, health, stop)
        finally:
            LEADS.set(0)
            leadership.close()


def now_us() -> int:
    """The engine's clock, µs since the epoch; read once per frame."""
    return time.time_ns() // 1_000


async def _stand_by(
    settings: Settings, outcomes: Outcomes, replica: Replica, health: Health, stop: asyncio.Event
) -> None:
    """Follow the leader until there is none."""

    async def follow() -> None:
        async for frames in outcomes.follow(replica.position):
            replica.follow(frames)
            POSITION.set(replica.position)
            if not frames and not health.ready:
                health.set(True, "standing by")

    await until_stopped(stop, follow(), vacant(settings.redis_url))


async def _claim_and_lead(
    settings: Settings,
    outcomes: Outcomes,
    replica: Replica,
    leadership: Leadership,
    health: Health,
    stop: asyncio.Event,
) -> None:
    dsn = settings.database_dsn()
    claim = await leadership.claim(await epochs.next_epoch(dsn))
    beating = asyncio.create_task(leadership.beat())
    journal = await Journal.open(settings.redis_url, name="engine")
    try:
        await _catch_up(outcomes, replica, claim)
        if not claim.gate_open:
            await _open_gate(dsn, journal, replica, leadership, claim)
        health.set(True, "leading")
        LEADS.set(1)
        log.info("leading", epoch=claim.epoch, position=replica.position)
        await _lead(journal, replica, leadership, stop)
        health.set(False, "stopping")
        if not await leadership.hand_over():
            await _stop_cleanly(dsn, journal, replica, leadership)
    finally:
        beating.cancel()
        journal.close()


async def _catch_up(outcomes: Outcomes, replica: Replica, claim: Claim) -> None:
    """Apply what the last leader appended before the claim; nothing can come after it."""
    check_claim(replica, claim.outcome_top)
    async with aclosing(outcomes.tail(replica.position, frames_max=64)) as feed:
        while replica.position < claim.outcome_top:
            replica.follow(await anext(feed))
    replica.epoch = claim.epoch


async def _open_gate(
    dsn: str, journal: Journal, replica: Replica, leadership: Leadership, claim: Claim
) -> None:
    """Begin a generation on a Redis that has restarted, and may have lost its tail.

    Ids and numbers of lost outcomes may have been seen, so all counters jump past them before
    anything is executed; only a stop that left nothing behind is followed without a gap.
    """
    tops = (claim.command_top, claim.outcome_top)
    clean = replica.position if replica.position == 0 else await epochs.clean_stop(dsn)
    distance = 1 if tops == (replica.position, clean) == (clean, clean) else JUMP
    if distance == JUMP:
        replica.engine.jump(JUMP)
    async with aclosing(journal.follow(replica.position)) as feed:
        while replica.position < claim.command_top:
            await _execute(await anext(feed), replica, leadership)
    frame = replica.open(max(replica.position, *tops) + distance, now_us())
    await leadership.open_gate(frame)
    log.info("gate opened", base=frame.last, jumped=distance == JUMP)


async def _lead(
    journal: Journal, replica: Replica, leadership: Leadership, stop: asyncio.Event
) -> None:
    async with aclosing(journal.follow(replica.position)) as feed:
        async for frames in feed:
            if frames:
                await _execute(frames, replica, leadership)
            else:
                # A journal that somebody has emptied is as quiet as one that nobody writes to.
                await leadership.confirm()
            if stop.is_set():
                return


async def _execute(frames: list[CommandFrame], replica: Replica, leadership: Leadership) -> None:
    """Apply all that is there, and append what it led to before anybody hears of it."""
    commands = deque(command for frame in frames for command in frame.commands)
    while commands:
        began = time.perf_counter()
        frame = replica.execute(commands, now_us())
        await leadership.append(frame)
        FRAME_SECONDS.observe(time.perf_counter() - began)
        COMMANDS.inc(len(frame.outcomes))
        POSITION.set(frame.last)


async def _stop_cleanly(
    dsn: str, journal: Journal, replica: Replica, leadership: Leadership
) -> None:
    """Nobody takes over: close the gate behind the last outcome and note it in Postgres.

    Without the note, for whatever reason, the next start only leaves out some numbers.
    """
    try:
        async with asyncio.timeout(CLEAN_STOP_S_MAX):
            async with aclosing(journal.follow(replica.position)) as feed:
                while not await leadership.close_gate(replica.position):
                    await _execute(await anext(feed), replica, leadership)
            await epochs.note_clean_stop(dsn, replica.position)
    except TimeoutError:
        log.warning("stopped without a note: the next start will leave out some numbers")
    else:
        log.info("stopped cleanly", position=replica.position)
