"""The auditor inside the running exchange: does the money add up, as the rows have it?

It asks Postgres, in SQL and in one snapshot, what no code of the engine has worked out. That is the
cheapest place, since nothing has to be loaded, and an independent one, since what an engine did wrong
and hashed and journalled is as visible there as what somebody changed by hand. On a doubt it makes
every market cancel-only and freezes withdrawals, through the journal, and raises an alarm.
"""

import asyncio
import secrets

import prometheus_client
import structlog

from exchange.postgres_db import alarms, audit
from exchange.postgres_db.snapshot import open_snapshot
from exchange.redis.journal import NO_LAG_LIMIT, Journal, NotIngested
from exchange.services.clock import now_us
from exchange.services.commands import FreezeWithdrawals, SetMode
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.markets import ExchangeRules, Market, Mode
from exchange.services.messages import encode
from exchange.services.rows import Author, Row
from exchange.services.settings import Settings

RETRY_S = 1.0
PAUSES_FOR_EACH_SECOND = 20
"""However long an audit takes, it keeps Postgres busy for a twentieth of the time."""

AUDITS = prometheus_client.Counter("exchange_audits_total", "Audits that were finished.")
DOUBTS = prometheus_client.Gauge(
    "exchange_audit_doubts", "What the last audit found wrong, for each promise.", ["promise"]
)
AUDIT_SECONDS = prometheus_client.Gauge("exchange_audit_seconds", "How long the last one took.")

log = structlog.get_logger()


async def audit_for_ever(settings: Settings) -> None:
    """Ask every AUDIT_SECONDS; 0 means never."""
    time = asyncio.get_running_loop().time
    while True:
        if not settings.audit_seconds:
            await asyncio.Event().wait()
        began = time()
        try:
            await audit_once(settings)
        except (WorldFailed, OperatorNeeded, NotIngested, OSError) as fault:
            # Who writes will say it louder; a doubt is found again, and then frozen.
            log.warning("not audited", cause=f"{type(fault).__name__}: {fault}")
            await asyncio.sleep(RETRY_S)
            continue
        took = time() - began
        AUDITS.inc()
        AUDIT_SECONDS.set(took)
        await asyncio.sleep(max(settings.audit_seconds, took * PAUSES_FOR_EACH_SECOND))


async def audit_once(settings: Settings) -> list[str]:
    """What is in doubt, in sentences, after everything was done about it."""
    dsn = settings.database_dsn()
    async with open_snapshot(dsn, application_name="exchange-auditor") as snapshot:
        await audit.take_time(snapshot)
        answers = {question: await audit.ask(snapshot, question) for question in audit.CHEAP}
        known = {alarm.name: alarm for alarm in await alarms.select_alarms(snapshot.connection)}
        frozen = _Frozen(await snapshot.control_rows())
    sentences = []
    for question, answer in answers.items():
        DOUBTS.labels(question.name).set(answer.doubtful)
        if not answer.doubtful:
            continue
        name = f"audit-{question.name}"
        sentence = f"NOT SO: {question.promise}. {'; '.join(answer.examples)}."
        sentences.append(sentence)
        # An operator may let a market trade again although it stands there: that is his decision,
        # as long as nothing new is found.
        if name not in known or known[name].sentence != sentence:
            log.critical(
                sentence, alarm=name, position=snapshot.position.number, freezing=frozen.running
            )
            await _freeze(settings, frozen, sentence)
            await alarms.raise_alarm(dsn, name, sentence)
    return sentences


class _Frozen:
    """What of the exchange is not stopped yet."""

    def __init__(self, rows: list[Row]) -> None:
        self.running = [
            row.symbol for row in rows if isinstance(row, Market) and row.mode is Mode.RUNNING
        ]
        self.pays_out = not any(
            isinstance(row, ExchangeRules) and row.withdrawals_frozen for row in rows
        )


async def _freeze(settings: Settings, frozen: _Frozen, sentence: str) -> None:
    """Let nothing be traded or paid out until an operator has looked; all may cancel."""
    author = Author(name="auditor", reason=sentence)
    commands: list[SetMode | FreezeWithdrawals] = [
        SetMode(uid=secrets.randbits(63), symbol=symbol, mode=Mode.CANCEL_ONLY, author=author)
        for symbol in frozen.running
    ]
    if frozen.pays_out:
        uid = secrets.randbits(63)
        commands.append(FreezeWithdrawals(uid=uid, is_frozen=True, author=author))
    if not commands:
        return
    journal = await Journal.open(settings.redis_url, name="auditor")
    try:
        await journal.append(encode(commands), len(commands), clock=now_us(), lag_max=NO_LAG_LIMIT)
    finally:
        journal.close()
