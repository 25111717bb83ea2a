"""Requests are remembered as long as they could be repeated, and no longer."""

from exchange.engine.request_memory import KEPT_US, SECOND_US, RequestMemory


def test_a_request_is_known_until_a_minute_after_its_deadline() -> None:
    memory = RequestMemory()
    memory.remember(b"a", 7, deadline=10)

    assert memory.number(b"a", now=10 + KEPT_US) == 7
    assert memory.number(b"a", now=11 + KEPT_US) is None
    assert memory.number(b"b", now=10) is None


def test_forgetting_keeps_what_can_still_be_repeated() -> None:
    memory = RequestMemory()
    for second in range(100):
        memory.remember(str(second).encode(), second, deadline=second * SECOND_US)

    memory.forget(now=90 * SECOND_US + KEPT_US)

    assert len(memory) == 10
    assert memory.number(b"95", now=90 * SECOND_US) == 95


def test_a_request_remembered_again_lives_until_its_later_deadline() -> None:
    memory = RequestMemory()
    memory.remember(b"a", 1, deadline=1 * SECOND_US)
    memory.remember(b"a", 2, deadline=9 * SECOND_US)

    memory.forget(now=5 * SECOND_US + KEPT_US)
    assert memory.number(b"a", now=5 * SECOND_US) == 2

    memory.forget(now=20 * SECOND_US + KEPT_US)
    assert len(memory) == 0
