"""A user's money beside trading."""

import uuid
from typing import Any

from fastapi import APIRouter

from exchange.backend import member_errors, queries
from exchange.backend.operator import Operator
from exchange.backend.rulebook import read_decimal
from exchange.backend.state import Current
from exchange.backend.ui.forms import TestFundsWish
from exchange.backend.ui.test_funds import TestFunds
from exchange.backend.ui.visitors import SignedInMember
from exchange.services.amounts import format_amount


def routes(current: Current, operator: Operator, test_funds: TestFunds | None) -> APIRouter:
    router = APIRouter()

    @router.post("/ui/funds/test")
    async def take_test_funds(body: TestFundsWish, member: SignedInMember) -> dict[str, Any]:
        if test_funds is None:
            member_errors.NO_TEST_FUNDS.refuse()
        state = current.state
        asset = operator.asset(state, body.asset)
        amount = read_decimal("amount", body.amount, asset.decimals)
        most = test_funds.most(asset)
        if not 0 < amount <= most:
            shown = format_amount(most, asset.decimals)
            raise member_errors.bad_input(f"At most {shown} {asset.name} at a time.")
        reference = f"test-funds/{uuid.uuid4().hex}"
        await operator.deposit(member.account, asset.name, amount, reference)
        async with state.barrier.snapshot() as connection:
            held = await queries.select_balances(connection, member.account)
        free = next(row.free for row in held if row.asset == asset.name)
        return {
            "reference": reference,
            "asset": asset.name,
            "amount": format_amount(amount, asset.decimals),
            "free": format_amount(free, asset.decimals),
        }

    return router
