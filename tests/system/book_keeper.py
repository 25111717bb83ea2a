"""A client that keeps an order book by the published recipe, and starts over when it must."""

import asyncio
import json
from typing import Any

import aiohttp
import websockets

REMOVED = "0.00000000"


class BookKeeper:
    """The book of one market from `@depth@100ms` and the REST snapshot.

    A gap is an assertion; a closed connection is not: the client connects again and starts over.
    """

    def __init__(self, api: str, ws: str, symbol: str) -> None:
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.update_id = 0
        self.events = 0
        self.connections = 0
        self._snapshot_url = f"{api}/api/v3/depth?symbol={symbol}&limit=5000"
        self._stream_url = f"{ws}/ws/{symbol.lower()}@depth@100ms"

    async def keep(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with websockets.connect(self._stream_url, open_timeout=5) as stream:
                        self.connections += 1
                        await self._follow(session, stream)
                except (OSError, websockets.WebSocketException, aiohttp.ClientError, TimeoutError):
                    self.update_id = 0
                    await asyncio.sleep(0.1)

    async def _follow(
        self, session: aiohttp.ClientSession, stream: websockets.ClientConnection
    ) -> None:
        # Subscribed before the snapshot is asked for: the first event that is new to it continues
        # it. A quiet market may have none, and then the snapshot is the book.
        snapshot = await self._snapshot(session)
        self.bids, self.asks = dict(snapshot["bids"]), dict(snapshot["asks"])
        self.update_id = snapshot["lastUpdateId"]
        is_first = True
        while True:
            event = json.loads(await stream.recv())
            if event["u"] <= self.update_id:
                continue
            if is_first:
                assert event["U"] <= self.update_id + 1, (event["U"], self.update_id)
            else:
                assert event["U"] == self.update_id + 1, (event["U"], self.update_id)
            is_first = False
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        for side, changes in ((self.bids, event["b"]), (self.asks, event["a"])):
            for price, quantity in changes:
                if quantity == REMOVED:
                    side.pop(price, None)
                else:
                    side[price] = quantity
        self.update_id = event["u"]
        self.events += 1

    async def _snapshot(self, session: aiohttp.ClientSession) -> dict[str, Any]:
        async with session.get(
            self._snapshot_url, timeout=aiohttp.ClientTimeout(total=5)
        ) as answer:
            answer.raise_for_status()
            found: dict[str, Any] = await answer.json(content_type=None)
            return found
