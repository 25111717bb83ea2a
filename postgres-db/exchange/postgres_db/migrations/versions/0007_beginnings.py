"""Where a market's public past begins, if it was reset."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    """CREATE TABLE beginnings (
        symbol TEXT NOT NULL,
        trade_id BIGINT NOT NULL,
        CONSTRAINT beginnings_pkey PRIMARY KEY (symbol)
    )""",
    "COMMENT ON COLUMN beginnings.trade_id IS 'Up to here nobody is told of trades.'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
