"""The public API without a state behind it: what it answers to whatever comes in."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import aiohttp
import msgspec
import pytest

from exchange.backend.application import ENDPOINTS, Application
from exchange.backend.listeners import HEAD_BYTES_MAX, Listeners
from exchange.backend.responder import BODY_BYTES_MAX, QUERY_BYTES_MAX
from exchange.backend.state import Current
from exchange.services.embedded import free_port
from exchange.services.proxies import Proxies
from exchange.services.rate_limits import API_LIMITS
from exchange.services.settings import InvalidSettings

WITH_IT = {
    "klines": "&interval=1m",
    "uiKlines": "&interval=1m",
    "historicalBlockTrades": "&fromId=0",
}
JSON = "application/json;charset=UTF-8"


@pytest.fixture
async def address() -> AsyncIterator[str]:
    """A listener with nothing behind it, as it is while the state is loaded."""
    listeners = Listeners()
    address = f"127.0.0.1:{free_port()}"
    await listeners.open("SERVER_ADDR", address, Application(Current()))
    yield address
    await listeners.close()


@pytest.fixture
async def client(address: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{address}") as session:
        yield session


async def answer(
    client: aiohttp.ClientSession, method: str, target: str, **more: Any
) -> tuple[int, Any]:
    async with client.request(method, target, **more) as response:
        assert response.headers["Content-Type"] == JSON
        return response.status, await response.json()


async def test_ping_and_time_need_no_state(client: aiohttp.ClientSession) -> None:
    assert await answer(client, "GET", "/api/v3/ping") == (200, {})
    status, body = await answer(client, "GET", "/api/v3/time")
    assert status == 200
    assert 10**12 < body["serverTime"] < 10**13


@pytest.mark.parametrize("unit", ["MICROSECOND", "microsecond"])
async def test_times_can_be_asked_for_in_microseconds(
    client: aiohttp.ClientSession, unit: str
) -> None:
    _, body = await answer(client, "GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": unit})

    assert 10**15 < body["serverTime"] < 10**16


async def test_another_time_unit_is_refused(client: aiohttp.ClientSession) -> None:
    found = await answer(client, "GET", "/api/v3/time", headers={"X-MBX-TIME-UNIT": "Second"})

    assert found[1]["code"] == -1194


async def test_an_empty_key_on_a_public_call_is_ignored(client: aiohttp.ClientSession) -> None:
    found = await answer(client, "GET", "/api/v3/ping", headers={"X-MBX-APIKEY": ""})

    assert found == (200, {})


async def test_every_endpoint_that_needs_a_state_says_so(client: aiohttp.ClientSession) -> None:
    for endpoint in ENDPOINTS:
        if endpoint.path.endswith(("/ping", "/time", "api/v1/exchangeInfo", "/system/status")):
            continue
        target = endpoint.path
        if not endpoint.is_signed:
            target += "?symbol=SOLUSDC" + WITH_IT.get(target.rpartition("/")[2], "")
        async with client.request(endpoint.method, target) as response:
            body = await response.json()
            assert (response.status, body["code"]) == (503, -1001), endpoint.path
            assert response.headers["Retry-After"] == "1"


async def test_without_a_state_the_system_is_in_maintenance(client: aiohttp.ClientSession) -> None:
    found = await answer(client, "GET", "/sapi/v1/system/status")

    assert found == (200, {"status": 1, "msg": "system_maintenance"})


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/api/v3/nothing", 404),
        ("GET", "/api/v3/order/", 404),
        ("POST", "/sapi/v1/whatever?x=1", 404),
        ("GET", "/%ff%00", 404),
        ("PUT", "/api/v3/order", 405),
        ("POST", "/api/v3/ping", 405),
    ],
)
async def test_unknown_paths_and_methods_are_json_too(
    client: aiohttp.ClientSession, method: str, target: str, status: int
) -> None:
    found = await answer(client, method, target)

    assert found == (status, {"code": -1020, "msg": "This operation is not supported."})


async def test_parameters_are_checked_before_the_state_is_needed(
    client: aiohttp.ClientSession,
) -> None:
    for target, code in (
        ("/api/v3/ping?x=1", -1104),
        ("/api/v3/depth", -1102),
        ("/api/v3/depth?symbol=solusdc", -1100),
        ("/api/v3/depth?symbol=A&symbol=A", -1101),
        ("/api/v3/depth?symbol=A&limit=0", -1130),
        ("/api/v3/depth?symbol=A&limit=-1", -1100),
        ("/api/v3/depth?symbol=A&limit=", -1105),
        ("/api/v3/klines?symbol=A&interval=1H", -1120),
        ("/api/v3/klines?symbol=A&interval=1m&timeZone=15", -1130),
        ("/api/v3/klines?symbol=A&interval=1m&startTime=99999999999999999999", -1108),
        ("/api/v3/ticker/24hr?type=TINY", -1139),
        ("/api/v3/ticker/price?symbols=SOLUSDC", -1100),
        ("/api/v3/ticker/price?symbol=A&symbols=%5B%22A%22%5D", -1128),
        ("/api/v3/exchangeInfo?symbol=A&permissions=SPOT", -1128),
        ("/api/v3/exchangeInfo?symbolStatus=OPEN", -1122),
        ("/api/v3/exchangeInfo?permissions=%5B", -1100),
    ):
        status, body = await answer(client, "GET", target)
        assert (status, body["code"]) == (400, code), target


async def test_the_size_of_body_and_query_is_bounded(client: aiohttp.ClientSession) -> None:
    status, body = await answer(client, "POST", "/api/v3/order", data=b"x" * (BODY_BYTES_MAX + 1))
    assert (status, body["code"]) == (413, -1101)

    status, body = await answer(client, "GET", "/api/v3/ping?x=" + "y" * QUERY_BYTES_MAX)
    assert (status, body["code"]) == (414, -1101)


async def test_the_used_weight_is_told_and_grows(client: aiohttp.ClientSession) -> None:
    used = []
    for _ in range(2):
        async with client.get("/api/v3/ping") as response:
            used.append(int(response.headers["X-MBX-USED-WEIGHT-1M"]))

    assert used[1] == used[0] + 1 or used[1] == 1


@asynccontextmanager
async def listening(weight: int, proxies: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of a backend that lets every address have so much weight in a minute."""
    limits = msgspec.structs.replace(API_LIMITS["binance"], request_weight=weight)
    listeners = Listeners()
    address = f"127.0.0.1:{free_port()}"
    application = Application(Current(limits, Proxies.parse(proxies)))
    await listeners.open("SERVER_ADDR", address, application)
    try:
        async with aiohttp.ClientSession(f"http://{address}") as session:
            yield session
    finally:
        await listeners.close()


