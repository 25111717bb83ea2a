"""A matching engine with one market, or several, and a short way to give it commands."""

from collections.abc import Iterable
from typing import Any, TypeVar

from invariants import check_invariants
from msgspec.structs import replace

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.order_book import OrderBook
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AmendOrder,
    AnyCommand,
    CancelAllOrders,
    CancelList,
    CancelOrder,
    ChangeAccount,
    ChangeExchange,
    ChangeMarket,
    CreateAccount,
    Deposit,
    NewOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    SetMode,
    Withdraw,
)
from exchange.services.markets import Asset, ExchangeRules, Market, Mode, Rules
from exchange.services.messages import Created, Listed, Outcome, Placed, Reason, Rejected
from exchange.services.orders import Contingency, OrderStatus, OrderType, SelfTrade, Side
from exchange.services.rows import (
    Act,
    Order,
    OrderList,
    PreventedMatch,
    Row,
    Trade,
    Transfer,
    Withdrawal,
)

UNIT = 10**8
SYMBOL = "SOLUSDC"
NO_RULES = Rules(self_trade_default=SelfTrade.NONE)
MARKET = Market(
    symbol=SYMBOL,
    base="SOL",
    quote="USDC",
    base_decimals=8,
    quote_decimals=8,
    tick=UNIT // 100,
    lot=UNIT // 1000,
    price_max=1_000_000 * UNIT,
    quantity_min=UNIT // 1000,
    quantity_max=100_000 * UNIT,
    notional_min=5 * UNIT,
    notional_max=9_000_000 * UNIT,
    rules=NO_RULES,
)

RowType = TypeVar("RowType")


def units(amount: float | None) -> int | None:
    return None if amount is None else round(amount * UNIT)


def new(
    side: Side,
    quantity: float | None,
    price: float | None = None,
    *,
    type: OrderType | None = None,
    quote_quantity: float | None = None,
    stop: float = 0,
    iceberg: float = 0,
    client_order_id: str = "",
    **terms: Any,
) -> NewOrder:
    """A limit order, or a market order where there is no price; amounts are whole units."""
    return NewOrder(
        side=side,
        type=type or (OrderType.MARKET if price is None else OrderType.LIMIT),
        price=round((price or 0) * UNIT),
        quantity=units(quantity),
        quote_quantity=units(quote_quantity),
        stop_price=round(stop * UNIT),
        iceberg_quantity=round(iceberg * UNIT),
        client_order_id=client_order_id,
        **terms,
    )


