"""User data and order entry over WebSockets, by unmodified clients."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import ccxt.pro
import pytest
from binance import AsyncClient, BinanceSocketManager
from binance.base_client import BaseClient
from conftest import Account, Exchange, ccxt_pro

MARKET, SYMBOL = "SOL/USDC", "SOLUSDC"
WAIT_S = 60


@asynccontextmanager
async def trading(exchange: Exchange, **deposits: str) -> AsyncIterator[ccxt.pro.binance]:
    """A client of a new account that holds this."""
    client = ccxt_pro(exchange, exchange.account(**deposits))
    try:
        yield client
    finally:
        await client.close()


async def listening(client: ccxt.pro.binance, watching: Coroutine) -> asyncio.Task:
    """What watches, once it would hear of everything."""
    await client.ensure_user_data_stream_ws_subscribe_signature("spot")
    task = asyncio.create_task(watching)
    # From here on it waits for nobody but the events.
    await asyncio.sleep(0.1)
    return task


def test_ccxt_places_watches_and_cancels_over_the_websocket_api(exchange: Exchange) -> None:
    async def scenario() -> None:
        async with trading(exchange, USDC="1000") as buyer:
            await place_watch_and_cancel(buyer)

    asyncio.run(scenario())


async def place_watch_and_cancel(buyer: ccxt.pro.binance) -> None:
    watching = await listening(buyer, buyer.watch_orders(MARKET))

    placed = await buyer.create_order_ws(MARKET, "limit", "buy", 1, 50)
    (watched,) = await asyncio.wait_for(watching, WAIT_S)
    # It goes on changing what it has handed out.
    opened = watched["id"], watched["status"]
    # It keeps an event only for those who watch already.
    watching = await listening(buyer, buyer.watch_orders(MARKET))
    canceled = await buyer.cancel_order_ws(placed["id"], MARKET)
    (ended,) = await asyncio.wait_for(watching, WAIT_S)

    assert opened == (placed["id"], "open")
    assert canceled["status"] == "canceled"
    assert (ended["id"], ended["status"]) == (placed["id"], "canceled")
    assert ended["clientOrderId"] == placed["clientOrderId"]


def test_ccxt_watches_its_trades(exchange: Exchange) -> None:
    async def scenario() -> None:
        async with (
            trading(exchange, USDC="1000") as buyer,
            trading(exchange, SOL="10") as seller,
        ):
            await trade_and_watch(buyer, seller)

    asyncio.run(scenario())


async def trade_and_watch(buyer: ccxt.pro.binance, seller: ccxt.pro.binance) -> None:
    trades = await listening(buyer, buyer.watch_my_trades(MARKET))

    await seller.create_order_ws(MARKET, "limit", "sell", 1, 60)
    await buyer.create_order_ws(MARKET, "limit", "buy", 1, 60)
    (trade,) = await asyncio.wait_for(trades, WAIT_S)

    assert (trade["amount"], trade["price"], trade["takerOrMaker"]) == (1.0, 60.0, "taker")
    assert trade["fee"] == {"cost": 0.001, "currency": "SOL"}
    balance = await buyer.fetch_balance()
    assert balance["SOL"]["free"] == 0.999
    assert balance["USDC"]["free"] == 940


def test_python_binance_hears_its_account(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseClient, "API_URL", f"{exchange.rest}/api")
    monkeypatch.setattr(
        BaseClient, "WS_API_URL", exchange.rest.replace("http", "ws", 1) + "/ws-api/v3"
    )
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.ws}/")

    report, placed = asyncio.run(hear(exchange.account(USDC="1000")))

    event = report.get("event", report)
    assert (event["e"], event["x"]) == ("executionReport", "NEW")
    assert event["c"] == placed["clientOrderId"]


async def hear(account: Account) -> tuple[dict, dict]:
    """A report that came, and the order that was placed."""
    client = await AsyncClient.create(account.api_key, account.secret)
    try:
        async with BinanceSocketManager(client).user_socket() as events:
            placed = await client.ws_create_order(
                symbol=SYMBOL,
                side="BUY",
                type="LIMIT",
                timeInForce="GTC",
                quantity="1",
                price="40",
            )
            report = await asyncio.wait_for(events.recv(), WAIT_S)
            await client.ws_cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
    finally:
        await client.close_connection()
    return report, placed


def test_python_binance_hears_its_account_by_a_listen_key(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BaseClient, "API_URL", f"{exchange.rest}/api")
    monkeypatch.setattr(BinanceSocketManager, "STREAM_URL", f"{exchange.ws}/")

    report, placed = asyncio.run(hear_by_listen_key(exchange.account(USDC="1000")))

    assert (report["e"], report["x"], report["i"]) == ("executionReport", "NEW", placed["orderId"])


async def hear_by_listen_key(account: Account) -> tuple[dict, dict]:
    client = await AsyncClient.create(account.api_key, account.secret)
    try:
        listen_key = await client.stream_get_listen_key()
        await client.stream_keepalive(listen_key)
        manager = BinanceSocketManager(client)
        async with manager._get_socket(listen_key) as events:
            placed = await client.order_limit_buy(symbol=SYMBOL, quantity="1", price="40")
            report = await asyncio.wait_for(events.recv(), WAIT_S)
            await client.cancel_order(symbol=SYMBOL, orderId=placed["orderId"])
        await client.stream_close(listen_key)
    finally:
        await client.close_connection()
    return report, placed
