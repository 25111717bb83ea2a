"""Faults on request over HTTP, and over connections: each does what its script says."""

import asyncio
import http.client
import time
from collections.abc import Iterator
from contextlib import suppress

import aiohttp
import pytest
from backend.api_client import Answer, Trader, send
from backend.conftest import RunningBackend, running_backend
from backend.socket_client import connected
from conftest import Servers

from exchange.services.data_folder import held
from exchange.services.fault_file import write_script
from exchange.services.fault_script import Script

PLACE = "POST /api/v3/order"
DROPPED = (http.client.RemoteDisconnected, ConnectionResetError)


@pytest.fixture(scope="module")
def faulty(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBackend]:
    """A backend that was started as an `exchange up --faults` starts one."""
    folder = tmp_path_factory.mktemp("faulty")
    script = folder / "faults.json"
    write_script(script, Script())
    with (
        held(folder),
        running_backend(servers, template_database, folder, FAULTS_FILE=str(script)) as one,
    ):
        yield one


@pytest.fixture(scope="module")
def streams(faulty: RunningBackend) -> Iterator[str]:
    with faulty.running_websocket() as address:
        yield address


@pytest.fixture
def alice(faulty: RunningBackend) -> Iterator[Trader]:
    """She has money for any order here. Afterwards nothing goes wrong, and nothing of her is open."""
    trader = faulty.trader(USDC="100000", SOL="1000")
    yield trader
    assert put(faulty).status == 200
    clear(trader)


def put(backend: RunningBackend, *rules: dict[str, object], seed: int = 0) -> Answer:
    return backend.admin("PUT", "faults", seed=seed, rule=list(rules))


def buy(trader: Trader, price: str = "10", **more: object) -> Answer:
    return trader.order("BUY", "1", price, **more)


def clear(trader: Trader) -> None:
    if open_orders(trader):
        assert trader.call("DELETE", "openOrders", symbol="SOLUSDC").status == 200


def open_orders(trader: Trader) -> list[str]:
    return [one["clientOrderId"] for one in trader.call("GET", "openOrders").body]


# --- The script -----------------------------------------------------------------------------------


def test_the_script_is_put_shown_and_deleted(faulty: RunningBackend, alice: Trader) -> None:
    rule = {"fault": 429, "on": PLACE, "key": alice.api_key}

    assert put(faulty, rule, seed=5).body == {"seed": 5, "rule": [rule], "acted": [0]}
    assert buy(alice).status == 429
    assert faulty.admin("GET", "faults").body["acted"] == [1]
    assert faulty.admin("GET", "status").body["faults"] == 1

    assert faulty.admin("DELETE", "faults").body == {"seed": 0, "rule": [], "acted": []}
    assert buy(alice).status == 200


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        ({"fault": "flood"}, "Rule 1 asks for the fault 'flood'"),
        ({"fault": 429, "on": "order.plcae"}, "Rule 1 is on 'order.plcae', which is no endpoint."),
    ],
)
def test_a_script_that_makes_no_sense_changes_nothing(
    faulty: RunningBackend, alice: Trader, rule: dict[str, object], sentence: str
) -> None:
    put(faulty, {"fault": 418, "key": alice.api_key})

    refused = put(faulty, rule)

    assert refused.status == 400
    assert refused.body["error"].startswith(sentence)
    assert buy(alice).status == 418


# --- Answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "status", "code", "text"),
    [
        (429, 429, -1003, "Too much request weight used"),
        (418, 418, -1003, "Way too much request weight used; IP banned until 1"),
        (-1003, 429, -1003, "Too many requests queued."),
        (-1015, 429, -1015, "Too many new orders; current limit is"),
        (-1001, 503, -1001, "Internal error; unable to process your request."),
        (-1008, 503, -1008, "Server is currently overloaded"),
        (-1007, 504, -1007, "Timeout waiting for response from backend server."),
    ],
)
def test_an_answer_is_that_of_the_exchange_and_nothing_has_happened(
    faulty: RunningBackend, alice: Trader, fault: int, status: int, code: int, text: str
) -> None:
    put(faulty, {"fault": fault, "on": "order.place", "key": alice.api_key})

    answer = buy(alice)

    assert answer.error[:2] == (status, code)
    assert answer.error[2].startswith(text)
    assert open_orders(alice) == []


