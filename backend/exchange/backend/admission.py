"""What every request passes before anything is done for it, by whichever door it came."""

from collections.abc import Callable, Mapping
from typing import Any

from exchange.backend import errors
from exchange.backend.authentication import Signed, authenticate, identify, trust, vouch
from exchange.backend.directory import KnownKey
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import TimeUnit
from exchange.backend.parameters import Sent
from exchange.backend.request_limits import SHARED, RequestLimits
from exchange.backend.state import Current
from exchange.services.proxies import Proxies

SECOND_US = 1_000_000


class Visit:
    """One request: what it weighs, who sent it, and what it asks for. Times are µs."""

    def __init__(self, current: Current, limits: RequestLimits, address: str, now: int) -> None:
        self._current = current
        self._limits = limits
        self._address = address
        self._now = now
        self._second = now // SECOND_US

    @property
    def used(self) -> int:
        """The weight that its address has used by now."""
        return self._limits.used(self._address, self._second)

    def enter(self) -> None:
        """Count a request as the cheapest there is; raises the error for an address that has used
        up its share, or is banned."""
        self._limits.request(self._address, 1, self._second)

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
        """Understand the request; raises ApiError for whatever is wrong with it.

        `session` is the key that its connection has logged on with, if that is to vouch for it;
        `browser` stands for the user of a browser that has signed in.
        """
        signed: Signed | None = None
        if endpoint.needs_key:
            if self._current.state.barrier.is_stale:
                errors.UNAVAILABLE.refuse()
            if browser is not None:
                signed = trust(sent, browser, self._now)
            else:
                signed = self._caller(endpoint, sent, api_key, session)
                self._check_permission(endpoint, signed.key)
        values = endpoint.table.read(sent.values)
        if (weight := endpoint.weigh(values)) > 1:
            self._limits.weigh(self._address, weight - 1, self._second)
        return Call(current=self._current, values=values, now=self._now, unit=unit, signed=signed)

    def _caller(
        self, endpoint: Endpoint, sent: Sent, api_key: str, session: KnownKey | None
    ) -> Signed:
        directory = self._current.state.directory
        if not endpoint.is_signed:
            return identify(api_key if session is None else session.name, directory, self._now)
        if session is not None:
            return vouch(sent, session, self._now)
        return authenticate(sent, api_key, directory, self._now)

    def _check_permission(self, endpoint: Endpoint, key: KnownKey) -> None:
        is_allowed = key.can_trade if endpoint.security is Security.TRADE else key.can_read
        if not is_allowed or key.is_over(self._now) or not key.may_come_from(self._address):
            errors.KEY_REJECTED.refuse()

    def succeed(self, endpoint: Endpoint, call: Call) -> None:
        """Give back the weight of a request that costs nothing when it succeeds."""
        if endpoint.is_free:
            self._limits.give_back(self._address, endpoint.weigh(call.values), self._second)


NewVisit = Callable[[Current, RequestLimits, str, int], Visit]
"""Makes one of where it comes from and when."""


def address_of(scope: Mapping[str, Any], proxies: Proxies) -> str:
    """Where an ASGI connection comes from, "" if that cannot be told."""
    peer = str(scope["client"][0]) if scope["client"] else SHARED
    return proxies.client(peer, scope["headers"])
