"""What the owner of an account is told of an outcome: events, from its rows in their order.

An outcome holds new states, not what happened; but the rows of an order come in the order of its
events, and each trade has a row. A maker's row comes just before its trade. A taker's comes at the
end of its sweep, so that its states in between are counted up from its trades, beginning with none:
whoever takes has just entered.
"""

from collections import deque
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from exchange.services import client_ids
from exchange.services.list_members import ListMembers
from exchange.services.messages import Listed, Outcome, Placed, Reason, Rejected, Replaced
from exchange.services.orders import ExpiryReason, OrderStatus, Side
from exchange.services.rows import (
    Amendment,
    Balance,
    Order,
    OrderList,
    PreventedMatch,
    Row,
    Trade,
    Transfer,
)

PLACES = 2**20
"""An execution id is its outcome's number times this, plus its place in there."""


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    CANCELED = "CANCELED"
    REPLACED = "REPLACED"
    TRADE = "TRADE"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"
    REJECTED = "REJECTED"


class OrderReport(Struct, frozen=True, kw_only=True):
    """One thing that happened to an order, which is told as it was right afterwards.

    A cancel has a client order id of its own; then, and after an amendment, the one that the order
    had is the original one.
    """

    account: int
    time: int
    id: int
    execution: Execution
    order: Order
    client_order_id: str
    original_client_order_id: str = ""
    trade: Trade | None = None
    match: PreventedMatch | None = None
    reason: Reason | None = None
    """Why it was rejected."""


class ListReport(Struct, frozen=True, kw_only=True):
    """A list has begun or ended, or `is_updated`: an order of it has another client order id."""

    account: int
    time: int
    order_list: OrderList
    members: tuple[tuple[int, str], ...]
    is_updated: bool = False


class BalanceReport(Struct, frozen=True, kw_only=True):
    """What an account has now of each asset that was touched."""

    account: int
    time: int
    balances: tuple[Balance, ...]


class TransferReport(Struct, frozen=True, kw_only=True):
    """Money that entered an account or left it."""

    account: int
    time: int
    transfer: Transfer


AccountEvent = OrderReport | ListReport | BalanceReport | TransferReport


def account_events(outcome: Outcome, members: ListMembers) -> list[AccountEvent]:
    """All events of all accounts, in order. `members` must have learned this outcome's rows."""
    return [*_Walk(outcome, members).events(), *_balances(outcome)]


def _balances(outcome: Outcome) -> Iterator[BalanceReport]:
    """One for each account: the last state of whatever was touched."""
    touched: dict[int, dict[str, Balance]] = {}
    for row in outcome.rows:
        if isinstance(row, Balance):
            touched.setdefault(row.account, {})[row.asset] = row
    for account, balances in touched.items():
        yield BalanceReport(account=account, time=outcome.time, balances=tuple(balances.values()))


class _Taken(Struct):
    """What a taker has traded and lost so far."""

    filled: int = 0
    filled_quote: int = 0
    prevented: int = 0
    match_id: int | None = None


