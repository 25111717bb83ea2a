"""The commands executed again, from the same state: do they come out as they were journalled?"""

from collections.abc import Mapping

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.state_hash import StateHash
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.messages import JUMP, Opened, Outcome, OutcomeFrame, Reason, Rejected, encode
from exchange.services.rows import Counters


class Reexecution:
    """An engine that is given what another one was given, and its outcomes to compare with."""

    def __init__(self, engine: MatchingEngine, state_hash: StateHash, position: int) -> None:
        self.position = position
        self._engine = engine
        self._hash = state_hash
        self._epoch = 0
        self._jumped: set[str] = set()

    @classmethod
    def from_genesis(cls) -> "Reexecution":
        """A new exchange, which has the account of the exchange and nothing else."""
        engine = MatchingEngine()
        state_hash = StateHash(engine.requests)
        state_hash.update(engine.registry.accounts.values())
        return cls(engine, state_hash, 0)

    def take(
        self, frame: OutcomeFrame, commands: Mapping[int, AnyCommand | Undecodable]
    ) -> str | None:
        """Execute what led to a frame; how it came out differently, in a sentence.

        After a difference the state is another one: there is nothing more to compare.
        """
        if frame.epoch != self._epoch:
            self._epoch, self._jumped = frame.epoch, set()
        for recorded in frame.outcomes:
            made = self._make(recorded, commands.get(recorded.number))
            if made is None:
                return f"command {recorded.number} is not in the journal"
            if not _are_same(made, recorded):
                return _difference(made, recorded)
            self._hash.update(made.rows)
        self._engine.requests.forget(frame.requests_since)
        self.position = frame.last
        if self._hash.value != frame.state_hash:
            return f"the state after {frame.last} has another hash than was journalled"
        return None

    def _make(self, recorded: Outcome, command: AnyCommand | Undecodable | None) -> Outcome | None:
        self._jump(recorded)
        if isinstance(recorded.result, Opened):
            return Outcome(
                number=recorded.number,
                time=recorded.time,
                uid=0,
                request=None,
                deadline=0,
                result=recorded.result,
                rows=self._engine.counters(),
            )
        if isinstance(recorded.result, Rejected) and recorded.result.reason is Reason.POISON:
            # It may be what ended an engine: it is not tried again.
            self._engine.follow(recorded)
            return recorded
        if command is None:
            return None
        return self._engine.apply(recorded.number, command, recorded.time)

    def _jump(self, recorded: Outcome) -> None:
        """Move counters on as the leader did, before what was left when it opened the gate.

        It shows where they are seen for the first time under an epoch: no outcome moves one so far
        by itself. Those that are not seen were not kept, should the leader have ended there.
        """
        for row in recorded.rows:
            if isinstance(row, Counters) and row.symbol not in self._jumped:
                self._jumped.add(row.symbol)
                book = self._engine.books.get(row.symbol)
                if book is not None and row.order_id - book.order_id >= JUMP:
                    book.jump((row.order_id - book.order_id) // JUMP * JUMP)


def _are_same(made: Outcome, recorded: Outcome) -> bool:
    """Equal but for the order in which things are listed that are independent of each other."""
    if made == recorded:
        return True
    parts = (made.number, made.time, made.uid, made.request, made.deadline, made.result)
    if parts != (
        recorded.number, recorded.time, recorded.uid, recorded.request, recorded.deadline,
        recorded.result,
    ):  # fmt: skip
        return False
    return sorted(map(encode, made.rows)) == sorted(map(encode, recorded.rows))


def _difference(made: Outcome, recorded: Outcome) -> str:
    place = f"command {recorded.number} came out differently"
    if made.result != recorded.result:
        return f"{place}: {_text(made.result)} instead of {_text(recorded.result)}"
    ours, theirs = list(map(encode, made.rows)), list(map(encode, recorded.rows))
    only_ours = next((row for row in ours if row not in theirs), b"nothing")
    only_theirs = next((row for row in theirs if row not in ours), b"nothing")
    return f"{place}: {only_ours.decode()} instead of {only_theirs.decode()}"


def _text(value: object) -> str:
    return encode(value).decode()
