"""An engine that is ended, as by a fault of its own, by each command that names an account so.

Started as a program; POISON says the name, and ENDING how: `kill` or `assert`.
"""

import os
import signal

from exchange.engine import service
from exchange.engine.registry import Registry
from exchange.services import process
from exchange.services.commands import CreateAccount
from exchange.services.messages import Account, Rejected

_new_account = Registry.new_account


def _new_poisoned_account(
    self: Registry, command: CreateAccount, number: int, now: int
) -> Account | Rejected:
    if command.name == os.environ["POISON"]:
        if os.environ["ENDING"] == "assert":
            # Not in the plan, whose faults are refused, but where it is carried out.
            self.accounts = _Broken(self.accounts)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return _new_account(self, command, number, now)


class _Broken(dict[int, Account]):
    def __setitem__(self, id: int, account: Account) -> None:
        raise AssertionError("a broken invariant")


Registry.new_account = _new_poisoned_account  # type: ignore[method-assign]
process.run("engine", service.run)
