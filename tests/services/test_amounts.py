"""Decimal text and integers: exact in both directions, and refused whatever is not plain digits."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from exchange.services.amounts import InvalidAmount, TooPrecise, format_amount, parse_amount


@pytest.mark.parametrize(
    ("text", "decimals", "units"),
    [
        ("0", 8, 0),
        ("1", 8, 100_000_000),
        ("1.5", 8, 150_000_000),
        ("1.", 8, 100_000_000),
        ("0.00000001", 8, 1),
        ("0.000000010000", 8, 1),
        ("007.50", 2, 750),
        ("5", 0, 5),
        ("5.000", 0, 5),
        ("1.000000000000000001", 18, 10**18 + 1),
        ("9" * 20, 18, int("9" * 20) * 10**18),
    ],
)
def test_plain_decimals_are_exact(text: str, decimals: int, units: int) -> None:
    assert parse_amount(text, decimals) == units


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", ".5", "-1", "+1", "-0", "1e5", "1E5", "1e-5", "0x10", "1_000", "1,5", "1.2.3",
        " 1", "1 ", "1\n", "\t1", "1\x00", "NaN", "nan", "Infinity", "-inf", "None", "true",
        "\u0661\u0662",  # Arabic-Indic digits, which int() would take
        "\uff11",  # a full-width digit
        "\u00b2",  # a superscript digit, for which isdigit() is true
        "1\u2024" + "5",  # a dot that is none
        "\u2212" + "1",  # a minus that is none
        "1" * 21, "1" * 100_000, "0." + "0" * 21, "0." + "1" * 100_000,
    ],
)  # fmt: skip
def test_anything_else_is_invalid(text: str) -> None:
    with pytest.raises(InvalidAmount):
        parse_amount(text, 8)


@pytest.mark.parametrize(("text", "decimals"), [("0.000000001", 8), ("1.5", 0), ("1.230", 1)])
def test_a_digit_that_the_asset_cannot_hold_is_too_precise(text: str, decimals: int) -> None:
    with pytest.raises(TooPrecise):
        parse_amount(text, decimals)


@pytest.mark.parametrize(
    ("units", "decimals", "text"),
    [
        (0, 8, "0.00000000"),
        (1, 8, "0.00000001"),
        (150_000_000, 8, "1.50000000"),
        (5, 0, "5"),
        (0, 0, "0"),
        (-1, 8, "-0.00000001"),
        (-150, 2, "-1.50"),
        (10**38, 18, "100000000000000000000.000000000000000000"),
    ],
)
def test_amounts_print_all_their_decimals(units: int, decimals: int, text: str) -> None:
    assert format_amount(units, decimals) == text


@given(st.integers(min_value=0, max_value=10**20 - 1), st.integers(min_value=0, max_value=18))
def test_what_is_printed_is_read_back(units: int, decimals: int) -> None:
    assert parse_amount(format_amount(units, decimals), decimals) == units


@given(st.text(), st.integers(min_value=0, max_value=18))
@example("1\n", 8)
def test_any_text_is_an_amount_or_refused(text: str, decimals: int) -> None:
    try:
        units = parse_amount(text, decimals)
    except (InvalidAmount, TooPrecise):
        return
    assert units >= 0
    assert set(text) <= set("0123456789.")
