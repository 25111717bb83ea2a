"""The commands of faults on request: `exchange faults …`."""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from exchange.services.admin import Admin
from exchange.services.fault_script import Script, ScriptFault, read_script
from exchange.services.options import AsJson, Data
from exchange.services.parts import Fault

faults_app = typer.Typer(
    help="Faults on request, of an `exchange up --faults`.", no_args_is_help=True
)


@faults_app.command("set")
def set_faults(
    file: Annotated[Path, typer.Argument(help="The script, in TOML, or in JSON by its name.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let this script be in force from now on, in place of the one before.

    Example: exchange faults set docs/samples/faults.toml
    """
    body = msgspec.to_builtins(script_of(file))
    _print(Admin.find(data).put("faults", body=body), as_json)


@faults_app.command("show")
def show_faults(data: Data = None, as_json: AsJson = False) -> None:
    """Show the script in force, and how often each rule about requests has acted.

    Example: exchange faults show
    """
    _print(Admin.find(data).get("faults"), as_json)


@faults_app.command("clear")
def clear_faults(data: Data = None, as_json: AsJson = False) -> None:
    """Let nothing go wrong on purpose any more.

    Example: exchange faults clear
    """
    _print(Admin.find(data).delete("faults"), as_json)


def script_of(file: Path) -> Script:
    """Of a file that somebody names."""
    try:
        return read_script(file.expanduser())
    except ScriptFault as fault:
        raise Fault(str(fault)) from None


def _print(answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(answer))
        return
    print(f"seed {answer['seed']}, {len(answer['rule'])} rules")
    for rule, acted in zip(answer["rule"], answer["acted"], strict=True):
        told = ", ".join(f"{name} {value}" for name, value in rule.items() if name != "fault")
        print(f"{rule['fault']}: {told or 'on everything'}; acted {acted} times")
