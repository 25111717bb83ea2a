"""Withdrawals that users ask for: their limits, who has to approve, and what may become of them."""

from msgspec.structs import replace

from exchange.engine.registry import Registry
from exchange.services.commands import DecideWithdrawal, Decision, RequestWithdrawal
from exchange.services.messages import Reason, Rejected
from exchange.services.rows import Transfer, Withdrawal, WithdrawalStatus

DAY_US = 86_400_000_000


class Withdrawals:
    """Changed by `restore` alone; money is moved by whoever asks."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._by_reference: dict[str, Withdrawal] = {}
        self._references: dict[tuple[int, str], dict[str, None]] = {}

    def restore(self, row: Withdrawal) -> None:
        self._by_reference[row.reference] = row
        self._references.setdefault((row.account, row.asset), {})[row.reference] = None

    def find(self, reference: str) -> Withdrawal | None:
        return self._by_reference.get(reference)

    def new(self, command: RequestWithdrawal, transfer: Transfer) -> Withdrawal | Rejected:
        """What is asked for, as the transfer pays for it."""
        rules, now = self._registry.exchange_rules, transfer.time
        if rules.withdrawals_frozen:
            return Rejected(reason=Reason.WITHDRAWALS_FROZEN)
        if self._registry.accounts[command.account].stopped:
            return Rejected(reason=Reason.ACCOUNT_STOPPED)
        if not command.address:
            return Rejected(reason=Reason.INVALID, detail="A withdrawal needs an address.")
        asset, amount = command.asset, command.amount
        if amount > rules.withdrawal_max.get(asset, amount):
            return Rejected(reason=Reason.LIMIT, detail="This is more than one withdrawal may be.")
        lately = self._lately(command.account, asset, now)
        if lately + amount > rules.withdrawal_day_max.get(asset, lately + amount):
            return Rejected(
                reason=Reason.LIMIT, detail="This is more than may be withdrawn in 24 hours."
            )
        is_free = amount <= rules.withdrawal_free_max.get(asset, 0)
        return Withdrawal(
            reference=command.reference,
            number=transfer.number,
            account=command.account,
            asset=asset,
            amount=amount,
            address=command.address,
            status=WithdrawalStatus.APPROVED if is_free else WithdrawalStatus.PENDING,
            approvals=(),
            created=now,
            updated=now,
        )

    def decided(self, command: DecideWithdrawal, now: int) -> Withdrawal | Rejected:
        """As the decision leaves it."""
        known = self._by_reference.get(command.reference)
        if known is None or not known.is_open:
            return Rejected(reason=Reason.UNKNOWN_WITHDRAWAL)
        if command.decision is Decision.REJECT:
            return replace(known, status=WithdrawalStatus.REJECTED, updated=now)
        if command.decision is Decision.FINISH:
            if known.status is not WithdrawalStatus.APPROVED:
                return Rejected(reason=Reason.NOT_ALLOWED, detail="It is not approved.")
            return replace(known, status=WithdrawalStatus.DONE, updated=now)
        return self._approved(known, command.author.name, now)

    def _approved(self, known: Withdrawal, name: str, now: int) -> Withdrawal | Rejected:
        rules = self._registry.exchange_rules
        if rules.withdrawals_frozen:
            return Rejected(reason=Reason.WITHDRAWALS_FROZEN)
        if known.status is not WithdrawalStatus.PENDING:
            return Rejected(reason=Reason.NOT_ALLOWED, detail="It is approved already.")
        if name in known.approvals:
            return Rejected(
                reason=Reason.NOT_ALLOWED, detail="Somebody else has to approve it too."
            )
        if name == self._owner_name(known.account):
            return Rejected(reason=Reason.NOT_ALLOWED, detail="Nobody approves his own withdrawal.")
        approvals = (*known.approvals, name)
        needed = (
            1 if known.amount <= rules.withdrawal_single_max.get(known.asset, known.amount) else 2
        )
        is_enough = len(approvals) >= needed
        return replace(
            known,
            approvals=approvals,
            status=WithdrawalStatus.APPROVED if is_enough else WithdrawalStatus.PENDING,
            updated=now,
        )

    def _owner_name(self, account_id: int) -> str:
        accounts = self._registry.accounts
        account = accounts[account_id]
        return account.name if account.owner is None else accounts[account.owner].name

    def _lately(self, account: int, asset: str, now: int) -> int:
        """What was asked for in the last 24 hours and not rejected."""
        total = 0
        for reference in self._references.get((account, asset), ()):
            one = self._by_reference[reference]
            if one.created > now - DAY_US and one.status is not WithdrawalStatus.REJECTED:
                total += one.amount
        return total
