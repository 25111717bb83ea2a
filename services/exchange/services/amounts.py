"""Decimal text at the edge, integers in the smallest unit everywhere inside."""

import re

# ASCII digits only: str.isdigit and int() would also take Arabic-Indic digits, underscores and spaces.
_DECIMAL = re.compile(r"([0-9]{1,20})(?:\.([0-9]{0,20}))?", re.ASCII)


class InvalidAmount(ValueError):
    """The text is not a plain, non-negative decimal number."""


class TooPrecise(ValueError):
    """The number has more decimals than its asset."""


def parse_amount(text: str, decimals: int) -> int:
    """The units in a decimal text: `parse_amount("1.5", 8) == 150_000_000`.

    Trailing zeros beyond the asset's decimals are no extra precision. Raises InvalidAmount for
    anything but digits with at most one point (no sign, exponent, space, NaN or infinity) and
    TooPrecise for a digit that the asset cannot hold.
    """
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise InvalidAmount(text)
    whole, fraction = match[1], (match[2] or "").rstrip("0")
    if len(fraction) > decimals:
        raise TooPrecise(text)
    return int(whole + fraction.ljust(decimals, "0"))


def format_amount(units: int, decimals: int) -> str:
    """The decimal text of an amount, always with all its decimals: `"1.50000000"`."""
    if units < 0:
        return "-" + format_amount(-units, decimals)
    if decimals == 0:
        return str(units)
    digits = str(units).rjust(decimals + 1, "0")
    return f"{digits[:-decimals]}.{digits[-decimals:]}"
