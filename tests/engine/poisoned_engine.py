"""An engine that is ended, as by a fault of its own, by each command that names an account so.

Started as a program; POISON says the name, and ENDING how: `kill` or `assert`.
"""

import os
import signal

from exchange.engine import service
from exchange.engine.matching_engine import MatchingEngine
from exchange.services import process
from exchange.services.commands import AnyCommand, CreateAccount, Undecodable
from exchange.services.messages import Outcome
from exchange.services.rows import Account

_apply = MatchingEngine.apply


def _apply_poison(
    self: MatchingEngine, number: int, command: AnyCommand | Undecodable, now: int
) -> Outcome:
    if (
        isinstance(command, CreateAccount)
        and command.name == os.environ["POISON"]
        # A repeat is answered, and not executed.
        and (command.request is None or self.requests.number(command.request) is None)
    ):
        if os.environ["ENDING"] == "assert":
            # Not in the plan, whose faults are refused, but where it is carried out.
            self.registry.accounts = _Broken(self.registry.accounts)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return _apply(self, number, command, now)


class _Broken(dict[int, Account]):
    def __setitem__(self, id: int, account: Account) -> None:
        raise AssertionError("a broken invariant")


MatchingEngine.apply = _apply_poison  # type: ignore[method-assign]
process.run("engine", service.run)
