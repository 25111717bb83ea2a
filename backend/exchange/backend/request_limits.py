"""How much each address has asked for lately, and who is not answered for a while.

Counted per process, within aligned windows and in bounded memory. The time is an argument, in
seconds since the Unix epoch.
"""

from collections import OrderedDict

import msgspec

from exchange.backend import errors
from exchange.services.rate_limits import ApiLimits

MINUTE_S, RAW_WINDOW_S = 60, 300
ADDRESSES_MAX = 50_000
REFUSALS_MAX = 10
"""So many requests may be refused in a minute; who goes on then is banned."""
BANS_S = (120, 600, 3_600, 21_600, 86_400, 259_200)
"""How long the first, the second, … ban of an address is; the last is that of all others."""
FORGIVEN_S = 259_200
"""After a ban so much time without another one makes the next one the first."""
SHARED = ""
"""Whoever can send from very many addresses shares one count with the others like it."""


class RequestLimits:
    """Weight, requests and refusals by address. Every method may raise ApiError, with 429 or 418."""

    def __init__(self, limits: ApiLimits) -> None:
        self.limits = limits
        self._weight = _Window(MINUTE_S)
        self._requests = _Window(RAW_WINDOW_S)
        self._refusals = _Window(MINUTE_S)
        self._bans: OrderedDict[str, _Bans] = OrderedDict()

    def request(self, address: str, weight: int, now: int) -> None:
        """Count a request, with the weight that is known at once."""
        ban = self._bans.get(address)
        if ban is not None and now < ban.until:
            raise errors.banned(ban.until * 1_000, ban.until - now)
        if self._requests.add(address, 1, now) > self.limits.raw_requests:
            self._refuse(address, now)
            raise errors.too_many_requests(self._requests.seconds_left(now))
        self.weigh(address, weight, now)

    def weigh(self, address: str, weight: int, now: int) -> None:
        """Count more weight of a request."""
        if self._weight.add(address, weight, now) > self.limits.request_weight:
            self._refuse(address, now)
            left = self._weight.seconds_left(now)
            raise errors.too_much_weight(self.limits.request_weight, left)

    def give_back(self, address: str, weight: int, now: int) -> None:
        """Take weight off again: the request was one that costs nothing when it succeeds."""
        self._weight.add(address, -weight, now)

    def used(self, address: str, now: int) -> int:
        """The weight that the address has used in this minute."""
        return self._weight.count(address, now)

    def _refuse(self, address: str, now: int) -> None:
        """Remember a refusal; raises the error for a ban where there have been too many."""
        refusals = self._refusals.add(address, 1, now)
        is_shared = self._requests.is_shared(address) or self._weight.is_shared(address)
        if refusals <= REFUSALS_MAX or address == SHARED or is_shared:
            return
        until = self._ban(address, now)
        raise errors.banned(until * 1_000, until - now)

    def _ban(self, address: str, now: int) -> int:
        """When the ban that begins now ends."""
        before = self._bans.pop(address, None)
        number = 0
        if before is not None and now < before.until + FORGIVEN_S:
            number = before.number
        until = now + BANS_S[min(number, len(BANS_S) - 1)]
        self._bans[address] = _Bans(number + 1, until)
        if len(self._bans) > ADDRESSES_MAX:
            # Whose last ban is the oldest.
            self._bans.popitem(last=False)
        return until


class _Bans(msgspec.Struct, frozen=True):
    """How often an address was banned, and until when."""

    number: int
    until: int


class _Window:
    """Counts by address within one stretch of time, forgotten when the next one begins."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._number = 0
        self._counts: dict[str, int] = {}

    def add(self, address: str, amount: int, now: int) -> int:
        """The count of the address in this window, this amount included."""
        self._move_to(now)
        if self.is_shared(address):
            address = SHARED
        count = max(0, self._counts.get(address, 0) + amount)
        self._counts[address] = count
        return count

    def count(self, address: str, now: int) -> int:
        self._move_to(now)
        return self._counts.get(SHARED if self.is_shared(address) else address, 0)

    def is_shared(self, address: str) -> bool:
        return len(self._counts) >= ADDRESSES_MAX and address not in self._counts

    def seconds_left(self, now: int) -> int:
        return self._width - now % self._width

    def _move_to(self, now: int) -> None:
        number = now // self._width
        if number != self._number:
            self._number = number
            self._counts = {}
