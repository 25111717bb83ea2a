"""How long after a fault things are done again: orders acknowledged, accounts read, streams heard."""

import asyncio
import statistics
import time
from collections.abc import Sequence

from msgspec import Struct


class Pulse:
    """Something that goes on and on; whoever waits is told when it does so again.

    Times are seconds since the epoch, since the events of a stream know no other clock.
    """

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[float], float] = {}

    @staticmethod
    def now() -> float:
        return time.time()

    def note(self, began: float) -> None:
        """Something succeeded just now that began then."""
        for waiter, since in list(self._waiting.items()):
            if began >= since and not waiter.done():
                waiter.set_result(self.now())

    async def after(self, moment: float) -> float:
        """When the first thing succeeded that began after that moment."""
        waiter: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = moment
        try:
            return await waiter
        finally:
            del self._waiting[waiter]


class Recovery(Struct, frozen=True):
    """One fault, and how many seconds later everything was done again; None: not within a minute."""

    fault: str
    orders: float | None
    reads: float | None
    streams: float | None


class Row(Struct, frozen=True):
    """All recoveries from one fault: median and maximum in seconds."""

    fault: str
    times: int
    orders_median: float
    orders_max: float
    reads_median: float
    reads_max: float
    streams_median: float
    streams_max: float


def summarised(recoveries: Sequence[Recovery]) -> list[Row]:
    """One row for each fault that was healed from, in alphabetical order."""
    rows = []
    for fault in sorted({one.fault for one in recoveries}):
        healed = [one for one in recoveries if one.fault == fault]
        numbers: list[float] = []
        for times in (
            [one.orders for one in healed],
            [one.reads for one in healed],
            [one.streams for one in healed],
        ):
            known = [seconds for seconds in times if seconds is not None] or [float("nan")]
            numbers += [round(statistics.median(known), 2), round(max(known), 2)]
        rows.append(Row(fault, len(healed), *numbers))
    return rows
