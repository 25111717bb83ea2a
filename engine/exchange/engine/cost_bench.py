"""What a command costs, however large the book is: `exchange bench engine`.

One engine for each size, each with as many resting orders as waiting stops, half of these trailing.
They are measured in turns, so that whatever the machine does meanwhile happens to all.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import CancelOrder, NewOrder, PlaceOrder
from exchange.services.markets import Asset, Market, Rules
from exchange.services.messages import Canceled, Placed
from exchange.services.orders import OrderStatus, OrderType, SelfTrade, Side, TimeInForce
from exchange.services.rows import Account, Balance, Counters, Order, Special

SIZES = (1_000, 10_000, 100_000, 1_000_000)
COMMANDS = 300
"""How often each kind of command is executed in a turn."""

UNIT = 10**8
_MIDDLE = 100_000_000
"""In ticks; the best prices are here, and the crowd's orders lie around it, one at each price."""
_GAP = 1_000
PLENTY = 10**30
NOW = 1_700_000_000_000_000
_CROWD, _TRADER = 1, 2

MARKET = Market(
    symbol="BENCH",
    base="BASE",
    quote="QUOTE",
    base_decimals=8,
    quote_decimals=16,
    tick=UNIT,
    lot=1,
    price_max=10 * _MIDDLE * UNIT,
    quantity_min=1,
    quantity_max=PLENTY,
    notional_min=0,
    notional_max=0,
    rules=Rules(self_trade_default=SelfTrade.NONE),
)


class Kind(StrEnum):
    """What is measured."""

    REST = "rest"
    """An order that finds a new price level far from the middle."""
    CANCEL = "cancel"
    TRADE = "trade"
    """An order that takes one at the best price; its price moves all trailing stops' extreme."""
    TRIGGER = "trigger"
    """A trade whose price sets off one stop, which trades too."""


class Cost(Struct, frozen=True):
    """The median over all turns, in µs per command."""

    size: int
    us: dict[Kind, float]


def measure(sizes: tuple[int, ...], turns: int, progress: Callable[[int], object]) -> list[Cost]:
    """The costs at each number of resting orders and waiting stops; `progress` is told each turn."""
    benches = [_Bench(size) for size in sizes]
    gc.collect()
    gc.freeze()
    found: list[dict[Kind, list[float]]] = [{kind: [] for kind in Kind} for _ in sizes]
    for _ in range(turns):
        for bench, times in zip(benches, found, strict=True):
            for kind, us in bench.turn():
                times[kind].append(us)
        progress(1)
    return [
        Cost(size, {kind: statistics.median(times[kind]) for kind in Kind})
        for size, times in zip(sizes, found, strict=True)
    ]


