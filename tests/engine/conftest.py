"""A venue that is watched, and two who trade there; two stores, and engines that can be killed."""

from collections.abc import Iterator

import pytest
from engine.running_engine import StartEngine, engine_processes
from venue import Venue, WatchedVenue

from exchange.services.settings import Settings


@pytest.fixture
def venue() -> Venue:
    return WatchedVenue()


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice", SOL=1_000, USDC=100_000)


@pytest.fixture
def bob(venue: Venue) -> int:
    return venue.account("bob", SOL=1_000, USDC=100_000)


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url)


@pytest.fixture
def start_engine(settings: Settings) -> Iterator[StartEngine]:
    """Start engines as processes, which can be killed and frozen."""
    with engine_processes(settings) as start:
        yield start
