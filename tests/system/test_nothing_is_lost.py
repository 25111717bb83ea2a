"""Processes killed and frozen under load: what was acknowledged is there, once, to the unit."""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
import pytest
from running_exchange import RunningExchange
from system.book_keeper import BookKeeper
from system.traders import SYMBOL, RandomTrader

from exchange.services.children import is_running

PARTS = ("engine", "backend", "websocket", "db-processor", "redis", "postgres")
TRADERS = 4
FUNDS = {"SOL": 10_000, "USDC": 1_000_000}
UNIT = 10**8
TRADING_AGAIN_S_MAX = 90
"""The promise is 3 s; a test machine may have other things to do at the same time."""


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    exchange = RunningExchange(tmp_path_factory.mktemp("killed") / "data")
    try:
        exchange.start()
        yield exchange
    finally:
        exchange.stop()


def _kill(pid: int) -> float:
    os.kill(pid, signal.SIGKILL)
    return 0.0


def _freeze(seconds: float) -> "Disturb":
    def freeze(pid: int) -> float:
        os.kill(pid, signal.SIGSTOP)
        asyncio.get_running_loop().call_later(seconds, os.kill, pid, signal.SIGCONT)
        return seconds

    return freeze


Disturb = Callable[[int], float]
"""Does something to a process, and says how many seconds that lasts."""

DISTURBANCES: dict[str, list[tuple[str, Disturb]]] = {
    "killed": [(part, _kill) for part in PARTS],
    # Longer than every time-out that somebody has who talks to it.
    "frozen": [(part, _freeze(7.0 if part == "redis" else 4.0)) for part in PARTS],
    "killed together": [("redis", _kill), ("engine", _kill), ("backend", _kill)],
}


@pytest.mark.parametrize("how", DISTURBANCES)
async def test_nothing_acknowledged_is_lost(exchange: RunningExchange, how: str) -> None:
    names = [f"{how.replace(' ', '-')}-{number}" for number in range(TRADERS)]
    traders = [_funded(exchange, name, seed) for seed, name in enumerate(names)]
    keeper = BookKeeper(exchange.api, exchange.ws, SYMBOL)
    keeping = asyncio.create_task(keeper.keep())
    stop = asyncio.Event()
    connector = aiohttp.TCPConnector(limit=TRADERS * 2)
    async with aiohttp.ClientSession(connector=connector) as session:
        trading = [asyncio.create_task(trader.trade(session, stop)) for trader in traders]
        await asyncio.sleep(2)

        for part, disturb in DISTURBANCES[how]:
            pid = exchange.pids()[part]
            assert pid is not None
            seconds = disturb(pid)
            if how != "killed together":
                await asyncio.sleep(seconds)
                await _trading_again(traders, time.monotonic())
                await asyncio.sleep(1)
        await _trading_again(traders, time.monotonic())

        stop.set()
        await asyncio.gather(*trading)
        assert not keeping.done(), keeping.exception()
        for trader in traders:
            await _check_promises(trader, session)
        await _check_rows(exchange, traders, session)
        await _check_book(keeper)
        if how != "frozen":
            # A killed server's clients had to come back; a frozen one's may just have waited.
            assert keeper.connections > 1
    keeping.cancel()


@pytest.mark.parametrize("lost_bytes", [1_500, 40_000])
async def test_a_journal_that_lost_its_tail_goes_on_from_postgres(
    exchange: RunningExchange, lost_bytes: int
) -> None:
    traders = [_funded(exchange, f"tail{lost_bytes}-{seed}", seed) for seed in range(TRADERS)]
    async with aiohttp.ClientSession() as session:
        await _trade(traders, session, seconds=2)
        while exchange.status()["lag"]["database"]:
            await asyncio.sleep(0.05)
        assert exchange.launcher is not None
        exchange.launcher.kill()
        exchange.launcher.wait()
        _wait_for_end(exchange.pids()["redis"])
        journal = exchange.journal_file
        os.truncate(journal, journal.stat().st_size - lost_bytes)

        exchange.start()

        await _trade(traders, session, seconds=2)
        for trader in traders:
            await _check_promises(trader, session)
        await _check_rows(exchange, traders, session)


async def _trade(
    traders: list[RandomTrader], session: aiohttp.ClientSession, *, seconds: float
) -> None:
    stop = asyncio.Event()
    trading = [asyncio.create_task(trader.trade(session, stop)) for trader in traders]
    await asyncio.sleep(seconds)
    stop.set()
    await asyncio.gather(*trading)


def _wait_for_end(pid: int | None) -> None:
    deadline = time.monotonic() + 60
    while pid is not None and is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_stopping_and_starting_shows_everything_as_it_was(
    exchange: RunningExchange,
) -> None:
    before = await _public_view(exchange)
    exchange.stop()

    exchange.start()

    assert await _public_view(exchange) == before


def _funded(exchange: RunningExchange, name: str, seed: int) -> RandomTrader:
    keys = exchange.account(name)
    for asset, amount in FUNDS.items():
        exchange.deposit(name, asset, str(amount))
    return RandomTrader(exchange.api, name, keys, seed)


async def _trading_again(traders: list[RandomTrader], since: float) -> None:
    async with asyncio.timeout(TRADING_AGAIN_S_MAX):
        while any(trader.last_acknowledged < since for trader in traders):
            await asyncio.sleep(0.02)


