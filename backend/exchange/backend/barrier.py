"""Reads see acknowledgements: no answer is older than what anybody was told before it was asked.

Every read first learns the last outcome's number, and then waits until the copy that it reads from
has got there: the market views of this process, or Postgres.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import asyncpg

from exchange.backend import errors
from exchange.backend.errors import ApiError
from exchange.backend.queries import select_position
from exchange.postgres_db.connection import reporting_failures
from exchange.redis.outcomes import Outcomes
from exchange.services.failures import OperatorNeeded, WorldFailed

WAIT_S = 2.0
POLL_S = 0.05
RECONNECT_S = 0.2
WATCH_S, STALE_S = 0.5, 3.0


class Progress:
    """A position that only grows, and those who wait for it."""

    def __init__(self, position: int) -> None:
        self.position = position
        self._waiting: dict[asyncio.Future[None], int] = {}
        self.is_awaited = asyncio.Event()

    def advance(self, position: int) -> None:
        self.position = max(self.position, position)
        if self._waiting:
            for waiter, wanted in list(self._waiting.items()):
                if wanted <= self.position and not waiter.done():
                    waiter.set_result(None)

    async def reach(self, position: int) -> None:
        if self.position >= position:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = position
        self.is_awaited.set()
        try:
            await waiter
        finally:
            del self._waiting[waiter]
            if not self._waiting:
                self.is_awaited.clear()


class Barrier:
    """What reads pass through. `views` is advanced by whoever applies the outcomes."""

    def __init__(
        self,
        outcomes: Outcomes,
        pool: asyncpg.Pool,
        position: int,
        *,
        heard: Callable[[], int] | None = None,
    ) -> None:
        """`heard` says how far outcomes have come that nobody may be told yet."""
        self._heard = heard
        self._outcomes = outcomes
        self._pool = pool
        self._asking: asyncio.Future[int] | None = None
        self._current_at = time.monotonic()
        self.views = Progress(position)
        self.database = Progress(position)

    @property
    def is_stale(self) -> bool:
        """Whether this process may have missed for too long what others know, such as that a key
        was revoked: it was stopped, or cut off."""
        return time.monotonic() - self._current_at > STALE_S

    async def watch(self) -> None:
        """See, for ever, whether the views keep up."""
        while True:
            asked = time.monotonic()
            with contextlib.suppress(ApiError):
                await self._keep_up()
                self._current_at = asked
            await asyncio.sleep(WATCH_S)

    async def _keep_up(self) -> None:
        """Return when this process has heard all; raises UNAVAILABLE where it has not.

        Views that wait for Postgres are not stale: whoever has a key that is gone is refused by
        the engine, and cancels must go on.
        """
        if self._heard is None:
            await self.market_data()
            return
        with _unavailable():
            top = await self._top()
        # What was on its way is here by then.
        await asyncio.sleep(WATCH_S)
        if self._heard() < top:
            errors.UNAVAILABLE.refuse()

    async def market_data(self) -> None:
        """Return when the market views are current; raises UNAVAILABLE after two seconds."""
        with _unavailable():
            async with asyncio.timeout(WAIT_S):
                await self.views.reach(await self._top())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[asyncpg.Connection]:
        """A connection that sees one current state of Postgres; raises UNAVAILABLE likewise."""
        with _unavailable():
            async with asyncio.timeout(WAIT_S):
                top = await self._top()
                await self.database.reach(top)
                with reporting_failures():
                    async with (
                        self._pool.acquire() as connection,
                        connection.transaction(isolation="repeatable_read", readonly=True),
                    ):
                        # A Postgres that was set back must not answer for one that was not.
                        if await select_position(connection) < top:
                            errors.UNAVAILABLE.refuse()
                        yield connection

    async def listen(self) -> None:
        """Follow the announcements of how far Postgres is, for ever."""
        while True:
            try:
                async for position in self._outcomes.positions():
                    self.database.advance(position)
            except WorldFailed:
                await asyncio.sleep(RECONNECT_S)

    async def poll(self) -> None:
        """Ask Postgres itself while somebody waits, for ever: announcements may be lost."""
        while True:
            await self.database.is_awaited.wait()
            await asyncio.sleep(POLL_S)
            try:
                with reporting_failures():
                    position = await select_position(self._pool)
            except WorldFailed:
                await asyncio.sleep(RECONNECT_S)
            else:
                self.database.advance(position)

    async def _top(self) -> int:
        """The number of the last outcome, asked once for all who come in one turn of the loop."""
        if self._asking is None:
            loop = asyncio.get_running_loop()
            self._asking = asyncio.ensure_future(self._outcomes.top())
            # Whoever asked may be gone when it fails.
            self._asking.add_done_callback(_take_notice)
            # Nobody who comes after the question was sent may use its answer: what they were
            # told meanwhile may be younger.
            loop.call_soon(self._forget_question)
        return await asyncio.shield(self._asking)

    def _forget_question(self) -> None:
        self._asking = None


def _take_notice(asked: asyncio.Future[int]) -> None:
    if not asked.cancelled():
        asked.exception()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (WorldFailed, OperatorNeeded, TimeoutError, OSError):
        raise errors.UNAVAILABLE.error() from None
