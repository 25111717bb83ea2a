"""Commands of signed requests: who sends them, and how they come to their outcomes."""

from typing import TypedDict

from exchange.backend import errors
from exchange.backend.endpoints import Call
from exchange.backend.gateway import NotExecuted, OutcomeUnknown
from exchange.services import client_ids
from exchange.services.commands import AnyCommand
from exchange.services.failures import WorldFailed
from exchange.services.messages import Outcome, Repeated


async def submit(call: Call, command: AnyCommand) -> Outcome:
    """A command's outcome; of a repeated request the first one's. Raises ApiError."""
    gateway, limits = call.state.gateway, call.state.order_limits
    try:
        with limits.placing(call.account, command, call.now):
            outcome = await gateway.submit(command)
        if isinstance(outcome.result, Repeated):
            first = await gateway.find(outcome.result.number)
            if first is None:
                errors.TIMEOUT.refuse()
            return first
    except NotExecuted as refusal:
        raise errors.not_executed(refusal.reason) from None
    except (OutcomeUnknown, WorldFailed):
        raise errors.TIMEOUT.error() from None
    return outcome


class Sender(TypedDict):
    """What a command says about the request that it comes from."""

    account: int
    key: str
    request: bytes | None
    deadline: int


def sender(call: Call) -> Sender:
    caller = call.caller
    return {
        "account": caller.key.account,
        "key": caller.key.name,
        "request": caller.request,
        "deadline": caller.deadline,
    }


def made_up_id(call: Call, distinction: int = 0) -> str:
    """A client order id that is as unique as the request, and the same when it is repeated.

    What a request names several times needs a distinction each.
    """
    return client_ids.made_up(call.caller.seed, distinction)