async def _check_promises(trader: RandomTrader, session: aiohttp.ClientSession) -> None:
    """What the trader was told is what the exchange says now."""
    memory = trader.memory
    orders = await _all_orders(trader, session)
    by_client_id = {order["clientOrderId"]: order for order in orders}
    assert len(by_client_id) == len(orders), "a client order id was executed twice"
    assert len(memory.placed) > 20
    for identifier, told in memory.placed.items():
        order = by_client_id[identifier]
        assert order["orderId"] == told["orderId"]
        assert (order["price"], order["origQty"]) == (told["price"], told["origQty"])
        assert Decimal(order["executedQty"]) >= Decimal(told["executedQty"])
    for identifier, told in memory.canceled.items():
        order = by_client_id[identifier]
        assert order["status"] == "CANCELED"
        assert order["executedQty"] == told["executedQty"], "filled after its cancel's answer"
    for identifier in memory.refused:
        assert identifier not in by_client_id, "a refused order exists"
    known = memory.placed.keys() | memory.unknown
    assert by_client_id.keys() <= known, "an order that nobody sent"
    for order in orders:
        if order["status"] == "CANCELED":
            assert order["clientOrderId"] in memory.canceled.keys() | memory.cancels_unknown


async def _all_orders(trader: RandomTrader, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
    orders: list[dict[str, Any]] = []
    start = 0
    while True:
        page = await _read(trader, session, "allOrders", symbol=SYMBOL, orderId=start, limit=1_000)
        orders += page
        if len(page) < 1_000:
            return orders
        start = page[-1]["orderId"] + 1


async def _read(
    trader: RandomTrader, session: aiohttp.ClientSession, path: str, **parameters: object
) -> Any:
    """An account's data; while Postgres catches up it is refused rather than old."""
    async with asyncio.timeout(TRADING_AGAIN_S_MAX):
        while True:
            status, answer = await trader.call(session, "GET", path, **parameters)
            if status == 200:
                return answer
            assert (status, answer["code"]) == (503, -1001), answer
            await asyncio.sleep(0.1)


async def _check_rows(
    exchange: RunningExchange, traders: list[RandomTrader], session: aiohttp.ClientSession
) -> None:
    """Postgres adds up, and says what the API says."""
    connection = await asyncpg.connect(exchange.database_url)
    try:
        for asset, amount in FUNDS.items():
            total = await connection.fetchval(
                "SELECT sum(free + locked) FROM balances WHERE asset = $1", asset
            )
            deposits = await connection.fetchval(
                "SELECT sum(amount) FROM transfers WHERE asset = $1", asset
            )
            assert total == deposits >= amount * TRADERS * UNIT, asset
        await _check_locks(connection)
        await _check_trades(connection)
        for trader in traders:
            account = await _read(trader, session, "account", omitZeroBalances="true")
            rows = await connection.fetch(
                "SELECT asset, free, locked FROM balances JOIN accounts USING (account_id)"
                " WHERE name = $1",
                trader.name,
            )
            assert {row["asset"]: (row["free"], row["locked"]) for row in rows} == {
                one["asset"]: (Decimal(one["free"]) * UNIT, Decimal(one["locked"]) * UNIT)
                for one in account["balances"]
            }
    finally:
        await connection.close()


async def _check_locks(connection: asyncpg.Connection) -> None:
    """What is locked is what open orders hold, and nothing more."""
    unequal = await connection.fetch(
        """
        SELECT * FROM (
            SELECT account_id, sum(locked) AS held FROM orders
            WHERE status IN ('NEW', 'PARTIALLY_FILLED') GROUP BY account_id
        ) open_orders
        FULL JOIN (
            SELECT account_id, sum(locked) AS locked FROM balances GROUP BY account_id
        ) books USING (account_id)
        WHERE coalesce(held, 0) <> coalesce(locked, 0)
        """
    )
    assert unequal == []


async def _check_trades(connection: asyncpg.Connection) -> None:
    """Every order is filled by exactly its trades, and trade ids name one trade each."""
    unequal = await connection.fetch(
        """
        SELECT order_id, filled, filled_quote, traded, traded_quote FROM orders LEFT JOIN (
            SELECT symbol, order_id, sum(quantity) AS traded, sum(quote_quantity) AS traded_quote
            FROM (
                SELECT symbol, buy_order AS order_id, quantity, quote_quantity FROM trades
                UNION ALL
                SELECT symbol, sell_order, quantity, quote_quantity FROM trades
            ) sides GROUP BY symbol, order_id
        ) sums USING (symbol, order_id)
        WHERE filled <> coalesce(traded, 0) OR filled_quote <> coalesce(traded_quote, 0)
        """
    )
    assert unequal == []
    assert await connection.fetchval("SELECT count(*) FROM trades") > 50
    minutes, seconds = [
        await connection.fetchval("SELECT sum(volume) FROM candles WHERE interval = $1", interval)
        for interval in ("1m", "1s")
    ]
    assert minutes == seconds == await connection.fetchval("SELECT sum(quantity) FROM trades")


async def _check_book(keeper: BookKeeper) -> None:
    """The book that a client kept from the stream is the one that REST shows."""
    async with aiohttp.ClientSession() as session, asyncio.timeout(15):
        while True:
            depth = await keeper._snapshot(session)
            if depth["lastUpdateId"] == keeper.update_id:
                break
            await asyncio.sleep(0.1)
    assert dict(depth["bids"]) == keeper.bids
    assert dict(depth["asks"]) == keeper.asks
    assert keeper.events > 5


async def _public_view(exchange: RunningExchange) -> dict[str, Any]:
    view = {}
    async with aiohttp.ClientSession() as session:
        for path in ("depth", "trades", "ticker/price", "ticker/bookTicker"):
            url = f"{exchange.api}/api/v3/{path}?symbol={SYMBOL}"
            async with session.get(url) as answer:
                assert answer.status == 200
                view[path] = await answer.json(content_type=None)
    return view
