"""python-binance, unmodified: one round of REST, and its own depth cache on our streams."""

import asyncio
from collections.abc import Iterator

import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.base_client import BaseClient
from binance.client import Client
from binance.exceptions import BinanceAPIException
from binance.ws.depthcache import DepthCacheManager
from conftest import Account, Exchange

SYMBOL = "SOLUSDC"


@pytest.fixture(autouse=True)
def _addresses(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its users change: class constants, before the first object."""
    monkeypatch.setattr(BaseClient, "API_URL", f"{exchange.rest}/api")
    monkeypatch.setattr(BaseClient, "MARGIN_API_URL", f"{exchange.rest}/sapi")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.ws}/")


@pytest.fixture
def alice(exchange: Exchange) -> Iterator[Client]:
    yield from client_of(exchange.account(SOL="10"))


@pytest.fixture
def bob(exchange: Exchange) -> Iterator[Client]:
    yield from client_of(exchange.account(USDC="1000"))


def client_of(account: Account) -> Iterator[Client]:
    """A client whose orders are gone afterwards."""
    client = Client(account.api_key, account.secret)
    yield client
    for order in client.get_open_orders(symbol=SYMBOL):
        client.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    client.close_connection()


def test_an_order_is_placed_fetched_and_cancelled(alice: Client) -> None:
    order = alice.order_limit_sell(symbol=SYMBOL, quantity="1.5", price="120.25")

    assert alice.get_order(symbol=SYMBOL, orderId=order["orderId"])["status"] == "NEW"
    assert alice.get_asset_balance("SOL") == {
        "asset": "SOL",
        "free": "8.50000000",
        "locked": "1.50000000",
    }
    # It sends the parameters of a DELETE in a form body.
    cancelled = alice.cancel_order(symbol=SYMBOL, orderId=order["orderId"])
    assert cancelled["status"] == "CANCELED"
    assert alice.get_open_orders(symbol=SYMBOL) == []


def test_market_data_can_be_read(alice: Client) -> None:
    alice.order_limit_sell(symbol=SYMBOL, quantity="1", price="130")

    assert alice.ping() == {}
    assert alice.get_symbol_info(SYMBOL)["baseAsset"] == "SOL"
    assert ["130.00000000", "1.00000000"] in alice.get_order_book(symbol=SYMBOL)["asks"]
    assert alice.get_orderbook_ticker(symbol=SYMBOL)["askPrice"] <= "130.00000000"
    assert isinstance(alice.get_recent_trades(symbol=SYMBOL), list)
    assert isinstance(alice.get_klines(symbol=SYMBOL, interval="1m"), list)


def test_a_refusal_has_its_code(alice: Client) -> None:
    with pytest.raises(BinanceAPIException) as refusal:
        alice.order_limit_buy(symbol=SYMBOL, quantity="100", price="100")

    assert refusal.value.code == -2010
    assert refusal.value.message == "Account has insufficient balance for requested action."


async def until_book(cache: DepthCacheManager, asks: list[list[float]]) -> None:
    """Read events until the cached book is this one; the test's time-out ends the wait."""
    while True:
        book = await cache.recv()
        if book is not None and book.get_asks() == asks:
            return


def test_the_depth_cache_becomes_the_order_book(alice: Client) -> None:
    alice.order_limit_sell(symbol=SYMBOL, quantity="1", price="141")

    async def watch() -> None:
        client = await AsyncClient.create()
        try:
            async with DepthCacheManager(client, SYMBOL, refresh_interval=0) as cache:
                place = asyncio.to_thread(
                    alice.order_limit_sell, symbol=SYMBOL, quantity="2", price="140"
                )
                async with asyncio.timeout(30):
                    await asyncio.gather(place, until_book(cache, [[140.0, 2.0], [141.0, 1.0]]))
                    order = alice.get_open_orders(symbol=SYMBOL)[-1]
                    cancel = asyncio.to_thread(
                        alice.cancel_order, symbol=SYMBOL, orderId=order["orderId"]
                    )
                    await asyncio.gather(cancel, until_book(cache, [[141.0, 1.0]]))
        finally:
            await client.close_connection()

    asyncio.run(watch())


@pytest.mark.parametrize("stream", ["trade_socket", "symbol_book_ticker_socket", "depth_socket"])
def test_streams_tell_of_a_trade(alice: Client, bob: Client, stream: str) -> None:
    async def watch() -> dict:
        client = await AsyncClient.create()
        try:
            manager = BinanceSocketManager(client)
            async with getattr(manager, stream)(SYMBOL) as socket:
                alice.order_limit_sell(symbol=SYMBOL, quantity="1", price="100")
                bob.order_limit_buy(symbol=SYMBOL, quantity="1", price="100")
                async with asyncio.timeout(20):
                    return await socket.recv()
        finally:
            await client.close_connection()

    event = asyncio.run(watch())

    assert event["s"] == SYMBOL
