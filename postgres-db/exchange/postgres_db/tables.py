"""The tables, as the migrations make them; who reads or writes what is stored asks stored.py.

Amounts are integers in the smallest unit of their asset (`numeric(38,0)`), times are microseconds
since the Unix epoch. A row of `orders`, `balances` and the like is the newest state of one thing.
What has parts of its own is JSON, with the names of the message's fields. Columns that came after
the first version have a default, for what an older version still writes while a newer one starts.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from exchange.postgres_db.stored import OPEN, OPEN_LIST, OPEN_WITHDRAWAL

AMOUNT = Numeric(38, 0)
VOLUME = Numeric(60, 0)
"""The sum of a day's amounts can be longer than any amount."""
HASH = Numeric(20, 0)

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ck": "%(table_name)s_%(constraint_name)s_check",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)


def _single() -> Column[bool]:
    """The primary key of a table that has exactly one row."""
    return Column("single", Boolean, primary_key=True, server_default=text("true"))


accounts = Table(
    "accounts",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("tier", Integer, nullable=False, server_default=text("0")),
    Column("discount", Boolean, nullable=False, server_default=text("false")),
    Column("stopped", Boolean, nullable=False, server_default=text("false")),
    Column("owner", BigInteger),
    Column("role", Text, nullable=False, server_default=text("'TRADER'")),
    UniqueConstraint("name"),
)

