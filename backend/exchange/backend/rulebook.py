"""Rules as operators write them: each by the name of its field, its numbers as decimal text."""

import difflib
import typing
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from exchange.services.amounts import InvalidAmount, TooPrecise, format_amount, parse_amount
from exchange.services.markets import RATE_SCALE, Asset, ExchangeRules, Rules, Tier

RATE_DECIMALS = len(str(RATE_SCALE)) - 1

AnyRules = TypeVar("AnyRules", Rules, ExchangeRules)


class BadRule(ValueError):
    """Why a rule cannot be so, as a sentence."""


class Rulebook:
    """Reads and writes the rules of a market, whose quantities are of `base`, or of the exchange.

    What fits together is for the engine to say; here a rule is only what its name promises.
    """

    def __init__(self, assets: Mapping[str, Asset], base: Asset | None = None) -> None:
        self._assets = assets
        self._base = base

    def written(self, rules: Rules | ExchangeRules) -> dict[str, Any]:
        """Every rule by its name: texts for decimal numbers, else what JSON has."""
        return {
            name: self._write(name, type, getattr(rules, name))
            for name, type in _fields(rules).items()
        }

    def changed(self, rules: AnyRules, wishes: Mapping[str, str]) -> AnyRules:
        """The rules with some replaced; raises BadRule for the first that cannot be."""
        fields = _fields(rules)
        for name in wishes:
            if name not in fields:
                raise BadRule(_unknown(name, fields))
        changes = {name: self._read(name, fields[name], text) for name, text in wishes.items()}
        return msgspec.structs.replace(rules, **changes)

    def _write(self, name: str, type: Any, value: Any) -> Any:
        if name in QUANTITIES:
            return _decimal(value, self._base_decimals)
        if name in MULTIPLIERS:
            return _decimal(value, RATE_DECIMALS)
        if typing.get_origin(type) is dict:
            return {
                asset: _decimal(amount, self._assets[asset].decimals)
                for asset, amount in sorted(value.items())
            }
        # Words and lists of words are JSON as they are.
        return list(value) if isinstance(value, tuple) else value

    def _read(self, name: str, type: Any, text: str) -> Any:
        if name in QUANTITIES:
            return read_decimal(name, text, self._base_decimals)
        if name in MULTIPLIERS:
            return read_decimal(name, text, RATE_DECIMALS)
        if typing.get_origin(type) is dict:
            return dict(self._read_amount(name, item) for item in _items(text))
        if typing.get_origin(type) is tuple:
            return _read_words(name, typing.get_args(type)[0], text)
        return _SIMPLE[type](name, text) if type in _SIMPLE else _read_word(name, type, text)

    def _read_amount(self, name: str, item: str) -> tuple[str, int]:
        asset, _, amount = item.partition(":")
        if asset not in self._assets:
            raise BadRule(f"{name}: there is no asset {asset}; write it as USDC:1000000,BTC:5.")
        return asset, read_decimal(f"{name} of {asset}", amount, self._assets[asset].decimals)

    @property
    def _base_decimals(self) -> int:
        assert self._base is not None, "the exchange has no rules with quantities"
        return self._base.decimals


def read_rate(name: str, text: str) -> int:
    """A fee rate or a multiplier, in millionths; raises BadRule."""
    return read_decimal(name, text, RATE_DECIMALS)


def read_decimal(name: str, text: str, decimals: int) -> int:
    """Units; raises BadRule."""
    try:
        return parse_amount(text, decimals)
    except InvalidAmount:
        raise BadRule(f"{name} must be a plain decimal number, such as 1.5.") from None
    except TooPrecise:
        raise BadRule(f"{name} has more than {decimals} decimals.") from None


def written_rate(millionths: int) -> str:
    return _decimal(millionths, RATE_DECIMALS)


def written_tiers(tiers: tuple[Tier, ...]) -> list[dict[str, Any]]:
    return [
        {
            "tier": one.tier,
            "maker": written_rate(one.maker_rate),
            "taker": written_rate(one.taker_rate),
        }
        for one in tiers
    ]


def _fields(rules: Rules | ExchangeRules) -> dict[str, Any]:
    """The rules that have a name of their own, and the types of their values."""
    # Tiers are rates, and shown with those; a freeze is no rule.
    return {
        name: type for name, type in typing.get_type_hints(rules.__class__).items()
        if name in rules.__struct_fields__ and name not in ("tiers", "withdrawals_frozen")
    }  # fmt: skip


def _unknown(name: str, fields: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, fields, n=1)
    return f"There is no rule {name}" + (f"; did you mean {near[0]}?" if near else ".")


def _decimal(units: int, decimals: int) -> str:
    """As people write it, without zeros at its end."""
    text = format_amount(units, decimals)
    return text.rstrip("0").rstrip(".") if decimals else text


def _items(text: str) -> list[str]:
    return text.split(",") if text else []


def _read_count(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX):
        raise BadRule(f"{name} must be a whole number from 0 on; 0 switches it off.")
    return int(text)


def _read_flag(name: str, text: str) -> bool:
    if text not in _FLAGS:
        raise BadRule(f"{name} must be on or off.")
    return _FLAGS[text]


def _read_words(name: str, words: type[StrEnum], text: str) -> tuple[StrEnum, ...]:
    wanted = {_read_word(name, words, item) for item in _items(text)}
    return tuple(word for word in words if word in wanted)


def _read_word(name: str, words: type[StrEnum], text: str) -> StrEnum:
    try:
        return words(text)
    except ValueError:
        raise BadRule(f"{name} knows {', '.join(words)}, and not {text!r}.") from None


_DIGITS_MAX = 20
_FLAGS = {"on": True, "off": False, "true": True, "false": False}
_SIMPLE: dict[type, Callable[[str, str], Any]] = {
    bool: _read_flag,
    int: _read_count,
    str: lambda _name, text: text,
}
QUANTITIES = {"market_quantity_min", "market_quantity_max", "market_lot", "position_max"}
MULTIPLIERS = {
    "price_up", "price_down", "bid_up", "bid_down", "ask_up", "ask_down", "range_bid_up",
    "range_bid_down", "range_ask_up", "range_ask_down", "discount",
}  # fmt: skip
