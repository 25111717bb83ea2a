"""Engines in this process or as processes of their own, and what they made of commands."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress

from frames import now_us, payload
from venue import MARKET, SYMBOL, UNIT

from exchange.db_processor import service as db_processor
from exchange.engine import service
from exchange.postgres_db import epochs
from exchange.redis.journal import Closed, Journal, NotIngested
from exchange.redis.leadership import Leadership
from exchange.redis.outcomes import Outcomes
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    Deposit,
    NewOrder,
    PlaceOrder,
)
from exchange.services.embedded import free_port
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.markets import Asset
from exchange.services.messages import Outcome
from exchange.services.orders import OrderType, Side
from exchange.services.process import Health
from exchange.services.settings import Settings

StartEngine = Callable[..., subprocess.Popen[bytes]]
"""Called with what Python has to run; without arguments, the engine."""


@asynccontextmanager
async def running(settings: Settings, sentence: str = "leading") -> AsyncIterator[Health]:
    """An engine in this process that starts again whatever stopped it, as process.run does.

    The block begins when the engine says `sentence`.
    """
    stop, health = asyncio.Event(), Health()

    async def live() -> None:
        while not stop.is_set():
            with suppress(WorldFailed, OperatorNeeded, OSError):
                await service.run(settings, health, stop)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(live())
    try:
        async with asyncio.timeout(60):
            while health.sentence != sentence and not task.done():
                await asyncio.sleep(0.02)
        yield health
    finally:
        stop.set()
        async with asyncio.timeout(60):
            await task


async def write_everything(settings: Settings) -> None:
    """Let a db-processor write all that is in the stream into Postgres."""
    stop = asyncio.Event()
    stop.set()
    async with asyncio.timeout(60):
        await db_processor.run(settings, Health(), stop)


async def outcome_of(settings: Settings, asked: AnyCommand) -> Outcome:
    """Journal a command as soon as the gate is open, and wait for what it leads to."""
    async with asyncio.timeout(60), await Outcomes.open(settings.redis_url) as outcomes:
        journal = await Journal.open(settings.redis_url, name="test")
        while True:
            try:
                number = await journal.append(payload(asked), 1, clock=now_us())
                break
            except NotIngested as refusal:
                assert refusal.reason is Closed.CLOSED
                await asyncio.sleep(0.05)
        journal.close()
        while (found := await outcomes.find(number)) is None:
            await asyncio.sleep(0.01)
        return found


async def all_outcomes(settings: Settings, after: int = 0) -> list[Outcome]:
    async with await Outcomes.open(settings.redis_url) as outcomes:
        async with aclosing(outcomes.tail(after, frames_max=1_000)) as feed:
            return [outcome for frame in await anext(feed) for outcome in frame.outcomes]


@contextmanager
def engine_processes(settings: Settings) -> Iterator[StartEngine]:
    """Start engines as processes, which can be killed and frozen."""
    engines: list[subprocess.Popen[bytes]] = []

    def start(*command: str) -> subprocess.Popen[bytes]:
        environment = {
            **os.environ,
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
            "METRICS_ADDR": f"127.0.0.1:{free_port()}",
        }
        arguments = command or ("-m", "exchange.engine")
        engines.append(subprocess.Popen([sys.executable, *arguments], env=environment))
        return engines[-1]

    try:
        yield start
    finally:
        for engine in engines:
            engine.kill()
            engine.wait()


async def claim_for_nobody(settings: Settings) -> None:
    """Take the lead away, so that no engine executes what comes next."""
    usurper = await Leadership.open(settings.redis_url)
    await usurper.claim(await epochs.next_epoch(settings.database_url))
    usurper.close()


def market_and_money() -> list[AnyCommand]:
    return [
        AddAsset(uid=101, asset=Asset(MARKET.base, MARKET.base_decimals)),
        AddAsset(uid=102, asset=Asset(MARKET.quote, MARKET.quote_decimals)),
        AddMarket(uid=103, market=MARKET),
        Deposit(uid=104, account=0, asset=MARKET.quote, amount=10**15, reference="x"),
    ]


def order(uid: int) -> AnyCommand:
    asked = NewOrder(
        side=Side.BUY,
        type=OrderType.LIMIT,
        price=100 * UNIT,
        quantity=UNIT,
        client_order_id=str(uid),
    )
    return PlaceOrder(uid=uid, symbol=SYMBOL, order=asked)
