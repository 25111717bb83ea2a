"""Orders as they live: entering, trading, being set off, ending; and the lists that bind them.

Everything in here is already decided and cannot be refused any more. What an event sets off — a
stop, an order that another one started — is done when that event is finished, first in first out.
"""

from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from msgspec.structs import replace

from exchange.engine.entry import (
    Entry,
    held_back,
    locked_asset,
    needed_lock,
    plan_entries,
    started,
)
from exchange.engine.fees import Fees
from exchange.engine.fills import Fill, Prevention, Sweep, plan_sweep
from exchange.engine.ledger import Ledger
from exchange.engine.order_book import OrderBook
from exchange.engine.triggers import is_met
from exchange.services.messages import Rejected
from exchange.services.orders import (
    ExpiryReason,
    ListStatus,
    OrderStatus,
    Side,
)
from exchange.services.rows import Order, OrderList, PreventedMatch, Row, Trade


class Trading:
    """One event in one market at a time: begin with `enter` or `cancel`, end with `finish`."""

    def __init__(self, ledger: Ledger, fees: Fees, rows: list[Row]) -> None:
        """What changes is added to `rows`."""
        self._ledger = ledger
        self._fees = fees
        self._rows = rows
        self._due: deque[Callable[[], None]] = deque()

    # --- Events -----------------------------------------------------------------------------

    def enter(self, book: OrderBook, entry: Entry, now: int) -> None:
        """Let a planned order into its market: it waits, or takes and then rests or ends."""
        order = entry.order
        self._ledger.lock(order.account, locked_asset(order, book.market), entry.lock)
        order = replace(order, locked=entry.lock)
        if entry.sweep is None:
            self._wait(book, order, now)
        else:
            self._take(book, order, entry.sweep, now)

    def hold_back(self, book: OrderBook, order: Order) -> None:
        """Keep an order of a list whose turn has not come."""
        book.queue += 1
        self._put(book, replace(held_back(order), queue=book.queue))

    def put_list(self, book: OrderBook, order_list: OrderList) -> None:
        book.put_list(order_list)
        self._rows.append(order_list)

    def cancel(self, book: OrderBook, orders: Iterable[Order], now: int) -> tuple[int, ...]:
        """End orders, and all others of their lists; the ids of what was open."""
        canceled: list[int] = []
        for order in orders:
            order_list = book.lists.get(order.terms.list_id)
            members = [order] if order_list is None else book.open_orders_of_list(order_list)
            for member in members:
                if member.id in book.orders:
                    self._close(book, member, OrderStatus.CANCELED, now)
                    canceled.append(member.id)
            if order_list is not None:
                self._end_list(book, order_list, now)
        return tuple(canceled)

    def amend(self, book: OrderBook, orders: Iterable[Order]) -> None:
        """Give orders a smaller quantity; each comes with what it holds from now on."""
        for order in orders:
            self._hold(book, book.orders[order.id], order.locked)
            self._put(book, order)

    def finish(self, book: OrderBook) -> None:
        """Do all that was set off, then report the balances, levels and counters that changed."""
        while self._due:
            self._due.popleft()()
        rows = self._rows
        rows.extend(self._ledger.take_changes())
        average = book.take_changed_average()
        if average is not None:
            rows.append(average)
        levels = book.take_changed_levels()
        if levels:
            book.update_id += 1
            rows.extend(levels)
        rows.append(book.counters())

    # --- One order --------------------------------------------------------------------------

    def _wait(self, book: OrderBook, order: Order, now: int) -> None:
        """Rest until a price comes; a trail without a stop price, or beyond it, begins at once."""
        book.queue += 1
        order = replace(order, queue=book.queue)
        terms = order.terms
        if terms.trailing_delta and (not terms.stop_price or is_met(order, book.last_price)):
            order = self._following(book, order, now)
        self._put(book, order)

    def _following(self, book: OrderBook, order: Order, now: int) -> Order:
        """An order that follows the price from now on, beginning with the last one."""
        book.queue += 1
        return _special(
            order,
            trailing_from=book.queue,
            trailing_extreme=book.last_price,
            trailing_time=now,
        )

    def _take(self, book: OrderBook, order: Order, sweep: Sweep, now: int) -> None:
        """Trade as planned; what is left rests or ends."""
        for step in sweep.steps:
            if isinstance(step, Fill):
                order = self._trade(book, order, step, now)
            else:
                order = self._prevent(book, order, step, now)
        if sweep.status is None:
            self._rest(book, order)
        elif sweep.status is OrderStatus.EXPIRED:
            self._end(book, order, OrderStatus.EXPIRED, now, sweep.expiry_reason)
        else:
            self._end(book, order, sweep.status, now)

    def _rest(self, book: OrderBook, order: Order) -> None:
        book.queue += 1
        order = replace(order, queue=book.queue)
        if order.terms.iceberg_quantity:
            order = _special(order, shown=min(order.terms.iceberg_quantity, order.remaining))
        self._put(book, order)

    def _end(
        self,
        book: OrderBook,
        order: Order,
        status: OrderStatus,
        now: int,
        reason: ExpiryReason | None = None,
    ) -> None:
        """End an order, and what depends on it."""
        self._close(book, order, status, now, reason)
        if order.terms.list_id:
            self._after_end(book, order, status, now)

    def _close(
        self,
        book: OrderBook,
        order: Order,
        status: OrderStatus,
        now: int,
        reason: ExpiryReason | None = None,
    ) -> None:
        """End an order with what is left of it, and give back what it still holds."""
        if order.locked:
            self._ledger.unlock(order.account, locked_asset(order, book.market), order.locked)
        order = replace(order, status=status, locked=0, updated=now)
        if reason is not None:
            order = _special(order, expiry_reason=reason)
        self._put(book, order)

    def _put(self, book: OrderBook, order: Order) -> None:
        """Set the new state of an order, and tell it."""
        successor = book.put(order)
        self._rows.append(order)
        if successor is not None:
            self._remember_extreme(book, successor)

    def _hold(self, book: OrderBook, order: Order, amount: int) -> Order:
        """Let an order hold this much, no more and no less."""
        self._ledger.lock(order.account, locked_asset(order, book.market), amount - order.locked)
        return replace(order, locked=amount)

    # --- Two orders -------------------------------------------------------------------------

    def _trade(self, book: OrderBook, taker: Order, fill: Fill, now: int) -> Order:
        """Trade one piece with a resting order, and return the taker's new state."""
        market, price, quantity = book.market, fill.price, fill.quantity
        maker = self._leading(book, book.orders[fill.maker_id], now)
        quote = market.notional(price, quantity)
        # A buyer who limited the price held more than it now costs: the rest is given back.
        held = market.notional(taker.price, quantity) if taker.price else quote
        if taker.side is Side.BUY:
            maker = _filled(maker, quantity, quote, unlocked=quantity, now=now)
            taker = _filled(taker, quantity, quote, unlocked=held, now=now)
            buyer, seller = taker, maker
            if held > quote:
                self._ledger.unlock(taker.account, market.quote, held - quote)
        else:
            maker = _filled(maker, quantity, quote, unlocked=quote, now=now)
            taker = _filled(taker, quantity, quote, unlocked=quantity, now=now)
            buyer, seller = maker, taker
        self._ledger.spend(buyer.account, market.quote, quote)
        self._ledger.spend(seller.account, market.base, quantity)
        buy_fee, buy_fee_asset = self._fees.settle(
            market, buyer.account, Side.BUY, quantity, quote, is_maker=buyer is maker
        )
        sell_fee, sell_fee_asset = self._fees.settle(
            market, seller.account, Side.SELL, quantity, quote, is_maker=seller is maker
        )
        self._put_maker(book, maker, quantity)
        reaction = book.trade(price, quantity, quote, now)
        self._rows.append(
            Trade(
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
                buy_fee_asset=buy_fee_asset,
                sell_fee_asset=sell_fee_asset,
            )
        )
        if reaction is not None:
            self._react(book, reaction.met, reaction.broken, reaction.remember, now)
        if not maker.is_open and maker.terms.list_id:
            self._after_end(book, maker, maker.status, now)
        return taker

    def _prevent(self, book: OrderBook, taker: Order, step: Prevention, now: int) -> Order:
        """Record that two orders of one account did not trade, and what each has lost by it."""
        book.match_id += 1
        self._rows.append(
            PreventedMatch(
                symbol=taker.symbol,
                id=book.match_id,
                account=taker.account,
                taker_order=taker.id,
                maker_order=step.maker_id,
                self_trade=taker.self_trade,
                price=step.price,
                taker_quantity=step.taker_quantity,
                maker_quantity=step.maker_quantity,
                time=now,
            )
        )
        if step.maker_quantity:
            maker = self._leading(book, book.orders[step.maker_id], now)
            maker = self._prevented(book, maker, step.maker_quantity, now)
            if maker.remaining:
                self._put_maker(book, maker, step.maker_quantity)
            else:
                self._end(book, maker, OrderStatus.EXPIRED_IN_MATCH, now)
        if step.taker_quantity:
            taker = self._prevented(book, taker, step.taker_quantity, now)
        return taker

    def _prevented(self, book: OrderBook, order: Order, quantity: int, now: int) -> Order:
        """An order that lost a piece to self-trade prevention, and what it held for it."""
        order = _special(
            replace(order, updated=now),
            prevented=order.terms.prevented + quantity,
            prevented_match_id=book.match_id,
        )
        if order.type.is_market:
            # It holds just what its trades need.
            return order
        return self._hold(book, order, needed_lock(order, book.market))

    def _put_maker(self, book: OrderBook, maker: Order, quantity: int) -> None:
        """Put a resting order that lost a piece; an iceberg's next slice goes to the back."""
        if maker.is_open and maker.terms.iceberg_quantity:
            shown = maker.terms.shown - quantity
            assert shown >= 0, maker
            if not shown:
                book.queue += 1
                shown = min(maker.terms.iceberg_quantity, maker.remaining)
                maker = replace(maker, queue=book.queue)
            maker = _special(maker, shown=shown)
        self._put(book, maker)

    # --- What a price sets off ----------------------------------------------------------------

    def _react(
        self, book: OrderBook, met: list[int], broken: list[int], remember: list[int], now: int
    ) -> None:
        for order_id in remember:
            self._remember_extreme(book, order_id)
        for order_id in met:
            order = book.orders[order_id]
            if order.terms.trailing_delta:
                self._put(book, self._following(book, replace(order, updated=now), now))
            else:
                self._due.append(partial(self._set_off, book, order_id, now))
        for order_id in broken:
            self._due.append(partial(self._set_off, book, order_id, now))

    def _remember_extreme(self, book: OrderBook, order_id: int) -> None:
        order = book.orders[order_id]
        extreme = book.triggers.extreme(order)
        if extreme != order.terms.trailing_extreme:
            self._put(book, _special(order, trailing_extreme=extreme))

    def _set_off(self, book: OrderBook, order_id: int, now: int) -> None:
        """Let a stop order work, if it is still there."""
        order = book.orders.get(order_id)
        if order is None:
            return
        order = self._leading(book, order, now)
        order = _special(replace(order, updated=now), waiting=False, working_time=now)
        funds = None
        if order.type.is_market and order.side is Side.BUY:
            funds = order.locked + self._ledger.free(order.account, book.market.quote)
        sweep = plan_sweep(order, book, now, funds=funds)
        if order.type.is_market:
            needed = sweep.cost if order.side is Side.BUY else sweep.taken
            order = self._hold(book, order, needed)
        self._rows.append(order)
        self._take(book, order, sweep, now)

    # --- Lists --------------------------------------------------------------------------------

    def _leading(self, book: OrderBook, order: Order, now: int) -> Order:
        """An order that is about to trade. If it is a leg of an OCO, the other leg ends now."""
        order_list = book.lists.get(order.terms.list_id)
        if order_list is None or order.id not in order_list.legs:
            return order
        others = [one for one in book.open_orders_of_list(order_list) if one.id != order.id]
        if not others:
            return order
        for other in others:
            self._close(book, other, OrderStatus.EXPIRED, now, ExpiryReason.OCO_TRIGGER)
        # What one of them held for both is free now.
        return self._hold(book, order, needed_lock(order, book.market))

    def _after_end(self, book: OrderBook, order: Order, status: OrderStatus, now: int) -> None:
        """A filled working order starts the others; otherwise nothing of its list is left."""
        order_list = book.lists[order.terms.list_id]
        if status is OrderStatus.FILLED and order.id not in order_list.legs:
            self._due.append(partial(self._start, book, order_list, now))
            return
        self._end_list(book, order_list, now, ExpiryReason.OTO_PHASE_ONE_EXPIRED)

    def _start(self, book: OrderBook, order_list: OrderList, now: int) -> None:
        """Let the orders in that waited for the working order of their list."""
        orders = [started(order, book, now) for order in book.open_orders_of_list(order_list)]
        entries = plan_entries(orders, book, self._ledger, now)
        if isinstance(entries, Rejected):
            self._end_list(book, order_list, now, ExpiryReason.REJECTED)
            return
        for entry in entries:
            self.enter(book, entry, now)

    def _end_list(
        self, book: OrderBook, order_list: OrderList, now: int, reason: ExpiryReason | None = None
    ) -> None:
        """End a list; orders of it that are still open expire for this reason."""
        for order in book.open_orders_of_list(order_list):
            self._close(book, order, OrderStatus.EXPIRED, now, reason)
        self.put_list(book, replace(order_list, status=ListStatus.ALL_DONE, updated=now))


def _special(order: Order, **changes: Any) -> Order:
    return replace(order, special=replace(order.terms, **changes))


def _filled(order: Order, quantity: int, quote: int, *, unlocked: int, now: int) -> Order:
    """An order after one fill that took `unlocked` of what it held."""
    remaining, locked = order.remaining - quantity, order.locked - unlocked
    assert remaining >= 0, (order, quantity)
    assert locked >= 0, (order, unlocked)
    assert remaining or not locked, (order, unlocked)
    return replace(
        order,
        filled=order.filled + quantity,
        filled_quote=order.filled_quote + quote,
        locked=locked,
        updated=now,
        status=OrderStatus.PARTIALLY_FILLED if remaining else OrderStatus.FILLED,
    )
