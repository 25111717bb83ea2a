"""The commands about markets and rules: `exchange market …` and `exchange rules`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.services.admin import Admin
from exchange.services.options import (
    AsJson,
    Changes,
    Data,
    Symbol,
    print_fields,
    print_rules,
    read_changes,
)

market_app = typer.Typer(help="Markets, what they do, and their rules.", no_args_is_help=True)


@market_app.command("add")
def add_market(
    symbol: Symbol,
    base: Annotated[str, typer.Option(help="The asset that is bought and sold.")],
    quote: Annotated[str, typer.Option(help="The asset that it is paid in.")],
    tick: Annotated[str, typer.Option(help="The smallest step of a price.")],
    lot: Annotated[str, typer.Option(help="The smallest step of a quantity.")],
    min_qty: Annotated[str | None, typer.Option(help="Of one order. Default: the lot.")] = None,
    max_qty: Annotated[str | None, typer.Option(help="Of one order.")] = None,
    min_notional: Annotated[str | None, typer.Option(help="Price × quantity of an order.")] = None,
    max_notional: Annotated[
        str | None, typer.Option(help="Price × quantity of an order; 0: no maximum.")
    ] = None,
    maker: Annotated[str | None, typer.Option(help="Fee rate of resting orders: 0.001.")] = None,
    taker: Annotated[str | None, typer.Option(help="Fee rate of taking orders: 0.001.")] = None,
    changes: Changes = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Open a market for two assets that exist, with the usual rules where --set says nothing else.

    Example: exchange market add SOLUSDT --base SOL --quote USDT --tick 0.01 --lot 0.001
    """
    wishes = {
        "symbol": symbol,
        "base": base,
        "quote": quote,
        "tick": tick,
        "lot": lot,
        "minQty": min_qty,
        "maxQty": max_qty,
        "minNotional": min_notional,
        "maxNotional": max_notional,
        "maker": maker,
        "taker": taker,
        "rules": read_changes(changes),
    }
    body = {key: value for key, value in wishes.items() if value is not None}
    print_fields({"symbol": symbol, **Admin.find(data).post("markets", body=body)}, as_json)


@market_app.command("rules")
def change_market(
    symbol: Symbol,
    changes: Changes = None,
    maker_rate: Annotated[
        str | None, typer.Option(help="Fee rate of resting orders: 0.001.")
    ] = None,
    taker_rate: Annotated[
        str | None, typer.Option(help="Fee rate of taking orders: 0.001.")
    ] = None,
    tier: Annotated[
        tuple[int, str, str] | None,
        typer.Option(metavar="N MAKER TAKER", help="The fee rates of accounts of a tier."),
    ] = None,
    drop_tier: Annotated[
        int | None, typer.Option(metavar="N", help="A tier that gets the market's own rates again.")
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show the fees and rules of a market, or change some; the others stay.

    Example: exchange market rules SOLUSDC --set price_up=1.3 --set price_down=0.7 --tier 1 0 0.0005
    """
    body: dict[str, Any] = {
        "rules": read_changes(changes),
        "maker": maker_rate,
        "taker": taker_rate,
        "tiers": [dict(zip(("tier", "maker", "taker"), tier, strict=True))] if tier else [],
        "dropTiers": [] if drop_tier is None else [drop_tier],
    }
    body = {key: value for key, value in body.items() if value}
    admin, path = Admin.find(data), ("markets", symbol, "rules")
    answer = admin.post(*path, body=body) if body else admin.get(*path)
    if as_json:
        print(json.dumps(answer))
        return
    shown = {name: answer[name] for name in ("symbol", "maker", "taker")}
    for one in answer["tiers"]:
        shown[f"tier {one['tier']}"] = f"{one['maker']} {one['taker']}"
    print_rules(shown, answer["rules"])


@market_app.command("halt")
def halt_market(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Refuse all orders and cancels of a market; what is open stays.

    Example: exchange market halt SOLUSDC
    """
    _set_mode(symbol, "HALTED", data, as_json)


@market_app.command("break")
def pause_market(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Pause a market as planned: like halt, but its users see a BREAK.

    Example: exchange market break SOLUSDC
    """
    _set_mode(symbol, "BREAK", data, as_json)


@market_app.command("resume")
def resume_market(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Let a market trade again.

    Example: exchange market resume SOLUSDC
    """
    _set_mode(symbol, "RUNNING", data, as_json)


@market_app.command("cancel-only")
def make_market_cancel_only(symbol: Symbol, data: Data = None, as_json: AsJson = False) -> None:
    """Refuse new orders of a market; open ones can be cancelled.

    Example: exchange market cancel-only SOLUSDC
    """
    _set_mode(symbol, "CANCEL_ONLY", data, as_json)


def rules(changes: Changes = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show the rules over all markets, or change some; the others stay.

    Example: exchange rules --set discount_asset=USDC --set discount=0.75 --set orders_max=1000
    """
    wishes = read_changes(changes)
    admin = Admin.find(data)
    answer = admin.post("rules", body={"rules": wishes}) if wishes else admin.get("rules")
    if as_json:
        print(json.dumps(answer))
    else:
        print_rules({}, answer["rules"])


def _set_mode(symbol: str, mode: str, data: Path | None, as_json: bool) -> None:
    answer = Admin.find(data).post("markets", symbol, "mode", body={"mode": mode})
    print_fields({"symbol": symbol, "mode": mode, **answer}, as_json)
