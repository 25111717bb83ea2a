"""All SQL about who signs in: users and their sessions, which are no state of the exchange.

The backend alone reads and writes these two tables. Times are µs.
"""

import asyncpg
import msgspec

from exchange.postgres_db.connection import reporting_failures

IDLE_US_MAX = 7 * 86_400 * 1_000_000
LIFE_US_MAX = 30 * 86_400 * 1_000_000
SESSIONS_MAX = 50
"""Of one user; the oldest end."""


class User(msgspec.Struct, frozen=True):
    """`totp_step` is the last one whose code was used."""

    name: str
    account: int
    password: str
    totp_secret: bytes | None
    totp_confirmed: bool
    totp_step: int


class Session(msgspec.Struct, frozen=True):
    session_id: str
    user_name: str
    account: int
    created: int
    last_seen: int
    address: str
    agent: str


async def find_user(source: asyncpg.Pool, name: str) -> User | None:
    """By name, in whatever case."""
    with reporting_failures():
        found = await source.fetchrow(_USER, name)
    return None if found is None else User(*found)


async def insert_user(
    source: asyncpg.Pool, name: str, account: int, password: str, now: int
) -> bool:
    """False where there is a user of this name, or of this account."""
    with reporting_failures():
        done = await source.execute(_INSERT_USER, name, account, password, now)
    return bool(done == "INSERT 0 1")


async def set_password(
    source: asyncpg.Pool, name: str, password: str, *, keep: bytes | None
) -> None:
    """Another password ends all sessions but one."""
    with reporting_failures():
        await source.execute(_REPLACE_HASH, name, password, keep or b"")


async def rehash(source: asyncpg.Pool, name: str, password: str) -> None:
    """Store the same password with other costs."""
    with reporting_failures():
        await source.execute("UPDATE users SET password = $2 WHERE name = $1", name, password)


async def set_totp(source: asyncpg.Pool, name: str, sealed: bytes | None) -> None:
    """Begin anew with a secret that is still to be confirmed, or without one."""
    with reporting_failures():
        await source.execute(_SET_TOTP, name, sealed)


async def use_totp(source: asyncpg.Pool, name: str, step: int) -> bool:
    """Use up a code; False where it, or a later one, was used before."""
    with reporting_failures():
        done = await source.execute(_USE_TOTP, name, step)
    return bool(done == "UPDATE 1")


async def select_totp_secrets(source: asyncpg.Pool) -> list[tuple[str, bytes]]:
    """Names and ciphertexts."""
    with reporting_failures():
        return [tuple(one) for one in await source.fetch(_TOTP_SECRETS)]


async def replace_totp_secret(source: asyncpg.Pool, name: str, before: bytes, after: bytes) -> None:
    """The same secret in another ciphertext, unless its owner has made a new one meanwhile."""
    with reporting_failures():
        await source.execute(_REPLACE_TOTP, name, before, after)


async def insert_session(source: asyncpg.Pool, token_hash: bytes, session: Session) -> None:
    """With the new one, those of its user that are over, or too many, go."""
    with reporting_failures():
        await source.execute(_TIDY, session.user_name, *_oldest(session.created), SESSIONS_MAX - 1)
        await source.execute(
            _INSERT_SESSION, token_hash, session.session_id, session.user_name,
            session.created, session.address, session.agent,
        )  # fmt: skip


async def find_session(source: asyncpg.Pool, token_hash: bytes, now: int) -> Session | None:
    """If it is not over."""
    with reporting_failures():
        found = await source.fetchrow(_SESSION, token_hash, *_oldest(now))
    return None if found is None else Session(*found)


async def select_sessions(source: asyncpg.Pool, name: str, now: int) -> list[Session]:
    """A user's, the newest first."""
    with reporting_failures():
        return [Session(*one) for one in await source.fetch(_SESSIONS, name, *_oldest(now))]


async def touch_session(source: asyncpg.Pool, token_hash: bytes, now: int) -> None:
    with reporting_failures():
        await source.execute(
            "UPDATE sessions SET last_seen = $2 WHERE token_hash = $1", token_hash, now
        )


async def delete_session(source: asyncpg.Pool, name: str, session_id: str) -> bool:
    """False where the user has no such one."""
    with reporting_failures():
        done = await source.execute(_DELETE_SESSION, name, session_id)
    return bool(done == "DELETE 1")


def _oldest(now: int) -> tuple[int, int]:
    return now - LIFE_US_MAX, now - IDLE_US_MAX


_USER = """
    SELECT name, account_id, password, totp_secret, totp_confirmed, totp_step FROM users
    WHERE lower(name) = lower($1)
"""
_INSERT_USER = """
    INSERT INTO users (name, account_id, password, created) VALUES ($1, $2, $3, $4)
    ON CONFLICT DO NOTHING
"""
_REPLACE_HASH = """
    WITH ended AS (
        DELETE FROM sessions WHERE user_name = $1 AND token_hash <> $3
    )
    UPDATE users SET password = $2 WHERE name = $1
"""
_SET_TOTP = """
    UPDATE users SET totp_secret = $2, totp_confirmed = false, totp_step = 0 WHERE name = $1
"""
_TOTP_SECRETS = "SELECT name, totp_secret FROM users WHERE totp_secret IS NOT NULL"
_REPLACE_TOTP = "UPDATE users SET totp_secret = $3 WHERE name = $1 AND totp_secret = $2"
_USE_TOTP = """
    UPDATE users SET totp_step = $2, totp_confirmed = true WHERE name = $1 AND totp_step < $2
"""
_TIDY = """
    DELETE FROM sessions WHERE user_name = $1 AND (
        created < $2 OR last_seen < $3 OR token_hash NOT IN (
            SELECT token_hash FROM sessions WHERE user_name = $1 ORDER BY last_seen DESC LIMIT $4
        )
    )
"""
_INSERT_SESSION = """
    INSERT INTO sessions (token_hash, session_id, user_name, created, last_seen, address, agent)
    VALUES ($1, $2, $3, $4, $4, $5, $6)
"""
_FIELDS = "session_id, user_name, account_id, sessions.created, last_seen, address, agent"
_OF_USERS = "FROM sessions JOIN users ON users.name = sessions.user_name"
_SESSION = f"""
    SELECT {_FIELDS} {_OF_USERS}
    WHERE token_hash = $1 AND sessions.created >= $2 AND last_seen >= $3
"""
_SESSIONS = f"""
    SELECT {_FIELDS} {_OF_USERS}
    WHERE user_name = $1 AND sessions.created >= $2 AND last_seen >= $3
    ORDER BY last_seen DESC, session_id
"""
_DELETE_SESSION = "DELETE FROM sessions WHERE user_name = $1 AND session_id = $2"
