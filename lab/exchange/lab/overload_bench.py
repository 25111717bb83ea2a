"""`exchange bench overload`: ten times what it can take, and what becomes of it meanwhile and after."""

import asyncio
import random
import statistics
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop
from msgspec import Struct

from exchange.lab import running
from exchange.lab.http_load import get, load
from exchange.lab.open_load import NO_ANSWER, OpenLoad, Request, open_load
from exchange.lab.slowdown import slowed
from exchange.lab.traders import SYMBOL, Signer, Trader, order_requests
from exchange.services.admin import Admin
from exchange.services.run_file import Run

TRADERS = 40
CANCELS_IN = 10
"""One request of so many is a cancel."""
CALM_CONNECTIONS = 4
CALM_S, CALM_TURNS_MAX = 1.0, 10
OVERLOADED = -1008
UNKNOWN_CODES = (-1006, -1007, NO_ANSWER)
NAMES_KEPT = 1_000
PAGE = 1_000
LOOK_S = 0.5


class Options(Struct, frozen=True):
    """How long and how hard; all of it is bounded by the command line."""

    seconds: float
    times: float
    connections: int
    seed: int
    engine_share: float = 1.0
    """Of the time that the engine may run: who sends shares the machine with it, and cannot send
    ten times what a whole one takes."""


class Memory(Struct, frozen=True):
    """Of one process, in MB."""

    before: float
    half: float
    greatest: float


class Report(Struct, frozen=True):
    """What was measured. `violations` are sentences; no time is among them."""

    sustained_per_s: float
    offered_per_s: float
    withheld: int
    seconds: float
    orders: dict[str, int]
    cancels: dict[str, int]
    acknowledged_per_s: float
    acknowledged_p50_ms: float
    acknowledged_p99_ms: float
    p50_ms_before: float
    p50_ms_after: list[float]
    """Of each second after it, until it is what it was, or for ten of them."""
    memory_mb: dict[str, Memory]
    violations: list[str]


def run(options: Options, say: Callable[[str], None]) -> Report:
    """On an exchange of its own, which is removed afterwards."""
    say("starting an exchange …")
    with running.exchange() as exchange:
        admin = Admin(exchange.admin, exchange.admin_token)
        traders = [
            Trader(*running.funded_account(admin, f"bench-{number}")) for number in range(TRADERS)
        ]
        engine = exchange.pids["engine"]
        assert engine is not None
        with slowed(engine, options.engine_share):
            return uvloop.run(_Overload(options, exchange, traders, say).run())


