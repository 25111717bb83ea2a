"""What holds in an engine after every command, worked out from its whole state."""

from collections.abc import Iterable

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.order_book import OrderBook
from exchange.services.orders import Contingency, OrderStatus, Side
from exchange.services.rows import Order


def check_invariants(engine: MatchingEngine) -> None:
    _check_conservation(engine)
    needed: dict[tuple[int, str], int] = {}
    for book in engine.books.values():
        _check_sides(book)
        _check_orders(book)
        _check_lists(book)
        _check_waiting(book)
        for order in book.orders.values():
            assert order.locked == _lock(book, order), order
            asset = book.market.quote if order.side is Side.BUY else book.market.base
            key = (order.account, asset)
            needed[key] = needed.get(key, 0) + order.locked
    for row in engine.ledger.rows():
        assert row.free >= 0
        assert row.locked == needed.get((row.account, row.asset), 0), row


def _check_conservation(engine: MatchingEngine) -> None:
    total: dict[str, int] = {}
    for row in engine.ledger.rows():
        total[row.asset] = total.get(row.asset, 0) + row.free + row.locked
    assert total == engine.ledger.supply


def _check_sides(book: OrderBook) -> None:
    """The book is not crossed, in price-time priority, and says how much it shows."""
    bid, ask = book.side(Side.BUY).best_price(), book.side(Side.SELL).best_price()
    assert bid is None or ask is None or bid < ask, (bid, ask)
    for side in Side:
        orders = list(book.side(side).orders())
        resting = [one for one in book.orders.values() if one.side is side and one.is_resting]
        assert orders == _by_priority(resting)
        for price in {order.price for order in orders}:
            total = sum(order.shown for order in orders if order.price == price)
            assert book.side(side).quantity(price) == total


def _check_orders(book: OrderBook) -> None:
    counters = book.counters()
    for order in book.orders.values():
        terms = order.terms
        assert order.is_open
        assert order.remaining > 0, order
        assert order.remaining == order.quantity - order.filled - terms.prevented
        assert (order.status is OrderStatus.PARTIALLY_FILLED) == (order.filled > 0), order
        assert order.id <= counters.order_id
        assert 0 < order.queue <= counters.queue
        assert (terms.prevented > 0) == (terms.prevented_match_id is not None), order
        assert (terms.prevented_match_id or 0) <= counters.match_id
        assert book.order_by_client_id(order.account, order.client_order_id) == order
        if order.is_resting:
            assert not order.type.is_market, order
            assert 0 < order.shown <= order.remaining, order
            assert order.shown <= (terms.iceberg_quantity or order.remaining), order
        else:
            assert terms.working_time == 0, order
    queues = [order.queue for order in book.orders.values()]
    assert len(set(queues)) == len(queues)


def _check_lists(book: OrderBook) -> None:
    """Every list here has something open, and every order of a list here has its list."""
    for order in book.orders.values():
        if order.terms.list_id:
            order_list = book.lists[order.terms.list_id]
            assert order.id in order_list.order_ids
            assert order.account == order_list.account
        else:
            assert order.status is not OrderStatus.PENDING_NEW
    for order_list in book.lists.values():
        first = order_list.order_ids[0]
        assert order_list.is_open
        assert order_list.order_ids == tuple(range(first, first + len(order_list.order_ids)))
        orders = [book.orders[one] for one in order_list.order_ids if one in book.orders]
        assert orders, order_list
        assert len({order.side for order in orders if order.id in order_list.legs}) <= 1
        if order_list.contingency is Contingency.OTO:
            # The others wait as long as the first one is open, and not any longer.
            for order in orders:
                waits = order.status is OrderStatus.PENDING_NEW
                assert waits == (order.id != first and first in book.orders), order


def _check_waiting(book: OrderBook) -> None:
    """No price that was seen has met what an order still waits for."""
    last = book.last_price
    best: dict[Side, int] = {}
    followers = [one for one in book.orders.values() if one.terms.trailing_from]
    for order in sorted(followers, key=lambda one: -one.terms.trailing_from):
        # Whoever began earlier has seen all that the later ones have.
        assert order.terms.waiting or order.is_resting
        own = order.terms.trailing_extreme
        if order.terms.waiting and own:
            better = max if order.side is Side.SELL else min
            best[order.side] = better(own, best.get(order.side, own))
        if order.terms.waiting and order.side in best:
            assert not is_broken(order.side, best[order.side], order.terms.trailing_delta, last)
    for order in book.orders.values():
        terms = order.terms
        if terms.waiting:
            assert order.type.is_contingent
            assert order.status is OrderStatus.NEW
            assert terms.stop_price or terms.trailing_from
        if terms.waiting and not terms.trailing_from and last:
            rises = order.type.is_stop_loss == (order.side is Side.BUY)
            assert last < terms.stop_price if rises else last > terms.stop_price, order


def is_broken(side: Side, extreme: int, delta: int, price: int) -> bool:
    """Whether a price is `delta` basis points away from the best one, on the wrong side of it."""
    if side is Side.SELL:
        return price * 10_000 <= extreme * (10_000 - delta)
    return price * 10_000 >= extreme * (10_000 + delta)


def _lock(book: OrderBook, order: Order) -> int:
    """What an open order must hold: of the legs of an OCO the first holds what both need."""
    if order.status is OrderStatus.PENDING_NEW:
        return 0
    order_list = book.lists.get(order.terms.list_id)
    if order_list is None or order.id not in order_list.legs:
        return _need(book, order)
    legs = [book.orders[one] for one in order_list.legs if one in book.orders]
    return max(_need(book, leg) for leg in legs) if order == legs[0] else 0


def _need(book: OrderBook, order: Order) -> int:
    if order.side is Side.SELL:
        return order.remaining
    price = order.price or order.terms.stop_price or order.terms.lock_price
    # Rounded up, which matters only for a price that is off the grid.
    return -(-price * order.remaining // book.market.base_unit)


def _by_priority(orders: Iterable[Order]) -> list[Order]:
    def priority(order: Order) -> tuple[int, int]:
        return (-order.price if order.side is Side.BUY else order.price, order.queue)

    return sorted(orders, key=priority)
