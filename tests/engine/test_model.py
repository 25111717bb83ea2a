"""The engine against a slow, obvious exchange: same answers, same trades, same state.

Beside it run engines that were started in between, from rows or by following outcomes: they answer
to the byte what the first one answers.
"""

from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from crowd import Crowd
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from invariants import check_invariants
from msgspec.structs import replace
from naive_exchange import NaiveExchange
from naive_market import NaiveMarket
from naive_orders import NaiveOrder
from venue import MARKET, UNIT, Venue, by_queue, live_rows

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.state_hash import StateHash
from exchange.services.commands import AnyCommand
from exchange.services.filters import Filter
from exchange.services.messages import Outcome, Reason, Rejected, Replaced, Result, encode
from exchange.services.orders import ExpiryReason, OrderStatus, OrderType, SelfTrade, Side
from exchange.services.rows import Counters, Level, Order, OrderList, PreventedMatch, Trade

MARKETS = [
    # Fees that do not divide; the second market gives the first one's discount asset its price.
    replace(MARKET, maker_rate=700, taker_rate=1_300),
    replace(MARKET, symbol="BNBUSDC", base="BNB", maker_rate=700, taker_rate=1_300),
]
ASSETS = ("SOL", "USDC", "BNB")
ACCOUNTS = 3


