"""A Redis that forgets is refused, with the sentence that says what to change."""

import pytest
import redis
import redis.asyncio

from exchange.redis.connection import Connection, ConnectionLost
from exchange.redis.server_check import check
from exchange.services.failures import OperatorNeeded
from exchange.services.settings import InvalidSettings


async def test_a_durable_redis_is_accepted(redis_url: str) -> None:
    await check(redis_url)


@pytest.mark.parametrize(
    ("name", "value"),
    [("appendonly", "no"), ("appendfsync", "everysec"), ("maxmemory-policy", "allkeys-lru")],
)
async def test_a_forgetful_redis_is_refused(redis_url: str, name: str, value: str) -> None:
    server = redis.Redis.from_url(redis_url)
    before = server.config_get(name)[name]
    server.config_set(name, value)
    try:
        with pytest.raises(OperatorNeeded, match=name):
            await check(redis_url)
    finally:
        server.config_set(name, str(before))
        server.close()


async def test_a_redis_that_hides_its_configuration_is_refused_unless_that_is_allowed(
    redis_url: str,
) -> None:
    server = redis.Redis.from_url(redis_url)
    server.acl_setuser(
        "shut",
        enabled=True,
        passwords=["+word"],
        keys=["*"],
        categories=["+@all"],
        commands=["-config"],
    )
    shut = redis_url.replace("redis://", "redis://shut:word@")
    try:
        with pytest.raises(OperatorNeeded, match="ACK=postgres"):
            await check(shut)
        assert not await check(shut, may_be_unchecked=True)
        assert await check(redis_url, may_be_unchecked=True)
    finally:
        server.acl_deluser("shut")
        server.close()


async def test_a_missing_redis_is_waited_for(unused_tcp_port: int) -> None:
    with pytest.raises(ConnectionLost):
        await check(f"redis://127.0.0.1:{unused_tcp_port}")


@pytest.mark.parametrize("password", ["", ":wrong@"])
async def test_a_missing_or_wrong_password_needs_an_operator(redis_url: str, password: str) -> None:
    server = redis.Redis.from_url(redis_url)
    server.config_set("requirepass", "right")
    try:
        with pytest.raises(OperatorNeeded, match="REDIS_URL"):
            await check(redis_url.replace("redis://", f"redis://{password}"))
        await check(redis_url.replace("redis://", "redis://:right@"))
    finally:
        server.config_set("requirepass", "")
        server.close()


async def test_a_url_that_is_not_redis_is_an_invalid_setting() -> None:
    with pytest.raises(InvalidSettings):
        await Connection.open("http://127.0.0.1:1", name="test")
