"""How many orders an account may have open, and how much of an asset it may come to own."""

from collections.abc import Iterable, Sequence

from exchange.engine.ledger import Ledger
from exchange.engine.order_book import OpenCounts, OrderBook
from exchange.services.commands import NewOrder
from exchange.services.filters import Filter
from exchange.services.markets import ExchangeRules, Rules
from exchange.services.orders import Side

_OF_MARKET = (
    Filter.MAX_NUM_ORDERS,
    Filter.MAX_NUM_ALGO_ORDERS,
    Filter.MAX_NUM_ICEBERG_ORDERS,
    Filter.MAX_NUM_ORDER_LISTS,
)
_OF_EXCHANGE = (
    Filter.EXCHANGE_MAX_NUM_ORDERS,
    Filter.EXCHANGE_MAX_NUM_ALGO_ORDERS,
    Filter.EXCHANGE_MAX_NUM_ICEBERG_ORDERS,
    Filter.EXCHANGE_MAX_NUM_ORDER_LISTS,
)


def count_failure(
    account: int,
    orders: Sequence[NewOrder],
    lists: int,
    book: OrderBook,
    books: Iterable[OrderBook],
    exchange: ExchangeRules,
) -> Filter | None:
    """The first limit that an account would exceed with these new orders and lists."""
    algo_orders = icebergs = 0
    for order in orders:
        algo_orders += order.type.is_contingent
        icebergs += order.iceberg_quantity > 0
    added = OpenCounts(len(orders), algo_orders, icebergs, lists)
    failed = _exceeded(_OF_MARKET, book.market.rules, added, account, (book,))
    return failed or _exceeded(_OF_EXCHANGE, exchange, added, account, books)


def _exceeded(
    filters: Sequence[Filter],
    rules: Rules | ExchangeRules,
    added: OpenCounts,
    account: int,
    books: Iterable[OrderBook],
) -> Filter | None:
    greatest = OpenCounts(
        rules.orders_max, rules.algo_orders_max, rules.iceberg_orders_max, rules.order_lists_max
    )
    if not any(greatest):
        return None
    counts = [book.open_counts(account) for book in books]
    for place, most in enumerate(greatest):
        if most and added[place] and added[place] + sum(one[place] for one in counts) > most:
            return filters[place]
    return None


def exceeds_position(account: int, bought: int, book: OrderBook, ledger: Ledger) -> bool:
    """Whether an account could come to own too much of the base asset by buying so much more."""
    greatest = book.market.rules.position_max
    if not greatest or not bought:
        return False
    base = book.market.base
    owned = ledger.free(account, base) + ledger.locked(account, base)
    buys = sum(order.remaining for order in book.orders_of(account) if order.side is Side.BUY)
    return owned + buys + bought > greatest
