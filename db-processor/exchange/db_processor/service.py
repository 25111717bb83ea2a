"""The loop around the writer: one process writes, in batches, and tells how far it is.

It also forgets what nobody needs any more: the streams behind what is written, and old candles.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from contextlib import aclosing

import asyncpg
import prometheus_client
import structlog

from exchange.db_processor.auditor import audit_for_ever
from exchange.db_processor.retention import Retention
from exchange.db_processor.writer import write
from exchange.postgres_db.connection import connected, reporting_failures
from exchange.postgres_db.epochs import cluster_uuid
from exchange.postgres_db.schema import require_schema
from exchange.postgres_db.snapshot import Position
from exchange.redis.journal import ChainBroken, JournalGap, JournalLost
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.services import tracing
from exchange.services.candles import SECONDS_KEPT, Interval
from exchange.services.clock import now_us
from exchange.services.failures import OperatorNeeded
from exchange.services.messages import OutcomeFrame
from exchange.services.process import Health, until_stopped, wait
from exchange.services.settings import Settings

BATCH_COMMANDS = 1_000
BUSY_ROWS = 400
"""A batch of so many means that more will come: the next one may wait a little for company. They
are a hundred orders, or some that each take a dozen others."""
LINGER_S = 0.05
FRAMES_WAITING_MAX = 32
TRANSACTION_IDLE_S = 2
TURN_PAUSE_S = 0.2
STOP_S_MAX = 3.0
TIDY_S = 5.0
CANDLES_AT_ONCE = 5_000

_ADVISORY_LOCK = 0x6578_6368_7772_6974  # "exchwrit"

POSITION = prometheus_client.Gauge(
    "exchange_database_position", "Number of the last outcome that is in Postgres."
)
COMMIT_SECONDS = prometheus_client.Histogram(
    "exchange_database_commit_seconds",
    "How long the transaction of one batch takes.",
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 2.0),
)
BATCH_SIZE = prometheus_client.Histogram(
    "exchange_database_batch_commands",
    "Commands in one transaction.",
    buckets=(1, 3, 10, 30, 100, 300, 1_000, 3_000),
)

log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """One life of a db-processor, from nothing to writing; ends by `stop` or by an exception."""
    # Its sentence stays: what an operator has to do is said until it is done.
    health.ready = False
    await check(settings.redis_url, may_be_unchecked=settings.may_be_unchecked)
    dsn = settings.database_dsn()
    async with connected(
        dsn, application_name="exchange-db-processor", transaction_idle_s=TRANSACTION_IDLE_S
    ) as connection:
        await require_schema(connection)
        await _check_durability(connection)
        if not await _await_turn(connection, health, stop):
            return
        async with await Outcomes.open(settings.redis_url) as outcomes:
            await outcomes.cluster(await cluster_uuid(dsn))
            position = await _read_position(connection)
            await _check_journal(outcomes, position.number)
            health.set(True, "writing")
            log.info("writing", position=position.number)
            # Where answers wait for the commit, the next ones are those that wait for company.
            linger_s = 0.0 if settings.ack == "postgres" else LINGER_S
            processor = _Processor(connection, outcomes, position, linger_s)
            await processor.run(stop, audit_for_ever(settings))


class _Processor:
    """Reads ahead, so that the next batch is there when the last one is committed."""

    def __init__(
        self,
        connection: asyncpg.Connection,
        outcomes: Outcomes,
        position: Position,
        linger_s: float,
    ) -> None:
        self._connection = connection
        self._outcomes = outcomes
        self._number = position.number
        self._linger_s = linger_s
        self._busy = False
        self._time = asyncio.get_running_loop().time
        self._retention = Retention(position.number, self._time())
        self._tidied = self._time()
        # None says that there is nothing more for the moment.
        self._waiting: asyncio.Queue[OutcomeFrame | None] = asyncio.Queue(FRAMES_WAITING_MAX)
        POSITION.set(position.number)

    async def run(self, stop: asyncio.Event, auditing: Awaitable[None]) -> None:
        # The writer ends by itself, some time after `stop`, and the others never do.
        await until_stopped(
            asyncio.Event(), self._read(), self._write(stop), self._wake(stop), auditing
        )

    async def _read(self) -> None:
        try:
            tail = self._outcomes.tail(self._number, frames_max=FRAMES_WAITING_MAX)
            async with aclosing(tail):
                async for frames in tail:
                    for frame in frames:
                        await self._waiting.put(frame)
                    if not frames:
                        await self._waiting.put(None)
        except ChainBroken as fault:
            raise JournalGap(str(fault)) from fault

    async def _wake(self, stop: asyncio.Event) -> None:
        """Let the writer see that it is to stop, though nothing has come."""
        await stop.wait()
        await self._waiting.put(None)
        await asyncio.Event().wait()

    async def _write(self, stop: asyncio.Event) -> None:
        """Until `stop`, and then up to where the outcomes end at that moment."""
        target: int | None = None
        until = float("inf")
        while target is None or (self._number < target and self._time() < until):
            if batch := await self._batch():
                await self._commit(batch)
            # Also when there is nothing new: a backend may have begun to listen since.
            await self._outcomes.publish_position(self._number)
            if self._time() - self._tidied > TIDY_S:
                await self._tidy()
            if target is None and stop.is_set():
                target, until = await self._outcomes.top(), self._time() + STOP_S_MAX
        log.info("stopped", position=self._number)

    async def _batch(self) -> list[OutcomeFrame]:
        """What is there; under load a little more, since many commands share one commit well."""
        frames: list[OutcomeFrame] = []
        commands = rows = 0
        frame = await self._waiting.get()
        try:
            async with asyncio.timeout(self._linger_s if self._busy else 0):
                while frame is not None:
                    frames.append(frame)
                    commands += len(frame.outcomes)
                    rows += sum(len(outcome.rows) for outcome in frame.outcomes)
                    if commands >= BATCH_COMMANDS:
                        break
                    frame = await self._waiting.get()
        except TimeoutError:
            pass  # Nothing more has come in time.
        self._busy = rows >= BUSY_ROWS
        return frames

    async def _commit(self, batch: Sequence[OutcomeFrame]) -> None:
        commands = sum(len(frame.outcomes) for frame in batch)
        began = time.perf_counter()
        with COMMIT_SECONDS.time():
            position = await write(self._connection, batch)
        self._number = position.number
        self._retention.note(position.number, commands, self._time())
        POSITION.set(position.number)
        BATCH_SIZE.observe(commands)
        for frame in batch:
            tracing.note_work("write", frame.outcomes, began=began)

    async def _tidy(self) -> None:
        self._tidied = now = self._time()
        # A journal that somebody has emptied is as quiet as one that nobody writes to.
        await _check_journal(self._outcomes, self._number)
        used, limit = await self._outcomes.memory()
        share = used / limit if limit else 0.0
        number = self._retention.droppable(now, memory_share=share)
        if number is not None:
            await self._outcomes.trim(number)
        oldest = now_us() - SECONDS_KEPT
        with reporting_failures():
            await self._connection.execute(_DELETE_SECONDS, oldest, CANDLES_AT_ONCE)


async def _check_durability(connection: asyncpg.Connection) -> None:
    """What Postgres says is committed must be so, or the streams are trimmed too early."""
    wrong = []
    for setting in ("fsync", "synchronous_commit"):
        with reporting_failures():
            if await connection.fetchval(f"SHOW {setting}") == "off":
                wrong.append(setting)
    if wrong:
        raise OperatorNeeded(
            f"Postgres does not keep what it commits: set {' and '.join(wrong)} to on."
        )


async def _await_turn(connection: asyncpg.Connection, health: Health, stop: asyncio.Event) -> bool:
    """Whether this process may write; a second one stands by until the first has ended."""
    said = False
    while True:
        with reporting_failures():
            if await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ADVISORY_LOCK):
                return True
        health.set(True, "standing by: another db-processor writes")
        if not said:
            log.info("standing by")
            said = True
        if await wait(stop, TURN_PAUSE_S):
            return False


async def _read_position(connection: asyncpg.Connection) -> Position:
    with reporting_failures():
        return Position(
            *await connection.fetchrow("SELECT number, state_hash, epoch FROM position")
        )


async def _check_journal(outcomes: Outcomes, number: int) -> None:
    if number and not await outcomes.top():
        raise JournalLost(number)


# Market by market, so that the primary key serves.
_DELETE_SECONDS = f"""
    DELETE FROM candles USING markets CROSS JOIN LATERAL (
        SELECT symbol, interval, open_time FROM candles old
        WHERE old.symbol = markets.symbol AND old.interval = '{Interval.SECOND_1}'
            AND old.open_time < $1
        ORDER BY old.open_time LIMIT $2
    ) old
    WHERE (candles.symbol, candles.interval, candles.open_time)
        = (old.symbol, old.interval, old.open_time)
"""  # noqa: S608, our own constant
