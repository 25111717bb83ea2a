"""The whole service on a real Postgres and a real Redis, an engine's part played by the test."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import pytest
from frames import opened
from made_outcomes import BTCUSDT, UNIT, MadeMarket, frame, level, outcome
from msgspec import structs
from postgres_db.examples import order
from servers import KillableServer
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from exchange.db_processor.writer import write
from exchange.postgres_db.connection import connected
from exchange.redis.leadership import Leadership
from exchange.services.failures import WorldFailed
from exchange.services.markets import Asset
from exchange.services.messages import OutcomeFrame
from exchange.services.orders import Side
from exchange.services.process import Health
from exchange.services.rows import Account, Counters, Trade
from exchange.services.settings import Settings
from exchange.websocket import service

BUY, SELL = Side.BUY, Side.SELL


class Exchange:
    """Journals the outcomes of one market, whose first order rests at 100 since outcome 2."""

    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self.market = MadeMarket()
        self.frames: list[OutcomeFrame] = []

    async def begin(self) -> None:
        self.market.counters = Counters(symbol="BTCUSDT", update_id=1, order_id=1, queue=1)
        self.market.number = 2
        first = opened(previous=0, number=1)
        await self._leadership.claim(1)
        await self._leadership.open_gate(first)
        resting = order(1, symbol="BTCUSDT", price=100 * UNIT, quantity=3 * UNIT)
        second = frame(
            1,
            outcome(
                2,
                Asset("BTC", 8),
                Asset("USDT", 8),
                Account(id=1, name="alice", created=1),
                BTCUSDT,
                self.market.counters,
                resting,
                level(BUY, 100 * UNIT, 3 * UNIT),
            ),
        )
        await self._leadership.append(second)
        self.frames = [first, second]

    async def change(
        self, *levels: tuple[Side, int, int], trades: tuple[tuple[int, int], ...] = ()
    ) -> None:
        await self._append(self.market.frame(*levels, trades=trades))

    async def trade(self, price: int, time: int) -> None:
        """At a time of the test's choice."""
        made = self.market.frame(trades=((price, UNIT),))
        (one,) = made.outcomes
        rows = tuple(
            structs.replace(row, time=time) if isinstance(row, Trade) else row for row in one.rows
        )
        await self._append(structs.replace(made, outcomes=(structs.replace(one, rows=rows),)))

    async def _append(self, made: OutcomeFrame) -> None:
        await self._leadership.append(made)
        self.frames.append(made)


@asynccontextmanager
async def journal(redis_url: str) -> AsyncIterator[Exchange]:
    leadership = await Leadership.open(redis_url)
    exchange = Exchange(leadership)
    await exchange.begin()
    yield exchange
    leadership.close()


class Service:
    """The service in a task of the test's loop."""

    def __init__(self, database_url: str, redis_url: str) -> None:
        self._port = free_port()
        self.health = Health()
        self.stop = asyncio.Event()
        settings = Settings(
            database_url=database_url,
            redis_url=redis_url,
            ws_stream_url=f"127.0.0.1:{self._port}",
        )
        self.task = asyncio.create_task(service.run(settings, self.health, self.stop))

    async def ready(self) -> None:
        async with asyncio.timeout(20):
            while not self.health.ready:
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(5):
            await self.task

    def uri(self, path: str) -> str:
        return f"ws://127.0.0.1:{self._port}{path}"

    @asynccontextmanager
    async def client(self, path: str) -> AsyncIterator[ClientConnection]:
        async with connect(self.uri(path), compression=None, close_timeout=1) as client:
            yield client


@asynccontextmanager
async def serving(database_url: str, redis_url: str) -> AsyncIterator[Service]:
    served = Service(database_url, redis_url)
    try:
        await served.ready()
        yield served
    finally:
        await served.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


async def receive(client: ClientConnection) -> Any:
    async with asyncio.timeout(5):
        return json.loads(await client.recv())


