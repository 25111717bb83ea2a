"""ListenKeys: one for each account, as long as it lives, the same for all processes."""

from collections.abc import AsyncIterator

import pytest
from servers import KillableServer, ask_redis

from exchange.redis.connection import ConnectionLost
from exchange.redis.listen_keys import (
    ACCOUNT,
    LIFE_S,
    Grant,
    ListenKeys,
    account_of,
    is_listen_key,
    new_listen_key,
)

API_KEY = "K" * 64


@pytest.fixture
async def keys(redis_url: str) -> AsyncIterator[ListenKeys]:
    one = ListenKeys(redis_url)
    yield one
    one.close()


def seconds_left(url: str, account: int) -> int:
    return int(ask_redis(url, f"TTL {ACCOUNT.format(account)}").removeprefix(":"))


@pytest.mark.parametrize("account", [0, 1, 61, 62, 2**40, 2**63 - 1])
def test_a_listen_key_names_its_account(account: int) -> None:
    listen_key = new_listen_key(account)

    assert is_listen_key(listen_key)
    assert account_of(listen_key) == account
    assert new_listen_key(account) != listen_key


@pytest.mark.parametrize("text", ["", "solusdc@trade", "x" * 63, "x" * 65, "x" * 63 + "é"])
def test_other_names_are_no_listen_keys(text: str) -> None:
    assert not is_listen_key(text)


async def test_who_starts_again_gets_the_same_one_and_an_hour(
    keys: ListenKeys, redis_url: str
) -> None:
    other = ListenKeys(redis_url)

    first = await keys.start(7, API_KEY)
    ask_redis(redis_url, f"EXPIRE {ACCOUNT.format(7)} 10")
    second = await other.start(7, "L" * 64)

    assert first == second
    assert seconds_left(redis_url, 7) > LIFE_S - 60
    assert await keys.find(first) == Grant(7, API_KEY)
    other.close()


async def test_accounts_have_listen_keys_of_their_own(keys: ListenKeys) -> None:
    mine, theirs = await keys.start(7, API_KEY), await keys.start(8, API_KEY)

    assert mine != theirs
    assert await keys.find(mine) == Grant(7, API_KEY)
    assert await keys.find(theirs) == Grant(8, API_KEY)


async def test_a_listen_key_that_is_not_prolonged_is_over(keys: ListenKeys, redis_url: str) -> None:
    listen_key = await keys.start(7, API_KEY)

    ask_redis(redis_url, f"EXPIRE {ACCOUNT.format(7)} 0")

    assert await keys.find(listen_key) is None
    assert not await keys.prolong(7, listen_key)
    assert await keys.start(7, API_KEY) != listen_key


async def test_to_prolong_gives_an_hour(keys: ListenKeys, redis_url: str) -> None:
    listen_key = await keys.start(7, API_KEY)
    ask_redis(redis_url, f"EXPIRE {ACCOUNT.format(7)} 10")

    assert await keys.prolong(7, listen_key)

    assert seconds_left(redis_url, 7) > LIFE_S - 60


async def test_nobody_prolongs_or_ends_the_listen_key_of_another(
    keys: ListenKeys, redis_url: str
) -> None:
    listen_key = await keys.start(7, API_KEY)
    await keys.start(8, API_KEY)
    ask_redis(redis_url, f"EXPIRE {ACCOUNT.format(7)} 10")

    assert not await keys.prolong(8, listen_key)
    assert not await keys.end(8, listen_key)
    assert not await keys.end(7, listen_key[:-1])
    assert not await keys.prolong(7, "")

    assert await keys.find(listen_key) is not None
    assert seconds_left(redis_url, 7) <= 10


async def test_what_was_ended_is_over(keys: ListenKeys) -> None:
    listen_key = await keys.start(7, API_KEY)

    assert await keys.end(7, listen_key)

    assert await keys.find(listen_key) is None
    assert not await keys.end(7, listen_key)


async def test_a_word_that_only_names_the_account_is_no_listen_key(keys: ListenKeys) -> None:
    await keys.start(7, API_KEY)

    assert await keys.find(new_listen_key(7)) is None


async def test_it_connects_again_after_a_loss(own_redis: KillableServer) -> None:
    keys = ListenKeys(own_redis.url)
    listen_key = await keys.start(7, API_KEY)

    own_redis.kill()
    with pytest.raises(ConnectionLost):
        await keys.find(listen_key)
    own_redis.start()

    # Redis wrote it to the disk, like all that it is told.
    assert await keys.find(listen_key) == Grant(7, API_KEY)
    keys.close()
