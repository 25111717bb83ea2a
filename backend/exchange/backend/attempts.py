"""How often somebody may try to sign in: by name and by address, in bounded memory.

The time is an argument, in seconds.
"""

from collections import OrderedDict

WINDOW_S = 300
FOR_NAME_MAX = 10
REMEMBERED_MAX = 50_000


class Attempts:
    """Every try counts until it has succeeded, so that many at once are no way around it."""

    def __init__(self, for_address_max: int) -> None:
        self._for_address_max = for_address_max
        self._counts: OrderedDict[tuple[str, str], list[int]] = OrderedDict()

    def begin(self, name: str, address: str, now: int) -> int:
        """Count a try: for how many seconds there may be none; 0 if this one may go on."""
        waits = [
            self._wait(("name", name.lower()), FOR_NAME_MAX, now),
            self._wait(("address", address), self._for_address_max, now),
        ]
        if any(waits):
            return max(waits)
        for identity in (("name", name.lower()), ("address", address)):
            self._add(identity, now)
        return 0

    def succeed(self, name: str, address: str) -> None:
        """The try was none of somebody who guesses."""
        self.forget_name(name)
        entry = self._counts.get(("address", address))
        if entry is not None and entry[1] > 0:
            entry[1] -= 1

    def forget_name(self, name: str) -> None:
        """Nobody has guessed at this name."""
        self._counts.pop(("name", name.lower()), None)

    def _wait(self, identity: tuple[str, str], most: int, now: int) -> int:
        began, count = self._counts.get(identity, (now, 0))
        if now >= began + WINDOW_S or count < most:
            return 0
        return began + WINDOW_S - now

    def _add(self, identity: tuple[str, str], now: int) -> None:
        entry = self._counts.get(identity)
        if entry is None or now >= entry[0] + WINDOW_S:
            # A new window is the youngest of all, so that the oldest are the first to be forgotten.
            self._counts.pop(identity, None)
            entry = self._counts[identity] = [now, 0]
            if len(self._counts) > REMEMBERED_MAX:
                self._counts.popitem(last=False)
        entry[1] += 1
