"""A market maker that leans against its inventory: an example of an ordinary client.

It quotes both sides around the middle of the market. The more it holds, the lower it quotes, so
that the next one is more likely to buy from it than to sell to it (after Avellaneda and Stoikov,
"High-frequency trading in a limit order book", 2008, with a linear skew).
"""

import asyncio
from decimal import Decimal

from exchange.lab.market.calibration import PRICE
from exchange.lab.market.venue import Member, Rules, Touches

HALF_SPREAD = 0.5
"""Of PRICE: how far its quotes are from what it thinks fair."""
SIZE = 0.5
"""Of each quote, in base units at PRICE."""
SKEW = 0.25
"""By how many half spreads it moves for each quote's size that it holds too much or too little."""
SKEW_MAX = 20
PAUSE_S = 0.5


def quotes(fair: float, surplus: float, tick: float) -> tuple[float, float]:
    """A bid and an ask around a fair price; `surplus` is what it holds too much of, in sizes of a
    quote."""
    half = max(HALF_SPREAD * fair / PRICE, tick)
    skew = max(-SKEW_MAX, min(SKEW_MAX, SKEW * surplus)) * half
    return fair - skew - half, fair - skew + half


class Maker:
    """Quotes one market for ever."""

    def __init__(self, member: Member, rules: Rules, touches: Touches, fair: float) -> None:
        self._member, self._rules, self._touches = member, rules, touches
        self._fair = fair
        self._begun_with: Decimal | None = None
        self._quoted: list[int] = []

    async def trade(self) -> None:
        while True:
            await self._requote()
            await asyncio.sleep(PAUSE_S)

    async def _requote(self) -> None:
        member, rules = self._member, self._rules
        old, self._quoted = self._quoted, []
        for order_id in old:
            await member.cancel(rules, order_id)
        held = await member.free(rules.base)
        if not held:
            return
        self._begun_with = held if self._begun_with is None else self._begun_with
        touch = self._touches[rules.symbol]
        if touch.bid is not None and touch.ask is not None:
            self._fair = (touch.bid + touch.ask) / 2 * float(rules.tick)
        size = SIZE * PRICE / self._fair
        surplus = float(held - self._begun_with) / size
        bid, ask = quotes(self._fair, surplus, float(rules.tick))
        for side, price in (("BUY", bid), ("SELL", ask)):
            answer = await member.place(
                rules, side=side, type="LIMIT_MAKER", newOrderRespType="ACK",
                price=rules.price_text(rules.grid.price(price)),
                quantity=rules.quantity_text(rules.grid.quantity(size, self._fair)),
            )  # fmt: skip
            if answer is not None:
                self._quoted.append(answer["orderId"])
