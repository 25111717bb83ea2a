"""A whole exchange for the tests of the system."""

from collections.abc import Iterator

import pytest
from running_exchange import RunningExchange


@pytest.fixture(scope="session")
def exchange_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    """One `exchange up` for the whole session; what kills processes takes an exchange of its own.

    `.api`, `.ws`, `.admin`, `.admin_token`, `.data`, `.pids()`, `.account(name)`, `.deposit(…)`.
    """
    exchange = RunningExchange(tmp_path_factory.mktemp("exchange") / "data")
    try:
        with pytest.MonkeyPatch.context() as patch:
            # All that there is to be said: what is in no log then is in none.
            patch.setenv("LOG_LEVEL", "DEBUG")
            exchange.start()
        yield exchange
    finally:
        exchange.stop()
