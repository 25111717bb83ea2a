"""The loop around the engine: load, stand by, claim, lead.

There is one way to start. An engine that has caught up stands by; when nobody leads it claims, and
from then on every append is checked against its claim.
"""

import asyncio
import gc
import time
from collections import deque
from contextlib import aclosing
from typing import NamedTuple

import structlog

from exchange.engine import metrics
from exchange.engine.caution import Caution
from exchange.engine.replica import Replica, check_claim, load
from exchange.postgres_db import epochs
from exchange.redis.journal import ChainBroken, CommandFrame, Journal, JournalGap, JournalLost
from exchange.redis.leadership import Claim, Leadership, Vigil
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.services import tracing
from exchange.services.clock import now_us
from exchange.services.failures import WorldFailed
from exchange.services.messages import JUMP
from exchange.services.process import Health, until_stopped
from exchange.services.settings import Settings

CLEAN_STOP_S_MAX = 3.0

log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """One life of an engine, from nothing to leading; ends by `stop` or by an exception."""
    # Its sentence stays: what an operator has to do is said until it is done.
    health.ready = False
    await check(settings.redis_url, may_be_unchecked=settings.may_be_unchecked)
    dsn = settings.database_dsn()
    async with await Outcomes.open(settings.redis_url) as outcomes:
        await outcomes.cluster(await epochs.cluster_uuid(dsn))
        # Whoever leads is listened for while the state is loaded: silence is silence.
        vigil = await Vigil.open(settings.redis_url)
        try:
            replica = await load(dsn)
            # What was loaded stays: the collector need not walk through it again and again.
            gc.collect()
            gc.freeze()
            await _stand_by(settings, outcomes, replica, vigil, health, stop)
        finally:
            vigil.close()
        if stop.is_set():
            return
        leadership = await Leadership.open(settings.redis_url)
        try:
            await _claim_and_lead(settings, outcomes, replica, leadership, health, stop)
        finally:
            metrics.LEADS.set(0)
            leadership.close()


async def _stand_by(
    settings: Settings,
    outcomes: Outcomes,
    replica: Replica,
    vigil: Vigil,
    health: Health,
    stop: asyncio.Event,
) -> None:
    """Follow the leader until there is none."""

    async def follow() -> None:
        try:
            async for frames in outcomes.follow(replica.position):
                replica.follow(frames)
                metrics.POSITION.set(replica.position)
                if not frames and not health.ready:
                    health.set(True, "standing by")
        except ChainBroken as fault:
            raise await _explain_gap(fault, settings.database_dsn(), replica) from fault

    async def vacant() -> None:
        # Where nobody has claimed there is nobody to listen for: the append would refuse him.
        if await outcomes.may_be_led():
            await vigil.vacant()

    await until_stopped(stop, follow(), vacant())


class _Lead(NamedTuple):
    """What an engine has in its hands while it leads."""

    dsn: str
    journal: Journal
    replica: Replica
    leadership: Leadership
    caution: Caution


async def _claim_and_lead(
    settings: Settings,
    outcomes: Outcomes,
    replica: Replica,
    leadership: Leadership,
    health: Health,
    stop: asyncio.Event,
) -> None:
    dsn = settings.database_dsn()
    last_epoch = await _check_journal(outcomes, dsn)
    claim = await leadership.claim(await epochs.next_epoch(dsn, above=last_epoch))
    journal = await Journal.open(settings.redis_url, name="engine")
    try:
        with leadership.beating():
            await _catch_up(outcomes, replica, claim)
            caution = await Caution.begin(dsn, replica.position, claim.command_top)
            lead = _Lead(dsn, journal, replica, leadership, caution)
            try:
                await _lead(lead, claim, health, stop)
            except ChainBroken as fault:
                raise await _explain_hole(fault, outcomes, replica.position) from fault
            finally:
                caution.end()
    finally:
        journal.close()


async def _check_journal(outcomes: Outcomes, dsn: str) -> int:
    """The last epoch that Redis knows. Raises OperatorNeeded where the journal is gone."""
    _, top, epoch = await outcomes.tops()
    end = await epochs.last_end(dsn)
    if not top and end.had_journal(epoch):
        raise JournalLost(end.position)
    return epoch