class _Overload:
    def __init__(
        self, options: Options, exchange: Run, traders: list[Trader], say: Callable[[str], None]
    ) -> None:
        self._options, self._exchange, self._say = options, exchange, say
        self._traders = traders
        self._signers = [Signer(trader) for trader in traders]
        self._port = urlsplit(exchange.api).port or 0
        self._memory: dict[str, list[float]] = {}

    async def run(self) -> Report:
        self._say("measuring what it can take …")
        requests = order_requests(self._traders, self._options.seed)
        await load("127.0.0.1", self._port, requests, connections=64, seconds=1.0)
        seconds = min(5.0, self._options.seconds)
        sustained = await load("127.0.0.1", self._port, requests, connections=64, seconds=seconds)
        before = await self._calm_p50(requests)
        per_s = sustained.per_second * self._options.times
        self._say(f"{sustained.per_second:,.0f} orders per second; now {per_s:,.0f} …")
        overload = await self._overload(per_s)
        after: list[float] = []
        while len(after) < CALM_TURNS_MAX and (not after or after[-1] > 2 * before):
            after.append(await self._calm_p50(requests))
        self._say("looking for all that was acknowledged …")
        return self._report(
            sustained.per_second, overload, before, after, await self._lost(overload)
        )

    async def _calm_p50(self, requests: Callable[[], bytes]) -> float:
        calm = await load(
            "127.0.0.1", self._port, requests, connections=CALM_CONNECTIONS, seconds=CALM_S
        )
        return round(calm.latencies.percentile_ms(50), 2)

    async def _overload(self, per_s: float) -> OpenLoad:
        watching = asyncio.create_task(self._watch_memory())
        try:
            return await open_load(
                self._port,
                self._mixed_requests(),
                per_s=per_s,
                connections=self._options.connections,
                seconds=self._options.seconds,
            )
        finally:
            watching.cancel()

    def _mixed_requests(self) -> Callable[[], Request]:
        """Limit orders around one price, and cancels of some that were sent before."""
        chance = random.Random(f"overload {self._options.seed}")
        names: deque[tuple[int, str]] = deque(maxlen=NAMES_KEPT)
        count = 0

        def next_request() -> Request:
            nonlocal count
            count += 1
            if names and count % CANCELS_IN == 0:
                trader, name = names.popleft()
                wish = f"symbol={SYMBOL}&origClientOrderId={name}"
                content = self._signers[trader].request("DELETE", "order", wish)
                return Request(trader, content, is_cancel=True)
            trader, name = chance.randrange(TRADERS), f"o{count}"
            side = "BUY" if chance.random() < 0.5 else "SELL"
            price = 10_000 + chance.randrange(-20, 21)
            wish = (
                f"symbol={SYMBOL}&side={side}&type=LIMIT&timeInForce=GTC&quantity=0.1"
                f"&price={price // 100}.{price % 100:02}&newClientOrderId={name}"
            )
            names.append((trader, name))
            return Request(trader, self._signers[trader].request("POST", "order", wish))

        return next_request

    async def _watch_memory(self) -> None:
        while True:
            for name, pid in self._exchange.pids.items():
                if pid is not None:
                    self._memory.setdefault(name, []).append(resident_mb(pid))
            await asyncio.sleep(LOOK_S)

    async def _lost(self, overload: OpenLoad) -> int:
        """How many acknowledged orders are not there."""
        wanted: dict[int, set[int]] = {}
        for trader, order_id in overload.acknowledged:
            wanted.setdefault(trader, set()).add(order_id)
        return sum([len(ids - await self._order_ids(one, min(ids))) for one, ids in wanted.items()])

    async def _order_ids(self, trader: int, first: int) -> set[int]:
        found: set[int] = set()
        while True:
            wish = f"symbol={SYMBOL}&orderId={first}&limit={PAGE}"
            content = self._signers[trader].request("GET", "allOrders", wish)
            body = await get("127.0.0.1", self._port, content)
            page = [one["orderId"] for one in msgspec.json.decode(body)]
            found.update(page)
            if len(page) < PAGE:
                return found
            first = page[-1] + 1

    def _report(
        self, sustained: float, overload: OpenLoad, before: float, after: list[float], lost: int
    ) -> Report:
        latencies = sorted(overload.latencies) or [0.0]
        violations = []
        if lost:
            violations.append(f"{lost} acknowledged orders are not there")
        if shed := overload.cancels[OVERLOADED]:
            violations.append(f"{shed} cancels were shed")
        if ended := [
            name for name, pid in self._exchange.pids.items() if pid and not resident_mb(pid)
        ]:
            violations.append(f"ended: {', '.join(ended)}")
        return Report(
            sustained_per_s=round(sustained),
            offered_per_s=round(overload.sent / overload.seconds),
            withheld=overload.withheld,
            seconds=round(overload.seconds, 1),
            orders=_by_word(overload.orders),
            cancels=_by_word(overload.cancels),
            acknowledged_per_s=round(len(overload.acknowledged) / overload.seconds),
            acknowledged_p50_ms=round(statistics.median(latencies) * 1_000, 1),
            acknowledged_p99_ms=round(latencies[int(len(latencies) * 0.99)] * 1_000, 1),
            p50_ms_before=before,
            p50_ms_after=after,
            memory_mb={
                name: Memory(sizes[0], sizes[len(sizes) // 2], max(sizes))
                for name, sizes in self._memory.items()
            },
            violations=violations,
        )


def resident_mb(pid: int) -> float:
    """How much memory a process holds; 0 where there is none."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    sizes = [line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:")]
    return round(int(sizes[0]) / 1_024, 1) if sizes else 0.0


def _by_word(codes: Counter[int]) -> dict[str, int]:
    """Codes as what they mean to the one who asked."""
    words: Counter[str] = Counter()
    for code, count in codes.items():
        if code == 0:
            words["done"] += count
        elif code == OVERLOADED:
            words["shed"] += count
        elif code in UNKNOWN_CODES:
            words["unknown"] += count
        else:
            words[f"refused {code}"] += count
    return dict(words)
