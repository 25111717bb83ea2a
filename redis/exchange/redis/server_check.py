"""Whether this Redis keeps what it acknowledges; services refuse to start on one that does not."""

import redis.asyncio
import structlog
from redis import exceptions

from exchange.redis.connection import ConnectionLost
from exchange.services.process import OperatorNeeded

VERSION_MIN = (6, 2)
REQUIRED = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

log = structlog.get_logger()


async def check(url: str, *, may_be_unchecked: bool = False) -> bool:
    """Whether its configuration could be checked, which it must unless that is allowed for.

    Raises OperatorNeeded with what to change, and ConnectionLost while Redis is away.
    """
    client = redis.asyncio.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2)
    try:
        version = str((await client.info("server"))["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < VERSION_MIN:
            raise OperatorNeeded(f"Redis {version} is too old: the exchange needs 6.2 or newer.")
        return await _check_configuration(client, may_be_unchecked=may_be_unchecked)
    except (exceptions.AuthenticationError, exceptions.ResponseError) as fault:
        raise OperatorNeeded(f"Redis refuses us: {fault}. Check REDIS_URL.") from None
    except (exceptions.ConnectionError, exceptions.TimeoutError) as fault:
        raise ConnectionLost(f"Redis cannot be reached: {fault}") from None
    finally:
        await client.aclose()


async def _check_configuration(client: redis.asyncio.Redis, *, may_be_unchecked: bool) -> bool:
    try:
        found = {name: (await client.config_get(name)).get(name, "") for name in REQUIRED}
        limit = (await client.config_get("maxmemory")).get("maxmemory")
    except exceptions.ResponseError as fault:
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
