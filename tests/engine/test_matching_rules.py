"""Every rule of matching by a plain example; the name is the rule."""

import pytest
from msgspec.structs import replace
from venue import MARKET, SYMBOL, UNIT, Venue, detail, placed, reason, trades

from exchange.services.commands import (
    AddAsset,
    AddMarket,
    CancelAllOrders,
    CancelOrder,
    CreateAccount,
    CreateKey,
    Deposit,
    PlaceOrder,
    RevokeKey,
    SetMode,
    Undecodable,
    Withdraw,
)
from exchange.services.markets import Asset, Mode
from exchange.services.messages import Canceled, Created, Outcome, Reason, Repeated
from exchange.services.orders import OrderStatus, OrderType, Side, TimeInForce
from exchange.services.rows import Balance, Counters, KeyKind, Level, Trade

BUY, SELL = Side.BUY, Side.SELL


def test_a_limit_order_rests_and_locks_what_it_needs(venue: Venue, alice: int) -> None:
    buy = placed(venue.order(alice, BUY, 2, 100))
    sell = placed(venue.order(alice, SELL, 3, 110))

    assert (buy.status, sell.status) == (OrderStatus.NEW, OrderStatus.NEW)
    assert (venue.free(alice, "USDC"), venue.locked(alice, "USDC")) == (99_800, 200)
    assert (venue.free(alice, "SOL"), venue.locked(alice, "SOL")) == (997, 3)


def test_a_trade_happens_at_the_price_of_the_resting_order(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 1, 100)

    outcome = venue.order(bob, BUY, 1, 105)

    assert trades(outcome) == [(100, 1)]
    assert placed(outcome).status is OrderStatus.FILLED
    # 0.1 % of what each side receives; the better price is given back.
    assert venue.free(bob, "USDC") == 99_900
    assert venue.free(bob, "SOL") == 1_000.999
    assert venue.free(alice, "USDC") == 100_099.9
    assert venue.free(0, "SOL") == 0.001
    assert venue.free(0, "USDC") == 0.1


def test_fees_are_rounded_down(alice: int, bob: int, venue: Venue) -> None:
    venue.order(alice, SELL, 0.051, 100.01)

    outcome = venue.order(bob, BUY, 0.051, 100.01)

    (trade,) = (row for row in outcome.rows if isinstance(row, Trade))
    assert trade.quote_quantity == 510_051_000
    assert (trade.buy_fee, trade.sell_fee) == (5_100, 510_051)


def test_maker_and_taker_pay_their_own_rates() -> None:
    venue = Venue(replace(MARKET, maker_rate=500, taker_rate=2_000))
    alice = venue.account("alice", SOL=10)
    bob = venue.account("bob", USDC=10_000)
    venue.order(alice, SELL, 1, 100)

    outcome = venue.order(bob, BUY, 1, 100)

    (trade,) = (row for row in outcome.rows if isinstance(row, Trade))
    assert trade.buy_fee == UNIT * 2 // 1_000
    assert trade.sell_fee == 100 * UNIT * 5 // 10_000


def test_the_best_price_trades_first_and_the_oldest_among_equals(
    venue: Venue, alice: int, bob: int
) -> None:
    first = placed(venue.order(alice, SELL, 1, 101))
    best = placed(venue.order(alice, SELL, 1, 100))
    second = placed(venue.order(alice, SELL, 1, 101))

    outcome = venue.order(bob, BUY, 2.5, 102)

    sellers = [row.sell_order for row in outcome.rows if isinstance(row, Trade)]
    assert sellers == [best.id, first.id, second.id]
    assert trades(outcome) == [(100, 1), (101, 1), (101, 0.5)]


def test_a_partial_fill_keeps_its_place(venue: Venue, alice: int, bob: int) -> None:
    first = placed(venue.order(alice, SELL, 2, 100))
    venue.order(alice, SELL, 2, 100)
    venue.order(bob, BUY, 1, 100)

    outcome = venue.order(bob, BUY, 1, 100)

    (trade,) = (row for row in outcome.rows if isinstance(row, Trade))
    assert trade.sell_order == first.id


def test_what_a_limit_order_does_not_take_rests(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)

    order = placed(venue.order(bob, BUY, 3, 101))

    assert order.status is OrderStatus.PARTIALLY_FILLED
    assert venue.locked(bob, "USDC") == 202
    assert venue.book.side(BUY).quantity(101 * UNIT) == 2 * UNIT


