"""How many commands a second, beside order books of others: a part of `exchange bench engine`.

All get the same seeded stream: of ten commands six rest near the best prices, three cancel, and one
crosses. Ours keeps a ledger, takes fees, and tells every change; theirs are order books.
"""

import gc
import json
import random
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from msgspec import Struct

from exchange.engine import matching_engine, rival_books
from exchange.engine.cost_bench import MARKET, NOW, PLENTY, UNIT
from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import CancelOrder, NewOrder, PlaceOrder
from exchange.services.markets import Asset
from exchange.services.messages import Canceled, Placed
from exchange.services.orders import OrderType, Side
from exchange.services.rows import Account, Balance, Counters

OURS = "this engine, with its ledger"
OURS_COMPILED = "the same, its core compiled"
SIZES = (1_000, 100_000)
LEVELS = 1_000
NEAR = 50
"""How many ticks from the best price new orders rest."""
MIDDLE = 100_000
COMMANDS = 20_000
_BUILD_S_MAX = 60.0


class Command(NamedTuple):
    """An order with a number; without a quantity it is the end of the order of this number."""

    number: int
    is_buy: bool
    price: int
    quantity: int


class Row(Struct, frozen=True):
    """Medians over the rounds; `per_s` is 0 for a book that is not installed."""

    name: str
    resting: int
    per_s: float
    per_s_min: float
    per_s_max: float


class Environments(NamedTuple):
    """Whose Python has the books of others, and whose has this engine with a compiled core, if any."""

    rivals: str
    compiled: str | None


class Report(Struct, frozen=True):
    """The ratios are of medians, at each number of resting orders."""

    rows: list[Row]
    ratios: dict[str, float]


def measure(
    sizes: tuple[int, ...],
    rounds: int,
    seconds: float,
    environments: Environments,
    progress: Callable[[str], object],
) -> Report:
    """Each contender in each round from an empty book on.

    A turn of another book ends with the stream, or after `seconds`.
    """
    names = _contenders(environments)
    rows, ratios = [], {}
    for size in sizes:
        stream = make_stream(size, COMMANDS)
        rates: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for name, found in rates.items():
                progress(f"{name}, {size:,} resting")
                done = _turn(name, stream, seconds, environments)
                if done is not None:
                    found.append(done)
        rows += [_row(name, size, found) for name, found in rates.items()]
        pure = [rates[rival.__name__] for rival in rival_books.PURE]
        best = max((statistics.median(found) for found in pure if found), default=0.0)
        if best:
            ratio = statistics.median(rates[OURS]) / best
            ratios[f"pure_core_vs_best_pure_book_{size}"] = round(ratio, 3)
        if OURS_COMPILED in rates:
            ratio = statistics.median(rates[OURS_COMPILED]) / statistics.median(rates[OURS])
            ratios[f"compiled_core_vs_pure_core_{size}"] = round(ratio, 3)
    return Report(rows, ratios)


def turns(sizes: tuple[int, ...], rounds: int, environments: Environments) -> int:
    """How often `progress` is called."""
    return len(sizes) * rounds * len(_contenders(environments))


def _contenders(environments: Environments) -> list[str]:
    ours = [OURS] if environments.compiled is None else [OURS, OURS_COMPILED]
    return ours + [rival.__name__ for rival in rival_books.PURE + rival_books.COMPILED]


def _turn(
    name: str,
    stream: tuple[list[Command], list[Command]],
    seconds: float,
    environments: Environments,
) -> float | None:
    """Commands a second; None for a book that is not installed."""
    if name == OURS:
        return _ours(*stream)
    if name == OURS_COMPILED:
        assert environments.compiled is not None
        program = [environments.compiled, "-m", "exchange.engine.stream_bench"]
    else:
        program = [environments.rivals, str(rival_books.__file__), name, str(seconds)]
    return _in_a_process(name, program, stream)


def make_stream(resting: int, commands: int) -> tuple[list[Command], list[Command]]:
    """What rests at first, evenly over the levels of both sides, and the commands after it."""
    stream = Stream(random.Random(f"stream {resting}"))  # noqa: S311
    before = [stream.rest(place % LEVELS) for place in range(resting)]
    return before, [stream.next() for _ in range(commands)]


