"""Candles: what opens when, what adds up to what, and that no candle is missing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.services.candles import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    STORED,
    Candle,
    Interval,
    close_time,
    fill,
    fold,
    fold_trades,
    merge,
    open_time,
    shift,
    stored_interval,
)
from exchange.services.orders import Side
from exchange.services.rows import Trade

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INTERVALS = st.sampled_from(list(Interval))
TIMES = st.integers(-(10**17), 10**17)
OFFSETS = st.integers(-48, 56).map(lambda quarters: quarters * 15 * MINUTE)


def at(text: str) -> int:
    return (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


def trade(id: int, time: int, price: int, quantity: int = 1, side: Side = Side.BUY) -> Trade:
    return Trade(
        symbol="SOLUSDC",
        id=id,
        price=price,
        quantity=quantity,
        quote_quantity=price * quantity,
        time=time,
        taker_side=side,
        buy_order=1,
        sell_order=2,
        buy_account=1,
        sell_account=2,
        buy_fee=0,
        sell_fee=0,
    )


def candle(trades: list[Trade], interval: Interval = Interval.SECOND_1) -> Candle:
    (only,) = fold_trades(trades, interval)
    return only


@pytest.mark.parametrize(
    ("interval", "time", "opens", "closes"),
    [
        ("1s", "2024-02-29T23:59:59.5", "2024-02-29T23:59:59", "2024-03-01T00:00:00"),
        ("3m", "2024-02-29T23:59:59", "2024-02-29T23:57:00", "2024-03-01T00:00:00"),
        ("12h", "2024-02-29T12:00:00", "2024-02-29T12:00:00", "2024-03-01T00:00:00"),
        ("1w", "2024-03-03T23:59:59", "2024-02-26T00:00:00", "2024-03-04T00:00:00"),
        ("1w", "2024-03-04T00:00:00", "2024-03-04T00:00:00", "2024-03-11T00:00:00"),
        ("1M", "2024-02-29T23:59:59", "2024-02-01T00:00:00", "2024-03-01T00:00:00"),
        ("1M", "2023-12-31T23:59:59", "2023-12-01T00:00:00", "2024-01-01T00:00:00"),
        ("1M", "2100-02-28T00:00:00", "2100-02-01T00:00:00", "2100-03-01T00:00:00"),
        ("1M", "1969-12-31T23:59:59", "1969-12-01T00:00:00", "1970-01-01T00:00:00"),
        ("1w", "1969-12-31T23:59:59", "1969-12-29T00:00:00", "1970-01-05T00:00:00"),
    ],
)
def test_a_candle_opens_on_its_grid(interval: str, time: str, opens: str, closes: str) -> None:
    assert open_time(Interval(interval), at(time)) == at(opens)
    assert close_time(Interval(interval), at(time)) == at(closes) - 1


def test_there_are_all_intervals_of_the_public_api() -> None:
    assert " ".join(Interval) == "1s 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w 1M"


@pytest.mark.parametrize(
    ("interval", "offset", "opens"),
    [
        ("1d", 8 * HOUR, "2024-02-29T16:00:00"),
        ("1d", -5 * HOUR, "2024-02-29T05:00:00"),
        ("1w", 8 * HOUR, "2024-02-25T16:00:00"),
        ("1M", 8 * HOUR, "2024-02-29T16:00:00"),
        ("1M", -5 * HOUR, "2024-02-01T05:00:00"),
        ("1h", 5 * HOUR + 30 * MINUTE, "2024-02-29T17:30:00"),
    ],
)
def test_a_time_zone_moves_where_candles_open(interval: str, offset: int, opens: str) -> None:
    assert open_time(Interval(interval), at("2024-02-29T18:00:00"), offset) == at(opens)


@given(INTERVALS, TIMES, OFFSETS)
def test_every_time_is_in_exactly_one_candle(interval: Interval, time: int, offset: int) -> None:
    opened, closes = open_time(interval, time, offset), close_time(interval, time, offset)

    assert opened <= time <= closes
    assert open_time(interval, opened, offset) == open_time(interval, closes, offset) == opened
    assert open_time(interval, closes + 1, offset) == closes + 1


@given(INTERVALS, TIMES, OFFSETS, st.integers(-1_000, 1_000))
def test_a_shift_there_and_back_is_none(
    interval: Interval, time: int, offset: int, count: int
) -> None:
    there = shift(interval, time, count, offset)

    assert shift(interval, there, -count, offset) == open_time(interval, time, offset)


@given(st.integers(0, 4 * 10**15))
def test_months_are_those_of_the_calendar(time: int) -> None:
    moment = EPOCH + timedelta(microseconds=time)

    opened = EPOCH + timedelta(microseconds=open_time(Interval.MONTH_1, time))

    assert opened == moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("interval", "offset", "stored"),
    [
        ("1s", 0, "1s"),
        ("1m", 0, "1m"),
        ("30m", 0, "1m"),
        ("1h", 0, "1h"),
        ("12h", 0, "1h"),
        ("1d", 0, "1d"),
        ("1w", 0, "1d"),
        ("1M", 0, "1d"),
        ("1M", 8 * HOUR, "1h"),
        ("1d", 5 * HOUR + 30 * MINUTE, "1m"),
        ("1h", 5 * HOUR + 30 * MINUTE, "1m"),
        ("1d", 5 * SECOND, "1s"),
    ],
)
def test_a_candle_is_folded_from_the_largest_that_divides_it(
    interval: str, offset: int, stored: str
) -> None:
    assert stored_interval(Interval(interval), offset) == stored


def test_trades_fold_into_a_candle() -> None:
    trades = [
        trade(7, 1_000_000, price=50, quantity=2),
        trade(8, 1_500_000, price=70, quantity=1, side=Side.SELL),
        trade(9, 1_999_999, price=40, quantity=3),
    ]

    (found,) = fold_trades(trades, Interval.SECOND_1)

    assert found == Candle(
        symbol="SOLUSDC",
        interval=Interval.SECOND_1,
        open_time=1_000_000,
        open=50,
        high=70,
        low=40,
        close=40,
        volume=6,
        quote_volume=290,
        trades=3,
        taker_base=5,
        taker_quote=220,
        first_trade_id=7,
        last_trade_id=9,
    )


def test_open_and_close_go_by_trade_id_although_the_clock_stepped_back() -> None:
    trades = [trade(2, 1_100_000, price=20), trade(1, 1_900_000, price=10)]

    found = candle(trades)

    assert (found.open, found.close) == (10, 20)


def test_merging_is_the_same_in_any_order() -> None:
    early = candle([trade(1, 0, price=10), trade(4, 1, price=40)])
    late = candle([trade(2, 2, price=20), trade(3, 3, price=30)])

    assert merge(early, late) == merge(late, early)
    assert merge(early, late) == candle([trade(id, id, price=10 * id) for id in (1, 2, 3, 4)])


@given(
    st.lists(st.tuples(st.integers(0, 200 * DAY), st.integers(1, 100)), min_size=1, max_size=20),
    INTERVALS,
    OFFSETS,
)
def test_folding_candles_is_folding_their_trades(
    points: list[tuple[int, int]], interval: Interval, offset: int
) -> None:
    trades = [trade(id, time, price) for id, (time, price) in enumerate(points, 1)]
    stored = fold(fold_trades(trades, STORED[0]), stored_interval(interval, offset))
    shifted = [trade(id, time + offset, price) for id, (time, price) in enumerate(points, 1)]

    folded = fold(stored, interval, offset)

    expected = fold_trades(shifted, interval)
    assert [(c.open_time + offset, c.open, c.close, c.volume) for c in folded] == [
        (c.open_time, c.open, c.close, c.volume) for c in expected
    ]


def test_quiet_periods_are_flat_at_the_close_before_them() -> None:
    traded = [
        candle([trade(1, 2 * MINUTE, price=50)], Interval.MINUTE_1),
        candle([trade(2, 5 * MINUTE, price=60)], Interval.MINUTE_1),
    ]

    filled = fill(
        traded,
        MINUTE,
        6 * MINUTE + 1,
        symbol="SOLUSDC",
        interval=Interval.MINUTE_1,
        previous_close=40,
        limit=100,
    )

    assert [(c.open_time // MINUTE, c.open, c.close, c.volume) for c in filled] == [
        (1, 40, 40, 0),
        (2, 50, 50, 1),
        (3, 50, 50, 0),
        (4, 50, 50, 0),
        (5, 60, 60, 1),
        (6, 60, 60, 0),
    ]


def test_filling_ends_at_the_limit() -> None:
    filled = fill(
        [],
        0,
        10**18,
        symbol="SOLUSDC",
        interval=Interval.MONTH_1,
        previous_close=0,
        limit=3,
    )

    assert [c.open_time for c in filled] == [at("1970-01-01"), at("1970-02-01"), at("1970-03-01")]
