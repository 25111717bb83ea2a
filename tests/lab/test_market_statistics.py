"""The flow, matched by the engine in simulated time, makes the market that it is calibrated on.

What a wish alone can show is held in test_market_flow.py; here is what comes of many: how many orders
are accepted, how long they rest, and the spread.
"""

import heapq
import itertools
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace
from venue import MARKET, UNIT, Venue, new

from exchange.lab.market.calibration import PRICE, Calibration
from exchange.lab.market.crowd import LOOK_S
from exchange.lab.market.flow import Flow, Grid, Quote, Touch
from exchange.lab.market.maker import PAUSE_S, SIZE, quotes
from exchange.services.messages import Placed
from exchange.services.orders import OrderType, Side
from exchange.services.rows import Order

LOT = UNIT // 100_000
BTCUSDT = replace(MARKET, symbol="BTCUSDT", base="BTC", quote="USDT", lot=LOT, quantity_min=LOT)
GRID = Grid(tick=0.01, lot=0.000_01, quantity_min=0.000_01, notional_min=5)
SECONDS, WARM_UP_S = 240.0, 30.0
WEALTH = {"BTC": 10_000, "USDT": 1_000_000_000}


class SimulatedMarket:
    """The crowd and the maker, each doing what it does over the API, at its own times."""

    def __init__(self, seed: str) -> None:
        self.attempts = 0
        self.distances: list[float] = []
        """Of accepted quotes from the best price of the other side, in USDT."""
        self.lives: list[float] = []
        """Of cancelled orders, in seconds, as their owners see them."""
        self.spreads: list[float] = []
        self._now = 0.0
        self._venue = Venue(BTCUSDT)
        self._book = self._venue.engine.books["BTCUSDT"]
        self._flow = Flow(GRID, Calibration(), PRICE, seed)
        self._quoters = itertools.cycle(
            [self._venue.account(f"quoter-{number}", **WEALTH) for number in range(8)]
        )
        self._taker = self._venue.account("taker", **WEALTH)
        self._maker = self._venue.account("maker", **WEALTH)
        self._held = self._holding()
        self._fair = PRICE
        self._quoted: list[int] = []
        self._resting: dict[int, tuple[int, Quote, float]] = {}
        self._ends: list[tuple[float, int]] = []

    def run(self) -> None:
        for quote in self._flow.first_quotes(60):
            self._quote(quote)
        for when, do in self._events():
            if when > SECONDS:
                return
            self._now = when
            do()

    def _events(self) -> Iterator[tuple[float, Callable[[], None]]]:
        """What happens when, in the order of time."""
        streams: list[tuple[Callable[[], float], Callable[[], None]]] = [
            (self._flow.quote_gap, self._new_quote),
            (self._flow.taker_gap, self._take),
            (lambda: LOOK_S, self._watch),
            (lambda: PAUSE_S, self._make),
        ]
        due = [(gap(), place) for place, (gap, _) in enumerate(streams)]
        heapq.heapify(due)
        while True:
            when, place = due[0]
            gap, do = streams[place]
            yield when, do
            heapq.heapreplace(due, (when + gap(), place))

    def _touch(self) -> Touch:
        def ticks(side: Side) -> int | None:
            best = self._book.side(side).best_price()
            return None if best is None else best // BTCUSDT.tick

        return Touch(ticks(Side.BUY), ticks(Side.SELL))

    def _new_quote(self) -> None:
        touch = self._touch()
        quote = self._flow.quote(touch)
        self.attempts += 1
        opposite = touch.ask if quote.is_buy else touch.bid
        if self._quote(quote) and opposite is not None:
            self.distances.append(abs(opposite - quote.price) * GRID.tick)

    def _quote(self, quote: Quote) -> bool:
        owner = next(self._quoters)
        price, quantity = quote.price * GRID.tick, quote.quantity * GRID.lot
        order_id = self._place(owner, quote.is_buy, price, quantity)
        if order_id:
            self._resting[order_id] = (owner, quote, self._now)
            heapq.heappush(self._ends, (self._now + quote.life_s, order_id))
        return bool(order_id)

    def _take(self) -> None:
        take = self._flow.take(self._touch())
        order = new(_side(take.is_buy), take.quantity * GRID.lot)
        self._venue.place(self._taker, order, symbol="BTCUSDT")

    def _watch(self) -> None:
        self._flow.fundamental.advance(LOOK_S)
        over = []
        while self._ends and self._ends[0][0] <= self._now:
            over.append(heapq.heappop(self._ends)[1])
        over += [
            order_id
            for order_id, (_, quote, since) in self._resting.items()
            if self._flow.stands_in_the_way(quote, self._now - since)
        ]
        for order_id in over:
            if (resting := self._resting.pop(order_id, None)) is not None:
                owner, _, since = resting
                self._venue.cancel(owner, order_id, symbol="BTCUSDT")
                self.lives.append(self._now - since)
        touch = self._touch()
        if self._now > WARM_UP_S and touch.bid is not None and touch.ask is not None:
            self.spreads.append((touch.ask - touch.bid) * GRID.tick)

    def _make(self) -> None:
        touch = self._touch()
        if touch.bid is not None and touch.ask is not None:
            self._fair = (touch.bid + touch.ask) / 2 * GRID.tick
        for order_id in self._quoted:
            self._venue.cancel(self._maker, order_id, symbol="BTCUSDT")
        surplus = (self._holding() - self._held) / SIZE
        bid, ask = quotes(self._fair, surplus, GRID.tick)
        placed = [
            self._place(self._maker, is_buy, price, SIZE)
            for is_buy, price in ((True, bid), (False, ask))
        ]
        self._quoted = [order_id for order_id in placed if order_id]

    def _holding(self) -> float:
        return self._venue.free(self._maker, "BTC") + self._venue.locked(self._maker, "BTC")

    def _place(self, owner: int, is_buy: bool, price: float, quantity: float) -> int:
        """The id of a post-only order; 0 where it would have traded."""
        order = new(_side(is_buy), quantity, round(price, 2), type=OrderType.LIMIT_MAKER)
        outcome = self._venue.place(owner, order, symbol="BTCUSDT")
        if not isinstance(outcome.result, Placed):
            return 0
        return next(row.id for row in outcome.rows if isinstance(row, Order))


