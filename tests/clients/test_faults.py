"""Faults on request as an unmodified ccxt sees them, over REST, the WebSocket API and streams."""

import asyncio
import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress

import ccxt
import pytest
from conftest import SYMBOL, Exchange, ccxt_client, ccxt_pro, start, wait_for_run_json

PLACE = "POST /api/v3/order"
WAIT_S = 60


class Faulty(Exchange):
    """An exchange that was started with --faults."""

    def script(self, *rules: dict, seed: int = 0) -> None:
        request = urllib.request.Request(
            f"{self._admin}/admin/faults",
            method="PUT",
            data=json.dumps({"seed": seed, "rule": rules}).encode(),
            headers={"Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    """In place of the one that all others share."""
    data = tmp_path_factory.mktemp("faulty") / "data"
    process = start(data, "--faults")
    try:
        yield Faulty(wait_for_run_json(data, process))
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(autouse=True)
def _no_faults(exchange: Faulty) -> Iterator[None]:
    """Each test begins without, and so does what takes its orders back."""
    exchange.script()
    yield
    exchange.script()


@pytest.fixture
def carol(exchange: Faulty) -> Iterator[ccxt.binance]:
    """She sells; her orders go afterwards, when nothing goes wrong any more."""
    client = ccxt_client(exchange.rest, exchange.account(SOL="100"))
    client.load_markets()
    yield client
    exchange.script()
    for order in client.fetch_open_orders(SYMBOL):
        client.cancel_order(order["id"], SYMBOL)


def sell(client: ccxt.binance, amount: float = 10, **params: object) -> dict:
    return client.create_order(SYMBOL, "limit", "sell", amount, 120, params)


def place_of(client: ccxt.binance, **more: object) -> dict:
    return {"on": PLACE, "key": client.apiKey, **more}


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (429, ccxt.DDoSProtection, "Too much request weight used"),
        (418, ccxt.DDoSProtection, "IP banned until"),
        (-1003, ccxt.DDoSProtection, "Too many requests queued"),
        (-1015, ccxt.DDoSProtection, "Too many new orders"),
        (-1001, ccxt.OperationFailed, "unable to process your request"),
        (-1008, ccxt.ExchangeError, "overloaded"),
    ],
)
def test_an_answer_means_that_nothing_has_happened(
    exchange: Faulty, carol: ccxt.binance, fault: int, error: type[Exception], words: str
) -> None:
    exchange.script({"fault": fault, **place_of(carol, count=1)})

    with pytest.raises(error, match=words):
        sell(carol)

    assert carol.fetch_open_orders(SYMBOL) == []
    assert sell(carol)["status"] == "open"


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"fault": -1007}, ccxt.NetworkError),
        ({"fault": "drop"}, ccxt.NetworkError),
        ({"fault": "stall"}, ccxt.RequestTimeout),
    ],
)
def test_after_an_unknown_answer_the_client_order_id_tells(
    exchange: Faulty, carol: ccxt.binance, fault: dict, error: type[Exception], executed: bool
) -> None:
    exchange.script({**fault, **place_of(carol, executed=executed, count=1)})
    carol.timeout = 2_000 if fault["fault"] == "stall" else 10_000

    with pytest.raises(error) as raised:
        sell(carol, clientOrderId="mine")

    carol.timeout = 10_000
    found = None
    with suppress(ccxt.OrderNotFound):
        found = carol.fetch_order("", SYMBOL, {"origClientOrderId": "mine"})
    assert not isinstance(raised.value, ccxt.InvalidOrder)
    assert (found is not None) is executed
    assert len(carol.fetch_open_orders(SYMBOL)) == executed


def test_a_client_that_follows_a_wrong_clock_trades_on(
    exchange: Faulty, carol: ccxt.binance
) -> None:
    exchange.script({"fault": "skew", "milliseconds": 60_000})

    with pytest.raises(ccxt.InvalidNonce, match="recvWindow"):
        sell(carol)
    carol.load_time_difference()
    carol.options["adjustForTimeDifference"] = True

    assert sell(carol)["status"] == "open"
    exchange.script()
    carol.load_time_difference()


def test_a_delay_is_nothing_but_one(exchange: Faulty, carol: ccxt.binance) -> None:
    exchange.script({"fault": "delay", "milliseconds": 100, **place_of(carol)})

    assert sell(carol)["status"] == "open"


def test_an_order_is_filled_in_part(exchange: Faulty, carol: ccxt.binance) -> None:
    exchange.script({"fault": "partial-fill", "share": 0.25, **place_of(carol)})

    order = sell(carol)

    assert (order["status"], order["filled"], order["remaining"]) == ("open", 2.5, 7.5)
    assert carol.fetch_my_trades(SYMBOL)[-1]["amount"] == 2.5


def test_a_seed_decides_which_requests_fail(exchange: Faulty, carol: ccxt.binance) -> None:
    def fates() -> list[bool]:
        exchange.script({"fault": 429, **place_of(carol, probability=0.5)}, seed=11)
        return [fails(lambda: sell(carol, 0.5)) for _ in range(12)]

    first = fates()

    assert fates() == first
    assert 0 < sum(first) < 12


def fails(ask: Callable[[], object]) -> bool:
    try:
        ask()
    except ccxt.DDoSProtection:
        return True
    return False


def test_a_client_reconnects_when_its_user_data_is_cut(exchange: Faulty) -> None:
    async def scenario() -> None:
        client = ccxt_pro(exchange, exchange.account(SOL="10"))
        exchange.script(
            {"fault": "drop", "on": "ws-api", "key": client.apiKey, "after": 1, "count": 1}
        )
        try:
            await client.load_markets()
            with pytest.raises(ccxt.NetworkError):
                await asyncio.wait_for(watch_and_sell(client), WAIT_S)
            (watched,) = await asyncio.wait_for(watch_and_sell(client), WAIT_S)
        finally:
            await client.close()
        assert watched["status"] == "open"

    asyncio.run(scenario())


async def watch_and_sell(client: ccxt.pro.binance) -> list[dict]:
    """What is told of a new order."""
    await client.ensure_user_data_stream_ws_subscribe_signature("spot")
    watching = asyncio.create_task(client.watch_orders(SYMBOL))
    await asyncio.sleep(0.1)
    await client.create_order(SYMBOL, "limit", "sell", 1, 120)
    return await watching


def test_a_stream_is_cut_and_the_next_one_is_not(exchange: Faulty, carol: ccxt.binance) -> None:
    async def scenario() -> None:
        client = ccxt_pro(exchange, exchange.account(SOL="10"))
        exchange.script(
            {"fault": "drop", "on": "streams", "stream": "solusdc@depth*", "after": 1, "count": 1}
        )
        try:
            await client.load_markets()
            with pytest.raises(ccxt.NetworkError):
                await asyncio.wait_for(watch_until_told(client, carol), WAIT_S)
            book = await asyncio.wait_for(watch_until_told(client, carol), WAIT_S)
        finally:
            await client.close()
        assert book["asks"]

    asyncio.run(scenario())


async def watch_until_told(client: ccxt.pro.binance, seller: ccxt.binance) -> dict:
    """A book, once something has happened to it."""
    watching = asyncio.create_task(client.watch_order_book(SYMBOL))
    while not watching.done():
        await asyncio.to_thread(sell, seller, 0.5)
        await asyncio.wait([watching], timeout=0.2)
    return await watching
