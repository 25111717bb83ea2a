"""The market view against a slow, obvious one that keeps everything and counts by hand."""

import random
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from made_outcomes import BTCUSDT, MARKETS, START, UNIT, level, outcome, trade, views

from exchange.services import market_view
from exchange.services.candles import (
    DAY,
    HOUR,
    MINUTE,
    Candle,
    Interval,
    add_up,
    fold_trades,
    merge,
)
from exchange.services.market_view import RECENT_TRADES, MarketView, MarketViews, _Minutes
from exchange.services.markets import Mode
from exchange.services.messages import JUMP, Outcome, Placed
from exchange.services.orders import Side
from exchange.services.rows import Beginning, Counters, Row, Trade


class ObviousView:
    """Keeps every trade ever made and adds up with fractions."""

    def __init__(self) -> None:
        self.update_id = 0
        self.levels: dict[tuple[Side, int], int] = {}
        self.trades: list[Trade] = []
        self.last_price = 0

    def change(self, chance: random.Random, now: int) -> tuple[Row, ...]:
        """Rows of one outcome as an engine would write them, in any order."""
        changed = {
            (chance.choice(list(Side)), chance.randrange(90, 111) * UNIT): chance.choice(
                (0, 0, chance.randrange(1, 50) * UNIT)
            )
            for _ in range(chance.randrange(4))
        }
        changed = {
            key: quantity
            for key, quantity in changed.items()
            if self.levels.get(key, 0) != quantity
        }
        self.levels.update(changed)
        self.update_id += bool(changed)
        trades = [
            trade(
                len(self.trades) + place + 1,
                chance.randrange(90, 111) * UNIT,
                chance.randrange(1, 9) * UNIT,
                now - chance.choice((0, 0, 0, 90_000_000)),
                side=chance.choice(list(Side)),
            )
            for place in range(chance.choice((0, 0, 1, 3)))
        ]
        self.trades += trades
        if trades:
            self.last_price = trades[-1].price
        rows: list[Row] = [level(*key, quantity) for key, quantity in changed.items()]
        rows += [*trades, self.counters()]
        chance.shuffle(rows)
        return tuple(rows)

    def counters(self) -> Counters:
        return Counters(
            symbol="BTCUSDT",
            update_id=self.update_id,
            trade_id=len(self.trades),
            last_price=self.last_price,
        )

    def depth(self, limit: int) -> tuple[int, list[tuple[int, int]], list[tuple[int, int]]]:
        def side(wanted: Side) -> list[tuple[int, int]]:
            found = [
                (price, quantity)
                for (side, price), quantity in self.levels.items()
                if side is wanted and quantity
            ]
            return sorted(found, reverse=wanted is Side.BUY)[:limit]

        return self.update_id, side(Side.BUY), side(Side.SELL)

    def trades_between(self, after: int, until: int) -> list[Trade]:
        return [one for one in self.trades if after < one.time - one.time % MINUTE <= until]

    def average(self, trades: list[Trade]) -> int:
        if not trades:
            return self.trades[-1].price if self.trades else 0
        quote = sum(one.quote_quantity for one in trades)
        return int(Fraction(quote * UNIT, sum(one.quantity for one in trades)))


@pytest.mark.parametrize("seed", range(8))
def test_it_agrees_with_a_view_that_keeps_everything(seed: int) -> None:
    chance = random.Random(seed)
    model, tested, now = ObviousView(), views(BTCUSDT), START

    for number in range(1, 401):
        now += chance.choice((1, 1_000, 700_000, 40 * MINUTE if seed % 2 else MINUTE))
        before = model.update_id
        changes = tested.apply(outcome(number, *model.change(chance, now)))

        view = tested.markets["BTCUSDT"]
        for change in changes:
            assert (change.first_update_id, change.last_update_id) == (before + 1, model.update_id)
        assert view.depth(7) == model.depth(7)
        bids, asks = model.depth(1)[1:]
        assert view.best() == (bids[0] if bids else None, asks[0] if asks else None)
        assert list(view.recent_trades) == model.trades[-RECENT_TRADES:]
        if number % 10 == 0:
            moment = now + chance.choice((0, 0, 5, 3 * MINUTE))
            check_statistics(model, tested, moment)
    assert tested.position == 400


