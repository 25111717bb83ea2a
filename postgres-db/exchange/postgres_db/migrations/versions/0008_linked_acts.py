"""Each act is linked to the one before it."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    "ALTER TABLE acts ADD COLUMN link TEXT DEFAULT '' NOT NULL",
    # The last act is part of the state now: its old hash cannot be compared.
    "UPDATE position SET state_hash = -1 WHERE number > 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