def test_an_ioc_order_expires_with_what_it_got(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)

    outcome = venue.order(bob, BUY, 3, 101, time_in_force=TimeInForce.IOC)

    order = placed(outcome)
    assert (order.status, order.filled, order.locked) == (OrderStatus.EXPIRED, UNIT, 0)
    assert venue.locked(bob, "USDC") == 0


def test_a_fok_order_is_filled_whole_or_not_at_all(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)

    killed = venue.order(bob, BUY, 2, 101, time_in_force=TimeInForce.FOK)
    filled = venue.order(bob, BUY, 1, 101, time_in_force=TimeInForce.FOK)

    assert (placed(killed).status, trades(killed)) == (OrderStatus.EXPIRED, [])
    assert (placed(filled).status, trades(filled)) == (OrderStatus.FILLED, [(100, 1)])


def test_a_limit_maker_never_takes(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)

    crossing = venue.order(bob, BUY, 1, 100, type=OrderType.LIMIT_MAKER)
    resting = venue.order(bob, BUY, 1, 99.99, type=OrderType.LIMIT_MAKER)

    assert reason(crossing) is Reason.WOULD_MATCH
    assert placed(resting).status is OrderStatus.NEW


def test_a_market_order_takes_whatever_the_price(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)
    venue.order(alice, SELL, 1, 150)

    outcome = venue.order(bob, BUY, 2)

    assert trades(outcome) == [(100, 1), (150, 1)]
    assert placed(outcome).status is OrderStatus.FILLED


def test_a_market_order_that_runs_out_of_book_expires_with_what_it_got(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 1, 100)

    order = placed(venue.order(bob, BUY, 2))

    assert (order.status, order.filled) == (OrderStatus.EXPIRED, UNIT)


def test_a_market_order_on_an_empty_book_is_refused(venue: Venue, alice: int) -> None:
    assert reason(venue.order(alice, BUY, 2)) is Reason.NO_LIQUIDITY
    assert reason(venue.order(alice, BUY, None, quote_quantity=10)) is Reason.NO_LIQUIDITY


def test_a_quote_amount_buys_whole_lots_for_no_more(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 10, 30)

    order = placed(venue.order(bob, BUY, None, quote_quantity=100))

    assert order.status is OrderStatus.FILLED
    assert order.quantity == order.filled == 3.333 * UNIT
    assert order.filled_quote == 99.99 * UNIT
    assert venue.free(bob, "USDC") == 100_000 - 99.99


def test_a_quote_amount_that_the_book_cannot_use_up_expires(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 1, 30)

    order = placed(venue.order(bob, BUY, None, quote_quantity=100))

    assert (order.status, order.filled) == (OrderStatus.EXPIRED, UNIT)


def test_a_quote_amount_sells_as_much_as_it_takes(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, BUY, 10, 30)

    order = placed(venue.order(bob, SELL, None, quote_quantity=60))

    assert (order.status, order.filled) == (OrderStatus.FILLED, 2 * UNIT)


def test_a_quote_amount_must_be_covered_in_full(venue: Venue, alice: int) -> None:
    poor = venue.account("poor", USDC=50)
    venue.order(alice, SELL, 1, 30)

    outcome = venue.order(poor, BUY, None, quote_quantity=100)

    assert reason(outcome) is Reason.INSUFFICIENT_BALANCE


def test_an_account_may_trade_with_itself(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 1, 100)

    venue.order(alice, BUY, 1, 100)

    assert venue.free(alice, "SOL") == 999.999
    assert venue.free(alice, "USDC") == 99_999.9


def test_what_a_strategy_is_called_stays_with_its_orders(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, SELL, 1, 100, strategy_id=0, strategy_type=1_000_000))
    plain = placed(venue.order(alice, SELL, 1, 100))

    venue.amend(alice, order.id, 0.5)

    terms = venue.state(order.id).terms
    assert (terms.strategy_id, terms.strategy_type) == (0, 1_000_000)
    assert (plain.terms.strategy_id, plain.terms.strategy_type) == (None, None)


@pytest.mark.parametrize(
    ("quantity", "price", "expected"),
    [
        (1, 100.001, "PRICE_FILTER"),
        (1, 1_000_000.01, "PRICE_FILTER"),
        (1, 0, "PRICE_FILTER"),
        (1.0001, 100, "LOT_SIZE"),
        (0, 100, "LOT_SIZE"),
        (100_000.001, 0.01, "LOT_SIZE"),
        (0.049, 100, "NOTIONAL"),
        (100_000, 91, "NOTIONAL"),
        (0.0001, 100, "LOT_SIZE"),
    ],
)
def test_an_order_off_the_grid_is_refused(
    venue: Venue, quantity: float, price: float, expected: str
) -> None:
    # Without any money: the filters are looked at first.
    poor = venue.account("poor")

    outcome = venue.order(poor, BUY, quantity, price, type=OrderType.LIMIT)

    assert (reason(outcome), detail(outcome)) == (Reason.FILTER, expected)
    assert outcome.rows == ()


