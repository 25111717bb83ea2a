"""Signed requests of the last minute or two, whatever became of them."""

from alembic import op

revision = "0006"
down_revision = "0005"

_STATEMENTS = (
    # Every batch begins with the position: the writer waits here, and not in the middle of one.
    "LOCK TABLE position IN SHARE ROW EXCLUSIVE MODE",
    """CREATE TABLE requests (
        number BIGINT NOT NULL,
        request BYTEA NOT NULL,
        deadline BIGINT NOT NULL,
        CONSTRAINT requests_pkey PRIMARY KEY (number)
    )""",
    "CREATE INDEX requests_deadline_idx ON requests (deadline)",
    # So far only those of orders were kept, with the orders.
    """INSERT INTO requests (number, request, deadline)
    SELECT DISTINCT number, request, deadline FROM orders
    WHERE request IS NOT NULL AND deadline >= (SELECT time - 61000000 FROM position)""",
    # They are part of the state now: its old hash cannot be compared.
    "UPDATE position SET state_hash = -1 WHERE number > 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