class Stream:
    """One command after another, and as much of a book as it takes to know what can be canceled."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._levels: dict[int, deque[int]] = {}
        self._open: dict[int, list[int]] = {}
        self._numbers: list[int] = []
        self._last = 0

    def rest(self, level: int) -> Command:
        """An order on one of the levels, of which every other one is a bid."""
        distance = 1 + level // 2
        return self._place(
            is_buy=bool(level % 2), price=MIDDLE - distance if level % 2 else MIDDLE + distance
        )

    def next(self) -> Command:
        dice = self._chance.random()
        if dice < 0.6:
            return self.rest(self._chance.randrange(2 * NEAR))
        if dice < 0.9 and (number := self._some_open()) is not None:
            del self._open[number]
            return Command(number, is_buy=False, price=0, quantity=0)
        return self._cross()

    def _place(self, *, is_buy: bool, price: int) -> Command:
        self._last += 1
        quantity = self._chance.randint(1, 10)
        self._open[self._last] = [quantity]
        self._levels.setdefault(price, deque()).append(self._last)
        self._numbers.append(self._last)
        return Command(self._last, is_buy, price, quantity)

    def _some_open(self) -> int | None:
        """Any that is neither filled nor canceled."""
        while self._numbers:
            place = self._chance.randrange(len(self._numbers))
            self._numbers[place], self._numbers[-1] = self._numbers[-1], self._numbers[place]
            if (number := self._numbers.pop()) in self._open:
                return number
        return None

    def _cross(self) -> Command:
        """Takes about three orders, so that as much leaves as comes."""
        is_buy = self._chance.random() < 0.5
        left = quantity = self._chance.randint(5, 28)
        limit = MIDDLE + LEVELS if is_buy else MIDDLE - LEVELS
        step = 1 if is_buy else -1
        for price in range(MIDDLE + step, limit, step):
            queue = self._levels.get(price, deque())
            while queue and left:
                left -= self._take(queue, left)
        if left == quantity:
            return self.rest(self._chance.randrange(2 * NEAR))
        self._last += 1
        # Never more than there is: what is left of it would rest on the wrong side.
        return Command(self._last, is_buy, limit, quantity - left)

    def _take(self, queue: deque[int], wanted: int) -> int:
        """Of the first order in the queue, which leaves it when it is used up."""
        rest = self._open.get(queue[0])
        if rest is None:
            queue.popleft()
            return 0
        taken = min(wanted, rest[0])
        rest[0] -= taken
        if not rest[0]:
            del self._open[queue.popleft()]
        return taken


def _ours(before: list[Command], commands: list[Command]) -> float:
    """Commands a second; each has to be done, and not refused."""
    engine = MatchingEngine()
    found(engine)
    made = [as_command(command) for command in (*before, *commands)]
    for number, command in enumerate(made[: len(before)], 1):
        engine.apply(number, command, NOW)
    gc.collect()
    gc.freeze()
    began = time.process_time()
    results = [
        engine.apply(number, command, NOW).result
        for number, command in enumerate(made[len(before) :], len(before) + 1)
    ]
    seconds = time.process_time() - began
    gc.unfreeze()
    refused = [one for one in results if not isinstance(one, Placed | Canceled)]
    assert not refused, refused[0]
    return len(commands) / seconds


def found(engine: MatchingEngine) -> None:
    """A market, and an account that can pay for anything in it."""
    for name, decimals in ((MARKET.base, 8), (MARKET.quote, 16)):
        engine.restore(Asset(name, decimals))
    engine.restore(MARKET)
    engine.restore(Counters(symbol=MARKET.symbol))
    engine.restore(Account(id=1, name="bench", created=0))
    for asset in (MARKET.base, MARKET.quote):
        engine.restore(Balance(account=1, asset=asset, free=PLENTY, locked=0))


def as_command(command: Command) -> PlaceOrder | CancelOrder:
    if not command.quantity:
        return CancelOrder(account=1, symbol=MARKET.symbol, client_order_id=str(command.number))
    order = NewOrder(
        side=Side.BUY if command.is_buy else Side.SELL,
        type=OrderType.LIMIT,
        price=command.price * UNIT,
        quantity=command.quantity,
        client_order_id=str(command.number),
    )
    return PlaceOrder(account=1, symbol=MARKET.symbol, order=order)


def _in_a_process(
    name: str, program: list[str], stream: tuple[list[Command], list[Command]]
) -> float | None:
    ran = subprocess.run(
        program,
        input=json.dumps(stream),
        capture_output=True,
        text=True,
        timeout=_BUILD_S_MAX,
        check=False,
    )
    if ran.returncode == rival_books.NOT_INSTALLED:
        return None
    if ran.returncode:
        sys.exit(f"{name}: {ran.stderr}")
    done, took = json.loads(ran.stdout.splitlines()[-1])
    return float(done / took)


def _row(name: str, resting: int, rates: list[float]) -> Row:
    if not rates:
        return Row(name, resting, 0, 0, 0)
    return Row(
        name, resting, round(statistics.median(rates)), round(min(rates)), round(max(rates))
    )  # fmt: skip


def main() -> None:
    """Of this engine, whose core has to be compiled: as rival_books.main prints of the others."""
    if matching_engine.__file__.endswith(".py"):
        sys.exit("its core is not compiled")
    before, commands = ([Command(*one) for one in part] for part in json.load(sys.stdin))
    print(json.dumps([len(commands), len(commands) / _ours(before, commands)]))


if __name__ == "__main__":
    main()
