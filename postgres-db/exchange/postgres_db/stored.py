"""Where each message is stored: its table and its columns, for the SQL of those who read and write.

Apart from tables.py, whose library takes a seventh of a second that a service has not at its start.
"""

import msgspec

from exchange.services.candles import Candle
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.messages import SignedRequest
from exchange.services.orders import OPEN_STATUSES, ListStatus
from exchange.services.rows import (
    Account,
    Act,
    Amendment,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    Order,
    OrderList,
    PreventedMatch,
    Trade,
    Transfer,
    Withdrawal,
)

SCHEMA_VERSION = "0008"
"""The migration that this code needs; a newer schema still serves it (expand first)."""

OPEN = f"status IN ({', '.join(repr(status.value) for status in sorted(OPEN_STATUSES))})"
"""The SQL for `Order.is_open`, worded as the partial index is, so that queries can use it."""
OPEN_WITHDRAWAL = "status IN ('APPROVED', 'PENDING')"
"""The SQL for `Withdrawal.is_open`, alike."""
OPEN_LIST = f"status = '{ListStatus.EXECUTING.value}'"
"""The SQL for `OrderList.is_open`, alike."""

TABLES: dict[type[msgspec.Struct], str] = {
    Account: "accounts",
    Key: "keys",
    Asset: "assets",
    Market: "markets",
    ExchangeRules: "exchange_rules",
    Counters: "counters",
    AveragePrices: "average_prices",
    Beginning: "beginnings",
    Order: "orders",
    SignedRequest: "requests",
    OrderList: "order_lists",
    Amendment: "amendments",
    PreventedMatch: "prevented_matches",
    Balance: "balances",
    Trade: "trades",
    Transfer: "transfers",
    Withdrawal: "withdrawals",
    Act: "acts",
    Candle: "candles",
}

_RENAMED: dict[type[msgspec.Struct], dict[str, str]] = {
    Account: {"id": "account_id"},
    Asset: {"name": "asset"},
    Order: {"id": "order_id"},
    OrderList: {"id": "list_id"},
    PreventedMatch: {"id": "match_id"},
    Trade: {"id": "trade_id"},
}


PRIMARY_KEYS: dict[type[msgspec.Struct], tuple[str, ...]] = {
    Account: ("account_id",),
    Key: ("api_key",),
    Asset: ("asset",),
    Market: ("symbol",),
    ExchangeRules: ("single",),
    Counters: ("symbol",),
    AveragePrices: ("symbol",),
    Beginning: ("symbol",),
    Order: ("symbol", "order_id"),
    SignedRequest: ("number",),
    OrderList: ("symbol", "list_id"),
    Amendment: ("symbol", "order_id", "number"),
    PreventedMatch: ("symbol", "match_id"),
    Balance: ("account_id", "asset"),
    Trade: ("symbol", "trade_id"),
    Transfer: ("number",),
    Withdrawal: ("reference",),
    Act: ("number",),
    Candle: ("symbol", "interval", "open_time"),
}
"""The columns of each table's primary key."""

AMOUNTS = frozenset([
    "tick", "lot", "price_max", "quantity_min", "quantity_max", "notional_min", "notional_max",
    "last_price", "price", "quantity", "quote_quantity", "filled", "filled_quote", "locked", "free",
    "new_quantity", "taker_quantity", "maker_quantity", "buy_fee", "sell_fee", "amount",
    "open", "high", "low", "close", "volume", "quote_volume", "taker_base", "taker_quote",
])  # fmt: skip
"""The columns of whole numbers that may be longer than 64 bits."""


def column_names(kind: type[msgspec.Struct]) -> list[str]:
    """Of the columns that hold the fields of a message, in the order of its fields."""
    renamed = {"account": "account_id"} | _RENAMED.get(kind, {})
    return [renamed.get(field, field) for field in kind.__struct_fields__]


def first_told(symbol: str) -> str:
    """The SQL for the first trade of a market's public past; `symbol` is SQL, too."""
    return f"""coalesce(
        (SELECT beginnings.trade_id + 1 FROM beginnings WHERE beginnings.symbol = {symbol}), 0
    )"""  # noqa: S608, our own names
