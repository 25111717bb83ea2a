"""The pytest plugin: an exchange for the session, and a clean market for each test that asks.

A run that asks for neither fixture is not touched: nothing else is imported here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from exchange.testing.venue import Venue, VenueExchange

DATA_VARIABLE = "EXCHANGE_DATA"
"""The folder of an `exchange up --testing` that runs already: then none is started."""


@pytest.fixture(scope="session")
def _venue_exchange(request: pytest.FixtureRequest) -> Iterator[VenueExchange]:
    # Its name is ours alone: suites of bots have an `exchange` of their own.
    from exchange.testing.venue import VenueExchange
    from exchange.testing.venue_start import started_exchange

    folder = os.environ.get(DATA_VARIABLE)
    if folder and hasattr(request.config, "workerinput"):
        raise pytest.UsageError(f"{DATA_VARIABLE} is one exchange: several workers need several.")
    with ExitStack() as stack:
        data = Path(folder) if folder else stack.enter_context(started_exchange())
        one = VenueExchange(data.expanduser().absolute())
        stack.callback(one.close)
        yield one


@pytest.fixture(scope="session")
def exchange(_venue_exchange: VenueExchange) -> VenueExchange:
    """A whole exchange on free ports, started once; `.api` and `.ws` are its addresses."""
    return _venue_exchange


@pytest.fixture
def venue(_venue_exchange: VenueExchange) -> Iterator[Venue]:
    """The exchange with empty markets; accounts are made with `venue.account(USDT="10000")`."""
    one = _venue_exchange.clean_venue()
    yield one
    one.close()
