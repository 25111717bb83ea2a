"""What must be true of a whole live state, worked out from it anew; each doubt is a sentence."""

from collections.abc import Iterator

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.order_book import OrderBook
from exchange.services.orders import Side


def book_doubts(engine: MatchingEngine) -> Iterator[str]:
    """Books that are crossed, or where somebody stands before his time."""
    for symbol, book in engine.books.items():
        bid, ask = (book.side(side).best_price() for side in (Side.BUY, Side.SELL))
        if bid is not None and ask is not None and bid >= ask:
            yield f"{symbol} is crossed: {bid} is bid, {ask} is asked"
        for side in Side:
            yield from _priority_doubts(symbol, book, side)


def money_doubts(engine: MatchingEngine) -> Iterator[str]:
    """Locks that are not what the account's open orders hold, and anything negative."""
    needed: dict[tuple[int, str], int] = {}
    for book in engine.books.values():
        for order in book.orders.values():
            asset = book.market.quote if order.side is Side.BUY else book.market.base
            key = (order.account, asset)
            needed[key] = needed.get(key, 0) + order.locked
    for row in engine.ledger.rows():
        held = needed.pop((row.account, row.asset), 0)
        if row.locked != held:
            yield (
                f"account {row.account} has {row.locked} units of {row.asset} locked,"
                f" its open orders hold {held}"
            )
        if row.free < 0 or row.locked < 0:
            yield f"account {row.account} has a negative balance of {row.asset}"
    for (account, asset), held in needed.items():
        if held:
            yield f"account {account} has orders that hold {held} units of {asset}, and no balance"


def _priority_doubts(symbol: str, book: OrderBook, side: Side) -> Iterator[str]:
    before = None
    for order in book.side(side).orders():
        if before is not None and order.price == before.price and order.queue <= before.queue:
            yield f"{symbol} order {order.id} stands behind {before.id}, which came later"
        before = order
