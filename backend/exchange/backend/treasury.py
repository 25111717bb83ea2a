"""Money that moves by itself: withdrawals that users ask for, and transfers within one owner."""

import uuid
from typing import Any

from exchange.backend import member_errors, treasury_rows
from exchange.backend.operator import Operator
from exchange.backend.rulebook import read_decimal
from exchange.backend.state import Current, State
from exchange.services.amounts import format_amount
from exchange.services.commands import (
    DecideWithdrawal,
    Decision,
    FreezeWithdrawals,
    MoveFunds,
    RequestWithdrawal,
)
from exchange.services.messages import Outcome, Repeated
from exchange.services.rows import Withdrawal, WithdrawalStatus

OPEN = (WithdrawalStatus.PENDING, WithdrawalStatus.APPROVED)
FROZEN = "FROZEN"


class Treasury:
    """What is done is done in the name of the operator that it is given."""

    def __init__(self, current: Current) -> None:
        self._current = current

    async def ask(
        self, operator: Operator, account: int, asset: str, amount: str, address: str,
        reference: str | None,
    ) -> dict[str, Any]:  # fmt: skip
        """A withdrawal; the same reference of the same account is the same one."""
        state = await operator.state()
        # References of different accounts must not meet.
        known = f"w:{account}:{reference or uuid.uuid4().hex}"
        await operator.submit(
            RequestWithdrawal(
                account=account,
                asset=asset,
                amount=self._units(state, operator, asset, amount),
                address=address,
                reference=known,
            )
        )
        return await self._shown(known)

    async def decide(
        self, operator: Operator, reference: str, decision: Decision
    ) -> dict[str, Any]:
        await operator.submit(
            DecideWithdrawal(reference=reference, decision=decision, author=operator.author)
        )
        return await self._shown(reference)

    async def freeze(self, operator: Operator, *, is_frozen: bool) -> dict[str, Any]:
        await operator.submit(FreezeWithdrawals(is_frozen=is_frozen, author=operator.author))
        return {"frozen": is_frozen}

    async def move(
        self, operator: Operator, account: int, to: int, asset: str, amount: str,
        reference: str | None,
    ) -> dict[str, Any]:  # fmt: skip
        """From one account to another of the same owner."""
        state = await operator.state()
        units = self._units(state, operator, asset, amount)
        known = f"t:{account}:{reference or uuid.uuid4().hex}"
        outcome: Outcome = await operator.submit(
            MoveFunds(account=account, to=to, asset=asset, amount=units, reference=known)
        )
        return {
            "from": account,
            "to": to,
            "asset": asset,
            "amount": format_amount(units, state.directory.assets[asset].decimals),
            "reference": known,
            "repeated": isinstance(outcome.result, Repeated),
        }

    async def listed(
        self, accounts: list[int] | None, status: str | None, before_ms: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """The newest first, of some accounts or of all, as old as is said or older."""
        state = self._current.state
        is_frozen = state.directory.exchange_rules.withdrawals_frozen
        wanted = None if status is None else self._stored_statuses(status, is_frozen=is_frozen)
        before = None if before_ms is None else before_ms * 1_000
        async with state.barrier.snapshot() as connection:
            rows = await treasury_rows.select_withdrawals(
                connection, accounts, wanted, before, limit
            )
        return [_described(state, row) for row in rows]

    async def ledger(
        self, account: int, asset: str | None, before: str | None, limit: int
    ) -> dict[str, Any]:
        """What has changed how much an account holds, the newest first."""
        state = self._current.state
        cursor = None if before is None else _cursor(before)
        async with state.barrier.snapshot() as connection:
            rows = await treasury_rows.select_ledger(connection, account, asset, cursor, limit + 1)
        assets = state.directory.assets
        return {
            "rows": [
                {
                    "id": f"{row.time}_{row.place}",
                    "time": row.time // 1_000,
                    "kind": row.kind,
                    "asset": row.asset,
                    "amount": format_amount(row.amount, assets[row.asset].decimals),
                    "reference": row.reference,
                    "tradeId": row.trade_id,
                    "symbol": row.symbol,
                }
                for row in rows[:limit]
            ],
            "more": len(rows) > limit,
        }

    async def _shown(self, reference: str) -> dict[str, Any]:
        state = self._current.state
        async with state.barrier.snapshot() as connection:
            row = await treasury_rows.select_withdrawal(connection, reference)
        assert row is not None, reference
        return _described(state, row)

    def _units(self, state: State, operator: Operator, asset: str, amount: str) -> int:
        units = read_decimal("amount", amount, operator.asset(state, asset).decimals)
        if units == 0:
            raise member_errors.bad_input("The amount must be above zero.")
        return units

    @staticmethod
    def _stored_statuses(status: str, *, is_frozen: bool) -> list[str]:
        """Frozen are all that are open, while withdrawals are."""
        if status == FROZEN:
            return [one.value for one in OPEN] if is_frozen else []
        return [status] if status not in OPEN or not is_frozen else []


def _described(state: State, row: Withdrawal) -> dict[str, Any]:
    directory = state.directory
    is_frozen = directory.exchange_rules.withdrawals_frozen and row.is_open
    return {
        "id": row.reference,
        "accountId": row.account,
        "account": directory.accounts[row.account].name,
        "asset": row.asset,
        "amount": format_amount(row.amount, directory.assets[row.asset].decimals),
        "address": row.address,
        "status": FROZEN if is_frozen else row.status.value,
        "approvals": list(row.approvals),
        "createdAt": row.created // 1_000,
        "updatedAt": row.updated // 1_000,
    }


def _cursor(text: str) -> tuple[int, str]:
    time, _, place = text.partition("_")
    if not (time.isascii() and time.isdigit() and len(time) < 18 and place):
        raise member_errors.bad_input("before must be the id of a row.")
    return int(time), place
