"""One simulation: a seed in, what was wrong out, always the same for the same seed."""

import asyncio
import hashlib
from random import Random

from msgspec import Struct
from simulation.clients import Reader, Requests, Trader, Wishes, insist, open_accounts
from simulation.cluster import BackendPart, Cluster, DbProcessorPart, EnginePart, WebsocketPart
from simulation.faults import KINDS, Faults, Weather
from simulation.followers import SYMBOLS, Shadow, WatchedCurrent, WatchedServer, listen
from simulation.history import History
from simulation.limits import Limits
from simulation.loop import SimulatedLoop, Stuck
from simulation.promises import Chain, broken
from simulation.redis_server import Write
from simulation.surroundings import quiet, surrounded

from exchange.services.commands import CreateAccount
from exchange.services.market_view import MarketViews
from exchange.services.messages import encode

RAGE_S = 1.2
ANSWER_S_MAX = 12.0
"""However bad it was: so long after everything is healed, an order is answered everywhere."""
DRAIN_S_MAX = 10.0


class Report(Struct, frozen=True, kw_only=True):
    """What a simulation came to.

    `struck` are the kinds of faults that there were, `digest` is that of everything that happened.
    """

    seed: int
    broken: list[str]
    notes: list[tuple[float, str]]
    struck: list[str]
    digest: str
    commands: int
    answered: int
    seconds: float
    events: int
    restored_after_s: float


def simulate(seed: int, *, lying_disk: bool | None = None, verbose: bool = False) -> Report:
    """Run a seed to its end."""
    with quiet(is_told=verbose):
        return Simulation(seed, lying_disk=lying_disk, verbose=verbose).run()