async def refused(client: aiohttp.ClientSession, times: int, forwarded: str) -> list[int]:
    """Who asks so often is refused with these statuses, and each time is told when to come back."""
    statuses = []
    for number in range(times):
        headers = {"X-Forwarded-For": forwarded.format(number)}
        async with client.get("/api/v3/ping", headers=headers) as response:
            if response.status != 200:
                assert (await response.json())["code"] == -1003
                assert int(response.headers["Retry-After"]) >= 1
                statuses.append(response.status)
    return statuses


# A minute may begin in the middle of these requests: so many that one of the two has too many.
ASKED = 8


async def test_more_weight_than_there_is_gets_429() -> None:
    async with listening(weight=3, proxies="") as client:
        assert set(await refused(client, ASKED, "")) == {429}


async def test_who_is_no_trusted_proxy_is_not_believed_to_ask_for_others() -> None:
    async with listening(weight=3, proxies="10.0.0.0/8") as client:
        assert await refused(client, ASKED, "203.0.113.{}")


async def test_each_client_of_a_trusted_proxy_has_its_own_weight() -> None:
    async with listening(weight=3, proxies="127.0.0.0/8") as client:
        assert await refused(client, ASKED, "203.0.113.{}") == []
        # What a client writes into the header itself stands before what the proxy adds.
        assert await refused(client, ASKED, "198.51.100.{}, 203.0.113.77")


