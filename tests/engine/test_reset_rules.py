"""Reset: everything that is open ends and markets begin anew, while numbers and money go on."""

from random import Random

import pytest
from crowd import Crowd
from invariants import check_invariants
from venue import MARKET, SYMBOL, UNIT, Venue, WatchedVenue, live_rows, new, rows_of

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.state_hash import StateHash
from exchange.services.commands import Reset
from exchange.services.markets import Market, Mode
from exchange.services.messages import Done
from exchange.services.orders import ListStatus, OrderStatus, OrderType, Side
from exchange.services.rows import (
    Act,
    Author,
    AveragePrices,
    Beginning,
    Counters,
    Level,
    Order,
    OrderList,
)

RESET = Reset(uid=1)


@pytest.fixture
def venue() -> WatchedVenue:
    return WatchedVenue()


def test_every_open_order_and_list_of_everyone_ends_and_holds_nothing(venue: WatchedVenue) -> None:
    alice = venue.account("alice", SOL=10, USDC=1_000)
    bob = venue.account("bob", SOL=10, USDC=1_000)
    venue.trade_at(100)
    venue.order(alice, Side.BUY, 1, 90)
    venue.order(alice, Side.SELL, 1, 110, stop=105, type=OrderType.STOP_LOSS_LIMIT)
    venue.oco(
        bob,
        new(Side.SELL, 1, 120, type=OrderType.LIMIT_MAKER),
        new(Side.SELL, 1, stop=80, type=OrderType.STOP_LOSS),
    )
    venue.oto(bob, new(Side.BUY, 1, 95), new(Side.SELL, 1, 130))
    opened = set(venue.book.orders)

    outcome = venue.do(RESET)

    last = {row.id: row.status for row in rows_of(outcome, Order)}
    assert last == dict.fromkeys(opened, OrderStatus.CANCELED)
    assert {row.status for row in rows_of(outcome, OrderList)} == {ListStatus.ALL_DONE}
    assert len(rows_of(outcome, OrderList)) == 2
    assert (venue.book.orders, venue.book.lists) == ({}, {})
    for account in (alice, bob):
        assert venue.locked(account, "SOL") == venue.locked(account, "USDC") == 0
        assert (venue.free(account, "SOL"), venue.free(account, "USDC")) == (10, 1_000)


def test_a_market_is_then_as_one_that_was_never_traded_in(venue: WatchedVenue) -> None:
    alice = venue.account("alice", USDC=1_000)
    venue.trade_at(100, 101)
    venue.order(alice, Side.BUY, 1, 90)
    venue.order(alice, Side.BUY, 1, 91)

    outcome = venue.do(RESET)

    assert outcome.result == Done()
    (market,) = rows_of(outcome, Market)
    assert market.created == outcome.time
    assert rows_of(outcome, Beginning) == [Beginning(symbol=SYMBOL, trade_id=2)]
    assert rows_of(outcome, AveragePrices) == [AveragePrices(symbol=SYMBOL, minutes=())]
    assert {(row.price // UNIT, row.quantity) for row in rows_of(outcome, Level)} == {
        (90, 0),
        (91, 0),
    }
    assert venue.book.last_price == venue.book.average(venue.now) == 0


def test_numbers_go_on_and_one_update_id_tells_of_the_whole_book(venue: WatchedVenue) -> None:
    alice = venue.account("alice", USDC=1_000)
    venue.trade_at(100)
    venue.order(alice, Side.BUY, 1, 90)
    venue.order(alice, Side.BUY, 1, 91)
    before = venue.book.counters()

    (after,) = rows_of(venue.do(RESET), Counters)

    assert (after.order_id, after.trade_id) == (before.order_id, before.trade_id)
    assert after.update_id == before.update_id + 1
    assert rows_of(venue.do(RESET), Counters) == [after]
    venue.trade_at(50)
    assert venue.book.trade_id == before.trade_id + 1
    assert venue.book.last_price == 50 * UNIT


def test_a_stop_beyond_the_forgotten_price_waits_again(venue: WatchedVenue) -> None:
    alice = venue.account("alice", SOL=10)
    venue.trade_at(100)
    venue.do(RESET)

    outcome = venue.order(alice, Side.SELL, 1, stop=150, type=OrderType.STOP_LOSS)

    (order,) = rows_of(outcome, Order)
    assert order.terms.waiting


def test_a_market_that_was_halted_runs_again(venue: WatchedVenue) -> None:
    alice = venue.account("alice", USDC=1_000)
    venue.order(alice, Side.BUY, 1, 90)
    venue.mode(Mode.HALTED)

    venue.do(RESET)

    assert venue.book.market.mode is Mode.RUNNING
    assert venue.book.orders == {}


def test_rules_accounts_and_money_stay(venue: WatchedVenue) -> None:
    alice = venue.account("alice", USDC=1_000)
    venue.rule(maker_rate=700)
    supply = dict(venue.engine.ledger.supply)

    venue.do(RESET)

    assert venue.book.market.maker_rate == 700
    assert venue.engine.ledger.supply == supply
    assert venue.free(alice, "USDC") == 1_000


def test_it_is_on_record_who_did_it(venue: WatchedVenue) -> None:
    outcome = venue.do(Reset(uid=1, author=Author(name="operator tester")))

    (act,) = rows_of(outcome, Act)
    assert (act.actor, act.act, act.subject) == ("operator tester", "Reset", f"market {SYMBOL}")


def test_an_exchange_without_markets_has_nothing_to_reset() -> None:
    engine = MatchingEngine()

    outcome = engine.apply(1, RESET, 1)

    assert (outcome.result, outcome.rows) == (Done(), ())


@pytest.mark.parametrize("seed", range(5))
def test_after_a_crowd_nothing_is_open_money_adds_up_and_all_engines_agree(seed: int) -> None:
    chance, venue = Random(seed), Venue(MARKET)
    accounts = [venue.account(f"a{one}", SOL=50, USDC=5_000) for one in range(4)]
    crowd = Crowd(venue.engine, accounts, [SYMBOL])
    for _ in range(300):
        venue.do(crowd.command(chance))
    owned = {(row.account, row.asset): row.free + row.locked for row in venue.engine.ledger.rows()}

    venue.do(RESET)

    check_invariants(venue.engine)
    assert (venue.book.orders, venue.book.lists) == ({}, {})
    assert owned == {
        (row.account, row.asset): row.free for row in venue.engine.ledger.rows() if not row.locked
    }
    follower, again = MatchingEngine(), MatchingEngine()
    state_hash, anew = StateHash(follower.requests), StateHash(follower.requests)
    for command, outcome in zip(venue.commands, venue.outcomes, strict=True):
        follower.follow(outcome)
        state_hash.update(outcome.rows)
        assert again.apply(outcome.number, command, outcome.time) == outcome
    assert live_rows(follower) == live_rows(venue.engine) == live_rows(again)
    anew.update(row for row in live_rows(venue.engine) if getattr(row, "id", None) != 0)
    assert anew.value == state_hash.value
