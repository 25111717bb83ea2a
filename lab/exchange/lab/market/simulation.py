"""`exchange simulate`: a market that lives, made of clients of the public API."""

import asyncio
import contextlib
import signal
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from msgspec import Struct

from exchange.lab.market.calibration import Calibration
from exchange.lab.market.crowd import Crowd
from exchange.lab.market.flow import Flow
from exchange.lab.market.maker import Maker
from exchange.lab.market.momentum import Momentum
from exchange.lab.market.recording import Player
from exchange.lab.market.trading_socket import Key
from exchange.lab.market.venue import Member, Rules, Touches, last_price, read_rules
from exchange.services.admin import Admin, AdminFault
from exchange.services.markets import USUAL_PRICES
from exchange.services.recordings import RecordedOrder
from exchange.services.run_file import Run

MAKERS, TAKERS = 6, 2
FIRST_QUOTES = 60
OTHER_PRICE = 100
"""Where a market begins that has never traded, and is none of the usual ones."""
FUNDS = 10**12
"""Worth of the quote asset that each account gets of everything, so that it never runs out."""
REPORT_S = 5.0


class SimulationFault(Exception):
    """It cannot go on; the text says why."""


class Options(Struct, frozen=True):
    """What to simulate. An intensity of 1 is as busy as the market that it is calibrated on."""

    symbols: tuple[str, ...]
    intensity: float
    seed: int
    minutes: float | None
    """None: until it is stopped."""
    recording: Sequence[RecordedOrder] = ()
    """Play this instead of simulating a crowd."""
    speed: float | None = 1.0
    """Of the recording; None: as fast as the exchange answers."""
    loops: bool = False

    @property
    def seconds(self) -> float | None:
        return None if self.minutes is None else self.minutes * 60


Say = Callable[[str], None]


