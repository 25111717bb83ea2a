"""An engine for which one command takes long, as one trade that sets off thousands of stops does.

Started as a program; commands that create an account named `slow` are slow for SECONDS.
"""

import os
import time

from exchange.engine import service
from exchange.engine.registry import Registry
from exchange.services import process
from exchange.services.commands import CreateAccount
from exchange.services.messages import Rejected
from exchange.services.rows import Account

_new_account = Registry.new_account


def _new_account_slowly(
    self: Registry, command: CreateAccount, number: int, now: int
) -> Account | Rejected:
    if command.name == "slow":
        until = time.monotonic() + float(os.environ["SECONDS"])
        while time.monotonic() < until:
            pass  # Working, not waiting: nothing else in the process would get its turn.
    return _new_account(self, command, number, now)


Registry.new_account = _new_account_slowly  # type: ignore[method-assign]
process.run("engine", service.run)
