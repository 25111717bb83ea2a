"""A client of all streams: it keeps books by the published recipe, remembers every trade that it saw,
and holds whatever else it is told against those.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
import websockets

from exchange.lab.chaos.book import Book, Gap
from exchange.lab.chaos.client import Malformed, NoAnswer, NotSent, PublicApi
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import units
from exchange.lab.chaos.record import KINDS, Record, is_candle
from exchange.lab.chaos.recovery import Pulse

PAUSE_S = 0.05
OPEN_S_MAX = 2.0
DEPTH_MAX = 5_000
SETTLE_S_MAX = 20.0
KLINES_MAX = 1_000
CANDLES_MAX = 2_000
"""So many of a market's final candles are remembered."""
ARRAYS = ("!miniTicker@arr", "!ticker@arr", "!ticker_4h@arr")


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
    """Hears everything about some markets until it is cancelled."""

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
        self.compared: dict[str, int] = {}
        """How often one stream, or REST, was held against another, by what it was."""
        self._records: dict[str, Record] = {}
        self._candles: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._public, self._findings, self._pulse = public, findings, pulse
        names = [f"{symbol.lower()}@{kind}" for symbol in symbols for kind in KINDS]
        self._url = f"{stream_url}/stream?streams={'/'.join((*names, *ARRAYS))}"

    async def listen(self) -> None:
        """Connect, and again whenever a connection ends, which is no fault."""
        while True:
            try:
                async with websockets.connect(
                    self._url, open_timeout=OPEN_S_MAX, close_timeout=OPEN_S_MAX
                ) as stream:
                    self._begin()
                    try:
                        await self._hear_out(stream)
                    finally:
                        self._end(time.time_ns() // 1_000)
            except (OSError, websockets.WebSocketException, TimeoutError):
                await asyncio.sleep(PAUSE_S)
            except Gap as fault:
                self._findings.check(Promise.STREAM, False, fault)

    async def settle(self) -> None:
        """Check that every book is what REST shows, once both have come to the same update, and so
        is every candle that was told as final: the exchange is at rest, and corrects none any more.
        """
        self._end(None)
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
            self._count("books and REST", 1)
            await self._compare_candles(symbol, "1s")
            await self._compare_candles(symbol, "1m")

    def _begin(self) -> None:
        self.connections += 1
        self.books = {symbol: Book() for symbol in self.tapes}
        self._records = {symbol: Record(book) for symbol, book in self.books.items()}
        for tape in self.tapes.values():
            tape.reconnect()

    def _end(self, now_us: int | None) -> None:
        """Keep what a connection has told for good; what it might have corrected does not count."""
        for symbol, record in self._records.items():
            self._count("streams and books", record.compared)
            record.compared = 0
            for (interval, opened), candle in record.settled(now_us):
                self._candles[symbol, interval, opened] = candle
        while len(self._candles) > CANDLES_MAX:
            del self._candles[next(iter(self._candles))]

    def _count(self, what: str, times: int) -> None:
        self.compared[what] = self.compared.get(what, 0) + times

    async def _hear_out(self, stream: websockets.ClientConnection) -> None:
        loading = asyncio.create_task(self._load())
        try:
            async for text in stream:
                message = msgspec.json.decode(text)
                self._hear(message["stream"], message["data"])
                if loading.done():
                    loading.result()
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)

    def _hear(self, name: str, event: dict[str, Any]) -> None:
        market, _, kind = name.partition("@")
        symbol = market.upper()
        if symbol not in self.tapes:
            # A list of all markets, or the goodbye of the server.
            return
        if kind == "trade":
            mark = fingerprint(units(event["p"]), units(event["q"]), event["T"], event["m"])
            wrong = self.tapes[symbol].hear(event["t"], mark)
            self._findings.check(Promise.STREAM, not wrong, symbol, wrong)
        elif kind == "depth@100ms":
            self.books[symbol].hear(event)
        self._records[symbol].hear(kind, event)
        self._findings.check(Promise.STREAM, True)
        if kind in ("trade", "depth@100ms"):
            self._pulse.note(event["E"] / 1_000)

    async def _load(self) -> None:
        """Give every book its snapshot. Subscribed first, so that nothing is missed in between."""
        for symbol, book in self.books.items():
            snapshot = None
            while snapshot is None:
                snapshot = await self._snapshot(symbol)
                await asyncio.sleep(0 if snapshot else PAUSE_S)
            book.load(snapshot)

    async def _compare_candles(self, symbol: str, interval: str) -> None:
        """What is final is what REST shows, as far back as it shows it at once."""
        parameters = {"symbol": symbol, "interval": interval, "limit": KLINES_MAX}
        shown = {kline[0]: kline for kline in await self._read("klines", **parameters) or []}
        for (of, width, opened), candle in self._candles.items():
            if (of, width) == (symbol, interval) and opened in shown:
                self._count("candles and REST", 1)
                self._findings.check(
                    Promise.STREAM, is_candle(candle, shown[opened]),
                    symbol, "told", candle, "and shows", shown[opened],
                )  # fmt: skip

    async def _snapshot(self, symbol: str) -> dict[str, Any] | None:
        snapshot: dict[str, Any] | None = await self._read("depth", symbol=symbol, limit=DEPTH_MAX)
        return snapshot

    async def _read(self, path: str, **parameters: object) -> Any:
        """What REST shows; None where it does not answer now."""
        try:
            answer = await self._public.read(path, **parameters)
        except (NotSent, NoAnswer):
            return None
        except Malformed as fault:
            self._findings.check(Promise.ANSWERS, False, path, fault)
            return None
        is_refusal = answer.status == 503
        self._findings.check(Promise.ANSWERS, answer.status == 200 or is_refusal, answer)
        return answer.body if answer.status == 200 else None
