"""Streams as unmodified clients read them, while two accounts trade: they tell what REST shows."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import ccxt.pro
import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.base_client import BaseClient
from binance.ws.depthcache import DepthCacheManager
from binance_common.configuration import (
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
)
from binance_sdk_spot.spot import Spot
from binance_sdk_spot.websocket_streams import models
from conftest import Exchange, ccxt_pro

MARKET, SYMBOL = "SOL/USDC", "SOLUSDC"
WAIT_S = 30
PRICES = (70, 71, 70, 72, 69)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not await holds():
            await asyncio.sleep(0.1)


class Crowd:
    """Two who trade with each other over REST, and leave nothing behind."""

    def __init__(self, seller: ccxt.pro.binance, buyer: ccxt.pro.binance) -> None:
        self.seller, self.buyer = seller, buyer

    async def trade(self) -> None:
        for price in PRICES:
            await self.seller.create_order(MARKET, "limit", "sell", 0.3, price)
            await self.buyer.create_order(MARKET, "limit", "buy", 0.2, price)
            await self.buyer.create_order(MARKET, "limit", "buy", 0.3, 60)
        await self.seller.cancel_all_orders(MARKET)


@pytest.fixture
def open_crowd(exchange: Exchange) -> Callable[[], Any]:
    @asynccontextmanager
    async def open_() -> AsyncIterator[Crowd]:
        seller = ccxt_pro(exchange, exchange.account(SOL="10"))
        buyer = ccxt_pro(exchange, exchange.account(USDC="1000"))
        try:
            yield Crowd(seller, buyer)
        finally:
            for client in (seller, buyer):
                if await client.fetch_open_orders(MARKET):
                    await client.cancel_all_orders(MARKET)
                await client.close()

    return open_


# --- ccxt.pro ---------------------------------------------------------------------------------------


class Watcher:
    """Everything that ccxt.pro watches for one account, the newest of each."""

    def __init__(self, client: ccxt.pro.binance) -> None:
        self.client = client
        self.newest: dict[str, Any] = {}
        self.trades: dict[str, tuple[float, float]] = {}
        self.own_trades: dict[str, float] = {}
        self.orders: dict[str, str] = {}

    async def watch(self) -> None:
        client = self.client
        async with asyncio.TaskGroup() as group:
            for name, ask in (
                ("book", lambda: client.watch_order_book(MARKET)),
                ("ticker", lambda: client.watch_ticker(MARKET)),
                ("tickers", lambda: client.watch_tickers([MARKET])),
                ("best", lambda: client.watch_bids_asks([MARKET])),
                ("candles", lambda: client.watch_ohlcv(MARKET, "1m")),
                ("balance", client.watch_balance),
            ):
                group.create_task(self._watch(name, ask))
            group.create_task(self._watch_each(lambda: client.watch_trades(MARKET), self._trade))
            group.create_task(self._watch_each(lambda: client.watch_orders(MARKET), self._order))
            group.create_task(self._watch_each(lambda: client.watch_my_trades(MARKET), self._own))

    async def _watch(self, name: str, ask: Callable[[], Awaitable[Any]]) -> None:
        while True:
            self.newest[name] = await ask()

    async def _watch_each(
        self, ask: Callable[[], Awaitable[Any]], take: Callable[[dict], None]
    ) -> None:
        while True:
            for one in await ask():
                take(one)

    def _trade(self, trade: dict) -> None:
        self.trades[trade["id"]] = trade["price"], trade["amount"]

    def _own(self, trade: dict) -> None:
        self.own_trades[trade["id"]] = trade["amount"]

    def _order(self, order: dict) -> None:
        self.orders[order["id"]] = order["status"]


def test_what_ccxt_pro_watches_is_what_it_fetches(open_crowd: Callable[[], Any]) -> None:
    async def scenario() -> None:
        async with open_crowd() as crowd:
            watcher = Watcher(crowd.buyer)
            watching = asyncio.create_task(watcher.watch())
            await until(lambda: _of("book" in watcher.newest or watching.done()))
            # The other subscriptions were sent before that one's snapshot was asked for.
            await asyncio.sleep(1)
            before = set(await each_trade(crowd.buyer))

            await crowd.trade()
            await compare(watcher, before)
            watching.cancel()

    asyncio.run(scenario())


async def compare(watcher: Watcher, before: set[str]) -> None:
    client, newest = watcher.client, watcher.newest
    new = {id: what for id, what in (await each_trade(client)).items() if id not in before}
    await until(lambda: _of(len(watcher.trades) >= len(new) and new != {}))
    assert watcher.trades == new
    own = {one["id"]: one["amount"] for one in await client.fetch_my_trades(MARKET)}
    await until(lambda: _of(len(watcher.own_trades) >= len(own)))
    assert watcher.own_trades == own
    orders = {one["id"]: one["status"] for one in await client.fetch_orders(MARKET)}
    await until(lambda: _of(watcher.orders == orders))

    async def is_book() -> bool:
        shown = await client.fetch_order_book(MARKET)
        book = newest["book"]
        if book["nonce"] != shown["nonce"]:
            return False
        assert (list(book["bids"]), list(book["asks"])) == (shown["bids"], shown["asks"])
        return True

    async def is_ticker() -> bool:
        shown = await client.fetch_ticker(MARKET)
        # It watches small tickers, which do not have the best prices.
        names = ("last", "baseVolume", "quoteVolume", "open", "high", "low")
        return all(
            [told.get(name) for name in names] == [shown[name] for name in names]
            for told in (newest["ticker"], newest["tickers"][MARKET])
        )

    async def is_candle() -> bool:
        shown = await client.fetch_ohlcv(MARKET, "1m", limit=5)
        told = newest["candles"][-1]
        return list(told) in shown and (told[5] > 0 or told[4] == shown[-1][4])

    async def is_balance() -> bool:
        shown = await client.fetch_balance()
        return all(
            newest["balance"][asset]["free"] == shown[asset]["free"] for asset in ("SOL", "USDC")
        )

    for holds in (is_book, is_ticker, is_candle, is_balance):
        await until(holds)
    best = newest["best"][MARKET]
    assert [best["bid"], best["bidVolume"]] == list(newest["book"]["bids"][0])


async def each_trade(client: ccxt.pro.binance) -> dict[str, tuple[float, float]]:
    """It fetches aggregates, unless told otherwise, and watches trades."""
    trades = await client.fetch_trades(MARKET, params={"fetchTradesMethod": "publicGetTrades"})
    return {one["id"]: (one["price"], one["amount"]) for one in trades}


async def _of(value: bool) -> bool:
    return value


# --- python-binance -----------------------------------------------------------------------------------


@pytest.fixture
def _addresses(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseClient, "API_URL", f"{exchange.rest}/api")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.ws}/")


@pytest.mark.usefixtures("_addresses")
def test_the_depth_cache_is_the_book_at_its_update_id(open_crowd: Callable[[], Any]) -> None:
    async def scenario() -> None:
        client = await AsyncClient.create()
        try:
            async with (
                open_crowd() as crowd,
                DepthCacheManager(client, SYMBOL, refresh_interval=0) as cache,
            ):
                trading = asyncio.create_task(crowd.trade())
                async with asyncio.timeout(WAIT_S):
                    while True:
                        book = await cache.recv()
                        shown = await client.get_order_book(symbol=SYMBOL, limit=5000)
                        if trading.done() and cache._last_update_id == shown["lastUpdateId"]:
                            break
                await trading
                assert book.get_bids() == _numbers(shown["bids"])
                assert book.get_asks() == _numbers(shown["asks"])
        finally:
            await client.close_connection()

    asyncio.run(scenario())


def _numbers(levels: list[list[str]]) -> list[list[float]]:
    return [[float(price), float(quantity)] for price, quantity in levels]


@pytest.mark.usefixtures("_addresses")
def test_a_multiplex_socket_tells_all_its_streams(open_crowd: Callable[[], Any]) -> None:
    names = [f"{SYMBOL.lower()}@{kind}" for kind in ("trade", "aggTrade", "bookTicker", "depth")]
    names += [f"{SYMBOL.lower()}@{kind}" for kind in ("kline_1s", "miniTicker", "depth5@100ms")]
    names += ["!ticker@arr"]

    async def scenario() -> tuple[list[dict], list[dict]]:
        client = await AsyncClient.create()
        heard: list[dict] = []
        try:
            async with (
                open_crowd() as crowd,
                BinanceSocketManager(client).multiplex_socket(names) as events,
            ):
                before = await client.get_recent_trades(symbol=SYMBOL)
                await crowd.trade()
                shown = [
                    one
                    for one in await client.get_recent_trades(symbol=SYMBOL)
                    if not before or one["id"] > before[-1]["id"]
                ]
                missing, last = set(names), 0
                async with asyncio.timeout(WAIT_S):
                    while missing or last < shown[-1]["id"]:
                        heard.append(event := await events.recv())
                        missing.discard(event["stream"])
                        if event["stream"].endswith("@trade"):
                            last = event["data"]["t"]
        finally:
            await client.close_connection()
        return heard, shown

    heard, shown = asyncio.run(scenario())

    told = [event["data"] for event in heard if event["stream"].endswith("@trade")]
    assert [(one["t"], one["p"], one["q"], one["T"], one["m"]) for one in told] == [
        (one["id"], one["price"], one["qty"], one["time"], one["isBuyerMaker"]) for one in shown
    ]


# --- The official SDK -----------------------------------------------------------------------------------


@pytest.fixture
def _no_complaints(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """It warns where a message is not as it was described, and goes on: to us that is a fault."""
    yield
    complaints = [one for one in caplog.get_records("call") if one.levelno >= logging.WARNING]
    assert complaints == []


@pytest.mark.usefixtures("_no_complaints")
def test_the_sdk_understands_every_stream(
    exchange: Exchange, open_crowd: Callable[[], Any]
) -> None:
    async def scenario() -> None:
        spot = Spot(config_ws_streams=ConfigurationWebSocketStreams(stream_url=exchange.ws))
        streams = spot.websocket_streams
        await streams.create_connection()
        heard: dict[str, Any] = {}

        def listen(name: str) -> Callable[[Any], None]:
            return lambda message: heard.__setitem__(name, message)

        wanted = {
            "trade": streams.trade(SYMBOL),
            "agg_trade": streams.agg_trade(SYMBOL),
            "book_ticker": streams.book_ticker(SYMBOL),
            "avg_price": streams.avg_price(SYMBOL),
            "ticker": streams.ticker(SYMBOL),
            "mini_ticker": streams.mini_ticker(SYMBOL),
            "all_mini_ticker": streams.all_mini_ticker(),
        }
        for size in models.RollingWindowTickerWindowSizeEnum:
            wanted[f"window {size.value}"] = streams.rolling_window_ticker(SYMBOL, size.value)
        for size in models.AllMarketRollingWindowTickerWindowSizeEnum:
            wanted[f"windows {size.value}"] = streams.all_market_rolling_window_ticker(size.value)
        for interval in models.KlineIntervalEnum:
            wanted[f"kline {interval.value}"] = streams.kline(SYMBOL, interval.value)
            offset = streams.kline_offset(SYMBOL, interval.value)
            wanted[f"kline {interval.value} +8"] = offset
        for speed in (None, "100ms"):
            wanted[f"diffs {speed}"] = streams.diff_book_depth(SYMBOL, update_speed=speed)
            for levels in models.PartialBookDepthLevelsEnum:
                partial = streams.partial_book_depth(SYMBOL, levels.value, update_speed=speed)
                wanted[f"book {levels.value} {speed}"] = partial
        for name, subscription in wanted.items():
            (await subscription).on("message", listen(name))
        try:
            async with open_crowd() as crowd:
                await crowd.trade()
                await until(lambda: _of(heard.keys() == wanted.keys()))
                (last,) = await crowd.buyer.fetch_trades(MARKET, limit=1)
        finally:
            await streams.close_connection()

        assert heard["trade"].p == last["info"]["p"]
        assert {name for name, message in heard.items() if isinstance(message, dict)} == set()

    asyncio.run(scenario())


@pytest.mark.usefixtures("_no_complaints", "_addresses")
def test_the_sdk_hears_its_account_on_both_doors(exchange: Exchange) -> None:
    account = exchange.account(USDC="1000")
    api = exchange.rest.replace("http", "ws", 1) + "/ws-api/v3"
    keys = {"api_key": account.api_key, "api_secret": account.secret}

    async def scenario() -> tuple[list[Any], list[Any]]:
        spot = Spot(
            ConfigurationRestAPI(**keys, base_path=exchange.rest, timeout=20_000),
            ConfigurationWebSocketAPI(**keys, stream_url=api),
            ConfigurationWebSocketStreams(stream_url=exchange.ws),
        )
        by_key: list[Any] = []
        by_session: list[Any] = []
        client = await AsyncClient.create(account.api_key, account.secret)
        listen_key = await client.stream_get_listen_key()
        streams, session = spot.websocket_streams, spot.websocket_api
        await streams.create_connection()
        await session.create_connection()
        try:
            (await streams.user_data(listen_key)).on("message", by_key.append)
            subscribed = await session.user_data_stream_subscribe_signature()
            subscribed.stream.on("message", by_session.append)
            placed = await client.order_limit_buy(symbol=SYMBOL, quantity="1", price="40")
            await client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
            await until(lambda: _of(len(by_key) >= 4 and len(by_session) >= 4))
        finally:
            await streams.close_connection()
            await session.close_connection()
            await client.close_connection()
        return by_key, by_session

    by_key, by_session = asyncio.run(scenario())

    assert [type(one.actual_instance).__name__ for one in by_key] == [
        "ExecutionReport", "OutboundAccountPosition", "ExecutionReport", "OutboundAccountPosition",
    ]  # fmt: skip
    assert [one.actual_instance.to_dict() for one in by_key] == [
        one.actual_instance.to_dict() for one in by_session
    ]
