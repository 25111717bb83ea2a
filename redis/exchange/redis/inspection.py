"""A look at both streams from end to end, which changes nothing."""

from collections.abc import AsyncGenerator
from types import TracebackType

from exchange.redis.connection import Connection
from exchange.redis.journal import COMMANDS, command_frame, number_of
from exchange.redis.outcomes import OUTCOMES, outcome_frame
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.messages import OutcomeFrame

_READ_FRAMES = 64


class Inspection:
    """Use `Inspection.open`, and `async with`. Frames are handed out as they are found."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    async def open(cls, url: str) -> "Inspection":
        return cls(await Connection.open(url, name="inspection"))

    async def __aenter__(self) -> "Inspection":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    async def first_outcome(self) -> OutcomeFrame | None:
        """The oldest frame that was not trimmed away."""
        async for frame in self.outcomes(0, until=2**63 - 1):
            return frame
        return None

    async def outcomes(self, after: int, *, until: int) -> AsyncGenerator[OutcomeFrame, None]:
        """Frames whose last number lies in between, oldest first."""
        async for _, fields in self._entries(OUTCOMES, after, until):
            yield outcome_frame(fields)

    async def commands(
        self, after: int, *, until: int
    ) -> AsyncGenerator[tuple[int, AnyCommand | Undecodable], None]:
        """Numbers and commands of frames whose last number lies in between, oldest first."""
        async for identifier, fields in self._entries(COMMANDS, after, until):
            frame = command_frame(identifier, fields)
            for numbered in enumerate(frame.commands, frame.first):
                if numbered[0] > after:
                    yield numbered

    async def _entries(
        self, stream: str, after: int, until: int
    ) -> AsyncGenerator[tuple[bytes, list[bytes]], None]:
        while True:
            reply = await self._connection.call(
                "XRANGE", stream, f"0-{after + 1}", f"0-{until}", "COUNT", _READ_FRAMES
            )
            for identifier, fields in reply:
                after = number_of(identifier)
                yield identifier, fields
            if len(reply) < _READ_FRAMES:
                return
