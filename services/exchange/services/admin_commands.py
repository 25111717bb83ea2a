"""The commands of those who watch over an exchange: `exchange admin …`."""

import json
import secrets
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.services.admin import Admin
from exchange.services.options import AsJson, Data, print_fields
from exchange.services.run_file import default_folder, write_private

LINK_DIGITS = 16
admin_app = typer.Typer(help="Withdrawals, halts, and who did what.", no_args_is_help=True)
Withdrawal = Annotated[str, typer.Argument(help="Its id, as `exchange admin withdrawals` says.")]


class Status(StrEnum):
    pending = "pending"
    approved = "approved"
    done = "done"
    rejected = "rejected"
    frozen = "frozen"


class Mode(StrEnum):
    running = "running"
    cancel_only = "cancel-only"
    halted = "halted"


@admin_app.command("audit")
def audit(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest.")] = 50,
    before: Annotated[int | None, typer.Option(help="Only those of smaller numbers.")] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show who did what and why, and what it was before and after.

    Each act ends with the first digits of its link, a hash over it and the link of the act before
    it: `exchange verify` follows them, and the last one tells whether two records are the same.

    Example: exchange admin audit --limit 20
    """
    acts = Admin.find(data).get_list("audit", limit=limit, before=before)
    if as_json:
        print(json.dumps(acts))
        return
    for act in reversed(acts):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(act["time"] // 1_000))
        print(f"{act['number']} {when} {act['actor']}: {act['act']} {act['subject']}")
        for name in ("reason", "before", "after"):
            if act[name]:
                print(f"    {name:<6}  {_text(act[name])}")
        if act["link"]:
            print(f"    link    {act['link'][:LINK_DIGITS]}")


@admin_app.command("withdrawals")
def withdrawals(
    status: Annotated[Status | None, typer.Option(help="Only these.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, the newest.")] = 50,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List what users want to have paid out.

    Example: exchange admin withdrawals --status pending
    """
    wanted = None if status is None else status.value.upper()
    found = Admin.find(data).get_list("withdrawals", status=wanted, limit=limit)
    if as_json:
        print(json.dumps(found))
        return
    for one in found:
        print(
            f"{one['id']}  {one['status']}  {one['account']}  {one['amount']} {one['asset']}"
            f"  to {one['address']}"
        )


@admin_app.command("approve")
def approve(reference: Withdrawal, data: Data = None, as_json: AsJson = False) -> None:
    """Agree to a withdrawal; a large one needs somebody else too.

    Example: EXCHANGE_REASON="he called" exchange admin approve w:12:rent
    """
    _decide(reference, "approve", data, as_json)


@admin_app.command("reject")
def reject(reference: Withdrawal, data: Data = None, as_json: AsJson = False) -> None:
    """Give the money of a withdrawal back to its account.

    Example: EXCHANGE_REASON="unknown address" exchange admin reject w:12:rent
    """
    _decide(reference, "reject", data, as_json)


@admin_app.command("finish")
def finish(reference: Withdrawal, data: Data = None, as_json: AsJson = False) -> None:
    """Say that an approved withdrawal was paid out.

    Example: exchange admin finish w:12:rent
    """
    _decide(reference, "finish", data, as_json)


@admin_app.command("freeze")
def freeze(data: Data = None, as_json: AsJson = False) -> None:
    """Let nobody withdraw anything, as the auditor does by itself when the money does not add up.

    Example: EXCHANGE_REASON="looking into alarm audit-money" exchange admin freeze
    """
    print_fields(Admin.find(data).post("freeze", body={"frozen": True}), as_json)


@admin_app.command("thaw")
def thaw(data: Data = None, as_json: AsJson = False) -> None:
    """Let withdrawals go on.

    Example: EXCHANGE_REASON="it was a false alarm" exchange admin thaw
    """
    print_fields(Admin.find(data).post("freeze", body={"frozen": False}), as_json)


@admin_app.command("mode")
def set_mode(
    mode: Annotated[Mode, typer.Argument(help="Of all markets at once.")],
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Halt all markets at once, let them only cancel, or let them run.

    Example: EXCHANGE_REASON="the feed is wrong" exchange admin mode halted
    """
    body = {"mode": mode.value.upper().replace("-", "_")}
    print_fields(Admin.find(data).post("exchange", "mode", body=body), as_json)


@admin_app.command("rotate-master-key")
def rotate_master_key(data: Data = None, as_json: AsJson = False) -> None:
    """Encrypt all API secrets anew, under a new master key.

    The file of an `exchange up` gets its new key here. Elsewhere, first put a new line on top of what
    MASTER_KEY_FILE names, for all backends: a number that was not there yet, a colon, 64 hex digits.
    Keep the old lines as long as there are backups from before.

    Example: EXCHANGE_REASON="yearly" exchange admin rotate-master-key
    """
    admin = Admin.find(data)
    if not Admin.is_elsewhere(data):
        _add_master_key((data or default_folder()).expanduser() / "master.key")
    print_fields(admin.post("master-key", body={}), as_json)


def _add_master_key(path: Path) -> None:
    lines = path.read_text(encoding="ascii").split()
    numbers = [int(number or 1) for number, _, _ in (line.rpartition(":") for line in lines)]
    write_private(path, "\n".join([f"{max(numbers) + 1}:{secrets.token_hex(32)}", *lines, ""]))


def _decide(reference: str, decision: str, data: Path | None, as_json: bool) -> None:
    answer = Admin.find(data).post("withdrawals", reference, decision, body={})
    print_fields(answer, as_json)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
