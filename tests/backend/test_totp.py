"""Codes of authenticators, as RFC 6238 has them."""

import pytest

from exchange.backend import totp

SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [
        (59, "287082"),
        (1_111_111_109, "081804"),
        (1_111_111_111, "050471"),
        (1_234_567_890, "005924"),
        (2_000_000_000, "279037"),
        (20_000_000_000, "353130"),
    ],
)
def test_the_codes_are_those_of_the_standard(seconds: int, code: str) -> None:
    assert totp.code(SECRET, seconds // totp.STEP_S) == code


def test_a_code_is_good_for_its_step_and_the_ones_beside_it() -> None:
    given = totp.code(SECRET, 100)

    found = [totp.matching_step(SECRET, given, step * 30 + 7) for step in range(98, 103)]

    assert found == [None, 100, 100, 100, None]


@pytest.mark.parametrize("given", ["", "12345", "ünïcode", "0" * 1000])
def test_what_is_no_code_matches_nothing(given: str) -> None:
    assert totp.matching_step(SECRET, given, 3_000) is None
