"""Lets one market's flow happen: its makers and takers place and cancel orders over the public API."""

import asyncio
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct

from exchange.lab.market.flow import Flow, Quote, Take
from exchange.lab.market.venue import Member, Rules, Touches

UNDER_WAY_MAX = 64
"""Requests of one crowd; a slow exchange makes it wait, and not pile up."""
LATE_S_MAX = 1.0
"""What could not be asked for in so long is left out: a crowd does not catch up."""
LOOK_S = 0.05


class Resting(Struct, frozen=True):
    """An order in the book and who placed it."""

    order_id: int
    owner: Member
    quote: Quote
    since: float


class Crowd:
    """Everybody in one market."""

    def __init__(
        self,
        flow: Flow,
        rules: Rules,
        touches: Touches,
        makers: Sequence[Member],
        takers: Sequence[Member],
    ) -> None:
        self._flow, self._rules, self._touches = flow, rules, touches
        self._members = (*makers, *takers)
        self._makers, self._takers = itertools.cycle(makers), itertools.cycle(takers)
        self._resting: dict[int, Resting] = {}
        self._ends: list[tuple[float, int]] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()
        """How many quotes were tried and accepted, and how many takers and cancels there were."""

    async def trade(self, *, first_quotes: int) -> None:
        """For ever, beginning with a book of so many orders on each side."""
        for member in self._members:
            await member.connected.wait()
        for quote in self._flow.first_quotes(first_quotes):
            await self._begin(self._quote(quote))
        # A market that has just begun shows a price at once.
        await self._begin(self._new_take())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self._flow.quote_gap, self._new_quote))
            group.create_task(self._repeat(self._flow.taker_gap, self._new_take))
            group.create_task(self._watch())

    async def _repeat(
        self, gap: Callable[[], float], do: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        """Do something at the times that the gaps between them make."""
        time = asyncio.get_running_loop().time
        due = time()
        while True:
            due = max(due + gap(), time() - LATE_S_MAX)
            await asyncio.sleep(due - time())
            await self._begin(do())

    async def _begin(self, doing: Coroutine[Any, Any, None]) -> None:
        while len(self._under_way) >= UNDER_WAY_MAX:
            await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
        task = asyncio.create_task(doing)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _new_quote(self) -> None:
        await self._quote(self._flow.quote(self._touches[self._rules.symbol]))

    async def _quote(self, quote: Quote) -> None:
        owner, rules = next(self._makers), self._rules
        self.counts["quotes"] += 1
        answer = await owner.place(
            rules, side=_side(quote.is_buy), type="LIMIT_MAKER", newOrderRespType="ACK",
            price=rules.price_text(quote.price), quantity=rules.quantity_text(quote.quantity),
        )  # fmt: skip
        if answer is None:
            return
        self.counts["accepted"] += 1
        order_id, now = answer["orderId"], asyncio.get_running_loop().time()
        self._resting[order_id] = Resting(order_id, owner, quote, now)
        heapq.heappush(self._ends, (now + quote.life_s, order_id))

    async def _new_take(self) -> None:
        take: Take = self._flow.take(self._touches[self._rules.symbol])
        answer = await next(self._takers).place(
            self._rules, side=_side(take.is_buy), type="MARKET", newOrderRespType="ACK",
            quantity=self._rules.quantity_text(take.quantity),
        )  # fmt: skip
        self.counts["takers"] += answer is not None

    async def _watch(self) -> None:
        """Cancel what has lived its time, and what its owner would rather not have any more."""
        time = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(LOOK_S)
            self._flow.fundamental.advance(LOOK_S)
            over, now = [], time()
            while self._ends and self._ends[0][0] <= now:
                over.append(heapq.heappop(self._ends)[1])
            over += [
                order_id
                for order_id, resting in self._resting.items()
                if self._flow.stands_in_the_way(resting.quote, now - resting.since)
            ]
            for order_id in over:
                resting = self._resting.pop(order_id, None)
                if resting is not None:
                    self.counts["cancels"] += 1
                    await self._begin(resting.owner.cancel(self._rules, order_id))


def _side(is_buy: bool) -> str:
    return "BUY" if is_buy else "SELL"
