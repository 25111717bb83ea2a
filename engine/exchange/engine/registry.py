"""Who and what exists: accounts, keys, assets, and the references of money that has moved.

Each question about something new is answered with its row, or with why it cannot be.
"""

from typing import assert_never

from msgspec.structs import replace

from exchange.engine.ledger import SUPPLY_MAX
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    ChangeAccount,
    ChangeExchange,
    ChangeKey,
    CreateAccount,
    CreateKey,
    Deposit,
    MoveFunds,
    RequestWithdrawal,
    RevokeKey,
    Withdraw,
)
from exchange.services.markets import (
    RATE_SCALE,
    SMALL_MAX,
    Asset,
    ExchangeRules,
    Market,
    market_fault,
)
from exchange.services.messages import Reason, Rejected, Repeated
from exchange.services.rows import FEE_ACCOUNT, Account, Key, Role, Transfer, TransferKind


class Registry:
    """Changed by `restore` alone; everything else only reads."""

    def __init__(self) -> None:
        self.accounts: dict[int, Account] = {}
        self.keys: dict[str, Key] = {}
        self.assets: dict[str, Asset] = {}
        self.exchange_rules = ExchangeRules()
        self._account_names: dict[str, int] = {}
        self._transfers: dict[str, Transfer] = {}
        self.restore(Account(id=FEE_ACCOUNT, name="exchange", created=0))

    def restore(self, row: Account | Key | Asset | ExchangeRules | Transfer) -> None:
        match row:
            case Account():
                self.accounts[row.id] = row
                self._account_names[row.name] = row.id
            case Key():
                self.keys[row.api_key] = row
            case Asset():
                self.assets[row.name] = row
            case ExchangeRules():
                self.exchange_rules = row
            case Transfer():
                self._transfers[row.reference] = row
            case _:
                assert_never(row)

    def refusal(self, command: AnyCommand, now: int) -> Rejected | None:
        """Why this sender may not ask for this."""
        if command.account not in self.accounts:
            return Rejected(reason=Reason.UNKNOWN_ACCOUNT)
        if command.key and not self._may_use(command, now):
            return Rejected(reason=Reason.KEY_NOT_VALID)
        return None

    def new_account(self, command: CreateAccount, number: int, now: int) -> Account | Rejected:
        if command.name in self._account_names:
            return Rejected(reason=Reason.ALREADY_EXISTS)
        owner = command.owner
        if owner is not None:
            if owner not in self.accounts or owner == FEE_ACCOUNT:
                return Rejected(reason=Reason.UNKNOWN_ACCOUNT)
            if self.accounts[owner].owner is not None or command.role is not Role.TRADER:
                return Rejected(
                    reason=Reason.INVALID, detail="A sub-account has no sub-accounts and no role."
                )
        # Its journal number is an id that no lost or repeated command can give to another account.
        return Account(id=number, name=command.name, created=now, owner=owner, role=command.role)

    def changed_account(self, command: ChangeAccount) -> Account | Rejected:
        """The account as the command leaves it; the exchange's own has nothing to change."""
        if command.account == FEE_ACCOUNT:
            return Rejected(reason=Reason.INVALID, detail="The exchange's own account trades not.")
        if command.tier is not None and not 0 <= command.tier <= SMALL_MAX:
            return Rejected(reason=Reason.INVALID, detail="A tier is a number from 0 on.")
        account = self.accounts[command.account]
        return replace(
            account,
            tier=account.tier if command.tier is None else command.tier,
            discount=account.discount if command.discount is None else command.discount,
            stopped=account.stopped if command.stopped is None else command.stopped,
            role=account.role if command.role is None else command.role,
        )

    def changed_exchange(self, command: ChangeExchange) -> ExchangeRules | Rejected:
        if command.replaces is not None and command.replaces != self.exchange_rules:
            return Rejected(reason=Reason.CHANGED_MEANWHILE)
        # Whoever sends all rules may not know yet that withdrawals were frozen.
        is_frozen = self.exchange_rules.withdrawals_frozen
        limits_of_withdrawals = {
            name: _ordered(getattr(command.rules, name)) for name in _WITHDRAWAL_RULES
        }
        rules = replace(command.rules, withdrawals_frozen=is_frozen, **limits_of_withdrawals)
        limits = (
            rules.orders_max,
            rules.algo_orders_max,
            rules.iceberg_orders_max,
            rules.order_lists_max,
        )
        if not all(0 <= limit <= SMALL_MAX for limit in limits):
            return Rejected(reason=Reason.INVALID, detail="A limit is a number from 0 on.")
        amounts = (
            rules.assets_max,
            rules.withdrawal_max,
            rules.withdrawal_day_max,
            rules.withdrawal_free_max,
            rules.withdrawal_single_max,
        )
        if not all(0 <= amount <= SUPPLY_MAX for by in amounts for amount in by.values()):
            return Rejected(reason=Reason.INVALID, detail="An amount must not be below zero.")
        named = [rules.discount_asset, *(name for by in amounts for name in by)]
        if any(name and name not in self.assets for name in named):
            return Rejected(reason=Reason.UNKNOWN_ASSET)
        if not 0 <= rules.discount <= RATE_SCALE:
            return Rejected(reason=Reason.INVALID, detail="The discount is a factor from 0 to 1.")
        return rules

    def new_key(self, command: CreateKey, now: int) -> Key | Rejected:
        if command.api_key in self.keys:
            return Rejected(reason=Reason.ALREADY_EXISTS)
        return Key(
            api_key=command.api_key,
            account=command.account,
            kind=command.kind,
            secret=command.secret,
            can_trade=command.can_trade,
            created=now,
            name=command.name,
            can_read=command.can_read,
            can_withdraw=command.can_withdraw,
            addresses=command.addresses,
            expires=command.expires,
        )

    def changed_key(self, command: ChangeKey) -> Key | Rejected:
        key = self._own_key(command)
        if isinstance(key, Rejected):
            return key
        changes = {
            name: value
            for name in ("can_read", "can_trade", "can_withdraw", "addresses", "secret")
            if (value := getattr(command, name)) is not None
        }
        return replace(key, **changes)

    def revoked_key(self, command: RevokeKey, now: int) -> Key | Rejected:
        key = self._own_key(command)
        return key if isinstance(key, Rejected) else replace(key, revoked=now)

    def new_asset(self, command: AddAsset) -> Asset | Rejected:
        if command.asset.name in self.assets:
            return Rejected(reason=Reason.ALREADY_EXISTS)
        if not 0 <= command.asset.decimals <= 18:
            return Rejected(reason=Reason.INVALID, detail="An asset has 0 to 18 decimals.")
        return command.asset

    def new_market(self, command: AddMarket, now: int) -> Market | Rejected:
        market = replace(command.market, created=now)
        base, quote = self.assets.get(market.base), self.assets.get(market.quote)
        if base is None or quote is None:
            return Rejected(reason=Reason.UNKNOWN_ASSET)
        if (base.decimals, quote.decimals) != (market.base_decimals, market.quote_decimals):
            return Rejected(reason=Reason.INVALID, detail="The decimals are not the assets' own.")
        if (fault := market_fault(market)) is not None:
            return Rejected(reason=Reason.INVALID, detail=fault)
        return market

    def new_transfer(
        self, command: Deposit | Withdraw | RequestWithdrawal | MoveFunds, number: int, now: int
    ) -> Transfer | Rejected | Repeated:
        """Repeated where the same money has moved under this reference before."""
        transfer = Transfer(
            number=number,
            account=command.account,
            asset=command.asset,
            kind=_TRANSFER_KINDS[type(command)],
            amount=command.amount,
            reference=command.reference,
            time=now,
            counterparty=command.to if isinstance(command, MoveFunds) else None,
        )
        known = self._transfers.get(command.reference)
        if known is not None:
            if replace(transfer, number=known.number, time=known.time) != known:
                return Rejected(reason=Reason.REFERENCE_USED)
            return Repeated(number=known.number)
        if command.asset not in self.assets:
            return Rejected(reason=Reason.UNKNOWN_ASSET)
        if command.amount <= 0 or not command.reference:
            return Rejected(reason=Reason.INVALID)
        if isinstance(command, MoveFunds) and not self._share_owner(command.account, command.to):
            return Rejected(
                reason=Reason.NOT_ALLOWED, detail="Both must be different accounts of one owner."
            )
        return transfer

    def unused_reference(self, wanted: str) -> str:
        """As wanted, or the like."""
        while wanted in self._transfers:
            wanted += "+"
        return wanted

    def _share_owner(self, account: int, other: int) -> bool:
        if account == other or other not in self.accounts:
            return False
        owners = [self.accounts[one].owner for one in (account, other)]
        return (owners[0] or account) == (owners[1] or other)

    def _own_key(self, command: ChangeKey | RevokeKey) -> Key | Rejected:
        """The key that is meant, if it is there and its sender's own; all are the operator's."""
        key = self.keys.get(command.api_key)
        if key is None or key.revoked is not None:
            return Rejected(reason=Reason.UNKNOWN_KEY)
        if command.account not in (FEE_ACCOUNT, key.account):
            return Rejected(reason=Reason.UNKNOWN_KEY)
        return key

    def _may_use(self, command: AnyCommand, now: int) -> bool:
        key = self.keys.get(command.key)
        if key is None or key.account != command.account or not key.is_valid(now):
            return False
        return key.can_withdraw if isinstance(command, RequestWithdrawal) else key.can_trade


def _ordered(amounts: dict[str, int]) -> dict[str, int]:
    """In the one order in which a database hands them out: the state hash is over it, too."""
    return dict(sorted(amounts.items(), key=lambda item: (len(item[0]), item[0])))


_WITHDRAWAL_RULES = (
    "withdrawal_max", "withdrawal_day_max", "withdrawal_free_max", "withdrawal_single_max",
)  # fmt: skip
_TRANSFER_KINDS = {
    Deposit: TransferKind.DEPOSIT,
    Withdraw: TransferKind.WITHDRAWAL,
    RequestWithdrawal: TransferKind.WITHDRAWAL,
    MoveFunds: TransferKind.TRANSFER,
}
