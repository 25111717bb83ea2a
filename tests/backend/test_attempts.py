"""Attempts to sign in: counted by name and by address, and forgotten in time."""

import pytest

from exchange.backend import attempts
from exchange.backend.attempts import FOR_NAME_MAX, WINDOW_S, Attempts

NOW = 1_000


@pytest.fixture
def counted() -> Attempts:
    return Attempts(for_address_max=20)


def waits(counted: Attempts, times: int, name: str, address: str, now: int = NOW) -> list[int]:
    return [counted.begin(name, address, now) for _ in range(times)]


def test_a_name_has_so_many_wherever_they_come_from(counted: Attempts) -> None:
    found = [counted.begin("Alice", f"10.0.0.{number}", NOW) for number in range(FOR_NAME_MAX)]

    assert set(found) == {0}
    assert counted.begin("alice", "10.0.0.99", NOW + 10) == WINDOW_S - 10
    assert counted.begin("bob", "10.0.0.99", NOW + 10) == 0
    assert counted.begin("alice", "10.0.0.99", NOW + WINDOW_S) == 0


def test_an_address_has_so_many_whoever_is_meant(counted: Attempts) -> None:
    found = [counted.begin(f"user-{number}", "10.0.0.1", NOW) for number in range(21)]

    assert found == [0] * 20 + [WINDOW_S]


def test_who_has_signed_in_has_not_guessed(counted: Attempts) -> None:
    for _ in range(FOR_NAME_MAX * 5):
        assert counted.begin("alice", "10.0.0.1", NOW) == 0
        counted.succeed("alice", "10.0.0.1")


def test_many_at_once_are_no_way_around_it(counted: Attempts) -> None:
    assert waits(counted, FOR_NAME_MAX + 1, "alice", "10.0.0.1") == [0] * FOR_NAME_MAX + [WINDOW_S]


def test_its_memory_is_bounded(counted: Attempts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "REMEMBERED_MAX", 4)
    waits(counted, FOR_NAME_MAX, "alice", "10.0.0.1")

    for number in range(10):
        counted.begin(f"user-{number}", f"10.0.1.{number}", NOW)

    assert counted.begin("alice", "10.0.0.1", NOW) == 0