class Venue:
    """Commands get the next number and the next microsecond; amounts are whole units or decimals."""

    def __init__(self, *markets: Market) -> None:
        self.engine = MatchingEngine()
        self.number = 0
        self.now = 1_700_000_000_000_000
        self.outcomes: list[Outcome] = []
        self.commands: list[AnyCommand] = []
        self._dealers: tuple[int, int] | None = None
        for market in markets or (MARKET,):
            for asset, decimals in (
                (market.base, market.base_decimals),
                (market.quote, market.quote_decimals),
            ):
                self.do(AddAsset(uid=1, asset=Asset(asset, decimals)))
            self.do(AddMarket(uid=1, market=market))

    @property
    def book(self) -> OrderBook:
        return self.engine.books[SYMBOL]

    def do(self, command: AnyCommand) -> Outcome:
        self.number += 1
        self.now += 1
        outcome = self.engine.apply(self.number, command, self.now)
        self.outcomes.append(outcome)
        self.commands.append(command)
        return outcome

    # --- Accounts and rules ---

    def account(self, name: str, **amounts: float) -> int:
        """A new account with these amounts of whole assets."""
        result = self.do(CreateAccount(uid=1, name=name)).result
        assert isinstance(result, Created)
        for asset, amount in amounts.items():
            self.deposit(result.id, asset, round(amount * UNIT))
        return result.id

    def deposit(self, account: int, asset: str, amount: int) -> Outcome:
        reference = f"deposit-{self.number}"
        return self.do(
            Deposit(uid=1, account=account, asset=asset, amount=amount, reference=reference)
        )

    def withdraw(self, account: int, asset: str, amount: float) -> Outcome:
        return self.do(
            Withdraw(
                uid=1,
                account=account,
                asset=asset,
                amount=round(amount * UNIT),
                reference=f"withdrawal-{self.number}",
            )
        )

    def change_account(self, account: int, **changes: Any) -> Outcome:
        return self.do(ChangeAccount(uid=1, account=account, **changes))

    def rule(self, **changes: Any) -> Outcome:
        """Change some rules of the first market, and leave the others."""
        market = self.book.market
        return self.do(
            ChangeMarket(
                uid=1,
                symbol=SYMBOL,
                maker_rate=changes.pop("maker_rate", market.maker_rate),
                taker_rate=changes.pop("taker_rate", market.taker_rate),
                rules=replace(market.rules, **changes),
            )
        )

    def exchange_rule(self, **changes: Any) -> Outcome:
        rules: ExchangeRules = replace(self.engine.registry.exchange_rules, **changes)
        return self.do(ChangeExchange(uid=1, rules=rules))

    def mode(self, mode: Mode, symbol: str | None = SYMBOL) -> Outcome:
        return self.do(SetMode(uid=1, symbol=symbol, mode=mode))

    # --- Orders ---

    def order(
        self,
        account: int,
        side: Side,
        quantity: float | None,
        price: float | None = None,
        *,
        symbol: str = SYMBOL,
        request: bytes | None = None,
        deadline: int = 0,
        **terms: Any,
    ) -> Outcome:
        order = new(side, quantity, price, **terms)
        return self.place(account, order, symbol=symbol, request=request, deadline=deadline)

    def place(
        self, account: int, order: NewOrder, *, symbol: str = SYMBOL, **fields: Any
    ) -> Outcome:
        order = self._named(order)
        return self.do(PlaceOrder(uid=1, account=account, symbol=symbol, order=order, **fields))

    def oco(self, account: int, above: NewOrder, below: NewOrder, **fields: Any) -> Outcome:
        return self._list(account, Contingency.OCO, (above, below), **fields)

    def oto(self, account: int, working: NewOrder, *pending: NewOrder, **fields: Any) -> Outcome:
        """With one pending order, or with two that are the legs of an OCO."""
        return self._list(account, Contingency.OTO, (working, *pending), **fields)

    def _list(
        self,
        account: int,
        contingency: Contingency,
        orders: tuple[NewOrder, ...],
        *,
        client_list_id: str = "",
        symbol: str = SYMBOL,
    ) -> Outcome:
        return self.do(
            PlaceList(
                uid=1,
                account=account,
                symbol=symbol,
                contingency=contingency,
                client_list_id=client_list_id or f"l{self.number}",
                orders=tuple(
                    self._named(order, f"c{self.number}-{place}")
                    for place, order in enumerate(orders)
                ),
            )
        )

    def cancel(self, account: int, order_id: int, **fields: Any) -> Outcome:
        symbol = fields.pop("symbol", SYMBOL)
        return self.do(
            CancelOrder(uid=1, account=account, symbol=symbol, order_id=order_id, **fields)
        )

    def cancel_list(self, account: int, **ids: Any) -> Outcome:
        return self.do(CancelList(uid=1, account=account, symbol=SYMBOL, **ids))

    def cancel_all(self, account: int) -> Outcome:
        return self.do(CancelAllOrders(uid=1, account=account, symbol=SYMBOL))

    def replace(
        self, account: int, order_id: int, order: NewOrder, *, stop: bool = True, **fields: Any
    ) -> Outcome:
        """`stop`: nothing is placed where nothing could be canceled."""
        return self.do(
            ReplaceOrder(
                uid=1,
                account=account,
                symbol=SYMBOL,
                order_id=order_id,
                order=self._named(order),
                stop_on_failure=stop,
                **fields,
            )
        )

    def amend(
        self, account: int, order_id: int, quantity: float, new_client_order_id: str = ""
    ) -> Outcome:
        return self.do(
            AmendOrder(
                uid=1,
                account=account,
                symbol=SYMBOL,
                order_id=order_id,
                new_client_order_id=new_client_order_id or f"a{self.number}",
                quantity=round(quantity * UNIT),
            )
        )

    def _named(self, order: NewOrder, default: str = "") -> NewOrder:
        if order.client_order_id:
            return order
        return replace(order, client_order_id=default or f"c{self.number}")

    def trade_at(self, *prices: float) -> Outcome:
        """Let two dealers trade some at each of these prices; the last trade's outcome."""
        if self._dealers is None:
            self._dealers = (
                self.account("selling dealer", SOL=10_000),
                self.account("buying dealer", USDC=100_000_000),
            )
        seller, buyer = self._dealers
        for price in prices:
            self.order(seller, Side.SELL, 1, price)
            outcome = self.order(buyer, Side.BUY, 1, price)
            assert trades(outcome)[0] == (price, 1), "somebody else's order stood in between"
        return outcome

    # --- Questions ---

    def free(self, account: int, asset: str) -> float:
        return self.engine.ledger.free(account, asset) / UNIT

    def locked(self, account: int, asset: str) -> float:
        return self.engine.ledger.locked(account, asset) / UNIT

    def state(self, order_id: int, symbol: str = SYMBOL) -> Order:
        """The newest state of an order, open or not."""
        for outcome in reversed(self.outcomes):
            for row in reversed(rows_of(outcome, Order)):
                if (row.symbol, row.id) == (symbol, order_id):
                    return row
        raise AssertionError(f"no order {order_id}")

    def status(self, order_id: int) -> OrderStatus:
        return self.state(order_id).status

    def list_state(self, list_id: int) -> OrderList:
        for outcome in reversed(self.outcomes):
            for row in reversed(rows_of(outcome, OrderList)):
                if row.id == list_id:
                    return row
        raise AssertionError(f"no list {list_id}")


