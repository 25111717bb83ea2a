"""The listeners: whole requests in time, one write for an answer, and nothing without a bound."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from exchange.backend import listeners
from exchange.backend.listeners import Listeners
from exchange.services.proxies import Proxies
from exchange.services.settings import InvalidSettings


async def echo(_scope: Any, receive: Any, send: Any) -> None:
    """Answers with the body that it was sent."""
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
async def port(unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    monkeypatch.setattr(listeners, "ARRIVAL_S_MAX", 0.3)
    monkeypatch.setattr(listeners, "SWEEP_S", 0.05)
    running = Listeners()
    await running.open("SERVER_ADDR", f"127.0.0.1:{unused_tcp_port}", echo)
    yield unused_tcp_port
    await running.close()


async def answer(port: int, *pieces: bytes, pause_s: float = 0.0) -> bytes:
    """Everything that comes back until the server closes, or for a moment."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(pause_s)
    received = b""
    try:
        async with asyncio.timeout(15):
            while chunk := await reader.read(65_536):
                received += chunk
    except TimeoutError:
        pass
    writer.close()
    return received


HEAD = b"POST / HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 4\r\n\r\n"


async def test_a_request_in_pieces_is_answered_whole(port: int) -> None:
    received = await answer(port, HEAD[:20], HEAD[20:], b"ab", b"cd", pause_s=0.02)

    assert received.startswith(b"HTTP/1.1 200")
    assert received.endswith(b"\r\n\r\nabcd")


async def test_several_requests_on_one_connection_are_answered_in_order(port: int) -> None:
    keep = HEAD.replace(b"connection: close\r\n", b"")

    received = await answer(port, keep + b"1111" + keep + b"2222" + HEAD + b"3333")

    bodies = [part.rsplit(b"\r\n\r\n", 1)[1] for part in received.split(b"HTTP/1.1 200")[1:]]
    assert bodies == [b"1111", b"2222", b"3333"]


@pytest.mark.parametrize("sent", [HEAD[:30], HEAD, HEAD + b"abc"])
async def test_a_request_that_does_not_arrive_in_time_is_given_up(port: int, sent: bytes) -> None:
    received = await answer(port, sent)

    assert received.startswith(b"HTTP/1.1 408")
    assert b'"code":-1102' in received


async def test_an_idle_connection_is_no_late_request(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await asyncio.sleep(0.6)

    writer.write(HEAD + b"abcd")

    assert (await reader.read()).endswith(b"abcd")
    writer.close()


async def test_a_head_that_goes_on_and_on_is_refused(port: int) -> None:
    received = await answer(
        port, b"GET / HTTP/1.1\r\n", *[b"x: " + b"y" * 30_000 + b"\r\n"] * 4, pause_s=0.01
    )

    assert received.startswith(b"HTTP/1.1 400")


async def test_an_address_that_is_taken_is_named(port: int) -> None:
    with pytest.raises(InvalidSettings, match="SERVER_ADDR"):
        await Listeners().open("SERVER_ADDR", f"127.0.0.1:{port}", echo)


async def test_an_address_has_so_many_connections_open_at_a_time(unused_tcp_port: int) -> None:
    running = Listeners(2)
    await running.open("SERVER_ADDR", f"127.0.0.1:{unused_tcp_port}", echo)
    keep = HEAD.replace(b"connection: close\r\n", b"") + b"abcd"
    first, second = [await asyncio.open_connection("127.0.0.1", unused_tcp_port) for _ in range(2)]
    for reader, writer in (first, second):
        writer.write(keep)
        assert b"abcd" in await reader.readuntil(b"abcd")

    assert await asked(unused_tcp_port) == b""
    first[1].close()
    async with asyncio.timeout(15):
        while not (received := await asked(unused_tcp_port)):
            pass

    assert received.endswith(b"abcd")
    second[1].close()
    await running.close()


async def asked(port: int) -> bytes:
    """The answer to a request, nothing where the connection is dropped."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(HEAD + b"abcd")
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def test_proxies_of_ours_have_any_number_of_connections(unused_tcp_port: int) -> None:
    running = Listeners(1, Proxies.parse("127.0.0.0/8"))
    await running.open("SERVER_ADDR", f"127.0.0.1:{unused_tcp_port}", echo)
    idle = [await asyncio.open_connection("127.0.0.1", unused_tcp_port) for _ in range(3)]

    assert (await asked(unused_tcp_port)).endswith(b"abcd")

    for _, writer in idle:
        writer.close()
    await running.close()


async def test_who_does_not_read_his_answer_is_cut_off(
    unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "UNREAD_S_MAX", 0.2)
    monkeypatch.setattr(listeners, "SWEEP_S", 0.05)
    ended = asyncio.Event()

    async def flood(_scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        piece = {"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True}
        for _ in range(50):
            await send(piece)
        while (await receive())["type"] != "http.disconnect":
            pass
        ended.set()

    running = Listeners()
    await running.open("SERVER_ADDR", f"127.0.0.1:{unused_tcp_port}", flood)
    _, writer = await asyncio.open_connection("127.0.0.1", unused_tcp_port, limit=1_000)

    writer.write(HEAD + b"abcd")

    async with asyncio.timeout(15):
        await ended.wait()
    writer.close()
    await running.close()
