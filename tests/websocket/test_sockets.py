"""The stream server on real sockets, fed by hand."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from made_outcomes import START, UNIT
from stream_clients import (
    SILENCE_S,
    Exchange,
    ask,
    close_of,
    deaf_socket,
    drain,
    handshake,
    receive,
    running,
    silence,
    texts_of,
    until,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from exchange.services.orders import Side
from exchange.services.settings import Address
from exchange.websocket.limits import Limits
from exchange.websocket.sockets import StreamServer
from exchange.websocket.streams import DEPTH_SPEEDS, Speed

BUY, SELL = Side.BUY, Side.SELL


@pytest.fixture
async def exchange() -> AsyncIterator[Exchange]:
    async with running(Limits(close_s=0.3, messages_per_second=100)) as exchange:
        yield exchange


@pytest.mark.parametrize("path", ["/ws", "/ws/", "/ws/0", "/stream", "/stream?streams=", "//ws"])
async def test_nothing_is_sent_unasked(exchange: Exchange, path: str) -> None:
    async with exchange.client(path) as client:
        exchange.change((BUY, UNIT, UNIT), trades=((UNIT, UNIT),))
        exchange.tick()
        await silence(client)


@pytest.mark.parametrize(
    ("path", "name", "is_combined"),
    [
        ("/ws/btcusdt@trade", "btcusdt@trade", False),
        ("/ws/0/btcusdt@trade/ethusdt@trade", "btcusdt@trade", False),
        ("/stream?streams=btcusdt@trade/0", "btcusdt@trade", True),
        ("/stream?streams=btcusdt%40trade", "btcusdt@trade", True),
    ],
)
async def test_an_address_names_streams(
    exchange: Exchange, path: str, name: str, is_combined: bool
) -> None:
    async with exchange.client(path) as client:
        exchange.change(trades=((UNIT, UNIT),))

        event = await receive(client)

        if is_combined:
            assert event["stream"] == name
            event = event["data"]
        assert (event["e"], event["s"], event["t"]) == ("trade", "BTCUSDT", 1)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 404), ("/elsewhere", 404), ("/ws?timeUnit=HOUR", 400)]
)
async def test_an_impossible_address_is_refused(exchange: Exchange, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with exchange.client(path):
            pass

    assert refused.value.response.status_code == status


async def test_nobody_is_let_in_before_the_markets_are_current() -> None:
    server = StreamServer(Limits(close_s=0.3))
    await server.open(Address("127.0.0.1", 0))

    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{server.port}/ws")

    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "1"
    await server.close(CloseCode.GOING_AWAY, "")


async def test_a_handshake_is_bounded(exchange: Exchange) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.server.port)
    writer.write(b"GET /ws HTTP/1.1\r\n" + b"X: y" * 1_000 + b"\r\n")
    writer.writelines(b"X-%d: %b\r\n" % (number, b"y" * 4_000) for number in range(5))

    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()

    assert answer.startswith(b"HTTP/1.1 431 ")


async def test_what_is_no_handshake_is_dropped(exchange: Exchange) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", exchange.server.port)
    writer.write(b"\x16\x03\x01 hello\r\n\r\n")

    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_silent_connection_is_dropped() -> None:
    async with running(Limits(close_s=0.3, handshake_s=0)) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.server.port)
        await asyncio.sleep(0.05)
        exchange.server.sweep()

        await until(lambda: not exchange.server._sockets)
        assert reader.at_eof() or reader.exception() is not None
        writer.close()


async def test_subscribe_list_and_unsubscribe(exchange: Exchange) -> None:
    async with exchange.client("/ws") as client:
        assert await ask(client, "SUBSCRIBE", "btcusdt@trade", "btcusdt@bookTicker", id=1) == {
            "result": None,
            "id": 1,
        }
        assert await ask(client, "LIST_SUBSCRIPTIONS", id="x") == {
            "result": ["btcusdt@trade", "btcusdt@bookTicker"],
            "id": "x",
        }
        exchange.change((BUY, UNIT, UNIT), trades=((UNIT, UNIT),))
        assert (await receive(client))["e"] == "trade"
        assert (await receive(client))["b"] == "1.00000000"

        assert await ask(client, "UNSUBSCRIBE", "btcusdt@trade", id=None) == {
            "result": None,
            "id": None,
        }
        exchange.change(trades=((UNIT, UNIT),))
        await silence(client)


async def test_the_envelope_can_be_switched_on(exchange: Exchange) -> None:
    async with exchange.client("/ws/btcusdt@trade") as client:
        assert await ask(client, "SET_PROPERTY", "combined", True) == {"result": None, "id": 1}
        exchange.change(trades=((UNIT, UNIT),))

        assert (await receive(client))["stream"] == "btcusdt@trade"


async def test_times_can_come_in_microseconds(exchange: Exchange) -> None:
    async with exchange.client("/ws/btcusdt@trade?timeUnit=MICROSECOND") as client:
        exchange.change(trades=((UNIT, UNIT),))

        assert (await receive(client))["T"] == START


async def test_after_an_error_the_socket_goes_on(exchange: Exchange) -> None:
    async with exchange.client("/ws") as client:
        await client.send("this is no JSON")
        assert (await receive(client))["code"] == 3

        refused = await ask(client, "SUBSCRIBE", "btcusdt@trade", "btcusdt@kline_7m", id=5)
        assert (refused["code"], refused["error"]["code"], refused["id"]) == (2, 2, 5)
        assert "btcusdt@kline_7m" in refused["msg"]

        assert await ask(client, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
        exchange.change(trades=((UNIT, UNIT),))
        await silence(client)


async def test_a_message_may_come_in_fragments(exchange: Exchange) -> None:
    async with exchange.client("/ws") as client:
        await client.send(['{"method":"LIST_', "SUBSCRIPTIONS", '","id":9}'])

        assert await receive(client) == {"result": [], "id": 9}


@pytest.mark.parametrize("speed", DEPTH_SPEEDS)
async def test_a_late_joiner_follows_without_a_gap(exchange: Exchange, speed: Speed) -> None:
    path = f"/ws/btcusdt@depth@{speed}ms"
    async with exchange.client(path) as early:
        exchange.change((BUY, 5, 1))
        exchange.tick(speed)
        exchange.change((BUY, 6, 1))
        async with exchange.client("/ws") as late:
            await ask(late, "SUBSCRIBE", path.removeprefix("/ws/"))
            shown = exchange.server._feeds.views.markets["BTCUSDT"].counters.update_id
            exchange.change((BUY, 5, 0), (BUY, 7, 2))
            for _ in range(2):
                exchange.tick(speed)
                exchange.tick(speed)
                exchange.change((SELL, 9, exchange.market.number))
            exchange.tick(speed)

            events = [await receive(late) for _ in range(3)]
            assert [await receive(early) for _ in range(4)][1:] == events
            await silence(late)

    assert events[0]["U"] <= shown + 1
    assert [(event["U"], event["u"]) for event in events] == [(2, 3), (4, 4), (5, 5)]
    assert ["0.00000005", "0.00000000"] in events[0]["b"]


async def test_the_two_speeds_follow_each_their_own_ticks(exchange: Exchange) -> None:
    async with exchange.client("/stream?streams=btcusdt@depth/btcusdt@depth@100ms") as client:
        for price in (5, 6, 7):
            exchange.change((BUY, price, 1))
            exchange.tick(Speed.FAST)
        exchange.tick(Speed.SLOW)

        events = [await receive(client) for _ in range(4)]

    seen = [(event["stream"], event["data"]["U"], event["data"]["u"]) for event in events]
    fast = "btcusdt@depth@100ms"
    assert seen == [(fast, 1, 1), (fast, 2, 2), (fast, 3, 3), ("btcusdt@depth", 1, 3)]


async def test_partial_depth_begins_at_once_and_goes_on_with_changes(exchange: Exchange) -> None:
    exchange.change((BUY, 5, 1))
    async with exchange.client("/ws") as client:
        assert (await ask(client, "SUBSCRIBE", "btcusdt@depth5@100ms"))["result"] is None
        assert (await receive(client))["lastUpdateId"] == 1
        exchange.tick()
        await silence(client)
        exchange.change((SELL, 7, 1))
        exchange.tick()

        assert await receive(client) == {
            "lastUpdateId": 2,
            "bids": [["0.00000005", "0.00000001"]],
            "asks": [["0.00000007", "0.00000001"]],
        }


async def test_too_many_messages_end_the_socket() -> None:
    async with running(Limits(messages_per_second=5)) as exchange, exchange.client("/ws") as client:
        for _ in range(6):
            await client.send('{"method":"LIST_SUBSCRIPTIONS","id":1}')

        assert await close_of(client) == (1008, "too many messages")


async def test_five_messages_in_a_second_are_answered() -> None:
    async with running(Limits(messages_per_second=5)) as exchange, exchange.client("/ws") as client:
        for id in range(5):
            assert (await ask(client, "LIST_SUBSCRIPTIONS", id=id))["id"] == id


async def test_a_message_is_bounded(exchange: Exchange) -> None:
    async with exchange.client("/ws") as client:
        await client.send("x" * 100_000)

        assert (await close_of(client))[0] == 1009


async def test_text_that_is_no_text_ends_the_socket(exchange: Exchange) -> None:
    async with exchange.client("/ws") as client:
        await client.send(b'{"id":"\xff"}', text=True)

        assert (await close_of(client))[0] == 1007


async def test_who_does_not_answer_pings_is_dropped() -> None:
    async with running(Limits(ping_s=0, pong_s=0.2, close_s=0.3)) as exchange:
        reader, writer = await handshake(exchange, "/ws")
        async with exchange.client("/ws") as alive:
            for _ in range(8):
                await asyncio.sleep(0.05)
                exchange.server.sweep()
            assert await ask(alive, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}

        async with asyncio.timeout(5):
            rest = await reader.read()
        writer.close()
        assert rest.startswith(b"\x89")  # A ping came,
        assert rest.endswith(b"\x88\x09\x03\xf0no pong")  # and then the end.


async def test_a_generation_begins_with_new_sockets(exchange: Exchange) -> None:
    async with exchange.client("/ws/btcusdt@trade") as client:
        before = exchange.market.frame(trades=((UNIT, UNIT),))
        exchange.server.apply([before, exchange.market.opening()], START)

        assert (await receive(client))["t"] == 1
        assert await close_of(client) == (1012, "service restart")

    async with exchange.client("/ws/btcusdt@depth@100ms") as client:
        exchange.change((BUY, 5, 1))
        exchange.tick()
        assert (await receive(client))["U"] == (1 << 20) + 1


async def test_closing_the_server_tells_everyone_and_waits_for_no_one() -> None:
    async with running(Limits(close_s=0.3)) as exchange, exchange.client("/ws") as client:
        _, deaf = await handshake(exchange, "/ws")
        began = time.monotonic()
        await exchange.server.close(CloseCode.GOING_AWAY, "server shutdown")

        assert time.monotonic() - began < 2
        assert await close_of(client) == (1001, "server shutdown")
        deaf.close()
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", exchange.server.port)


async def test_a_slow_consumer_is_cut_off_while_others_notice_nothing() -> None:
    limits = Limits(waiting_bytes=256 * 1024, close_s=0.3)
    async with running(limits) as exchange:
        slow = deaf_socket(exchange, "/ws/btcusdt@trade/btcusdt@depth@100ms")
        async with exchange.client("/ws/btcusdt@depth@100ms") as quick:
            assert len(exchange.server._sockets) == 2
            worst, received, changes = 0.0, 0, 0
            while len(exchange.server._sockets) == 2:
                changes += 1
                exchange.change(
                    *((BUY, price, changes) for price in range(1, 200)),
                    trades=((UNIT, UNIT),) * 200,
                )
                exchange.tick(Speed.FAST)
                began = time.monotonic()
                event = await receive(quick)
                worst = max(worst, time.monotonic() - began)
                assert event["u"] == received + 1
                received = event["u"]
                assert changes < 1_000, "never cut off"

            assert worst < 1
            assert changes > 3

        # What it did get is whole and ends, if it ends with anything, with the reason.
        data = await asyncio.get_running_loop().run_in_executor(None, drain, slow)
        assert b'"t":1,' in data


async def test_who_reads_nothing_for_too_long_is_cut_off_however_little_waits() -> None:
    limits = Limits(stalled_s=0.2, close_s=0.5, waiting_bytes=2**40)
    async with running(limits) as exchange:
        slow = deaf_socket(exchange, "/ws/btcusdt@trade")
        await until(lambda: len(exchange.server._sockets) == 1)
        (socket_of_slow,) = exchange.server._sockets
        while not socket_of_slow.is_full:
            exchange.change(trades=((UNIT, UNIT),) * 200)
            await asyncio.sleep(0)
        exchange.server.sweep()
        assert socket_of_slow.is_open
        await asyncio.sleep(0.25)
        exchange.server.sweep()

        assert not socket_of_slow.is_open
        data = await asyncio.get_running_loop().run_in_executor(None, drain, slow)
        assert data.endswith(b"\x03\xf0slow consumer")
        await until(lambda: not exchange.server._sockets)


async def test_a_reader_that_wakes_up_in_time_misses_nothing_but_old_best_prices() -> None:
    async with running(Limits(close_s=0.3)) as exchange:
        slow = deaf_socket(exchange, "/stream?streams=btcusdt@trade/btcusdt@bookTicker")
        await until(lambda: len(exchange.server._sockets) == 1)
        (socket_of_slow,) = exchange.server._sockets
        count = 0
        while socket_of_slow._outbox.waiting_bytes < 500_000:
            count += 200
            exchange.change((BUY, count, 1), trades=((UNIT, UNIT),) * 200)
            await asyncio.sleep(0)
        reading = asyncio.get_running_loop().run_in_executor(None, drain, slow)
        await until(lambda: not socket_of_slow._outbox)
        await asyncio.sleep(SILENCE_S)
        await exchange.server.close(CloseCode.GOING_AWAY, "")

        events = [json.loads(text) for text in texts_of(await reading)]
        trades = [event["data"]["t"] for event in events if event["stream"].endswith("@trade")]
        tickers = [event["data"]["u"] for event in events if event["stream"].endswith("Ticker")]
        assert trades == list(range(1, count + 1))
        assert tickers == sorted(set(tickers))
        assert tickers[-1] == exchange.market.counters.update_id
        assert len(tickers) < exchange.market.counters.update_id


async def test_deaf_readers_cost_little() -> None:
    limits = Limits(close_s=0.3)
    async with running(limits) as exchange:
        deaf = [deaf_socket(exchange, "/ws/btcusdt@trade") for _ in range(50)]
        await until(lambda: len(exchange.server._sockets) == len(deaf))
        while any(not one._outbox for one in exchange.server._sockets):
            exchange.change(trades=((UNIT, UNIT),) * 200)
            await asyncio.sleep(0)

        # They hold the same frames, not copies, apart from what their transports have taken.
        shared = {id(frame) for one in exchange.server._sockets for frame in one._outbox._frames}
        longest = max(len(one._outbox) for one in exchange.server._sockets)
        assert len(shared) <= longest
        for one in deaf:
            one.close()


async def test_a_tenth_that_never_reads_changes_nothing_for_the_others_and_is_closed() -> None:
    limits = Limits(waiting_bytes=256 * 1024, close_s=0.3)
    async with running(limits) as exchange, AsyncExitStack() as stack:
        path = "/ws/btcusdt@trade"
        deaf = [deaf_socket(exchange, path) for _ in range(2)]
        others = [await stack.enter_async_context(exchange.client(path)) for _ in range(18)]
        await until(lambda: len(exchange.server._sockets) == 20)
        waiting_most, told = 0, 0
        while len(exchange.server._sockets) > len(others):
            exchange.change(trades=((UNIT, UNIT),) * 50)
            told += 50
            waiting = [one._outbox.waiting_bytes for one in exchange.server._sockets]
            waiting_most = max(waiting_most, *waiting)
            for other in others:
                ids = [(await receive(other))["t"] for _ in range(50)]
                assert ids == list(range(told - 49, told + 1))
            assert told < 100_000, "never cut off"

        # What waits for one is let grow by no more than one turn's messages over the limit.
        assert waiting_most < limits.waiting_bytes + 50 * 200
        for one in deaf:
            data = await asyncio.get_running_loop().run_in_executor(None, drain, one)
            assert 0 < len(texts_of(data)) < told


async def test_what_a_stream_says_in_one_turn_is_one_piece_for_all() -> None:
    async with running(Limits(close_s=0.3)) as exchange:
        deaf = [deaf_socket(exchange, "/ws/btcusdt@trade/btcusdt@aggTrade") for _ in range(3)]
        await until(lambda: len(exchange.server._sockets) == len(deaf))
        while not all(one.is_full for one in exchange.server._sockets):
            exchange.change(trades=((UNIT, UNIT),) * 200)
            await asyncio.sleep(0)
        before = {one: len(one._outbox) for one in exchange.server._sockets}

        exchange.change(trades=((UNIT, UNIT), (2 * UNIT, UNIT)))

        added = [one._outbox._frames[before[one] :] for one in exchange.server._sockets]
        assert [len(pieces) for pieces in added] == [2, 2, 2]
        assert len({id(piece) for pieces in added for piece in pieces}) == 2
        assert [piece.count(b'"e":') for piece in added[0]] == [2, 2]
        for one in deaf:
            one.close()
