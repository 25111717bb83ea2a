"""Every order type: rules, order lists, amendments, prevented matches, and what is special."""

from alembic import op

revision = "0002"
down_revision = "0001"

# What an older writer does not know has a default, so that it can go on until a newer one is there.
_STATEMENTS = (
    # Every batch begins with the position: the writer waits here, and not in the middle of one.
    "LOCK TABLE position IN SHARE ROW EXCLUSIVE MODE",
    # The slow part comes first, because from the first change of a table on its readers wait too.
    """CREATE INDEX orders_open_new_idx ON orders (account_id, symbol, order_id)
    WHERE status IN ('NEW', 'PARTIALLY_FILLED', 'PENDING_NEW')""",
    """CREATE TABLE exchange_rules (
        orders_max INTEGER NOT NULL,
        algo_orders_max INTEGER NOT NULL,
        iceberg_orders_max INTEGER NOT NULL,
        order_lists_max INTEGER NOT NULL,
        assets_max JSON NOT NULL,
        discount_asset TEXT NOT NULL,
        discount INTEGER NOT NULL,
        single BOOLEAN DEFAULT true NOT NULL,
        CONSTRAINT exchange_rules_pkey PRIMARY KEY (single),
        CONSTRAINT exchange_rules_single_check CHECK (single)
    )""",
    "COMMENT ON COLUMN exchange_rules.discount IS 'Millionths.'",
    """CREATE TABLE average_prices (
        symbol TEXT NOT NULL,
        minutes JSONB NOT NULL,
        CONSTRAINT average_prices_pkey PRIMARY KEY (symbol)
    )""",
    # So far they were taken from the candles, whenever an engine started.
    """INSERT INTO average_prices (symbol, minutes)
    SELECT symbol, jsonb_agg(
        jsonb_build_array(open_time / 60000000, volume, quote_volume) ORDER BY open_time
    )
    FROM markets CROSS JOIN LATERAL (
        SELECT open_time, volume, quote_volume FROM candles
        WHERE candles.symbol = markets.symbol AND interval = '1m'
        ORDER BY open_time DESC LIMIT greatest(1, average_price_minutes)
    ) AS newest
    GROUP BY symbol""",
    """CREATE TABLE order_lists (
        symbol TEXT NOT NULL,
        list_id BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        client_list_id TEXT NOT NULL,
        contingency TEXT NOT NULL,
        order_ids JSONB NOT NULL,
        status TEXT NOT NULL,
        created BIGINT NOT NULL,
        updated BIGINT NOT NULL,
        CONSTRAINT order_lists_pkey PRIMARY KEY (symbol, list_id)
    )""",
    "CREATE INDEX order_lists_account_id_list_id_idx ON order_lists (account_id, list_id)",
    """CREATE INDEX order_lists_account_id_client_list_id_list_id_idx
    ON order_lists (account_id, client_list_id, list_id)""",
    """CREATE INDEX order_lists_open_idx
    ON order_lists (account_id, list_id) WHERE status = 'EXECUTING'""",
    """CREATE TABLE amendments (
        symbol TEXT NOT NULL,
        number BIGINT NOT NULL,
        order_id BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        client_order_id TEXT NOT NULL,
        new_client_order_id TEXT NOT NULL,
        quantity NUMERIC(38, 0) NOT NULL,
        new_quantity NUMERIC(38, 0) NOT NULL,
        time BIGINT NOT NULL,
        CONSTRAINT amendments_pkey PRIMARY KEY (symbol, order_id, number),
        CONSTRAINT amendments_smaller_check CHECK (new_quantity > 0 AND new_quantity < quantity)
    )""",
    """CREATE TABLE prevented_matches (
        symbol TEXT NOT NULL,
        match_id BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        taker_order BIGINT NOT NULL,
        maker_order BIGINT NOT NULL,
        self_trade TEXT NOT NULL,
        price NUMERIC(38, 0) NOT NULL,
        taker_quantity NUMERIC(38, 0) NOT NULL,
        maker_quantity NUMERIC(38, 0) NOT NULL,
        time BIGINT NOT NULL,
        CONSTRAINT prevented_matches_pkey PRIMARY KEY (symbol, match_id),
        CONSTRAINT prevented_matches_quantities_check
            CHECK (taker_quantity >= 0 AND maker_quantity >= 0)
    )""",
    """CREATE INDEX prevented_matches_symbol_taker_order_match_id_idx
    ON prevented_matches (symbol, taker_order, match_id)""",
    """CREATE INDEX prevented_matches_symbol_maker_order_match_id_idx
    ON prevented_matches (symbol, maker_order, match_id)""",
    """ALTER TABLE accounts
        ADD COLUMN tier INTEGER DEFAULT 0 NOT NULL,
        ADD COLUMN discount BOOLEAN DEFAULT false NOT NULL,
        ADD COLUMN stopped BOOLEAN DEFAULT false NOT NULL""",
    "ALTER TABLE markets ADD COLUMN rules JSONB DEFAULT '{}' NOT NULL",
    "ALTER TABLE counters ADD COLUMN match_id BIGINT DEFAULT 0 NOT NULL",
    """ALTER TABLE trades
        ADD COLUMN buy_fee_asset TEXT DEFAULT '' NOT NULL,
        ADD COLUMN sell_fee_asset TEXT DEFAULT '' NOT NULL""",
    """ALTER TABLE orders
        ADD COLUMN self_trade TEXT DEFAULT 'NONE' NOT NULL,
        ADD COLUMN special JSONB""",
    # Rows have more in them now, so that the hash of the old ones cannot be compared any more.
    "UPDATE position SET state_hash = -1 WHERE number > 0",
    "COMMENT ON COLUMN position.state_hash IS '-1: not comparable.'",
    "DROP INDEX orders_open_idx",
    "ALTER INDEX orders_open_new_idx RENAME TO orders_open_idx",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