class _Walk:
    """Goes through the rows of one outcome, once."""

    def __init__(self, outcome: Outcome, members: ListMembers) -> None:
        self._outcome = outcome
        self._members = members
        self._events: list[AccountEvent] = []
        self._reports = 0
        self._placed = set(_placed(outcome))
        self._entering = _entering(outcome)
        self._amended = {row.order_id for row in outcome.rows if isinstance(row, Amendment)}
        self._last: dict[int, Order] = {}
        self._ahead: dict[int, deque[Order]] = {}
        for row in outcome.rows:
            if isinstance(row, Order):
                self._ahead.setdefault(row.id, deque()).append(row)
        self._taken: dict[int, _Taken] = {}
        self._filled_lists: set[int] = set()
        self._started: set[int] = set()
        self._cancels: dict[tuple[int, int], str] = {}

    def events(self) -> list[AccountEvent]:
        for row in self._outcome.rows:
            self._enter(row)
            match row:
                case Order():
                    self._ahead[row.id].popleft()
                    self._order(row)
                    self._last[row.id] = row
                case Trade():
                    self._trade(row)
                case PreventedMatch():
                    self._prevented(row)
                case Amendment():
                    self._amendment(row)
                case OrderList():
                    self._list(row)
                case Transfer():
                    for account in (row.account, row.counterparty):
                        if account is not None:
                            self._events.append(
                                TransferReport(
                                    account=account, time=self._outcome.time, transfer=row
                                )
                            )
        self._result()
        return self._events

    def _result(self) -> None:
        """A refusal is the answer's to tell; but what was canceled for it has told that it comes."""
        match self._outcome.result:
            case Replaced(placed=Rejected(reason=reason), rejected=Order() as order):
                self._report(Execution.REJECTED, order, reason=reason)

    # --- What is new --------------------------------------------------------------------------

    def _enter(self, row: Row) -> None:
        """A new order is told before what it does, which has its rows before that of the order.

        Before it come only what it replaces, and the orders that wait for it.
        """
        is_before = isinstance(row, OrderList) or (
            isinstance(row, Order) and row.status in (OrderStatus.CANCELED, OrderStatus.PENDING_NEW)
        )
        if self._entering is not None and not is_before:
            self._begin(self._ahead[self._entering][0])
            self._entering = None

    def _begin(self, row: Order) -> None:
        """Tell of an order that is new, or whose turn has come in its list, if it was not told.

        `row` is the next one of it.
        """
        if row.id in self._placed:
            self._placed.discard(row.id)
            self._report(Execution.NEW, _at_first(row))
        elif self._is_started(row):
            self._started.add(row.id)
            self._report(Execution.NEW, _at_first(row))

    def _is_started(self, row: Order) -> bool:
        """Only the working order of an OTO leaves open orders behind when it is filled."""
        if row.terms.list_id not in self._filled_lists or row.id in self._started:
            return False
        before = self._last.get(row.id)
        if before is not None and before.status is not OrderStatus.PENDING_NEW:
            return False
        is_refused = row.terms.expiry_reason is ExpiryReason.REJECTED
        return not is_refused or bool(row.filled or row.terms.prevented)

    def _is_set_off(self, row: Order) -> bool:
        """Whether a stop order begins to work with this row: its first one in which it works, and
        neither traded nor lost anything nor was amended."""
        before = self._last.get(row.id)
        terms = row.terms
        return (
            row.type.is_contingent
            and row.status is OrderStatus.NEW
            and not (terms.waiting or row.filled or terms.prevented)
            and (before is None or before.terms.waiting)
            and row.id not in self._amended
        )

    # --- One order ----------------------------------------------------------------------------

    def _order(self, row: Order) -> None:
        self._begin(row)
        if row.status is OrderStatus.FILLED and row.terms.list_id:
            self._filled_lists.add(row.terms.list_id)
        if row.status is OrderStatus.CANCELED:
            self._report(
                Execution.CANCELED,
                row,
                client_order_id=self._cancel_name(row),
                original_client_order_id=row.client_order_id,
            )
        elif row.status is OrderStatus.EXPIRED:
            self._report(Execution.EXPIRED, row)
        elif self._is_set_off(row):
            self._report(Execution.NEW, row)

    def _cancel_name(self, row: Order) -> str:
        """The orders of a list are ended by one cancel."""
        list_id = row.terms.list_id
        group = (list_id, 0 if list_id else row.id)
        if group not in self._cancels:
            self._cancels[group] = client_ids.of_cancel(self._outcome, row.id)
        return self._cancels[group]

    def _amendment(self, row: Amendment) -> None:
        order = self._last[row.order_id]
        self._report(Execution.REPLACED, order, original_client_order_id=row.client_order_id)
        order_list = self._members.find(order.terms.list_id)
        if order_list is not None and row.new_client_order_id != row.client_order_id:
            self._list(order_list, is_updated=True)

    def _report(
        self,
        execution: Execution,
        order: Order,
        *,
        client_order_id: str = "",
        original_client_order_id: str = "",
        trade: Trade | None = None,
        match: PreventedMatch | None = None,
        reason: Reason | None = None,
    ) -> None:
        assert self._reports < PLACES, self._outcome.number
        self._events.append(
            OrderReport(
                account=order.account,
                time=self._outcome.time,
                id=self._outcome.number * PLACES + self._reports,
                execution=execution,
                order=order,
                client_order_id=client_order_id or order.client_order_id,
                original_client_order_id=original_client_order_id,
                trade=trade,
                match=match,
                reason=reason,
            )
        )
        self._reports += 1

    def _list(self, row: OrderList, *, is_updated: bool = False) -> None:
        self._events.append(
            ListReport(
                account=row.account,
                time=self._outcome.time,
                order_list=row,
                members=self._members.names(row),
                is_updated=is_updated,
            )
        )

    # --- Two orders ---------------------------------------------------------------------------

    def _trade(self, row: Trade) -> None:
        ids = {Side.BUY: row.buy_order, Side.SELL: row.sell_order}
        taker_id = ids.pop(row.taker_side)
        (maker_id,) = ids.values()
        taken = self._step(taker_id)
        taken.filled += row.quantity
        taken.filled_quote += row.quote_quantity
        self._report(Execution.TRADE, self._taker(taker_id), trade=row)
        self._report(Execution.TRADE, self._last[maker_id], trade=row)

    def _prevented(self, row: PreventedMatch) -> None:
        taken = self._step(row.taker_order)
        if row.taker_quantity:
            taken.prevented += row.taker_quantity
            taken.match_id = row.id
            self._report(Execution.TRADE_PREVENTION, self._taker(row.taker_order), match=row)
        if row.maker_quantity:
            maker = self._ahead[row.maker_order][0]
            self._report(Execution.TRADE_PREVENTION, maker, match=row)

    def _step(self, taker_id: int) -> _Taken:
        self._begin(self._ahead[taker_id][0])
        return self._taken.setdefault(taker_id, _Taken())

    def _taker(self, taker_id: int) -> Order:
        """The taker after what it has taken so far; its next row is that of its sweep's end."""
        end, taken = self._ahead[taker_id][0], self._taken[taker_id]
        is_end = (taken.filled, taken.prevented) == (end.filled, end.terms.prevented)
        if is_end and end.status in (OrderStatus.FILLED, OrderStatus.EXPIRED_IN_MATCH):
            return end
        status = OrderStatus.PARTIALLY_FILLED if taken.filled else OrderStatus.NEW
        return _in_between(end, status, taken)


def _at_first(row: Order) -> Order:
    """An order as it was before it took anything."""
    if row.status is OrderStatus.PENDING_NEW:
        return row
    return _in_between(row, OrderStatus.NEW, _Taken())


def _in_between(row: Order, status: OrderStatus, taken: _Taken) -> Order:
    special = row.special
    if special is not None:
        special = replace(
            special,
            prevented=taken.prevented,
            prevented_match_id=taken.match_id,
            expiry_reason=None,
        )
    return replace(
        row,
        status=status,
        filled=taken.filled,
        filled_quote=taken.filled_quote,
        special=special,
    )


def _placed(outcome: Outcome) -> Iterator[int]:
    """The orders that are new."""
    result = outcome.result.placed if isinstance(outcome.result, Replaced) else outcome.result
    if isinstance(result, Placed):
        yield result.order_id
    elif isinstance(result, Listed):
        for row in outcome.rows:
            if isinstance(row, OrderList) and row.id == result.list_id:
                yield from row.order_ids
                return


def _entering(outcome: Outcome) -> int | None:
    """The new order that comes first."""
    return next(_placed(outcome), None)