async def test_a_ban_is_for_the_client_and_not_for_its_proxy() -> None:
    async with listening(weight=3, proxies="127.0.0.0/8") as client:
        assert 418 in await refused(client, 5 * ASKED, "203.0.113.77")

        assert await refused(client, 1, "203.0.113.78") == []


async def test_sockets_are_counted_for_the_client_of_a_trusted_proxy() -> None:
    async with listening(weight=3, proxies="127.0.0.0/8") as client:
        for number in range(ASKED):
            headers = {"X-Forwarded-For": f"203.0.113.{number}"}
            async with client.ws_connect("/ws-api/v3", headers=headers):
                pass
        assert await refused(client, ASKED, "203.0.113.0")


async def test_a_head_without_end_is_given_up(address: str) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n")
    try:
        for _ in range(20):
            writer.write(b"X-Filler: " + b"y" * (HEAD_BYTES_MAX // 4) + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
    except ConnectionError:
        pass
    try:
        head = await reader.read()
        assert head.startswith(b"HTTP/1.1 400")
    except ConnectionError:
        # Closed while we were still sending: the answer may be lost, the connection is gone.
        pass
    finally:
        writer.close()


async def test_what_is_not_http_ends_the_connection(address: str) -> None:
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"\x16\x03\x01\x02\x00hello\r\n\r\n")

    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


async def test_an_address_that_is_taken_is_named(address: str) -> None:
    with pytest.raises(InvalidSettings, match=r"^SERVER_ADDR .* cannot be used"):
        await Listeners().open("SERVER_ADDR", address, Application(Current()))


async def test_listeners_give_their_port_back() -> None:
    listeners = Listeners()
    port = free_port()
    await listeners.open("SERVER_ADDR", f"127.0.0.1:{port}", Application(Current()))
    await listeners.close()

    with closing(socket.socket()) as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


async def test_the_documentation_loads_nothing_from_elsewhere(
    client: aiohttp.ClientSession, address: str
) -> None:
    async with client.get("/docs") as response:
        page = await response.text()
    links = re.findall(r"""(?:src|href)=["']([^"']+)["']""", page)

    assert links
    for link in links:
        assert link.startswith((f"http://{address}/", "/")), link
        async with client.get(link.removeprefix(f"http://{address}")) as response:
            assert response.status == 200


async def test_every_endpoint_is_documented_with_all_its_parameters(
    client: aiohttp.ClientSession,
) -> None:
    async with client.get("/openapi.json") as response:
        document = await response.json()

    paths = document["paths"]
    assert document["components"]["securitySchemes"]["ApiKey"]["name"] == "X-MBX-APIKEY"
    for endpoint in ENDPOINTS:
        operation = paths[endpoint.path][endpoint.method.lower()]
        documented = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        expected = {one.name for one in endpoint.table.parameters}
        if endpoint.is_signed:
            expected |= {"timestamp", "recvWindow", "signature"}
        assert documented == expected, endpoint.path
        assert operation["summary"]
        assert {"400", "418", "429", "500", "503"} <= set(operation["responses"])
        assert ("200" in operation["responses"]) == bool(endpoint.answer)
        assert ("401" in operation["responses"]) == endpoint.needs_key
        assert operation["security"] == ([{"ApiKey": []}] if endpoint.needs_key else [])
        headers = operation["responses"].get("200", {}).get("headers", {})
        assert ("X-MBX-ORDER-COUNT-10S" in headers) == endpoint.places_orders
    assert sum(len(methods) for methods in paths.values()) == len(ENDPOINTS)