keys = Table(
    "keys",
    metadata,
    Column("api_key", Text, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False, comment="Ciphertext, or a public key."),
    Column("can_trade", Boolean, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
    Column("name", Text, nullable=False, server_default=text("''")),
    Column("can_read", Boolean, nullable=False, server_default=text("true")),
    Column("can_withdraw", Boolean, nullable=False, server_default=text("false")),
    Column("addresses", JSONB, nullable=False, server_default=text("'[]'")),
    Column("expires", BigInteger),
)

assets = Table(
    "assets",
    metadata,
    Column("asset", Text, primary_key=True),
    Column("decimals", SmallInteger, nullable=False),
)

markets = Table(
    "markets",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("base_decimals", SmallInteger, nullable=False),
    Column("quote_decimals", SmallInteger, nullable=False),
    Column("tick", AMOUNT, nullable=False),
    Column("lot", AMOUNT, nullable=False),
    Column("price_max", AMOUNT, nullable=False),
    Column("quantity_min", AMOUNT, nullable=False),
    Column("quantity_max", AMOUNT, nullable=False),
    Column("notional_min", AMOUNT, nullable=False),
    Column("notional_max", AMOUNT, nullable=False),
    Column("average_price_minutes", Integer, nullable=False),
    Column("maker_rate", Integer, nullable=False, comment="Millionths."),
    Column("taker_rate", Integer, nullable=False, comment="Millionths."),
    Column("mode", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("rules", JSONB, nullable=False, server_default=text("'{}'")),
)

exchange_rules = Table(
    "exchange_rules",
    metadata,
    Column("orders_max", Integer, nullable=False),
    Column("algo_orders_max", Integer, nullable=False),
    Column("iceberg_orders_max", Integer, nullable=False),
    Column("order_lists_max", Integer, nullable=False),
    # Not JSONB, which sorts the keys: then the row would have another state hash than its message.
    Column("assets_max", JSON, nullable=False),
    Column("discount_asset", Text, nullable=False),
    Column("discount", Integer, nullable=False, comment="Millionths."),
    # These the engine puts into the order that JSONB has.
    Column("withdrawal_max", JSONB, nullable=False, server_default=text("'{}'")),
    Column("withdrawal_day_max", JSONB, nullable=False, server_default=text("'{}'")),
    Column("withdrawal_free_max", JSONB, nullable=False, server_default=text("'{}'")),
    Column("withdrawal_single_max", JSONB, nullable=False, server_default=text("'{}'")),
    Column("withdrawals_frozen", Boolean, nullable=False, server_default=text("false")),
    _single(),
    CheckConstraint("single", name="single"),
)

counters = Table(
    "counters",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("order_id", BigInteger, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("update_id", BigInteger, nullable=False),
    Column("queue", BigInteger, nullable=False),
    Column("last_price", AMOUNT, nullable=False),
    Column("match_id", BigInteger, nullable=False, server_default=text("0")),
)

average_prices = Table(
    "average_prices",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("minutes", JSONB, nullable=False),
)

beginnings = Table(
    "beginnings",
    metadata,
    Column("symbol", Text, primary_key=True),
    Column("trade_id", BigInteger, nullable=False, comment="Up to here nobody is told of trades."),
)

orders = Table(
    "orders",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time_in_force", Text, nullable=False),
    Column("price", AMOUNT, nullable=False),
    Column("quantity", AMOUNT, nullable=False),
    Column("quote_quantity", AMOUNT, nullable=False),
    Column("filled", AMOUNT, nullable=False),
    Column("filled_quote", AMOUNT, nullable=False),
    Column("locked", AMOUNT, nullable=False),
    Column("status", Text, nullable=False),
    Column("queue", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    Column("request", LargeBinary),
    Column("deadline", BigInteger, nullable=False),
    Column("self_trade", Text, nullable=False, server_default=text("'NONE'")),
    Column("special", JSONB),
    Column("number", BigInteger, nullable=False, comment="Of the command that created it."),
    PrimaryKeyConstraint("symbol", "order_id"),
    CheckConstraint("filled >= 0 AND filled <= quantity", name="filled"),
    CheckConstraint("locked >= 0", name="locked"),
    Index(None, "account_id", "symbol", "order_id"),
    Index(None, "account_id", "symbol", "client_order_id"),
    Index("orders_open_idx", "account_id", "symbol", "order_id", postgresql_where=text(OPEN)),
)

requests = Table(
    "requests",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("request", LargeBinary, nullable=False),
    Column("deadline", BigInteger, nullable=False),
    Index(None, "deadline"),
)

order_lists = Table(
    "order_lists",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("list_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("client_list_id", Text, nullable=False),
    Column("contingency", Text, nullable=False),
    Column("order_ids", JSONB, nullable=False),
    Column("status", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    PrimaryKeyConstraint("symbol", "list_id"),
    Index(None, "account_id", "list_id"),
    Index(None, "account_id", "client_list_id", "list_id"),
    Index("order_lists_open_idx", "account_id", "list_id", postgresql_where=text(OPEN_LIST)),
)

amendments = Table(
    "amendments",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("order_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("client_order_id", Text, nullable=False),
    Column("new_client_order_id", Text, nullable=False),
    Column("quantity", AMOUNT, nullable=False),
    Column("new_quantity", AMOUNT, nullable=False),
    Column("time", BigInteger, nullable=False),
    PrimaryKeyConstraint("symbol", "order_id", "number"),
    CheckConstraint("new_quantity > 0 AND new_quantity < quantity", name="smaller"),
)

prevented_matches = Table(
    "prevented_matches",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("match_id", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("taker_order", BigInteger, nullable=False),
    Column("maker_order", BigInteger, nullable=False),
    Column("self_trade", Text, nullable=False),
    Column("price", AMOUNT, nullable=False),
    Column("taker_quantity", AMOUNT, nullable=False),
    Column("maker_quantity", AMOUNT, nullable=False),
    Column("time", BigInteger, nullable=False),
    PrimaryKeyConstraint("symbol", "match_id"),
    CheckConstraint("taker_quantity >= 0 AND maker_quantity >= 0", name="quantities"),
    Index(None, "symbol", "taker_order", "match_id"),
    Index(None, "symbol", "maker_order", "match_id"),
)

balances = Table(
    "balances",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("free", AMOUNT, nullable=False),
    Column("locked", AMOUNT, nullable=False),
    PrimaryKeyConstraint("account_id", "asset"),
    CheckConstraint("free >= 0", name="free"),
    CheckConstraint("locked >= 0", name="locked"),
)

trades = Table(
    "trades",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("trade_id", BigInteger, nullable=False),
    Column("price", AMOUNT, nullable=False),
    Column("quantity", AMOUNT, nullable=False),
    Column("quote_quantity", AMOUNT, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("taker_side", Text, nullable=False),
    Column("buy_order", BigInteger, nullable=False),
    Column("sell_order", BigInteger, nullable=False),
    Column("buy_account", BigInteger, nullable=False),
    Column("sell_account", BigInteger, nullable=False),
    Column("buy_fee", AMOUNT, nullable=False),
    Column("sell_fee", AMOUNT, nullable=False),
    Column("buy_fee_asset", Text, nullable=False, server_default=text("''")),
    Column("sell_fee_asset", Text, nullable=False, server_default=text("''")),
    PrimaryKeyConstraint("symbol", "trade_id"),
    CheckConstraint("price > 0 AND quantity > 0", name="traded"),
    CheckConstraint("buy_fee >= 0 AND sell_fee >= 0", name="fees"),
    Index(None, "buy_account", "symbol", "trade_id"),
    Index(None, "sell_account", "symbol", "trade_id"),
)

transfers = Table(
    "transfers",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("reference", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("counterparty", BigInteger),
    UniqueConstraint("reference"),
    CheckConstraint("amount > 0", name="amount"),
    Index(None, "account_id", "number"),
    Index(
        "transfers_counterparty_idx",
        "counterparty",
        "number",
        postgresql_where=text("counterparty IS NOT NULL"),
    ),
)

withdrawals = Table(
    "withdrawals",
    metadata,
    Column("reference", Text, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("account_id", BigInteger, nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", AMOUNT, nullable=False),
    Column("address", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("approvals", JSONB, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
    CheckConstraint("amount > 0", name="amount"),
    Index(None, "account_id", "created"),
    Index("withdrawals_open_idx", "created", postgresql_where=text(OPEN_WITHDRAWAL)),
)

acts = Table(
    "acts",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("time", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("act", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    Column("link", Text, nullable=False, server_default=text("''")),
)

candles = Table(
    "candles",
    metadata,
    Column("symbol", Text, nullable=False),
    Column("interval", Text, nullable=False),
    Column("open_time", BigInteger, nullable=False),
    Column("open", AMOUNT, nullable=False),
    Column("high", AMOUNT, nullable=False),
    Column("low", AMOUNT, nullable=False),
    Column("close", AMOUNT, nullable=False),
    Column("volume", VOLUME, nullable=False),
    Column("quote_volume", VOLUME, nullable=False),
    Column("trades", BigInteger, nullable=False),
    Column("taker_base", VOLUME, nullable=False),
    Column("taker_quote", VOLUME, nullable=False),
    Column("first_trade_id", BigInteger, nullable=False),
    Column("last_trade_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("symbol", "interval", "open_time"),
)

position = Table(
    "position",
    metadata,
    _single(),
    Column("number", BigInteger, nullable=False, comment="Up to here everything is written."),
    Column("state_hash", HASH, nullable=False, comment="-1: not comparable."),
    Column("epoch", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("clean_stop", BigInteger, comment="Where the gate was last closed cleanly."),
    CheckConstraint("single", name="single"),
)

epoch = Table(
    "epoch",
    metadata,
    _single(),
    Column("number", BigInteger, nullable=False, comment="The last that an engine has taken."),
    CheckConstraint("single", name="single"),
)

engine_starts = Table(
    "engine_starts",
    metadata,
    _single(),
    Column("number", BigInteger, nullable=False, comment="The position from which it started."),
    Column("starts", Integer, nullable=False),
    Column("attempt", BigInteger, comment="The command that it was about to apply alone."),
    CheckConstraint("single", name="single"),
)

alarms = Table(
    "alarms",
    metadata,
    Column("name", Text, primary_key=True),
    Column("sentence", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
)

generations = Table(
    "generations",
    metadata,
    Column("base", BigInteger, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("time", BigInteger, nullable=False),
)

cluster = Table(
    "cluster",
    metadata,
    _single(),
    Column("uuid", Text, nullable=False, comment="The same stands in the Redis of the journal."),
    CheckConstraint("single", name="single"),
)

users = Table(
    "users",
    metadata,
    Column("name", Text, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("password", Text, nullable=False, comment="Argon2id, with its parameters."),
    Column("totp_secret", LargeBinary, comment="Ciphertext under the master key."),
    Column("totp_confirmed", Boolean, nullable=False, server_default=text("false")),
    Column("totp_step", BigInteger, nullable=False, server_default=text("0")),
    Column("created", BigInteger, nullable=False),
    UniqueConstraint("account_id"),
    # Names that only differ in case are the same one to people.
    Index("users_lower_name_idx", text("lower(name)"), unique=True),
)

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True, comment="SHA-256 of the cookie."),
    Column("session_id", Text, nullable=False),
    Column("user_name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    UniqueConstraint("session_id"),
    Index(None, "user_name"),
)
