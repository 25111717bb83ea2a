"""The proof can fail: every way to break a promise is seen, and names the promise."""

from collections.abc import Callable, Iterable

import pytest
from msgspec.structs import replace

from exchange.lab.chaos import market_proof
from exchange.lab.chaos.account_proof import prove_account
from exchange.lab.chaos.evidence import Account, Candle, FoundTransfer, MarketTrade
from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import Fill, FoundOrder, FoundTrade, Holdings
from exchange.lab.chaos.listener import Tape, fingerprint
from exchange.lab.chaos.market_proof import DAY_US, MarketProof
from exchange.lab.chaos.memory import AccountMemory, OrderMemory, Told, TransferMemory
from exchange.services.messages import JUMP

ONE = 10**8
ASSETS = {"SOLUSDC": ("SOL", "USDC")}


def bought(**changes: object) -> FoundOrder:
    """`alice-0`: one SOL at 100, bought in two trades."""
    order = FoundOrder(
        symbol="SOLUSDC", id=7, client_order_id="alice-0", side="BUY", type="LIMIT",
        price=100 * ONE, quantity=ONE, executed=ONE, executed_quote=100 * ONE, status="FILLED",
    )  # fmt: skip
    return replace(order, **changes)


def cancelled(**changes: object) -> FoundOrder:
    """`alice-1`: a sale that was cancelled before anybody took any of it."""
    order = FoundOrder(
        symbol="SOLUSDC", id=8, client_order_id="alice-1", side="SELL", type="LIMIT",
        price=120 * ONE, quantity=ONE, executed=0, executed_quote=0, status="CANCELED",
    )  # fmt: skip
    return replace(order, **changes)


def resting(**changes: object) -> FoundOrder:
    """`alice-4`: an open bid of half a SOL at 90."""
    order = FoundOrder(
        symbol="SOLUSDC", id=11, client_order_id="alice-4", side="BUY", type="LIMIT",
        price=90 * ONE, quantity=ONE // 2, executed=0, executed_quote=0, status="NEW",
    )  # fmt: skip
    return replace(order, **changes)


def half(id: int, **changes: object) -> FoundTrade:
    """Half of what `alice-0` bought."""
    trade = FoundTrade(
        symbol="SOLUSDC", id=id, order_id=7, price=100 * ONE, quantity=ONE // 2, quote=50 * ONE,
        commission=ONE // 2000, commission_asset="SOL", time=5_000, is_buyer=True, is_maker=False,
    )  # fmt: skip
    return replace(trade, **changes)


