"""What accounts are told, rule by rule, and that it always adds up to what happened."""

from random import Random
from typing import Any

import pytest
from crowd import Crowd
from msgspec.structs import replace
from venue import MARKET, SYMBOL, UNIT, Venue, new, placed, rows_of

from exchange.services.client_ids import of_cancel
from exchange.services.commands import AnyCommand
from exchange.services.list_members import ListMembers
from exchange.services.messages import Outcome, Reason
from exchange.services.orders import (
    ExpiryReason,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import Balance, Order, PreventedMatch, Trade
from exchange.services.user_events import (
    PLACES,
    AccountEvent,
    BalanceReport,
    Execution,
    ListReport,
    OrderReport,
    TransferReport,
    account_events,
)

BUY, SELL = Side.BUY, Side.SELL
MARKETS = [
    replace(MARKET, maker_rate=700, taker_rate=1_300),
    replace(MARKET, symbol="BNBUSDC", base="BNB", maker_rate=700, taker_rate=1_300),
]


class Told:
    """A venue, and the events of each of its outcomes."""

    def __init__(self) -> None:
        self.venue = Venue(MARKETS[0])
        self.members = ListMembers()
        self.alice = self.venue.account("alice", SOL=100, USDC=10_000)
        self.bob = self.venue.account("bob", SOL=100, USDC=10_000)

    def of(self, outcome: Outcome) -> list[AccountEvent]:
        self.members.learn(outcome.rows)
        events = account_events(outcome, self.members)
        self.members.forget(outcome.rows)
        return events

    def reports(self, outcome: Outcome, account: int | None = None) -> list[OrderReport]:
        return [
            one
            for one in self.of(outcome)
            if isinstance(one, OrderReport) and account in (None, one.account)
        ]

    def short(self, outcome: Outcome, account: int | None = None) -> list[tuple[int, str, str]]:
        """Order, what happened and the status after it, of each report."""
        return [
            (one.order.id, one.execution.value, one.order.status.value)
            for one in self.reports(outcome, account)
        ]


@pytest.fixture
def told() -> Told:
    return Told()


def test_a_resting_order_is_new(told: Told) -> None:
    outcome = told.venue.order(told.alice, BUY, 2, 100, client_order_id="mine")

    (report, position) = told.of(outcome)

    assert isinstance(report, OrderReport)
    assert report.account == told.alice
    assert report.execution is Execution.NEW
    assert report.order == placed(outcome)
    assert (report.client_order_id, report.original_client_order_id) == ("mine", "")
    assert report.id == outcome.number * PLACES
    assert report.time == outcome.time
    assert isinstance(position, BalanceReport)
    assert position.account == told.alice
    assert position.balances == tuple(rows_of(outcome, Balance))


def test_a_taker_is_new_before_each_of_its_trades_is_told_to_both_sides(told: Told) -> None:
    venue = told.venue
    first = placed(venue.order(told.bob, SELL, 1, 100))
    second = placed(venue.order(told.bob, SELL, 3, 101))

    outcome = venue.order(told.alice, BUY, 3, 102)
    reports = told.reports(outcome)

    taker = placed(outcome)
    assert told.short(outcome, told.alice) == [
        (taker.id, "NEW", "NEW"),
        (taker.id, "TRADE", "PARTIALLY_FILLED"),
        (taker.id, "TRADE", "FILLED"),
    ]
    assert told.short(outcome, told.bob) == [
        (first.id, "TRADE", "FILLED"),
        (second.id, "TRADE", "PARTIALLY_FILLED"),
    ]
    assert [one.order.filled // UNIT for one in reports if one.account == told.alice] == [0, 1, 3]
    assert [one.order.filled_quote // UNIT for one in reports if one.account == told.alice] == [
        0,
        100,
        302,
    ]
    assert [one.trade for one in reports if one.account == told.bob] == rows_of(outcome, Trade)
    assert len({one.id for one in reports}) == len(reports)


def test_a_taker_that_rests_with_what_is_left_is_told_once(told: Told) -> None:
    told.venue.order(told.bob, SELL, 1, 100)

    outcome = told.venue.order(told.alice, BUY, 3, 100)

    order_id = placed(outcome).id
    assert told.short(outcome, told.alice) == [
        (order_id, "NEW", "NEW"),
        (order_id, "TRADE", "PARTIALLY_FILLED"),
    ]


@pytest.mark.parametrize(
    ("life", "reason", "trades"),
    [
        (TimeInForce.IOC, ExpiryReason.UNFILLED_IOC, 1),
        (TimeInForce.FOK, ExpiryReason.UNFILLED_FOK, 0),
    ],
)
def test_an_order_that_may_not_rest_expires_after_its_trades(
    told: Told, life: TimeInForce, reason: ExpiryReason, trades: int
) -> None:
    told.venue.order(told.bob, SELL, 1, 100)

    outcome = told.venue.order(told.alice, BUY, 3, 100, time_in_force=life)
    reports = told.reports(outcome, told.alice)

    assert [one.execution for one in reports] == [
        Execution.NEW,
        *[Execution.TRADE] * trades,
        Execution.EXPIRED,
    ]
    assert reports[0].order.terms.expiry_reason is None
    assert reports[-1].order.terms.expiry_reason is reason
    assert reports[-1].order.filled == trades * UNIT


def test_a_cancel_has_an_id_of_its_own(told: Told) -> None:
    order = placed(told.venue.order(told.alice, BUY, 2, 100, client_order_id="mine"))

    outcome = told.venue.cancel(told.alice, order.id, cancel_client_order_id="end")
    (report,) = told.reports(outcome)

    assert report.execution is Execution.CANCELED
    assert report.order.status is OrderStatus.CANCELED
    assert (report.client_order_id, report.original_client_order_id) == ("end", "mine")


def test_a_cancel_without_an_id_gets_one_that_everybody_can_tell(told: Told) -> None:
    order = placed(told.venue.order(told.alice, BUY, 2, 100, client_order_id="mine"))

    outcome = told.venue.cancel(told.alice, order.id)
    (report,) = told.reports(outcome)

    assert report.client_order_id == of_cancel(outcome, order.id)
    assert len(report.client_order_id) == 22
    assert report.original_client_order_id == "mine"


def test_the_orders_of_one_list_are_canceled_by_one_id_and_others_by_their_own(
    told: Told,
) -> None:
    venue = told.venue
    venue.trade_at(100)
    venue.oco(told.alice, new(SELL, 1, 110, type=OrderType.LIMIT_MAKER), _stop(SELL, 1, 90))
    venue.order(told.alice, BUY, 1, 80)

    names = [one.client_order_id for one in told.reports(venue.cancel_all(told.alice))]

    assert len(names) == 3
    assert len(set(names)) == 2


def test_a_stopped_account_is_told_of_its_canceled_orders(told: Told) -> None:
    order = placed(told.venue.order(told.alice, BUY, 2, 100))

    outcome = told.venue.change_account(told.alice, stopped=True)

    assert told.short(outcome) == [(order.id, "CANCELED", "CANCELED")]


def test_a_replacement_is_new_after_the_old_order_was_canceled(told: Told) -> None:
    venue = told.venue
    venue.order(told.alice, SELL, 1, 110)
    old = placed(venue.order(told.alice, BUY, 1, 100))

    outcome = venue.replace(told.alice, old.id, new(BUY, 1, 110), cancel_client_order_id="instead")

    fresh = venue.number and old.id + 1
    assert told.short(outcome) == [
        (old.id, "CANCELED", "CANCELED"),
        (fresh, "NEW", "NEW"),
        (fresh, "TRADE", "FILLED"),
        (fresh - 2, "TRADE", "FILLED"),
    ]
    assert told.reports(outcome)[0].client_order_id == "instead"


def test_a_replacement_that_was_not_placed_is_rejected_after_the_cancel(told: Told) -> None:
    old = placed(told.venue.order(told.alice, BUY, 1, 100))

    outcome = told.venue.replace(told.alice, old.id, new(BUY, 1, 100_000, client_order_id="new"))
    canceled, rejected = told.reports(outcome, told.alice)

    assert canceled.execution is Execution.CANCELED
    assert rejected.execution is Execution.REJECTED
    assert rejected.client_order_id == "new"
    assert rejected.reason is Reason.INSUFFICIENT_BALANCE


def test_a_refusal_tells_nothing(told: Told) -> None:
    assert told.of(told.venue.order(told.alice, BUY, 1, 100_000)) == []


def test_an_amendment_replaces(told: Told) -> None:
    order = placed(told.venue.order(told.alice, BUY, 2, 100, client_order_id="old"))

    outcome = told.venue.amend(told.alice, order.id, 1, "new")
    (report,) = told.reports(outcome)

    assert report.execution is Execution.REPLACED
    assert report.order.quantity == UNIT
    assert (report.client_order_id, report.original_client_order_id) == ("new", "old")


def test_a_list_is_updated_when_an_order_of_it_gets_another_name(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    told.of(
        outcome := venue.oco(
            told.alice, new(SELL, 2, 110, type=OrderType.LIMIT_MAKER), _stop(SELL, 2, 90)
        )
    )
    first, second = (one.order.id for one in told.reports(outcome))

    outcome = venue.amend(told.alice, first, 1, "renamed")
    events = told.of(outcome)

    kinds = [one.execution for one in events if isinstance(one, OrderReport)]
    assert kinds == [Execution.REPLACED, Execution.REPLACED]
    (update,) = (one for one in events if isinstance(one, ListReport))
    assert update.is_updated
    assert update.members[0] == (first, "renamed")
    assert update.members[1][0] == second


def test_money_that_enters_or_leaves_is_told_with_the_balance(told: Told) -> None:
    for outcome in (
        told.venue.deposit(told.alice, "SOL", 5),
        told.venue.withdraw(told.alice, "SOL", 1),
    ):
        transfer, position = told.of(outcome)

        assert isinstance(transfer, TransferReport)
        assert isinstance(position, BalanceReport)
        assert transfer.account == position.account == told.alice
        assert position.balances == tuple(rows_of(outcome, Balance))


# --- Stops ------------------------------------------------------------------------------------


def _stop(side: Side, quantity: float, stop: float, **terms: Any) -> Any:
    return new(side, quantity, stop=stop, type=OrderType.STOP_LOSS, **terms)


def test_a_stop_is_new_when_it_waits_and_again_when_it_works(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    outcome = venue.place(told.alice, new(SELL, 1, 80, stop=90, type=OrderType.STOP_LOSS_LIMIT))
    order_id = placed(outcome).id
    waits = told.reports(outcome)

    works = told.reports(venue.trade_at(90), told.alice)

    assert [one.execution for one in waits] == [Execution.NEW]
    assert waits[0].order.terms.waiting
    assert [(one.order.id, one.execution) for one in works] == [(order_id, Execution.NEW)]
    assert not works[0].order.terms.waiting


def test_an_order_that_was_a_stop_is_amended_and_canceled_like_others(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    stop = new(SELL, 2, 95, stop=90, type=OrderType.STOP_LOSS_LIMIT)
    order_id = placed(venue.place(told.alice, stop)).id
    venue.trade_at(90)

    assert told.short(venue.amend(told.alice, order_id, 1)) == [(order_id, "REPLACED", "NEW")]
    assert told.short(venue.cancel(told.alice, order_id)) == [(order_id, "CANCELED", "CANCELED")]


def test_a_stop_that_is_set_off_trades_after_it_works(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    venue.order(told.bob, BUY, 1, 85)
    order_id = placed(venue.place(told.alice, _stop(SELL, 2, 90))).id

    outcome = venue.trade_at(90)

    assert told.short(outcome, told.alice) == [
        (order_id, "NEW", "NEW"),
        (order_id, "TRADE", "PARTIALLY_FILLED"),
        (order_id, "EXPIRED", "EXPIRED"),
    ]


def test_a_trailing_stop_that_only_follows_the_price_tells_nothing(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    venue.place(told.alice, _stop(SELL, 1, 0, trailing_delta=1000))

    assert told.reports(venue.trade_at(110), told.alice) == []


# --- Lists ------------------------------------------------------------------------------------


def test_an_oco_begins_and_ends_with_its_leg(told: Told) -> None:
    venue = told.venue
    venue.trade_at(100)
    begun = venue.oco(told.alice, new(SELL, 1, 110, type=OrderType.LIMIT_MAKER), _stop(SELL, 1, 90))
    above, below = (one.order.id for one in told.reports(begun))
    ended = venue.order(told.bob, BUY, 1, 110)

    assert told.short(begun) == [(above, "NEW", "NEW"), (below, "NEW", "NEW")]
    assert [one.order_list.is_open for one in told.of(begun) if isinstance(one, ListReport)] == [
        True
    ]
    assert told.short(ended, told.alice) == [
        (below, "EXPIRED", "EXPIRED"),
        (above, "TRADE", "FILLED"),
    ]
    (report,) = (one for one in told.of(ended) if isinstance(one, ListReport))
    assert not report.order_list.is_open
    assert [order_id for order_id, _ in report.members] == [above, below]


def test_a_pending_order_is_new_when_placed_and_again_when_its_turn_comes(told: Told) -> None:
    venue = told.venue
    placing = venue.oto(told.alice, new(BUY, 1, 100), new(SELL, 1, 120))
    working, pending = rows_of(placing, Order)[-1].id, rows_of(placing, Order)[0].id

    starting = venue.order(told.bob, SELL, 1, 100)

    assert told.short(placing) == [
        (pending, "NEW", "PENDING_NEW"),
        (working, "NEW", "NEW"),
    ]
    assert told.short(starting, told.alice) == [
        (working, "TRADE", "FILLED"),
        (pending, "NEW", "NEW"),
    ]


def test_a_list_that_runs_through_at_once_is_told_in_the_order_of_its_orders(told: Told) -> None:
    venue = told.venue
    venue.order(told.bob, SELL, 1, 100)
    venue.order(told.bob, BUY, 2, 90)

    outcome = venue.oto(told.alice, new(BUY, 1, 100), new(SELL, 1, 90))

    working, pending = 3, 4
    assert told.short(outcome, told.alice) == [
        (pending, "NEW", "PENDING_NEW"),
        (working, "NEW", "NEW"),
        (working, "TRADE", "FILLED"),
        (pending, "NEW", "NEW"),
        (pending, "TRADE", "FILLED"),
    ]
    lists = [one for one in told.of(outcome) if isinstance(one, ListReport)]
    assert [one.order_list.is_open for one in lists] == [True, False]


def test_a_pending_order_that_cannot_be_placed_expires(told: Told) -> None:
    venue = told.venue
    outcome = venue.oto(told.alice, new(BUY, 1, 100), new(SELL, 1_000, 120))
    pending = rows_of(outcome, Order)[0].id

    starting = venue.order(told.bob, SELL, 1, 100)

    reports = told.reports(starting, told.alice)
    assert (reports[-1].order.id, reports[-1].execution) == (pending, Execution.EXPIRED)
    assert reports[-1].order.terms.expiry_reason is ExpiryReason.REJECTED
    assert len(reports) == 2


# --- Self-trade prevention ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "maker", "taker"),
    [
        (SelfTrade.EXPIRE_MAKER, ["EXPIRED_IN_MATCH"], []),
        (SelfTrade.EXPIRE_TAKER, [], ["EXPIRED_IN_MATCH"]),
        (SelfTrade.EXPIRE_BOTH, ["EXPIRED_IN_MATCH"], ["EXPIRED_IN_MATCH"]),
        (SelfTrade.DECREMENT, ["EXPIRED_IN_MATCH"], ["NEW"]),
    ],
)
def test_whoever_loses_by_a_prevented_trade_is_told(
    told: Told, mode: SelfTrade, maker: list[str], taker: list[str]
) -> None:
    venue = told.venue
    resting = placed(venue.order(told.alice, SELL, 1, 100))

    outcome = venue.order(told.alice, BUY, 3, 100, self_trade=mode)
    reports = told.reports(outcome)

    order_id = placed(outcome).id
    assert (reports[0].order.id, reports[0].execution) == (order_id, Execution.NEW)
    assert reports[0].order.terms.prevented == 0
    assert [(one.order.id, one.execution.value, one.order.status.value) for one in reports[1:]] == [
        *[(order_id, "TRADE_PREVENTION", status) for status in taker],
        *[(resting.id, "TRADE_PREVENTION", status) for status in maker],
    ]
    assert all(one.match == rows_of(outcome, PreventedMatch)[0] for one in reports[1:])


def test_what_a_taker_lost_is_counted_up_over_its_matches(told: Told) -> None:
    venue = told.venue
    for price in (100, 101):
        venue.order(told.alice, SELL, 1, price)
        venue.order(told.bob, SELL, 1, price)

    outcome = venue.order(told.alice, BUY, 4, 101, self_trade=SelfTrade.DECREMENT)
    reports = told.reports(outcome, told.alice)

    taken = [one for one in reports if one.order.id == placed(outcome).id]
    assert [
        (one.execution.value, one.order.filled // UNIT, one.order.terms.prevented // UNIT)
        for one in taken
    ] == [
        ("NEW", 0, 0),
        ("TRADE_PREVENTION", 0, 1),
        ("TRADE", 1, 1),
        ("TRADE_PREVENTION", 1, 2),
        ("TRADE", 2, 2),
    ]
    assert [one.order.status.value for one in taken] == [
        "NEW",
        "NEW",
        "PARTIALLY_FILLED",
        "PARTIALLY_FILLED",
        "FILLED",
    ]


# --- Whatever happens -----------------------------------------------------------------------------


class SlowVenue(Venue):
    """Several commands have the same time, as all of one frame have."""

    def do(self, command: AnyCommand) -> Outcome:
        if self.number % 5:
            self.now -= 1
        return super().do(command)


class Books:
    """What somebody knows who only hears the reports."""

    def __init__(self) -> None:
        self.orders: dict[tuple[str, int], Order] = {}
        self.ids: set[int] = set()

    def hear(self, report: OrderReport) -> None:
        order = report.order
        known = self.orders.get((order.symbol, order.id))
        assert report.id not in self.ids
        assert (report.execution is Execution.TRADE) == (report.trade is not None)
        assert (report.execution is Execution.TRADE_PREVENTION) == (report.match is not None)
        if known is None:
            assert report.execution is Execution.NEW, report
        else:
            assert known.is_open, report
        before = (known.filled, known.filled_quote, known.terms.prevented) if known else (0, 0, 0)
        traded, quote, prevented = 0, 0, 0
        if report.trade is not None:
            traded, quote = report.trade.quantity, report.trade.quote_quantity
        if report.match is not None:
            is_taker = order.id == report.match.taker_order
            match = report.match
            prevented = match.taker_quantity if is_taker else match.maker_quantity
        assert (order.filled, order.filled_quote, order.terms.prevented) == (
            before[0] + traded,
            before[1] + quote,
            before[2] + prevented,
        ), report
        if report.execution is Execution.NEW and known is not None:
            was_pending = known.status is OrderStatus.PENDING_NEW
            assert was_pending or (known.terms.waiting and not order.terms.waiting), report
        self.ids.add(report.id)
        self.orders[order.symbol, order.id] = order


@pytest.mark.parametrize("seed", range(12))
def test_reports_add_up_to_what_became_of_every_order(seed: int) -> None:
    chance = Random(seed)
    venue, books, members = SlowVenue(*MARKETS), Books(), ListMembers()
    accounts = [venue.account(f"a{one}", SOL=20, USDC=2_000, BNB=10) for one in range(3)]
    crowd = Crowd(venue.engine, accounts, [one.symbol for one in MARKETS], spread=6)
    newest: dict[tuple[str, int], Order] = {}
    balances: dict[tuple[int, str], Balance] = {}

    for _ in range(400):
        outcome = venue.do(crowd.command(chance))
        members.learn(outcome.rows)
        for event in account_events(outcome, members):
            if isinstance(event, OrderReport) and event.execution is not Execution.REJECTED:
                books.hear(event)
            elif isinstance(event, BalanceReport):
                balances |= {(one.account, one.asset): one for one in event.balances}
            elif isinstance(event, ListReport):
                assert [one for one, _ in event.members] == list(event.order_list.order_ids)
        members.forget(outcome.rows)
        newest |= {(row.symbol, row.id): row for row in rows_of(outcome, Order)}

    assert {key: _told_of(row) for key, row in books.orders.items()} == {
        key: _told_of(row) for key, row in newest.items()
    }
    for (account, asset), row in balances.items():
        assert row.free == venue.engine.ledger.free(account, asset)
        assert row.locked == venue.engine.ledger.locked(account, asset)


def _told_of(order: Order) -> tuple[object, ...]:
    """What reports tell of an order, as far as it changes with what happens to it."""
    terms = order.terms
    return (
        order.status,
        order.filled,
        order.filled_quote,
        order.quantity,
        order.client_order_id,
        terms.prevented,
        terms.waiting,
        terms.working_time,
        terms.expiry_reason,
    )


def test_the_number_of_a_symbols_orders_is_its_own() -> None:
    # Only the end of an account's business touches several markets at once.
    venue, members = Venue(*MARKETS), ListMembers()
    account = venue.account("alice", USDC=1_000)
    for market in MARKETS:
        venue.order(account, BUY, 1, 10, symbol=market.symbol)

    events = account_events(venue.change_account(account, stopped=True), members)

    reports = [one for one in events if isinstance(one, OrderReport)]
    assert [(one.order.symbol, one.order.id) for one in reports] == [("BNBUSDC", 1), (SYMBOL, 1)]
