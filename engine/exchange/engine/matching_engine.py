"""The matching engine: commands in, outcomes out, nothing else.

Every command is planned first, which only reads and may refuse, and then committed, which is plain
assignment and asserts. The time is an argument; there is no clock, chance or environment in here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, assert_never

from msgspec.structs import replace

from exchange.engine.acts import Changes, Record, author_of
from exchange.engine.ledger import SUPPLY_MAX, Ledger
from exchange.engine.order_book import OrderBook
from exchange.engine.registry import Registry
from exchange.engine.request_memory import RequestMemory
from exchange.engine.trading_desk import Commit, TradingDesk
from exchange.engine.withdrawals import Withdrawals
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AmendOrder,
    AnyCommand,
    CancelAllOrders,
    CancelList,
    CancelOrder,
    ChangeAccount,
    ChangeExchange,
    ChangeKey,
    ChangeMarket,
    CreateAccount,
    CreateKey,
    DecideWithdrawal,
    Deposit,
    FreezeWithdrawals,
    MoveFunds,
    Note,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    RequestWithdrawal,
    Reset,
    RevokeKey,
    SetMode,
    Undecodable,
    Withdraw,
)
from exchange.services.markets import Asset, ExchangeRules, Market, Mode, market_fault
from exchange.services.messages import (
    Created,
    Done,
    Outcome,
    Reason,
    Rejected,
    Repeated,
    Result,
    SignedRequest,
)
from exchange.services.rows import (
    Account,
    Act,
    Amendment,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    Level,
    Order,
    OrderList,
    PreventedMatch,
    Row,
    Trade,
    Transfer,
    TransferKind,
    Withdrawal,
    WithdrawalStatus,
)

_ONLY_THE_LAST_COUNTS = frozenset((Balance, Counters, AveragePrices))


class MatchingEngine:
    """The whole live state of the exchange, changed by `apply` or taken over by `follow`."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.ledger = Ledger()
        self.requests = RequestMemory()
        self.books: dict[str, OrderBook] = {}
        self.withdrawals = Withdrawals(self.registry)
        self._rows: list[Row] = []
        self._changes: Changes = []
        self._record = Record()
        self._desk = TradingDesk(self.registry, self.ledger, self.books, self._rows)
        books, registry = self.books, self.registry
        # Looked up by its type, since a follower has several rows for every command; None for what
        # changes things that have rows of their own.
        self._restorers: dict[type[Row], Callable[[Any], None] | None] = {
            Order: lambda row: books[row.symbol].restore(row),
            Balance: self.ledger.restore,
            OrderList: lambda row: books[row.symbol].put_list(row),
            AveragePrices: lambda row: books[row.symbol].restore_average(row),
            Counters: lambda row: books[row.symbol].restore_counters(row),
            Beginning: self._restore_beginning,
            Market: self._restore_market,
            Account: registry.restore,
            Key: registry.restore,
            Asset: registry.restore,
            ExchangeRules: registry.restore,
            Transfer: registry.restore,
            Withdrawal: self.withdrawals.restore,
            Act: self._record.restore,
            Trade: None,
            Amendment: None,
            PreventedMatch: None,
            Level: None,
        }
        self._followers = {
            kind: None if kind in _ONLY_THE_LAST_COUNTS else restore
            for kind, restore in self._restorers.items()
        }

    def apply(self, number: int, command: AnyCommand | Undecodable, now: int) -> Outcome:
        """Execute one command at a time in µs, and say everything that it led to."""
        if isinstance(command, Undecodable):
            result: Result = Rejected(reason=Reason.POISON, detail=command.fault)
            return Outcome(number=number, time=now, uid=0, request=None, deadline=0, result=result)
        first = None
        if command.request is not None:
            first = self.requests.number(command.request)
            if first is None:
                self.requests.remember(SignedRequest(number, command.request, command.deadline))
        if first is not None:
            result = Repeated(number=first)
        else:
            plan = self._plan_safely(command, number, now)
            result = (
                plan if isinstance(plan, Rejected) else self._commit(command, plan, number, now)
            )
        rows = tuple(self._rows)
        self._rows.clear()
        return Outcome(
            number=number,
            time=now,
            uid=command.uid,
            request=command.request,
            deadline=command.deadline,
            result=result,
            rows=rows,
        )

    def follow(self, outcome: Outcome) -> None:
        """Take over what another engine's outcome says, without executing anything."""
        for row in outcome.rows:
            self.restore(row)
        self._remember(outcome)

    def follow_all(
        self, outcomes: Iterable[Outcome], rows: Iterable[Row], states: Iterable[Row]
    ) -> None:
        """The same of many outcomes, of all the rows in them, and of the last states of the things
        that these are about.

        Of orders and what they depend on each state counts: it gives them their places.
        """
        for row in rows:
            restore = self._followers[type(row)]
            if restore is not None:
                restore(row)
        for row in states:
            if type(row) in _ONLY_THE_LAST_COUNTS:
                self.restore(row)
        for outcome in outcomes:
            self._remember(outcome)

    def restore(self, row: Row) -> None:
        """Take the new state of one thing. Open orders must come by market and queue."""
        restore = self._restorers[type(row)]
        if restore is not None:
            restore(row)

    def _restore_market(self, row: Market) -> None:
        if row.symbol in self.books:
            self.books[row.symbol].market = row
        else:
            self.books[row.symbol] = OrderBook(row)

    def _restore_beginning(self, row: Beginning) -> None:
        self.books[row.symbol].beginning = row

    def _remember(self, outcome: Outcome) -> None:
        if outcome.signed_request is not None:
            self.requests.remember(outcome.signed_request)

    def jump(self, distance: int) -> None:
        """Move all counters on, past ids whose outcomes may be lost."""
        for book in self.books.values():
            book.jump(distance)

    def counters(self) -> tuple[Counters, ...]:
        return tuple(book.counters() for book in self.books.values())

    # --- Planning ---------------------------------------------------------------------------

    def _plan_safely(self, command: AnyCommand, number: int, now: int) -> Rejected | Commit:
        try:
            return self._plan(command, number, now)
        except Exception as fault:
            return Rejected(reason=Reason.POISON, detail=f"{type(fault).__name__}: {fault}")

    def _plan(self, command: AnyCommand, number: int, now: int) -> Rejected | Commit:
        refusal = self.registry.refusal(command, now)
        if refusal is not None:
            return refusal
        match command:
            case PlaceOrder():
                return self._desk.plan_order(command, now)
            case PlaceList():
                return self._desk.plan_list(command, number, now)
            case CancelOrder():
                return self._desk.plan_cancel(command, now)
            case CancelList():
                return self._desk.plan_cancel_list(command, now)
            case CancelAllOrders():
                return self._desk.plan_cancel_all(command, now)
            case ReplaceOrder():
                return self._desk.plan_replace(command, now)
            case AmendOrder():
                return self._desk.plan_amend(command, number, now)
            case Deposit() | Withdraw():
                return self._plan_transfer(command, number, now)
            case MoveFunds():
                return self._plan_move(command, number, now)
            case RequestWithdrawal():
                return self._plan_withdrawal(command, number, now)
            case DecideWithdrawal():
                return self._plan_decision(command, number, now)
            case FreezeWithdrawals():
                rules = self.registry.exchange_rules
                return self._establishing(replace(rules, withdrawals_frozen=command.is_frozen))
            case Note():
                return partial(self._establish, [], Done())
            case CreateAccount():
                account = self.registry.new_account(command, number, now)
                return self._establishing(account, Created(id=number))
            case CreateKey():
                return self._establishing(self.registry.new_key(command, now))
            case ChangeKey():
                return self._establishing(self.registry.changed_key(command))
            case RevokeKey():
                return self._establishing(self.registry.revoked_key(command, now))
            case AddAsset():
                return self._establishing(self.registry.new_asset(command))
            case AddMarket():
                return self._plan_market(command, now)
            case SetMode():
                return self._plan_mode(command)
            case ChangeMarket():
                return self._plan_market_change(command)
            case ChangeExchange():
                return self._establishing(self.registry.changed_exchange(command))
            case ChangeAccount():
                return self._plan_account_change(command, now)
            case Reset():
                return partial(self._reset, now)
            case _:
                assert_never(command)

    def _establishing(
        self, planned: Row | Rejected, result: Result | None = None
    ) -> Rejected | Commit:
        if isinstance(planned, Rejected):
            return planned
        return partial(self._establish, [planned], result or Done())

    def _plan_transfer(
        self, command: Deposit | Withdraw, number: int, now: int
    ) -> Rejected | Commit:
        transfer = self.registry.new_transfer(command, number, now)
        if isinstance(transfer, Rejected):
            return transfer
        if isinstance(transfer, Repeated):
            return partial(self._establish, [], transfer)
        asset, amount = transfer.asset, transfer.amount
        if transfer.kind is TransferKind.DEPOSIT:
            if self.ledger.supply.get(asset, 0) + amount > SUPPLY_MAX:
                return Rejected(reason=Reason.INVALID, detail="more than the ledger can hold")
        elif self.registry.exchange_rules.withdrawals_frozen:
            return Rejected(reason=Reason.WITHDRAWALS_FROZEN)
        elif self.ledger.free(transfer.account, asset) < amount:
            return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
        return partial(self._transfer, transfer)

    def _plan_move(self, command: MoveFunds, number: int, now: int) -> Rejected | Commit:
        transfer = self.registry.new_transfer(command, number, now)
        if isinstance(transfer, Rejected):
            return transfer
        if isinstance(transfer, Repeated):
            return partial(self._establish, [], transfer)
        if self.registry.accounts[command.account].stopped:
            return Rejected(reason=Reason.ACCOUNT_STOPPED)
        if self.ledger.free(command.account, command.asset) < command.amount:
            return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
        return partial(self._transfer, transfer)

    def _plan_withdrawal(
        self, command: RequestWithdrawal, number: int, now: int
    ) -> Rejected | Commit:
        transfer = self.registry.new_transfer(command, number, now)
        if isinstance(transfer, Rejected):
            return transfer
        if isinstance(transfer, Repeated):
            return partial(self._establish, [], transfer)
        withdrawal = self.withdrawals.new(command, transfer)
        if isinstance(withdrawal, Rejected):
            return withdrawal
        if self.ledger.free(command.account, command.asset) < command.amount:
            return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
        return partial(self._transfer, transfer, withdrawal)

    def _plan_decision(self, command: DecideWithdrawal, number: int, now: int) -> Rejected | Commit:
        decided = self.withdrawals.decided(command, now)
        if isinstance(decided, Rejected):
            return decided
        if decided.status is not WithdrawalStatus.REJECTED:
            return partial(self._establish, [decided], Done())
        back = Transfer(
            number=number,
            account=decided.account,
            asset=decided.asset,
            kind=TransferKind.DEPOSIT,
            amount=decided.amount,
            reference=self.registry.unused_reference(f"{decided.reference}/returned"),
            time=now,
        )
        return partial(self._transfer, back, decided)

    def _plan_market(self, command: AddMarket, now: int) -> Rejected | Commit:
        if command.market.symbol in self.books:
            return Rejected(reason=Reason.ALREADY_EXISTS)
        market = self.registry.new_market(command, now)
        if isinstance(market, Rejected):
            return market
        return partial(self._establish, [market, Counters(symbol=market.symbol)], Done())

    def _plan_mode(self, command: SetMode) -> Rejected | Commit:
        if command.symbol is not None and command.symbol not in self.books:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        markets = [
            replace(self.books[symbol].market, mode=command.mode)
            for symbol in sorted(self.books)
            if command.symbol in (None, symbol)
        ]
        return partial(self._establish, markets, Done())

    def _plan_market_change(self, command: ChangeMarket) -> Rejected | Commit:
        book = self.books.get(command.symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        read = command.replaces
        # Its mode is nobody's rule: halting a market must not stand in the way of one.
        if read is not None and replace(read, mode=book.market.mode) != book.market:
            return Rejected(reason=Reason.CHANGED_MEANWHILE)
        market = replace(
            book.market,
            maker_rate=command.maker_rate,
            taker_rate=command.taker_rate,
            rules=command.rules,
        )
        if (fault := market_fault(market)) is not None:
            return Rejected(reason=Reason.INVALID, detail=fault)
        return partial(self._establish, [market], Done())

    def _plan_account_change(self, command: ChangeAccount, now: int) -> Rejected | Commit:
        account = self.registry.changed_account(command)
        if isinstance(account, Rejected):
            return account
        return partial(self._change_account, account, now)

    # --- Committing -------------------------------------------------------------------------

    def _commit(self, command: AnyCommand, plan: Commit, number: int, now: int) -> Result:
        """Carry out a plan, and put on record what somebody answers for."""
        result = plan()
        author = author_of(command)
        if author is not None and not isinstance(result, Repeated):
            self._rows.append(self._record.add(command, author, self._changes, number, now))
        self._changes.clear()
        return result

    def _establish(self, rows: Iterable[Row], result: Result) -> Result:
        """Let things be as these rows say."""
        for row in rows:
            if not isinstance(row, Counters | Beginning):
                self._changes.append((self._known(row), row))
            self.restore(row)
            self._rows.append(row)
        return result

    def _known(self, row: Row) -> Row | None:
        """What a row is about, as it was before."""
        match row:
            case Account():
                return self.registry.accounts.get(row.id)
            case Key():
                return self.registry.keys.get(row.api_key)
            case Market():
                return self.books[row.symbol].market if row.symbol in self.books else None
            case ExchangeRules():
                return self.registry.exchange_rules
            case Withdrawal():
                return self.withdrawals.find(row.reference)
        return None

    def _transfer(self, transfer: Transfer, withdrawal: Withdrawal | None = None) -> Result:
        account, asset, amount = transfer.account, transfer.asset, transfer.amount
        match transfer.kind:
            case TransferKind.DEPOSIT:
                self.ledger.deposit(account, asset, amount)
            case TransferKind.WITHDRAWAL:
                self.ledger.withdraw(account, asset, amount)
            case TransferKind.TRANSFER:
                assert transfer.counterparty is not None
                self.ledger.move(account, transfer.counterparty, asset, amount)
        self._rows.extend(self.ledger.take_changes())
        rows: list[Row] = [transfer] if withdrawal is None else [transfer, withdrawal]
        return self._establish(rows, Created(id=transfer.number))

    def _reset(self, now: int) -> Result:
        """Let every market be as if it had been created now, but for the numbers that it gives."""
        rows: list[Row] = []
        for symbol in sorted(self.books):
            book = self.books[symbol]
            self._desk.end_all(book, now)
            rows.append(replace(book.market, mode=Mode.RUNNING, created=now))
            rows.append(Beginning(symbol=symbol, trade_id=book.trade_id))
        return self._establish(rows, Done())

    def _change_account(self, account: Account, now: int) -> Result:
        if account.stopped:
            self._desk.cancel_everything(account.id, now)
        return self._establish([account], Done())
