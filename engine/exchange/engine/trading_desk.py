"""What traders ask for: each command about orders, planned from the market's rules to its end.

A plan only reads, and may refuse; what it returns does the rest and cannot be refused.
"""

from collections.abc import Callable, Sequence
from functools import partial

from msgspec.structs import replace

from exchange.engine.entry import Entry, needed_lock, new_order, plan_entries
from exchange.engine.fees import Fees
from exchange.engine.ledger import Ledger
from exchange.engine.limits import count_failure, exceeds_position
from exchange.engine.order_book import OrderBook
from exchange.engine.registry import Registry
from exchange.engine.trading import Trading
from exchange.services.commands import (
    AmendOrder,
    CancelAllOrders,
    CancelList,
    CancelOrder,
    NewOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
)
from exchange.services.filters import (
    Filter,
    filter_failure,
    notional_failure,
    order_refusal,
    quantity_failure,
)
from exchange.services.markets import Feature, Mode
from exchange.services.messages import (
    Amended,
    Canceled,
    Listed,
    Placed,
    Reason,
    Rejected,
    Replaced,
    Result,
)
from exchange.services.orders import Contingency, ListStatus, OrderStatus, OrderType, Side
from exchange.services.rows import Amendment, Order, OrderList, Row

Commit = Callable[[], Result]
"""What a plan leaves to do; it cannot be refused any more."""

AnyPlacing = PlaceOrder | PlaceList | ReplaceOrder


