"""What is traded before anybody comes: the same by the same seed, all done, and nothing left open."""

from collections import deque
from collections.abc import Iterator

from exchange.engine.past_market import (
    DENSE_S,
    SPARSE_S,
    VOLATILITY,
    Moment,
    Traders,
    beginning,
    funding,
    trading,
)
from exchange.engine.replica import Replica
from exchange.redis.journal import FRAME_COMMANDS_MAX
from exchange.services.candles import DAY, HOUR
from exchange.services.markets import USUAL_PRICES, default_markets
from exchange.services.messages import SECOND_US, OutcomeFrame, Rejected
from exchange.services.orders import OrderStatus
from exchange.services.rows import Order, Trade

BEGIN = 1_000 * DAY
MARKETS = {market.symbol: market for market in default_markets()[1]}


def moments(seed: int = 1, hours: int = 2) -> list[Moment]:
    return list(trading(Traders(2, 3), seed=seed, begin=BEGIN, end=BEGIN + hours * HOUR))


def executed(hours: int) -> Iterator[OutcomeFrame]:
    """What a new exchange makes of it, a frame for each moment."""
    replica = Replica()
    frame = replica.execute(deque(beginning()), BEGIN)
    maker, taker = (outcome.number for outcome in frame.outcomes[-2:])
    traders = Traders(maker, taker)
    yield frame
    yield replica.execute(deque(funding(traders)), BEGIN)
    for moment in trading(traders, seed=1, begin=BEGIN, end=BEGIN + hours * HOUR):
        yield replica.execute(deque(moment.commands), moment.time)
        assert not any(book.orders for book in replica.engine.books.values())


def test_a_seed_says_what_is_traded() -> None:
    assert moments(seed=7) == moments(seed=7)
    assert moments(seed=7) != moments(seed=8)


def test_time_passes_evenly_and_more_slowly_in_the_last_hour() -> None:
    times = [moment.time - BEGIN for moment in moments()]

    assert times == [
        *range(0, HOUR, SPARSE_S * SECOND_US),
        *range(HOUR, 2 * HOUR, DENSE_S * SECOND_US),
    ]


def test_a_day_is_some_ten_thousands_of_commands_and_each_moment_fits_a_frame() -> None:
    sizes = [len(moment.commands) for moment in moments(hours=24)]

    assert 20_000 < sum(sizes) < 40_000
    assert max(sizes) <= FRAME_COMMANDS_MAX


def test_everything_is_done_and_nothing_stays_open_behind_any_moment() -> None:
    for frame in executed(hours=2):
        orders: dict[tuple[str, int], Order] = {}
        for outcome in frame.outcomes:
            assert not isinstance(outcome.result, Rejected), outcome
            orders |= {(row.symbol, row.id): row for row in outcome.rows if isinstance(row, Order)}

        assert all(order.status is OrderStatus.FILLED for order in orders.values())


def test_each_market_trades_every_minute_and_ends_at_its_usual_price() -> None:
    minutes = {symbol: set[int]() for symbol in MARKETS}
    last = {}

    for frame in executed(hours=2):
        for row in (row for outcome in frame.outcomes for row in outcome.rows):
            if isinstance(row, Trade):
                minutes[row.symbol].add((row.time - BEGIN) // SECOND_US // 60)
                last[row.symbol] = row.price

    for symbol, market in MARKETS.items():
        assert minutes[symbol] == set(range(120))
        usual = USUAL_PRICES[market.base] * 10**market.quote_decimals
        # The spread and the tick of a price of 150 are far less than an hour's change.
        assert abs(last[symbol] - usual) < usual * VOLATILITY * 60
