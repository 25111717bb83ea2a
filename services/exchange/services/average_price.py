"""The average price of a market's last minutes, by which market orders are valued."""

from collections import deque

MINUTE_US = 60_000_000
MINUTES_KEPT = 60


class AveragePrice:
    """Trades summed by minute. Old minutes are left out at lookup; dropping them only saves memory."""

    def __init__(self) -> None:
        self._minutes: deque[tuple[int, int, int]] = deque(maxlen=MINUTES_KEPT)

    def add(self, time: int, quantity: int, quote_quantity: int) -> None:
        """Count a trade, or a whole minute of them, at a time in µs."""
        minute = time // MINUTE_US
        if self._minutes and self._minutes[-1][0] == minute:
            _, base, quote = self._minutes.pop()
            self._minutes.append((minute, base + quantity, quote + quote_quantity))
        else:
            self._minutes.append((minute, quantity, quote_quantity))

    def at(self, now: int, minutes: int, *, base_unit: int, last_price: int) -> int:
        """Quote units per whole base over the last `minutes`; `last_price` if none traded then."""
        current = now // MINUTE_US
        base = quote = 0
        for minute, quantity, quote_quantity in self._minutes:
            if current - minutes < minute <= current:
                base += quantity
                quote += quote_quantity
        return quote * base_unit // base if base else last_price
