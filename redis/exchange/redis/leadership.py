"""Which engine leads: a claim in Redis that every append is checked against.

Safety is the check in `append`: an older epoch cannot write. The heartbeat (heartbeat.py) only says
when to try.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from exchange.redis.connection import CommandRefused, Connection, ConnectionLost
from exchange.redis.heartbeat import HEARTBEAT_S, LEADER, Heartbeat
from exchange.redis.journal import COMMANDS, LEAP, RUN, TOP
from exchange.redis.outcomes import OUTCOMES
from exchange.redis.scripts import APPEND, CLAIM, CLOSE, OPEN, Script
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.messages import OutcomeFrame, encode

SILENCE_S = 0.5
APPEND_AGAIN_S_MAX = 2.0
MEMORY_PAUSE_S = 0.2
HANDOVER = b"handover"


class Fenced(WorldFailed):
    """Another engine leads, or this is not the Redis that was claimed: stop being a leader."""


class Claim(msgspec.Struct, frozen=True):
    """What a new leader finds: the tops of both streams and whether the gate is open."""

    epoch: int
    run_id: str
    command_top: int
    outcome_top: int
    gate_open: bool


class Leadership:
    """An engine's connection for writing. Use `Leadership.open`."""

    def __init__(self, url: str, connection: Connection) -> None:
        self._url = url
        self._connection = connection
        self._run_id = ""
        self._epoch = 0
        self._top = 0

    @classmethod
    async def open(cls, url: str) -> "Leadership":
        return cls(url, await _open(url))

    def close(self) -> None:
        self._connection.close()

    async def claim(self, epoch: int) -> Claim:
        """Take over under a new, greater epoch. Raises Fenced if a greater one has come before."""
        word, *values = await CLAIM.run(self._connection, [TOP, RUN, COMMANDS, OUTCOMES], epoch)
        if word == "EPOCH":
            raise Fenced(f"epoch {epoch} is behind {values[0].decode()}")
        if word == "TORN":
            raise OperatorNeeded(
                f"The journal in Redis was changed by somebody else: {values[0].decode()}."
                " Restore its volume from before that."
            )
        run_id, command_top, outcome_top, gate = (value.decode() for value in values)
        self._run_id, self._epoch, self._top = run_id, epoch, int(outcome_top)
        return Claim(epoch, run_id, int(command_top), int(outcome_top), gate == "open")

    async def append(self, frame: OutcomeFrame) -> None:
        """Journal outcomes and publish them; they are durable when this returns.

        Raises Fenced when this engine does not lead any more, or cannot know in time.
        """
        await self._write(
            APPEND, [OUTCOMES, TOP], frame.last, len(frame.outcomes), frame.time, encode(frame)
        )

    async def append_all(self, frames: Sequence[OutcomeFrame]) -> None:
        """As `append` does with one after the other, but they share few syncs of the disk.

        After ConnectionLost some or all of them may be written, and nothing is sent again.
        """
        writes = []
        for frame in frames:
            number, payload = frame.last, encode(frame)
            expected, self._top = self._top, number
            writes.append(
                APPEND.run(
                    self._connection, [OUTCOMES, TOP], self._run_id, self._epoch, expected, number,
                    len(frame.outcomes), frame.time, payload,
                )
            )  # fmt: skip
        for word, *_ in await asyncio.gather(*writes):
            if word != "OK":
                raise Fenced(f"an append was refused: {word}")

    async def confirm(self) -> None:
        """Raises Fenced where another engine has claimed, or the journal is gone.

        Every append finds out by itself; this is for a leader that has nothing to append.
        """
        epoch = int(await self._connection.call("HGET", TOP, "epoch") or 0)
        if epoch != self._epoch:
            raise Fenced(f"the journal is led by epoch {epoch}, not {self._epoch}")

    async def leap(self) -> int | None:
        """How much further than otherwise the next generation begins, in whole jumps; None if
        nobody has said so.

        Whoever puts an older state in the place of a newer one does (`exchange snapshot load`).
        """
        found = await self._connection.call("GET", LEAP)
        return None if found is None else int(found)

    async def forget_leap(self) -> None:
        """It was made."""
        await self._connection.call("DEL", LEAP)

    async def open_gate(self, frame: OutcomeFrame) -> None:
        """Append the frame of an `Opened`, and let this Redis take commands after its number."""
        await self._write(
            OPEN, [OUTCOMES, TOP, RUN, COMMANDS], frame.last, frame.time, encode(frame)
        )

    async def close_gate(self, last: int) -> bool:
        """Take no more commands, if `last` is the last one; says whether that was so."""
        word, *_ = await CLOSE.run(self._connection, [TOP, RUN], self._epoch, last)
        return bool(word == "OK")

    def beating(self) -> Heartbeat:
        """Say that this engine leads, for as long as a `with` block of it runs."""
        return Heartbeat(self._url, self._epoch)

    async def hand_over(self) -> bool:
        """Tell a standby to take over at once; says whether there is one."""
        return int(await self._connection.call("PUBLISH", LEADER, HANDOVER)) > 0

    async def _write(
        self, script: Script, keys: list[str], last: int, *arguments: bytes | int
    ) -> None:
        """Run an appending script until its effect is certain.

        After a lost connection the same bytes are sent again: if they had landed, the script finds
        its own number on top and changes nothing.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + APPEND_AGAIN_S_MAX
        while True:
            try:
                word, *_ = await script.run(
                    self._connection, keys, self._run_id, self._epoch, self._top, last, *arguments
                )
            except CommandRefused as refusal:
                if not refusal.out_of_memory:
                    raise Fenced(f"Redis refused to append: {refusal}") from None
                # Definite: nothing was written. Trimming will make room.
                await asyncio.sleep(MEMORY_PAUSE_S)
            except ConnectionLost:
                if loop.time() > give_up:
                    raise
                await asyncio.sleep(HEARTBEAT_S)
                await self._reconnect(give_up)
            else:
                if word != "OK":
                    raise Fenced(f"the append after {self._top} was refused: {word}")
                self._top = last
                return

    async def _reconnect(self, give_up: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                self._connection = await _open(self._url)
            except ConnectionLost:
                if loop.time() > give_up:
                    raise
                await asyncio.sleep(HEARTBEAT_S)
            else:
                return


class Vigil:
    """Listens for whoever leads, from the moment it is opened. Use `Vigil.open`, and `close`."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._handed_over = asyncio.Event()
        self._connection: Connection

    @classmethod
    async def open(cls, url: str) -> "Vigil":
        vigil = cls()
        vigil._connection = await Connection.open(url, name="standby", on_message=vigil._hear)
        try:
            await vigil._connection.call("SUBSCRIBE", LEADER)
        except BaseException:
            vigil.close()
            raise
        return vigil

    def close(self) -> None:
        self._connection.close()

    async def vacant(self) -> None:
        """Return when no engine leads: the heartbeat is silent, or the leader hands over.

        Silence counts only on a connection that still answers: a Redis that stands still silences
        everybody, and proves nothing about the leader.
        """
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._heard + SILENCE_S):
                    await self._handed_over.wait()
                    return
            asked = self._loop.time()
            # The answer comes behind all that was said before and that nobody has taken yet.
            await self._connection.call("PING")
            answered = self._loop.time()
            if answered - asked >= HEARTBEAT_S:
                self._heard = answered
            elif self._heard <= asked - SILENCE_S:
                return

    def _hear(self, _channel: bytes, data: bytes) -> None:
        self._heard = self._loop.time()
        if data == HANDOVER:
            self._handed_over.set()
        else:
            self._handed_over.clear()


async def _open(url: str) -> Connection:
    connection = await Connection.open(url, name="leader")
    for script in (CLAIM, APPEND, OPEN, CLOSE):
        await script.load(connection)
    return connection
