"""Running candles against a market that keeps every trade and folds them all."""

import random

import pytest
from made_outcomes import BTCUSDT, START, UNIT, outcome, trade, views

from exchange.services.candles import (
    HOUR,
    MINUTE,
    SECOND,
    Candle,
    Interval,
    fill,
    fold,
    fold_trades,
    open_time,
    shift,
)
from exchange.services.market_view import CANDLES_KEPT, RECENT_TRADES, MarketViews
from exchange.services.orders import Side
from exchange.services.rows import Counters, Trade
from exchange.websocket.running_candles import OFFSETS, SECONDS_KEPT, RunningCandles, history_start


class Market:
    """One that trades by chance; some trades become known a little late."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.now = START
        self.number = 0
        self.trades: list[Trade] = []
        self.views = views(BTCUSDT)
        self.candles = RunningCandles(self.views.markets["BTCUSDT"], self.now)

    def step(self) -> None:
        self.now += self.chance.choice((1_000, 300_000, 5 * SECOND, MINUTE, 40 * MINUTE, 5 * HOUR))
        # Some become known late, but one after the other.
        late = self.now - self.chance.choice((0, 0, 0, 400_000, 70 * SECOND))
        self.trade(max(late, self.trades[-1].time if self.trades else late))

    def trade(self, time: int) -> None:
        made = [
            trade(
                len(self.trades) + place,
                self.chance.randrange(90, 111) * UNIT,
                self.chance.randrange(1, 9) * UNIT,
                time,
                side=self.chance.choice(list(Side)),
            )
            for place in range(1, self.chance.choice((0, 1, 2)) + 1)
        ]
        self.trades += made
        self.number += 1
        self.views.apply(outcome(self.number, *made, self.counters()))
        self.candles.add(made)
        self.candles.advance(self.now)

    def counters(self) -> Counters:
        last_price = self.trades[-1].price if self.trades else 0
        return Counters(symbol="BTCUSDT", trade_id=len(self.trades), last_price=last_price)

    def expected(self, interval: Interval, opened: int, offset: int) -> Candle | None:
        """As REST would have it."""
        end = shift(interval, opened, 1, offset)
        seconds = fold_trades(
            (one for one in self.trades if opened <= one.time < end), Interval.SECOND_1
        )
        before = [one for one in self.trades if one.time < opened]
        (found,) = fill(
            seconds if interval is Interval.SECOND_1 else fold(seconds, interval, offset),
            opened,
            opened,
            symbol="BTCUSDT",
            interval=interval,
            previous_close=before[-1].price if before else 0,
            limit=1,
            offset=offset,
        )
        return found if found.close else None


@pytest.mark.parametrize("seed", range(4))
def test_each_is_what_its_trades_add_up_to(seed: int) -> None:
    market = Market(seed)

    for step in range(600):
        market.step()
        if step % 20:
            continue
        for interval in Interval:
            for offset in OFFSETS:
                opened = open_time(interval, market.now, offset)
                assert market.candles.knows(interval, opened, offset, market.now)
                assert market.candles.candle(interval, opened, offset) == market.expected(
                    interval, opened, offset
                ), (interval, offset)


@pytest.mark.parametrize("seed", range(4))
def test_one_that_has_just_ended_is_known_as_well(seed: int) -> None:
    market, checked = Market(seed), 0

    for _ in range(400):
        market.step()
        for interval in Interval:
            for offset in OFFSETS:
                opened = open_time(interval, market.now, offset)
                if market.now - opened < SECOND:
                    ended = shift(interval, opened, -1, offset)
                    assert market.candles.candle(interval, ended, offset) == market.expected(
                        interval, ended, offset
                    ), (interval, offset)
                    checked += 1

    assert checked > 100


def test_loaded_in_the_middle_they_are_as_if_they_had_seen_everything() -> None:
    seen = Market(7)
    for _ in range(400):
        seen.step()
    stored = {
        interval: fold(fold_trades(seen.trades, Interval.SECOND_1), interval)
        for interval in (Interval.MINUTE_1, Interval.HOUR_1)
    }
    seconds = fold_trades(seen.trades, Interval.SECOND_1)
    loaded = MarketViews.load(
        seen.number,
        rows=[BTCUSDT, seen.counters()],
        levels=[],
        candles=[
            one for one in stored[Interval.MINUTE_1] if one.open_time >= seen.now - CANDLES_KEPT
        ],
        trades=seen.trades[-RECENT_TRADES:],
    )
    candles = RunningCandles(
        loaded.markets["BTCUSDT"],
        seen.now,
        [
            *(one for one in seconds if one.open_time >= seen.now - SECONDS_KEPT),
            *(one for one in stored[Interval.HOUR_1] if one.open_time >= history_start(seen.now)),
        ],
    )

    for interval in Interval:
        for offset in OFFSETS:
            opened = open_time(interval, seen.now, offset)
            assert candles.candle(interval, opened, offset) == seen.candles.candle(
                interval, opened, offset
            ), (interval, offset)


def test_before_its_first_trade_a_market_has_none() -> None:
    candles = RunningCandles(views(BTCUSDT).markets["BTCUSDT"], START)

    assert candles.candle(Interval.MINUTE_1, START) is None
    assert candles.candle(Interval.MONTH_1, open_time(Interval.MONTH_1, START)) is None


def test_what_is_too_long_ago_is_not_told_as_if_it_were_known() -> None:
    market = Market(1)
    while market.now < START + 80 * 24 * HOUR:
        market.step()

    for interval in Interval:
        opened = shift(interval, market.now, -2_000)
        assert not market.candles.knows(interval, opened, 0, market.now)


def test_a_clock_that_steps_back_loses_no_trade() -> None:
    market = Market(9)

    for _ in range(200):
        market.step()
        market.trade(market.now - market.chance.randrange(20 * HOUR))

        for interval in Interval:
            if interval is Interval.SECOND_1:
                continue
            opened = open_time(interval, market.now)
            found = market.candles.candle(interval, opened)
            expected = market.expected(interval, opened, 0)
            if expected is not None and expected.trades:
                assert found == expected, interval


def test_seconds_are_forgotten() -> None:
    market = Market(2)
    for _ in range(300):
        market.step()

    assert all(second >= market.now - SECONDS_KEPT for second in market.candles._seconds)
