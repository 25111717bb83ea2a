"""The leading engine's heartbeat: from a thread, so that one long command does not silence it.

It is for liveness only; which engine may write is decided at each append (leadership.py).
"""

import asyncio
import threading
import time
from contextlib import suppress
from types import TracebackType

from exchange.redis.connection import Connection
from exchange.services.failures import WorldFailed
from exchange.services.process import LOOP_SILENT_S

LEADER = "j:leader"
"""Channel: the epoch of the engine that leads, again and again; or that it hands over."""

HEARTBEAT_S = 0.1
TURN_S = 0.5


class Heartbeat:
    """Says that this engine is alive, while a `with` block runs in its event loop.

    A stopped process falls silent, since its threads stop too; and so does one whose loop has not
    turned for so long that it is stuck rather than busy.
    """

    def __init__(self, url: str, epoch: int, *, loop_silent_s: float = LOOP_SILENT_S) -> None:
        self._url, self._epoch, self._loop_silent_s = url, epoch, loop_silent_s
        self._over = threading.Event()
        self._turned = time.monotonic()
        self._turning: asyncio.TimerHandle | None = None

    def __enter__(self) -> "Heartbeat":
        self._turn()
        # Its loop is its own, and turns whatever the engine's does.
        work = threading.Thread(target=lambda: asyncio.run(self._beat()), daemon=True)
        work.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # It is not waited for: one beat too many only makes a standby wait a little longer.
        self._over.set()
        if self._turning is not None:
            self._turning.cancel()

    def _turn(self) -> None:
        """Note that the event loop turns."""
        self._turned = time.monotonic()
        self._turning = asyncio.get_running_loop().call_later(TURN_S, self._turn)

    async def _beat(self) -> None:
        while not self._over.is_set():
            # A lost connection is only silence here: the next append finds out what it means.
            with suppress(WorldFailed):
                await self._beat_on(await Connection.open(self._url, name="heartbeat"))
            await asyncio.sleep(HEARTBEAT_S)

    async def _beat_on(self, connection: Connection) -> None:
        try:
            while not self._over.is_set():
                if time.monotonic() - self._turned < self._loop_silent_s:
                    await connection.call("PUBLISH", LEADER, self._epoch)
                await asyncio.sleep(HEARTBEAT_S)
        finally:
            connection.close()
