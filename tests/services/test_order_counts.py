"""Unfilled orders, by the published examples and by what they say in words."""

import msgspec
import pytest
from made_outcomes import BTCUSDT, START, trade

from exchange.services.candles import DAY
from exchange.services.messages import (
    Canceled,
    Listed,
    Outcome,
    Placed,
    Reason,
    Rejected,
    Repeated,
    Replaced,
    Result,
)
from exchange.services.order_counts import OrderCounts
from exchange.services.orders import (
    Contingency,
    ListStatus,
    OrderStatus,
    OrderType,
    Side,
    TimeInForce,
)
from exchange.services.rate_limits import LONG, SHORT
from exchange.services.rows import Order, OrderList, Row, Trade

MINE, OTHERS = 1, 2
MIDNIGHT = START - START % DAY
SECOND = 1_000_000


class Account:
    """One account's orders, as an engine would journal them."""

    def __init__(self) -> None:
        self.counts = OrderCounts()
        self.now = MIDNIGHT
        self._filled: dict[int, int] = {}
        self._number = 0
        self._trades = 0

    @property
    def count(self) -> int:
        return self.counts.count(SHORT, MINE, self.now)

    @property
    def count_of_the_day(self) -> int:
        return self.counts.count(LONG, MINE, self.now)

    def place(self, order: int, *, filled: int = 0) -> None:
        """A new order that takes something at once, or nothing."""
        rows: list[Row] = []
        if filled:
            rows.append(self._trade(order, filled, taker=True))
        self._apply(Placed(symbol="BTCUSDT", order_id=order), self._order(order), *rows)

    def fill(self, order: int, quantity: int) -> None:
        """Somebody takes a piece of an order that is in the book."""
        taken = self._trade(order, quantity, taker=False)
        taker = msgspec.structs.replace(self._order(999), account=OTHERS, filled=quantity)
        placed = Placed(symbol="BTCUSDT", order_id=999)
        self._apply(placed, taker, self._order(order), taken)

    def apply(self, result: Result, *rows: Row) -> None:
        self._apply(result, *rows)

    def order(self, order: int) -> Order:
        return self._order(order)

    def _apply(self, result: Result, *rows: Row) -> None:
        self._number += 1
        self.counts.apply(
            Outcome(
                number=self._number,
                time=self.now,
                uid=0,
                request=None,
                deadline=0,
                result=result,
                rows=rows,
            )
        )

    def _trade(self, order: int, quantity: int, *, taker: bool) -> Trade:
        """A trade of a buy order of ours."""
        self._trades += 1
        self._filled[order] = self._filled.get(order, 0) + quantity
        made = trade(self._trades, 100, quantity, self.now, side=Side.BUY if taker else Side.SELL)
        return msgspec.structs.replace(
            made, buy_order=order, sell_order=999, buy_account=MINE, sell_account=OTHERS
        )

    def _order(self, order: int) -> Order:
        return Order(
            symbol=BTCUSDT.symbol,
            id=order,
            account=MINE,
            client_order_id=str(order),
            side=Side.BUY,
            type=OrderType.LIMIT,
            time_in_force=TimeInForce.GTC,
            price=100,
            quantity=1_000,
            quote_quantity=0,
            filled=self._filled.get(order, 0),
            filled_quote=0,
            locked=0,
            status=OrderStatus.NEW,
            queue=order,
            created=self.now,
            updated=self.now,
            request=None,
            deadline=0,
        )


@pytest.fixture
def mine() -> Account:
    return Account()


def test_the_published_example_of_a_taker(mine: Account) -> None:
    counts = [mine.count]
    mine.place(1)
    counts.append(mine.count)
    mine.place(2, filled=10)
    counts.append(mine.count)
    mine.place(3)
    counts.append(mine.count)
    mine.fill(2, 10)
    mine.fill(2, 980)
    counts.append(mine.count)
    mine.place(4, filled=1_000)
    counts.append(mine.count)

    assert counts == [0, 1, 1, 2, 2, 2]