def rows_of(outcome: Outcome, kind: type[RowType]) -> list[RowType]:
    return [row for row in outcome.rows if isinstance(row, kind)]


def reason(outcome: Outcome) -> Reason | None:
    return outcome.result.reason if isinstance(outcome.result, Rejected) else None


def detail(outcome: Outcome) -> str:
    """What exactly a refusal is about: the filter, or what is not supported."""
    assert isinstance(outcome.result, Rejected), outcome.result
    return outcome.result.detail


def placed(outcome: Outcome) -> Order:
    """The new order as its outcome leaves it."""
    assert isinstance(outcome.result, Placed), outcome.result
    order_id = outcome.result.order_id
    return [row for row in rows_of(outcome, Order) if row.id == order_id][-1]


def listed(outcome: Outcome) -> OrderList:
    """The new list as its outcome leaves it."""
    assert isinstance(outcome.result, Listed), outcome.result
    list_id = outcome.result.list_id
    return [row for row in rows_of(outcome, OrderList) if row.id == list_id][-1]


def trades(outcome: Outcome) -> list[tuple[float, float]]:
    """Price and quantity of each trade, in whole units."""
    return [(row.price / UNIT, row.quantity / UNIT) for row in rows_of(outcome, Trade)]


def sellers(outcome: Outcome) -> list[int]:
    return [row.sell_order for row in rows_of(outcome, Trade)]


def buyers(outcome: Outcome) -> list[int]:
    return [row.buy_order for row in rows_of(outcome, Trade)]


def prevented(outcome: Outcome) -> list[tuple[int, float, float]]:
    """Maker, and what taker and maker lost, of each prevented match."""
    return [
        (row.maker_order, row.taker_quantity / UNIT, row.maker_quantity / UNIT)
        for row in rows_of(outcome, PreventedMatch)
    ]


def live_rows(engine: MatchingEngine) -> list[Row]:
    """The engine's live state as rows, in the order in which a snapshot hands them out."""
    books = [engine.books[symbol] for symbol in sorted(engine.books)]
    rows: list[Row] = [*engine.registry.assets.values(), *(book.market for book in books)]
    if engine.registry.exchange_rules != ExchangeRules():
        rows.append(engine.registry.exchange_rules)
    rows += [book.counters() for book in books]
    rows += [row for book in books if (row := book.average_prices()) is not None]
    rows += [book.beginning for book in books if book.beginning is not None]
    rows += [
        *engine.registry.accounts.values(),
        *engine.registry.keys.values(),
        *engine.ledger.rows(),
    ]
    for book in books:
        rows += [book.lists[list_id] for list_id in sorted(book.lists)]
    for book in books:
        rows += by_queue(book.orders.values())
    withdrawals = engine.withdrawals._by_reference.values()
    return rows + sorted((one for one in withdrawals if one.is_open), key=lambda one: one.number)


def by_queue(orders: Iterable[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: order.queue)


def started_from_rows(engine: MatchingEngine, outcomes: Iterable[Outcome]) -> MatchingEngine:
    """What a start makes of the live rows, and of the past that still decides."""
    started = MatchingEngine()
    for row in live_rows(engine):
        started.restore(row)
    for outcome in outcomes:
        for row in outcome.rows:
            if isinstance(row, Transfer | Withdrawal | Act):
                started.restore(row)
        if outcome.signed_request is not None:
            started.requests.remember(outcome.signed_request)
    return started


class WatchedVenue(Venue):
    """After every command all invariants hold, and an engine that is started from the rows of that
    moment, or has followed all outcomes, executes the next command alike."""

    def __init__(self, *markets: Market) -> None:
        self._follower = MatchingEngine()
        super().__init__(*markets)

    def do(self, command: AnyCommand) -> Outcome:
        started = started_from_rows(self.engine, self.outcomes)
        outcome = super().do(command)
        check_invariants(self.engine)
        assert started.apply(outcome.number, command, outcome.time) == outcome
        self._follower.follow(outcome)
        assert live_rows(started) == live_rows(self.engine) == live_rows(self._follower)
        check_invariants(self._follower)
        return outcome