class TradingDesk:
    """The orders of all markets; what changes is added to `rows`."""

    def __init__(
        self, registry: Registry, ledger: Ledger, books: dict[str, OrderBook], rows: list[Row]
    ) -> None:
        self._registry = registry
        self._ledger = ledger
        self._books = books
        self._rows = rows
        self._trading = Trading(ledger, Fees(registry, ledger, books), rows)

    # --- Placing ------------------------------------------------------------------------------

    def plan_order(self, command: PlaceOrder, now: int) -> Rejected | Commit:
        book = self._books.get(command.symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        refusal = self._refusal(command, (command.order,), 0, book, now)
        if refusal is None:
            refusal = self._taken_client_id(command, (command.order,), book)
        return refusal or self._plan_placing(command, command.order, book, now)

    def plan_list(self, command: PlaceList, number: int, now: int) -> Rejected | Commit:
        book = self._books.get(command.symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        for feature in _list_features(command):
            if feature not in book.market.rules.features:
                return Rejected(reason=Reason.NOT_SUPPORTED, detail=feature.value)
        if not _is_list(command):
            return Rejected(reason=Reason.INVALID)
        refusal = self._refusal(command, command.orders, 1, book, now)
        if refusal is None:
            refusal = self._taken_client_id(command, command.orders, book)
        if refusal is not None:
            return refusal
        if book.list_by_client_id(command.account, command.client_list_id) is not None:
            return Rejected(reason=Reason.DUPLICATE_CLIENT_ORDER_ID)
        orders = [
            new_order(command, new, book, book.order_id + place, now, list_id=number)
            for place, new in enumerate(command.orders, 1)
        ]
        # The working order of an OTO enters alone.
        first = orders if command.contingency is Contingency.OCO else orders[:1]
        entries = plan_entries(first, book, self._ledger, now)
        if isinstance(entries, Rejected):
            return entries
        order_list = OrderList(
            symbol=command.symbol,
            id=number,
            account=command.account,
            client_list_id=command.client_list_id,
            contingency=command.contingency,
            order_ids=tuple(order.id for order in orders),
            status=ListStatus.EXECUTING,
            created=now,
            updated=now,
        )
        return partial(self._place_list, book, order_list, entries, orders[len(first) :], now)

    def _plan_placing(
        self, command: PlaceOrder | ReplaceOrder, new: NewOrder, book: OrderBook, now: int
    ) -> Rejected | Commit:
        order = new_order(command, new, book, book.order_id + 1, now)
        entries = plan_entries((order,), book, self._ledger, now)
        if isinstance(entries, Rejected):
            return entries
        (entry,) = entries
        # How much a quote amount buys is known only now.
        if new.quote_quantity and self._exceeds_position(command, entry.order, book):
            return filter_failure(Filter.MAX_POSITION)
        return partial(self._place, book, entry, now)

    def _place(self, book: OrderBook, entry: Entry, now: int) -> Placed:
        book.order_id += 1
        self._trading.enter(book, entry, now)
        self._trading.finish(book)
        return Placed(symbol=book.market.symbol, order_id=entry.order.id)

    def _place_list(
        self,
        book: OrderBook,
        order_list: OrderList,
        entries: Sequence[Entry],
        pending: Sequence[Order],
        now: int,
    ) -> Result:
        book.order_id += len(order_list.order_ids)
        self._trading.put_list(book, order_list)
        for order in pending:
            self._trading.hold_back(book, order)
        for entry in entries:
            self._trading.enter(book, entry, now)
        self._trading.finish(book)
        return Listed(symbol=book.market.symbol, list_id=order_list.id)

    def _refusal(
        self,
        command: AnyPlacing,
        orders: Sequence[NewOrder],
        lists: int,
        book: OrderBook,
        now: int,
    ) -> Rejected | None:
        """Whatever forbids these orders before the book and the balance are looked at."""
        if command.deadline and command.deadline < now:
            return Rejected(reason=Reason.LATE)
        if book.market.mode is not Mode.RUNNING:
            return Rejected(reason=Reason.MARKET_CLOSED)
        if self._registry.accounts[command.account].stopped:
            return Rejected(reason=Reason.ACCOUNT_STOPPED)
        exchange, average = self._registry.exchange_rules, book.average(now)
        for order in orders:
            refusal = order_refusal(book.market, exchange, order, average)
            if refusal is not None:
                return refusal
        failed = count_failure(command.account, orders, lists, book, self._books.values(), exchange)
        if failed is None and exceeds_position(
            command.account, _bought(command, orders), book, self._ledger
        ):
            failed = Filter.MAX_POSITION
        return None if failed is None else filter_failure(failed)

    def _exceeds_position(self, command: AnyPlacing, order: Order, book: OrderBook) -> bool:
        bought = order.quantity if order.side is Side.BUY else 0
        return exceeds_position(command.account, bought, book, self._ledger)

    def _taken_client_id(
        self, command: AnyPlacing, orders: Sequence[NewOrder], book: OrderBook
    ) -> Rejected | None:
        ids = [order.client_order_id for order in orders]
        if len(set(ids)) < len(ids) or any(
            book.order_by_client_id(command.account, one) is not None for one in ids
        ):
            return Rejected(reason=Reason.DUPLICATE_CLIENT_ORDER_ID)
        return None

    # --- Cancelling ---------------------------------------------------------------------------

    def plan_cancel(
        self, command: CancelOrder | ReplaceOrder, now: int
    ) -> Rejected | Callable[[], Canceled]:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
        order = _find_order(book, command)
        if isinstance(order, Rejected):
            return order
        if command.only not in (None, order.status):
            return Rejected(reason=Reason.CANCEL_RESTRICTED)
        is_last = isinstance(command, CancelOrder)
        name = command.cancel_client_order_id
        return partial(self._cancel, book, [order], now, is_last=is_last, name=name)

    def plan_cancel_list(self, command: CancelList, now: int) -> Rejected | Commit:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
        if command.list_id is not None:
            order_list = book.lists.get(command.list_id)
        elif command.client_list_id is not None:
            order_list = book.list_by_client_id(command.account, command.client_list_id)
        else:
            return Rejected(reason=Reason.INVALID)
        if order_list is None or order_list.account != command.account:
            return Rejected(reason=Reason.UNKNOWN_LIST)
        if command.client_list_id not in (None, order_list.client_list_id):
            return Rejected(reason=Reason.UNKNOWN_LIST)
        orders = book.open_orders_of_list(order_list)
        name = command.cancel_client_order_id
        return partial(self._cancel, book, orders, now, is_last=True, name=name)

    def plan_cancel_all(self, command: CancelAllOrders, now: int) -> Rejected | Commit:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
        orders = book.orders_of(command.account)
        if not orders:
            return Rejected(reason=Reason.NO_OPEN_ORDERS)
        return partial(self._cancel, book, orders, now, is_last=True)

    def cancel_everything(self, account: int, now: int) -> None:
        """End all orders of an account in all markets, whatever state these are in."""
        for symbol in sorted(self._books):
            book = self._books[symbol]
            orders = book.orders_of(account)
            if orders:
                self._cancel(book, orders, now, is_last=True)

    def end_all(self, book: OrderBook, now: int) -> None:
        """End all orders of everybody in a market, oldest first, and forget its prices."""
        # Nothing may be set off by a price that is gone.
        book.forget_prices()
        self._cancel(book, sorted(book.orders.values(), key=_id), now, is_last=True)

    def _cancel(
        self, book: OrderBook, orders: Sequence[Order], now: int, *, is_last: bool, name: str = ""
    ) -> Canceled:
        canceled = self._trading.cancel(book, orders, now)
        if is_last:
            self._trading.finish(book)
        return Canceled(symbol=book.market.symbol, order_ids=canceled, client_order_id=name)

    def _book_for_cancel(self, symbol: str) -> OrderBook | Rejected:
        book = self._books.get(symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        if not book.market.mode.takes_cancels:
            return Rejected(reason=Reason.MARKET_CLOSED)
        return book

    # --- Changing -----------------------------------------------------------------------------

    def plan_replace(self, command: ReplaceOrder, now: int) -> Rejected | Commit:
        """Refused as a whole is only what could never be placed."""
        book = self._books.get(command.symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        if Feature.CANCEL_REPLACE not in book.market.rules.features:
            return Rejected(reason=Reason.NOT_SUPPORTED, detail=Feature.CANCEL_REPLACE.value)
        refusal = self._refusal(command, (command.order,), 0, book, now)
        if refusal is not None:
            return refusal
        return partial(self._replace, command, book, self.plan_cancel(command, now), now)

    def _replace(
        self,
        command: ReplaceOrder,
        book: OrderBook,
        cancel: Rejected | Callable[[], Canceled],
        now: int,
    ) -> Replaced:
        canceled = cancel if isinstance(cancel, Rejected) else cancel()
        if isinstance(canceled, Rejected) and command.stop_on_failure:
            return Replaced(canceled=canceled, placed=None)
        placing = self._taken_client_id(command, (command.order,), book) or self._plan_placing(
            command, command.order, book, now
        )
        if not isinstance(placing, Rejected):
            placed = placing()
            assert isinstance(placed, Placed), placed
            return Replaced(canceled=canceled, placed=placed)
        if isinstance(canceled, Rejected):
            return Replaced(canceled=canceled, placed=placing)
        self._trading.finish(book)
        rejected = replace(
            new_order(command, command.order, book, -1, now), status=OrderStatus.REJECTED
        )
        return Replaced(canceled=canceled, placed=placing, rejected=rejected)

    def plan_amend(self, command: AmendOrder, number: int, now: int) -> Rejected | Commit:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
        if Feature.AMEND not in book.market.rules.features:
            return Rejected(reason=Reason.NOT_SUPPORTED, detail=Feature.AMEND.value)
        order = _find_order(book, command)
        if isinstance(order, Rejected):
            return order
        refusal = _amend_refusal(command, order, book, now)
        if refusal is not None:
            return refusal
        before = _with_sibling(order, book)
        after = [_amended(one, command, one.id == order.id, now) for one in before]
        history = [
            Amendment(
                symbol=command.symbol,
                number=number,
                order_id=old.id,
                account=old.account,
                client_order_id=old.client_order_id,
                new_client_order_id=new.client_order_id,
                quantity=old.quantity,
                new_quantity=new.quantity,
                time=now,
            )
            for old, new in zip(before, after, strict=True)
        ]
        return partial(self._amend, book, order.id, _with_locks(after, book), history)

    def _amend(
        self, book: OrderBook, order_id: int, orders: list[Order], history: list[Amendment]
    ) -> Amended:
        self._trading.amend(book, orders)
        self._rows.extend(history)
        self._trading.finish(book)
        return Amended(symbol=book.market.symbol, order_id=order_id)


def _id(order: Order) -> int:
    return order.id


def _list_features(command: PlaceList) -> list[Feature]:
    """What a market must offer; two that one order starts are an OCO."""
    needed = [Feature(command.contingency.value)]
    if command.contingency is Contingency.OTO and len(command.orders) == 3:
        needed.append(Feature.OCO)
    return needed


def _is_list(command: PlaceList) -> bool:
    """Whether the orders are of the kinds that such a list can have."""
    orders = command.orders
    if any(order.quote_quantity is not None for order in orders):
        return False
    if command.contingency is Contingency.OCO:
        return len(orders) == 2 and _is_pair(*orders)
    if orders and orders[0].type not in (OrderType.LIMIT, OrderType.LIMIT_MAKER):
        return False
    return len(orders) == 2 or (len(orders) == 3 and _is_pair(*orders[1:]))


def _is_pair(above: NewOrder, below: NewOrder) -> bool:
    """Whether two orders can be the legs of an OCO: one takes a profit, the other stops a loss."""
    if above.side is not below.side or above.quantity != below.quantity:
        return False
    is_buy = above.side is Side.BUY
    profit, loss = (below, above) if is_buy else (above, below)
    takes_profit = profit.type is OrderType.LIMIT_MAKER or (
        profit.type.is_contingent and not profit.type.is_stop_loss
    )
    return takes_profit and loss.type.is_stop_loss


def _bought(command: AnyPlacing, orders: Sequence[NewOrder]) -> int:
    """How much these orders can buy together; of the legs of an OCO only one can."""
    buys = [order.quantity or 0 if order.side is Side.BUY else 0 for order in orders]
    if isinstance(command, PlaceList) and len(buys) == 3:
        return buys[0] + max(buys[1:])
    if isinstance(command, PlaceList) and command.contingency is Contingency.OCO:
        return max(buys)
    return sum(buys)


def _find_order(
    book: OrderBook, command: CancelOrder | ReplaceOrder | AmendOrder
) -> Order | Rejected:
    """The open order that a command names by its id, its client id, or both."""
    if command.order_id is not None:
        order = book.orders.get(command.order_id)
    elif command.client_order_id is not None:
        order = book.order_by_client_id(command.account, command.client_order_id)
    else:
        return Rejected(reason=Reason.INVALID)
    if order is None or order.account != command.account:
        return Rejected(reason=Reason.UNKNOWN_ORDER)
    if command.client_order_id not in (None, order.client_order_id):
        return Rejected(reason=Reason.ORDER_ID_MISMATCH)
    return order


def _amend_refusal(command: AmendOrder, order: Order, book: OrderBook, now: int) -> Rejected | None:
    quantity, rules = command.quantity, book.market.rules
    if quantity == order.quantity:
        return Rejected(reason=Reason.NO_CHANGE)
    if quantity > order.quantity:
        return Rejected(reason=Reason.AMEND_INCREASE)
    if rules.amends_max and order.terms.amends >= rules.amends_max:
        return filter_failure(Filter.MAX_NUM_ORDER_AMENDS)
    failed = quantity_failure(book.market, order.type, quantity)
    price = order.price or book.average(now)
    if failed is None and price:
        failed = notional_failure(book.market, order.type, price, quantity)
    if failed is not None:
        return filter_failure(failed)
    if quantity <= order.filled + order.terms.prevented:
        return Rejected(reason=Reason.INVALID, detail="The order has traded as much already.")
    other = book.order_by_client_id(order.account, command.new_client_order_id)
    if other is not None and other.id != order.id:
        return Rejected(reason=Reason.DUPLICATE_CLIENT_ORDER_ID)
    return None


def _with_sibling(order: Order, book: OrderBook) -> list[Order]:
    """The order, or both legs of an OCO: their quantities are the same."""
    order_list = book.lists.get(order.terms.list_id)
    if order_list is None or order.id not in order_list.legs:
        return [order]
    return [one for one in book.open_orders_of_list(order_list) if one.id in order_list.legs]


def _amended(order: Order, command: AmendOrder, is_named: bool, now: int) -> Order:
    terms = order.terms
    after = replace(
        order,
        quantity=command.quantity,
        client_order_id=command.new_client_order_id if is_named else order.client_order_id,
        updated=now,
        special=replace(terms, amends=terms.amends + 1),
    )
    if not terms.iceberg_quantity:
        return after
    shown = min(terms.shown, after.remaining)
    return replace(after, special=replace(after.terms, shown=shown))


def _with_locks(orders: list[Order], book: OrderBook) -> list[Order]:
    """Orders with what they hold; of two legs the first one holds for both."""
    if orders[0].status is OrderStatus.PENDING_NEW:
        return orders
    needed = max(needed_lock(order, book.market) for order in orders)
    return [replace(order, locked=0 if place else needed) for place, order in enumerate(orders)]
