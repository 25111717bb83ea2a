"""The three answers: what an answer, or its absence, says about what became of a request."""

from collections.abc import Awaitable, Callable
from typing import Any

from msgspec import Struct

from exchange.lab.chaos.client import Answer, Malformed, NoAnswer, NotSent
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.memory import Told

UNKNOWN_CODES = frozenset({-1006, -1007})
UNAVAILABLE_CODES = frozenset({-1001, -1008})
TOO_OFTEN_CODES = frozenset({-1003, -1015})
LATE, FILTERED, ORDER_REJECTED, CANCEL_REJECTED, NO_SUCH_ORDER = -1021, -1013, -2010, -2011, -2013
NOT_SENT = 0
"""No code: nobody was there to refuse it."""

ALWAYS = frozenset({LATE, *UNAVAILABLE_CODES, *TOO_OFTEN_CODES})
ORDER_REFUSALS = ALWAYS | {FILTERED, ORDER_REJECTED}
CANCEL_REFUSALS = ALWAYS | {CANCEL_REJECTED}
READ_REFUSALS = ALWAYS | {NO_SUCH_ORDER}
"""Why a request that is as it should be may be refused; every other code is a fault."""

_REPEATED_ID = "Duplicate order sent."
"""Every order has an id of its own, so this cannot be the reason."""


class Verdict(Struct, frozen=True):
    """What became of a request: `body` where it was done, `code` where it was refused."""

    told: Told
    body: Any = None
    code: int = NOT_SENT


Judge = Callable[[Answer], Verdict | None]
"""None for what is not one of the three answers."""


async def verdict_on(calling: Awaitable[Answer], judge: Judge, findings: Findings) -> Verdict:
    """Wait for an answer; one that is none of the three is a violation, and counts as unknown."""
    try:
        answer = await calling
    except NotSent:
        return Verdict(Told.REFUSED)
    except NoAnswer:
        return Verdict(Told.UNKNOWN)
    except Malformed as fault:
        findings.check(Promise.ANSWERS, False, "malformed:", fault)
        return Verdict(Told.UNKNOWN)
    verdict = judge(answer)
    findings.check(Promise.ANSWERS, verdict is not None, answer.status, answer.body)
    return verdict or Verdict(Told.UNKNOWN)


def public(refusals: frozenset[int]) -> Judge:
    """Judges the public API's answers to a request that may be refused for these reasons."""

    def judge(answer: Answer) -> Verdict | None:
        body = answer.body
        if answer.status == 200:
            return Verdict(Told.DONE, body)
        if not isinstance(body, dict) or not isinstance(body.get("msg"), str):
            return None
        code = body.get("code")
        if answer.status == 504 and code in UNKNOWN_CODES:
            return Verdict(Told.UNKNOWN)
        is_refusal = 400 <= answer.status < 500 or (
            answer.status == 503 and code in UNAVAILABLE_CODES
        )
        if is_refusal and code in refusals and body["msg"] != _REPEATED_ID:
            return Verdict(Told.REFUSED, code=code)
        return None

    return judge


def admin(answer: Answer) -> Verdict | None:
    """Judges the operator's API, whose refusals are sentences; their code is the status."""
    if answer.status == 200 and isinstance(answer.body, dict):
        return Verdict(Told.DONE, answer.body)
    if not isinstance(answer.body, dict) or not isinstance(answer.body.get("error"), str):
        return None
    if answer.status == 504:
        return Verdict(Told.UNKNOWN)
    return Verdict(Told.REFUSED, code=answer.status) if answer.status in (400, 503) else None
