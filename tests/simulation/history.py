"""What happened in a simulation, as nobody inside could know it: written, lost, seen, answered."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from simulation.redis_server import Write

from exchange.redis.journal import COMMANDS
from exchange.redis.outcomes import OUTCOMES
from exchange.services.commands import AnyCommand, Undecodable, decode_commands
from exchange.services.messages import Outcome, OutcomeFrame, decode_frame


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a client was told: an outcome, or why there will be none, or neither."""

    outcome: Outcome | None = None
    refused: str = ""

    @property
    def is_unknown(self) -> bool:
        return self.outcome is None and not self.refused


UNKNOWN = Answer()


class Asked(msgspec.Struct, kw_only=True, eq=False):
    """A command that a client has sent, and what it has heard of it."""

    client: str
    backend: str
    command: AnyCommand
    began: float
    ended: float = -1.0
    answer: Answer | None = None


class Journalled(msgspec.Struct, eq=False):
    """A frame of commands that Redis has written; `lost` when it was gone again later."""

    first: int
    commands: Sequence[AnyCommand | Undecodable]
    lost: bool = False


class Appended(msgspec.Struct, eq=False):
    """A frame of outcomes likewise. `was_synced`: others may have seen it before it was lost."""

    frame: OutcomeFrame
    lost: bool = False
    was_synced: bool = False


class Seen(msgspec.Struct, eq=False):
    """An outcome that a follower took in."""

    who: str
    time: float
    outcome: Outcome


class History:
    """Everything in order."""

    def __init__(self, *, is_told: bool = False) -> None:
        self.is_told = is_told
        self.asked: list[Asked] = []
        self.journalled: list[Journalled] = []
        self.appended: list[Appended] = []
        self.seen: list[Seen] = []
        self.vanished: set[int] = set()
        """Numbers of outcomes that somebody may have seen before a disk that lied lost them."""
        self.committed: list[int] = []
        """Postgres' position after each commit that moved it."""
        self.claims: dict[int, bool] = {}
        """By epoch, whether the gate was open."""
        self.notes: list[tuple[float, str]] = []
        self.faults: list[str] = []
        """What was found to be wrong while it happened."""
        self._by_write: dict[int, list[Journalled | Appended]] = {}
        self._writes: list[Write] = []

    def wrote(self, write: Write) -> None:
        records: list[Journalled | Appended] = []
        for command in write:
            if command[0].upper() != b"XADD":
                continue
            fields = dict(zip(command[3::2], command[4::2], strict=True))
            key, last = command[1].decode(), int(command[2].removeprefix(b"0-"))
            if key == COMMANDS:
                commands = decode_commands(fields[b"p"])
                records.append(Journalled(last - len(commands) + 1, commands))
                self.journalled.append(records[-1])  # type: ignore[arg-type]
            elif key == OUTCOMES:
                records.append(Appended(decode_frame(fields[b"p"])))
                self.appended.append(records[-1])  # type: ignore[arg-type]
        if records:
            self._by_write[id(write)] = records
            # An id is only good while what it names is there.
            self._writes.append(write)

    def lost(self, writes: Sequence[Write], synced: int) -> None:
        """The first `synced` of them were on the disk, as far as anybody could tell."""
        for index, write in enumerate(writes):
            for record in self._by_write.get(id(write), ()):
                record.lost = True
                if isinstance(record, Appended) and index < synced:
                    record.was_synced = True
                    self.vanished |= {outcome.number for outcome in record.frame.outcomes}

    def commands(self) -> Iterator[tuple[int, AnyCommand, Journalled]]:
        for frame in self.journalled:
            for number, command in enumerate(frame.commands, frame.first):
                if not isinstance(command, Undecodable):
                    yield number, command, frame

    def note(self, time: float, text: str, *details: Any) -> None:
        sentence = " ".join([text, *map(str, details)])
        self.notes.append((time, sentence))
        if self.is_told:
            print(f"{time:9.4f} >>> {sentence}", file=sys.stderr)
