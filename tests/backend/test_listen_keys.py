"""ListenKeys over HTTP and the WebSocket API, and what is heard by them on the websocket server."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend
from backend.socket_client import Json, connected
from conftest import Servers
from servers import ask_redis

from exchange.redis.listen_keys import ACCOUNT, account_of

PATH = "/api/v3/userDataStream"
UNKNOWN = (400, -1125, "This listenKey does not exist.")


@pytest.fixture(scope="module")
def streams(backend: RunningBackend) -> Iterator[str]:
    """The address of a websocket server beside the backend."""
    with backend.running_websocket() as url:
        yield url


def start(trader: Trader) -> str:
    answer = trader.raw("POST", PATH)
    assert answer.status == 200, answer
    listen_key: str = answer.body["listenKey"]
    return listen_key


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Json:
    message: Json = json.loads(await socket.receive_str(timeout=20))
    return message


def test_a_key_gets_a_listen_key_without_a_signature_and_the_same_one_again(
    backend: RunningBackend,
) -> None:
    trader, other = backend.trader(), backend.trader()

    first, second = start(trader), start(trader)

    assert len(first) == 64
    assert first == second
    assert start(other) != first


def test_a_listen_key_is_prolonged_and_ended(backend: RunningBackend) -> None:
    trader = backend.trader()
    listen_key = start(trader)

    def call(method: str) -> Answer:
        return trader.raw(method, f"{PATH}?listenKey={listen_key}")

    assert (call("PUT").status, call("PUT").body) == (200, {})
    assert (call("DELETE").status, call("DELETE").error) == (200, UNKNOWN)
    assert call("PUT").error == UNKNOWN
    assert start(trader) != listen_key


def test_nobody_prolongs_or_ends_the_listen_key_of_another(backend: RunningBackend) -> None:
    trader, other = backend.trader(), backend.trader()
    listen_key = start(trader)

    for method in ("PUT", "DELETE"):
        assert other.raw(method, PATH, body=f"listenKey={listen_key}").error == UNKNOWN

    assert start(trader) == listen_key


@pytest.mark.parametrize(("api_key", "code"), [("", -2014), ("short", -2014), ("x" * 64, -2015)])
def test_a_listen_key_needs_a_valid_key(backend: RunningBackend, api_key: str, code: int) -> None:
    assert Trader(backend.api, api_key).raw("POST", PATH).error[:2] == (401, code)


def test_a_listen_key_must_be_named(backend: RunningBackend) -> None:
    assert backend.trader().raw("PUT", PATH).error[1] == -1102


async def test_the_websocket_api_has_the_same_listen_keys(backend: RunningBackend) -> None:
    trader = backend.trader()
    listen_key = start(trader)
    key = {"apiKey": trader.api_key}

    async with connected(backend.api, trader) as client:
        started = await client.call("userDataStream.start", **key)
        pinged = await client.call("userDataStream.ping", **key, listenKey=listen_key)
        stopped = await client.call("userDataStream.stop", **key, listenKey=listen_key)
        again = await client.call("userDataStream.ping", **key, listenKey=listen_key)
        nobody = await client.call("userDataStream.start")

    assert started["result"] == {"listenKey": listen_key}
    assert pinged["result"] == stopped["result"] == {}
    assert (again["status"], again["error"]["code"]) == (400, -1125)
    assert nobody["error"]["code"] == -1102


@pytest.mark.parametrize("target", ["/ws/{}", "/stream?streams={}", "/ws"])
async def test_an_account_is_heard_by_its_listen_key(
    backend: RunningBackend, streams: str, target: str
) -> None:
    trader, other = backend.trader(USDC="1000"), backend.trader(USDC="1000")
    listen_key = start(trader)

    async with listening(streams + target.format(listen_key)) as socket:
        if target == "/ws":
            await socket.send_json({"id": 1, "method": "SUBSCRIBE", "params": [listen_key]})
            assert await heard(socket) == {"result": None, "id": 1}
        other.order("BUY", "1", "20")
        # Nothing says when the account is found: all that came after the handshake is told.
        placed = trader.order("BUY", "1", "20").body
        messages = [await heard(socket), await heard(socket)]

    if "streams" in target:
        assert {one["stream"] for one in messages} == {listen_key}
        messages = [one["data"] for one in messages]
    report, position = messages
    assert (report["e"], report["i"], report["x"]) == ("executionReport", placed["orderId"], "NEW")
    assert report["c"] == placed["clientOrderId"]
    assert position["B"] == [{"a": "USDC", "f": "980.00000000", "l": "20.00000000"}]


async def test_nothing_is_missed_while_the_account_is_looked_up(
    backend: RunningBackend, streams: str
) -> None:
    trader = backend.trader(USDC="10000")
    listen_key = start(trader)

    for _ in range(10):
        async with listening(f"{streams}/ws/{listen_key}") as socket:
            placed = trader.order("BUY", "1", "20").body["orderId"]

            assert (await heard(socket))["i"] == placed


async def test_who_unsubscribes_hears_no_more(backend: RunningBackend, streams: str) -> None:
    trader = backend.trader(USDC="1000")
    listen_key = start(trader)

    async with listening(f"{streams}/ws/{listen_key}") as socket:
        trader.order("BUY", "1", "20")
        await heard(socket)
        await heard(socket)
        await socket.send_json({"id": 1, "method": "LIST_SUBSCRIPTIONS"})
        listed = await heard(socket)
        await socket.send_json({"id": 2, "method": "UNSUBSCRIBE", "params": [listen_key]})
        unsubscribed = await heard(socket)
        trader.order("BUY", "1", "20")
        await asyncio.sleep(0.2)
        await socket.send_json({"id": 3, "method": "LIST_SUBSCRIPTIONS"})
        last = await heard(socket)

    assert listed == {"result": [listen_key], "id": 1}
    assert unsubscribed == {"result": None, "id": 2}
    assert last == {"result": [], "id": 3}


async def test_a_listen_key_that_is_over_is_told(
    backend: RunningBackend, streams: str, servers: Servers
) -> None:
    trader = backend.trader(USDC="1000")
    listen_key = start(trader)

    async with listening(f"{streams}/ws/{listen_key}") as socket:
        trader.order("BUY", "1", "20")
        await heard(socket)
        await heard(socket)
        ask_redis(servers.redis.url, f"DEL {ACCOUNT.format(account_of(listen_key))}")
        over = await heard(socket)

    assert (over["e"], over["listenKey"]) == ("listenKeyExpired", listen_key)


async def test_a_revoked_key_hears_no_more_and_cannot_begin_to(
    backend: RunningBackend, streams: str
) -> None:
    name = "revoked"
    assert backend.admin("POST", "accounts", name=name).status == 200
    key = backend.key(name, kind="hmac", canTrade=True)
    trader, other = (
        Trader(backend.api, key["apiKey"], key["secretKey"]),
        backend.trader(USDC="1000"),
    )
    listen_key, others = start(trader), start(other)
    both = f"{streams}/stream?streams={listen_key}/{others}"

    async with listening(both) as before:
        backend.deposit(name, "USDC", "5")
        heard_before = [(await heard(before))["stream"] for _ in range(2)]
        assert backend.admin("DELETE", f"keys/{trader.api_key}").status == 200
        async with listening(both) as after:
            backend.deposit(name, "USDC", "5")
            other.order("BUY", "1", "20")
            heard_after = [(await heard(one))["stream"] for one in (before, after)]

    assert heard_before == [listen_key, listen_key]
    assert heard_after == [others, others]
