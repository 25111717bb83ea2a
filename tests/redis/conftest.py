"""A journal that takes commands, and helpers to fill it."""

from collections.abc import AsyncIterator

import pytest
from frames import opened

from exchange.redis.journal import Journal
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes


@pytest.fixture
async def leadership(redis_url: str) -> AsyncIterator[Leadership]:
    """The leader of an empty journal whose gate was opened by outcome 1."""
    leadership = await Leadership.open(redis_url)
    await leadership.claim(1)
    await leadership.open_gate(opened(previous=0, number=1))
    yield leadership
    leadership.close()


@pytest.fixture
async def journal(redis_url: str) -> AsyncIterator[Journal]:
    journal = await Journal.open(redis_url, name="test")
    yield journal
    journal.close()


@pytest.fixture
async def outcomes(redis_url: str) -> AsyncIterator[Outcomes]:
    async with await Outcomes.open(redis_url) as outcomes:
        yield outcomes
