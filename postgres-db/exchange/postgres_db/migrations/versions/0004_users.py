"""Who signs in, sub-accounts, roles, and what API keys may do."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """ALTER TABLE accounts
        ADD COLUMN owner BIGINT,
        ADD COLUMN role TEXT DEFAULT 'TRADER' NOT NULL""",
    """ALTER TABLE keys
        ADD COLUMN name TEXT DEFAULT '' NOT NULL,
        ADD COLUMN can_read BOOLEAN DEFAULT true NOT NULL,
        ADD COLUMN can_withdraw BOOLEAN DEFAULT false NOT NULL,
        ADD COLUMN addresses JSONB DEFAULT '[]' NOT NULL,
        ADD COLUMN expires BIGINT""",
    """CREATE TABLE users (
        name TEXT NOT NULL,
        account_id BIGINT NOT NULL,
        password TEXT NOT NULL,
        totp_secret BYTEA,
        totp_confirmed BOOLEAN DEFAULT false NOT NULL,
        totp_step BIGINT DEFAULT 0 NOT NULL,
        created BIGINT NOT NULL,
        CONSTRAINT users_pkey PRIMARY KEY (name),
        CONSTRAINT users_account_id_key UNIQUE (account_id)
    )""",
    "CREATE UNIQUE INDEX users_lower_name_idx ON users (lower(name))",
    "COMMENT ON COLUMN users.password IS 'Argon2id, with its parameters.'",
    "COMMENT ON COLUMN users.totp_secret IS 'Ciphertext under the master key.'",
    """CREATE TABLE sessions (
        token_hash BYTEA NOT NULL,
        session_id TEXT NOT NULL,
        user_name TEXT NOT NULL,
        created BIGINT NOT NULL,
        last_seen BIGINT NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL,
        CONSTRAINT sessions_pkey PRIMARY KEY (token_hash),
        CONSTRAINT sessions_session_id_key UNIQUE (session_id)
    )""",
    "CREATE INDEX sessions_user_name_idx ON sessions (user_name)",
    "COMMENT ON COLUMN sessions.token_hash IS 'SHA-256 of the cookie.'",
    # The websocket server's role may read what traders may know; how they sign in is not of it.
    """DO $$ BEGIN
        IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'exchange_reader') THEN
            REVOKE ALL ON users, sessions FROM exchange_reader;
        END IF;
    END $$""",
    # Accounts and keys have more in them now: the hash of the old rows cannot be compared.
    "UPDATE position SET state_hash = -1 WHERE number > 0",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
