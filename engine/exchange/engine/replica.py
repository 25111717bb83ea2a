"""An engine's state at a position: loaded from Postgres, brought forward by outcomes or commands."""

from collections import deque

import structlog

from exchange.engine.horizon import Horizon
from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.state_hash import StateHash, last_states
from exchange.postgres_db.snapshot import Snapshot, open_snapshot
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.messages import Opened, Outcome, OutcomeFrame, Reason, Rejected, Result

FRAME_OUTCOMES_MAX = 512
FRAME_ROWS_MAX = 2_000
"""About 256 KB. One outcome is never split, however large it is."""

NOT_COMPARABLE = -1
"""Stands for the hash of rows that an earlier version has written."""

log = structlog.get_logger()


class HashMismatch(OperatorNeeded):
    """What was loaded or followed is not the state that was journalled."""


class Replica:
    """The live state, its hash, and the number of the last outcome in it."""

    def __init__(self, position: int = 0, epoch: int = 0) -> None:
        self.engine = MatchingEngine()
        self.state_hash = StateHash(self.engine.requests)
        self.position = position
        self.loaded_position = position
        self.epoch = epoch
        self._horizon = Horizon()

    def execute(self, commands: deque[AnyCommand | Undecodable], now: int) -> OutcomeFrame:
        """Take commands from the left, as many as fit a frame, and frame what they led to."""
        outcomes: list[Outcome] = []
        rows = 0
        while commands and len(outcomes) < FRAME_OUTCOMES_MAX and rows < FRAME_ROWS_MAX:
            number = self.position + 1 + len(outcomes)
            outcome = self.engine.apply(number, commands.popleft(), now)
            outcomes.append(outcome)
            rows += len(outcome.rows)
        return self._frame(tuple(outcomes), now)

    def refuse(self, command: AnyCommand | Undecodable, now: int, detail: str) -> OutcomeFrame:
        """Frame the refusal of a command that must not be executed; its request is remembered."""
        uid, request, deadline = 0, None, 0
        if not isinstance(command, Undecodable):
            uid, request, deadline = command.uid, command.request, command.deadline
        outcome = Outcome(
            number=self.position + 1,
            time=now,
            uid=uid,
            request=request,
            deadline=deadline,
            result=Rejected(reason=Reason.POISON, detail=detail),
        )
        self.engine.follow(outcome)
        return self._frame((outcome,), now)

    def open(self, number: int, now: int) -> OutcomeFrame:
        """The frame that begins a generation: every counter as it is from there on."""
        result: Result = Opened(epoch=self.epoch, base=number)
        counters = self.engine.counters()
        opened = Outcome(
            number=number, time=now, uid=0, request=None, deadline=0, result=result, rows=counters
        )
        return self._frame((opened,), now)

    def follow(self, frames: list[OutcomeFrame]) -> None:
        """Take over frames that another engine has appended, and check that we agree."""
        for frame in frames:
            assert frame.previous == self.position, (frame.previous, self.position)
            rows = [row for outcome in frame.outcomes for row in outcome.rows]
            states = last_states(rows)
            self.engine.follow_all(frame.outcomes, rows, states.values())
            self.state_hash.take(states)
            self.engine.requests.forget(frame.requests_since)
            self._horizon.note(frame.time, frame.outcomes)
            if self.state_hash.value != frame.state_hash:
                raise HashMismatch(
                    f"The state after outcome {frame.last} is not the one that was journalled."
                    " Nothing was written. Compare the stores before you start another engine."
                )
            self.position = frame.last

    def _frame(self, outcomes: tuple[Outcome, ...], now: int) -> OutcomeFrame:
        self.state_hash.update(row for outcome in outcomes for row in outcome.rows)
        self._horizon.note(now, outcomes)
        since = self._horizon.since
        self.engine.requests.forget(since)
        frame = OutcomeFrame(
            epoch=self.epoch,
            previous=self.position,
            time=now,
            state_hash=self.state_hash.value,
            outcomes=outcomes,
            forgets=since,
        )
        self.position = frame.last
        return frame


async def load(database_dsn: str) -> Replica:
    """The state that Postgres holds, its hash checked.

    Raises HashMismatch where the rows are not what was journalled, WorldFailed where it is away.
    """
    async with open_snapshot(database_dsn, application_name="engine") as snapshot:
        replica = await load_snapshot(snapshot)
    log.info(
        "loaded",
        position=replica.position,
        open_orders=sum(len(book.orders) for book in replica.engine.books.values()),
    )
    return replica


async def load_snapshot(snapshot: Snapshot) -> Replica:
    """The state that a snapshot holds."""
    replica = Replica(snapshot.position.number, snapshot.position.epoch)
    rows = [
        *await snapshot.control_rows(),
        *await snapshot.balances(),
        *await snapshot.open_lists(),
        *await snapshot.open_orders(),
        *await snapshot.open_withdrawals(),
        *await snapshot.last_act(),
    ]
    for row in rows:
        replica.engine.restore(row)
    replica.state_hash.update(rows)
    for signed in await snapshot.requests():
        replica.engine.requests.remember(signed)
    expected = snapshot.position.state_hash
    if expected not in (replica.state_hash.value, NOT_COMPARABLE) and snapshot.position.number:
        raise HashMismatch(
            f"The rows in Postgres are not the state that was journalled at {replica.position}."
            " Somebody else has changed them: restore the database from a backup."
        )
    # References that are used stay used, long after what they named has ended.
    for transfer in await snapshot.transfers_by_reference():
        replica.engine.restore(transfer)
    for withdrawal in await snapshot.closed_withdrawals():
        replica.engine.restore(withdrawal)
    return replica


def check_claim(replica: Replica, outcome_top: int) -> None:
    """A new leader may be ahead of the stream only by what Postgres has kept of a lost tail."""
    if replica.position > max(outcome_top, replica.loaded_position):
        raise WorldFailed(f"the stream ends at {outcome_top}, behind what this engine has followed")
