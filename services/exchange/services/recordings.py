"""Recorded markets as files: the orders of a market, and the trades that they led to."""

import csv
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from msgspec import Struct

from exchange.services.amounts import InvalidAmount, TooPrecise, format_amount, parse_amount
from exchange.services.orders import OrderType, Side

DECIMALS = 8
"""Of recorded prices and quantities."""

ORDER_COLUMNS = ("time_ms", "kind", "order", "side", "price", "quantity")
TRADE_COLUMNS = ("time_ms", "price", "quantity", "buy_order", "sell_order", "taker_side")
CANCEL = "CANCEL"

_Record = TypeVar("_Record")


class BadRecord(Exception):
    """A file is not in the format; the text names the file, the line and what is wrong with it."""


class RecordedOrder(Struct, frozen=True):
    """A line of ORDERS.csv. A cancel names only its order; a market order has no price."""

    time_ms: int
    kind: str
    order: str
    side: Side | None = None
    price: int = 0
    quantity: int = 0


class RecordedTrade(Struct, frozen=True):
    """A line of TRADES.csv; orders are named as in ORDERS.csv."""

    price: int
    quantity: int
    buy_order: str
    sell_order: str
    taker_side: Side

    def __str__(self) -> str:
        return (
            f"{format_amount(self.quantity, DECIMALS)} at {format_amount(self.price, DECIMALS)},"
            f" bought by {self.buy_order}, sold by {self.sell_order},"
            f" taken by the {'buyer' if self.taker_side is Side.BUY else 'seller'}"
        )


def read_orders(name: str, lines: Iterable[str]) -> Iterator[RecordedOrder]:
    """The lines of a file of that name; raises BadRecord."""
    return _read(name, lines, ORDER_COLUMNS, _order)


def read_trades(name: str, lines: Iterable[str]) -> Iterator[RecordedTrade]:
    """The lines of a file of that name; raises BadRecord."""
    return _read(name, lines, TRADE_COLUMNS, _trade)


def _read(
    name: str,
    lines: Iterable[str],
    columns: tuple[str, ...],
    record: Callable[[list[str]], _Record],
) -> Iterator[_Record]:
    reader = csv.reader(lines)
    if (found := next(reader, None)) != list(columns):
        raise BadRecord(f"{name} must begin with {','.join(columns)}, not {found}.")
    for fields in reader:
        line = f"{name}, line {reader.line_num}"
        if len(fields) != len(columns):
            raise BadRecord(f"{line}: {len(fields)} fields instead of {len(columns)}.")
        try:
            yield record(fields)
        except ValueError as fault:
            raise BadRecord(f"{line}: {_explain(fault)}") from None


def _trade(fields: list[str]) -> RecordedTrade:
    _, price, quantity, buy_order, sell_order, side = fields
    return RecordedTrade(
        parse_amount(price, DECIMALS),
        parse_amount(quantity, DECIMALS),
        buy_order,
        sell_order,
        Side(side),
    )


def _order(fields: list[str]) -> RecordedOrder:
    time_ms, kind, order, side, price, quantity = fields
    if not order:
        raise ValueError("an order needs a name")
    if kind == CANCEL:
        return RecordedOrder(int(time_ms), kind, order)
    is_market = OrderType(kind) is OrderType.MARKET
    return RecordedOrder(
        int(time_ms),
        kind,
        order,
        Side(side),
        0 if is_market else parse_amount(price, DECIMALS),
        parse_amount(quantity, DECIMALS),
    )


def _explain(fault: Exception) -> str:
    if isinstance(fault, TooPrecise):
        return f"{fault} has more than {DECIMALS} decimals."
    if isinstance(fault, InvalidAmount):
        return f"{fault.args[0]!r} is no plain decimal number."
    return f"{fault}."
