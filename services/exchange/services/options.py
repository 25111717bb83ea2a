"""What many commands of the command line take, and how their answers are printed."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder of an `exchange up`. Default: what ADMIN_URL and ADMIN_TOKEN say "
        "where they are set, else ~/.local/share/exchange.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]
Symbol = Annotated[str, typer.Argument(help="Such as SOLUSDC.")]
AccountName = Annotated[str, typer.Argument(help="The account's name.")]
AssetName = Annotated[str, typer.Argument(help="Such as USDC.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="A rule's new value; may come many times."),
]


def read_changes(changes: list[str] | None) -> dict[str, str]:
    """The values by the names of their rules; what they may be is for the exchange to say."""
    wishes: dict[str, str] = {}
    for change in changes or ():
        name, separator, value = change.partition("=")
        if not separator or name in wishes:
            raise typer.BadParameter(f"{change!r} is not NAME=VALUE, or the name comes twice.")
        wishes[name] = value
    return wishes


def print_fields(fields: dict[str, Any], as_json: bool) -> None:
    """One line each, or JSON."""
    if as_json:
        print(json.dumps(fields))
        return
    width = max(len(key) for key in fields)
    for key, value in fields.items():
        print(f"{key:<{width}}  {value}".rstrip())


def print_rules(fields: dict[str, Any], rules: dict[str, Any]) -> None:
    """Rules below what they belong to, each as `--set` takes it."""
    print_fields(fields | {name: _as_set(value) for name, value in rules.items()}, as_json=False)


def _as_set(value: Any) -> str:
    match value:
        case bool():
            return "on" if value else "off"
        case list():
            return ",".join(value)
        case dict():
            return ",".join(f"{name}:{amount}" for name, amount in value.items())
    return str(value)