def test_the_published_example_of_a_maker(mine: Account) -> None:
    counts = []
    for order in (1, 2, 3, 4, 5):
        mine.place(order)
    counts.append(mine.count)
    mine.fill(1, 10)
    counts.append(mine.count)
    mine.place(6)
    mine.place(7)
    counts.append(mine.count)
    mine.fill(1, 10)
    mine.fill(1, 980)
    counts.append(mine.count)
    mine.fill(2, 10)
    counts.append(mine.count)
    mine.place(8)
    counts.append(mine.count)

    assert counts == [5, 0, 2, 2, 0, 1]


def test_first_fills_of_yesterdays_orders_decrease_todays_count(mine: Account) -> None:
    for order in range(1, 6):
        mine.place(order)
    counts = [mine.count_of_the_day]
    mine.now += DAY
    counts.append(mine.count_of_the_day)
    for order in range(6, 16):
        mine.place(order)
    counts.append(mine.count_of_the_day)
    mine.fill(1, 10)
    counts.append(mine.count_of_the_day)
    mine.fill(2, 10)
    mine.fill(3, 10)
    counts.append(mine.count_of_the_day)
    mine.place(16)
    counts.append(mine.count_of_the_day)

    assert counts == [5, 0, 10, 5, 0, 1]


def test_the_ten_seconds_are_aligned_and_the_day_is_that_of_utc(mine: Account) -> None:
    mine.now = MIDNIGHT + 9_999_999
    mine.place(1)
    mine.now = MIDNIGHT + 10 * SECOND
    mine.place(2)

    assert (mine.count, mine.count_of_the_day) == (1, 2)
    mine.now = MIDNIGHT + DAY
    assert (mine.count, mine.count_of_the_day) == (0, 0)


def test_a_list_counts_as_many_orders_as_it_has(mine: Account) -> None:
    for number, ids in ((77, (1, 2)), (78, (3, 4, 5))):
        row = OrderList(
            symbol="BTCUSDT",
            id=number,
            account=MINE,
            client_list_id="x",
            contingency=Contingency.OCO,
            order_ids=ids,
            status=ListStatus.EXECUTING,
            created=0,
            updated=0,
        )
        mine.apply(Listed(symbol="BTCUSDT", list_id=number), row)

    assert mine.count == 5


@pytest.mark.parametrize(
    "result",
    [
        Rejected(reason=Reason.INSUFFICIENT_BALANCE),
        Canceled(symbol="BTCUSDT", order_ids=(1,)),
        Repeated(number=1),
    ],
)
def test_refusals_cancels_and_repeats_change_nothing(mine: Account, result: Result) -> None:
    mine.place(1)

    mine.apply(result, mine.order(1))

    assert mine.count == 1


def test_the_order_in_place_of_another_one_counts_if_it_was_accepted(mine: Account) -> None:
    canceled = Canceled(symbol="BTCUSDT", order_ids=(1,))
    placed = Placed(symbol="BTCUSDT", order_id=2)
    refused = Rejected(reason=Reason.INSUFFICIENT_BALANCE)

    mine.apply(Replaced(canceled=canceled, placed=placed), mine.order(2))
    mine.apply(Replaced(canceled=canceled, placed=refused), mine.order(1))
    mine.apply(Replaced(canceled=refused, placed=None))

    assert mine.count == 1


def test_accounts_are_counted_apart(mine: Account) -> None:
    mine.place(1)

    assert mine.counts.count(SHORT, OTHERS, mine.now) == 0


def test_a_window_goes_on_from_where_it_was_loaded(mine: Account) -> None:
    mine.counts.load(SHORT, mine.now, {MINE: 7})

    mine.place(1)

    assert mine.count == 8


def test_what_happened_before_the_window_that_was_loaded_does_not_count(mine: Account) -> None:
    mine.counts.load(SHORT, mine.now, {MINE: 7})
    mine.now -= 1

    mine.place(1)

    mine.now += 1
    assert mine.count == 7
