"""Every stream over a real socket, by every way to ask for it."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from made_outcomes import START, UNIT
from stream_clients import (
    SILENCE_S,
    Exchange,
    ask,
    deaf_socket,
    drain,
    receive,
    running,
    silence,
    texts_of,
    until,
)
from websockets.frames import CloseCode

from exchange.services.candles import MINUTE, SECOND
from exchange.services.orders import Side
from exchange.websocket.limits import Limits
from exchange.websocket.streams import Speed, array_streams, market_streams

EVERY = [name for one in (*market_streams("BTCUSDT"), *array_streams()) for name in one.names]


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with running(Limits(close_s=0.3)) as exchange:
        yield exchange


def change_everything(exchange: Exchange) -> None:
    """Something that every stream has to tell, sooner or later."""
    number = exchange.market.number + 1
    exchange.now += 10 * SECOND
    exchange.change((Side.BUY, number, number), trades=((number * UNIT, UNIT),))
    exchange.tick()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("way", ["raw", "combined", "message"])
async def test_every_name_is_served_by_every_way_to_ask(
    exchange: Exchange, name: str, way: str
) -> None:
    exchange.change(trades=((UNIT, UNIT),))
    paths = {"raw": f"/ws/{name}", "combined": f"/stream?streams={name}", "message": "/ws/7"}
    async with exchange.client(paths[way]) as client:
        if way == "message":
            assert await ask(client, "SUBSCRIBE", name) == {"result": None, "id": 1}
            assert await ask_for_list(client) == [name]
        await until(lambda: exchange.server._listeners)
        change_everything(exchange)
        event = await receive(client)

        if way == "combined":
            assert event.pop("stream") == name
            event = event.pop("data")
        one = event[0] if isinstance(event, list) else event
        assert one.get("s", "BTCUSDT") == "BTCUSDT"
        assert isinstance(event, list) == name.startswith("!")

        await client.send(json.dumps({"method": "UNSUBSCRIBE", "params": [name], "id": 9}))
        await until(lambda: not exchange.server._listeners)
        change_everything(exchange)
        while True:
            message = await receive(client)
            if isinstance(message, dict) and message.get("id") == 9:
                break
        assert await ask(client, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}


async def ask_for_list(client: Any) -> Any:
    """A state may come before the answer."""
    await client.send('{"method":"LIST_SUBSCRIPTIONS","id":2}')
    while True:
        message = await receive(client)
        if isinstance(message, dict) and message.get("id") == 2:
            return message["result"]


async def test_several_names_are_served_side_by_side(exchange: Exchange) -> None:
    path = "/ws/0/btcusdt@aggTrade/btcusdt@kline_1m@+08:00/!miniTicker@arr@1000ms"
    async with exchange.client(path) as client:
        change_everything(exchange)

        events = [await receive(client) for _ in range(3)]

    told = {one[0]["e"] if isinstance(one, list) else one["e"] for one in events}
    assert told == {"aggTrade", "kline", "24hrMiniTicker"}


async def test_a_name_is_told_as_its_listener_spells_it(exchange: Exchange) -> None:
    names = ["btcusdt@kline_1m", "btcusdt@kline_1m@+08:00"]
    async with exchange.client(f"/stream?streams={'/'.join(names)}") as client:
        change_everything(exchange)

        events = [await receive(client) for _ in names]

    assert {one["stream"] for one in events} == set(names)
    assert events[0]["data"] == events[1]["data"]


async def test_the_answer_comes_before_the_state(exchange: Exchange) -> None:
    exchange.change(trades=((UNIT, UNIT),))
    async with exchange.client("/ws") as client:
        assert await ask(client, "SUBSCRIBE", "btcusdt@ticker", "btcusdt@kline_1d", id="x") == {
            "result": None,
            "id": "x",
        }
        assert [(await receive(client))["e"] for _ in range(2)] == ["24hrTicker", "kline"]
        # Asked for twice, it is not told twice.
        assert (await ask(client, "SUBSCRIBE", "btcusdt@ticker"))["result"] is None
        await silence(client)


async def test_an_array_says_nothing_until_something_changed(exchange: Exchange) -> None:
    exchange.change(trades=((UNIT, UNIT),))
    async with exchange.client("/ws/!miniTicker@arr/!ticker@arr/!ticker_1h@arr") as client:
        for _ in range(3):
            exchange.now += SECOND
            exchange.tick()
        await silence(client)
        change_everything(exchange)

        events = [await receive(client) for _ in range(3)]

    assert all([one["s"] for one in event] == ["BTCUSDT"] for event in events)


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
async def test_every_time_comes_in_the_unit_that_was_asked_for(
    exchange: Exchange, unit: str
) -> None:
    names = "btcusdt@kline_1m/btcusdt@ticker/btcusdt@avgPrice/btcusdt@aggTrade/!ticker_1d@arr"
    exchange.change(trades=((UNIT, UNIT),))
    async with exchange.client(f"/stream?streams={names}&timeUnit={unit}") as client:
        for _ in range(3):
            await receive(client)
        change_everything(exchange)
        events = {}
        for _ in range(5):
            event = await receive(client)
            events[event["stream"].partition("@")[2]] = event["data"]

    assert events["kline_1m"]["k"]["T"] == events["kline_1m"]["k"]["t"] + MINUTE - 1
    assert events["ticker"]["C"] == events["arr"][0]["C"] == exchange.now
    assert events["avgPrice"]["T"] == events["aggTrade"]["T"]
    assert all(one["E"] == exchange.now for one in (*events["arr"], events["ticker"]))


async def test_all_that_a_tick_says_is_written_at_once(exchange: Exchange) -> None:
    path = "/ws/btcusdt@depth@100ms/btcusdt@ticker/btcusdt@avgPrice/!miniTicker@arr"
    async with exchange.client(path) as client:
        (served,) = exchange.server._sockets
        writes: list[bytes] = []
        transport = served._transport

        class Counting:
            def __getattr__(self, name: str) -> Any:
                return getattr(transport, name)

            def write(self, data: bytes) -> None:
                writes.append(data)
                transport.write(data)

        served._transport = Counting()  # type: ignore[assignment]
        exchange.now += SECOND
        exchange.change((Side.BUY, 5, 5), trades=((UNIT, UNIT),))
        exchange.tick()
        assert len(writes) == 1
        for _ in range(4):
            await receive(client)


async def test_a_slow_reader_is_told_the_newest_ticker_and_every_array(exchange: Exchange) -> None:
    names = "btcusdt@trade/btcusdt@ticker/!miniTicker@arr/btcusdt@depth5"
    slow = deaf_socket(exchange, f"/stream?streams={names}")
    await until(lambda: exchange.server._listeners)
    (served,) = exchange.server._sockets
    ticks = 0
    while served._outbox.waiting_bytes < 500_000:
        ticks += 1
        exchange.now += SECOND
        exchange.change((Side.BUY, ticks, 1), trades=((ticks * UNIT, UNIT),) * 200)
        exchange.tick(Speed.SLOW)
        await asyncio.sleep(0)
    reading = asyncio.get_running_loop().run_in_executor(None, drain, slow)
    await until(lambda: not served._outbox)
    await asyncio.sleep(SILENCE_S)
    await exchange.server.close(CloseCode.GOING_AWAY, "")

    heard: dict[str, list[Any]] = {}
    for text in texts_of(await reading):
        event = json.loads(text)
        heard.setdefault(event["stream"], []).append(event["data"])
    assert len(heard["btcusdt@trade"]) == 200 * ticks
    assert [one[0]["c"] for one in heard["!miniTicker@arr"]] == [
        f"{number}.00000000" for number in range(1, ticks + 1)
    ]
    assert heard["btcusdt@ticker"][-1]["c"] == f"{ticks}.00000000"
    assert heard["btcusdt@depth5"][-1]["lastUpdateId"] == exchange.market.counters.update_id
    assert len(heard["btcusdt@ticker"]) < ticks
    assert len(heard["btcusdt@depth5"]) < ticks


async def test_who_comes_back_to_a_new_server_finds_the_same_sequence() -> None:
    limits = Limits(close_s=0.3)
    async with running(limits) as before:
        async with before.client("/ws/btcusdt@depth@100ms") as client:
            for price in (5, 6):
                before.change((Side.BUY, price, 1))
            before.tick()
            last = (await receive(client))["u"]
        async with running(limits) as after:
            after.server.load(before.server._feeds.views)
            after.market = before.market
            async with after.client("/ws/btcusdt@depth@100ms") as client:
                after.change((Side.BUY, 7, 1))
                after.tick()

                assert (await receive(client))["U"] == last + 1


def test_the_clock_of_these_tests_stands_at_a_whole_minute() -> None:
    assert START % MINUTE == 0
