"""Epochs are never given out twice, and a clean stop is noted for as long as it holds."""

import asyncio

from exchange.postgres_db import epochs


async def test_every_engine_gets_an_epoch_of_its_own(database_url: str) -> None:
    given = await asyncio.gather(*(epochs.next_epoch(database_url) for _ in range(5)))

    assert sorted(given) == [1, 2, 3, 4, 5]


async def test_an_epoch_is_greater_than_the_one_that_redis_knows(database_url: str) -> None:
    assert await epochs.next_epoch(database_url, above=300) == 301
    assert await epochs.next_epoch(database_url, above=7) == 302


async def test_a_new_exchange_begins_as_after_a_clean_stop(database_url: str) -> None:
    assert await epochs.last_end(database_url) == epochs.End(position=0, clean_stop=0, time=0)


async def test_a_clean_stop_is_noted_although_the_writer_is_behind(database_url: str) -> None:
    await epochs.note_clean_stop(database_url, 7)

    assert await epochs.last_end(database_url) == epochs.End(position=0, clean_stop=7, time=0)


async def test_a_clean_stop_is_good_for_one_start(database_url: str) -> None:
    await epochs.note_clean_stop(database_url, 7)

    await epochs.use_clean_stop(database_url)

    assert (await epochs.last_end(database_url)).clean_stop is None
