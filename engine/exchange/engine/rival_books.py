"""Python order books from the package index, each behind the same three words: add, cancel, name.

It runs by itself, in whatever environment has them: `python rival_books.py NAME SECONDS` reads a
stream of commands from its input, executes what goes before, and times the rest.
"""

import gc
import json
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

Add = Callable[[bool, int, int], Any]
"""Whether it buys, its price, its quantity; what comes back is what the book needs to cancel it."""
Cancel = Callable[[Any], object]

NOT_INSTALLED = 3
LOOK = 50
"""Commands between two looks at the clock."""


def akhil4n_orderbook() -> tuple[Add, Cancel]:
    return _book_of_orders(import_module("orderbook"))


def cython_orderbook() -> tuple[Add, Cancel]:
    return _book_of_orders(import_module("cython_orderbook"))


def lightmatchingengine() -> tuple[Add, Cancel]:
    package = import_module("lightmatchingengine.lightmatchingengine")
    engine = package.LightMatchingEngine()

    def add(is_buy: bool, price: int, quantity: int) -> Any:
        return engine.add_order("BENCH", price, quantity, 1 if is_buy else 2)[0].order_id

    return add, lambda name: engine.cancel_order(name, "BENCH")


def limit_order_book() -> tuple[Add, Cancel]:
    book = import_module("limit_order_book.limit_order_book").LimitOrderBook()
    last = 0

    def add(is_buy: bool, price: int, quantity: int) -> Any:
        nonlocal last
        last += 1
        (book.limit_buy if is_buy else book.limit_sell)(last, quantity, price)
        return last

    return add, book.cancel


def pyorderbook() -> tuple[Add, Cancel]:
    package = import_module("pyorderbook")
    book = package.Book()
    bid, ask = package.Side.BID, package.Side.ASK

    def add(is_buy: bool, price: int, quantity: int) -> Any:
        order = package.Order(bid if is_buy else ask, "BENCH", price, quantity)
        book.match(order)
        return order

    return add, book.cancel


PURE = (akhil4n_orderbook, lightmatchingengine, pyorderbook)
COMPILED = (cython_orderbook, limit_order_book)


def main() -> None:
    """Print how many commands were executed, and in how many seconds."""
    name, seconds = sys.argv[1], float(sys.argv[2])
    try:
        add, cancel = next(rival for rival in PURE + COMPILED if rival.__name__ == name)()
    except ImportError:
        sys.exit(NOT_INSTALLED)
    before, commands = json.load(sys.stdin)
    names: dict[int, Any] = {}
    for number, is_buy, price, quantity in before:
        names[number] = add(is_buy, price, quantity)
    gc.collect()
    gc.freeze()
    print(json.dumps(_timed(add, cancel, names, commands, seconds)))


def _timed(
    add: Add, cancel: Cancel, names: dict[int, Any], commands: list[list[Any]], seconds: float
) -> tuple[int, float]:
    began = time.process_time()
    done = 0
    for done, (number, is_buy, price, quantity) in enumerate(commands, 1):
        if quantity:
            names[number] = add(is_buy, price, quantity)
        else:
            cancel(names[number])
        if not done % LOOK and time.process_time() - began > seconds:
            break
    return done, time.process_time() - began


def _book_of_orders(package: Any) -> tuple[Add, Cancel]:
    book = package.OrderBook()
    bid, ask = package.OrderSide.BID, package.OrderSide.ASK

    def add(is_buy: bool, price: int, quantity: int) -> Any:
        order = package.Order(
            side=bid if is_buy else ask, price=price, original_quantity=quantity
        )  # fmt: skip
        book.add_limit_order(order)
        return order.order_id

    return add, book.cancel_order


if __name__ == "__main__":
    main()