class Pair:
    """An engine and the model beside it, always given the same commands."""

    def __init__(self, spread: int = 6) -> None:
        self.venue = Venue(*MARKETS)
        self.model = NaiveExchange(*MARKETS)
        self.accounts = [self.venue.account(f"account-{one}") for one in range(ACCOUNTS)]
        symbols = [one.symbol for one in MARKETS]
        self.crowd = Crowd(self.venue.engine, self.accounts, symbols, spread=spread)
        self.newest: dict[tuple[str, int], Order] = {}
        self.lists: dict[int, OrderList] = {}
        self.levels: dict[tuple[str, Side, int], int] = {}
        self.updates = Counter[str]()
        self.follower = MatchingEngine()
        self.hash = StateHash(self.follower.requests)
        self.started: MatchingEngine | None = None
        for outcome in self.venue.outcomes:
            self.follow(outcome)
        for account in self.accounts:
            # Little enough to run out of now and then.
            for asset, amount in (("SOL", 10), ("USDC", 1_000), ("BNB", 5)):
                self.venue.deposit(account, asset, amount * UNIT)
                self.model.do(self.venue.commands[-1], self.venue.number, self.venue.now)
                self.follow(self.venue.outcomes[-1])

    @property
    def engine(self) -> MatchingEngine:
        return self.venue.engine

    def follow(self, outcome: Outcome) -> None:
        self.follower.follow(outcome)
        self.hash.update(outcome.rows)

    def do(self, command: AnyCommand) -> None:
        before = {
            symbol: (len(one.trades), len(one.preventions))
            for symbol, one in self.model.markets.items()
        }
        outcome = self.venue.do(command)
        expected = self.model.do(command, self.venue.number, self.venue.now)

        assert _comparable(outcome.result) == _comparable(expected)
        if isinstance(outcome.result, Rejected):
            assert outcome.rows == ()
        if self.started is not None:
            same = self.started.apply(outcome.number, command, self.venue.now)
            assert encode(same) == encode(outcome)
        self.follow(outcome)
        for symbol, (trades, preventions) in before.items():
            self._compare_trades(outcome, symbol, trades, preventions)
        self._take(outcome)
        self._compare_orders(outcome)

    def restart(self, *, from_rows: bool) -> None:
        """Start another engine in the present state, which works along from now on."""
        check_invariants(self.follower)
        assert live_rows(self.follower) == live_rows(self.engine)
        self.started = started = MatchingEngine()
        if from_rows:
            anew = StateHash(started.requests)
            # The exchange's own account is there before there is any row of it.
            rows = [row for row in live_rows(self.engine) if getattr(row, "id", None) != 0]
            anew.update(rows)
            assert anew.value == self.hash.value
            for row in rows:
                started.restore(row)
        else:
            for outcome in self.venue.outcomes:
                started.follow(outcome)
        assert live_rows(started) == live_rows(self.engine)

    # --- Comparing ---

    def _compare_trades(self, outcome: Outcome, symbol: str, trades: int, preventions: int) -> None:
        model = self.model.markets[symbol]
        assert [
            (
                row.price,
                row.quantity,
                row.buy_order,
                row.sell_order,
                row.taker_side,
                (row.buy_fee, row.buy_fee_asset),
                (row.sell_fee, row.sell_fee_asset),
            )
            for row in outcome.rows
            if isinstance(row, Trade) and row.symbol == symbol
        ] == [
            (
                one.price,
                one.quantity,
                one.buy_order,
                one.sell_order,
                one.taker_side,
                one.buy_fee,
                one.sell_fee,
            )
            for one in model.trades[trades:]
        ]
        assert [
            (
                row.id,
                row.taker_order,
                row.maker_order,
                row.self_trade,
                row.price,
                row.taker_quantity,
                row.maker_quantity,
            )
            for row in outcome.rows
            if isinstance(row, PreventedMatch) and row.symbol == symbol
        ] == [
            (
                one.id,
                one.taker_order,
                one.maker_order,
                one.self_trade,
                one.price,
                one.taker_quantity,
                one.maker_quantity,
            )
            for one in model.preventions[preventions:]
        ]

    def _take(self, outcome: Outcome) -> None:
        changed = {row.symbol for row in outcome.rows if isinstance(row, Level)}
        for row in outcome.rows:
            match row:
                case Order():
                    self.newest[row.symbol, row.id] = row
                case OrderList():
                    self.lists[row.id] = row
                case Level():
                    key = (row.symbol, row.side, row.price)
                    assert self.levels.get(key, 0) != row.quantity
                    self.levels[key] = row.quantity
                case Counters():
                    self.updates[row.symbol] += row.symbol in changed
                    assert self.updates[row.symbol] == row.update_id
                case _:
                    pass

    def _compare_orders(self, outcome: Outcome) -> None:
        """Those that the outcome names, and all that are open."""
        named = {(row.symbol, row.id) for row in outcome.rows if isinstance(row, Order)}
        for symbol, model in self.model.markets.items():
            for order in model.orders:
                assert _fast(self.newest[symbol, order.id]) == _slow(order, model)
            past = {order.id: order for order in model.past_orders[-50:]}
            for order_id in {order_id for of, order_id in named if of == symbol}:
                if order_id in past:
                    assert _fast(self.newest[symbol, order_id]) == _slow(past[order_id], model)
                else:
                    assert any(order.id == order_id for order in model.orders)
            for order_list in (*model.lists, *model.past_lists[-10:]):
                row = self.lists[order_list.id]
                assert row.status is order_list.status
                assert row.order_ids == tuple(order.id for order in order_list.orders)

    def compare(self) -> None:
        """Everything that there is now."""
        ledger, model = self.engine.ledger, self.model
        for account in (0, *self.accounts):
            for asset in ASSETS:
                assert ledger.free(account, asset) == model.free(account, asset)
                assert ledger.locked(account, asset) == model.locked(account, asset)
        for symbol, market in self.model.markets.items():
            book = self.engine.books[symbol]
            assert book.last_price == market.last_price
            assert book.average(market.now) == market.average_price()
            # The age of what rests or waits; what is pending has none.
            aged = [o.id for o in by_queue(book.orders.values()) if o.is_resting or o.terms.waiting]
            assert aged == [
                o.id for o in sorted(market.orders, key=lambda o: o.place) if not o.is_pending
            ]
            assert sorted(book.lists) == [one.id for one in market.lists]
            for side in Side:
                resting = market.resting(side)
                assert [o.id for o in book.side(side).orders()] == [o.id for o in resting]
                shown = Counter[int]()
                for order in resting:
                    shown[order.price] += order.shown
                assert shown == {
                    price: quantity
                    for (of, on, price), quantity in self.levels.items()
                    if quantity and (of, on) == (symbol, side)
                }
            self._compare_extremes(symbol)

    def _compare_extremes(self, symbol: str) -> None:
        """An order that follows the price knows its best one, or a later follower does."""
        best: dict[Side, int] = {}
        followers = [o for o in self.model.markets[symbol].orders if o.follows and o.waiting]
        rows = {order.id: self.engine.books[symbol].orders[order.id].terms for order in followers}
        for order in sorted(followers, key=lambda o: -rows[o.id].trailing_from):
            own = rows[order.id].trailing_extreme
            if own:
                better = max if order.side is Side.SELL else min
                best[order.side] = better(own, best.get(order.side, own))
            assert best.get(order.side, 0) == order.extreme


def _comparable(result: Result | None) -> Any:
    """A result without the explanation of a refusal that is not one of the rules'."""
    if isinstance(result, Rejected) and result.reason is Reason.INVALID:
        return result.reason
    if isinstance(result, Replaced):
        return _comparable(result.canceled), _comparable(result.placed)
    return result


def _fast(order: Order) -> tuple[Any, ...]:
    terms = order.terms
    return (
        order.account,
        order.client_order_id,
        order.side,
        order.type,
        order.price,
        order.quantity,
        order.filled,
        order.filled_quote,
        order.locked,
        order.status,
        order.self_trade,
        terms.list_id,
        terms.prevented,
        terms.prevented_match_id,
        terms.expiry_reason,
        terms.amends,
        order.is_open and terms.waiting,
        order.is_open and terms.trailing_from > 0,
        order.shown if order.is_resting else 0,
        terms.working_time,
    )