def check_statistics(model: ObviousView, tested: MarketViews, now: int) -> None:
    view = tested.markets["BTCUSDT"]
    minutes = now % 7
    recent = model.trades_between(now - minutes * MINUTE, now) if minutes else []
    assert view.average_price(now, minutes) == model.average(recent)

    ticker, day = view.ticker_24h(now), model.trades_between(now - DAY, now)
    earlier = [one for one in model.trades if one.time < ticker.open_time]
    assert ticker.trades == len(day)
    assert ticker.volume == sum(one.quantity for one in day)
    assert ticker.quote_volume == sum(one.quote_quantity for one in day)
    assert ticker.weighted_average_price == model.average(day)
    assert ticker.last_price == (model.trades[-1].price if model.trades else 0)
    if day:
        assert (ticker.open_price, ticker.first_trade_id) == (day[0].price, day[0].id)
        assert ticker.last_trade_id == day[-1].id
        assert ticker.high_price == max(one.price for one in day)
        assert ticker.low_price == min(one.price for one in day)
        assert ticker.price_change == ticker.last_price - day[0].price
    last = max(earlier, key=lambda one: (one.time // MINUTE, one.id), default=None)
    assert ticker.previous_close_price == (last.price if last else None)
    for width in (HOUR, 4 * HOUR, DAY):
        check_window(model, view, now, width)


def check_window(model: ObviousView, view: MarketView, now: int, width: int) -> None:
    start = now - now % MINUTE - width
    traded = model.trades_between(start - MINUTE, now)
    if now % 3 == 0:
        # What is remembered of other windows changes nothing.
        view.ticker(now + MINUTE, 7 * MINUTE)

    ticker = view.ticker(now, width)

    assert (ticker.open_time, ticker.close_time) == (start, now)
    assert ticker.trades == len(traded)
    assert ticker.volume == sum(one.quantity for one in traded)
    assert ticker.first_trade_id == (traded[0].id if traded else None)
    if traded:
        assert ticker.high_price == max(one.price for one in traded)
        assert ticker.low_price == min(one.price for one in traded)
    some = view.traded(start + 3 * MINUTE, now - now % MINUTE - width // 2 - 1)
    expected = model.trades_between(start + 2 * MINUTE, now - now % MINUTE - width // 2 - 1)
    assert (some.volume if some else 0) == sum(one.quantity for one in expected)


@pytest.mark.parametrize("at_most", [1, 3, 10_000])
def test_however_many_trades_are_set_aside_the_answers_are_the_same(
    at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(market_view, "TRADES_ASIDE_MAX", at_most)
    chance = random.Random(at_most)
    model, tested, now = ObviousView(), views(BTCUSDT), START

    for number in range(1, 201):
        # Clocks may step back.
        now += chance.choice((1_000, 1_000, 1_000, 20_000_000, -2_000_000))
        tested.apply(outcome(number, *model.change(chance, now)))

    check_statistics(model, tested, now)


def test_loaded_in_the_middle_it_is_as_if_it_had_seen_everything() -> None:
    chance = random.Random(3)
    model, seen, now = ObviousView(), views(BTCUSDT), START
    for number in range(1, 301):
        now += 20_000_000
        seen.apply(outcome(number, *model.change(chance, now)))

    loaded = MarketViews.load(
        300,
        rows=[BTCUSDT, model.counters()],
        levels=[level(*key, quantity) for key, quantity in model.levels.items() if quantity],
        candles=fold_trades(model.trades, Interval.MINUTE_1),
        trades=model.trades[-RECENT_TRADES:],
    )
    for number in range(301, 401):
        now += 20_000_000
        rows = model.change(chance, now)
        assert loaded.apply(outcome(number, *rows)) == seen.apply(outcome(number, *rows))

    one, other = loaded.markets["BTCUSDT"], seen.markets["BTCUSDT"]
    assert one.depth(1_000) == other.depth(1_000) == model.depth(1_000)
    assert one.ticker_24h(now) == other.ticker_24h(now)
    assert one.recent_trades == other.recent_trades


@pytest.mark.parametrize("seed", range(4))
def test_reset_it_is_as_if_nothing_had_ever_been_traded(seed: int) -> None:
    chance = random.Random(seed)
    model, tested, now = ObviousView(), views(BTCUSDT), START
    for number in range(1, 101):
        now += chance.choice((1, 700_000, MINUTE))
        tested.apply(outcome(number, *model.change(chance, now)))
    first = len(model.trades) + 1

    changes = tested.apply(outcome(101, *reset(model)))

    assert [change.began for change in changes] == [True]
    assert tested.markets["BTCUSDT"].beginning == first - 1
    fresh = MarketViews.load(
        101, rows=[BTCUSDT, model.counters()], levels=[], candles=[], trades=[]
    )
    for number in range(102, 202):
        one, other = tested.markets["BTCUSDT"], fresh.markets["BTCUSDT"]
        assert one.depth(1_000) == other.depth(1_000)
        assert list(one.recent_trades) == list(other.recent_trades)
        assert one.ticker_24h(now) == other.ticker_24h(now)
        assert one.ticker(now, 4 * HOUR) == other.ticker(now, 4 * HOUR)
        assert one.average_price(now, 5) == other.average_price(now, 5)
        now += chance.choice((1, 700_000, MINUTE))
        rows = model.change(chance, now)
        assert tested.apply(outcome(number, *rows)) == fresh.apply(outcome(number, *rows))


def reset(model: ObviousView) -> list[Row]:
    """The rows of a reset, as an engine would write them."""
    ended: list[Row] = [level(*key, 0) for key, quantity in model.levels.items() if quantity]
    model.levels.clear()
    model.update_id += bool(ended)
    counters = msgspec.structs.replace(model.counters(), last_price=0)
    model.last_price = 0
    return [*ended, counters, BTCUSDT, Beginning(symbol="BTCUSDT", trade_id=counters.trade_id)]


def test_a_change_tells_the_levels_and_the_trades_of_its_own_market() -> None:
    tested = views(*MARKETS)
    bid, other_bid = level(Side.BUY, 5, 7), level(Side.BUY, 5, 9, "ETHUSDT")

    changes = tested.apply(
        outcome(
            1,
            other_bid,
            trade(2, 5, 1, START),
            Counters(symbol="BTCUSDT", update_id=1, trade_id=2, last_price=5),
            trade(1, 6, 1, START),
            bid,
            Counters(symbol="ETHUSDT", update_id=1),
        )
    )

    by_symbol = {change.symbol: change for change in changes}
    assert by_symbol.keys() == {"BTCUSDT", "ETHUSDT"}
    assert by_symbol["BTCUSDT"].levels == (bid,)
    assert [one.id for one in by_symbol["BTCUSDT"].trades] == [1, 2]
    assert by_symbol["ETHUSDT"].levels == (other_bid,)
    assert by_symbol["ETHUSDT"].trades == ()


def test_what_changes_no_book_and_trades_nothing_is_no_change() -> None:
    tested = views(BTCUSDT)

    assert tested.apply(outcome(1)) == []
    assert tested.apply(outcome(2, Counters(symbol="BTCUSDT", order_id=4))) == []

    assert tested.position == 2
    assert tested.markets["BTCUSDT"].counters.order_id == 4


def test_a_market_may_come_and_change_while_running() -> None:
    tested = views()

    tested.apply(outcome(1, Counters(symbol="BTCUSDT"), BTCUSDT))
    tested.apply(outcome(2, level(Side.SELL, 5, 7), Counters(symbol="BTCUSDT", update_id=1)))
    halted = msgspec.structs.replace(BTCUSDT, mode=Mode.HALTED)
    tested.apply(outcome(3, halted))

    assert tested.markets["BTCUSDT"].market.mode is Mode.HALTED
    assert tested.markets["BTCUSDT"].depth(5) == (1, [], [(5, 7)])


def test_ids_jump_where_a_generation_begins_and_nowhere_else() -> None:
    tested = views(BTCUSDT)
    moved = Counters(symbol="BTCUSDT", update_id=1 << 20)

    (change,) = tested.apply(outcome(1 << 20, moved, opened=True))
    assert change.jumped
    assert tested.markets["BTCUSDT"].depth(5) == (1 << 20, [], [])

    with pytest.raises(AssertionError):
        tested.apply(outcome((1 << 20) + 1, Counters(symbol="BTCUSDT", update_id=7 << 20)))


def test_what_was_left_before_a_generation_jumps_too() -> None:
    tested = views(BTCUSDT)
    moved = Counters(symbol="BTCUSDT", update_id=JUMP + 1)

    (change,) = tested.apply(outcome(1, level(Side.SELL, 5, 7), moved))
    assert change.jumped
    assert change.last_update_id == JUMP + 1

    (change,) = tested.apply(
        outcome(2, level(Side.SELL, 5, 6), msgspec.structs.replace(moved, update_id=JUMP + 2))
    )
    assert not change.jumped


def test_an_outcome_is_never_applied_twice() -> None:
    tested = views(BTCUSDT)
    tested.apply(outcome(5))

    with pytest.raises(AssertionError):
        tested.apply(outcome(5))


def test_a_market_that_never_traded_has_an_empty_day() -> None:
    ticker = views(BTCUSDT).markets["BTCUSDT"].ticker_24h(START + 5)

    assert (ticker.last_price, ticker.open_price, ticker.volume, ticker.trades) == (0, 0, 0, 0)
    assert (ticker.bid, ticker.ask, ticker.first_trade_id) == (None, None, None)
    assert (ticker.open_time, ticker.close_time) == (START - DAY + MINUTE, START + 5)


def test_a_day_after_its_last_trade_a_market_stands_at_that_price() -> None:
    tested = views(BTCUSDT)
    tested.apply(
        outcome(
            1,
            trade(1, 100 * UNIT, UNIT, START),
            Counters(symbol="BTCUSDT", trade_id=1, last_price=100 * UNIT),
        )
    )
    view = tested.markets["BTCUSDT"]

    assert view.ticker_24h(START + DAY - 1).trades == 1
    ticker = view.ticker_24h(START + DAY)
    assert (ticker.trades, ticker.open_price, ticker.price_change) == (0, 100 * UNIT, 0)
    assert ticker.previous_close_price == 100 * UNIT
    assert view.average_price(START + 2 * DAY, 5) == 100 * UNIT


def test_the_percentage_is_rounded_to_a_thousandth_away_from_zero() -> None:
    for last, expected in ((100, 0), (110, 10_000), (70, -30_000)):
        assert _percent([100, last]) == expected
    assert _percent([3, 2]) == -33_333
    assert _percent([3, 4, 5]) == 66_667
    assert _percent([200_000, 200_001]) == 1


def _percent(prices: list[int]) -> int:
    tested = views(BTCUSDT)
    trades = [trade(place + 1, price, UNIT, START) for place, price in enumerate(prices)]
    assert all(one.id < other.id for one, other in pairwise(trades))
    counters = Counters(symbol="BTCUSDT", trade_id=len(prices), last_price=prices[-1])
    tested.apply(outcome(1, *trades, counters))
    return tested.markets["BTCUSDT"].ticker_24h(START).price_change_percent


def test_a_result_of_any_kind_carries_rows() -> None:
    placed = Outcome(
        number=1,
        time=START,
        uid=1,
        request=None,
        deadline=0,
        result=Placed(symbol="BTCUSDT", order_id=1),
        rows=(level(Side.BUY, 3, 4), Counters(symbol="BTCUSDT", update_id=1, order_id=1)),
    )

    (change,) = views(BTCUSDT).apply(placed)

    assert (change.first_update_id, change.last_update_id) == (1, 1)


@pytest.mark.parametrize("seed", range(3))
def test_any_stretch_of_minutes_is_their_sum_whatever_was_asked_before(seed: int) -> None:
    chance = random.Random(seed)
    minutes, known = _Minutes(), dict[int, Candle]()
    newest = START
    for id in range(1, 400):
        newest += chance.choice((0, 0, MINUTE, MINUTE, 7 * MINUTE))
        # Now and then a trade comes late.
        opened = newest - chance.choice((0,) * 9 + (MINUTE, 50 * MINUTE))
        candle = Candle(
            symbol="SOLUSDC", interval=Interval.MINUTE_1, open_time=opened, open=id,
            high=chance.randrange(900, 1_000), low=chance.randrange(100), close=id, volume=id,
            quote_volume=id, trades=1, taker_base=0, taker_quote=id, first_trade_id=id,
            last_trade_id=id,
        )  # fmt: skip
        minutes.add(candle)
        known[opened] = merge(known[opened], candle) if opened in known else candle

        for width in (5, 59, 60, 61, 240, 600):
            start = newest - chance.randrange(3) * MINUTE - width * MINUTE
            end = start + width * MINUTE - chance.randrange(2)
            asked = (one for opened, one in sorted(known.items()) if start <= opened <= end)
            assert minutes.between(start, end) == add_up(asked)
