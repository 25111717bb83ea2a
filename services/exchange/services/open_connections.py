"""How many connections each address has open at a time."""


class OpenConnections:
    """Counted by address; one that has none takes no memory."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """The number of addresses that have any."""
        return len(self._counts)

    def enter(self, address: str) -> bool:
        """Count one more; False where it is one too many, and then it is not counted."""
        count = self._counts.get(address, 0)
        if count >= self._most:
            return False
        self._counts[address] = count + 1
        return True

    def leave(self, address: str) -> None:
        """One that was counted is gone."""
        count = self._counts[address] - 1
        if count:
            self._counts[address] = count
        else:
            del self._counts[address]