def _side(is_buy: bool) -> Side:
    return Side.BUY if is_buy else Side.SELL


@pytest.fixture(scope="module")
def market() -> SimulatedMarket:
    simulated = SimulatedMarket("statistics")
    simulated.run()
    return simulated


def quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(len(values) * share)]


def test_of_84_orders_a_second_27_are_accepted(market: SimulatedMarket) -> None:
    assert market.attempts / SECONDS == pytest.approx(84, rel=0.05)
    assert len(market.distances) / SECONDS == pytest.approx(27, rel=0.08)


def test_they_rest_as_far_away_as_in_the_real_market(market: SimulatedMarket) -> None:
    assert quantile(market.distances, 0.25) == pytest.approx(2, rel=0.2)
    assert quantile(market.distances, 0.5) == pytest.approx(12, rel=0.2)
    assert quantile(market.distances, 0.9) == pytest.approx(61, rel=0.2)


def test_half_of_the_cancels_come_within_a_fifth_of_a_second(market: SimulatedMarket) -> None:
    # Whoever looks every 50 ms sees it half of that later.
    assert quantile(market.lives, 0.5) == pytest.approx(0.206, abs=LOOK_S)


def test_the_spread_is_about_one_most_of_the_time(market: SimulatedMarket) -> None:
    assert quantile(market.spreads, 0.5) == pytest.approx(1, abs=0.25)
    about_one = sum(0.5 <= spread <= 1.5 for spread in market.spreads)
    assert about_one > 0.75 * len(market.spreads)
