"""Connections to Postgres that notice a dead server, and give up soon when they are frozen."""

import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

import asyncpg
import msgspec

from exchange.services.failures import OperatorNeeded, WorldFailed

CONNECT_TIMEOUT_S = 3.0
COMMAND_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 1.0
TRANSACTION_IDLE_S = 60

_LOCK_TIMEOUT_MS = 2_000
_DEAD_PEER_MS = 3_000

# Keep-alive is for a peer that vanished while nothing was sent, the user time-out for one that
# vanished while something was; the values of both sides agree.
_KEEPALIVE_S = {"TCP_KEEPIDLE": 1, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2}


async def connect(
    dsn: str,
    *,
    application_name: str,
    transaction_idle_s: int = TRANSACTION_IDLE_S,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
) -> asyncpg.Connection:
    """Raises WorldFailed, or OperatorNeeded where the server is there but wants another user."""
    with reporting_failures():
        connection = await asyncpg.connect(
            dsn,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=command_timeout_s,
            server_settings=_session(application_name, transaction_idle_s),
        )
        await _prepare(connection)
        return connection


@asynccontextmanager
async def connected(
    dsn: str,
    *,
    application_name: str,
    transaction_idle_s: int = TRANSACTION_IDLE_S,
    command_timeout_s: float = COMMAND_TIMEOUT_S,
) -> AsyncIterator[asyncpg.Connection]:
    """A connection for the time of a block, closed in any case; it raises as `connect` does."""
    connection = await connect(
        dsn,
        application_name=application_name,
        transaction_idle_s=transaction_idle_s,
        command_timeout_s=command_timeout_s,
    )
    try:
        yield connection
    finally:
        # Closing asks the server; if that fails asyncpg has dropped the connection all the same.
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await connection.close(timeout=CLOSE_TIMEOUT_S)


async def pool(dsn: str, *, application_name: str, size_max: int) -> asyncpg.Pool:
    """Connections for reading, made as they are needed; raises as `connect` does."""
    with reporting_failures():
        return await asyncpg.create_pool(
            dsn,
            min_size=0,
            max_size=size_max,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=COMMAND_TIMEOUT_S,
            server_settings=_session(application_name, TRANSACTION_IDLE_S),
            init=_prepare,
            reset=_leave,
        )


@contextmanager
def reporting_failures() -> Iterator[None]:
    """What asyncpg raises, sorted into our three kinds.

    A violated constraint or a value that does not fit is our own fault (AssertionError); a server
    that refuses the user needs an operator (OperatorNeeded); all else is the world (WorldFailed).
    """
    try:
        yield
    except (
        asyncpg.IntegrityConstraintViolationError,
        asyncpg.DataError,
        asyncpg.exceptions._base.DataError,  # noqa: SLF001, asyncpg's name for what it cannot encode
    ) as fault:
        raise AssertionError(f"Postgres refused what was written: {fault}") from fault
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
    ) as fault:
        raise OperatorNeeded(f"Postgres refuses us: {fault}. Check DATABASE_URL.") from fault
    except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as fault:
        raise WorldFailed(f"Postgres failed: {fault}") from fault
    except OSError as fault:
        # TimeoutError is one too, and has no text.
        raise WorldFailed(f"Postgres cannot be reached: {fault or 'timed out'}") from fault


def _session(application_name: str, transaction_idle_s: int) -> dict[str, str]:
    return {
        "application_name": application_name,
        "idle_in_transaction_session_timeout": str(transaction_idle_s * 1_000),
        "lock_timeout": str(_LOCK_TIMEOUT_MS),
        "tcp_user_timeout": str(_DEAD_PEER_MS),
        "tcp_keepalives_idle": str(_KEEPALIVE_S["TCP_KEEPIDLE"]),
        "tcp_keepalives_interval": str(_KEEPALIVE_S["TCP_KEEPINTVL"]),
        "tcp_keepalives_count": str(_KEEPALIVE_S["TCP_KEEPCNT"]),
    }


async def _prepare(connection: asyncpg.Connection) -> None:
    # asyncpg has no public way to its socket.
    tcp = connection._transport.get_extra_info("socket")  # noqa: SLF001
    if tcp is not None and tcp.family in (socket.AF_INET, socket.AF_INET6):
        _watch_peer(tcp)
    # Amounts are whole numbers; asyncpg's own codec would make Decimals of them.
    await connection.set_type_codec(
        "numeric", schema="pg_catalog", encoder=str, decoder=int, format="text"
    )
    for name in ("json", "jsonb"):
        # msgspec reads whole numbers of any size as integers, too.
        await connection.set_type_codec(
            name,
            schema="pg_catalog",
            encoder=_json_text,
            decoder=msgspec.json.decode,
            format="text",
        )


def _json_text(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _watch_peer(tcp: socket.socket) -> None:
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    options = {**_KEEPALIVE_S, "TCP_USER_TIMEOUT": _DEAD_PEER_MS}
    for name, value in options.items():
        # macOS has not all of them.
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def _leave(connection: asyncpg.Connection) -> None:
    """Readers change nothing of their session, so returning one to the pool needs no round trip."""