def test_a_market_order_is_valued_at_the_average_price(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)
    venue.order(bob, BUY, 1, 100)
    venue.order(alice, SELL, 10, 200)

    assert detail(venue.order(bob, BUY, 0.049)) == "NOTIONAL"
    assert placed(venue.order(bob, BUY, 0.05)).status is OrderStatus.FILLED

    # Five minutes later only the last price is left to go by, which was 200.
    venue.now += 6 * 60_000_000
    assert placed(venue.order(bob, BUY, 0.025)).status is OrderStatus.FILLED


def test_an_order_without_cover_is_refused_and_changes_nothing(venue: Venue) -> None:
    poor = venue.account("poor", USDC=99.99, SOL=0.9)

    for outcome in (venue.order(poor, BUY, 1, 100), venue.order(poor, SELL, 1, 100)):
        assert reason(outcome) is Reason.INSUFFICIENT_BALANCE
        assert outcome.rows == ()
    assert venue.book.order_id == 0


def test_a_client_order_id_is_never_open_twice_and_free_again_afterwards(
    venue: Venue, alice: int, bob: int
) -> None:
    first = placed(venue.order(alice, BUY, 1, 100, client_order_id="x"))
    duplicate = venue.order(alice, BUY, 1, 100, client_order_id="x")
    others = venue.order(bob, BUY, 1, 100, client_order_id="x")
    venue.cancel(alice, first.id)
    again = venue.order(alice, BUY, 1, 100, client_order_id="x")

    assert reason(duplicate) is Reason.DUPLICATE_CLIENT_ORDER_ID
    assert reason(others) is None
    assert reason(again) is None


def test_a_cancel_gives_back_what_was_locked(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, BUY, 3, 100))
    venue.order(bob, SELL, 1, 100)

    outcome = venue.cancel(alice, order.id)

    assert outcome.result == Canceled(symbol=SYMBOL, order_ids=(order.id,))
    assert (venue.free(alice, "USDC"), venue.locked(alice, "USDC")) == (99_900, 0)
    assert reason(venue.cancel(alice, order.id)) is Reason.UNKNOWN_ORDER


def test_nobody_cancels_the_orders_of_others(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, BUY, 3, 100))

    assert reason(venue.cancel(bob, order.id)) is Reason.UNKNOWN_ORDER


def cancel_with(venue: Venue, account: int, **fields: object) -> Outcome:
    return venue.do(CancelOrder(uid=1, account=account, symbol=SYMBOL, **fields))  # type: ignore[arg-type]


def test_two_ids_of_a_cancel_must_agree(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, BUY, 3, 100, client_order_id="x"))

    wrong = cancel_with(venue, alice, order_id=order.id, client_order_id="y")
    right = cancel_with(venue, alice, order_id=order.id, client_order_id="x")

    assert reason(wrong) is Reason.ORDER_ID_MISMATCH
    assert reason(right) is None


def test_a_cancel_can_be_restricted_to_a_status(venue: Venue, alice: int, bob: int) -> None:
    order = placed(venue.order(alice, BUY, 3, 100))
    venue.order(bob, SELL, 1, 100)

    wrong = cancel_with(venue, alice, order_id=order.id, only=OrderStatus.NEW)
    right = cancel_with(venue, alice, order_id=order.id, only=OrderStatus.PARTIALLY_FILLED)

    assert reason(wrong) is Reason.CANCEL_RESTRICTED
    assert reason(right) is None


def test_cancel_all_ends_the_open_orders_of_one_account(venue: Venue, alice: int, bob: int) -> None:
    own = [placed(venue.order(alice, BUY, 1, price)).id for price in (90, 80, 100)]
    venue.order(bob, BUY, 1, 95)
    cancel_all = CancelAllOrders(uid=1, account=alice, symbol=SYMBOL)

    outcome = venue.do(cancel_all)

    assert outcome.result == Canceled(symbol=SYMBOL, order_ids=tuple(own))
    assert len(venue.book.orders) == 1
    assert reason(venue.do(cancel_all)) is Reason.NO_OPEN_ORDERS