class Simulation:
    """One run against a running exchange."""

    def __init__(self, run: Run, options: Options, say: Say) -> None:
        self._run, self._options, self._say = run, options, say
        self._admin = Admin(run.admin, run.admin_token)
        self._keys: list[str] = []

    async def run(self) -> None:
        """Until it is stopped or the time is over; leaves no order and no valid key behind.

        Raises SimulationFault.
        """
        markets = self._markets()
        symbols = [one.symbol for one in markets]
        stop = _stopped_by_signals()
        try:
            members = {
                name: Member(self._run.api, self._key(name, markets), symbols) for name in _names()
            }
            async with asyncio.TaskGroup() as group:
                staying = [group.create_task(member.stay()) for member in members.values()]
                await self._trade(markets, members, stop)
                for task in staying:
                    task.cancel()
            await asyncio.gather(*(member.leave() for member in members.values()))
        finally:
            self._revoke_keys()

    async def _trade(
        self, markets: Sequence[Rules], members: dict[str, Member], stop: asyncio.Event
    ) -> None:
        """Until it is stopped, the time is over, or a recording has ended."""
        if self._options.recording:
            playing = [self._replay(markets[0], members, stop)]
        else:
            playing = self._crowds(markets, members)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in playing]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._options.seconds):
                    await stop.wait()
            for task in tasks:
                task.cancel()

    def _crowds(
        self, markets: Sequence[Rules], members: dict[str, Member]
    ) -> list[Coroutine[Any, Any, None]]:
        """All that trades while it simulates."""
        touches = Touches(self._run.ws, markets)
        makers = [member for name, member in members.items() if "quoter" in name]
        takers = [member for name, member in members.items() if "taker" in name]
        crowds: list[Crowd] = []
        playing = [touches.follow()]
        for rules in markets:
            price = last_price(self._run.api, rules.symbol) or USUAL_PRICES.get(
                rules.base, OTHER_PRICE
            )
            calibration = Calibration().scaled(self._options.intensity)
            flow = Flow(rules.grid, calibration, price, f"{self._options.seed}/{rules.symbol}")
            crowd = Crowd(flow, rules, touches, makers, takers)
            crowds.append(crowd)
            playing += [
                crowd.trade(first_quotes=FIRST_QUOTES),
                Maker(members["simulated-maker"], rules, touches, price).trade(),
                Momentum(members["simulated-momentum"], rules, touches).trade(),
            ]
        return [*playing, self._report(crowds, members)]

    async def _replay(self, rules: Rules, members: dict[str, Member], stop: asyncio.Event) -> None:
        player = Player(list(members.values()), rules, self._options.speed)
        reporting = asyncio.create_task(self._report_replay(player, members))
        try:
            while True:
                await player.play(self._options.recording)
                if not self._options.loops:
                    break
        finally:
            reporting.cancel()
        self._say(f"played {player.played.orders:,} orders, {player.played.refused:,} refused")
        stop.set()

    async def _report_replay(self, player: Player, members: dict[str, Member]) -> None:
        while True:
            await asyncio.sleep(REPORT_S)
            codes = _codes(members)
            self._say(f"played {player.played.orders:,} orders; refused: {codes}")

    async def _report(self, crowds: Sequence[Crowd], members: dict[str, Member]) -> None:
        while True:
            before = _sum(crowds)
            await asyncio.sleep(REPORT_S)
            passed = _sum(crowds) - before
            rates = ", ".join(
                f"{passed[name] / REPORT_S:.1f} {name}/s"
                for name in ("quotes", "accepted", "cancels", "takers")
            )
            self._say(f"{rates}; refused: {_codes(members)}")

    # --- Accounts and markets ---

    def _markets(self) -> list[Rules]:
        known = read_rules(self._run.api)
        wanted = self._options.symbols or tuple(known)
        unknown = [symbol for symbol in wanted if symbol not in known]
        if self._options.recording and len(wanted) != 1:
            raise SimulationFault("A recording is of one market: name it.")
        if unknown:
            raise SimulationFault(f"{', '.join(unknown)} does not trade here.")
        if not wanted:
            raise SimulationFault("Nothing trades here: add a market with `exchange market add`.")
        return [known[symbol] for symbol in wanted]

    def _key(self, name: str, markets: Sequence[Rules]) -> Key:
        """A fresh key of an account that exists from then on, and has plenty of everything."""
        try:
            self._admin.post("accounts", body={"name": name})
        except AdminFault as fault:
            if "exists" not in str(fault):
                raise SimulationFault(str(fault)) from None
        for asset in sorted({asset for one in markets for asset in (one.base, one.quote)}):
            amount = FUNDS / USUAL_PRICES.get(asset, 1)
            # The same reference every time: it is given once.
            self._admin.post(
                "deposits",
                body={
                    "account": name,
                    "asset": asset,
                    "amount": f"{amount:.0f}",
                    "reference": f"{name}-{asset}",
                },
            )
        key = self._admin.post("accounts", name, "keys", body={"kind": "hmac", "canTrade": True})
        self._keys.append(key["apiKey"])
        return Key(key["apiKey"], key["secretKey"])

    def _revoke_keys(self) -> None:
        for api_key in self._keys:
            # An exchange that is gone meanwhile keeps them; each run makes its own.
            with contextlib.suppress(AdminFault):
                self._admin.delete("keys", api_key)


def _names() -> list[str]:
    return [
        *(f"simulated-quoter-{number}" for number in range(1, MAKERS + 1)),
        *(f"simulated-taker-{number}" for number in range(1, TAKERS + 1)),
        "simulated-maker",
        "simulated-momentum",
    ]


def _codes(members: dict[str, Member]) -> str:
    """Why the exchange said no since the last call."""
    refusals: Counter[int] = Counter()
    for member in members.values():
        refusals += member.refusals
        member.refusals.clear()
    codes = ", ".join(f"{count} × {code}" for code, count in refusals.most_common(3))
    return codes or "nothing"


def _sum(crowds: Sequence[Crowd]) -> Counter[str]:
    total: Counter[str] = Counter()
    for crowd in crowds:
        total += crowd.counts
    return total


def _stopped_by_signals() -> asyncio.Event:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    return stop
