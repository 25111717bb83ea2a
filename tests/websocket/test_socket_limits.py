"""How sockets are kept healthy, bounded and informed."""

import asyncio
import json

import pytest
from made_outcomes import START, UNIT
from stream_clients import (
    ask,
    close_of,
    deaf_socket,
    handshake,
    receive,
    running,
    until,
    upgrade,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import CloseCode

from exchange.services.orders import Side
from exchange.services.proxies import Proxies
from exchange.services.settings import Address, InvalidSettings, Settings
from exchange.websocket.limits import LIMITS, Connects, Limits
from exchange.websocket.sockets import StreamServer


def test_every_setting_has_its_limits() -> None:
    assert Settings.from_environment({}).rate_limits == "relaxed"
    for name in ("relaxed", "binance"):
        assert LIMITS[Settings.from_environment({"RATE_LIMITS": name}).rate_limits]
    with pytest.raises(InvalidSettings, match="rate_limits"):
        Settings.from_environment({"RATE_LIMITS": "none"})


def test_relaxed_limits_let_tests_through_and_the_others_are_the_documented_ones() -> None:
    relaxed, binance = LIMITS["relaxed"], LIMITS["binance"]

    assert (relaxed.messages_per_second, relaxed.connects, relaxed.connects_s) == (1_000, 1_000, 1)
    assert (binance.messages_per_second, binance.connects, binance.connects_s) == (5, 300, 300)
    for one in (relaxed, binance):
        assert (one.ping_s, one.pong_s, one.life_s) == (20, 60, 86_400)


def test_an_address_may_connect_so_often_in_any_such_time() -> None:
    connects = Connects(Limits(connects=3, connects_s=10))

    assert [connects.count("a", now) for now in (0, 1, 2)] == [0, 0, 0]
    assert connects.count("a", 4) == 6
    assert connects.count("b", 4) == 0
    assert connects.count("a", 10) == 0
    # A refused one does not count.
    assert connects.count("a", 10.5) == 0.5
    assert connects.count("a", 11) == 0


def test_who_has_not_come_for_a_while_is_forgotten() -> None:
    connects = Connects(Limits(connects=3, connects_s=10))
    connects.count("a", 0)
    connects.count("b", 5)

    connects.sweep(10)

    assert len(connects) == 1
    assert connects.count("b", 11) == 0


async def test_too_many_connections_from_an_address_are_refused() -> None:
    async with running(Limits(connects=2, connects_s=100, close_s=0.3)) as exchange:
        async with exchange.client("/ws"), exchange.client("/ws"):
            with pytest.raises(InvalidStatus) as refused:
                async with exchange.client("/ws"):
                    pass

    assert refused.value.response.status_code == 429
    assert 90 < int(refused.value.response.headers["Retry-After"]) <= 100


async def test_an_address_has_so_many_connections_open_at_a_time() -> None:
    async with running(Limits(connections=2, close_s=0.3)) as exchange:
        async with exchange.client("/ws"):
            async with exchange.client("/ws"):
                with pytest.raises(InvalidStatus) as refused:
                    await connect(f"ws://127.0.0.1:{exchange.server.port}/ws")
            async with asyncio.timeout(15):
                while not await is_let_in(exchange.server.port):
                    pass

    assert refused.value.response.status_code == 429
    assert refused.value.response.headers["Retry-After"] == "1"


async def is_let_in(port: int) -> bool:
    try:
        async with connect(f"ws://127.0.0.1:{port}/ws"):
            return True
    except InvalidStatus:
        return False


async def test_connections_are_counted_for_the_client_of_a_trusted_proxy_and_of_no_other() -> None:
    limits = Limits(connects=1, connects_s=100, close_s=0.3)
    for trusted, last in (("127.0.0.1, ::1", "203.0.113.1"), ("10.0.0.0/8", "203.0.113.2")):
        async with running(limits, proxies=Proxies.parse(trusted)) as exchange:
            async with exchange.client("/ws", headers={"X-Forwarded-For": "203.0.113.1"}):
                pass
            with pytest.raises(InvalidStatus) as refused:
                async with exchange.client("/ws", headers={"X-Forwarded-For": last}):
                    pass

            assert refused.value.response.status_code == 429


async def test_requests_that_are_refused_anyway_are_no_connections() -> None:
    async with running(Limits(connects=1, connects_s=100, close_s=0.3)) as exchange:
        for _ in range(3):
            with pytest.raises(InvalidStatus):
                async with exchange.client("/elsewhere"):
                    pass
        async with exchange.client("/ws") as client:
            assert await ask(client, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}


@pytest.mark.parametrize("opcode", ["ping", "pong"])
async def test_control_frames_count_as_messages(opcode: str) -> None:
    async with running(Limits(messages_per_second=5)) as exchange, exchange.client("/ws") as client:
        for _ in range(6):
            await (client.ping() if opcode == "ping" else client.pong())

        assert await close_of(client) == (1008, "too many messages")


@pytest.mark.parametrize("is_answer", [True, False])
async def test_only_the_answer_to_a_ping_is_a_sign_of_life(is_answer: bool) -> None:
    async with running(Limits(ping_s=0, pong_s=0.5, close_s=0.3)) as exchange:
        reader, writer = await handshake(exchange, "/ws")
        for _ in range(16):
            exchange.server.sweep()
            if not exchange.server._sockets or reader.at_eof():
                break
            ping = await reader.readexactly(2)
            if ping[0] != 0x89:
                break
            payload = await reader.readexactly(ping[1])
            text = payload if is_answer else b""
            writer.write(bytes([0x8A, 0x80 | len(text), 0, 0, 0, 0]) + text)
            await asyncio.sleep(0.05)

        (ended,) = [not socket.is_open for socket in exchange.server._sockets] or [True]
        assert ended is not is_answer
        writer.close()


async def test_a_socket_does_not_live_for_ever() -> None:
    async with running(Limits(life_s=0.2, close_s=0.3)) as exchange:
        async with exchange.client("/ws") as client:
            exchange.server.sweep()
            assert await ask(client, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
            await asyncio.sleep(0.25)
            exchange.server.sweep()

            assert await close_of(client) == (1001, "end of life")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/ws", {"e": "serverShutdown", "E": START // 1_000}),
        ("/ws?timeUnit=MICROSECOND", {"e": "serverShutdown", "E": START}),
        (
            "/stream",
            {
                "stream": "!serverShutdown",
                "data": {"e": "serverShutdown", "E": START // 1_000},
            },
        ),
    ],
)
async def test_before_it_stops_the_server_says_so_and_goes_on(path: str, expected: object) -> None:
    async with running(Limits(close_s=0.3)) as exchange, exchange.client(path) as client:
        await ask(client, "SUBSCRIBE", "btcusdt@trade")
        assert exchange.server.announce_shutdown()
        assert await receive(client) == expected

        exchange.change(trades=((UNIT, UNIT),))
        event = await receive(client)
        assert event.get("data", event)["e"] == "trade"

        with pytest.raises((OSError, InvalidStatus)):
            async with exchange.client("/ws"):
                pass
        await exchange.server.close(CloseCode.GOING_AWAY, "server shutdown")
        assert await close_of(client) == (1001, "server shutdown")


async def test_where_nobody_listens_there_is_nobody_to_tell() -> None:
    async with running(Limits(close_s=0.3)) as exchange:
        assert not exchange.server.announce_shutdown()


async def test_servers_can_share_a_port() -> None:
    servers = [StreamServer(Limits(close_s=0.3)) for _ in range(2)]
    await servers[0].open(Address("127.0.0.1", 0), share_port=True)
    port = servers[0].port
    await servers[1].open(Address("127.0.0.1", port), share_port=True)
    for server in servers:
        server.accept()

    clients = [await connect(f"ws://127.0.0.1:{port}/ws") for _ in range(30)]

    assert sum(len(server._sockets) for server in servers) == 30
    assert all(server._sockets for server in servers)
    await servers[0].close(CloseCode.GOING_AWAY, "")
    async with connect(f"ws://127.0.0.1:{port}/ws") as client:
        assert await ask(client, "LIST_SUBSCRIPTIONS") == {"result": [], "id": 1}
    await servers[1].close(CloseCode.GOING_AWAY, "")
    for one in clients:
        await one.close()


async def test_a_port_is_not_shared_by_accident() -> None:
    one, other = StreamServer(), StreamServer()
    await one.open(Address("127.0.0.1", 0))

    with pytest.raises(OSError):
        await other.open(Address("127.0.0.1", one.port))

    await one.close(CloseCode.GOING_AWAY, "")


# --- Compression ---


async def test_compression_is_off_unless_it_is_switched_on() -> None:
    async with running(Limits(close_s=0.3)) as exchange:
        async with connect(
            f"ws://127.0.0.1:{exchange.server.port}/ws", compression="deflate"
        ) as client:
            assert client.response is not None
            assert "Sec-WebSocket-Extensions" not in client.response.headers


async def test_who_asks_for_compression_is_told_the_same_in_fewer_bytes() -> None:
    async with running(Limits(close_s=0.3), compresses=True) as exchange:
        uri = f"ws://127.0.0.1:{exchange.server.port}/stream?streams=btcusdt@depth@100ms"
        async with exchange.client("/stream?streams=btcusdt@depth@100ms") as plain:
            async with connect(uri, compression="deflate") as client:
                assert client.response is not None
                assert "permessage-deflate" in client.response.headers["Sec-WebSocket-Extensions"]
                forms = {socket.form.deflate_bits for socket in exchange.server._sockets}
                assert forms == {0, 12}

                for price in range(2):
                    exchange.change(*((side, 90 + price, 7) for side in Side))
                    exchange.tick()
                    assert await receive(client) == await receive(plain)
                answer = await ask(client, "LIST_SUBSCRIPTIONS", id="é" * 30)
                assert answer == {"result": ["btcusdt@depth@100ms"], "id": "é" * 30}


@pytest.mark.parametrize(
    ("offer", "agreed"),
    [
        ("permessage-deflate", "server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=9", "server_max_window_bits=9"),
        ("permessage-deflate; server_max_window_bits=15", "server_max_window_bits=12"),
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; nonsense", None),
        ("permessage-bzip2", None),
    ],
)
async def test_no_window_is_used_that_a_client_did_not_allow(
    offer: str, agreed: str | None
) -> None:
    async with running(Limits(close_s=0.3), compresses=True) as exchange:
        reader, writer = await asyncio.open_connection("127.0.0.1", exchange.server.port)
        request = upgrade("/ws/btcusdt@trade").removesuffix(b"\r\n")
        writer.write(request + f"Sec-WebSocket-Extensions: {offer}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert (agreed or "") in head
        assert ("permessage-deflate" in head) == (agreed is not None)

        exchange.change(trades=((UNIT, UNIT),))
        async with asyncio.timeout(5):
            first = (await reader.readexactly(1))[0]
        # A text frame, compressed or not.
        assert first == (0xC1 if agreed else 0x81)
        writer.close()


async def test_a_message_that_swells_is_bounded_too() -> None:
    async with running(Limits(close_s=0.3), compresses=True) as exchange:
        uri = f"ws://127.0.0.1:{exchange.server.port}/ws"
        async with connect(uri, compression="deflate") as client:
            await client.send(json.dumps({"method": "x" * 1_000_000}))

            assert (await close_of(client))[0] == 1009


async def test_sockets_that_never_speak_are_counted_until_they_go() -> None:
    async with running(Limits(close_s=0.3)) as exchange:
        _, writer = await handshake(exchange, "/ws")
        deaf = deaf_socket(exchange, "/ws")
        await until(lambda: len(exchange.server._sockets) == 2)

        writer.close()
        deaf.close()

        await until(lambda: not exchange.server._sockets)
