"""Poison: a command that ends the engine again and again is found, refused, and reported.

At start the engine counts in Postgres its starts from where it stands. When it got nowhere twice, it
applies what waits one command at a time, and writes down each number first: the one that is written
down already has ended the engine before, and is journalled as refused.
"""

from collections import deque
from contextlib import suppress

import prometheus_client
import structlog

from exchange.engine.replica import Replica
from exchange.postgres_db import alarms
from exchange.postgres_db.engine_starts import StartLog
from exchange.redis.leadership import Leadership
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.failures import WorldFailed
from exchange.services.messages import OutcomeFrame

STARTS_BEFORE_CAUTION = 2

POISON = prometheus_client.Counter(
    "exchange_engine_poison_total", "Commands that were refused because they ended the engine."
)

log = structlog.get_logger()


class Caution:
    """Use `Caution.begin`, once for each time that an engine leads, and `end`."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._starts: StartLog | None = None
        self._suspect: int | None = None
        self._until = 0

    @classmethod
    async def begin(cls, dsn: str, position: int, command_top: int) -> "Caution":
        """Of an engine that leads from `position`, while commands wait up to `command_top`."""
        caution = cls(dsn)
        # Where nothing waits, nothing of it can have ended anybody.
        if command_top > position:
            await caution._begin(position, command_top)
        return caution

    def end(self) -> None:
        self._until = 0
        if self._starts is not None:
            self._starts.close()

    def is_due(self, replica: Replica) -> bool:
        """Whether the next command has to be executed alone."""
        return replica.position < self._until

    async def execute(
        self, command: AnyCommand | Undecodable, replica: Replica, leadership: Leadership, now: int
    ) -> OutcomeFrame:
        """Have one command executed or refused, and append what it led to."""
        assert self._starts is not None
        number = replica.position + 1
        if number == self._suspect:
            await self._report(number, command)
            frame = replica.refuse(command, now, "It ended the engine each time.")
        else:
            await self._starts.note(number)
            frame = replica.execute(deque([command]), now)
        try:
            await leadership.append(frame)
        except WorldFailed:
            # We are alive: whatever keeps it from being journalled, the command is no poison.
            with suppress(WorldFailed):
                await self._starts.note(None)
            raise
        if number in (self._suspect, self._until):
            await self._starts.note(None)
            self.end()
        return frame

    async def _begin(self, position: int, command_top: int) -> None:
        self._starts = await StartLog.open(self._dsn)
        starts = await self._starts.count(position)
        is_suspicious = starts.attempt == position + 1
        if starts.count <= STARTS_BEFORE_CAUTION and not is_suspicious:
            self.end()
            return
        self._until, self._suspect = command_top, starts.attempt
        log.warning("careful", position=position, starts=starts.count, until=command_top)

    async def _report(self, number: int, command: AnyCommand | Undecodable) -> None:
        kind = type(command).__name__
        sentence = (
            f"Command {number} ({kind}) ended the engine each time, and was refused at last."
            " Keep the journal and report it: it shows a fault of the engine."
        )
        POISON.inc()
        log.critical(sentence)
        await alarms.raise_alarm(self._dsn, f"poison-{number}", sentence)
