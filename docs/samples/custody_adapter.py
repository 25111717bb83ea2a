"""An example of what stands between an exchange and whoever keeps the real money: a bank, a wallet.

It pays out what is approved, and credits what has come in. Give it the admin API in ADMIN_URL and
ADMIN_TOKEN, a command that pays, and a file to which something else appends what was received:

    python custody_adapter.py --pay ./pay.sh --received received.jsonl --ledger paid.txt

The command gets reference, asset, amount and address as arguments, and must do nothing when it gets a
reference for the second time; exit code 0 means that it was paid. A line of the file is
`{"reference": "tx-1", "account": "alice", "asset": "BTC", "amount": "0.5"}`; crediting a reference
twice is crediting it once, so the file may be read from its beginning each time.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

POLL_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pay", required=True, help="the command that pays")
    parser.add_argument(
        "--received", type=Path, required=True, help="what has come in, as JSON lines"
    )
    parser.add_argument("--ledger", type=Path, required=True, help="which references were paid")
    parser.add_argument("--once", action="store_true", help="look once, instead of for ever")
    options = parser.parse_args()
    while True:
        credit_received(options.received)
        pay_approved(options.pay, options.ledger)
        if options.once:
            return
        time.sleep(POLL_S)


def credit_received(path: Path) -> None:
    """Credit everything that has come in; what was credited before is known by its reference."""
    for line in path.read_text("utf-8").splitlines():
        ask("POST", "deposits", json.loads(line))


def pay_approved(command: str, ledger: Path) -> None:
    """Pay what is approved, and say so. While withdrawals are frozen, none is listed as approved."""
    paid = set(ledger.read_text("utf-8").split()) if ledger.exists() else set()
    for one in ask("GET", "withdrawals?status=APPROVED&limit=500"):
        reference = one["id"]
        if reference not in paid:
            arguments = [reference, one["asset"], one["amount"], one["address"]]
            if subprocess.run([command, *arguments], check=False).returncode != 0:
                print(f"{reference} was not paid; it will be tried again", file=sys.stderr)
                continue
            # Noted before it is said: whoever dies in between says it again and pays nothing.
            with ledger.open("a", encoding="utf-8") as file:
                file.write(f"{reference}\n")
                file.flush()
                os.fsync(file.fileno())
        ask("POST", f"withdrawals/{quote(reference, safe='')}/finish", {"reason": "paid"})


def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    request = urllib.request.Request(  # noqa: S310, an operator names the address
        f"{os.environ['ADMIN_URL']}/admin/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {os.environ['ADMIN_TOKEN']}",
            "Content-Type": "application/json",
            "X-Exchange-Actor": "custody",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.loads(answer.read())


if __name__ == "__main__":
    main()
