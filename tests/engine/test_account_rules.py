"""What an account may have open, and what happens when it is stopped."""

import pytest
from msgspec.structs import replace
from venue import (
    MARKET,
    SYMBOL,
    UNIT,
    Venue,
    WatchedVenue,
    detail,
    listed,
    new,
    placed,
    reason,
    rows_of,
)

from exchange.services.commands import NewOrder
from exchange.services.markets import Mode
from exchange.services.messages import Done, Reason
from exchange.services.orders import ListStatus, OrderStatus, OrderType, Side
from exchange.services.rows import Account, Balance, Counters, OrderList

BUY, SELL = Side.BUY, Side.SELL
STOP_LOSS, LIMIT_MAKER = OrderType.STOP_LOSS, OrderType.LIMIT_MAKER
OTHER = "BNBUSDC"


@pytest.fixture
def venue() -> Venue:
    """Two markets, both with a last price of 100."""
    venue = WatchedVenue(MARKET, replace(MARKET, symbol=OTHER, base="BNB"))
    dealer = venue.account("dealer", BNB=10, USDC=1_000)
    venue.order(dealer, SELL, 1, 100, symbol=OTHER)
    venue.order(dealer, BUY, 1, 100, symbol=OTHER)
    venue.trade_at(100)
    return venue


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice", SOL=1_000, USDC=100_000, BNB=1_000)


def gain_and_stop(quantity: float = 1) -> tuple[NewOrder, NewOrder]:
    return (
        new(SELL, quantity, 110, type=LIMIT_MAKER),
        new(SELL, quantity, type=STOP_LOSS, stop=90),
    )


# --- The kill switch ---


def test_stopping_an_account_cancels_all_that_it_has_open_in_all_markets(
    venue: Venue, alice: int, bob: int
) -> None:
    resting = placed(venue.order(alice, BUY, 1, 90)).id
    waiting = placed(venue.order(alice, SELL, 1, type=STOP_LOSS, stop=80)).id
    iceberg = placed(venue.order(alice, SELL, 5, 120, iceberg=1)).id
    pair = listed(venue.oco(alice, *gain_and_stop()))
    group = listed(venue.oto(alice, new(BUY, 1, 95), *gain_and_stop()))
    elsewhere = placed(venue.order(alice, SELL, 1, 120, symbol=OTHER)).id
    pair_elsewhere = listed(venue.oco(alice, *gain_and_stop(), symbol=OTHER))
    others = placed(venue.order(bob, BUY, 1, 90)).id

    outcome = venue.change_account(alice, stopped=True)

    assert outcome.result == Done()
    ended = (resting, waiting, iceberg, *pair.order_ids, *group.order_ids)
    assert {venue.status(one) for one in ended} == {OrderStatus.CANCELED}
    assert venue.state(elsewhere, OTHER).status is OrderStatus.CANCELED
    assert venue.list_state(pair.id).status is ListStatus.ALL_DONE
    assert venue.list_state(group.id).status is ListStatus.ALL_DONE
    assert venue.list_state(pair_elsewhere.id).status is ListStatus.ALL_DONE
    assert venue.status(others) is OrderStatus.NEW
    assert [venue.locked(alice, asset) for asset in ("SOL", "USDC", "BNB")] == [0, 0, 0]
    assert [row.stopped for row in rows_of(outcome, Account)] == [True]
    # What both markets changed is told once.
    balances = [(row.account, row.asset) for row in rows_of(outcome, Balance)]
    assert sorted({row.symbol for row in rows_of(outcome, Counters)}) == [OTHER, SYMBOL]
    assert len({row.id for row in rows_of(outcome, OrderList)}) == 3
    assert {asset for _, asset in balances} == {"SOL", "USDC", "BNB"}


def test_a_stopped_account_may_not_place_anything(venue: Venue, alice: int) -> None:
    venue.change_account(alice, stopped=True)

    for outcome in (
        venue.order(alice, BUY, 1, 90),
        venue.order(alice, BUY, 1, 90, symbol=OTHER),
        venue.oco(alice, *gain_and_stop()),
        venue.oto(alice, new(BUY, 1, 90), new(SELL, 1, 110)),
        venue.replace(alice, 1, new(BUY, 1, 90)),
    ):
        assert reason(outcome) is Reason.ACCOUNT_STOPPED


