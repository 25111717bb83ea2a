"""`exchange simulate --replay`: recorded orders, placed again by makers and takers of today.

Each recorded order is placed and answered before the next one, so that they meet as they did. Where
somebody else trades too, they meet him as well, and what he took is really gone.
"""

import asyncio
from collections.abc import Sequence

from msgspec import Struct

from exchange.lab.market.venue import Member, Rules
from exchange.services.amounts import format_amount
from exchange.services.orders import OrderType
from exchange.services.recordings import CANCEL, DECIMALS, RecordedOrder


class Played(Struct):
    """How far it has come."""

    orders: int = 0
    refused: int = 0


class Player:
    """Plays recordings in one market. `speed` is how many times as fast as it was; None: at once."""

    def __init__(self, members: Sequence[Member], rules: Rules, speed: float | None) -> None:
        self._members, self._rules, self._speed = members, rules, speed
        self._resting: dict[str, tuple[Member, int]] = {}
        self._open = dict.fromkeys(members, 0)
        self.played = Played()

    async def play(self, records: Sequence[RecordedOrder]) -> None:
        """Once through; what rests of an earlier time is cancelled first."""
        for member in self._members:
            await member.connected.wait()
            await member.cancel_all(self._rules)
        self._resting.clear()
        self._open = dict.fromkeys(self._members, 0)
        clock = asyncio.get_running_loop().time
        began = clock()
        for record in records:
            if self._speed is not None:
                passed = (record.time_ms - records[0].time_ms) / 1_000 / self._speed
                await asyncio.sleep(began + passed - clock())
            if record.kind == CANCEL:
                await self._cancel(record)
            else:
                await self._place(record)

    async def _place(self, record: RecordedOrder) -> None:
        assert record.side is not None
        self.played.orders += 1
        # An account may have only so many orders in a market.
        member = min(self._members, key=self._open.__getitem__)
        terms: dict[str, str] = {}
        if record.kind != OrderType.MARKET:
            terms["price"] = format_amount(record.price, DECIMALS)
        if record.kind == OrderType.LIMIT:
            terms["timeInForce"] = "GTC"
        answer = await member.place(
            self._rules,
            side=record.side.value,
            type=record.kind,
            quantity=format_amount(record.quantity, DECIMALS),
            # They were not one trader's, whoever places them now.
            selfTradePreventionMode="NONE",
            newOrderRespType="RESULT",
            **terms,
        )
        if answer is None:
            self.played.refused += 1
        elif answer["status"] in ("NEW", "PARTIALLY_FILLED"):
            self._resting[record.order] = (member, answer["orderId"])
            self._open[member] += 1

    async def _cancel(self, record: RecordedOrder) -> None:
        placed = self._resting.pop(record.order, None)
        if placed is not None:
            member, order_id = placed
            self._open[member] -= 1
            await member.cancel(self._rules, order_id)