def test_the_update_id_moves_by_one_with_every_change_of_the_book(
    venue: Venue, alice: int, bob: int
) -> None:
    venue.order(alice, SELL, 1, 100)
    venue.order(alice, SELL, 1, 101)
    assert venue.book.update_id == 2

    sweep = venue.order(bob, BUY, 3, 101)
    levels = {
        (row.side, row.price // UNIT): row.quantity for row in sweep.rows if isinstance(row, Level)
    }

    assert levels == {(SELL, 100): 0, (SELL, 101): 0, (BUY, 101): UNIT}
    assert venue.book.update_id == 3
    killed = venue.order(alice, SELL, 5, 101, time_in_force=TimeInForce.FOK)
    assert not any(isinstance(row, Level) for row in killed.rows)
    assert venue.book.update_id == 3


def test_an_outcome_says_every_new_state_once(venue: Venue, alice: int, bob: int) -> None:
    venue.order(alice, SELL, 1, 100)
    venue.order(alice, SELL, 1, 101)

    outcome = venue.order(bob, BUY, 3, 101)

    balances = [(row.account, row.asset) for row in outcome.rows if isinstance(row, Balance)]
    assert len(balances) == len(set(balances)) == 6
    (counters,) = (row for row in outcome.rows if isinstance(row, Counters))
    assert counters == venue.book.counters()


def test_a_late_order_is_refused_and_a_late_cancel_is_not(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, BUY, 1, 100))
    late = venue.order(alice, BUY, 1, 100, deadline=venue.now)
    in_time = venue.order(alice, BUY, 1, 100, deadline=venue.now + 1)

    assert reason(late) is Reason.LATE
    assert reason(in_time) is None
    assert reason(cancel_with(venue, alice, order_id=order.id, deadline=1)) is None


def test_a_repeated_request_changes_nothing_and_names_the_first(venue: Venue, alice: int) -> None:
    deadline = venue.now + 5_000_000
    first = venue.order(alice, BUY, 1, 100, request=b"signed", deadline=deadline)
    repeated = venue.order(alice, BUY, 1, 100, request=b"signed", deadline=deadline)

    assert repeated.result == Repeated(number=first.number)
    assert repeated.rows == ()
    assert len(venue.book.orders) == 1


def test_a_refused_request_stays_refused_when_it_is_repeated(venue: Venue) -> None:
    poor = venue.account("poor")
    deadline = venue.now + 5_000_000
    first = venue.order(poor, BUY, 1, 100, request=b"signed", deadline=deadline)
    venue.deposit(poor, "USDC", 1_000 * UNIT)

    repeated = venue.order(poor, BUY, 1, 100, request=b"signed", deadline=deadline)

    assert reason(first) is Reason.INSUFFICIENT_BALANCE
    assert repeated.result == Repeated(number=first.number)


def test_a_deposit_with_a_used_reference_happens_once(venue: Venue, alice: int) -> None:
    deposit = Deposit(uid=1, account=alice, asset="SOL", amount=UNIT, reference="bank-1")
    first = venue.do(deposit)
    again = venue.do(deposit)
    other = venue.do(replace(deposit, amount=2 * UNIT))

    assert first.result == Created(id=first.number)
    assert again.result == Repeated(number=first.number)
    assert reason(other) is Reason.REFERENCE_USED
    assert venue.free(alice, "SOL") == 1_001


def test_only_free_money_can_be_withdrawn(venue: Venue, alice: int) -> None:
    venue.order(alice, SELL, 999, 100)

    def withdraw(amount: int, reference: str) -> Outcome:
        return venue.do(
            Withdraw(uid=1, account=alice, asset="SOL", amount=amount, reference=reference)
        )

    assert reason(withdraw(UNIT + 1, "a")) is Reason.INSUFFICIENT_BALANCE
    assert reason(withdraw(UNIT, "b")) is None
    assert (venue.free(alice, "SOL"), venue.locked(alice, "SOL")) == (0, 999)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"asset": "DOGE"}, Reason.UNKNOWN_ASSET),
        ({"account": 999}, Reason.UNKNOWN_ACCOUNT),
        ({"amount": 0}, Reason.INVALID),
        ({"amount": -1}, Reason.INVALID),
        ({"amount": 10**37}, Reason.INVALID),
        ({"reference": ""}, Reason.INVALID),
    ],
)
def test_an_impossible_deposit_is_refused(
    venue: Venue, alice: int, fields: dict[str, object], expected: Reason
) -> None:
    deposit = Deposit(uid=1, account=alice, asset="SOL", amount=UNIT, reference="bank-1")

    assert reason(venue.do(replace(deposit, **fields))) is expected


