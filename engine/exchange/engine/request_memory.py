"""Which signed requests were executed lately, so that a repeat of one is answered, not executed."""

SECOND_US = 1_000_000
KEPT_US = 60 * SECOND_US
"""How long behind its deadline a request is known. It may have waited in the journal meanwhile, and
what only reduces exposure, such as a cancel, is executed however late it comes."""


class RequestMemory:
    """Requests by their hash; forgetting later than KEPT_US behind the deadline changes nothing."""

    def __init__(self) -> None:
        self._numbers: dict[bytes, tuple[int, int]] = {}
        self._by_second: dict[int, list[bytes]] = {}
        self._forgotten_until = 0

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, request: bytes, now: int) -> int | None:
        """The number of the first command with this request, if that is still known."""
        known = self._numbers.get(request)
        return known[0] if known is not None and known[1] + KEPT_US >= now else None

    def remember(self, request: bytes, number: int, deadline: int) -> None:
        if request not in self._numbers:
            self._by_second.setdefault(deadline // SECOND_US, []).append(request)
        self._numbers[request] = (number, deadline)

    def forget(self, now: int) -> None:
        """Drop what is known no longer; cheap enough to be called for every frame."""
        second = (now - KEPT_US) // SECOND_US
        if second <= self._forgotten_until:
            return
        self._forgotten_until = second
        for past in [past for past in self._by_second if past < second]:
            for request in self._by_second.pop(past):
                deadline = self._numbers[request][1]
                if deadline // SECOND_US == past:
                    del self._numbers[request]
                else:
                    self._by_second.setdefault(deadline // SECOND_US, []).append(request)