def test_how_long_to_wait_is_what_the_script_says(faulty: RunningBackend, alice: Trader) -> None:
    for fault in (429, 418, -1003, -1015):
        put(faulty, {"fault": fault, "key": alice.api_key, "retry_after": 17})

        assert buy(alice).headers["retry-after"] == "17"


@pytest.mark.parametrize("executed", [True, False])
def test_an_order_whose_fate_is_unknown_was_placed_or_not(
    faulty: RunningBackend, alice: Trader, executed: bool
) -> None:
    put(faulty, {"fault": -1007, "on": PLACE, "key": alice.api_key, "executed": executed})

    answer = buy(alice, newClientOrderId="mine")

    assert answer.error[:2] == (504, -1007)
    assert open_orders(alice) == (["mine"] if executed else [])


def test_a_rule_can_be_about_an_account_by_its_name(faulty: RunningBackend, alice: Trader) -> None:
    assert faulty.admin("POST", "accounts", name="carol").status == 200
    key = faulty.key("carol", kind="hmac")
    put(faulty, {"fault": 418, "account": "carol"})

    assert Trader(alice.url, key["apiKey"], key["secretKey"]).call("GET", "account").status == 418
    assert alice.call("GET", "account").status == 200


def test_others_notice_nothing(faulty: RunningBackend, alice: Trader) -> None:
    bob = faulty.trader(USDC="100")
    put(faulty, {"fault": 429, "key": alice.api_key})

    assert buy(bob).status == 200
    clear(bob)
    assert buy(alice).status == 429
    # A request that is refused for what it is, is not met by the rule either.
    wrong = Trader(alice.url, alice.api_key, "wrong")
    assert buy(wrong).error[:2] == (400, -1022)


def test_the_first_requests_pass_and_so_do_those_behind_the_last(
    faulty: RunningBackend, alice: Trader
) -> None:
    put(faulty, {"fault": 429, "on": PLACE, "key": alice.api_key, "after": 1, "count": 2})

    assert [buy(alice).status for _ in range(5)] == [200, 429, 429, 200, 200]


# --- The clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(60_000, "outside of the recvWindow"), (-60_000, "1000ms ahead of the server's time")],
)
def test_a_wrong_clock_refuses_who_has_the_right_one_and_takes_who_follows_it(
    faulty: RunningBackend, alice: Trader, milliseconds: int, text: str
) -> None:
    put(faulty, {"fault": "skew", "milliseconds": milliseconds})

    refused = buy(alice)
    shown = alice.get("time").body["serverTime"]
    placed = buy(alice, timestamp=shown, newClientOrderId="followed")

    assert refused.error[:2] == (400, -1021)
    assert text in refused.error[2]
    # Half of it is more than any machine needs for this.
    assert abs(shown - time.time() * 1_000 - milliseconds) < 30_000
    assert placed.status == 200, placed
    assert open_orders_with(alice, shown) == ["followed"]


def open_orders_with(trader: Trader, timestamp: int) -> list[str]:
    found = trader.call("GET", "openOrders", timestamp=timestamp, recvWindow=60_000)
    return [one["clientOrderId"] for one in found.body]


def test_a_clock_is_wrong_for_one_key_and_shown_to_it_alone(
    faulty: RunningBackend, alice: Trader
) -> None:
    bob = faulty.trader(USDC="100")
    put(faulty, {"fault": "skew", "milliseconds": 3_600_000, "key": alice.api_key})

    own = alice.raw("GET", "/api/v3/time").body["serverTime"]

    assert own - bob.raw("GET", "/api/v3/time").body["serverTime"] > 3_000_000
    assert buy(bob).status == 200
    clear(bob)
    assert buy(alice).error[:2] == (400, -1021)


# --- Time and the connection ----------------------------------------------------------------------