def test_a_key_must_be_alive_its_owners_and_allowed_to_trade(
    venue: Venue, alice: int, bob: int
) -> None:
    def create(api_key: str, *, can_trade: bool) -> None:
        venue.do(
            CreateKey(
                uid=1,
                account=alice,
                api_key=api_key,
                kind=KeyKind.HMAC,
                secret=b"s",
                can_trade=can_trade,
            )
        )

    def order_reason(account: int, key: str) -> Reason | None:
        return reason(cancel_with(venue, account, key=key, order_id=1))

    create("good", can_trade=True)
    create("reader", can_trade=False)
    assert order_reason(alice, "good") is Reason.UNKNOWN_ORDER  # that is: the key was accepted
    assert order_reason(alice, "reader") is Reason.KEY_NOT_VALID
    assert order_reason(bob, "good") is Reason.KEY_NOT_VALID
    assert order_reason(alice, "never seen") is Reason.KEY_NOT_VALID

    venue.do(RevokeKey(uid=1, api_key="good"))

    assert order_reason(alice, "good") is Reason.KEY_NOT_VALID
    assert reason(venue.do(RevokeKey(uid=1, api_key="good"))) is Reason.UNKNOWN_KEY


def test_a_mode_says_what_a_market_takes(venue: Venue, alice: int) -> None:
    order = placed(venue.order(alice, BUY, 1, 100))

    venue.do(SetMode(uid=1, symbol=SYMBOL, mode=Mode.HALTED))
    assert reason(venue.order(alice, BUY, 1, 100)) is Reason.MARKET_CLOSED
    assert reason(venue.cancel(alice, order.id)) is Reason.MARKET_CLOSED

    venue.do(SetMode(uid=1, symbol=None, mode=Mode.CANCEL_ONLY))
    assert reason(venue.order(alice, BUY, 1, 100)) is Reason.MARKET_CLOSED
    assert reason(venue.cancel(alice, order.id)) is None

    venue.do(SetMode(uid=1, symbol=SYMBOL, mode=Mode.RUNNING))
    assert reason(venue.order(alice, BUY, 1, 100)) is None


def test_names_are_given_once(venue: Venue, alice: int) -> None:
    assert reason(venue.do(CreateAccount(uid=1, name="alice"))) is Reason.ALREADY_EXISTS
    assert reason(venue.do(CreateAccount(uid=1, name="exchange"))) is Reason.ALREADY_EXISTS
    assert reason(venue.do(AddAsset(uid=1, asset=Asset("SOL", 8)))) is Reason.ALREADY_EXISTS
    assert reason(venue.do(AddMarket(uid=1, market=MARKET))) is Reason.ALREADY_EXISTS


def test_a_market_whose_numbers_do_not_fit_is_refused(venue: Venue) -> None:
    market = replace(MARKET, symbol="OTHER")

    fine_tick = venue.do(AddMarket(uid=1, market=replace(market, tick=1, lot=1)))
    no_asset = venue.do(AddMarket(uid=1, market=replace(market, quote="EUR")))
    decimals = venue.do(AddMarket(uid=1, market=replace(market, quote_decimals=6)))

    assert reason(fine_tick) is Reason.INVALID
    assert reason(no_asset) is Reason.UNKNOWN_ASSET
    assert reason(decimals) is Reason.INVALID


@pytest.mark.parametrize("symbol", ["NOPE", "", "solusdc"])
def test_an_unknown_market_is_refused(venue: Venue, alice: int, symbol: str) -> None:
    venue.order(alice, BUY, 1, 100)
    order = venue.commands[-1]

    assert reason(venue.do(replace(order, symbol=symbol))) is Reason.UNKNOWN_SYMBOL
    cancel = CancelAllOrders(uid=1, account=alice, symbol=symbol)
    assert reason(venue.do(cancel)) is Reason.UNKNOWN_SYMBOL


def test_a_command_that_cannot_be_read_is_a_refusal(venue: Venue) -> None:
    outcome = venue.engine.apply(1, Undecodable("no such command"), 1)

    assert reason(outcome) is Reason.POISON


def test_a_fault_while_planning_refuses_one_command_and_the_next_runs(
    venue: Venue, alice: int
) -> None:
    venue.order(alice, BUY, 1, 100)
    command = venue.commands[-1]
    assert isinstance(command, PlaceOrder)
    poison = replace(command, order=replace(command.order, quantity="ten", client_order_id="p"))

    assert reason(venue.do(poison)) is Reason.POISON
    assert reason(venue.order(alice, BUY, 1, 100)) is None
