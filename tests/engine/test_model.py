"""The engine against a slow, obvious exchange: same answers, same trades, same balances."""

import random
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from msgspec.structs import replace
from naive_exchange import NaiveExchange
from venue import MARKET, SYMBOL, UNIT, Venue, check_invariants, live_rows

from exchange.engine.state_hash import StateHash
from exchange.services.messages import (
    CancelOrder,
    OrderType,
    Placed,
    PlaceOrder,
    Rejected,
    Side,
    TimeInForce,
    Trade,
    Withdraw,
)

# Few prices and sizes make many encounters; the odd lot makes fees that do not divide.
PRICES = [UNIT * price // 100 for price in range(9_990, 10_011)]
QUANTITIES = [UNIT * quantity // 1000 for quantity in (50, 51, 77, 100, 333, 1_000, 2_500)]
ACCOUNTS = 3


@dataclass
class Pair:
    """An engine and the model beside it, always given the same commands."""

    venue: Venue
    model: NaiveExchange
    accounts: list[int]

    @classmethod
    def make(cls) -> "Pair":
        market = replace(MARKET, maker_rate=700, taker_rate=1_300)
        venue = Venue(market)
        model = NaiveExchange(market)
        accounts = [venue.account(f"account-{one}") for one in range(ACCOUNTS)]
        pair = cls(venue, model, accounts)
        for account in accounts:
            # Little enough to run out of now and then.
            pair.deposit(account, "SOL", 10 * UNIT)
            pair.deposit(account, "USDC", 1_000 * UNIT)
        return pair

    def deposit(self, account: int, asset: str, amount: int) -> None:
        self.venue.deposit(account, asset, amount)
        self.model.deposit(account, asset, amount)

    def withdraw(self, account: int, asset: str, amount: int) -> None:
        reference = f"withdrawal-{self.venue.number}"
        outcome = self.venue.do(
            Withdraw(uid=1, account=account, asset=asset, amount=amount, reference=reference)
        )
        assert self.model.withdraw(account, asset, amount) != isinstance(outcome.result, Rejected)

    def place(self, command: PlaceOrder) -> None:
        traded_before = len(self.model.trades)

        outcome = self.venue.do(command)
        expected = self.model.place(command, self.venue.now)

        trades = [row for row in outcome.rows if isinstance(row, Trade)]
        assert [(row.price, row.quantity, row.buy_order, row.sell_order) for row in trades] == [
            (one.price, one.quantity, one.buy_order, one.sell_order)
            for one in self.model.trades[traded_before:]
        ]
        if isinstance(outcome.result, Rejected):
            assert expected == "refused", outcome.result
            assert outcome.rows == ()
        else:
            assert isinstance(outcome.result, Placed)
            statuses = [getattr(row, "status", None) for row in outcome.rows]
            own = [
                row
                for row in outcome.rows
                if getattr(row, "id", None) == outcome.result.order_id and hasattr(row, "status")
            ]
            assert [row.status for row in own] == [expected], statuses

    def cancel(self, account: int, client_order_id: str) -> None:
        outcome = self.venue.do(
            CancelOrder(uid=1, account=account, symbol=SYMBOL, client_order_id=client_order_id)
        )
        expected = self.model.cancel(account, client_order_id)
        assert expected != isinstance(outcome.result, Rejected)

    def compare(self) -> None:
        ledger, model = self.venue.engine.ledger, self.model
        for account in (0, *self.accounts):
            for asset in ("SOL", "USDC"):
                assert ledger.free(account, asset) == model.free(account, asset)
                assert ledger.locked(account, asset) == model.locked(account, asset)
        for side in Side:
            fast = [
                (order.id, order.price, order.filled, order.filled_quote)
                for order in self.venue.book.side(side).orders()
            ]
            any_taker = _order(self.accounts[0], _opposite(side), OrderType.MARKET, 0, 1, None, "")
            slow = [
                (order.id, order.command.price, order.filled, order.filled_quote)
                for order in model.resting(any_taker)
            ]
            assert fast == slow


def _opposite(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY


def _order(
    account: int,
    side: Side,
    type: OrderType,
    price: int,
    quantity: int | None,
    quote_quantity: int | None,
    client_order_id: str,
    time_in_force: TimeInForce = TimeInForce.GTC,
) -> PlaceOrder:
    return PlaceOrder(
        uid=1,
        account=account,
        symbol=SYMBOL,
        side=side,
        type=type,
        time_in_force=time_in_force,
        price=0 if type is OrderType.MARKET else price,
        quantity=quantity,
        quote_quantity=quote_quantity,
        client_order_id=client_order_id,
    )


class AgainstTheModel(RuleBasedStateMachine):
    """Hypothesis chooses the commands, and shrinks what it finds to the smallest example."""

    def __init__(self) -> None:
        super().__init__()
        self.pair = Pair.make()

    accounts = st.integers(0, ACCOUNTS - 1)
    sides = st.sampled_from(list(Side))
    client_order_ids = st.sampled_from([f"id-{one}" for one in range(12)])
    quantities = st.sampled_from(QUANTITIES) | st.integers(0, 3 * UNIT)
    prices = st.sampled_from(PRICES) | st.integers(0, 200 * UNIT)

    @rule(
        account=accounts,
        side=sides,
        price=prices,
        quantity=quantities,
        type=st.sampled_from([OrderType.LIMIT, OrderType.LIMIT_MAKER]),
        client_order_id=client_order_ids,
        time_in_force=st.sampled_from(list(TimeInForce)),
    )
    def limit(
        self,
        account: int,
        side: Side,
        price: int,
        quantity: int,
        type: OrderType,
        client_order_id: str,
        time_in_force: TimeInForce,
    ) -> None:
        if type is OrderType.LIMIT_MAKER:
            time_in_force = TimeInForce.GTC
        account = self.pair.accounts[account]
        self.pair.place(
            _order(account, side, type, price, quantity, None, client_order_id, time_in_force)
        )

    @rule(account=accounts, side=sides, quantity=quantities, client_order_id=client_order_ids)
    def market(self, account: int, side: Side, quantity: int, client_order_id: str) -> None:
        account = self.pair.accounts[account]
        self.pair.place(_order(account, side, OrderType.MARKET, 0, quantity, None, client_order_id))

    @rule(
        account=accounts,
        side=sides,
        quote_quantity=st.integers(1, 500 * UNIT),
        client_order_id=client_order_ids,
    )
    def market_by_quote(
        self, account: int, side: Side, quote_quantity: int, client_order_id: str
    ) -> None:
        account = self.pair.accounts[account]
        self.pair.place(
            _order(account, side, OrderType.MARKET, 0, None, quote_quantity, client_order_id)
        )

    @rule(account=accounts, client_order_id=client_order_ids)
    def cancel(self, account: int, client_order_id: str) -> None:
        self.pair.cancel(self.pair.accounts[account], client_order_id)

    @rule(
        account=accounts,
        asset=st.sampled_from(["SOL", "USDC"]),
        amount=st.integers(1, 20 * UNIT),
        out=st.booleans(),
    )
    def move_money(self, account: int, asset: str, amount: int, out: bool) -> None:
        move = self.pair.withdraw if out else self.pair.deposit
        move(self.pair.accounts[account], asset, amount)

    @precondition(lambda self: self.pair.model.trades)
    @rule(minutes=st.integers(1, 7))
    def wait(self, minutes: int) -> None:
        self.pair.venue.now += minutes * 60_000_000

    @invariant()
    def both_agree(self) -> None:
        self.pair.compare()
        check_invariants(self.pair.venue.engine)


AgainstTheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestAgainstTheModel = AgainstTheModel.TestCase


@pytest.mark.parametrize("seed", range(6))
def test_a_long_random_market_equals_the_model(seed: int) -> None:
    chance = random.Random(seed)
    pair = Pair.make()
    for step in range(1_200):
        account = chance.choice(pair.accounts)
        side = chance.choice(list(Side))
        kind = chance.random()
        if kind < 0.55:
            pair.place(
                _order(
                    account,
                    side,
                    chance.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.LIMIT_MAKER]),
                    chance.choice(PRICES),
                    chance.choice(QUANTITIES),
                    None,
                    f"id-{step}",
                )
            )
        elif kind < 0.65:
            quantity = chance.choice(QUANTITIES)
            pair.place(_order(account, side, OrderType.MARKET, 0, quantity, None, f"id-{step}"))
        elif kind < 0.7:
            amount = chance.randrange(1, 300 * UNIT)
            pair.place(_order(account, side, OrderType.MARKET, 0, None, amount, f"id-{step}"))
        elif kind < 0.95:
            pair.cancel(account, f"id-{chance.randrange(max(0, step - 60), step + 1)}")
        else:
            pair.venue.now += chance.randrange(60_000_000)
        if step % 20 == 0:
            pair.compare()
            check_invariants(pair.venue.engine)
    pair.compare()
    assert len(pair.model.trades) > 100


def test_the_hash_kept_up_by_changes_is_that_of_all_rows() -> None:
    pair = Pair.make()
    chance = random.Random(7)
    kept = StateHash()
    for outcome in pair.venue.outcomes:
        kept.update(outcome.rows)
    for step in range(300):
        account, side = chance.choice(pair.accounts), chance.choice(list(Side))
        price, quantity = chance.choice(PRICES), chance.choice(QUANTITIES)
        pair.place(_order(account, side, OrderType.LIMIT, price, quantity, None, f"id-{step}"))
        kept.update(pair.venue.outcomes[-1].rows)

        rows = [row for row in live_rows(pair.venue.engine) if getattr(row, "id", None) != 0]
        anew = StateHash()
        anew.update(rows)
        assert anew.value == kept.value
