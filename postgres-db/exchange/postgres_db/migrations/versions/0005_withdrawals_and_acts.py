"""Withdrawals and their limits, transfers between accounts, and who did what."""

from alembic import op

revision = "0005"
down_revision = "0004"

_STATEMENTS = (
    """ALTER TABLE exchange_rules
        ADD COLUMN withdrawal_max JSONB DEFAULT '{}' NOT NULL,
        ADD COLUMN withdrawal_day_max JSONB DEFAULT '{}' NOT NULL,
        ADD COLUMN withdrawal_free_max JSONB DEFAULT '{}' NOT NULL,
        ADD COLUMN withdrawal_single_max JSONB DEFAULT '{}' NOT NULL,
        ADD COLUMN withdrawals_frozen BOOLEAN DEFAULT false NOT NULL""",
    "ALTER TABLE transfers ADD COLUMN counterparty BIGINT",
    "CREATE INDEX transfers_account_id_number_idx ON transfers (account_id, number)",
    """CREATE INDEX transfers_counterparty_idx ON transfers (counterparty, number)
    WHERE counterparty IS NOT NULL""",
    """CREATE TABLE withdrawals (
        reference TEXT NOT NULL,
        number BIGINT NOT NULL,
        account_id BIGINT NOT NULL,
        asset TEXT NOT NULL,
        amount NUMERIC(38, 0) NOT NULL,
        address TEXT NOT NULL,
        status TEXT NOT NULL,
        approvals JSONB NOT NULL,
        created BIGINT NOT NULL,
        updated BIGINT NOT NULL,
        CONSTRAINT withdrawals_pkey PRIMARY KEY (reference),
        CONSTRAINT withdrawals_amount_check CHECK (amount > 0)
    )""",
    "CREATE INDEX withdrawals_account_id_created_idx ON withdrawals (account_id, created)",
    """CREATE INDEX withdrawals_open_idx ON withdrawals (created)
    WHERE status IN ('APPROVED', 'PENDING')""",
    """CREATE TABLE acts (
        number BIGINT NOT NULL,
        time BIGINT NOT NULL,
        actor TEXT NOT NULL,
        act TEXT NOT NULL,
        subject TEXT NOT NULL,
        reason TEXT NOT NULL,
        before TEXT NOT NULL,
        after TEXT NOT NULL,
        CONSTRAINT acts_pkey PRIMARY KEY (number)
    )""",
    # The rules of the exchange have more in them now: their old hash cannot be compared.
    "UPDATE position SET state_hash = -1 WHERE number > 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
