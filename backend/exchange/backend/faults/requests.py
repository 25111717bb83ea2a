"""Requests that meet a fault: the endpoints of an exchange that was started for it.

Without that, none of this is there: the endpoints are then those that everybody else has.
"""

import asyncio
import copy
from collections.abc import Iterable
from contextlib import suppress
from functools import wraps
from typing import Any

from msgspec import structs

from exchange.backend import errors
from exchange.backend.admission import Visit
from exchange.backend.directory import KnownKey
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.errors import ApiError
from exchange.backend.faults.counterparty import Counterparty, can_be_filled
from exchange.backend.faults.lines import current_line
from exchange.backend.formats import TimeUnit
from exchange.backend.operator import Operator
from exchange.backend.parameters import MICROSECONDS_FROM, TIMESTAMP, Sent, read_time
from exchange.backend.request_limits import RequestLimits
from exchange.backend.routes.orders import place_order
from exchange.backend.state import Current
from exchange.services.clock import now_us
from exchange.services.fault_file import FaultFile
from exchange.services.fault_script import Fault, Rule, Script, ScriptFault

CLOCKS = ("/api/v3/time", "/api/v3/exchangeInfo")
"""Who asks here sees the clock that requests are judged by."""
STALL_MS = 60_000


class FaultyEndpoints:
    """Makes endpoints whose requests do as the script says."""

    def __init__(self, file: FaultFile, operator: Operator) -> None:
        self._file = file
        self._counterparty = Counterparty(operator)

    def made_of(self, endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
        return tuple(self._made_of(endpoint) for endpoint in endpoints)

    def _made_of(self, endpoint: Endpoint) -> Endpoint:
        faulty, handler = copy.copy(endpoint), endpoint.handler

        @wraps(handler)
        async def serve(call: Call) -> Any:
            rule = self._rule(endpoint, call)
            if rule is None:
                return await handler(call)
            return await self._meet(rule, endpoint, call)

        faulty.handler = serve
        return faulty

    def _rule(self, endpoint: Endpoint, call: Call) -> Rule | None:
        key = None if call.signed is None else call.signed.key
        return self._file.faults().of_request(
            names_of(endpoint),
            key.name if key else "",
            _account_name(call.current, key),
            can_be_filled=endpoint.handler is place_order and can_be_filled(call),
        )

    async def _meet(self, rule: Rule, endpoint: Endpoint, call: Call) -> Any:
        seconds = (rule.milliseconds or 0) / 1_000
        match rule.kind:
            case Fault.PARTIAL_FILL:
                async with self._counterparty.resting(rule, call):
                    return await endpoint.handler(call)
            case Fault.DELAY if rule.executed:
                try:
                    return await endpoint.handler(call)
                finally:
                    await asyncio.sleep(seconds)
            case Fault.DELAY:
                await asyncio.sleep(seconds)
                return await endpoint.handler(call)
        if rule.executed:
            # What it would have been answered is what the client does not get to know.
            with suppress(ApiError):
                await endpoint.handler(call)
        if rule.kind is Fault.STALL:
            await asyncio.sleep((rule.milliseconds or STALL_MS) / 1_000)
        if rule.kind in (Fault.STALL, Fault.DROP):
            await current_line().drop()
        raise _answer(rule, call)


class FaultyVisit(Visit):
    """A request that may be judged by a clock that is wrong."""

    def __init__(
        self, current: Current, limits: RequestLimits, address: str, now: int, *, file: FaultFile
    ) -> None:
        super().__init__(current, limits, address, now)
        self._file = file

    def admit(
        self,
        endpoint: Endpoint,
        sent: Sent,
        api_key: str,
        unit: TimeUnit,
        *,
        session: KnownKey | None = None,
        browser: KnownKey | None = None,
    ) -> Call:
        skew = self._skew(endpoint, api_key, session or browser)
        if skew and endpoint.is_signed:
            _shift(sent, skew)
        call = super().admit(endpoint, sent, api_key, unit, session=session, browser=browser)
        if skew and endpoint.path in CLOCKS:
            return structs.replace(call, now=call.now + skew)
        return call

    def _skew(self, endpoint: Endpoint, api_key: str, known: KnownKey | None) -> int:
        if known is None and self._current.is_loaded:
            known = self._current.state.directory.keys.get(api_key)
        return self._file.faults().skew_us(
            names_of(endpoint),
            known.name if known else "",
            _account_name(self._current, known),
            counts=endpoint.is_signed,
        )


def require_endpoints(script: Script, endpoints: Iterable[Endpoint]) -> None:
    """Raises ScriptFault for a rule that is about requests that there are none of."""
    names = [names_of(endpoint) for endpoint in endpoints]
    for number, rule in enumerate(script.rule, 1):
        for pattern in rule.patterns:
            about = structs.replace(rule, on=pattern)
            if not rule.is_about_sockets and not any(about.is_on(one) for one in names):
                raise ScriptFault(f"Rule {number} is on {pattern!r}, which is no endpoint.")


def names_of(endpoint: Endpoint) -> tuple[str, ...]:
    """What a script may call it."""
    return (endpoint.name, endpoint.socket_method) if endpoint.socket_method else (endpoint.name,)


def _account_name(current: Current, key: KnownKey | None) -> str:
    if key is None:
        return ""
    account = current.state.directory.accounts.get(key.account)
    return "" if account is None else account.name


def _shift(sent: Sent, skew: int) -> None:
    """A clock that is ahead sees an older timestamp. What is signed stays as it was sent."""
    try:
        time = read_time(TIMESTAMP.name, sent.values.get(TIMESTAMP.name, ""))
    except ApiError:
        # It is refused as what it is.
        return
    sent.values[TIMESTAMP.name] = str(max(time - skew, MICROSECONDS_FROM))


def _answer(rule: Rule, call: Call) -> ApiError:
    wait = rule.retry_after or 1
    match rule.kind:
        case Fault.TOO_MUCH_WEIGHT:
            return errors.too_much_weight(call.current.limits.request_weight, wait)
        case Fault.BANNED:
            return errors.banned(now_us() // 1_000 + wait * 1_000, wait)
        case Fault.TOO_MANY_REQUESTS:
            return errors.too_many_requests(wait)
        case Fault.TOO_MANY_ORDERS:
            return errors.too_many_orders(call.current.limits.orders_short, "10 SECOND", wait)
        case Fault.UNAVAILABLE:
            return errors.UNAVAILABLE.error()
        case Fault.OVERLOADED:
            return errors.OVERLOADED.error()
    assert rule.kind is Fault.TIMEOUT, rule
    return errors.TIMEOUT.error()
