"""A venue that is watched, and two who trade there."""

import pytest
from venue import Venue, WatchedVenue


@pytest.fixture
def venue() -> Venue:
    return WatchedVenue()


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice", SOL=1_000, USDC=100_000)


@pytest.fixture
def bob(venue: Venue) -> int:
    return venue.account("bob", SOL=1_000, USDC=100_000)
