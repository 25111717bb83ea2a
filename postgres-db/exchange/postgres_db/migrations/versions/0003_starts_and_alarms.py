"""How often the engine started from where it stands, and what an operator has to see."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """CREATE TABLE engine_starts (
        single BOOLEAN DEFAULT true NOT NULL,
        number BIGINT NOT NULL,
        starts INTEGER NOT NULL,
        attempt BIGINT,
        CONSTRAINT engine_starts_pkey PRIMARY KEY (single),
        CONSTRAINT engine_starts_single_check CHECK (single)
    )""",
    "COMMENT ON COLUMN engine_starts.number IS 'The position from which it started.'",
    "COMMENT ON COLUMN engine_starts.attempt IS 'The command that it was about to apply alone.'",
    """CREATE TABLE alarms (
        name TEXT NOT NULL,
        sentence TEXT NOT NULL,
        time BIGINT NOT NULL,
        CONSTRAINT alarms_pkey PRIMARY KEY (name)
    )""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
    op.execute("INSERT INTO engine_starts (number, starts) VALUES (0, 0)")
    # Nothing comes before a new exchange: that is a clean stop, and as good for one start only.
    op.execute("""
        UPDATE position SET clean_stop = 0
        WHERE number = 0 AND EXISTS (SELECT FROM epoch WHERE epoch.number = 0)
    """)
