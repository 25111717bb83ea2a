"""The backend: loads the state, follows the outcomes, and serves both APIs."""

import asyncio
import gc
from collections.abc import Callable, Sequence

import structlog
from starlette.types import ASGIApp

from exchange.backend.admin import AdminApplication
from exchange.backend.application import Application
from exchange.backend.barrier import Barrier
from exchange.backend.directory import Directory
from exchange.backend.errors import ApiError
from exchange.backend.faults.lines import Lines
from exchange.backend.gateway import Gateway, NotExecuted, OutcomeUnknown
from exchange.backend.listeners import Listeners
from exchange.backend.measurements import measure
from exchange.backend.members import Members
from exchange.backend.operator import Operator
from exchange.backend.order_limits import OrderLimits
from exchange.backend.passwords import Passwords
from exchange.backend.state import Current, State
from exchange.backend.ui.assembly import public_application
from exchange.backend.vault import Vault
from exchange.postgres_db.connection import pool
from exchange.postgres_db.epochs import cluster_uuid
from exchange.postgres_db.snapshot import Snapshot, open_snapshot
from exchange.postgres_db.standing import standing_reader
from exchange.redis import server_check
from exchange.redis.journal import Journal
from exchange.redis.listen_keys import ListenKeys
from exchange.redis.outcomes import Outcomes
from exchange.redis.written import WrittenOutcomes
from exchange.services.candles import MINUTE, Interval
from exchange.services.clock import now_us
from exchange.services.commands import AddAsset, AddMarket
from exchange.services.fault_file import FaultFile
from exchange.services.market_view import CANDLES_KEPT, RECENT_TRADES, MarketViews
from exchange.services.markets import default_markets
from exchange.services.messages import Outcome, Reason, Rejected
from exchange.services.order_counts import OrderCounts
from exchange.services.process import Health, until_stopped
from exchange.services.proxies import Proxies
from exchange.services.rate_limits import API_LIMITS, LONG, SHORT, ApiLimits
from exchange.services.rows import Row
from exchange.services.settings import Settings
from exchange.services.user_streams import UserStreams

NAME = "backend"
POOL_SIZE_MAX = 10
DEFAULTS_PAUSE_S = 0.05
YOUNG_OBJECTS_MAX = 20_000
"""All requests under way together have thousands, which Python would look through all the time."""
SHUTDOWN_S = 1.0
"""Between the news that the server will stop and its stop."""

log = structlog.get_logger()


class Backend:
    """One process: its listeners stay while its state comes and goes."""

    def __init__(self) -> None:
        self._current = Current()
        self._listeners: Listeners | None = None
        self._vault: Vault | None = None
        self._application: Application | None = None

    async def run(self, settings: Settings, health: Health, stop: asyncio.Event) -> None:
        """One life of the state, from the load to whatever breaks; listeners open with the first."""
        vault = await self._listen(settings, health)
        try:
            # It ends when the listeners have finished after `stop`, not before.
            await until_stopped(
                asyncio.Event(), self._live(settings, health, vault), self._finish(stop, health)
            )
        finally:
            self._current.set(None)

    async def _listen(self, settings: Settings, health: Health) -> Vault:
        if self._vault is None:
            faults = FaultFile.open(settings)
            self._current = Current(
                API_LIMITS[settings.rate_limits], Proxies.parse(settings.trusted_proxies)
            )
            self._vault = Vault.open(settings.master_key_file)
            operator = Operator(self._current, self._vault)
            members = Members(
                self._current, self._vault, operator, Passwords(settings.password_memory_kib)
            )
            self._application = public_application(
                settings, self._current, members, operator, health, faults
            )
            listeners = self._listeners = Listeners(
                self._current.limits.connections, self._current.proxies
            )
            served: ASGIApp = self._application
            if faults is not None:
                log.warning("faults on request are on: what goes wrong may be meant to")
                served = Lines(self._application, faults)
            await listeners.open(
                "SERVER_ADDR",
                settings.server_addr,
                served,
                share_port=settings.server_share_port,
                can_drop=faults is not None,
            )
            if settings.admin_token:
                admin = AdminApplication(settings, self._current, operator, health, members, faults)
                await listeners.open("ADMIN_ADDR", settings.admin_addr, admin)
            else:
                log.info("the admin API is off: ADMIN_TOKEN is empty")
        return self._vault

    async def _finish(self, stop: asyncio.Event, health: Health) -> None:
        """Once told to stop, answer what is under way while there still is a state.

        Those who are connected are told, and go on for a moment in which they can go elsewhere.
        """
        await stop.wait()
        health.set(False, "shutting down")
        if self._application is not None and self._application.announce_shutdown():
            await asyncio.sleep(SHUTDOWN_S)
        if self._listeners is not None:
            await self._listeners.close()

    async def _live(self, settings: Settings, health: Health, vault: Vault) -> None:
        is_checked = await server_check.check(
            settings.redis_url, may_be_unchecked=settings.may_be_unchecked
        )
        dsn = settings.database_dsn()
        async with (
            await Outcomes.open(settings.redis_url) as outcomes,
            standing_reader(dsn, application_name=NAME) as ask,
        ):
            journal = await Journal.open(settings.redis_url, name=NAME)
            listen_keys = ListenKeys(settings.redis_url)
            try:
                await outcomes.cluster(await cluster_uuid(dsn))
                async with open_snapshot(dsn, application_name=NAME) as snapshot:
                    position = snapshot.position.number
                    control = await snapshot.control_rows()
                    directory = Directory(vault, control)
                    views = await _load_views(snapshot, control)
                    limits = await _load_order_limits(snapshot, self._current.limits)
                    streams = await _load_user_streams(snapshot, control)
                connections = await pool(dsn, application_name=NAME, size_max=POOL_SIZE_MAX)
                try:
                    is_strict = settings.ack == "postgres"
                    written = WrittenOutcomes(outcomes, ask) if is_strict else None
                    heard = None if written is None else lambda: written.heard
                    barrier = Barrier(outcomes, connections, position, heard=heard)
                    followers = [directory.apply, views.apply, limits.apply, streams.apply]
                    state = State(
                        directory=directory,
                        views=views,
                        gateway=_gateway(journal, outcomes, followers, barrier, written),
                        barrier=barrier,
                        outcomes=outcomes,
                        order_limits=limits,
                        user_streams=streams,
                        listen_keys=listen_keys,
                        database=connections,
                        ack=settings.ack,
                        is_journal_checked=is_checked,
                    )
                    await self._follow(settings, health, state, position)
                finally:
                    connections.terminate()
            finally:
                journal.close()
                listen_keys.close()

    async def _follow(
        self, settings: Settings, health: Health, state: State, position: int
    ) -> None:
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_OBJECTS_MAX)
        self._current.set(state)
        health.set(True, "serving")
        log.info("serving", position=position)
        work = [
            state.gateway.run(position),
            state.barrier.listen(),
            state.barrier.poll(),
            state.barrier.watch(),
            measure(state),
        ]
        if settings.create_default_markets:
            work.append(_create_default_markets(state))
        await until_stopped(asyncio.Event(), *work)


