"""The outcomes: what every command led to, appended by the leading engine, followed by all.

Readers either pull them from the stream (`tail`: never more in memory than one read) or listen on
the channel of the same name (`follow`: no read per frame); whatever a listener misses it takes
from the stream.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from types import TracebackType

import msgspec

from exchange.redis.connection import CommandRefused, Connection, ConnectionLost
from exchange.redis.journal import COMMANDS, RUN, TOP, ChainBroken
from exchange.services.failures import OperatorNeeded
from exchange.services.messages import Opened, Outcome, OutcomeFrame, decode_frame

OUTCOMES = "j:out"
POSITION = "j:position"
"""Channel: the number up to which Postgres is written."""
CLUSTER = "j:cluster"
"""The uuid of the database that this journal belongs to."""

FRAMES_WAITING_MAX = 4_096
RECONNECT_S_MAX = 2.0

_READ_FRAMES = 256
_BLOCK_MS = 1_000
_IDLE_S = 0.25


class Outcomes:
    """Use `Outcomes.open`, and `close` or `async with`."""

    def __init__(self, url: str, connection: Connection) -> None:
        self._url = url
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> "Outcomes":
        return cls(url, await Connection.open(url, name="outcomes"))

    async def __aenter__(self) -> "Outcomes":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    async def top(self) -> int:
        """The number of the last outcome; 0 before the first."""
        return int(await self._connection.call("HGET", TOP, "out") or 0)

    async def tops(self) -> tuple[int, int, int]:
        """The last command, the last outcome, and the epoch that leads."""
        values = await self._connection.call("HMGET", TOP, "cmd", "out", "epoch")
        command, outcome, epoch = (int(value or 0) for value in values)
        return command, outcome, epoch

    async def gate_open(self) -> bool:
        """Whether the Redis process that runs now takes commands."""
        return await self._runs(await self._connection.call("GET", RUN))

    async def may_be_led(self) -> bool:
        """Whether an engine has claimed the Redis process that runs now: a claim ends with it."""
        claimed = await self._connection.call("HGET", TOP, "run")
        # Engines of the version before this one note no claim, but they open the gate.
        return await self._runs(claimed) or await self.gate_open()

    async def _runs(self, run_id: bytes | None) -> bool:
        information = (await self._connection.call("INFO", "server")).decode()
        return run_id is not None and f"run_id:{run_id.decode()}" in information

    async def find(self, number: int) -> Outcome | None:
        """One outcome from the stream; None where it was trimmed away or is still to come."""
        frames = await self._range(self._connection, number - 1, count=1)
        for frame in frames:
            for outcome in frame.outcomes:
                if outcome.number == number:
                    return outcome
        return None

    async def tail(
        self, position: int, *, frames_max: int
    ) -> AsyncGenerator[list[OutcomeFrame], None]:
        """All frames after `position`, pulled in order; [] about once a second when there are none.

        Raises ChainBroken on a gap, and ConnectionLost.
        """
        connection = await Connection.open(self._url, name="outcomes-tail")
        try:
            while True:
                reply = await connection.call(
                    "XREAD", "COUNT", frames_max, "BLOCK", _BLOCK_MS,
                    "STREAMS", OUTCOMES, f"0-{position}",
                )  # fmt: skip
                frames = [outcome_frame(fields) for _, fields in reply[0][1]] if reply else []
                position = _check_chain(frames, position)
                yield frames
        finally:
            connection.close()

    async def follow(self, position: int) -> AsyncGenerator[list[OutcomeFrame], None]:
        """All frames after `position`, as they are published; [] now and then when there are none.

        Keeps its place over a lost connection, unless the server has lost what was followed.
        Raises ChainBroken then and on a gap, and ConnectionLost when Redis stays away for longer
        than two seconds.
        """
        loop = asyncio.get_running_loop()
        lost_since: float | None = None
        followed: OutcomeFrame | None = None
        while True:
            try:
                async for frames in self._listen(position, followed):
                    position = _check_chain(frames, position)
                    followed = frames[-1] if frames else followed
                    lost_since = None
                    yield frames
            except (ConnectionLost, CommandRefused):
                lost_since = lost_since or loop.time()
                if loop.time() - lost_since > RECONNECT_S_MAX:
                    raise
                await asyncio.sleep(0.05)

    async def publish_position(self, number: int) -> None:
        """Tell all backends how far Postgres is; only a hint, so nobody waits for its delivery."""
        await self._connection.call("PUBLISH", POSITION, number)

    async def positions(self) -> AsyncGenerator[int, None]:
        """The numbers given to publish_position, newest only; raises ConnectionLost."""
        newest: deque[int] = deque(maxlen=1)
        async with _Subscription(
            self._url, POSITION, lambda data: newest.append(int(data))
        ) as feed:
            while True:
                await feed.arrival(_IDLE_S)
                if newest:
                    yield newest.pop()

    async def trim(self, number: int) -> None:
        """Drop what both streams hold at or below a number that is safe elsewhere."""
        for stream in (COMMANDS, OUTCOMES):
            await self._connection.call("XTRIM", stream, "MINID", "~", f"0-{number + 1}")

    async def memory(self) -> tuple[int, int]:
        """Bytes used by Redis, and its maxmemory (0: unlimited)."""
        text = (await self._connection.call("INFO", "memory")).decode()
        fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
        return int(fields["used_memory"]), int(fields["maxmemory"])

    async def cluster(self, uuid: str) -> None:
        """Mark an unmarked journal as this database's, or refuse one that is another's."""
        if await self.mark() is None:
            # Only then: a Redis without memory refuses to write even what is there already.
            await self._connection.call("SET", CLUSTER, uuid, "NX")
        if (found := await self.mark()) != uuid:
            raise OperatorNeeded(
                f"This Redis holds the journal of another exchange ({found}), not of this database"
                f" ({uuid}). Check REDIS_URL and DATABASE_URL."
            )

    async def mark(self) -> str | None:
        """The uuid of the database that this journal belongs to; None where it has no mark."""
        found = await self._connection.call("GET", CLUSTER)
        return None if found is None else str(found.decode())

    async def adopt(self, uuid: str) -> None:
        """Mark an empty journal as that of another database than before."""
        assert await self.top() == 0
        await self._connection.call("SET", CLUSTER, uuid)

    async def _listen(
        self, position: int, followed: OutcomeFrame | None
    ) -> AsyncGenerator[list[OutcomeFrame], None]:
        """Frames after `position` from the channel, and from the stream wherever one is missing."""
        waiting: deque[bytes] = deque(maxlen=FRAMES_WAITING_MAX)
        async with _Subscription(self._url, OUTCOMES, waiting.append) as feed:
            if followed is not None:
                await self._check_held(feed.reading, followed)
            # Subscribed first, then read: between the two nothing can be missed.
            behind = True
            while True:
                frames, gap = _successors(waiting, position)
                behind = behind or gap
                if behind and not frames:
                    frames = await self._range(feed.reading, position, count=_READ_FRAMES)
                    behind = len(frames) == _READ_FRAMES
                if frames:
                    position = frames[-1].last
                yield frames
                if not waiting and not behind:
                    # After a silence, look: a message may have been lost without a trace.
                    behind = not await feed.arrival(_IDLE_S)

    @staticmethod
    async def _check_held(connection: Connection, followed: OutcomeFrame) -> None:
        """Raise ChainBroken unless the stream still holds what was followed last, as it was.

        A server that lost its tail may have got other outcomes with the same numbers since.
        """
        identifier = f"0-{followed.last}"
        reply = await connection.call("XRANGE", OUTCOMES, identifier, identifier)
        if [outcome_frame(fields) for _, fields in reply] != [followed]:
            raise ChainBroken(f"outcome {followed.last} is not in the stream as it was followed")

    @staticmethod
    async def _range(connection: Connection, position: int, *, count: int) -> list[OutcomeFrame]:
        reply = await connection.call("XRANGE", OUTCOMES, f"0-{position + 1}", "+", "COUNT", count)
        return [outcome_frame(fields) for _, fields in reply]


class _Subscription:
    """A channel, and a second connection for reading while the first one listens."""

    def __init__(self, url: str, channel: str, take: Callable[[bytes], None]) -> None:
        self._url = url
        self._channel = channel
        self._take = take
        self._arrived = asyncio.Event()
        self._listening: Connection | None = None
        self.reading: Connection

    async def __aenter__(self) -> "_Subscription":
        self._listening = await Connection.open(
            self._url, name="listener", on_message=self._on_message
        )
        try:
            self.reading = await Connection.open(self._url, name="listener-reads")
            await self._listening.call("SUBSCRIBE", self._channel)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._listening is not None:
            self._listening.close()
        if hasattr(self, "reading"):
            self.reading.close()

    async def arrival(self, seconds: float) -> bool:
        """Whether a message came in time; raises ConnectionLost when the server is gone."""
        assert self._listening is not None
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            await self._listening.call("PING")
            return False
        self._arrived.clear()
        return True

    def _on_message(self, _channel: bytes, data: bytes) -> None:
        self._take(data)
        self._arrived.set()


def _successors(waiting: deque[bytes], position: int) -> tuple[list[OutcomeFrame], bool]:
    """What waits, as far as it continues from `position`, and whether a gap cut it short."""
    frames: list[OutcomeFrame] = []
    while waiting:
        frame = decode_frame(waiting.popleft())
        if frame.last <= position:
            continue
        if frame.previous != position:
            # The stream has all of it, in order.
            waiting.clear()
            return frames, True
        frames.append(frame)
        position = frame.last
    return frames, False


def outcome_frame(fields: list[bytes]) -> OutcomeFrame:
    """What stands in a stream entry; raises OperatorNeeded where it cannot be read."""
    values = dict(zip(fields[::2], fields[1::2], strict=True))
    try:
        return decode_frame(values[b"p"])
    except msgspec.MsgspecError as fault:
        raise OperatorNeeded(
            f"An outcome in Redis cannot be read by this version: {fault}"
        ) from None


def _check_chain(frames: list[OutcomeFrame], position: int) -> int:
    """The position after `frames`; raises ChainBroken unless each continues the one before."""
    for frame in frames:
        if frame.previous != position:
            raise ChainBroken(f"an outcome follows {frame.previous}, but {position} was the last")
        numbers = [outcome.number for outcome in frame.outcomes]
        opens = isinstance(frame.outcomes[0].result, Opened)
        expected = numbers if opens else list(range(position + 1, position + 1 + len(numbers)))
        if numbers != expected or (opens and len(numbers) != 1):
            raise ChainBroken(f"numbers {numbers[0]} to {numbers[-1]} do not follow {position}")
        position = frame.last
    return position
