"""The commands about accounts and who signs in to them: `exchange account …`."""

import secrets
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.services.admin import Admin, AdminFault
from exchange.services.options import AccountName, AsJson, Data, print_fields
from exchange.services.parts import Fault

PASSWORD_BYTES = 12

account_app = typer.Typer(help="Accounts of traders.", no_args_is_help=True)
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read a password from standard input.")
]


class Switch(StrEnum):
    on = "on"
    off = "off"


class RoleName(StrEnum):
    trader = "trader"
    admin = "admin"


@account_app.command("create")
def create_account(
    name: AccountName,
    is_admin: Annotated[
        bool, typer.Option("--admin", help="Who signs in with it is an admin.")
    ] = False,
    password_stdin: PasswordStdin = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Create an account with an API key that may trade; the secret is shown this once.

    With a password somebody can sign in to it on the page; an admin always gets one, which is made
    up and shown where standard input does not give it.

    Example: exchange account create alice
    """
    admin = Admin.find(data)
    body: dict[str, Any] = {"name": name}
    shown = {}
    if password_stdin:
        body["password"] = _read_password()
    elif is_admin:
        body["password"] = shown["password"] = secrets.token_urlsafe(PASSWORD_BYTES)
    if is_admin:
        body["role"] = "ADMIN"
    admin.post("accounts", body=body)
    try:
        key = admin.post("accounts", name, "keys", body={"kind": "hmac", "canTrade": True})
    except AdminFault as fault:
        raise Fault(
            f"The account {name} was created, but not its key ({fault}): "
            f"make one with `exchange key create {name}`."
        ) from None
    print_fields({**key, **shown}, as_json)


@account_app.command("stop")
def stop_account(name: AccountName, data: Data = None, as_json: AsJson = False) -> None:
    """Cancel all open orders of an account in all markets, and take no new ones from it.

    Example: exchange account stop alice
    """
    _change_account(name, {"stopped": True}, data, as_json)


@account_app.command("release")
def release_account(name: AccountName, data: Data = None, as_json: AsJson = False) -> None:
    """Let a stopped account trade again.

    Example: exchange account release alice
    """
    _change_account(name, {"stopped": False}, data, as_json)


@account_app.command("tier")
def set_tier(
    name: AccountName,
    tier: Annotated[int, typer.Argument(min=0, help="0: the markets' own fee rates.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give an account the fee rates of a tier, where a market has it.

    Example: exchange account tier alice 1
    """
    _change_account(name, {"tier": tier}, data, as_json)


@account_app.command("discount")
def set_discount(
    name: AccountName,
    switch: Annotated[Switch, typer.Argument(help="Whether fees are paid in the discount asset.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Let an account pay its fees in the exchange's discount asset while it has enough of that.

    Example: exchange account discount alice on
    """
    _change_account(name, {"discount": switch is Switch.on}, data, as_json)


@account_app.command("role")
def set_role(
    name: AccountName,
    role: Annotated[RoleName, typer.Argument(help="What its user may do on the page.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make the user of an account an admin, or a trader again.

    Example: exchange account role alice admin
    """
    _change_account(name, {"role": role.value.upper()}, data, as_json)


@account_app.command("password")
def set_password(
    name: AccountName,
    password_stdin: PasswordStdin = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Give the user of an account another password, and end his sessions and his authenticator.

    Without --password-stdin one is made up and shown.

    Example: exchange account password alice
    """
    password = _read_password() if password_stdin else secrets.token_urlsafe(PASSWORD_BYTES)
    answer = Admin.find(data).post("accounts", name, "password", body={"password": password})
    shown = {} if password_stdin else {"password": password}
    print_fields({**answer, **shown}, as_json)


def _read_password() -> str:
    return sys.stdin.readline().rstrip("\r\n")


def _change_account(name: str, body: dict[str, Any], data: Path | None, as_json: bool) -> None:
    print_fields(Admin.find(data).post("accounts", name, body=body), as_json)