async def _catch_up(outcomes: Outcomes, replica: Replica, claim: Claim) -> None:
    """Apply what the last leader appended before the claim; nothing can come after it."""
    check_claim(replica, claim.outcome_top)
    async with aclosing(outcomes.tail(replica.position, frames_max=64)) as feed:
        while replica.position < claim.outcome_top:
            replica.follow(await anext(feed))
    replica.epoch = claim.epoch


async def _lead(lead: _Lead, claim: Claim, health: Health, stop: asyncio.Event) -> None:
    if not claim.gate_open:
        await _open_gate(lead, claim)
    health.set(True, "leading")
    metrics.LEADS.set(1)
    log.info("leading", epoch=claim.epoch, position=lead.replica.position)
    async with aclosing(lead.journal.follow(lead.replica.position)) as feed:
        async for frames in feed:
            if frames:
                await _execute(frames, lead)
            else:
                # A journal that somebody has emptied is as quiet as one that nobody writes to.
                await lead.leadership.confirm()
            if stop.is_set():
                break
    health.set(False, "stopping")
    if not await lead.leadership.hand_over():
        await _stop_cleanly(lead)


async def _open_gate(lead: _Lead, claim: Claim) -> None:
    """Begin a generation on a Redis that has restarted, and may have lost its tail.

    Ids and numbers of lost outcomes may have been seen, so all counters jump past them before
    anything is executed; only a stop that left nothing behind is followed without a gap.
    """
    replica = lead.replica
    end = await epochs.last_end(lead.dsn)
    if end.position > replica.position:
        raise WorldFailed(f"Postgres has gone on to {end.position}, by what Redis has lost")
    tops = (claim.command_top, claim.outcome_top)
    clean = end.clean_stop
    leap = await lead.leadership.leap()
    is_whole = leap is None and tops == (replica.position, clean) == (clean, clean)
    distance = 1 if is_whole else JUMP + (leap or 0)
    if not is_whole:
        replica.engine.jump(distance)
    await epochs.use_clean_stop(lead.dsn)
    async with aclosing(lead.journal.follow(replica.position)) as feed:
        while replica.position < claim.command_top:
            await _execute(await anext(feed), lead)
    frame = replica.open(max(replica.position, *tops) + distance, now_us())
    await lead.leadership.open_gate(frame)
    if leap is not None:
        await lead.leadership.forget_leap()
    log.info("gate opened", base=frame.last, jumped=not is_whole)


async def _explain_gap(fault: ChainBroken, dsn: str, replica: Replica) -> Exception:
    """Whether starting again can help: not where Postgres is older than what the stream holds."""
    end = await epochs.last_end(dsn)
    if replica.position > replica.loaded_position or end.position > replica.loaded_position:
        return fault
    return JournalGap(str(fault))


async def _explain_hole(fault: ChainBroken, outcomes: Outcomes, position: int) -> Exception:
    """Whether starting again can help: not where this engine still leads, and finds a hole."""
    if await outcomes.top() != position:
        return fault
    return JournalGap(str(fault))


async def _execute(frames: list[CommandFrame], lead: _Lead) -> None:
    """Apply all that is there, and append what it led to before anybody hears of it."""
    replica, leadership, caution = lead.replica, lead.leadership, lead.caution
    commands = deque(command for frame in frames for command in frame.commands)
    while commands:
        waiting = tuple(commands)
        began = time.perf_counter()
        with metrics.FRAME_SECONDS.time():
            if caution.is_due(replica):
                frame = await caution.execute(commands.popleft(), replica, leadership, now_us())
            else:
                with metrics.EXECUTE_SECONDS.time():
                    frame = replica.execute(commands, now_us())
                await leadership.append(frame)
        metrics.count(waiting, frame)
        tracing.note_work("execute", frame.outcomes, began=began)


async def _stop_cleanly(lead: _Lead) -> None:
    """Nobody takes over: close the gate behind the last outcome and note it in Postgres.

    Without the note, for whatever reason, the next start only leaves out some numbers.
    """
    try:
        async with asyncio.timeout(CLEAN_STOP_S_MAX):
            async with aclosing(lead.journal.follow(lead.replica.position)) as feed:
                while not await lead.leadership.close_gate(lead.replica.position):
                    await _execute(await anext(feed), lead)
            await epochs.note_clean_stop(lead.dsn, lead.replica.position)
    except TimeoutError:
        log.warning("stopped without a note: the next start will leave out some numbers")
    else:
        log.info("stopped cleanly", position=lead.replica.position)
