"""What goes wrong: at random times, and at the worst moment.

Each seed has its own weather: some kinds of faults often, others never, so that rare combinations
are not drowned by the frequent ones. An *ambush* waits for a certain request of a certain part and
strikes right before it, right after it was executed, or while its answer is under way.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from simulation.cluster import Cluster, Part
from simulation.history import History
from simulation.loop import Process
from simulation.network import Link
from simulation.postgres_server import PostgresSession
from simulation.redis_server import RedisSession, Request

from exchange.redis import scripts

_SCRIPTS = {
    script._hash.encode(): name
    for name, script in (
        ("ingest", scripts.INGEST),
        ("claim", scripts.CLAIM),
        ("append", scripts.APPEND),
        ("open", scripts.OPEN),
        ("close", scripts.CLOSE),
    )
}
_STATEMENTS = (
    "COMMIT",
    "BEGIN",
    "UPDATE position",
    "UPDATE epoch",
    "INSERT INTO",
    "SELECT number",
    "SELECT pg_try",
)
_COMMANDS = ("PUBLISH", "SUBSCRIBE", "XREAD", "XRANGE", "XTRIM", "HGET", "SET")
_MOMENTS = ("before", "executed", "answered")
SECOND_NS = 1_000_000_000
CLOCK_ERRORS_NS = tuple(
    int(seconds * SECOND_NS) for seconds in (-3600, -3, -1.5, 1.5, 3, 30, 86_400)
)
LEAP_NS = 600 * SECOND_NS
LIES_MAX = 2
"""More would leave nothing of the journal, and that is for an operator."""

Strike = Callable[[Link], None]


class Weather:
    """What this seed is like: there is much of its `main` kind of fault, and some of others."""

    def __init__(self, chance: Random, main: str, *, lying_disk: bool | None = None) -> None:
        self.lying_disk = chance.random() < 0.15 if lying_disk is None else lying_disk
        self.pause_s = chance.choice((0.04, 0.1, 0.2, 0.4))
        self.ambush_share = chance.choice((0.0, 0.3, 0.6, 0.9))
        self.weights = {
            kind: chance.random() ** 2 if chance.random() < 0.6 else 0.0 for kind in KINDS
        }
        # Seeds in which all clocks are right are the ones that say most about everything else.
        if chance.random() < 0.8:
            self.weights["clock"] = 0.0
        self.weights[main] = 1.0
        self.leaps = 0.5 if chance.random() < 0.15 else 0.0
        self.stall_probability = chance.choice((0.0, 0.0, 0.001, 0.01))
        self.stall_s_max = chance.choice((0.01, 0.3, 3.0))
        self.latency_s = chance.choice((0.0001, 0.0001, 0.001, 0.005))
        self.sync_s = chance.choice((0.0001, 0.001, 0.02))
        self.hint_faults = chance.choice((0.0, 0.0, 0.05, 0.3))

    @property
    def has_right_clocks(self) -> bool:
        return not (self.weights["clock"] or self.leaps)


class Faults:
    """Everything that is done to a cluster."""

    def __init__(
        self, cluster: Cluster, history: History, weather: Weather, chance: Random
    ) -> None:
        self.cluster = cluster
        self.history = history
        self.weather = weather
        self.chance = chance
        self.struck: set[str] = set()
        """The kinds of faults that there were."""
        self._is_over = False
        self._ambushes: list[Ambush] = []
        self._lies = 0
        cluster.redis.on_request = self._on_redis("before")
        strike = self._on_redis("executed")

        def executed(session: RedisSession, request: Request, reply: Any) -> None:
            is_claim = request[0] == b"EVALSHA" and _SCRIPTS.get(request[1]) == "claim"
            if is_claim and isinstance(reply, list) and reply[0] == b"OK":
                history.claims[int(request[-1])] = reply[4] == b"open"
            strike(session, request)

        cluster.redis.on_executed = executed
        cluster.redis.on_answered = self._on_redis("answered")
        cluster.postgres.on_request = self._on_postgres("before")
        cluster.postgres.on_answered = self._on_postgres("answered")

    async def rage(self, seconds: float) -> None:
        """Let things go wrong for so long, and then heal everything."""
        cluster, weather = self.cluster, self.weather
        loop = cluster.loop
        loop.stall_probability, loop.stall_s_max = weather.stall_probability, weather.stall_s_max
        cluster.network.latency_s = weather.latency_s
        cluster.redis.sync_s = cluster.postgres.sync_s = weather.sync_s
        hints = cluster.redis.hints
        hints.lost = hints.doubled = hints.late = weather.hint_faults
        until = loop.time() + seconds
        while loop.time() < until:
            await asyncio.sleep(self.chance.expovariate(1 / weather.pause_s))
            if self.chance.random() < weather.ambush_share:
                self._lay_ambush()
            else:
                self._strike()
            if self.chance.random() < self.weather.leaps:
                self._leap()
        self._heal()

    # --- What goes wrong, whenever ---

    def _strike(self) -> None:
        kinds, weights = zip(*self.weather.weights.items(), strict=True)
        (kind,) = self.chance.choices(kinds, weights)
        self.struck.add(kind)
        getattr(self, f"_{kind}")()

    def _kill(self) -> None:
        self._kill_part(self._part())

    def _terminate(self) -> None:
        part = self._part()
        self._note("SIGTERM", part.name)
        part.terminate()

    def _freeze(self) -> None:
        part, seconds = self._part(), self._duration()
        self._note("freeze", part.name, f"{seconds:.3f} s")
        part.freeze(seconds)

    def _cut(self) -> None:
        links = list(self.cluster.network.links)
        if links:
            self._cut_link(self.chance.choice(links))

    def _cut_off(self) -> None:
        """A process and a server do not reach each other for a while."""
        part, seconds = self._part(), self._duration()
        if part.process is None:
            return
        server = self.chance.choice((self.cluster.redis, self.cluster.postgres))
        self._note("cut off", part.name, type(server).__name__, f"{seconds:.3f} s")
        for link in self.cluster.network.of(part.process):
            if link.server is server:
                link.fall_silent(seconds)

    def _redis_restart(self) -> None:
        self._kill_redis()

    def _redis_freeze(self) -> None:
        seconds = self._duration()
        self._note("freeze redis", f"{seconds:.3f} s")
        self.cluster.redis.freeze(seconds)

    def _redis_full(self) -> None:
        seconds = self._duration()
        share = self.chance.choice((0.75, 0.9, 1.1))
        self._note("redis memory", share, f"{seconds:.3f} s")
        self.cluster.redis.memory_share = share
        self.cluster.loop.happen(seconds, self._empty_redis)

    def _postgres_restart(self) -> None:
        self._kill_postgres()

    def _postgres_freeze(self) -> None:
        seconds = self._duration()
        self._note("freeze postgres", f"{seconds:.3f} s")
        self.cluster.postgres.freeze(seconds)

    def _clock(self) -> None:
        error = self.chance.choice((0, 0, *CLOCK_ERRORS_NS))
        if self.chance.random() < 0.3:
            self._note("clock of redis", error / SECOND_NS)
            self.cluster.redis.clock_error_ns = error
        else:
            part = self._part()
            self._note("clock of", part.name, error / SECOND_NS)
            part.set_clock(error)

    def _leap(self) -> None:
        """The clock of the engines is far ahead for a moment, and is set back."""
        seconds = 0.1 * self.chance.random()
        self._note("clocks of engines far ahead", f"{seconds:.3f} s")
        for part in self.cluster.engines:
            part.set_clock(LEAP_NS)
            self._later(seconds, partial(part.set_clock, 0))

    def _shut_down(self) -> None:
        """Everything is stopped in order, Redis last, and started again."""
        self._note("shut down")
        for part in self.cluster.parts:
            part.terminate()
        self._later(self._soon(), self._kill_redis)

    def _stop_engines(self) -> None:
        self._note("SIGTERM engines")
        for part in self.cluster.engines:
            part.terminate()
        if self.chance.random() < 0.5:
            self._later(self._soon(), self._kill_redis)

    def _all(self) -> None:
        """Power fails everywhere."""
        self._note("power failure")
        for part in self.cluster.parts:
            part.kill()
            self._start_again(part, self._soon())
        self._kill_redis()
        self._kill_postgres()

    # --- What goes wrong at the worst moment ---

    def _lay_ambush(self) -> None:
        chance = self.chance
        strikes: list[tuple[str, Strike]] = [
            ("cut", self._cut_link),
            ("kill", self._kill_client),
            ("freeze", self._freeze_client),
            ("silence", lambda link: link.fall_silent(self._duration())),
        ]
        if chance.random() < 0.75:
            what = chance.choice((*_SCRIPTS.values(), *_SCRIPTS.values(), *_COMMANDS))
            moment = chance.choice(_MOMENTS)
            if self.weather.weights["redis_restart"]:
                strikes.append(("redis", lambda _link: self._kill_redis()))
        else:
            what = chance.choice(_STATEMENTS)
            moment = chance.choice(("before", "answered"))
            if self.weather.weights["postgres_restart"]:
                strikes.append(("postgres", lambda _link: self._kill_postgres()))
        name, strike = chance.choice(strikes)
        if moment == "before" and name == "silence":
            return
        self._ambushes.append(Ambush(what, moment, name, strike))
        self._note("ambush:", name, moment, what)
        if len(self._ambushes) > 8:
            del self._ambushes[0]

    def _on_redis(self, moment: str) -> Callable[[RedisSession, Request], None]:
        def look(session: RedisSession, request: Request) -> None:
            if self._ambushes:
                name = request[0].decode()
                if name == "EVALSHA":
                    name = _SCRIPTS.get(request[1], "")
                self._spring(name, moment, session.link)

        return look

    def _on_postgres(self, moment: str) -> Callable[[PostgresSession, str], None]:
        def look(session: PostgresSession, text: str) -> None:
            if self._ambushes:
                self._spring(text.lstrip(), moment, session.link)

        return look

    def _spring(self, what: str, moment: str, link: Link) -> None:
        for ambush in self._ambushes:
            if ambush.moment == moment and what.startswith(ambush.what):
                self._ambushes.remove(ambush)
                self.struck.add(f"ambush: {ambush.name}")
                self._note("sprung:", ambush.name, moment, ambush.what, link.process)
                ambush.strike(link)
                return

    # --- How ---

    def _kill_part(self, part: Part) -> None:
        self._note("kill", part.name)
        part.kill()
        self._start_again(part, self._soon())

    def _kill_client(self, link: Link) -> None:
        part = self.cluster.part(link.process)
        if part is not None:
            self._kill_part(part)

    def _freeze_client(self, link: Link) -> None:
        seconds = self._duration()
        self._note("freeze", link.process, f"{seconds:.3f} s")
        link.process.freeze(seconds)

    def _cut_link(self, link: Link) -> None:
        if self.chance.random() < 0.2:
            seconds = self._duration()
            self._note("silence", link.process, f"{seconds:.3f} s")
            link.fall_silent(seconds)
        else:
            self._note("cut", link.process, type(link.server).__name__)
            link.cut()

    def _kill_redis(self) -> None:
        redis = self.cluster.redis
        lie = 0
        if self.weather.lying_disk and self._lies < LIES_MAX:
            self._lies += redis.is_up
            lie = self.chance.randrange(1, 8)
        if self.chance.random() < 0.2:
            self._note("stop redis")
            redis.stop()
        else:
            self._note("kill redis", f"lie {lie}" if lie else "")
            redis.kill(lie=lie)
        loading_s = self.chance.choice((0.0, 0.0, 0.05, 0.5))
        self.cluster.loop.happen(self._soon(), lambda: redis.start(loading_s=loading_s))

    def _kill_postgres(self) -> None:
        self._note("kill postgres")
        self.cluster.postgres.kill()
        self.cluster.loop.happen(self._soon(), self.cluster.postgres.start)

    def _start_again(self, part: Part, seconds: float) -> None:
        self._later(seconds, part.start)

    def _later(self, seconds: float, work: Callable[[], None]) -> None:
        """Unless everything is healed by then."""
        self.cluster.loop.happen(seconds, lambda: None if self._is_over else work())

    def _empty_redis(self) -> None:
        self.cluster.redis.memory_share = 0.1

    def _heal(self) -> None:
        self._note("healed")
        self._is_over = True
        self._ambushes.clear()
        cluster = self.cluster
        cluster.loop.stall_probability = 0.0
        cluster.network.latency_s = 0.0001
        cluster.redis.sync_s = cluster.postgres.sync_s = 0.0002
        hints = cluster.redis.hints
        hints.lost = hints.doubled = hints.late = 0.0
        cluster.redis.memory_share = 0.1
        cluster.redis.clock_error_ns = 0
        cluster.redis.start()
        cluster.redis.thaw()
        cluster.postgres.start()
        cluster.postgres.thaw()
        for link in list(cluster.network.links):
            link.heal()
        for part in cluster.parts:
            part.set_clock(0)
            if part.process is not None:
                part.process.thaw()
            part.start()

    def _part(self) -> Part:
        return self.chance.choice(self.cluster.parts)

    def _soon(self) -> float:
        """How long something stays away."""
        return self.chance.choice((0.001, 0.05, 0.3, 1.0, 2.5)) * (0.5 + self.chance.random())

    def _duration(self) -> float:
        """From a millisecond to eight seconds, as likely long as short."""
        return float(10 ** self.chance.uniform(-3, 0.9))

    def _note(self, text: str, *details: Any) -> None:
        self.history.note(self.cluster.loop.time(), text, *details)


class Ambush:
    """What to wait for, and what to do then."""

    def __init__(self, what: str, moment: str, name: str, strike: Strike) -> None:
        self.what = what
        self.moment = moment
        self.name = name
        self.strike = strike


KINDS = tuple(
    name.removeprefix("_")
    for name in (
        "_kill", "_terminate", "_freeze", "_cut", "_cut_off", "_redis_restart", "_redis_freeze",
        "_redis_full", "_postgres_restart", "_postgres_freeze", "_clock", "_all", "_shut_down",
        "_stop_engines",
    )
)  # fmt: skip
__all__ = ["Ambush", "Faults", "Process", "Weather"]
