"""The WebSocket API: every method as its REST twin, and what only connections have."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote_plus

import aiohttp
import pytest
from backend.conftest import RunningBackend
from backend.socket_client import Json, SocketClient, connected

from exchange.backend.application import ENDPOINTS
from exchange.backend.listeners import MESSAGE_BYTES_MAX

ORDER = {
    "symbol": "SOLUSDC",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "quantity": "1.000",
    "price": "20.00",
}


def error(answer: Json) -> tuple[int, int, str]:
    return answer["status"], answer["error"]["code"], answer["error"]["msg"]


async def test_a_planned_stop_is_announced(backend: RunningBackend) -> None:
    second = backend.another()
    with second.running("backend") as process:
        await asyncio.to_thread(second.await_markets)
        async with (
            connected(second.api) as client,
            connected(second.api, query="?timeUnit=MICROSECOND") as other,
        ):
            for one in (client, other):
                assert (await one.call("ping"))["status"] == 200
            process.terminate()
            for one, unit in ((client, 10**3), (other, 10**6)):
                (event,) = await one.until(lambda event: True)

                assert event["e"] == "serverShutdown"
                assert abs(event["E"] / unit - time.time()) < 60
                assert await one.closed() == 1012


async def test_a_request_is_answered_with_its_id_and_the_limits(backend: RunningBackend) -> None:
    async with connected(backend.api) as client:
        answer = await client.raw('{"id":"abc","method":"time"}')

    assert answer["id"] == "abc"
    assert answer["status"] == 200
    assert abs(answer["result"]["serverTime"] / 1_000 - time.time()) < 60
    (limit,) = answer["rateLimits"]
    assert limit["rateLimitType"] == "REQUEST_WEIGHT"
    assert limit["count"] >= 1


@pytest.mark.parametrize("id", ["7", "-1", '"7"', '"Zürich"', "null", '""', str(2**70)])
async def test_an_id_comes_back_with_its_type(backend: RunningBackend, id: str) -> None:
    async with connected(backend.api) as client:
        answer = await client.raw(f'{{"id":{id},"method":"v3/ping"}}')

    assert answer["id"] == json.loads(id)
    assert answer["result"] == {}


@pytest.mark.parametrize(
    ("text", "id", "refusal"),
    [
        ("", None, (400, -1135, "Invalid JSON Request")),
        ("{", None, (400, -1135, "Invalid JSON Request")),
        ("[]", None, (400, -1135, "Invalid JSON Request")),
        ("7", None, (400, -1135, "Invalid JSON Request")),
        (b"\xff\x00", None, (400, -1135, "Invalid JSON Request")),
        (
            '{"id":1.5,"method":"ping"}',
            None,
            (400, -1135, "JSON sent for parameter 'id' is not valid"),
        ),
        (
            '{"id":[1],"method":"ping"}',
            None,
            (400, -1135, "JSON sent for parameter 'id' is not valid"),
        ),
        (
            '{"id":true,"method":"ping"}',
            None,
            (400, -1135, "JSON sent for parameter 'id' is not valid"),
        ),
        ('{"id":1,"method":7}', 1, (400, -1135, "JSON sent for parameter 'method' is not valid")),
        (
            '{"id":1,"method":"ping","params":[]}',
            1,
            (400, -1135, "JSON sent for parameter 'params' is not valid"),
        ),
        (
            '{"id":1}',
            1,
            (
                400,
                -1102,
                "Mandatory parameter 'method' was not sent, was empty/null, or malformed.",
            ),
        ),
        ('{"id":1,"method":"fly"}', 1, (404, -1020, "This operation is not supported.")),
        (
            '{"id":1,"method":"ping","params":{"a":"1"}}',
            1,
            (
                400,
                -1104,
                "Not all sent parameters were read; read '0' parameter(s) but was sent '1'.",
            ),
        ),
        (
            '{"id":1,"method":"depth"}',
            1,
            (
                400,
                -1102,
                "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
            ),
        ),
        ('{"id":1,"method":"depth","params":{"symbol":"NO"}}', 1, (400, -1121, "Invalid symbol.")),
        (
            '{"id":1,"method":"order.place","params":{"symbol":"SOLUSDC"}}',
            1,
            (
                400,
                -1102,
                "Mandatory parameter 'apiKey' was not sent, was empty/null, or malformed.",
            ),
        ),
    ],
)
async def test_what_is_wrong_with_a_message_is_said_and_the_connection_stays(
    backend: RunningBackend, text: str | bytes, id: object, refusal: tuple[int, int, str]
) -> None:
    async with connected(backend.api) as client:
        answer = await client.raw(text)

        assert (answer["id"], error(answer)) == (id, refusal)
        assert (await client.raw('{"id":2,"method":"ping"}'))["status"] == 200


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"symbol": "SOLUSDC", "limit": 5}, "limit=5"),
        ({"symbol": "SOLUSDC", "limit": "5"}, "limit=5"),
    ],
)
async def test_a_number_may_come_as_text(
    backend: RunningBackend, params: dict[str, Any], path: str
) -> None:
    trader = backend.trader()

    async with connected(backend.api) as client:
        answer = await client.call("depth", **params)

    assert answer["result"] == trader.get(f"depth?symbol=SOLUSDC&{path}").body


@pytest.mark.parametrize("symbols", [["SOLUSDC", "BTCUSDT"], '["SOLUSDC","BTCUSDT"]'])
async def test_a_list_may_come_as_text(backend: RunningBackend, symbols: object) -> None:
    async with connected(backend.api) as client:
        answer = await client.call("ticker.price", symbols=symbols)

    assert {one["symbol"] for one in answer["result"]} == {"SOLUSDC", "BTCUSDT"}


@pytest.mark.parametrize("flag", [True, "true"])
async def test_a_flag_may_come_as_text(backend: RunningBackend, flag: object) -> None:
    trader = backend.trader(USDC="5")

    async with connected(backend.api, trader) as client:
        params = client.sign({"omitZeroBalances": "true"})
        answer = await client.call("account.status", **{**params, "omitZeroBalances": flag})

    assert [one["asset"] for one in answer["result"]["balances"]] == ["USDC"]


async def test_every_method_is_there_once_and_answers(backend: RunningBackend) -> None:
    named = [one for one in ENDPOINTS if one.socket_method]
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        answers = {}
        for one in named:
            call = client.signed if one.is_signed else client.call
            answers[one.socket_method] = await call(one.socket_method)

    assert len({one.socket_method for one in named}) == len(named)
    for method, answer in answers.items():
        # Without parameters most of them miss one, and none is unknown.
        assert answer["status"] in (200, 400), (method, answer)


async def test_methods_answer_as_their_rest_twins(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")
    placed = trader.order("BUY", "1.000", "10.00").body
    symbol = {"symbol": "SOLUSDC"}
    twins = [
        ("exchangeInfo", "exchangeInfo", {}),
        ("depth", "depth", symbol),
        ("trades.recent", "trades", symbol),
        ("klines", "klines", {**symbol, "interval": "1h"}),
        ("ticker.book", "ticker/bookTicker", symbol),
    ]
    signed_twins = [
        ("order.status", "order", {**symbol, "orderId": placed["orderId"]}),
        ("openOrders.status", "openOrders", {}),
        ("allOrders", "allOrders", symbol),
        ("account.status", "account", {}),
        ("myTrades", "myTrades", symbol),
        ("account.commission", "account/commission", symbol),
    ]

    async with connected(backend.api, trader) as client:
        for method, path, params in twins:
            mine, theirs = (
                (await client.call(method, **params))["result"],
                trader.get(path, **params),
            )
            if method == "exchangeInfo":
                assert mine.pop("serverTime") <= theirs.body.pop("serverTime")
            assert mine == theirs.body, method
        for method, path, params in signed_twins:
            answer = await client.signed(method, **params)
            assert answer["result"] == trader.call("GET", path, **params).body, method


async def test_an_order_lives_as_over_rest(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        placed = await client.signed("order.place", **ORDER, newClientOrderId="mine")
        canceled = await client.signed(
            "order.cancel", symbol="SOLUSDC", origClientOrderId="mine", newClientOrderId="end"
        )
        again = await client.signed("order.cancel", symbol="SOLUSDC", origClientOrderId="mine")

    assert placed["result"]["status"] == "NEW"
    kinds = [(one["rateLimitType"], one["interval"]) for one in placed["rateLimits"]]
    assert kinds == [("ORDERS", "SECOND"), ("ORDERS", "DAY"), ("REQUEST_WEIGHT", "MINUTE")]
    assert placed["rateLimits"][1]["count"] == 1
    assert canceled["result"]["status"] == "CANCELED"
    assert canceled["result"]["clientOrderId"] == "end"
    assert error(again) == (400, -2011, "Unknown order sent.")


async def test_the_status_of_an_error_is_that_of_http(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        replaced = await client.signed(
            "order.cancelReplace",
            **ORDER,
            cancelReplaceMode="ALLOW_FAILURE",
            cancelOrderId=10**9,
        )
        unknown_key = await client.call(
            "account.status", apiKey="x" * 64, timestamp=1, signature="0"
        )
        bad_key = await client.call("account.status", apiKey="x", timestamp=1, signature="0")

    assert error(replaced) == (409, -2021, "Order cancel-replace partially failed.")
    assert replaced["error"]["data"]["newOrderResult"] == "SUCCESS"
    assert error(unknown_key)[:2] == (401, -2015)
    assert error(bad_key)[:2] == (401, -2014)


async def test_a_signature_may_be_over_the_plain_or_the_encoded_text(
    backend: RunningBackend,
) -> None:
    trader = backend.trader()
    now = time.time_ns() // 1_000_000
    params = {"apiKey": trader.api_key, "symbol": "SÖL USDC+&", "timestamp": now}
    plain = "&".join(f"{name}={params[name]}" for name in sorted(params))
    encoded = "&".join(f"{name}={quote_plus(str(params[name]))}" for name in sorted(params))

    async with connected(backend.api) as client:
        answers = [
            await client.call("allOrders", **params, signature=trader.sign(text))
            for text in (plain, encoded, plain + "x")
        ]

    # Where the signature is right, the symbol is wrong.
    assert [one["error"]["code"] for one in answers] == [-1100, -1100, -1022]


async def test_a_signed_request_that_is_sent_twice_is_executed_once(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        params = client.sign(dict(ORDER))
        first = await client.call("order.place", **params)
        second = await client.call("order.place", **params)
        orders = await client.signed("openOrders.status")

    assert first["result"] == second["result"]
    assert len(orders["result"]) == 1


async def test_limits_are_told_as_the_connection_or_the_request_says(
    backend: RunningBackend,
) -> None:
    async with (
        connected(backend.api) as usual,
        connected(backend.api, query="?returnRateLimits=false") as silent,
    ):
        answers = [
            await usual.call("ping"),
            await usual.call("ping", returnRateLimits=False),
            await silent.call("ping"),
            await silent.call("ping", returnRateLimits="true"),
        ]

    assert ["rateLimits" in one for one in answers] == [True, False, False, True]


async def test_times_are_counted_as_the_connection_says(backend: RunningBackend) -> None:
    async with connected(backend.api, query="?timeUnit=microsecond") as client:
        answer = await client.call("time")

    assert answer["result"]["serverTime"] > 10**15


@pytest.mark.parametrize(
    ("target", "status", "code"),
    [
        ("/ws-api/v3?timeUnit=hours", 400, -1194),
        ("/ws-api/v3?returnRateLimits=maybe", 400, -1100),
        ("/ws-api/v3?responseFormat=sbe", 400, -1104),
        ("/ws-api/v4", 404, -1020),
    ],
)
async def test_a_wrong_address_is_refused_at_the_handshake(
    backend: RunningBackend, target: str, status: int, code: int
) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }

    async with (
        aiohttp.ClientSession() as session,
        session.get(backend.api + target, headers=headers) as answer,
    ):
        assert (answer.status, (await answer.json())["code"]) == (status, code)


async def test_requests_of_one_connection_are_answered_at_once_and_keep_their_order(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="100000")

    async with connected(backend.api, trader) as client:
        ids = [
            await client.send("order.place", **client.sign({**ORDER, "newClientOrderId": f"n{n}"}))
            for n in range(150)
        ]
        answers = [await client.answer(id) for id in ids]

    assert {one["status"] for one in answers} == {200}
    numbers = [one["result"]["orderId"] for one in answers]
    assert numbers == sorted(numbers)


async def test_a_message_that_is_too_long_ends_the_connection(backend: RunningBackend) -> None:
    async with connected(backend.api) as client:
        await client.socket.send_str("x" * (MESSAGE_BYTES_MAX + 1))

        assert await client.closed() == 1009


# --- Sessions -----------------------------------------------------------------------------------


async def logged_on(client: SocketClient) -> Json:
    answer = await client.signed("session.logon")
    assert answer["status"] == 200, answer
    return answer


async def test_after_a_logon_requests_need_no_signature_but_a_time(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        before = await client.call("session.status")
        logon = await logged_on(client)
        placed = await client.vouched("order.place", **ORDER)
        named = await client.vouched("openOrders.status", apiKey=trader.api_key)
        timeless = await client.call("account.status")
        late = await client.call("account.status", timestamp=1)
        logout = await client.call("session.logout")
        after = await client.vouched("account.status")

    assert before["result"]["apiKey"] is None
    assert before["result"]["authorizedSince"] is None
    assert logon["result"]["apiKey"] == trader.api_key
    assert logon["result"]["userDataStream"] is False
    assert placed["result"]["status"] == "NEW"
    assert len(placed["result"]["clientOrderId"]) == 22
    assert len(named["result"]) == 1
    assert error(timeless)[1] == -1102
    assert error(late)[1] == -1021
    assert logout["result"]["apiKey"] is None
    assert error(after)[1] == -1102


async def test_the_same_request_of_a_session_is_executed_each_time(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        await logged_on(client)
        now = time.time_ns() // 1_000_000
        answers = [await client.call("order.place", **ORDER, timestamp=now) for _ in range(2)]

    first, second = (one["result"] for one in answers)
    assert first["orderId"] != second["orderId"]
    assert first["clientOrderId"] != second["clientOrderId"]


async def test_a_request_may_be_signed_by_another_key_than_the_sessions(
    backend: RunningBackend,
) -> None:
    owner, other = backend.trader(USDC="1"), backend.trader(USDC="2")

    async with connected(backend.api, owner) as client:
        await logged_on(client)
        client.trader = other
        theirs = await client.signed("account.status", omitZeroBalances="true")
        mine = await client.vouched("account.status", omitZeroBalances="true")

    assert theirs["result"]["balances"][0]["free"] == "2.00000000"
    assert mine["result"]["balances"][0]["free"] == "1.00000000"


async def test_a_revoked_key_ends_its_session(backend: RunningBackend) -> None:
    trader = backend.trader()

    async with connected(backend.api, trader) as client:
        await logged_on(client)
        assert backend.admin("DELETE", f"keys/{trader.api_key}").status == 200
        refused = await client.vouched("account.status")
        status = await client.call("session.status")

    assert error(refused)[:2] == (401, -2015)
    assert status["result"]["apiKey"] is None


async def test_a_key_that_may_not_trade_does_not_trade_in_a_session(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(can_trade=False, USDC="1000")

    async with connected(backend.api, trader) as client:
        await logged_on(client)

        assert error(await client.vouched("order.place", **ORDER))[:2] == (401, -2015)


async def test_a_reader_that_does_not_read_is_parted_from(backend: RunningBackend) -> None:
    async with aiohttp.ClientSession() as session:
        url = backend.api.replace("http", "ws", 1) + "/ws-api/v3"
        async with session.ws_connect(url, max_msg_size=0) as socket:
            with pytest.raises(ConnectionError):
                await flood(socket)


async def flood(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Ask for ever; nobody takes the answers out, so that the network fills up."""
    async with asyncio.timeout(60):
        while True:
            await socket.send_str('{"id":1,"method":"exchangeInfo"}')
