"""`exchange recover`: what an operator has to decide, because no process may.

The journal may be gone for good. Then the exchange can go on from what Postgres holds, and everything
that was acknowledged later is lost. That is a new generation, on a new journal: it begins further on
than any number or id that may have been seen, and under a new uuid, so that the old journal, should
it come back, is refused.
"""

import time
from typing import Literal

import msgspec

from exchange.engine.replica import load
from exchange.postgres_db import epochs
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.services.clock import now_us
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.messages import LEAP
from exchange.services.settings import Settings

State = Literal["new", "whole", "tail lost", "journal lost", "foreign"]


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """How the two stores stand to each other; numbers of outcomes, the time in µs."""

    state: State
    database: int
    database_time: int
    journal: int
    sentence: str


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """Where the new generation begins, behind which number of the old one."""

    position: int
    base: int


async def diagnose(settings: Settings) -> Diagnosis:
    """Look at both stores, and change nothing."""
    await check(settings.redis_url, may_be_unchecked=settings.may_be_unchecked)
    dsn = settings.database_dsn()
    end, uuid = await epochs.last_end(dsn), await epochs.cluster_uuid(dsn)
    async with await Outcomes.open(settings.redis_url) as outcomes:
        mark = await outcomes.mark()
        commands, top, epoch = await outcomes.tops()

    def found(state: State, sentence: str) -> Diagnosis:
        return Diagnosis(
            state=state,
            database=end.position,
            database_time=end.time,
            journal=top,
            sentence=sentence,
        )

    if mark not in (None, uuid) and (top or commands):
        return found(
            "foreign", f"Redis holds the journal of another exchange, {mark}: check REDIS_URL."
        )
    if not top and end.had_journal(epoch):
        return found(
            "journal lost",
            f"Redis holds no journal. Postgres holds everything up to number {end.position},"
            f" written at {_text(end.time)}. If the journal is not to be found any more,"
            " `exchange recover --journal-lost` goes on from there.",
        )
    if not top:
        return found("new", "The exchange is new: there is nothing to recover.")
    if top < end.position:
        return found(
            "tail lost",
            f"Redis has lost the end of its journal: it stops at {top}, Postgres at {end.position}."
            " The next start goes on from Postgres by itself.",
        )
    return found(
        "whole", "Both stores are there: what is left to do the next start does by itself."
    )


async def begin_without_journal(settings: Settings) -> Recovered:
    """Begin a generation behind what Postgres holds, on an empty Redis; close its gate behind it.

    Raises OperatorNeeded where there is a journal, or nothing that one could have held.
    """
    diagnosis = await diagnose(settings)
    if diagnosis.state != "journal lost":
        raise OperatorNeeded(f"No journal is lost: nothing was changed. {diagnosis.sentence}")
    dsn = settings.database_dsn()
    now = now_us()
    async with await Outcomes.open(settings.redis_url) as outcomes:
        replica = await load(dsn)
        # First in Postgres: whatever ends us here, the old journal is refused from now on.
        await outcomes.adopt(await epochs.renew_cluster(dsn))
    leadership = await Leadership.open(settings.redis_url)
    try:
        claim = await leadership.claim(await epochs.next_epoch(dsn))
        if claim.command_top or claim.outcome_top:
            raise WorldFailed("somebody else has begun a journal meanwhile")
        position, replica.epoch = replica.position, claim.epoch
        replica.engine.jump(LEAP)
        await epochs.use_clean_stop(dsn)
        frame = replica.open(position + LEAP, now)
        await leadership.open_gate(frame)
        # Nothing follows it yet, so the start that comes needs no further jump.
        if await leadership.close_gate(frame.last):
            await epochs.note_clean_stop(dsn, frame.last)
    finally:
        leadership.close()
    return Recovered(position=position, base=frame.last)


def _text(time_us: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_us // 1_000_000))
