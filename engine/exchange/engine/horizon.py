"""How far back signed requests have to be known, whatever happens to clocks."""

from collections import deque
from collections.abc import Iterable

from exchange.services.clock import elapsed_s
from exchange.services.messages import SECOND_US, Outcome

SPAN_S = 30
SPANS = 4


class Horizon:
    """The smallest of all times, and of all deadlines of requests, that frames had lately.

    Lately is the last minute and a half at least, by a clock that nobody can set. So a request is
    known for as long after it was executed, and by then its recvWindow, a minute at most, has passed:
    a clock of an engine that ran ahead and is set back finds no request forgotten that anybody could
    repeat.
    """

    def __init__(self) -> None:
        # What nobody has seen may have had any deadline: at first nothing is forgotten.
        self._smallest = deque([0] * SPANS, maxlen=SPANS)
        self._span = _span()

    def note(self, time: int, outcomes: Iterable[Outcome]) -> None:
        """A frame, one's own or that of another engine that leads."""
        smallest = min((one.deadline for one in outcomes if one.request is not None), default=time)
        span = _span()
        if span != self._span:
            self._span = span
            self._smallest.append(time)
        self._smallest[-1] = min(self._smallest[-1], time, smallest)

    @property
    def since(self) -> int:
        """Requests with a deadline before this whole second can be forgotten."""
        return min(self._smallest) // SECOND_US * SECOND_US


def _span() -> int:
    return int(elapsed_s() // SPAN_S)
