"""The exchange as a market participant sees it: its rules, its best prices, and an account on it."""

import asyncio
import contextlib
import json
import urllib.request
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
import websockets
from msgspec import Struct

from exchange.lab.market.flow import Grid, Touch
from exchange.lab.market.trading_socket import Key, NotConnected, Refused, TradingSocket

READ_S_MAX = 10.0
RETRY_S = 0.5
BUSY = -1008


class Rules(Struct, frozen=True):
    """What a market takes, and how its prices and quantities are written."""

    symbol: str
    base: str
    quote: str
    tick: Decimal
    lot: Decimal
    quantity_min: Decimal
    notional_min: Decimal

    @property
    def grid(self) -> Grid:
        return Grid(
            float(self.tick), float(self.lot), float(self.quantity_min), float(self.notional_min)
        )

    def price_text(self, ticks: int) -> str:
        return f"{self.tick * ticks:f}"

    def quantity_text(self, lots: int) -> str:
        return f"{self.lot * lots:f}"


def read_rules(api_url: str) -> dict[str, Rules]:
    """Of all markets that trade."""
    found = {}
    for market in _get(f"{api_url}/api/v3/exchangeInfo")["symbols"]:
        if market["status"] != "TRADING":
            continue
        filters = {one["filterType"]: one for one in market["filters"]}
        notional = filters.get("NOTIONAL", {}).get("minNotional", "0")
        found[market["symbol"]] = Rules(
            market["symbol"],
            market["baseAsset"],
            market["quoteAsset"],
            Decimal(filters["PRICE_FILTER"]["tickSize"]),
            Decimal(filters["LOT_SIZE"]["stepSize"]),
            Decimal(filters["LOT_SIZE"]["minQty"]),
            Decimal(notional),
        )
    return found


def last_price(api_url: str, symbol: str) -> float | None:
    """None where nothing was ever traded."""
    trades = _get(f"{api_url}/api/v3/trades?symbol={symbol}&limit=1")
    return float(trades[0]["price"]) if trades else None


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=READ_S_MAX) as answer:  # noqa: S310
        return json.load(answer)


class Touches:
    """The best prices of some markets, kept up by their book tickers."""

    def __init__(self, stream_url: str, rules: Sequence[Rules]) -> None:
        self._rules = {one.symbol: one for one in rules}
        self._touches = {one.symbol: Touch(None, None) for one in rules}
        names = [f"{symbol.lower()}@bookTicker" for symbol in self._rules]
        self._url = f"{stream_url}/stream?streams={'/'.join(names)}"

    def __getitem__(self, symbol: str) -> Touch:
        return self._touches[symbol]

    async def follow(self) -> None:
        """For ever; a connection that ends is opened again."""
        while True:
            with contextlib.suppress(OSError, websockets.WebSocketException, TimeoutError):
                async with websockets.connect(
                    self._url, open_timeout=READ_S_MAX, close_timeout=1, compression=None
                ) as stream:
                    async for text in stream:
                        self._take(msgspec.json.decode(text)["data"])
            await asyncio.sleep(RETRY_S)

    def _take(self, ticker: dict[str, str]) -> None:
        tick = self._rules[ticker["s"]].tick
        bid, ask = (int(Decimal(ticker[side]) / tick) or None for side in ("b", "a"))
        self._touches[ticker["s"]] = Touch(bid, ask)


class Member:
    """An account on the exchange, over connections that are opened again when they end."""

    def __init__(self, api_url: str, key: Key, symbols: Sequence[str]) -> None:
        self._api_url, self._key, self._symbols = api_url, key, symbols
        self._socket: TradingSocket | None = None
        self.connected = asyncio.Event()
        self.refusals: Counter[int] = Counter()
        """How often the exchange said no, by its codes."""

    async def stay(self) -> None:
        """Keep a connection, for ever. Whatever rests from an earlier one is cancelled first."""
        try:
            while True:
                with contextlib.suppress(
                    OSError, websockets.WebSocketException, TimeoutError, NotConnected
                ):
                    async with TradingSocket(self._api_url, self._key) as socket:
                        await self._sweep(socket)
                        self._socket = socket
                        self.connected.set()
                        await socket.ended()
                self._socket = None
                await asyncio.sleep(RETRY_S)
        finally:
            self._socket = None

    async def leave(self) -> None:
        """Cancel what is open, over a connection of its own."""
        with contextlib.suppress(
            OSError, websockets.WebSocketException, TimeoutError, NotConnected
        ):
            async with TradingSocket(self._api_url, self._key) as socket:
                await self._sweep(socket)

    async def place(self, rules: Rules, **terms: object) -> dict[str, Any] | None:
        """The answer to a new order; None where it was refused, or nobody knows."""
        answer: dict[str, Any] | None = await self._request(
            "order.place", symbol=rules.symbol, **terms
        )
        return answer

    async def cancel(self, rules: Rules, order_id: int) -> None:
        """Whether it was still there does not matter."""
        await self._request("order.cancel", symbol=rules.symbol, orderId=order_id)

    async def cancel_all(self, rules: Rules) -> None:
        """Whether there was anything does not matter."""
        await self._request("openOrders.cancelAll", symbol=rules.symbol)

    async def free(self, asset: str) -> Decimal:
        """What the account has and does not hold for orders; 0 while nobody answers."""
        account = await self._request("account.status", omitZeroBalances="true") or {}
        balances = {one["asset"]: one["free"] for one in account.get("balances", ())}
        return Decimal(balances.get(asset, "0"))

    async def _request(self, method: str, **parameters: object) -> Any:
        if self._socket is None:
            return None
        try:
            return await self._socket.request(method, **parameters)
        except Refused as refusal:
            self.refusals[refusal.code] += 1
        except NotConnected:
            pass
        return None

    async def _sweep(self, socket: TradingSocket) -> None:
        for symbol in self._symbols:
            try:
                await socket.request("openOrders.cancelAll", symbol=symbol)
            except Refused as refusal:
                # Otherwise there was nothing to cancel, or the market takes no cancels now.
                if refusal.code == BUSY:
                    raise NotConnected from None
