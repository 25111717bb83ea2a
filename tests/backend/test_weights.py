"""Request weight: counted per address and aligned minute, in bounded memory."""

from exchange.backend import weights
from exchange.backend.weights import Weights


def test_weight_adds_up_within_a_minute_and_starts_again_with_the_next() -> None:
    counted = Weights()

    assert [counted.add("a", 5, 60), counted.add("a", 7, 119), counted.add("a", 1, 120)] == [
        5,
        12,
        1,
    ]


def test_addresses_are_counted_apart() -> None:
    counted = Weights()

    counted.add("a", 5, 60)

    assert counted.add("b", 1, 60) == 1


def test_the_wait_ends_with_the_minute() -> None:
    assert (Weights.seconds_left(60), Weights.seconds_left(119)) == (60, 1)


def test_too_many_addresses_share_one_count() -> None:
    counted = Weights()
    for number in range(weights.ADDRESSES_MAX):
        counted.add(str(number), 1, 60)

    assert [counted.add("one more", 1, 60), counted.add("and another", 1, 60)] == [1, 2]
    assert counted.add("0", 1, 60) == 2
