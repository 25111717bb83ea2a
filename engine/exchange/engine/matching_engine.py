"""The matching engine: commands in, outcomes out, nothing else.

Every command is planned first, which only reads and may refuse, and then committed, which is plain
assignment and asserts. The time is an argument; there is no clock, chance or environment in here.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import assert_never

from msgspec.structs import replace

from exchange.engine.fills import (
    Fill,
    is_well_formed,
    needed_lock,
    plan_fills,
    ran_out_of_book,
)
from exchange.engine.ledger import SUPPLY_MAX, Ledger
from exchange.engine.order_book import OrderBook
from exchange.engine.registry import Registry
from exchange.engine.request_memory import RequestMemory
from exchange.services.markets import (
    RATE_SCALE,
    Asset,
    Market,
    Mode,
    failed_filter,
)
from exchange.services.messages import (
    FEE_ACCOUNT,
    Account,
    AddAsset,
    AddMarket,
    AnyCommand,
    Balance,
    CancelAllOrders,
    Canceled,
    CancelOrder,
    Counters,
    CreateAccount,
    Created,
    CreateKey,
    Deposit,
    Done,
    Key,
    Level,
    Order,
    OrderStatus,
    OrderType,
    Outcome,
    Placed,
    PlaceOrder,
    Reason,
    Rejected,
    Repeated,
    Result,
    RevokeKey,
    Row,
    SetMode,
    Side,
    TimeInForce,
    Trade,
    Transfer,
    TransferKind,
    Undecodable,
    Withdraw,
)

Commit = Callable[[], Result]
"""What a plan leaves to do; it cannot be refused any more."""


class MatchingEngine:
    """The whole live state of the exchange, changed by `apply` or taken over by `follow`."""

    def __init__(self) -> None:
        self.registry = Registry()
        self.ledger = Ledger()
        self.requests = RequestMemory()
        self.books: dict[str, OrderBook] = {}
        self._rows: list[Row] = []

    def apply(self, number: int, command: AnyCommand | Undecodable, now: int) -> Outcome:
        """Execute one command at a time in µs, and say everything that it led to."""
        if isinstance(command, Undecodable):
            result: Result = Rejected(reason=Reason.POISON, detail=command.fault)
            return Outcome(number=number, time=now, uid=0, request=None, deadline=0, result=result)
        if command.request is not None:
            first = self.requests.number(command.request, now)
            if first is None:
                self.requests.remember(command.request, number, command.deadline)
        else:
            first = None
        if first is not None:
            result = Repeated(number=first)
        else:
            plan = self._plan_safely(command, number, now)
            result = plan if isinstance(plan, Rejected) else plan()
        rows, self._rows = self._rows, []
        return Outcome(
            number=number,
            time=now,
            uid=command.uid,
            request=command.request,
            deadline=command.deadline,
            result=result,
            rows=tuple(rows),
        )

    def follow(self, outcome: Outcome) -> None:
        """Take over what another engine's outcome says, without executing anything."""
        for row in outcome.rows:
            self.restore(row)
        if outcome.request is not None and not isinstance(outcome.result, Repeated):
            self.requests.remember(outcome.request, outcome.number, outcome.deadline)

    def restore(self, row: Row) -> None:
        """Take the new state of one thing. Open orders must come by market and queue."""
        match row:
            case Order():
                self.books[row.symbol].restore(row)
            case Balance():
                self.ledger.restore(row)
            case Trade():
                book = self.books[row.symbol]
                book.average_price.add(row.time, row.quantity, row.quote_quantity)
            case Counters():
                self.books[row.symbol].restore_counters(row)
            case Market():
                if row.symbol in self.books:
                    self.books[row.symbol].market = row
                else:
                    self.books[row.symbol] = OrderBook(row)
            case Account() | Key() | Asset() | Transfer():
                self.registry.restore(row)
            case Level():
                pass  # levels are the sum of their orders
            case _:
                assert_never(row)

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
        refusal = self.registry.refusal(command)
        if refusal is not None:
            return refusal
        match command:
            case PlaceOrder():
                return self._plan_order(command, now)
            case CancelOrder():
                return self._plan_cancel(command, now)
            case CancelAllOrders():
                return self._plan_cancel_all(command, now)
            case Deposit() | Withdraw():
                return self._plan_transfer(command, number, now)
            case CreateAccount():
                account = self.registry.new_account(command, number, now)
                return self._establishing(account, Created(id=number))
            case CreateKey():
                return self._establishing(self.registry.new_key(command, now))
            case RevokeKey():
                return self._establishing(self.registry.revoked_key(command, now))
            case AddAsset():
                return self._establishing(self.registry.new_asset(command))
            case AddMarket():
                return self._plan_market(command, now)
            case SetMode():
                return self._plan_mode(command)
            case _:
                assert_never(command)

    def _establishing(
        self, planned: Row | Rejected, result: Result | None = None
    ) -> Rejected | Commit:
        if isinstance(planned, Rejected):
            return planned
        return partial(self._establish, [planned], result or Done())

    def _plan_order(self, command: PlaceOrder, now: int) -> Rejected | Commit:
        book = self.books.get(command.symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        refusal = self._order_refusal(command, book, now)
        if refusal is not None:
            return Rejected(reason=refusal)
        fills = plan_fills(command, book)
        taken = sum(fill.quantity for fill in fills)
        if command.type is OrderType.MARKET and not taken:
            # An empty book, or an amount that does not buy one lot at the best price.
            empty = not book.opposite(command.side)
            return Rejected(reason=Reason.NO_LIQUIDITY if empty else Reason.LOT_SIZE)
        if command.type is OrderType.LIMIT_MAKER and fills:
            return Rejected(reason=Reason.WOULD_MATCH)
        if command.time_in_force is TimeInForce.FOK and taken != command.quantity:
            fills = []
        lock = needed_lock(command, book.market, fills)
        # A market order by quote amount must be covered in full, however little the book offers.
        needed = lock
        if command.side is Side.BUY and command.quote_quantity is not None:
            needed = max(lock, command.quote_quantity)
        asset = book.market.quote if command.side is Side.BUY else book.market.base
        if self.ledger.free(command.account, asset) < needed:
            return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
        return partial(self._place, command, book, fills, asset, lock, now)

    def _order_refusal(self, command: PlaceOrder, book: OrderBook, now: int) -> Reason | None:
        """Whatever forbids the order before the book and the balance are looked at."""
        if command.deadline and command.deadline < now:
            return Reason.LATE
        if book.market.mode is not Mode.RUNNING:
            return Reason.MARKET_CLOSED
        if not is_well_formed(command):
            return Reason.INVALID
        failed = failed_filter(
            book.market,
            price=None if command.type is OrderType.MARKET else command.price,
            quantity=command.quantity,
            quote_quantity=command.quote_quantity,
            average_price=book.average(now) if command.type is OrderType.MARKET else 0,
        )
        if failed is not None:
            return Reason(failed.value)
        if book.order_by_client_id(command.account, command.client_order_id) is not None:
            return Reason.DUPLICATE_CLIENT_ORDER_ID
        return None

    def _book_for_cancel(self, symbol: str) -> OrderBook | Rejected:
        book = self.books.get(symbol)
        if book is None:
            return Rejected(reason=Reason.UNKNOWN_SYMBOL)
        if book.market.mode is Mode.HALTED:
            return Rejected(reason=Reason.MARKET_CLOSED)
        return book

    def _plan_cancel(self, command: CancelOrder, now: int) -> Rejected | Commit:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
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
        if command.only not in (None, order.status):
            return Rejected(reason=Reason.CANCEL_RESTRICTED)
        return partial(self._cancel, book, [order], now)

    def _plan_cancel_all(self, command: CancelAllOrders, now: int) -> Rejected | Commit:
        book = self._book_for_cancel(command.symbol)
        if isinstance(book, Rejected):
            return book
        orders = book.orders_of(command.account)
        if not orders:
            return Rejected(reason=Reason.NO_OPEN_ORDERS)
        return partial(self._cancel, book, orders, now)

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
        elif self.ledger.free(transfer.account, asset) < amount:
            return Rejected(reason=Reason.INSUFFICIENT_BALANCE)
        return partial(self._transfer, transfer)

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
            replace(book.market, mode=command.mode)
            for symbol, book in self.books.items()
            if command.symbol in (None, symbol)
        ]
        return partial(self._establish, markets, Done())

    # --- Committing -------------------------------------------------------------------------

    def _establish(self, rows: Iterable[Row], result: Result) -> Result:
        """Let things be as these rows say."""
        for row in rows:
            self.restore(row)
            self._rows.append(row)
        return result

    def _transfer(self, transfer: Transfer) -> Result:
        move = (
            self.ledger.deposit if transfer.kind is TransferKind.DEPOSIT else self.ledger.withdraw
        )
        move(transfer.account, transfer.asset, transfer.amount)
        self._rows.extend(self.ledger.take_changes())
        return self._establish([transfer], Created(id=transfer.number))

    def _cancel(self, book: OrderBook, orders: list[Order], now: int) -> Result:
        for order in orders:
            self._close(book, order, OrderStatus.CANCELED, now)
        self._report(book)
        return Canceled(symbol=book.market.symbol, order_ids=tuple(order.id for order in orders))

    def _close(self, book: OrderBook, order: Order, status: OrderStatus, now: int) -> None:
        """End an order with what is left of it, and give back what it still holds."""
        asset = book.market.quote if order.side is Side.BUY else book.market.base
        if order.locked:
            self.ledger.unlock(order.account, asset, order.locked)
        closed = replace(order, status=status, locked=0, updated=now)
        book.put(closed)
        self._rows.append(closed)

    def _place(
        self,
        command: PlaceOrder,
        book: OrderBook,
        fills: list[Fill],
        asset: str,
        lock: int,
        now: int,
    ) -> Result:
        self.ledger.lock(command.account, asset, lock)
        book.order_id += 1
        order = Order(
            symbol=command.symbol,
            id=book.order_id,
            account=command.account,
            client_order_id=command.client_order_id,
            side=command.side,
            type=command.type,
            time_in_force=command.time_in_force,
            price=command.price,
            quantity=command.quantity or sum(fill.quantity for fill in fills),
            quote_quantity=command.quote_quantity or 0,
            filled=0,
            filled_quote=0,
            locked=lock,
            status=OrderStatus.NEW,
            queue=0,
            created=now,
            updated=now,
            request=command.request,
            deadline=command.deadline,
        )
        for fill in fills:
            order = self._settle(book, order, fill, now)
        self._rest_or_end(book, order, now)
        self._report(book)
        return Placed(symbol=order.symbol, order_id=order.id)

    def _rest_or_end(self, book: OrderBook, order: Order, now: int) -> None:
        remaining = order.quantity - order.filled
        if not remaining and not ran_out_of_book(order, book):
            assert order.locked == 0, order
            self._rows.append(order)
        elif order.type is OrderType.MARKET or order.time_in_force is not TimeInForce.GTC:
            self._close(book, order, OrderStatus.EXPIRED, now)
        else:
            book.queue += 1
            order = replace(order, queue=book.queue)
            book.put(order)
            self._rows.append(order)

    def _settle(self, book: OrderBook, taker: Order, fill: Fill, now: int) -> Order:
        """Trade one fill between a resting order and the incoming one, which is returned anew."""
        market, price, quantity = book.market, fill.maker.price, fill.quantity
        quote = market.notional(price, quantity)
        # A buyer who limited the price held more than it now costs: the rest is given back.
        held = market.notional(taker.price, quantity) if taker.price else quote
        if taker.side is Side.BUY:
            maker = _filled(fill.maker, quantity, quote, unlocked=quantity, now=now)
            taker = _filled(taker, quantity, quote, unlocked=held, now=now)
            buyer, seller = taker, maker
        else:
            maker = _filled(fill.maker, quantity, quote, unlocked=quote, now=now)
            taker = _filled(taker, quantity, quote, unlocked=quantity, now=now)
            buyer, seller = maker, taker
        buy_rate, sell_rate = market.maker_rate, market.taker_rate
        if taker.side is Side.BUY:
            buy_rate, sell_rate = sell_rate, buy_rate
            if held > quote:
                self.ledger.unlock(taker.account, market.quote, held - quote)
        # Fees are rounded down.
        buy_fee = quantity * buy_rate // RATE_SCALE
        sell_fee = quote * sell_rate // RATE_SCALE
        self._exchange(market, buyer, seller, quantity, quote, buy_fee, sell_fee)
        book.put(maker)
        self._rows.append(maker)
        book.trade_id += 1
        book.last_price = price
        trade = Trade(
            symbol=market.symbol,
            id=book.trade_id,
            price=price,
            quantity=quantity,
            quote_quantity=quote,
            time=now,
            taker_side=taker.side,
            buy_order=buyer.id,
            sell_order=seller.id,
            buy_account=buyer.account,
            sell_account=seller.account,
            buy_fee=buy_fee,
            sell_fee=sell_fee,
        )
        book.average_price.add(now, quantity, quote)
        self._rows.append(trade)
        return taker

    def _exchange(
        self,
        market: Market,
        buyer: Order,
        seller: Order,
        quantity: int,
        quote: int,
        buy_fee: int,
        sell_fee: int,
    ) -> None:
        ledger = self.ledger
        ledger.spend(buyer.account, market.quote, quote)
        ledger.spend(seller.account, market.base, quantity)
        ledger.credit(buyer.account, market.base, quantity - buy_fee)
        ledger.credit(seller.account, market.quote, quote - sell_fee)
        if buy_fee:
            ledger.credit(FEE_ACCOUNT, market.base, buy_fee)
        if sell_fee:
            ledger.credit(FEE_ACCOUNT, market.quote, sell_fee)

    def _report(self, book: OrderBook) -> None:
        """Add the balances, levels and counters that an order's command has changed."""
        self._rows.extend(self.ledger.take_changes())
        levels = book.take_changed_levels()
        if levels:
            book.update_id += 1
            self._rows.extend(levels)
        self._rows.append(book.counters())


def _filled(order: Order, quantity: int, quote: int, *, unlocked: int, now: int) -> Order:
    """An order after one fill that took `unlocked` of what it held."""
    filled = order.filled + quantity
    whole = filled == order.quantity
    after = replace(
        order,
        filled=filled,
        filled_quote=order.filled_quote + quote,
        locked=order.locked - unlocked,
        status=OrderStatus.FILLED if whole else OrderStatus.PARTIALLY_FILLED,
        updated=now,
    )
    assert after.locked >= 0, after
    assert not whole or after.locked == 0, after
    return after
