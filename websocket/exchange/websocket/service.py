"""The process around the streams: load, catch up, follow, and say why when it cannot."""

import asyncio
import gc
import time
from contextlib import aclosing
from functools import partial

import structlog
from websockets.frames import CloseCode

from exchange.postgres_db.epochs import cluster_uuid
from exchange.postgres_db.snapshot import open_snapshot
from exchange.postgres_db.standing import standing_reader
from exchange.redis.listen_keys import ListenKeys
from exchange.redis.outcomes import Outcomes
from exchange.redis.server_check import check
from exchange.redis.written import WrittenOutcomes
from exchange.services import tracing
from exchange.services.candles import Candle, Interval
from exchange.services.clock import now_us
from exchange.services.fault_file import FaultFile
from exchange.services.market_view import CANDLES_KEPT, RECENT_TRADES, MarketViews
from exchange.services.process import Health, until_stopped
from exchange.services.proxies import Proxies
from exchange.services.rows import Row
from exchange.services.settings import Settings, parse_address
from exchange.services.user_streams import UserStreams
from exchange.websocket.connection import Socket
from exchange.websocket.faulty_connection import FaultySocket
from exchange.websocket.limits import LIMITS
from exchange.websocket.running_candles import SECONDS_KEPT, history_start
from exchange.websocket.sockets import StreamServer

log = structlog.get_logger()


async def run(settings: Settings, health: Health, stop: asyncio.Event) -> None:
    """One life of the streams, from nothing to current; ends by `stop` or by an exception.

    It listens from the start, and lets clients in once it has caught up. However it ends, every
    socket is told: that the server goes away, some time before it does, or that it begins again.
    """
    faults = FaultFile.open(settings)
    server = StreamServer(
        LIMITS[settings.rate_limits],
        compresses=settings.ws_compression,
        proxies=Proxies.parse(settings.trusted_proxies),
        new_socket=Socket if faults is None else partial(FaultySocket, file=faults),
    )
    address = parse_address("WS_STREAM_URL", settings.ws_stream_url)
    await server.open(address, share_port=settings.ws_share_port)
    over = asyncio.Event()
    try:
        following = _follow(settings, health, server)
        ending = _announce_end(stop, over, health, server)
        checking = server.users.run_checks()
        await until_stopped(over, following, server.run_clock(), checking, ending)
    finally:
        if stop.is_set():
            await server.close(CloseCode.GOING_AWAY, "server shutdown")
        else:
            await server.close(CloseCode.SERVICE_RESTART, "service restart")


async def _announce_end(
    stop: asyncio.Event, over: asyncio.Event, health: Health, server: StreamServer
) -> None:
    """Once it is to stop: say so, and go on for a moment in which clients can go elsewhere."""
    await stop.wait()
    health.set(False, "shutting down")
    if server.announce_shutdown():
        await asyncio.sleep(server.limits.shutdown_s)
    over.set()


async def _follow(settings: Settings, health: Health, server: StreamServer) -> None:
    await check(settings.redis_url, may_be_unchecked=settings.may_be_unchecked)
    dsn = settings.database_dsn()
    async with (
        await Outcomes.open(settings.redis_url) as outcomes,
        ListenKeys(settings.redis_url) as listen_keys,
        standing_reader(dsn, application_name="websocket") as ask,
    ):
        await outcomes.cluster(await cluster_uuid(dsn))
        views, candles, streams = await _load(dsn)
        server.load(views, candles)
        server.users.load(streams, listen_keys.find)
        # What was loaded stays: the collector need not walk through it again and again.
        gc.collect()
        gc.freeze()
        top, is_current = await outcomes.top(), False
        followed = WrittenOutcomes(outcomes, ask) if settings.ack == "postgres" else outcomes
        async with aclosing(followed.follow(server.position)) as batches:
            async for frames in batches:
                began = time.perf_counter()
                server.apply(frames, now_us())
                for frame in frames:
                    tracing.note_work("tell", frame.outcomes, began=began)
                if not is_current and server.position >= top:
                    is_current = True
                    server.accept()
                    health.set(True, "serving")
                    log.info("serving", position=server.position)


async def _load(dsn: str) -> tuple[MarketViews, list[Candle], UserStreams]:
    """The markets, those candles that the views do not keep, and what users may listen to."""
    now = now_us()
    async with open_snapshot(dsn, application_name="websocket") as snapshot:
        rows = await snapshot.control_rows()
        views = MarketViews.load(
            snapshot.position.number,
            rows=rows,
            levels=await snapshot.levels(),
            candles=await snapshot.candles(Interval.MINUTE_1, now - CANDLES_KEPT),
            trades=await snapshot.recent_trades(RECENT_TRADES),
        )
        seconds = await snapshot.candles(Interval.SECOND_1, now - SECONDS_KEPT)
        hours = await snapshot.candles(Interval.HOUR_1, history_start(now))
        lists: list[Row] = [*await snapshot.open_lists(), *await snapshot.orders_of_open_lists()]
        streams = UserStreams(snapshot.position.number, rows, lists)
        return views, seconds + hours, streams
