"""Request weight per address and minute: what it may be, and how much of it is used."""

WINDOW_S = 60
LIMIT = 600_000
ADDRESSES_MAX = 50_000


class Weights:
    """Counts within aligned minutes. The time is an argument, in seconds since the Unix epoch."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self._window = 0
        self._used: dict[str, int] = {}

    def add(self, address: str, weight: int, now: int) -> int:
        """The weight that the address has used in this minute, this request included."""
        window = now // WINDOW_S
        if window != self._window:
            self._window = window
            self._used = {}
        if address not in self._used and len(self._used) >= ADDRESSES_MAX:
            # Whoever can send from so many addresses shares one count with the others like it.
            address = ""
        used = self._used.get(address, 0) + weight
        self._used[address] = used
        return used

    @staticmethod
    def seconds_left(now: int) -> int:
        return WINDOW_S - now % WINDOW_S
