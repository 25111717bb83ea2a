"""The journal: every command, in one order, before anything happens to it.

A stream entry is a *frame*: all commands that a backend had waiting. Every command has its own
dense number; the id of a frame is `0-<number of its last command>`.
"""

from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum

import msgspec

from exchange.redis.connection import CommandRefused, Connection, ConnectionLost
from exchange.redis.scripts import INGEST
from exchange.services.commands import AnyCommand, Undecodable, decode_commands
from exchange.services.failures import OperatorNeeded, WorldFailed

COMMANDS = "j:cmd"
TOP = "j:top"
"""Hash: the last numbers of both streams (`cmd`, `out`) and the leading engine's `epoch`."""
RUN = "j:run"
"""The run id of the Redis process for which the gate is open."""
LEAP = "j:leap"
"""How much further than otherwise the next generation begins; see `Leadership.leap`."""

FRAME_COMMANDS_MAX = 512
FRAME_BYTES_MAX = 256 * 1024
CLOCK_TOLERANCE_US = 2_000_000
LAG_MAX = 5_000
"""Commands that may wait for the engine; beyond, what adds exposure is refused."""
NO_LAG_LIMIT = 2**53

_READ_FRAMES = 64
_BLOCK_MS = 200


class Closed(StrEnum):
    """Why a frame was not journalled."""

    CLOSED = "CLOSED"
    CLOCK = "CLOCK"
    BUSY = "BUSY"
    MEMORY = "MEMORY"


class NotIngested(Exception):
    """Nothing of the frame was written, and nothing of it will be."""

    def __init__(self, reason: Closed) -> None:
        super().__init__(reason)
        self.reason = reason


class ChainBroken(WorldFailed):
    """What comes next does not follow what we have: drop the state, start from Postgres."""


class JournalLost(OperatorNeeded):
    """Redis holds nothing, although this exchange has had a journal."""

    def __init__(self, position: int) -> None:
        super().__init__(
            f"The journal in Redis is empty, but the database stands at {position}. Check REDIS_URL,"
            " or restore the volume of Redis. If it is gone for good, `exchange recover"
            " --journal-lost` goes on from the database."
        )


class JournalGap(OperatorNeeded):
    """Between the database and what the streams still hold, something is missing."""

    def __init__(self, where: str) -> None:
        super().__init__(
            f"JOURNAL GAP: {where}. What is missing is neither in Redis nor in Postgres, and nothing"
            " goes on behind a gap. If Postgres was restored, restore a later backup of it, or the"
            " journal of the same time. If neither is left, move the data of Redis away, and"
            " `exchange recover --journal-lost` goes on from the database."
        )


class CommandFrame(msgspec.Struct, frozen=True):
    """Commands with the numbers `first`, `first + 1`, …"""

    first: int
    commands: Sequence[AnyCommand | Undecodable]


class Journal:
    """Use `Journal.open`. One direction per object: a backend appends, an engine follows."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str, *, name: str) -> "Journal":
        connection = await Connection.open(url, name=name)
        await INGEST.load(connection)
        return cls(connection)

    async def append(
        self, payload: bytes, count: int, *, clock: int, lag_max: int = LAG_MAX
    ) -> int:
        """Journal a frame, an encoded list of `count` commands, and return its last number.

        `clock` is the caller's own, in µs. NotIngested is total and definite. ConnectionLost
        leaves open whether the frame was written: it must not be sent again.
        """
        try:
            word, *values = await INGEST.run(
                self._connection,
                [RUN, COMMANDS, TOP],
                clock,
                CLOCK_TOLERANCE_US,
                lag_max,
                count,
                payload,
            )
        except CommandRefused as refusal:
            if refusal.out_of_memory:
                raise NotIngested(Closed.MEMORY) from None
            # Whatever else makes this server refuse a script is not ours to guess at.
            raise ConnectionLost(f"Redis refused to journal: {refusal}") from None
        if word != "OK":
            raise NotIngested(Closed(word))
        return int(values[0])

    async def follow(self, position: int) -> AsyncGenerator[list[CommandFrame], None]:
        """All commands after `position`, in order; [] five times a second when there are none.

        Raises ChainBroken where a number is missing, and ConnectionLost.
        """
        while True:
            reply = await self._connection.call(
                "XREAD", "COUNT", _READ_FRAMES, "BLOCK", _BLOCK_MS,
                "STREAMS", COMMANDS, f"0-{position}",
            )  # fmt: skip
            frames = []
            for identifier, fields in reply[0][1] if reply else ():
                frame = _frame_after(command_frame(identifier, fields), position)
                position = frame.first + len(frame.commands) - 1
                frames.append(frame)
            yield frames

    def close(self) -> None:
        self._connection.close()


def number_of(identifier: bytes) -> int:
    """The number of the last command in a stream entry's frame."""
    return int(identifier.removeprefix(b"0-"))


def command_frame(identifier: bytes, fields: list[bytes]) -> CommandFrame:
    """What stands in a stream entry."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    count, last = int(values[b"n"]), number_of(identifier)
    return CommandFrame(last - count + 1, _commands(values[b"p"], count))


def _frame_after(frame: CommandFrame, position: int) -> CommandFrame:
    """The part of it that lies after `position`."""
    if frame.first > position + 1:
        raise ChainBroken(f"the journal jumps from {position} to {frame.first}")
    known = position + 1 - frame.first
    return CommandFrame(frame.first + known, frame.commands[known:]) if known else frame


def _commands(payload: bytes, count: int) -> Sequence[AnyCommand | Undecodable]:
    try:
        commands = decode_commands(payload)
    except msgspec.MsgspecError as fault:
        return [Undecodable(str(fault))] * count
    if len(commands) != count:
        return [Undecodable(f"{len(commands)} commands in a frame of {count}")] * count
    return commands