def test_a_stopped_account_may_still_ask_for_cancels_and_smaller_orders(
    venue: Venue, alice: int
) -> None:
    venue.change_account(alice, stopped=True)

    assert reason(venue.cancel(alice, 1)) is Reason.UNKNOWN_ORDER
    assert reason(venue.cancel_all(alice)) is Reason.NO_OPEN_ORDERS
    assert reason(venue.cancel_list(alice, list_id=1)) is Reason.UNKNOWN_LIST
    assert reason(venue.amend(alice, 1, 1)) is Reason.UNKNOWN_ORDER


def test_a_released_account_goes_on(venue: Venue, alice: int, bob: int) -> None:
    venue.change_account(alice, stopped=True)
    venue.change_account(alice, tier=1)
    assert reason(venue.order(alice, BUY, 1, 90)) is Reason.ACCOUNT_STOPPED

    venue.change_account(alice, stopped=False)

    assert reason(venue.order(alice, BUY, 1, 90)) is None


def test_money_of_a_stopped_account_moves_as_ever(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 1_000, 120)
    venue.change_account(alice, stopped=True)

    assert reason(venue.withdraw(alice, "SOL", 1_000)) is None


@pytest.mark.parametrize("mode", [Mode.HALTED, Mode.BREAK, Mode.CANCEL_ONLY])
def test_an_account_is_stopped_whatever_its_markets_do(
    venue: Venue, alice: int, mode: Mode
) -> None:
    order = placed(venue.order(alice, BUY, 1, 90))
    venue.mode(mode)

    venue.change_account(alice, stopped=True)

    assert venue.status(order.id) is OrderStatus.CANCELED


# --- How many orders ---


def place(venue: Venue, account: int, kind: str, symbol: str = SYMBOL) -> Reason | None:
    """One more order, algo order, iceberg or list."""
    if kind == "orders":
        outcome = venue.order(account, BUY, 1, 90, symbol=symbol)
    elif kind == "algo_orders":
        outcome = venue.order(account, SELL, 1, type=STOP_LOSS, stop=80, symbol=symbol)
    elif kind == "iceberg_orders":
        outcome = venue.order(account, BUY, 2, 90, iceberg=1, symbol=symbol)
    else:
        outcome = venue.oto(account, new(BUY, 1, 90), new(SELL, 1, 110), symbol=symbol)
    return reason(outcome)


