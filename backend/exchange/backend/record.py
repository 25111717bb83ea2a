"""Acts as people read them: what was changed, with amounts and rates as decimal text."""

import json
from collections.abc import Mapping
from typing import Any

from exchange.backend.directory import Directory
from exchange.backend.rulebook import MULTIPLIERS, QUANTITIES, written_rate
from exchange.services.amounts import format_amount
from exchange.services.markets import Asset, Market
from exchange.services.rows import Act

_IN_BASE = {*QUANTITIES, "lot", "quantity_min", "quantity_max"}
_IN_QUOTE = {"tick", "price_max", "notional_min", "notional_max"}
_RATES = {*MULTIPLIERS, "maker_rate", "taker_rate"}


def told(act: Act, directory: Directory) -> dict[str, Any]:
    """An act by the names of its fields; `before` and `after` are None where there is nothing."""
    return {
        "number": act.number,
        "time": act.time // 1_000,
        "actor": act.actor,
        "act": act.act,
        "subject": act.subject,
        "reason": act.reason,
        "before": _told(act.subject, act.before, directory),
        "after": _told(act.subject, act.after, directory),
        "link": act.link,
    }


def _told(subject: str, text: str, directory: Directory) -> Any:
    if not text:
        return None
    fields: dict[str, Any] = json.loads(text)
    # Of several things, each stands under its own name.
    if all(" " in name for name in fields):
        return {name: _written(name, one, directory) for name, one in fields.items()}
    return _written(subject, fields, directory)


def _written(subject: str, fields: dict[str, Any], directory: Directory) -> dict[str, Any]:
    kind, _, name = subject.partition(" ")
    if kind == "market" and name in directory.markets:
        return _written_market(fields, directory.markets[name])
    if kind == "exchange":
        return {field: _written_rule(field, one, directory.assets) for field, one in fields.items()}
    asset = directory.assets.get(fields.get("asset", ""))
    if asset is not None and "amount" in fields:
        return {**fields, "amount": format_amount(fields["amount"], asset.decimals)}
    return fields


def _written_market(fields: dict[str, Any], market: Market) -> dict[str, Any]:
    written: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _IN_BASE:
            written[name] = format_amount(value, market.base_decimals)
        elif name in _IN_QUOTE:
            written[name] = format_amount(value, market.quote_decimals)
        elif name in _RATES:
            written[name] = written_rate(value)
        elif name == "rules":
            written[name] = _written_market(value, market)
        elif name == "tiers":
            written[name] = [_written_market(one, market) for one in value]
        else:
            written[name] = value
    return written


def _written_rule(name: str, value: Any, assets: Mapping[str, Asset]) -> Any:
    if isinstance(value, dict):
        return {
            asset: format_amount(units, assets[asset].decimals) for asset, units in value.items()
        }
    return written_rate(value) if name in _RATES else value
