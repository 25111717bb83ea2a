"""What one socket may do and cost, and how often an address may connect."""

from collections import deque

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Times are in seconds."""

    messages_per_second: int = 1_000
    connects: int = 1_000
    connects_s: float = 1
    """So many may come from one address in such a time."""
    connections: int = 10_000
    """So many may one address have open."""
    life_s: float = 24 * 60 * 60
    message_bytes: int = 64 * 1024
    handshake_bytes: int = 16 * 1024
    handshake_s: float = 10
    waiting_bytes: int = 4 * 1024 * 1024
    stalled_s: float = 3
    ping_s: float = 20
    pong_s: float = 60
    close_s: float = 1
    shutdown_s: float = 1
    """Between the news that the server will stop and its stop."""


LIMITS = {
    "relaxed": Limits(),
    "binance": Limits(messages_per_second=5, connects=300, connects_s=300, connections=300),
}
"""By the setting RATE_LIMITS."""


class Connects:
    """Which addresses have connected lately, and how often."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._times: dict[str, deque[float]] = {}

    def __len__(self) -> int:
        """The number of addresses that are remembered."""
        return len(self._times)

    def count(self, address: str, now: float) -> float:
        """Count a connection from there: 0, or the seconds that it has to wait with it."""
        times = self._times.setdefault(address, deque(maxlen=self._limits.connects))
        is_full = len(times) == times.maxlen
        if is_full and now - times[0] < self._limits.connects_s:
            return self._limits.connects_s - (now - times[0])
        times.append(now)
        return 0

    def sweep(self, now: float) -> None:
        """Forget who has not come for a while."""
        old = now - self._limits.connects_s
        for address in [one for one, times in self._times.items() if times[-1] <= old]:
            del self._times[address]