def _gateway(
    journal: Journal,
    outcomes: Outcomes,
    followers: Sequence[Callable[[Outcome], object]],
    barrier: Barrier,
    written: WrittenOutcomes | None,
) -> Gateway:
    def pass_barrier(outcome: Outcome) -> None:
        barrier.views.advance(outcome.number)

    # Whoever waits at the barrier reads what the others have made of the outcome: they come first.
    return Gateway(journal, outcomes, [*followers, pass_barrier], written)


async def _load_views(snapshot: Snapshot, control: Sequence[Row]) -> MarketViews:
    now = now_us()
    since = now - now % MINUTE - CANDLES_KEPT
    return MarketViews.load(
        snapshot.position.number,
        rows=control,
        levels=await snapshot.levels(),
        candles=await snapshot.candles(Interval.MINUTE_1, since),
        trades=await snapshot.recent_trades(RECENT_TRADES),
    )


async def _load_order_limits(snapshot: Snapshot, limits: ApiLimits) -> OrderLimits:
    counts = OrderCounts()
    now = now_us()
    for width in (SHORT, LONG):
        start = now - now % width
        counts.load(width, start, await snapshot.unfilled_orders(start))
    return OrderLimits(limits, counts)


async def _load_user_streams(snapshot: Snapshot, control: Sequence[Row]) -> UserStreams:
    return UserStreams(
        snapshot.position.number,
        control,
        [*await snapshot.open_lists(), *await snapshot.orders_of_open_lists()],
    )


async def _create_default_markets(state: State) -> None:
    """Give a new exchange the usual markets; several backends may do so at once, and crash."""
    assets, markets = default_markets()
    await _until_current(state)
    known, usual = set(state.directory.markets), {market.symbol for market in markets}
    if known < usual:
        await asyncio.gather(*(_ensure(state, AddAsset(asset=asset)) for asset in assets))
        await asyncio.gather(*(_ensure(state, AddMarket(market=market)) for market in markets))
        log.info("created the default markets", symbols=sorted(usual))
    # Work that returns would end the whole.
    await asyncio.Event().wait()


async def _until_current(state: State) -> None:
    """Wait until the directory holds all that was ever journalled."""
    while True:
        try:
            return await state.barrier.market_data()
        except ApiError:
            await asyncio.sleep(DEFAULTS_PAUSE_S)


async def _ensure(state: State, command: AddAsset | AddMarket) -> None:
    """Have something added, by us or by somebody else, however long the engine is away."""
    while True:
        try:
            outcome = await state.gateway.submit(command)
        except (NotExecuted, OutcomeUnknown):
            await asyncio.sleep(DEFAULTS_PAUSE_S)
        else:
            break
    result = outcome.result
    assert not isinstance(result, Rejected) or result.reason is Reason.ALREADY_EXISTS, result