def told() -> AccountMemory:
    """What alice was told: bought, cancelled, refused, unknown, resting; paid in and out."""
    memory = AccountMemory("alice", 1)
    sale = OrderMemory("SOLUSDC", "SELL", "LIMIT", price=120 * ONE, quantity=ONE)
    memory.orders = [
        OrderMemory(
            "SOLUSDC", "BUY", "LIMIT", price=100 * ONE, quantity=ONE, told=Told.DONE, order_id=7,
            status="PARTIALLY_FILLED", executed=ONE // 2,
            fills=(Fill(3, 100 * ONE, ONE // 2, ONE // 2000, "SOL"),),
        ),
        OrderMemory(
            "SOLUSDC", "SELL", "LIMIT", price=120 * ONE, quantity=ONE, told=Told.DONE, order_id=8,
            status="CANCELED", cancel=Told.DONE, has_ended=True,
        ),
        OrderMemory("SOLUSDC", "SELL", "LIMIT", price=120 * ONE, quantity=ONE, told=Told.REFUSED),
        sale,
        OrderMemory(
            "SOLUSDC", "BUY", "LIMIT", price=90 * ONE, quantity=ONE // 2, told=Told.DONE,
            order_id=11, status="NEW",
        ),
    ]  # fmt: skip
    memory.transfers = {
        "alice/0": TransferMemory("DEPOSIT", "USDC", 1_000 * ONE, Told.DONE),
        "alice/1": TransferMemory("WITHDRAWAL", "USDC", 10 * ONE, Told.DONE),
        "alice/2": TransferMemory("DEPOSIT", "SOL", ONE, Told.REFUSED),
        "alice/3": TransferMemory("DEPOSIT", "SOL", ONE, Told.UNKNOWN),
    }
    return memory


TRANSFERS = (
    FoundTransfer("alice/0", "DEPOSIT", "USDC", 1_000 * ONE),
    FoundTransfer("alice/1", "WITHDRAWAL", "USDC", 10 * ONE),
)
HOLDINGS: Holdings = {
    "SOL": (ONE - 2 * (ONE // 2000), 0),
    "USDC": (890 * ONE - 45 * ONE, 45 * ONE),
}


def found(
    orders: Iterable[FoundOrder] = (bought(), cancelled(), resting()),
    trades: Iterable[FoundTrade] = (half(3), half(4)),
    holdings: Holdings = HOLDINGS,
) -> Account:
    return Account(list(orders), list(trades), dict(holdings))


def broken(
    account: Account | None = None,
    *,
    rows: Account | None = None,
    transfers: Iterable[FoundTransfer] = TRANSFERS,
    memory: AccountMemory | None = None,
) -> set[Promise]:
    """The promises that do not hold for what was found."""
    account = account or found()
    findings = Findings()
    prove_account(memory or told(), account, rows or account, list(transfers), ASSETS, findings)
    return violated(findings)


def violated(findings: Findings) -> set[Promise]:
    return {promise for promise, result in findings.results.items() if result.violated}


def test_what_is_as_it_was_told_breaks_no_promise() -> None:
    assert broken() == set()


def test_an_unknown_order_may_be_wholly_there() -> None:
    late = cancelled(id=10, client_order_id="alice-3", status="NEW")
    holdings = {**HOLDINGS, "SOL": (HOLDINGS["SOL"][0] - ONE, ONE)}

    assert broken(found([bought(), cancelled(), late, resting()], holdings=holdings)) == set()


def test_an_unknown_transfer_may_be_there_once() -> None:
    late = FoundTransfer("alice/3", "DEPOSIT", "SOL", ONE)
    holdings = {**HOLDINGS, "SOL": (HOLDINGS["SOL"][0] + ONE, 0)}

    assert broken(found(holdings=holdings), transfers=[*TRANSFERS, late]) == set()
    assert Promise.TRANSFERS in broken(transfers=[*TRANSFERS, late, late])


class TestOrders:
    def test_a_lost_order_is_seen(self) -> None:
        holdings = {"SOL": HOLDINGS["SOL"], "USDC": (890 * ONE, 0)}

        assert broken(found([bought(), cancelled()], holdings=holdings)) == {Promise.ORDERS}

    def test_an_order_that_was_executed_twice_is_seen(self) -> None:
        again = cancelled(id=12)

        assert broken(found([bought(), cancelled(), resting(), again])) == {Promise.ORDERS}

    @pytest.mark.parametrize(
        "other",
        [
            bought(id=9),
            bought(quantity=2 * ONE, status="PARTIALLY_FILLED"),
            bought(side="SELL"),
            bought(price=101 * ONE),
            bought(type="LIMIT_MAKER"),
            bought(status="NEW"),
            bought(status="PARTIALLY_FILLED"),
        ],
    )
    def test_an_order_that_is_not_the_one_that_was_acknowledged_is_seen(
        self, other: FoundOrder
    ) -> None:
        assert Promise.ORDERS in broken(found([other, cancelled(), resting()]))

    def test_an_order_that_was_told_to_be_over_and_is_open_is_seen(self) -> None:
        memory = told()
        memory.orders[4].has_ended = True

        assert broken(memory=memory) == {Promise.ORDERS}

    def test_less_executed_than_was_acknowledged_is_seen(self) -> None:
        less = bought(executed=0, executed_quote=0, status="NEW")

        assert Promise.ORDERS in broken(found([less, cancelled(), resting()], []))

    def test_a_refused_order_that_exists_is_seen(self) -> None:
        ghost = cancelled(id=9, client_order_id="alice-2", status="EXPIRED")

        assert broken(found([bought(), cancelled(), ghost, resting()])) == {Promise.REFUSED}

    def test_an_unknown_order_that_is_there_otherwise_is_seen(self) -> None:
        other = cancelled(id=10, client_order_id="alice-3", price=121 * ONE, status="EXPIRED")

        assert broken(found([bought(), cancelled(), other, resting()])) == {Promise.UNKNOWN}

    def test_an_unknown_order_that_is_there_twice_is_seen(self) -> None:
        late = cancelled(id=10, client_order_id="alice-3", status="EXPIRED")
        orders = [bought(), cancelled(), late, replace(late, id=12), resting()]

        assert broken(found(orders)) == {Promise.UNKNOWN}

    @pytest.mark.parametrize("name", ["alice-5", "bob-0", "alice-00", "x", "alice--1"])
    def test_an_order_that_nobody_sent_is_seen(self, name: str) -> None:
        foreign = cancelled(id=13, client_order_id=name, status="EXPIRED")

        assert broken(found([bought(), cancelled(), resting(), foreign])) == {Promise.NOTHING_ELSE}

    def test_a_status_that_does_not_fit_what_was_executed_is_seen(self) -> None:
        for wrong in (resting(status="PARTIALLY_FILLED"), resting(status="FILLED")):
            assert Promise.ORDERS in broken(found([bought(), cancelled(), wrong]))


class TestCancels:
    @pytest.mark.parametrize("status", ["NEW", "EXPIRED"])
    def test_a_revived_order_is_seen(self, status: str) -> None:
        revived = cancelled(status=status)

        assert Promise.CANCELS in broken(found([bought(), revived, resting()]))

    def test_a_fill_after_the_cancels_answer_is_seen(self) -> None:
        filled = cancelled(executed=ONE // 2, executed_quote=60 * ONE)

        assert Promise.CANCELS in broken(found([bought(), filled, resting()]))

    def test_a_cancel_that_nobody_asked_for_is_seen(self) -> None:
        gone = resting(status="CANCELED")
        holdings = {"SOL": HOLDINGS["SOL"], "USDC": (890 * ONE, 0)}

        assert broken(found([bought(), cancelled(), gone], holdings=holdings)) == {
            Promise.NOTHING_ELSE
        }

    def test_a_cancel_whose_answer_was_unknown_may_have_happened(self) -> None:
        gone = resting(status="CANCELED")
        holdings = {"SOL": HOLDINGS["SOL"], "USDC": (890 * ONE, 0)}
        memory = told()
        memory.orders[4].cancel = Told.UNKNOWN

        account = found([bought(), cancelled(), gone], holdings=holdings)
        assert broken(account, memory=memory) == set()
        assert broken(memory=memory) == set()


class TestFills:
    def test_a_lost_fill_is_seen(self) -> None:
        assert Promise.FILLS in broken(found(trades=[half(4)]))

    def test_a_doubled_fill_is_seen(self) -> None:
        assert Promise.FILLS in broken(found(trades=[half(3), half(3), half(4)]))

    @pytest.mark.parametrize(
        "other",
        [
            half(5),
            half(3, price=99 * ONE),
            half(3, commission=0),
            half(3, commission_asset="USDC"),
            half(3, quantity=ONE // 4),
        ],
    )
    def test_a_fill_other_than_the_one_that_was_told_is_seen(self, other: FoundTrade) -> None:
        assert Promise.FILLS in broken(found(trades=[other, half(4)]))

    def test_an_executed_quantity_that_no_trades_add_up_to_is_seen(self) -> None:
        wrong = bought(executed_quote=100 * ONE + 1)

        assert broken(found([wrong, cancelled(), resting()])) == {Promise.FILLS}

    def test_a_trade_of_no_order_is_seen(self) -> None:
        assert Promise.NOTHING_ELSE in broken(
            found(trades=[half(3), half(4), half(5, order_id=99)])
        )


class TestMoney:
    @pytest.mark.parametrize("asset", ["SOL", "USDC"])
    @pytest.mark.parametrize("difference", [1, -1])
    def test_a_balance_that_is_wrong_by_one_unit_is_seen(self, asset: str, difference: int) -> None:
        free, locked = HOLDINGS[asset]
        holdings = {**HOLDINGS, asset: (free + difference, locked)}

        assert broken(found(holdings=holdings)) == {Promise.BALANCES}

    def test_money_of_an_asset_that_never_came_in_is_seen(self) -> None:
        assert broken(found(holdings={**HOLDINGS, "BTC": (1, 0)})) == {Promise.BALANCES}

    @pytest.mark.parametrize("difference", [1, -1])
    def test_a_lock_that_is_wrong_by_one_unit_is_seen(self, difference: int) -> None:
        free, locked = HOLDINGS["USDC"]
        holdings = {**HOLDINGS, "USDC": (free - difference, locked + difference)}

        assert broken(found(holdings=holdings)) == {Promise.LOCKS}

    def test_a_lock_that_outlives_its_order_is_seen(self) -> None:
        sol = HOLDINGS["SOL"][0]

        assert broken(found(holdings={**HOLDINGS, "SOL": (sol - ONE // 2, ONE // 2)})) == {
            Promise.LOCKS
        }

    def test_a_lost_deposit_is_seen(self) -> None:
        assert broken(transfers=TRANSFERS[1:]) == {Promise.TRANSFERS, Promise.BALANCES}

    def test_a_doubled_deposit_is_seen(self) -> None:
        assert broken(transfers=[TRANSFERS[0], *TRANSFERS]) == {
            Promise.TRANSFERS,
            Promise.BALANCES,
        }

    def test_a_deposit_of_another_amount_is_seen(self) -> None:
        other = replace(TRANSFERS[0], amount=999 * ONE)

        assert Promise.TRANSFERS in broken(transfers=[other, TRANSFERS[1]])

    def test_a_refused_deposit_that_happened_is_seen(self) -> None:
        late = FoundTransfer("alice/2", "DEPOSIT", "SOL", ONE)

        assert Promise.TRANSFERS in broken(transfers=[*TRANSFERS, late])

    def test_a_deposit_that_nobody_sent_is_seen(self) -> None:
        foreign = FoundTransfer("mallory/0", "DEPOSIT", "USDC", 1)

        assert Promise.NOTHING_ELSE in broken(transfers=[*TRANSFERS, foreign])


@pytest.mark.parametrize(
    "rows",
    [
        found([bought(), cancelled()]),
        found([bought(), cancelled(), resting(status="CANCELED")]),
        found(trades=[half(3)]),
        found(trades=[half(3), half(4, time=6_000)]),
        found(holdings={**HOLDINGS, "SOL": (1, 0)}),
    ],
)
def test_an_api_that_says_something_else_than_postgres_is_seen(rows: Account) -> None:
    assert broken(rows=rows) == {Promise.SAME}


class TestMarkets:
    """Three trades, of which the last two were streamed over one connection."""

    TIME = 1_700_000_000_123_456
    TRADES = (
        MarketTrade(1, 100 * ONE, ONE, 100 * ONE, TIME, taker_buys=True),
        MarketTrade(2, 102 * ONE, ONE, 102 * ONE, TIME + 500_000, taker_buys=False),
        MarketTrade(3, 99 * ONE, 2 * ONE, 198 * ONE, TIME + 1_000_000, taker_buys=True),
    )

    @staticmethod
    def candle(**changes: int) -> Candle:
        """All three."""
        candle = Candle(
            100 * ONE, 102 * ONE, 99 * ONE, 99 * ONE, 4 * ONE, 400 * ONE, 3,
            3 * ONE, 298 * ONE, 1, 3,
        )  # fmt: skip
        return replace(candle, **changes)

    def candles(self) -> dict[tuple[str, int], Candle]:
        second = self.TIME - self.TIME % 1_000_000
        first = Candle(
            100 * ONE, 102 * ONE, 100 * ONE, 102 * ONE, 2 * ONE, 202 * ONE, 2, ONE, 100 * ONE, 1, 2
        )
        last = Candle(
            99 * ONE, 99 * ONE, 99 * ONE, 99 * ONE, 2 * ONE, 198 * ONE, 1, 2 * ONE, 198 * ONE, 3, 3
        )
        longer = {"1m": 60_000_000, "1h": 3_600_000_000, "1d": DAY_US}
        return {
            ("1s", second): first,
            ("1s", second + 1_000_000): last,
            **{
                (interval, self.TIME - self.TIME % width): self.candle()
                for interval, width in longer.items()
            },
        }

    @staticmethod
    def tape(trades: Iterable[MarketTrade]) -> Tape:
        tape = Tape()
        for one in trades:
            mark = fingerprint(one.price, one.quantity, one.time // 1_000, not one.taker_buys)
            assert tape.hear(one.id, mark) == ""
        return tape

    def broken(
        self,
        trades: Iterable[MarketTrade] = TRADES,
        *,
        tape: Tape | None = None,
        candles: dict[tuple[str, int], Candle] | None = None,
        generations: int = 1,
    ) -> set[Promise]:
        findings = Findings()
        proof = MarketProof("SOLUSDC", tape or self.tape(self.TRADES[1:]), 0, findings)
        for trade in trades:
            proof.take(trade)
        proof.finish(self.candles() if candles is None else candles, generations)
        return violated(findings)

    def test_trades_that_are_as_they_were_streamed_break_no_promise(self) -> None:
        assert self.broken() == set()

    def test_a_trade_that_is_left_out_is_seen(self) -> None:
        broken = self.broken([self.TRADES[0], self.TRADES[2]])

        assert broken == {Promise.TRADES, Promise.STREAM, Promise.CANDLES}

    def test_a_trade_that_is_there_twice_is_seen(self) -> None:
        assert Promise.TRADES in self.broken([*self.TRADES, self.TRADES[2]])

    def test_ids_may_move_on_with_a_generation_and_not_without(self) -> None:
        later = [replace(one, id=one.id + JUMP) for one in self.TRADES]
        candles = {
            key: replace(
                candle,
                first_trade_id=candle.first_trade_id + JUMP,
                last_trade_id=candle.last_trade_id + JUMP,
            )
            for key, candle in self.candles().items()
        }

        def broken(generations: int) -> set[Promise]:
            tape = self.tape(later)
            return self.broken(later, tape=tape, candles=candles, generations=generations)

        assert broken(1) == set()
        assert broken(0) == {Promise.TRADES}

    def test_a_trade_that_was_streamed_otherwise_is_seen(self) -> None:
        for wrong in (
            replace(self.TRADES[1], price=103 * ONE),
            replace(self.TRADES[1], quantity=2 * ONE),
            replace(self.TRADES[1], time=self.TIME),
            replace(self.TRADES[1], taker_buys=True),
        ):
            assert self.broken(tape=self.tape([wrong, self.TRADES[2]])) == {Promise.STREAM}

    def test_a_trade_that_was_streamed_and_is_not_there_is_seen(self) -> None:
        ghost = replace(self.TRADES[2], id=4)

        assert self.broken(tape=self.tape([*self.TRADES[1:], ghost])) == {Promise.STREAM}

    def test_a_trade_that_a_connection_should_have_told_is_seen(self) -> None:
        tape = self.tape(self.TRADES)
        del tape.seen[2]

        assert self.broken(tape=tape) == {Promise.STREAM}

    @pytest.mark.parametrize(
        "change",
        [
            {"open": 1}, {"high": 1}, {"low": 1}, {"close": 1}, {"volume": 1},
            {"quote_volume": 1}, {"trades": 4}, {"taker_base": 1}, {"taker_quote": 1},
            {"first_trade_id": 2}, {"last_trade_id": 2},
        ],
    )  # fmt: skip
    def test_a_candle_that_is_not_its_trades_is_seen(self, change: dict[str, int]) -> None:
        candles = self.candles()
        key = ("1m", self.TIME - self.TIME % 60_000_000)
        candles[key] = self.candle(**change)

        assert self.broken(candles=candles) == {Promise.CANDLES}

    def test_a_missing_candle_and_one_too_many_are_seen(self) -> None:
        for change in (self._without_a_minute, self._with_another_minute):
            assert self.broken(candles=change(self.candles())) == {Promise.CANDLES}

    def _without_a_minute(
        self, candles: dict[tuple[str, int], Candle]
    ) -> dict[tuple[str, int], Candle]:
        return {key: candle for key, candle in candles.items() if key[0] != "1m"}

    def _with_another_minute(
        self, candles: dict[tuple[str, int], Candle]
    ) -> dict[tuple[str, int], Candle]:
        return {**candles, ("1m", 0): self.candle()}


def proven(check: Callable[[Findings], None]) -> set[Promise]:
    findings = Findings()
    check(findings)
    return violated(findings)


def test_money_from_nowhere_is_seen() -> None:
    def broken(held: int, moved: int, negative: int) -> set[Promise]:
        return proven(lambda f: market_proof.prove_sums({"SOL": (held, moved)}, negative, f))

    assert broken(5, 5, 0) == set()
    assert broken(6, 5, 0) == {Promise.CONSERVED}
    assert broken(5, 6, 0) == {Promise.CONSERVED}
    assert broken(5, 5, 1) == {Promise.CONSERVED}


def test_a_book_that_is_crossed_or_not_that_of_the_orders_is_seen() -> None:
    book = {("BUY", 99): 5, ("BUY", 98): 1, ("SELL", 101): 2}

    def broken(
        shown: dict[tuple[str, int], int], orders: dict[tuple[str, int], int]
    ) -> set[Promise]:
        return proven(lambda f: market_proof.prove_depth("SOLUSDC", shown, orders, f))

    assert broken(book, book) == set()
    assert broken({}, {}) == set()
    assert broken(book, {**book, ("BUY", 98): 2}) == {Promise.SAME}
    assert broken(book, {**book, ("BUY", 97): 2}) == {Promise.SAME}
    crossed = {**book, ("SELL", 99): 1}
    assert broken(crossed, crossed) == {Promise.LOCKS}


def test_a_shown_minute_that_is_not_the_stored_one_is_seen() -> None:
    candle = Candle(1, 2, 1, 2, 5, 7, 3, 4, 4, 1, 3)

    def broken(shown: tuple[int, ...]) -> set[Promise]:
        stored = {("1m", 60): candle}
        return proven(lambda f: market_proof.prove_klines("SOLUSDC", {60: shown}, stored, f))

    assert broken((1, 2, 1, 2, 5, 7, 3)) == set()
    assert broken((1, 2, 1, 2, 5, 7, 4)) == {Promise.SAME}


def test_what_belongs_to_strangers_is_seen() -> None:
    assert proven(lambda f: market_proof.prove_no_strangers([], f)) == set()
    assert proven(lambda f: market_proof.prove_no_strangers(["an order of account 9"], f)) == {
        Promise.NOTHING_ELSE
    }
