"""Requests are remembered until they are forgotten by their deadlines."""

from exchange.engine.request_memory import RequestMemory
from exchange.services.candles import SECOND
from exchange.services.messages import SignedRequest


def remembering(*deadlines: int) -> RequestMemory:
    """Requests called by their deadlines, in s, which are their numbers too."""
    memory = RequestMemory()
    for deadline in deadlines:
        memory.remember(SignedRequest(deadline, b"%d" % deadline, deadline * SECOND))
    return memory


def test_a_request_is_known_until_its_deadline_is_forgotten() -> None:
    memory = remembering(10)

    memory.forget(10 * SECOND)
    assert memory.number(b"10") == 10
    assert memory.number(b"11") is None

    memory.forget(11 * SECOND)
    assert memory.number(b"10") is None
    assert len(memory) == 0


def test_forgetting_keeps_what_can_still_be_repeated() -> None:
    memory = remembering(*range(100))

    memory.forget(90 * SECOND)

    assert len(memory) == 10
    assert memory.number(b"95") == 95
    assert memory.hash == remembering(*range(90, 100)).hash


def test_the_first_number_of_a_request_stays() -> None:
    memory = remembering(10)

    memory.remember(SignedRequest(11, b"10", 10 * SECOND))

    assert memory.number(b"10") == 10
    assert memory.hash == remembering(10).hash


def test_the_hash_is_of_all_that_is_known_in_any_order() -> None:
    assert remembering(1, 2, 3).hash == remembering(3, 1, 2).hash != remembering(1, 2).hash
