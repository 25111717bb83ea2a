"""A market's book, kept by the recipe that is published for it."""

from typing import Any

PENDING_MAX = 10_000
REMOVED = "0.00000000"


class Gap(Exception):
    """An event does not follow the one before it; the text says which."""


class Book:
    """One market's book, from a snapshot and the events after it, which may come first."""

    def __init__(self) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.update_id = 0
        self._pending: list[dict[str, Any]] | None = []
        self._is_first = True

    @property
    def is_loading(self) -> bool:
        """Whether there is no snapshot yet."""
        return self._pending is not None

    def load(self, snapshot: dict[str, Any]) -> None:
        """Begin with what REST shows, and catch up with what was heard meanwhile. Raises Gap."""
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        self.update_id = snapshot["lastUpdateId"]
        pending, self._pending = self._pending or [], None
        for event in pending:
            self.hear(event)

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event. Raises Gap."""
        if self._pending is not None:
            self._pending.append(event)
            if len(self._pending) > PENDING_MAX:
                raise Gap("no snapshot has come for too long")
            return
        if event["u"] <= self.update_id:
            return
        expected = self.update_id + 1
        if event["U"] > expected or (event["U"] < expected and not self._is_first):
            raise Gap(f"{event['s']}: U is {event['U']}, expected {expected}")
        self._is_first = False
        for side, changes in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in changes:
                if quantity == REMOVED:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self.update_id = event["u"]

    def shows(self, snapshot: dict[str, Any]) -> bool:
        return (self.bids, self.asks) == (dict(snapshot["bids"]), dict(snapshot["asks"]))
