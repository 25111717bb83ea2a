"""Whether this Redis keeps what it acknowledges; services refuse to start on one that does not."""

import structlog

from exchange.redis.connection import CommandRefused, Connection, ConnectionLost
from exchange.services.failures import OperatorNeeded

VERSION_MIN = (6, 2)
REQUIRED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

log = structlog.get_logger()


async def check(url: str, *, may_be_unchecked: bool = False) -> bool:
    """Whether its configuration could be checked, which it must unless that is allowed for.

    Raises OperatorNeeded with what to change, and ConnectionLost while Redis is away.
    """
    try:
        connection = await Connection.open(url, name="check")
        try:
            return await _check(connection, may_be_unchecked=may_be_unchecked)
        finally:
            connection.close()
    except CommandRefused as fault:
        if str(fault).startswith("LOADING"):
            raise ConnectionLost(f"Redis is not ready: {fault}") from None
        raise OperatorNeeded(f"Redis refuses us: {fault}. Check REDIS_URL.") from None


async def _check(connection: Connection, *, may_be_unchecked: bool) -> bool:
    version = _field(await connection.call("INFO", "server"), "redis_version")
    if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
        raise OperatorNeeded(f"Redis {version} is too old: the exchange needs 6.2 or newer.")
    try:
        found = {name: await _setting(connection, name) for name in REQUIRED}
        limit = await _setting(connection, "maxmemory")
    except CommandRefused as fault:
        if may_be_unchecked:
            log.warning("the configuration of Redis is not checked", cause=str(fault))
            return False
        raise OperatorNeeded(
            f"The configuration of Redis cannot be read ({fault}), so nothing proves that it keeps"
            " what it acknowledges. Allow CONFIG GET, or acknowledge only what Postgres has, too:"
            " ACK=postgres and JOURNAL_UNCHECKED=1."
        ) from None
    wrong = [f"{name} {wanted}" for name, wanted in REQUIRED.items() if found[name] != wanted]
    if wrong:
        raise OperatorNeeded(
            f"Redis does not keep what it acknowledges. It needs: {', '.join(wrong)}"
            " (in its configuration file, before its first start)."
        )
    if limit == "0":
        log.warning("Redis has no maxmemory: set it to half of the memory it may use")
    return True


async def _setting(connection: Connection, name: str) -> str:
    """The value of a configuration directive; "" where this server does not know it."""
    reply = await connection.call("CONFIG", "GET", name)
    return str(reply[1].decode()) if reply else ""


def _field(information: bytes, name: str) -> str:
    fields = dict(line.split(":", 1) for line in information.decode().splitlines() if ":" in line)
    return fields[name]
