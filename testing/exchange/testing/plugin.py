"""The pytest plugin: an exchange for the session, and a clean market for each test that asks.

A run that asks for neither fixture is not touched: nothing else is imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from exchange.testing.venue import Venue, VenueExchange

DATA_OPTION = "--exchange-data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("exchange", "an exchange to test bots on").addoption(
        DATA_OPTION,
        metavar="DIR",
        type=Path,
        help="Use the one that `exchange up --testing --data DIR` runs, and start none.",
    )


@pytest.fixture(scope="session")
def _venue_exchange(request: pytest.FixtureRequest) -> Iterator[VenueExchange]:
    # Its name is ours alone: suites of bots have an `exchange` of their own.
    from exchange.testing.venue import VenueExchange
    from exchange.testing.venue_start import started_exchange

    folder: Path | None = request.config.getoption(DATA_OPTION)
    if folder is not None and hasattr(request.config, "workerinput"):
        raise pytest.UsageError(f"{DATA_OPTION} names one exchange: several workers need several.")
    with ExitStack() as stack:
        data = folder if folder is not None else stack.enter_context(started_exchange())
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
