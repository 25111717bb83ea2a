"""The average price of a market's last minutes, by which orders without a price are valued."""

MINUTE_US = 60_000_000
MINUTES_KEPT = 60

Minutes = tuple[tuple[int, int, int], ...]
"""Number of the minute, quantity and quote quantity, oldest first."""


class AveragePrice:
    """Trades summed by minute. Old minutes are left out at lookup; dropping them only saves memory."""

    def __init__(self, kept: int = MINUTES_KEPT) -> None:
        self._kept = kept
        self._minutes: dict[int, tuple[int, int]] = {}
        # The sums over a window, until another minute or trade comes.
        self._known: tuple[tuple[int, int], tuple[int, int]] | None = None

    def add(self, time: int, quantity: int, quote_quantity: int) -> None:
        """Count a trade, or a whole minute of them, at a time in µs."""
        minute = time // MINUTE_US
        self._known = None
        before = self._minutes.get(minute)
        if before is not None:
            self._minutes[minute] = (before[0] + quantity, before[1] + quote_quantity)
            return
        self._minutes[minute] = (quantity, quote_quantity)
        if len(self._minutes) > self._kept:
            # A clock that was ahead left minutes that have not come yet: those go first.
            farthest = max(self._minutes, key=lambda one: (abs(one - minute), one))
            del self._minutes[farthest]

    def minutes(self) -> Minutes:
        return tuple((minute, *self._minutes[minute]) for minute in sorted(self._minutes))

    def restore(self, minutes: Minutes) -> None:
        self._known = None
        self._minutes = {minute: (quantity, quote) for minute, quantity, quote in minutes}

    def at(self, now: int, minutes: int, *, base_unit: int, last_price: int) -> int:
        """Quote units per whole base over the last `minutes`; `last_price` if none traded then."""
        window = (now // MINUTE_US, minutes)
        if self._known is None or self._known[0] != window:
            self._known = (window, self._sums(*window))
        base, quote = self._known[1]
        return quote * base_unit // base if base else last_price

    def _sums(self, current: int, minutes: int) -> tuple[int, int]:
        base = quote = 0
        for minute, (quantity, quote_quantity) in self._minutes.items():
            if current - minutes < minute <= current:
                base += quantity
                quote += quote_quantity
        return base, quote
