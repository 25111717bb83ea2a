"""What simulations leave behind is finalized before other tests begin."""

from collections.abc import Iterator

import pytest
from simulation.surroundings import quiet


@pytest.fixture(scope="module", autouse=True)
def finalized() -> Iterator[None]:
    yield
    with quiet(is_told=False, freezes=False):
        pass
