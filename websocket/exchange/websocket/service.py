"""The process around the streams: load, catch up, follow, and say why when it cannot."""

import asyncio
import gc
import time
from contextlib import aclosing

import structlog
from websockets.frames import CloseCode

from exchange.postgres_db.epochs import cluster_uuid
from exchange.postgres_db.snapshot import open_snapshot
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.services.candles import Interval
from exchange.services.market_view import CANDLES_KEPT, RECENT_TRADES, MarketViews
from exchange.services.process import Health, until_stopped
from exchange.services.settings import Settings, parse_address
from exchange.websocket.sockets import StreamServer

log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """One life of the streams, from nothing to current; ends by `stop` or by an exception.

    It listens from the start, and lets clients in once it has caught up. However it ends, every
    socket is told: that the server goes away, or that it begins again.
    """
    server = StreamServer()
    await server.open(parse_address("WS_STREAM_URL", settings.ws_stream_url))
    try:
        following = _follow(settings, health, server)
        await until_stopped(stop, following, server.run_clock())
    finally:
        if stop.is_set():
            await server.close(CloseCode.GOING_AWAY, "server shutdown")
        else:
            await server.close(CloseCode.SERVICE_RESTART, "service restart")


async def _follow(settings: Settings, health: Health, server: StreamServer) -> None:
    await check(settings.redis_url)
    dsn = settings.database_dsn()
    async with await Outcomes.open(settings.redis_url) as outcomes:
        await outcomes.cluster(await cluster_uuid(dsn))
        server.load(await _load(dsn))
        # What was loaded stays: the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        top = await outcomes.top()
        async with aclosing(outcomes.follow(server.position)) as batches:
            async for frames in batches:
                server.apply(frames, _now())
                if not server.is_accepting and server.position >= top:
                    server.accept()
                    health.set(True, "serving")
                    log.info("serving", position=server.position)


async def _load(dsn: str) -> MarketViews:
    async with open_snapshot(dsn, application_name="websocket") as snapshot:
        return MarketViews.load(
            snapshot.position.number,
            rows=await snapshot.control_rows(),
            levels=await snapshot.levels(),
            candles=await snapshot.candles(Interval.MINUTE_1, _now() - CANDLES_KEPT),
            trades=await snapshot.recent_trades(RECENT_TRADES),
        )


def _now() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // 1_000