class Simulation:
    """Use `simulate`."""

    def __init__(self, seed: int, *, lying_disk: bool | None, verbose: bool) -> None:
        self.seed = seed
        self.chance = Random(seed)
        self.loop = SimulatedLoop(self._chance())
        self.history = History(is_told=verbose)
        self.cluster = Cluster(self.loop, self._chance())
        main = KINDS[seed % len(KINDS)]
        self.weather = Weather(self._chance(), main, lying_disk=lying_disk)
        self.faults = Faults(self.cluster, self.history, self.weather, self._chance())
        self.limits = Limits(self._chance(), clocks_are_right=self.weather.has_right_clocks)
        self.shadow = Shadow()
        self._restored_after_s = 0.0
        self._watch()
        self._build()

    def run(self) -> Report:
        self.history.note(0.0, "limits:", self.limits)
        around = surrounded(self.loop, self.cluster.driver, self._chance())
        with around, self.limits.applied():
            try:
                found = self._run()
            finally:
                self.cluster.end()
                self.loop.finish()
        history = self.history
        return Report(
            seed=self.seed,
            broken=found,
            notes=history.notes,
            struck=sorted(self.faults.struck),
            digest=self._digest(),
            commands=sum(len(frame.commands) for frame in history.journalled),
            answered=sum(
                one.answer is not None and not one.answer.is_unknown for one in history.asked
            ),
            seconds=self.loop.time(),
            events=self.loop.events,
            restored_after_s=self._restored_after_s,
        )

    def _run(self) -> list[str]:
        story = self.loop.outside.start(self._story())
        try:
            self.loop.run_until_complete(story)
        except Stuck as fault:
            return [*self.history.faults, f"stuck: {fault}"]
        except TimeoutError:
            pass  # said by whoever has waited
        found = broken(self.history, self.cluster.postgres.rows, self._views())
        found += [f"{name} ended by {fault!r}" for name, fault in self.cluster.crashes]
        found += [f"unhandled: {fault}" for fault in self.loop.faults]
        return found

    async def _story(self) -> None:
        """Peace, then faults, then peace again, in which everything has to come right."""
        cluster = self.cluster
        for part in cluster.parts:
            part.start()
        requests = Requests(cluster, self.history, self._chance())
        accounts = await open_accounts(requests, ("alice", "bob"))
        while not self.shadow.engine.books.keys() >= set(SYMBOLS):
            await asyncio.sleep(0.01)
        stop = asyncio.Event()
        working = self._clients(requests, accounts, stop)
        await self.faults.rage(RAGE_S * (0.5 + self.chance.random()))
        healed = self.loop.time()
        await self._answered_again(requests)
        self._restored_after_s = self.loop.time() - healed
        stop.set()
        await asyncio.gather(*working)
        await self._drained()

    def _clients(
        self, requests: Requests, accounts: list[int], stop: asyncio.Event
    ) -> list[asyncio.Task[None]]:
        wishes = Wishes(lambda: self.shadow, accounts)
        traders = [
            Trader(f"trader-{number}", requests, wishes, self._chance(), pause_s=0.03)
            for number in range(3)
        ]
        readers = [Reader(f"reader-{number}", requests, self._chance(), 0.1) for number in range(2)]
        work = [trader.trade(stop) for trader in traders]
        work += [reader.read(stop) for reader in readers]
        return [asyncio.create_task(one) for one in work]

    async def _answered_again(self, requests: Requests) -> None:
        """Every backend, in time."""
        for part in self.cluster.backends:
            # Executed twice it is answered, too: there is an account of this name.
            command = CreateAccount(name=f"after all {part.name}")
            try:
                async with asyncio.timeout(ANSWER_S_MAX):
                    await insist(requests, command, client="operator", part=part)
            except TimeoutError:
                self.history.faults.append(f"P11: {part.name} does not answer: {self._state()}")
                raise

    async def _drained(self) -> None:
        """Everything has arrived everywhere."""
        try:
            async with asyncio.timeout(DRAIN_S_MAX):
                while not self._is_drained():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            self.history.faults.append(f"P11: it does not come to rest: {self._state()}")

    def _is_drained(self) -> bool:
        top = self._top()
        (position,) = self.cluster.postgres.rows["position"].values()
        views = self._views()
        return (
            position[1] == top
            and len(views) == len(self.cluster.backends) + len(self.cluster.websockets)
            and all(view.position == top for view in views.values())
            and all(part.is_ready for part in self.cluster.parts)
        )

    def _top(self) -> int:
        top = self.cluster.redis.data.hashes.get(b"j:top", {})
        out, command = int(top.get(b"out", 0)), int(top.get(b"cmd", 0))
        return out if out == command else -1

    def _views(self) -> dict[str, MarketViews]:
        found = {
            part.name: part.current.state.views
            for part in self.cluster.backends
            if part.current.is_loaded
        }
        for part in self.cluster.websockets:
            if part.server is not None:
                found[part.name] = part.server._feeds.views
        return found

    def _state(self) -> str:
        parts = ", ".join(f"{part.name} {part.health.sentence!r}" for part in self.cluster.parts)
        (position,) = self.cluster.postgres.rows["position"].values()
        return f"{parts}; {self.cluster.redis.data.hashes.get(b'j:top')}, Postgres {position[1]}"

    # --- Building -----------------------------------------------------------------------------

    def _build(self) -> None:
        cluster, chance = self.cluster, self._chance()
        now = self.loop.time
        cluster.watch_backend = lambda name: WatchedCurrent(name, self.history, now)
        engines = chance.choice((1, 2, 2, 2))
        cluster.engines = [EnginePart(cluster, f"engine-{name}") for name in "ab"[:engines]]
        writers = chance.choice((1, 1, 2))
        cluster.db_processors = [
            DbProcessorPart(cluster, f"db-processor-{name}") for name in "ab"[:writers]
        ]
        cluster.backends = [
            BackendPart(cluster, f"backend-{name}") for name in "ab"[: chance.choice((1, 2, 2))]
        ]
        cluster.websockets = [
            WebsocketPart(
                cluster,
                "websocket",
                lambda: WatchedServer("websocket", self.history, now),
                lambda server: listen(server, self.history),
            )
        ]

    def _watch(self) -> None:
        history, redis, postgres = self.history, self.cluster.redis, self.cluster.postgres

        def wrote(write: Write) -> None:
            count = len(history.appended)
            history.wrote(write)
            for appended in history.appended[count:]:
                if appended.frame.previous == self.shadow.position:
                    self.shadow.follow(appended.frame)
                else:
                    self._renew_shadow()

        def lost(writes: list[Write], synced: int) -> None:
            history.lost(writes, synced)
            if synced:
                history.note(self.loop.time(), f"redis has lost {synced} writes that were synced")
            self._renew_shadow()

        def committed() -> None:
            (position,) = postgres.rows["position"].values()
            if not history.committed or history.committed[-1] != position[1]:
                history.committed.append(position[1])

        redis.on_written, redis.on_lost = wrote, lost
        postgres.on_commit = committed

    def _renew_shadow(self) -> None:
        """Something was lost: what counts now may be another story."""
        shadow = Shadow()
        for frame in Chain(self.history).frames:
            shadow.follow(frame)
        # A disk that lies may have taken the markets; the traders do not know that yet.
        if shadow.engine.books.keys() >= self.shadow.engine.books.keys():
            self.shadow = shadow

    def _chance(self) -> Random:
        return Random(self.chance.getrandbits(64))

    def _digest(self) -> str:
        digest = hashlib.blake2b(digest_size=8)
        digest.update(repr(self.loop.events).encode())
        for time, note in self.history.notes:
            digest.update(f"{time!r} {note}\n".encode())
        for asked in self.history.asked:
            outcome = asked.answer.outcome if asked.answer is not None else None
            number = outcome.number if outcome is not None else 0
            digest.update(f"{asked.began!r} {asked.ended!r} {number}\n".encode())
        for appended in self.history.appended:
            digest.update(encode(appended.frame))
        return digest.hexdigest()