class _Bench:
    """An engine with a large book, and a trader whose commands leave it as it was."""

    def __init__(self, size: int) -> None:
        self._engine = MatchingEngine()
        self._number = 0
        self._depth = size
        for name, decimals in ((MARKET.base, 8), (MARKET.quote, 16)):
            self._engine.restore(Asset(name, decimals))
        self._engine.restore(MARKET)
        locked = {MARKET.base: 0, MARKET.quote: 0}
        for order in _crowd(size):
            self._engine.restore(order)
            locked[MARKET.quote if order.side is Side.BUY else MARKET.base] += order.locked
        for account in (_CROWD, _TRADER):
            self._engine.restore(Account(id=account, name=str(account), created=0))
            for asset, amount in locked.items():
                held = amount if account == _CROWD else 0
                self._engine.restore(
                    Balance(account=account, asset=asset, free=PLENTY, locked=held)
                )
        self._engine.restore(
            Counters(
                symbol=MARKET.symbol,
                order_id=2 * size,
                queue=3 * size,
                last_price=_MIDDLE * UNIT,
            )
        )

    def turn(self) -> Iterator[tuple[Kind, float]]:
        """Every kind once, with its µs per command."""
        step = max(1, self._depth // COMMANDS)
        rest = [_buy(_MIDDLE - _GAP - 2 * step * one - 1) for one in range(COMMANDS)]
        placed, us = self._time(rest)
        yield Kind.REST, us
        _, us = self._time([_cancel(order_id) for order_id in placed])
        yield Kind.CANCEL, us
        # What is taken is put there first, and only the taking is measured.
        self._time([_sell(_MIDDLE)] * COMMANDS)
        _, us = self._time([_buy(_MIDDLE)] * COMMANDS)
        yield Kind.TRADE, us
        yield Kind.TRIGGER, sum(self._trigger() for _ in range(COMMANDS)) / COMMANDS

    def _trigger(self) -> float:
        """A trade one tick higher sets off a stop, which takes the other half of what is there."""
        up = _MIDDLE + 1
        self._time([_sell(up), _sell(up), _stop(up)])
        _, us = self._time([_buy(up)])
        self._time([_sell(_MIDDLE), _buy(_MIDDLE)])
        return us

    def _time(self, commands: Sequence[PlaceOrder | CancelOrder]) -> tuple[list[int], float]:
        """Execute, and tell the ids of new orders and the µs per command."""
        apply, number = self._engine.apply, self._number
        commands = [_named(command, number + place) for place, command in enumerate(commands)]
        began = time.process_time()
        outcomes = [
            apply(number + place, command, NOW) for place, command in enumerate(commands, 1)
        ]
        us = (time.process_time() - began) / len(commands) * 1_000_000
        self._number += len(commands)
        results = [outcome.result for outcome in outcomes]
        refused = [one for one in results if not isinstance(one, Placed | Canceled)]
        assert not refused, refused[0]
        return [one.order_id for one in results if isinstance(one, Placed)], us


def _named(command: PlaceOrder | CancelOrder, number: int) -> PlaceOrder | CancelOrder:
    """With a client order id of its own."""
    if isinstance(command, CancelOrder):
        return command
    return replace(command, order=replace(command.order, client_order_id=f"t{number}"))


def _cancel(order_id: int) -> CancelOrder:
    return CancelOrder(account=_TRADER, symbol=MARKET.symbol, order_id=order_id)


def _buy(price: int) -> PlaceOrder:
    return _placing(Side.BUY, OrderType.LIMIT, price=price * UNIT)


def _sell(price: int) -> PlaceOrder:
    return _placing(Side.SELL, OrderType.LIMIT, price=price * UNIT)


def _stop(price: int) -> PlaceOrder:
    return _placing(Side.BUY, OrderType.STOP_LOSS, stop_price=price * UNIT)


def _placing(side: Side, type: OrderType, *, price: int = 0, stop_price: int = 0) -> PlaceOrder:
    order = NewOrder(
        side=side, type=type, price=price, stop_price=stop_price, quantity=1, client_order_id=""
    )
    return PlaceOrder(account=_TRADER, symbol=MARKET.symbol, order=order)


def _crowd(size: int) -> Iterator[Order]:
    """Orders that rest, and as many that wait: every other one for its own price, far above the
    book, the others follow the price, each with an extreme of its own."""
    for place in range(size):
        side = Side.BUY if place % 2 else Side.SELL
        distance = _GAP + place - place % 2
        price = _MIDDLE - distance if side is Side.BUY else _MIDDLE + distance
        yield _order(place + 1, side, OrderType.LIMIT, price * UNIT, None)
    for place in range(size):
        if place % 2:
            stop_price = (2 * _MIDDLE + place) * UNIT
            special = Special(
                stop_price=stop_price, waiting=True, lock_price=stop_price, working_time=0
            )
            yield _order(size + place + 1, Side.BUY, OrderType.STOP_LOSS, 0, special)
        else:
            special = Special(
                trailing_delta=1_000 + place % 1_000,
                waiting=True,
                trailing_from=2 * size + place + 1,
                trailing_extreme=(_MIDDLE + size - place) * UNIT,
                working_time=0,
            )
            yield _order(size + place + 1, Side.SELL, OrderType.STOP_LOSS, 0, special)


def _order(
    order_id: int, side: Side, type: OrderType, price: int, special: Special | None
) -> Order:
    held_at = price if special is None else special.lock_price
    return Order(
        symbol=MARKET.symbol,
        id=order_id,
        account=_CROWD,
        client_order_id=f"c{order_id}",
        side=side,
        type=type,
        time_in_force=TimeInForce.GTC,
        price=price,
        quantity=1,
        quote_quantity=0,
        filled=0,
        filled_quote=0,
        locked=held_at // MARKET.base_unit if side is Side.BUY else 1,
        status=OrderStatus.NEW,
        queue=order_id,
        created=NOW,
        updated=NOW,
        request=None,
        deadline=0,
        special=special,
    )
