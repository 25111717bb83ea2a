"""Epochs are never given out twice, and a clean stop is noted for as long as it holds."""

import asyncio

from exchange.postgres_db import epochs


async def test_every_engine_gets_an_epoch_of_its_own(database_url: str) -> None:
    given = await asyncio.gather(*(epochs.next_epoch(database_url) for _ in range(5)))

    assert sorted(given) == [1, 2, 3, 4, 5]


async def test_a_new_exchange_has_no_clean_stop(database_url: str) -> None:
    assert await epochs.clean_stop(database_url) is None


async def test_a_clean_stop_is_noted_although_the_writer_is_behind(database_url: str) -> None:
    await epochs.note_clean_stop(database_url, 7)

    assert await epochs.clean_stop(database_url) == 7
