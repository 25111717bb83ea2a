"""The first tables: everything that outcomes say, where we are in them, and who we are."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# SQL as it was on the day, not our table definitions: those go on changing.
_STATEMENTS = (
    """CREATE TABLE accounts (
        account_id BIGINT NOT NULL,
        name TEXT NOT NULL,
        created BIGINT NOT NULL,
        CONSTRAINT accounts_pkey PRIMARY KEY (account_id),
        CONSTRAINT accounts_name_key UNIQUE (name)
    )""",
    """CREATE TABLE keys (
        api_key TEXT NOT NULL,
        account_id BIGINT NOT NULL,
        kind TEXT NOT NULL,
        secret BYTEA NOT NULL,
        can_trade BOOLEAN NOT NULL,
        created BIGINT NOT NULL,
        revoked BIGINT,
        CONSTRAINT keys_pkey PRIMARY KEY (api_key)
    )""",
    "COMMENT ON COLUMN keys.secret IS 'Ciphertext, or a public key.'",
    """CREATE TABLE assets (
        asset TEXT NOT NULL,
        decimals SMALLINT NOT NULL,
        CONSTRAINT assets_pkey PRIMARY KEY (asset)
    )""",
    """CREATE TABLE markets (
        symbol TEXT NOT NULL,
        base TEXT NOT NULL,
        quote TEXT NOT NULL,
        base_decimals SMALLINT NOT NULL,
        quote_decimals SMALLINT NOT NULL,
        tick NUMERIC(38, 0) NOT NULL,
        lot NUMERIC(38, 0) NOT NULL,
        price_max NUMERIC(38, 0) NOT NULL,
        quantity_min NUMERIC(38, 0) NOT NULL,
        quantity_max NUMERIC(38, 0) NOT NULL,
        notional_min NUMERIC(38, 0) NOT NULL,
        notional_max NUMERIC(38, 0) NOT NULL,
        average_price_minutes INTEGER NOT NULL,
        maker_rate INTEGER NOT NULL,
        taker_rate INTEGER NOT NULL,
        mode TEXT NOT NULL,
        created BIGINT NOT NULL,
        CONSTRAINT markets_pkey PRIMARY KEY (symbol)
    )""",
    "COMMENT ON COLUMN markets.maker_rate IS 'Millionths.'",
    "COMMENT ON COLUMN markets.taker_rate IS 'Millionths.'",
    """CREATE TABLE counters (
        symbol TEXT NOT NULL,
        order_id BIGINT NOT NULL,
        trade_id BIGINT NOT NULL,
        update_id BIGINT NOT NULL,
        queue BIGINT NOT NULL,
        last_price NUMERIC(38, 0) NOT NULL,
        CONSTRAINT counters_pkey PRIMARY KEY (symbol)
    )""",
    """CREATE TABLE orders (
        symbol TEXT NOT NULL,
        order_id BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        client_order_id TEXT NOT NULL,
        side TEXT NOT NULL,
        type TEXT NOT NULL,
        time_in_force TEXT NOT NULL,
        price NUMERIC(38, 0) NOT NULL,
        quantity NUMERIC(38, 0) NOT NULL,
        quote_quantity NUMERIC(38, 0) NOT NULL,
        filled NUMERIC(38, 0) NOT NULL,
        filled_quote NUMERIC(38, 0) NOT NULL,
        locked NUMERIC(38, 0) NOT NULL,
        status TEXT NOT NULL,
        queue BIGINT NOT NULL,
        created BIGINT NOT NULL,
        updated BIGINT NOT NULL,
        request BYTEA,
        deadline BIGINT NOT NULL,
        number BIGINT NOT NULL,
        CONSTRAINT orders_pkey PRIMARY KEY (symbol, order_id),
        CONSTRAINT orders_filled_check CHECK (filled >= 0 AND filled <= quantity),
        CONSTRAINT orders_locked_check CHECK (locked >= 0)
    )""",
    """CREATE INDEX orders_account_id_symbol_client_order_id_idx
    ON orders (account_id, symbol, client_order_id)""",
    """CREATE INDEX orders_account_id_symbol_order_id_idx
    ON orders (account_id, symbol, order_id)""",
    """CREATE INDEX orders_open_idx
    ON orders (account_id, symbol, order_id) WHERE status IN ('NEW', 'PARTIALLY_FILLED')""",
    "COMMENT ON COLUMN orders.number IS 'Of the command that created it.'",
    """CREATE TABLE balances (
        account_id BIGINT NOT NULL,
        asset TEXT NOT NULL,
        free NUMERIC(38, 0) NOT NULL,
        locked NUMERIC(38, 0) NOT NULL,
        CONSTRAINT balances_pkey PRIMARY KEY (account_id, asset),
        CONSTRAINT balances_free_check CHECK (free >= 0),
        CONSTRAINT balances_locked_check CHECK (locked >= 0)
    )""",
    """CREATE TABLE trades (
        symbol TEXT NOT NULL,
        trade_id BIGINT NOT NULL,
        price NUMERIC(38, 0) NOT NULL,
        quantity NUMERIC(38, 0) NOT NULL,
        quote_quantity NUMERIC(38, 0) NOT NULL,
        time BIGINT NOT NULL,
        taker_side TEXT NOT NULL,
        buy_order BIGINT NOT NULL,
        sell_order BIGINT NOT NULL,
        buy_account BIGINT NOT NULL,
        sell_account BIGINT NOT NULL,
        buy_fee NUMERIC(38, 0) NOT NULL,
        sell_fee NUMERIC(38, 0) NOT NULL,
        CONSTRAINT trades_pkey PRIMARY KEY (symbol, trade_id),
        CONSTRAINT trades_traded_check CHECK (price > 0 AND quantity > 0),
        CONSTRAINT trades_fees_check CHECK (buy_fee >= 0 AND sell_fee >= 0)
    )""",
    """CREATE INDEX trades_buy_account_symbol_trade_id_idx
    ON trades (buy_account, symbol, trade_id)""",
    """CREATE INDEX trades_sell_account_symbol_trade_id_idx
    ON trades (sell_account, symbol, trade_id)""",
    """CREATE TABLE transfers (
        number BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        asset TEXT NOT NULL,
        kind TEXT NOT NULL,
        amount NUMERIC(38, 0) NOT NULL,
        reference TEXT NOT NULL,
        time BIGINT NOT NULL,
        CONSTRAINT transfers_pkey PRIMARY KEY (number),
        CONSTRAINT transfers_reference_key UNIQUE (reference),
        CONSTRAINT transfers_amount_check CHECK (amount > 0)
    )""",
    """CREATE TABLE candles (
        symbol TEXT NOT NULL,
        interval TEXT NOT NULL,
        open_time BIGINT NOT NULL,
        open NUMERIC(38, 0) NOT NULL,
        high NUMERIC(38, 0) NOT NULL,
        low NUMERIC(38, 0) NOT NULL,
        close NUMERIC(38, 0) NOT NULL,
        volume NUMERIC(60, 0) NOT NULL,
        quote_volume NUMERIC(60, 0) NOT NULL,
        trades BIGINT NOT NULL,
        taker_base NUMERIC(60, 0) NOT NULL,
        taker_quote NUMERIC(60, 0) NOT NULL,
        first_trade_id BIGINT NOT NULL,
        last_trade_id BIGINT NOT NULL,
        CONSTRAINT candles_pkey PRIMARY KEY (symbol, interval, open_time)
    )""",
    """CREATE TABLE position (
        single BOOLEAN DEFAULT true NOT NULL,
        number BIGINT NOT NULL,
        state_hash NUMERIC(20, 0) NOT NULL,
        epoch BIGINT NOT NULL,
        time BIGINT NOT NULL,
        clean_stop BIGINT,
        CONSTRAINT position_pkey PRIMARY KEY (single),
        CONSTRAINT position_single_check CHECK (single)
    )""",
    "COMMENT ON COLUMN position.number IS 'Up to here everything is written.'",
    "COMMENT ON COLUMN position.clean_stop IS 'Where the gate was last closed cleanly.'",
    """CREATE TABLE epoch (
        single BOOLEAN DEFAULT true NOT NULL,
        number BIGINT NOT NULL,
        CONSTRAINT epoch_pkey PRIMARY KEY (single),
        CONSTRAINT epoch_single_check CHECK (single)
    )""",
    "COMMENT ON COLUMN epoch.number IS 'The last that an engine has taken.'",
    """CREATE TABLE generations (
        base BIGINT NOT NULL,
        epoch BIGINT NOT NULL,
        time BIGINT NOT NULL,
        CONSTRAINT generations_pkey PRIMARY KEY (base)
    )""",
    """CREATE TABLE cluster (
        single BOOLEAN DEFAULT true NOT NULL,
        uuid TEXT NOT NULL,
        CONSTRAINT cluster_pkey PRIMARY KEY (single),
        CONSTRAINT cluster_single_check CHECK (single)
    )""",
    "COMMENT ON COLUMN cluster.uuid IS 'The same stands in the Redis of the journal.'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
    # The exchange's own account is part of every new exchange, so its time is no clock's.
    op.execute("INSERT INTO accounts (account_id, name, created) VALUES (0, 'exchange', 0)")
    op.execute("INSERT INTO position (number, state_hash, epoch, time) VALUES (0, 0, 0, 0)")
    op.execute("INSERT INTO epoch (number) VALUES (0)")
    # Postgres 12 cannot make a uuid without an extension.
    insert = sa.text("INSERT INTO cluster (uuid) VALUES (:uuid)")
    op.execute(insert.bindparams(uuid=str(uuid4())))
