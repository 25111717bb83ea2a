"""Those who follow the outcomes: the watched ones among the product's own, and a listener.

What each of them has seen stands in the history, where it is compared with what all others saw.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
from simulation.history import History, Seen
from websockets.frames import CloseCode

from exchange.backend.gateway import Gateway
from exchange.backend.state import Current, State
from exchange.engine.matching_engine import MatchingEngine
from exchange.services.messages import Outcome, OutcomeFrame
from exchange.websocket.events import Form
from exchange.websocket.sockets import StreamServer
from exchange.websocket.subscriptions import Subscriptions

SYMBOLS = ("SOLUSDC", "ETHUSDT")
"""The markets that are traded in."""
STREAMS = ("solusdc@trade", "solusdc@depth@100ms", "ethusdt@depth")


class WatchedCurrent(Current):
    """A backend's state, whose every outcome is noted."""

    def __init__(self, who: str, history: History, now: Callable[[], float]) -> None:
        super().__init__()
        self._who = who
        self._history = history
        self._now = now

    def set(self, state: State | None) -> None:
        super().set(state)
        if state is not None:
            _watch(state.gateway, self._see)

    def _see(self, outcome: Outcome) -> None:
        self._history.seen.append(Seen(self._who, self._now(), outcome))


def _watch(gateway: Gateway, see: Callable[[Outcome], object]) -> None:
    gateway._views = [*gateway._views, see]


class WatchedServer(StreamServer):
    """A stream server, whose every outcome is noted."""

    def __init__(self, who: str, history: History, now: Callable[[], float]) -> None:
        super().__init__()
        self._who = who
        self._history = history
        self._now = now

    def apply(self, frames: Sequence[OutcomeFrame], now: int) -> None:
        self._history.seen += [
            Seen(self._who, self._now(), outcome) for frame in frames for outcome in frame.outcomes
        ]
        super().apply(frames, now)


class Listener:
    """In the place of a socket: it checks that each stream goes on where it stopped."""

    def __init__(self, history: History) -> None:
        self.is_open = True
        self.is_full = False
        self.subscriptions = Subscriptions(Form())
        self.events = 0
        self._history = history
        self._last: dict[tuple[str, str], int] = {}

    @property
    def form(self) -> Form:
        return self.subscriptions.form

    def send(self, frames: bytes) -> None:
        for text in texts(frames):
            if self.is_open:
                self._hear(text)

    def _hear(self, text: bytes) -> None:
        """Diffs tell the update ids that they cover, trades their own."""
        event = msgspec.json.decode(text)
        stream = (event["s"], event["e"])
        first, last = (event["U"], event["u"]) if "u" in event else (event["t"], event["t"])
        expected = self._last.get(stream, first - 1) + 1
        if first != expected:
            self._history.faults.append(f"P8: {stream} goes on with {first}, not {expected}")
        self._last[stream] = last
        self.events += 1

    def close(self, _code: CloseCode, _reason: str) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open = False

    def sweep(self, _now: float) -> None: ...


def texts(frames: bytes) -> Iterator[bytes]:
    """What stands in whole frames of a server, one behind the other."""
    start = 0
    while start < len(frames):
        size, head = frames[start + 1], 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(frames[start + 2 : start + head], "big")
        yield frames[start + head : start + head + size]
        start += head + size


async def listen(server: StreamServer, history: History) -> None:
    """A client of the streams that comes back whenever it is sent away."""
    listener: Any = None
    while True:
        await asyncio.sleep(0.1)
        is_possible = server.is_accepting and all(one in server.symbols for one in SYMBOLS)
        if not is_possible or (listener is not None and listener.is_open):
            continue
        if listener is not None:
            server.forget(listener)
        listener = Listener(history)
        server.admit(listener)
        listener.subscriptions.open(STREAMS, server.symbols)
        server.listen(listener, listener.subscriptions.streams)


class Shadow:
    """What the outcomes say by now, for traders who want to ask for what makes sense."""

    def __init__(self) -> None:
        self.engine = MatchingEngine()
        self.position = 0

    def follow(self, frame: OutcomeFrame) -> None:
        for outcome in frame.outcomes:
            if outcome.number > self.position:
                self.engine.follow(outcome)
                self.position = outcome.number