@pytest.mark.parametrize("executed", [True, False])
def test_a_delayed_order_is_placed_all_the_same(
    faulty: RunningBackend, alice: Trader, executed: bool
) -> None:
    rule = {"fault": "delay", "milliseconds": 50, "executed": executed}
    put(faulty, {**rule, "on": PLACE, "key": alice.api_key})
    began = time.monotonic()

    answer = buy(alice, newClientOrderId="late")

    assert time.monotonic() - began >= 0.05
    assert answer.status == 200
    assert open_orders(alice) == ["late"]


@pytest.mark.parametrize("fault", ["drop", "stall"])
@pytest.mark.parametrize("executed", [True, False])
def test_a_cut_connection_says_nothing_of_its_order(
    faulty: RunningBackend, alice: Trader, fault: str, executed: bool
) -> None:
    rule: dict[str, object] = {"fault": fault, "executed": executed, "key": alice.api_key}
    put(faulty, {**rule, "on": PLACE, **({"milliseconds": 1} if fault == "stall" else {})})

    with pytest.raises(DROPPED):
        buy(alice, newClientOrderId="mine")

    assert open_orders(alice) == (["mine"] if executed else [])


def test_a_read_without_a_body_can_be_cut_too(faulty: RunningBackend, alice: Trader) -> None:
    put(faulty, {"fault": "drop", "on": "GET /api/v3/depth", "count": 1})

    with pytest.raises(DROPPED):
        alice.get("depth", symbol="SOLUSDC")

    assert alice.get("depth", symbol="SOLUSDC").status == 200


# --- Partial fills --------------------------------------------------------------------------------


def test_an_order_is_filled_in_part_by_an_account_of_the_script(
    faulty: RunningBackend, alice: Trader
) -> None:
    put(faulty, {"fault": "partial-fill", "share": 0.3, "key": alice.api_key, "maker": "house"})

    sold = alice.order("SELL", "10", "12.5").body
    bought = alice.order("BUY", "10", "9.5").body

    assert (sold["status"], sold["executedQty"]) == ("PARTIALLY_FILLED", "3.00000000")
    assert (bought["status"], bought["executedQty"]) == ("PARTIALLY_FILLED", "3.00000000")
    assert [fill["price"] for fill in sold["fills"]] == ["12.50000000"]
    # Of the other side nothing is left, and what it was given is on record.
    depth = alice.get("depth", symbol="SOLUSDC").body
    assert ["12.50000000", "7.00000000"] in depth["asks"]
    assert ["12.50000000", "3.00000000"] not in depth["bids"]
    acts = faulty.admin("GET", "audit?limit=50").body
    assert {"Deposit", "CreateAccount"} <= {
        act["act"] for act in acts if act["actor"] == "fault script"
    }


def test_what_is_refused_leaves_nothing_of_the_other_side(
    faulty: RunningBackend, alice: Trader
) -> None:
    before = alice.get("depth", symbol="ETHUSDT").body
    put(faulty, {"fault": "partial-fill", "key": alice.api_key})

    refused = alice.order("BUY", "1", "900", symbol="ETHUSDT")

    assert refused.error[1] == -2010
    after = alice.get("depth", symbol="ETHUSDT").body
    assert (after["bids"], after["asks"]) == (before["bids"], before["asks"])


def test_who_would_trade_before_the_script_does(faulty: RunningBackend, alice: Trader) -> None:
    bob = faulty.trader(USDC="10000")
    assert bob.order("BUY", "1", "15").status == 200
    put(faulty, {"fault": "partial-fill", "key": alice.api_key})

    # The script's own order would take what is bid already.
    placed = alice.order("BUY", "10", "14").body

    assert placed["status"] == "NEW"
    clear(bob)


# --- The WebSocket API ----------------------------------------------------------------------------