async def test_what_is_journalled_is_streamed(database_url: str, redis_url: str) -> None:
    async with journal(redis_url) as exchange, serving(database_url, redis_url) as served:
        path = "/stream?streams=btcusdt@trade/btcusdt@depth@100ms/btcusdt@depth5/btcusdt@bookTicker"
        async with served.client(path) as client:
            assert (await receive(client))["data"]["bids"] == [["100.00000000", "3.00000000"]]

            await exchange.change(
                (BUY, 100 * UNIT, UNIT), (SELL, 101 * UNIT, UNIT), trades=((100 * UNIT, 2 * UNIT),)
            )
            received = [await receive(client) for _ in range(4)]
            events = {event["stream"]: event["data"] for event in received}

    assert events["btcusdt@trade"]["p"] == "100.00000000"
    assert events["btcusdt@bookTicker"]["B"] == "1.00000000"
    depth = events["btcusdt@depth@100ms"]
    assert depth["U"] <= depth["u"] == 2
    assert depth["b"] == [["100.00000000", "1.00000000"]]
    assert events["btcusdt@depth5"]["lastUpdateId"] == 2


async def test_it_begins_where_postgres_is_and_catches_up(
    database_url: str, redis_url: str
) -> None:
    async with journal(redis_url) as exchange:
        async with connected(database_url, application_name="test") as connection:
            await write(connection, exchange.frames)
        for quantity in range(1, 600):
            await exchange.change((BUY, 99 * UNIT, quantity))

        async with (
            serving(database_url, redis_url) as served,
            served.client("/ws/btcusdt@depth5") as client,
        ):
            event = await receive(client)

    assert event == {
        "lastUpdateId": 600,
        "bids": [["100.00000000", "3.00000000"], ["99.00000000", "0.00000599"]],
        "asks": [],
    }


async def test_candles_and_tickers_go_on_where_postgres_ends(
    database_url: str, redis_url: str
) -> None:
    async with journal(redis_url) as exchange:
        now = time.time_ns() // 1_000
        for price in (100, 103):
            await exchange.trade(price * UNIT, now)
        async with connected(database_url, application_name="test") as connection:
            await write(connection, exchange.frames)
        await exchange.trade(102 * UNIT, now)

        async with (
            serving(database_url, redis_url) as served,
            served.client("/ws/btcusdt@kline_1M/btcusdt@kline_1d@+08:00/btcusdt@ticker") as client,
        ):
            month, day, ticker = [await receive(client) for _ in range(3)]

    for candle in (month["k"], day["k"]):
        assert (candle["f"], candle["L"], candle["n"]) == (1, 3, 3)
        assert (candle["h"], candle["c"]) == ("103.00000000", "102.00000000")
    assert (ticker["o"], ticker["n"]) == ("100.00000000", 3)


async def test_the_sequence_is_whole_under_load(database_url: str, redis_url: str) -> None:
    async with (
        journal(redis_url) as exchange,
        serving(database_url, redis_url) as served,
        served.client("/ws/btcusdt@depth@100ms") as client,
    ):
        for number in range(1, 400):
            await exchange.change((BUY, (90 + number % 7) * UNIT, number))
        events = [await receive(client)]
        while events[-1]["u"] < exchange.market.counters.update_id:
            events.append(await receive(client))

    assert events[0]["U"] <= 2
    assert all(one["u"] + 1 == other["U"] for one, other in pairwise(events))


async def test_on_a_stop_everyone_is_told_some_time_before(
    database_url: str, redis_url: str
) -> None:
    async with (
        journal(redis_url) as exchange,
        serving(database_url, redis_url) as served,
        served.client("/ws") as client,
    ):
        served.stop.set()
        assert (await receive(client))["e"] == "serverShutdown"
        assert not served.health.ready
        # What still happens is still told.
        await client.send('{"method":"SUBSCRIBE","params":["btcusdt@trade"],"id":1}')
        assert (await receive(client))["result"] is None
        await exchange.change(trades=((100 * UNIT, UNIT),))
        assert (await receive(client))["e"] == "trade"

        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001
        await served.task
        assert not served.health.ready


async def test_when_redis_stays_away_everyone_is_told_and_the_state_is_dropped(
    database_url: str, own_redis: KillableServer
) -> None:
    async with journal(own_redis.url):
        served = Service(database_url, own_redis.url)
        await served.ready()
        async with served.client("/ws") as client, asyncio.timeout(8):
            own_redis.kill()
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012
            with pytest.raises(WorldFailed):
                await served.task


async def test_until_it_is_current_it_answers_that_it_is_starting(
    database_url: str, own_redis: KillableServer
) -> None:
    own_redis.kill()
    served = Service(database_url, own_redis.url)
    await asyncio.sleep(0)

    with pytest.raises((OSError, InvalidHandshake)):
        await connect(served.uri("/ws"))

    assert not served.health.ready
    with pytest.raises((WorldFailed, OSError)):
        await served.task
