"""Which signed requests were executed lately, so that a repeat of one is answered, not executed."""

from exchange.engine.hashing import MODULUS, message_hash
from exchange.services.messages import SECOND_US, SignedRequest


class RequestMemory:
    """Signed requests, each with the number of the command that it was executed as.

    All of it decides, so it is part of the state: Postgres holds the same, and the hash shows it.
    """

    def __init__(self) -> None:
        self.hash = 0
        """The sum of the hashes of all that is known, as in StateHash."""
        self._numbers: dict[bytes, int] = {}
        self._by_second: dict[int, list[bytes]] = {}
        self._hashes: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, request: bytes) -> int | None:
        """The number of the first command with this request, if that is still known."""
        return self._numbers.get(request)

    def remember(self, signed: SignedRequest) -> None:
        if signed.request in self._numbers:
            return
        hashed = message_hash(signed)
        second = signed.deadline // SECOND_US
        self._numbers[signed.request] = signed.number
        self._by_second.setdefault(second, []).append(signed.request)
        self._hashes[second] = self._hashes.get(second, 0) + hashed
        self.hash = (self.hash + hashed) % MODULUS

    def forget(self, since: int) -> None:
        """Drop what has a deadline before a whole second; cheap enough for every frame."""
        for past in [second for second in self._by_second if second * SECOND_US < since]:
            for request in self._by_second.pop(past):
                del self._numbers[request]
            self.hash = (self.hash - self._hashes.pop(past)) % MODULUS
