"""A user's money beside trading."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Query

from exchange.backend import member_errors, queries
from exchange.backend.members import Members
from exchange.backend.operator import Operator
from exchange.backend.rulebook import read_decimal
from exchange.backend.state import Current
from exchange.backend.treasury import Treasury
from exchange.backend.ui.forms import (
    SubAccountWish,
    TestFundsWish,
    TransferWish,
    WithdrawalWish,
)
from exchange.backend.ui.test_funds import TestFunds
from exchange.backend.ui.visitors import ChosenAccount, SignedInMember
from exchange.backend.wishes import AssetName
from exchange.services.amounts import format_amount

SUB_ACCOUNTS_MAX = 20
Limit = Annotated[int, Query(ge=1, le=500)]
Moment = Annotated[int, Query(ge=0, le=2**43)]
Cursor = Annotated[str, Query(pattern="^[0-9]{1,18}_[0-9A-Za-z]{1,60}$")]


def routes(
    current: Current, operator: Operator, members: Members, test_funds: TestFunds | None
) -> APIRouter:
    router = APIRouter()
    treasury = Treasury(current)

    @router.post("/ui/funds/test")
    async def take_test_funds(body: TestFundsWish, account: ChosenAccount) -> dict[str, Any]:
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
        await operator.deposit(account, asset.name, amount, reference)
        async with state.barrier.snapshot() as connection:
            held = await queries.select_balances(connection, account)
        free = next(row.free for row in held if row.asset == asset.name)
        return {
            "reference": reference,
            "asset": asset.name,
            "amount": format_amount(amount, asset.decimals),
            "free": format_amount(free, asset.decimals),
        }

    @router.post("/ui/withdrawals", status_code=201)
    async def withdraw(body: WithdrawalWish, account: ChosenAccount) -> dict[str, Any]:
        return await treasury.ask(
            operator, account, body.asset, body.amount, body.address, body.reference
        )

    @router.get("/ui/withdrawals")
    async def withdrawals(
        member: SignedInMember, limit: Limit = 50, before: Moment | None = None
    ) -> list[dict[str, Any]]:
        accounts = [one.id for one in members.accounts(member)]
        return await treasury.listed(accounts, None, before, limit)

    @router.post("/ui/transfers")
    async def transfer(body: TransferWish, member: SignedInMember) -> dict[str, Any]:
        accounts = [one.id for one in members.accounts(member)]
        if body.from_ not in accounts or body.to not in accounts:
            member_errors.NOT_YOUR_ACCOUNT.refuse()
        return await treasury.move(
            operator, body.from_, body.to, body.asset, body.amount, body.reference
        )

    @router.post("/ui/accounts", status_code=201)
    async def create_account(body: SubAccountWish, member: SignedInMember) -> dict[str, Any]:
        if len(members.accounts(member)) > SUB_ACCOUNTS_MAX:
            raise member_errors.bad_input(f"There are at most {SUB_ACCOUNTS_MAX} sub-accounts.")
        name = f"{member.name}:{body.name}"
        created = await operator.create_account(name, owner=member.account)
        return {"accountId": created["accountId"], "name": body.name}

    @router.get("/ui/ledger")
    async def ledger(
        account: ChosenAccount,
        asset: AssetName | None = None,
        limit: Limit = 100,
        before: Cursor | None = None,
    ) -> dict[str, Any]:
        return await treasury.ledger(account, asset, before, limit)

    return router
