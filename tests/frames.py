"""Commands and outcome frames as small as they can be, for tests that only move them about."""

import time

from exchange.services.commands import AnyCommand, CreateAccount
from exchange.services.messages import Done, Opened, Outcome, OutcomeFrame, encode


def now_us() -> int:
    return time.time_ns() // 1_000


def command(uid: int = 1) -> AnyCommand:
    return CreateAccount(uid=uid, name=f"account-{uid}")


def payload(*commands: AnyCommand) -> bytes:
    return encode(list(commands))


def frame(previous: int, count: int = 1, *, epoch: int = 1, uid: int = 1) -> OutcomeFrame:
    """Outcomes with the numbers `previous + 1` to `previous + count`."""
    outcomes = tuple(
        Outcome(number=number, time=1, uid=uid, request=None, deadline=0, result=Done())
        for number in range(previous + 1, previous + count + 1)
    )
    return OutcomeFrame(
        epoch=epoch, previous=previous, time=now_us(), state_hash=0, outcomes=outcomes
    )


def opened(previous: int, number: int, *, epoch: int = 1) -> OutcomeFrame:
    """The frame of an `Opened`, which alone may skip numbers."""
    outcome = Outcome(
        number=number,
        time=1,
        uid=0,
        request=None,
        deadline=0,
        result=Opened(epoch=epoch, base=number),
    )
    return OutcomeFrame(
        epoch=epoch, previous=previous, time=now_us(), state_hash=0, outcomes=(outcome,)
    )
