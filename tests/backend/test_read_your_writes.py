"""What was acknowledged on one connection is seen on every other one, at once."""

import asyncio
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
from backend.api_client import Trader
from backend.conftest import RunningBackend

SYMBOL = "SOLUSDC"
TRADERS, ROUNDS = 20, 50
ATTEMPTS_MAX = 10
"""Of one request, while a slow machine says that it is too busy."""
QUANTITY = {"symbol": SYMBOL, "side": "BUY", "quantity": "0.1"}


async def test_a_read_after_an_answer_sees_what_was_answered(backend: RunningBackend) -> None:
    seller = backend.trader(SOL="1000")
    assert seller.order("SELL", "1000", "100").status == 200
    traders = [backend.trader(USDC="100000") for _ in range(TRADERS)]

    rounds = await asyncio.gather(*(_trade_and_look(trader) for trader in traders))

    assert sum(rounds) == 1_000


async def _trade_and_look(trader: Trader) -> int:
    """Order and read by turns; how often."""
    async with aiohttp.ClientSession() as writing, aiohttp.ClientSession() as reading:
        for number in range(ROUNDS):
            if number % 2:
                await _bought(trader, writing, reading)
            else:
                await _rests(trader, writing, reading)
    return ROUNDS


async def _rests(
    trader: Trader, writing: aiohttp.ClientSession, reading: aiohttp.ClientSession
) -> None:
    wish = {**QUANTITY, "type": "LIMIT", "timeInForce": "GTC", "price": "90"}
    placed = await _ask(trader, writing, "POST", "order", **wish)
    order_id = placed["orderId"]

    one, open_orders, account = await asyncio.gather(
        _ask(trader, reading, "GET", "order", symbol=SYMBOL, orderId=order_id),
        _ask(trader, reading, "GET", "openOrders", symbol=SYMBOL),
        _ask(trader, reading, "GET", "account"),
    )

    assert one["status"] == "NEW"
    assert [order["orderId"] for order in open_orders] == [order_id]
    assert _locked(account) == "9.00000000"
    await _ask(trader, writing, "DELETE", "order", symbol=SYMBOL, orderId=order_id)
    one, account = await asyncio.gather(
        _ask(trader, reading, "GET", "order", symbol=SYMBOL, orderId=order_id),
        _ask(trader, reading, "GET", "account"),
    )
    assert one["status"] == "CANCELED"
    assert _locked(account) == "0.00000000"


async def _bought(
    trader: Trader, writing: aiohttp.ClientSession, reading: aiohttp.ClientSession
) -> None:
    placed = await _ask(trader, writing, "POST", "order", **QUANTITY, type="MARKET")

    trades, orders, one = await asyncio.gather(
        _ask(trader, reading, "GET", "myTrades", symbol=SYMBOL, orderId=placed["orderId"]),
        _ask(trader, reading, "GET", "allOrders", symbol=SYMBOL, limit=1),
        _ask(trader, reading, "GET", "order", symbol=SYMBOL, orderId=placed["orderId"]),
    )

    assert [trade["id"] for trade in trades] == [fill["tradeId"] for fill in placed["fills"]]
    assert orders[0]["orderId"] == placed["orderId"]
    assert one["status"] == "FILLED"
    market = await _public(trader, reading, "trades", symbol=SYMBOL, limit=1_000)
    assert placed["fills"][-1]["tradeId"] in [trade["id"] for trade in market]


def _locked(account: dict[str, Any]) -> str:
    held = {one["asset"]: one["locked"] for one in account["balances"]}
    return str(held["USDC"])


async def _public(
    trader: Trader, session: aiohttp.ClientSession, path: str, **parameters: object
) -> Any:
    url = f"{trader.url}/api/v3/{path}?{urlencode(parameters)}"
    async with session.get(url) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def _ask(
    trader: Trader, session: aiohttp.ClientSession, method: str, path: str, **parameters: object
) -> Any:
    """What is refused as too busy was not executed, nor read: a slow machine asks again."""
    for _ in range(ATTEMPTS_MAX):
        status, body = await _try(trader, session, method, path, **parameters)
        if status != 503:
            break
    assert status == 200, body
    return body


async def _try(
    trader: Trader, session: aiohttp.ClientSession, method: str, path: str, **parameters: object
) -> tuple[int, Any]:
    text = urlencode({**parameters, "timestamp": time.time_ns() // 1_000_000})
    signature = hmac.new(trader.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    url = f"{trader.url}/api/v3/{path}?{text}&signature={signature}"
    async with session.request(method, url, headers={"X-MBX-APIKEY": trader.api_key}) as answer:
        return answer.status, await answer.json()
