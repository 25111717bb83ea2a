"""What admins do, on the page and on the admin port alike: one set of routes behind either door."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from exchange.backend import record, status, treasury_rows
from exchange.backend.operator import AdminError, Operator
from exchange.backend.state import Current
from exchange.backend.treasury import Treasury
from exchange.backend.wishes import (
    AccountChange,
    AnyName,
    AssetName,
    Body,
    Reference,
    Text,
    TierNumber,
)
from exchange.services.commands import Decision, Deposit
from exchange.services.markets import Mode
from exchange.services.process import Health
from exchange.services.rows import Author

REASON_LENGTH_MAX = 500


class Because(Body):
    """On the page a reason must be given; the admin port may say it in a header."""

    reason: str = ""


class Credit(Because):
    name: AnyName
    asset: AssetName
    amount: Text
    reference: Reference | None = None


class ModeWish(Because):
    mode: Literal["RUNNING", "CANCEL_ONLY", "HALTED", "BREAK"]


class FreezeWish(Because):
    frozen: bool


class AccountWish(Because):
    tier: TierNumber | None = None
    discount: bool | None = None
    trading_disabled: bool | None = None
    role: Literal["TRADER", "ADMIN"] | None = None


class Acting:
    """An operator with somebody who answers for what he does."""

    def __init__(self, operator: Operator, author: Author, *, needs_reason: bool) -> None:
        self._operator = operator
        self._author = author
        self._needs_reason = needs_reason

    def because(self, reason: str) -> Operator:
        reason = (reason or self._author.reason).strip()
        if self._needs_reason and not reason:
            raise AdminError(400, "Say why: it will be on record.")
        if len(reason) > REASON_LENGTH_MAX:
            raise AdminError(400, f"A reason has at most {REASON_LENGTH_MAX} characters.")
        return self._operator.acting(Author(name=self._author.name, reason=reason))


async def _who(request: Request) -> Acting:
    found: Acting = await request.app.state.acting(request)
    return found


Who = Annotated[Acting, Depends(_who)]
Limit = Annotated[int, Query(ge=1, le=500)]
Number = Annotated[int, Query(ge=-1, lt=2**63)]
"""Of an account or a command."""
Moment = Annotated[int, Query(ge=0, le=2**43)]


def routes(prefix: str, current: Current, health: Health) -> APIRouter:
    """The application that takes them says in `state.acting` who acts."""
    router = APIRouter(prefix=prefix)
    treasury = Treasury(current)

    @router.get("/accounts")
    async def accounts(
        _who: Who, search: str = "", limit: Limit = 100, after: Number = -1
    ) -> list[dict[str, Any]]:
        state = current.state
        await state.barrier.market_data()
        found = [
            account
            for account in state.directory.accounts.values()
            if account.id > after and search.lower() in account.name.lower()
        ]
        return [
            {
                "accountId": one.id,
                "name": one.name,
                "role": one.role.value.lower(),
                "state": "STOPPED" if one.stopped else "ACTIVE",
                "tier": one.tier,
                "owner": one.owner,
            }
            for one in sorted(found, key=lambda one: one.id)[:limit]
        ]

    @router.post("/credits")
    async def credit(body: Credit, who: Who) -> dict[str, Any]:
        return await who.because(body.reason).credit(
            Deposit, body.name, body.asset, body.amount, body.reference
        )

    @router.post("/exchange/mode")
    async def set_all_modes(body: ModeWish, who: Who) -> dict[str, Any]:
        return await who.because(body.reason).set_mode(None, Mode(body.mode))

    @router.get("/withdrawals")
    async def withdrawals(
        _who: Who,
        status: Literal["PENDING", "APPROVED", "DONE", "REJECTED", "FROZEN"] | None = None,
        limit: Limit = 100,
        before: Moment | None = None,
    ) -> list[dict[str, Any]]:
        return await treasury.listed(None, status, before, limit)

    @router.post("/withdrawals/{reference}/{decision}")
    async def decide(
        reference: str, decision: Literal["approve", "reject", "finish"], body: Because, who: Who
    ) -> dict[str, Any]:
        operator = who.because(body.reason)
        return await treasury.decide(operator, reference, Decision(decision.upper()))

    @router.post("/freeze")
    async def freeze(body: FreezeWish, who: Who) -> dict[str, Any]:
        return await treasury.freeze(who.because(body.reason), is_frozen=body.frozen)

    @router.get("/audit")
    async def audit(
        _who: Who, limit: Limit = 100, before: Number | None = None
    ) -> list[dict[str, Any]]:
        async with current.state.barrier.snapshot() as connection:
            acts = await treasury_rows.select_acts(connection, before, limit)
        return [record.told(act, current.state.directory) for act in acts]

    @router.get("/health")
    async def get_health(_who: Who) -> dict[str, Any]:
        return await status.read(current, health)

    return router


def page_routes(prefix: str) -> APIRouter:
    """Those that the admin port has in a form of its own."""
    router = APIRouter(prefix=prefix)

    @router.post("/accounts/{name}")
    async def change_account(name: str, body: AccountWish, who: Who) -> dict[str, Any]:
        change = AccountChange(
            tier=body.tier, discount=body.discount, stopped=body.trading_disabled, role=body.role
        )
        return await who.because(body.reason).change_account(name, change)

    @router.post("/markets/{symbol}/mode")
    async def set_mode(symbol: str, body: ModeWish, who: Who) -> dict[str, Any]:
        return await who.because(body.reason).set_mode(symbol, Mode(body.mode))

    return router
