"""A client of the streams: keeps books by the published recipe, and remembers every trade it saw."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import websockets

from exchange.lab.chaos.client import Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import units
from exchange.lab.chaos.recovery import Pulse

PAUSE_S = 0.05
OPEN_S_MAX = 2.0
PENDING_MAX = 10_000
DEPTH_MAX = 5_000
SETTLE_S_MAX = 20.0
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


class Tape:
    """The trades of one market as they were streamed, over any number of connections.

    `seen` holds a fingerprint for each id; `spans` the first and last id of each connection,
    within which nothing may be missing.
    """

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}
        self.spans: list[list[int]] = []
        self._is_new_connection = True

    def reconnect(self) -> None:
        self._is_new_connection = True

    def hear(self, id: int, mark: int) -> str:
        """Take one trade; says what is wrong with it, or nothing."""
        wrong = ""
        if id in self.seen:
            wrong = f"trade {id} was streamed twice"
        elif not self._is_new_connection and id != self.spans[-1][1] + 1:
            wrong = f"trade {id} came after {self.spans[-1][1]} on one connection"
        if self._is_new_connection:
            self.spans.append([id, id])
            self._is_new_connection = False
        self.spans[-1][1] = id
        self.seen[id] = mark
        return wrong


def fingerprint(price: int, quantity: int, time_ms: int, buyer_is_maker: bool) -> int:
    """What a trade is, in one number: hundreds of thousands of them are kept."""
    return hash((price, quantity, time_ms, buyer_is_maker))


class Listener:
    """Hears depth and trades of some markets until it is cancelled."""

    def __init__(
        self,
        stream_url: str,
        public: PublicApi,
        symbols: Sequence[str],
        findings: Findings,
        pulse: Pulse,
    ) -> None:
        self.tapes = {symbol: Tape() for symbol in symbols}
        self.books: dict[str, Book] = {}
        self.connections = 0
        self._public, self._findings, self._pulse = public, findings, pulse
        names = [
            f"{symbol.lower()}@{kind}" for symbol in symbols for kind in ("trade", "depth@100ms")
        ]
        self._url = f"{stream_url}/stream?streams={'/'.join(names)}"

    async def listen(self) -> None:
        """Connect, and again whenever a connection ends, which is no fault."""
        while True:
            try:
                async with websockets.connect(
                    self._url, open_timeout=OPEN_S_MAX, close_timeout=OPEN_S_MAX
                ) as stream:
                    self._begin()
                    await self._hear_out(stream)
            except (OSError, websockets.WebSocketException, TimeoutError):
                await asyncio.sleep(PAUSE_S)
            except Gap as fault:
                self._findings.check(Promise.STREAM, False, fault)

    async def settle(self) -> None:
        """Check that every book is what REST shows, once both have come to the same update."""
        for symbol in self.tapes:
            shown: dict[str, Any] = {}
            for _ in range(int(SETTLE_S_MAX / PAUSE_S)):
                shown = (await self._snapshot(symbol)) or shown
                book = self.books.get(symbol)
                if book is not None and shown.get("lastUpdateId") == book.update_id:
                    break
                await asyncio.sleep(PAUSE_S)
            book = self.books.get(symbol) or Book()
            is_same = bool(shown) and shown["lastUpdateId"] == book.update_id and book.shows(shown)
            self._findings.check(
                Promise.STREAM, is_same, symbol, "kept at", book.update_id, "is not the book at",
                shown.get("lastUpdateId"),
            )  # fmt: skip

    def _begin(self) -> None:
        self.connections += 1
        self.books = {symbol: Book() for symbol in self.tapes}
        for tape in self.tapes.values():
            tape.reconnect()

    async def _hear_out(self, stream: websockets.ClientConnection) -> None:
        loading = asyncio.create_task(self._load())
        try:
            async for text in stream:
                self._hear(msgspec.json.decode(text)["data"])
                if loading.done():
                    loading.result()
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)

    def _hear(self, event: dict[str, Any]) -> None:
        symbol = event["s"]
        if event["e"] == "trade":
            mark = fingerprint(units(event["p"]), units(event["q"]), event["T"], event["m"])
            wrong = self.tapes[symbol].hear(event["t"], mark)
            self._findings.check(Promise.STREAM, not wrong, symbol, wrong)
        else:
            self.books[symbol].hear(event)
            self._findings.check(Promise.STREAM, True)
        self._pulse.note(event["E"] / 1_000)

    async def _load(self) -> None:
        """Give every book its snapshot. Subscribed first, so that nothing is missed in between."""
        for symbol, book in self.books.items():
            snapshot = None
            while snapshot is None:
                snapshot = await self._snapshot(symbol)
                await asyncio.sleep(0 if snapshot else PAUSE_S)
            book.load(snapshot)

    async def _snapshot(self, symbol: str) -> dict[str, Any] | None:
        try:
            answer = await self._public.read("depth", symbol=symbol, limit=DEPTH_MAX)
        except (NotSent, NoAnswer):
            return None
        except Malformed as fault:
            self._findings.check(Promise.ANSWERS, False, "depth:", fault)
            return None
        is_refusal = answer.status == 503
        self._findings.check(Promise.ANSWERS, answer.status == 200 or is_refusal, answer)
        return answer.body if answer.status == 200 else None