NAMES = {
    "orders": "MAX_NUM_ORDERS",
    "algo_orders": "MAX_NUM_ALGO_ORDERS",
    "iceberg_orders": "MAX_NUM_ICEBERG_ORDERS",
    "order_lists": "MAX_NUM_ORDER_LISTS",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_market_limits_what_an_account_has_open_there(
    venue: Venue, alice: int, bob: int, kind: str
) -> None:
    venue.rule(**{f"{kind}_max": 2})
    assert [place(venue, alice, kind) for _ in range(2)] == [None, None]

    assert place(venue, alice, kind) is Reason.FILTER
    assert detail(venue.outcomes[-1]) == NAMES[kind]
    assert place(venue, bob, kind) is None
    assert place(venue, alice, kind, OTHER) is None

    venue.cancel_all(alice)
    assert place(venue, alice, kind) is None


@pytest.mark.parametrize("kind", NAMES)
def test_the_exchange_limits_what_an_account_has_open_everywhere(
    venue: Venue, alice: int, bob: int, kind: str
) -> None:
    venue.exchange_rule(**{f"{kind}_max": 2})
    assert place(venue, alice, kind) is None
    assert place(venue, alice, kind, OTHER) is None

    for symbol in (SYMBOL, OTHER):
        assert place(venue, alice, kind, symbol) is Reason.FILTER
        assert detail(venue.outcomes[-1]) == f"EXCHANGE_{NAMES[kind]}"
    assert place(venue, bob, kind) is None


def test_every_order_of_a_list_counts(venue: Venue, alice: int) -> None:
    venue.rule(orders_max=3, algo_orders_max=1)

    venue.order(alice, BUY, 1, 90)
    three = venue.oto(alice, new(BUY, 1, 95), *gain_and_stop())
    assert detail(three) == "MAX_NUM_ORDERS"

    assert reason(venue.oco(alice, *gain_and_stop())) is None
    venue.rule(orders_max=0)
    assert detail(venue.oco(alice, *gain_and_stop())) == "MAX_NUM_ALGO_ORDERS"


def test_a_stop_that_was_set_off_and_rests_still_counts(venue: Venue, alice: int, bob: int) -> None:
    venue.rule(algo_orders_max=1)
    venue.order(alice, SELL, 1, 120, type=OrderType.STOP_LOSS_LIMIT, stop=95)
    venue.trade_at(95)

    assert place(venue, alice, "algo_orders") is Reason.FILTER

    venue.order(bob, BUY, 1, 120)
    assert place(venue, alice, "algo_orders") is None


def test_an_order_that_would_not_stay_open_is_counted_too(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(bob, SELL, 1, 100)
    venue.rule(orders_max=1)
    venue.order(alice, BUY, 1, 90)

    assert detail(venue.order(alice, BUY, 1)) == "MAX_NUM_ORDERS"


# --- How much of an asset ---


def test_a_position_is_what_one_owns_and_what_open_buys_will_bring(venue: Venue, bob: int) -> None:
    trader = venue.account("trader", SOL=4, USDC=10_000)
    venue.rule(position_max=10 * UNIT)
    venue.order(trader, SELL, 1, 120)
    venue.order(trader, BUY, 2, 90)
    venue.order(trader, BUY, 2, type=STOP_LOSS, stop=110)

    assert detail(venue.order(trader, BUY, 2.001, 80)) == "MAX_POSITION"
    assert reason(venue.order(trader, BUY, 2, 80)) is None
    assert detail(venue.order(trader, BUY, 0.1, 80)) == "MAX_POSITION"
    # Selling is always possible.
    assert reason(venue.order(trader, SELL, 1, 120)) is None


def test_a_position_counts_what_is_still_to_be_bought(venue: Venue, bob: int) -> None:
    trader = venue.account("trader", USDC=10_000)
    venue.rule(position_max=10 * UNIT, maker_rate=0)
    order = placed(venue.order(trader, BUY, 10, 90))
    venue.order(bob, SELL, 4, 90)

    assert detail(venue.order(trader, BUY, 0.1, 80)) == "MAX_POSITION"

    venue.cancel(trader, order.id)
    assert reason(venue.order(trader, BUY, 6, 80)) is None


def test_a_quote_amount_is_measured_by_what_it_would_buy(venue: Venue, bob: int) -> None:
    trader = venue.account("trader", USDC=10_000)
    venue.rule(position_max=2 * UNIT)
    venue.order(bob, SELL, 10, 100)

    too_much = venue.order(trader, BUY, None, quote_quantity=200.1)
    enough = venue.order(trader, BUY, None, quote_quantity=200)

    assert detail(too_much) == "MAX_POSITION"
    assert placed(enough).filled == 2 * UNIT


def test_of_two_legs_only_one_can_be_bought(venue: Venue) -> None:
    trader = venue.account("trader", USDC=10_000)
    venue.rule(position_max=2 * UNIT)

    def pair(quantity: float) -> tuple[NewOrder, NewOrder]:
        return (
            new(BUY, quantity, type=STOP_LOSS, stop=110),
            new(BUY, quantity, 90, type=LIMIT_MAKER),
        )

    assert detail(venue.oco(trader, *pair(2.001))) == "MAX_POSITION"
    assert detail(venue.oto(trader, new(BUY, 1, 95), *pair(1.001))) == "MAX_POSITION"
    assert reason(venue.oto(trader, new(BUY, 1, 95), *pair(1))) is None


def test_an_order_may_move_only_so_much_of_an_asset(venue: Venue, alice: int) -> None:
    venue.exchange_rule(assets_max={"SOL": 2 * UNIT, "USDC": 150 * UNIT})

    assert detail(venue.order(alice, SELL, 2.001, 50)) == "MAX_ASSET"
    assert detail(venue.order(alice, SELL, 1.001, 150)) == "MAX_ASSET"
    assert detail(venue.order(alice, SELL, 2, 100)) == "MAX_ASSET"
    assert reason(venue.order(alice, SELL, 1, 150)) is None
    # An order without a price is worth its quantity at the average price, which is 100.
    assert detail(venue.order(alice, SELL, 1.501)) == "MAX_ASSET"
    assert detail(venue.order(alice, BUY, None, quote_quantity=150.01)) == "MAX_ASSET"
    # USDC is the quote of the other market too.
    assert detail(venue.order(alice, BUY, 2, 100, symbol=OTHER)) == "MAX_ASSET"