async def test_the_same_rules_hold_over_the_websocket_api(
    faulty: RunningBackend, alice: Trader
) -> None:
    order = {
        "symbol": "SOLUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
        "quantity": "1", "price": "10",
    }  # fmt: skip
    put(faulty, {"fault": 418, "on": PLACE, "key": alice.api_key, "count": 1},
        {"fault": "drop", "on": "order.place", "key": alice.api_key, "executed": True})  # fmt: skip

    async with connected(faulty.api, alice) as client:
        banned = await client.signed("order.place", **order)
        await client.send("order.place", **client.sign({**order, "newClientOrderId": "mine"}))
        code = await client.closed()

    assert (banned["status"], banned["error"]["code"]) == (418, -1003)
    assert code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
    assert open_orders(alice) == ["mine"]


async def test_a_clock_is_wrong_on_sockets_too(faulty: RunningBackend, alice: Trader) -> None:
    put(faulty, {"fault": "skew", "milliseconds": 60_000, "key": alice.api_key})

    async with connected(faulty.api, alice) as client:
        answer = await client.signed("account.status")

    assert answer["error"]["code"] == -1021


async def test_a_connection_is_cut_before_the_message_that_the_script_names(
    faulty: RunningBackend, alice: Trader
) -> None:
    put(faulty, {"fault": "drop", "on": "ws-api", "key": alice.api_key, "after": 1, "count": 1})

    for _ in range(2):
        async with connected(faulty.api, alice) as client:
            assert (await client.call("ping"))["result"] == {}
            # Until now it is nobody's.
            await client.send("account.status", **client.sign({}))
            if _ == 0:
                assert await client.closed() == aiohttp.WSCloseCode.ABNORMAL_CLOSURE
            else:
                assert (await client.answer(2))["status"] == 200


async def test_a_stalled_connection_stays_and_says_nothing(
    faulty: RunningBackend, alice: Trader
) -> None:
    put(faulty, {"fault": "stall", "on": "ws-api", "after": 1})

    async with connected(faulty.api, alice) as client:
        assert (await client.call("ping"))["result"] == {}
        await client.send("order.place", **client.sign({
            "symbol": "SOLUSDC", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC",
            "quantity": "1", "price": "10", "newClientOrderId": "unheard",
        }))  # fmt: skip
        # It is placed, and no answer of it has come by the time that it can be seen.
        async with asyncio.timeout(60):
            while open_orders(alice) != ["unheard"]:
                await asyncio.sleep(0.02)
        await client.socket.ping()

        assert not client.socket.closed


# --- Streams --------------------------------------------------------------------------------------


async def test_a_stream_is_cut_after_so_many_messages(
    faulty: RunningBackend, streams: str, alice: Trader
) -> None:
    put(faulty, {"fault": "drop", "on": "streams", "stream": "solusdc@*", "after": 2, "count": 1})
    url = f"{streams}/ws/solusdc@depth@100ms"

    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        for number in range(4):
            assert buy(alice, price=str(20 + number)).status == 200
            message = await socket.receive(timeout=60)
            if message.type is not aiohttp.WSMsgType.TEXT:
                break

    assert number == 2
    assert socket.close_code == aiohttp.WSCloseCode.ABNORMAL_CLOSURE


async def test_the_stream_of_one_key_falls_silent(
    faulty: RunningBackend, streams: str, alice: Trader
) -> None:
    bob = faulty.trader(USDC="1000")
    put(faulty, {"fault": "stall", "on": "streams", "key": alice.api_key})
    listen_keys = [
        send(one.url, "POST", "/api/v3/userDataStream", headers={"X-MBX-APIKEY": one.api_key})
        for one in (alice, bob)
    ]
    urls = [f"{streams}/ws/{answer.body['listenKey']}" for answer in listen_keys]

    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(urls[0]) as silent,
        session.ws_connect(urls[1]) as heard,
    ):
        # Both are known by the time that one of them is told of an order.
        event = None
        async with asyncio.timeout(60):
            while event is None:
                assert buy(alice).status == 200
                assert buy(bob).status == 200
                with suppress(TimeoutError):
                    event = await heard.receive_json(timeout=0.2)

        assert event["e"] == "executionReport"
        with pytest.raises(TimeoutError):
            await silent.receive(timeout=0.2)
        await silent.ping()
        assert not silent.closed
    clear(bob)