def _slow(order: NaiveOrder, market: NaiveMarket) -> tuple[Any, ...]:
    return (
        order.account,
        order.client_order_id,
        order.side,
        order.new.type,
        order.price,
        order.quantity,
        order.filled,
        order.filled_quote,
        market.locked(order),
        order.status,
        order.self_trade,
        order.list_id,
        order.prevented,
        order.prevented_match,
        order.reason,
        order.amends,
        order.is_open and order.waiting and not order.is_pending,
        order.is_open and order.follows,
        order.shown if order.is_resting else 0,
        order.worked_since,
    )


class AgainstTheModel(RuleBasedStateMachine):
    """Hypothesis chooses the commands, and shrinks what it finds to the smallest example."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair()

    chances = st.randoms(use_true_random=False)

    @rule(chance=chances)
    def place(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.place(chance))

    @rule(chance=chances)
    def place_another(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.place(chance))

    @rule(chance=chances)
    def place_list(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.place_list(chance))

    @rule(chance=chances)
    def cancel(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.cancel(chance))

    @rule(chance=chances)
    def replace(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.replace(chance))

    @rule(chance=chances)
    def amend(self, chance: Random) -> None:
        self.pair.do(self.pair.crowd.amend(chance))

    @rule(chance=chances)
    def move_money_or_change_rules(self, chance: Random) -> None:
        crowd = self.pair.crowd
        self.pair.do(chance.choice((crowd.move_money, crowd.change))(chance))

    @rule(seconds=st.integers(-90, 420))
    def wait(self, seconds: int) -> None:
        self.pair.venue.now += seconds * 1_000_000

    @rule(from_rows=st.booleans())
    def restart(self, from_rows: bool) -> None:
        self.pair.restart(from_rows=from_rows)

    @invariant()
    def both_agree(self) -> None:
        self.pair.compare()
        check_invariants(self.pair.engine)


AgainstTheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestAgainstTheModel = AgainstTheModel.TestCase


@pytest.mark.parametrize("seed", range(8))
def test_a_long_random_market_equals_the_model(seed: int) -> None:
    chance = Random(seed)
    pair = Pair(spread=(2, 4, 8, 16)[seed % 4])
    for step in range(1_200):
        pair.do(pair.crowd.command(chance))
        if chance.random() < 0.05:
            pair.venue.now += chance.randrange(-20_000_000, 60_000_000)
        if chance.random() < 0.02:
            pair.restart(from_rows=chance.random() < 0.7)
        if step % 10 == 0:
            pair.compare()
            check_invariants(pair.engine)
    pair.compare()


def test_the_crowd_tries_everything() -> None:
    """What these tests compare is only as much as what their commands lead to."""
    seen: set[Any] = set()
    for seed in range(12):
        pair, chance = Pair(), Random(seed)
        for _ in range(1_000):
            command = pair.crowd.command(chance)
            outcome = pair.venue.do(command)
            seen.update(_events(outcome))

    kinds = ("Placed", "Listed", "Canceled", "Replaced", "Amended", "Created", "Done", "Rejected")
    assert seen >= {
        *kinds,
        *OrderStatus,
        *(set(ExpiryReason) - {ExpiryReason.EXCHANGE_CANCELED}),
        *(set(SelfTrade) - {SelfTrade.NONE}),
        *(set(Reason) - OTHER_REASONS),
        *(set(Filter) - {Filter.MIN_NOTIONAL}),
        *(f"set off {type}" for type in OrderType if type.is_contingent),
        "slice used up",
        "fee in the discount asset",
    }


# Refusals that have nothing to do with matching, or that are rare.
OTHER_REASONS = {
    Reason.LATE,
    Reason.KEY_NOT_VALID,
    Reason.UNKNOWN_ACCOUNT,
    Reason.UNKNOWN_SYMBOL,
    Reason.UNKNOWN_ASSET,
    Reason.UNKNOWN_KEY,
    Reason.REFERENCE_USED,
    Reason.ALREADY_EXISTS,
    Reason.CHANGED_MEANWHILE,
    Reason.LIMIT,
    Reason.NOT_ALLOWED,
    Reason.WITHDRAWALS_FROZEN,
    Reason.UNKNOWN_WITHDRAWAL,
    Reason.POISON,
    Reason.TOO_LITTLE_LIQUIDITY,
}


def _events(outcome: Outcome) -> Iterator[Any]:
    result = outcome.result
    yield type(result).__name__
    if isinstance(result, Rejected):
        yield result.reason
        if result.reason is Reason.FILTER:
            yield Filter(result.detail)
    for row in outcome.rows:
        if isinstance(row, Order):
            yield row.status
            yield row.terms.expiry_reason
            if row.type.is_contingent and row.terms.working_time:
                yield f"set off {row.type}"
            if row.terms.iceberg_quantity and row.is_resting and row.filled and row.queue:
                yield "slice used up"
        elif isinstance(row, PreventedMatch):
            yield row.self_trade
        elif isinstance(row, Trade) and row.buy_fee_asset:
            yield "fee in the discount asset"
