"""The other side of a partial fill: an account of the script, which trades as everybody does.

Its order goes through the journal before the one that it is for, and what is left of it is canceled
afterwards. What it needs for that is credited to it, as a deposit that is on record.
"""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from fractions import Fraction

import structlog

from exchange.backend.endpoints import Call
from exchange.backend.operator import AdminError, Operator
from exchange.backend.routes.orders import new_order
from exchange.services.commands import CancelOrder, Deposit, NewOrder, PlaceOrder
from exchange.services.fault_script import MAKER, SHARE, Rule
from exchange.services.markets import Market
from exchange.services.orders import OrderType, Side, TimeInForce
from exchange.services.rows import Author

log = structlog.get_logger()


def can_be_filled(call: Call) -> bool:
    """Whether a new order is one that rests, or takes what it can."""
    _, order = new_order(call)
    return order.type is OrderType.LIMIT and order.time_in_force is not TimeInForce.FOK


class Counterparty:
    """Does it as an operator whose acts are on record."""

    def __init__(self, operator: Operator) -> None:
        author = Author(name="fault script", reason="a partial fill on request")
        self._operator = operator.acting(author)

    @asynccontextmanager
    async def resting(self, rule: Rule, call: Call) -> AsyncIterator[None]:
        """Within the block an order rests that a share of the call's order can trade with.

        Where it cannot, because it would itself trade with what rests already, there is none.
        """
        market, order = new_order(call)
        share = Fraction(str(rule.share or SHARE))
        quantity = int((order.quantity or 0) * share) // market.lot * market.lot
        if not quantity:
            log.warning("no partial fill: the share is less than one lot", symbol=market.symbol)
            yield
            return
        side = Side.SELL if order.side is Side.BUY else Side.BUY
        counter = NewOrder(
            side=side,
            type=OrderType.LIMIT_MAKER,
            price=order.price,
            quantity=quantity,
            client_order_id=f"fault-{uuid.uuid4().hex[:24]}",
        )
        try:
            maker = await self._place(rule.maker or MAKER, market, counter)
        except AdminError as refusal:
            log.warning("no partial fill", symbol=market.symbol, reason=refusal.sentence)
            yield
            return
        try:
            yield
        finally:
            # It is gone where all of it has traded.
            with suppress(AdminError):
                await self._operator.submit(
                    CancelOrder(
                        account=maker,
                        symbol=market.symbol,
                        client_order_id=counter.client_order_id,
                    )
                )

    async def _place(self, name: str, market: Market, order: NewOrder) -> int:
        state = await self._operator.state()
        account = state.directory.account_named(name)
        maker: int
        if account is None:
            maker = (await self._operator.create_account(name))["accountId"]
        else:
            maker = account.id
        assert order.quantity
        asset, amount = (
            (market.base, order.quantity)
            if order.side is Side.SELL
            else (market.quote, market.notional(order.price, order.quantity))
        )
        reference = f"fault {order.client_order_id}"
        await self._operator.submit(
            Deposit(account=maker, asset=asset, amount=amount, reference=reference)
        )
        await self._operator.submit(PlaceOrder(account=maker, symbol=market.symbol, order=order))
        return maker
