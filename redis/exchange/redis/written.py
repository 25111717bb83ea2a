"""Outcomes that are told only when Postgres has them, too: what ACK=postgres means.

Whoever follows these instead of the outcomes themselves can tell nobody anything that would be
gone with the disk of Redis.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection
from contextlib import aclosing

from exchange.redis.journal import LAG_MAX, ChainBroken
from exchange.redis.outcomes import Outcomes
from exchange.services.failures import WorldFailed
from exchange.services.messages import Opened, OutcomeFrame

POLL_S = 0.05
AGAIN_S = 0.2
IDLE_S = 0.25
BEHIND_S_MAX = 2.0
HELD_FRAMES_MAX = 1_024

Generations = Collection[tuple[int, int]]
"""Of each generation the first number and the epoch."""

Ask = Callable[[int], Awaitable[tuple[int, Generations]]]
"""What Postgres says, in one statement: how far it is, and which generations began after a number."""


class WrittenOutcomes:
    """Follows the outcomes, and holds each frame back until Postgres has it."""

    def __init__(self, outcomes: Outcomes, ask: Ask) -> None:
        self._outcomes, self._ask = outcomes, ask
        self._held: deque[tuple[OutcomeFrame, float]] = deque()
        self._held_outcomes = 0
        self._told = 0
        # What to wait for: a frame to hold, room for more, word of Postgres, frames to tell.
        self._arrived, self._left = asyncio.Event(), asyncio.Event()
        self._hinted, self._changed = asyncio.Event(), asyncio.Event()
        self._ready: list[OutcomeFrame] = []

    @property
    def is_behind(self) -> bool:
        """Whether Postgres is so far behind that what adds to its work has to wait outside."""
        if self._held_outcomes > LAG_MAX:
            return True
        now = asyncio.get_running_loop().time()
        return bool(self._held) and now - self._held[0][1] > BEHIND_S_MAX

    @property
    def heard(self) -> int:
        """The number of the last outcome that has come here, told or not."""
        return self._held[-1][0].last if self._held else self._told

    async def follow(self, position: int) -> AsyncGenerator[list[OutcomeFrame], None]:
        """All frames after `position`, which Postgres has, as it gets them; [] now and then.

        Raises what `Outcomes.follow` raises, and ChainBroken where Postgres has gone on from
        another end than ours.
        """
        self._told = position
        tasks = [asyncio.create_task(one) for one in (self._hold(), self._listen(), self._watch())]
        try:
            while True:
                await _wait(self._changed, IDLE_S)
                for task in tasks:
                    if task.done():
                        task.result()
                frames, self._ready = self._ready, []
                yield frames
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hold(self) -> None:
        """Take what comes as long as there is room; the rest waits in the stream."""
        loop = asyncio.get_running_loop()
        try:
            async with aclosing(self._outcomes.follow(self._told)) as feed:
                async for frames in feed:
                    for frame in frames:
                        while len(self._held) >= HELD_FRAMES_MAX:
                            await _wait(self._left, IDLE_S)
                        self._held.append((frame, loop.time()))
                        self._held_outcomes += len(frame.outcomes)
                        self._arrived.set()
        finally:
            self._changed.set()

    async def _listen(self) -> None:
        """Take hints; they may be lost, or be of another history, so they decide nothing."""
        while True:
            try:
                async with aclosing(self._outcomes.positions()) as positions:
                    async for _ in positions:
                        self._hinted.set()
            except WorldFailed:
                await asyncio.sleep(AGAIN_S)

    async def _watch(self) -> None:
        """Ask Postgres after every hint, and now and then, while something is held."""
        try:
            while True:
                if not self._held:
                    await _wait(self._arrived, None)
                else:
                    await _wait(self._hinted, POLL_S)
                    await self._tell_written()
        finally:
            self._changed.set()

    async def _tell_written(self) -> None:
        try:
            number, generations = await self._ask(self._told)
        except WorldFailed:
            await asyncio.sleep(AGAIN_S)
            return
        count = written([frame for frame, _ in self._held], number, generations)
        if count is None and len(self._held) >= HELD_FRAMES_MAX:
            raise ChainBroken(f"Postgres has gone on to {number}, by another way than {self._told}")
        for _ in range(count or 0):
            frame, _ = self._held.popleft()
            self._held_outcomes -= len(frame.outcomes)
            self._told = frame.last
            self._ready.append(frame)
        if count:
            self._left.set()
            self._changed.set()


def written(held: list[OutcomeFrame], number: int, generations: Generations) -> int | None:
    """How many of the frames that are held are in a Postgres that stands at `number`.

    A generation that began without our seeing it may have begun before them, on a journal that had
    lost them: then it cannot be told (None). Once we see it begin, they have led to it.
    """
    # A generation begins with a frame of its own.
    results = [frame.outcomes[0].result for frame in held]
    seen = {(result.base, result.epoch) for result in results if isinstance(result, Opened)}
    if not seen.issuperset(generations):
        return None
    return sum(frame.last <= number for frame in held)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Until something happens, or for so long; what has happened is used up."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return
    event.clear()
