"""A taker that follows the price: an example of an ordinary client.

It keeps a fast and a slow average of the middle price. When the fast one is clearly above the slow
one it buys, clearly below it sells; when they meet again it closes what it has.
"""

import asyncio

from exchange.lab.market.calibration import PRICE
from exchange.lab.market.venue import Member, Rules, Touches

FAST_S, SLOW_S = 10.0, 60.0
THRESHOLD = 0.0002
"""By how much the averages must differ, relative to the price."""
SIZE = 0.05
"""Of its position, in base units at PRICE."""
PAUSE_S = 1.0


class Averages:
    """A fast and a slow exponential average of a price that is looked at every PAUSE_S."""

    def __init__(self) -> None:
        self._fast = self._slow = 0.0

    def look(self, price: float) -> None:
        if not self._slow:
            self._fast = self._slow = price
        self._fast += (price - self._fast) * PAUSE_S / FAST_S
        self._slow += (price - self._slow) * PAUSE_S / SLOW_S

    @property
    def wanted(self) -> int:
        """1: long, -1: short, 0: nothing, as compared with how it began."""
        difference = self._fast / self._slow - 1
        return 0 if abs(difference) < THRESHOLD else (1 if difference > 0 else -1)


class Momentum:
    """Trades one market for ever."""

    def __init__(self, member: Member, rules: Rules, touches: Touches) -> None:
        self._member, self._rules, self._touches = member, rules, touches
        self._averages = Averages()
        self._position = 0

    async def trade(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_S)
            touch = self._touches[self._rules.symbol]
            if touch.bid is not None and touch.ask is not None:
                middle = (touch.bid + touch.ask) / 2 * float(self._rules.tick)
                self._averages.look(middle)
                await self._follow(middle)

    async def _follow(self, price: float) -> None:
        change = self._averages.wanted - self._position
        if not change:
            return
        lots = abs(change) * self._rules.grid.quantity(SIZE * PRICE / price, price)
        answer = await self._member.place(
            self._rules, side="BUY" if change > 0 else "SELL", type="MARKET",
            newOrderRespType="ACK", quantity=self._rules.quantity_text(lots),
        )  # fmt: skip
        if answer is not None:
            self._position += change
