"""A matching engine with one market, and a short way to give it commands."""

from collections.abc import Iterable

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.order_book import OrderBook
from exchange.services.markets import Asset, Market
from exchange.services.messages import (
    AddAsset,
    AddMarket,
    AnyCommand,
    CancelOrder,
    CreateAccount,
    Created,
    Deposit,
    Order,
    OrderType,
    Outcome,
    Placed,
    PlaceOrder,
    Reason,
    Rejected,
    Row,
    Side,
    TimeInForce,
    Trade,
)

UNIT = 10**8
SYMBOL = "SOLUSDC"
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
)


class Venue:
    """Commands get the next number and the next microsecond; amounts are whole units or decimals."""

    def __init__(self, market: Market = MARKET) -> None:
        self.engine = MatchingEngine()
        self.number = 0
        self.now = 1_700_000_000_000_000
        self.outcomes: list[Outcome] = []
        self.commands: list[AnyCommand] = []
        self.do(AddAsset(uid=1, asset=Asset(market.base, market.base_decimals)))
        self.do(AddAsset(uid=1, asset=Asset(market.quote, market.quote_decimals)))
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

    def order(
        self,
        account: int,
        side: Side,
        quantity: float | None,
        price: float | None = None,
        *,
        type: OrderType | None = None,
        time_in_force: TimeInForce = TimeInForce.GTC,
        quote_quantity: float | None = None,
        client_order_id: str = "",
        request: bytes | None = None,
        deadline: int = 0,
    ) -> Outcome:
        """A limit order, or a market order where there is no price."""
        return self.do(
            PlaceOrder(
                uid=1,
                account=account,
                symbol=SYMBOL,
                side=side,
                type=type or (OrderType.MARKET if price is None else OrderType.LIMIT),
                time_in_force=time_in_force,
                price=round((price or 0) * UNIT),
                quantity=None if quantity is None else round(quantity * UNIT),
                quote_quantity=None if quote_quantity is None else round(quote_quantity * UNIT),
                client_order_id=client_order_id or f"c{self.number}",
                request=request,
                deadline=deadline,
            )
        )

    def cancel(self, account: int, order_id: int) -> Outcome:
        return self.do(CancelOrder(uid=1, account=account, symbol=SYMBOL, order_id=order_id))

    def free(self, account: int, asset: str) -> float:
        return self.engine.ledger.free(account, asset) / UNIT

    def locked(self, account: int, asset: str) -> float:
        return self.engine.ledger.locked(account, asset) / UNIT


def reason(outcome: Outcome) -> Reason | None:
    return outcome.result.reason if isinstance(outcome.result, Rejected) else None


def placed(outcome: Outcome) -> Order:
    """The new order as its outcome leaves it."""
    assert isinstance(outcome.result, Placed), outcome.result
    order_id = outcome.result.order_id
    return next(row for row in outcome.rows if isinstance(row, Order) and row.id == order_id)


def trades(outcome: Outcome) -> list[tuple[float, float]]:
    """Price and quantity of each trade, in whole units."""
    found = [row for row in outcome.rows if isinstance(row, Trade)]
    return [(row.price / UNIT, row.quantity / UNIT) for row in found]


def live_rows(engine: MatchingEngine) -> list[Row]:
    """The engine's live state as rows, in the order in which a snapshot hands them out."""
    rows: list[Row] = [
        *engine.registry.assets.values(),
        *(book.market for book in engine.books.values()),
    ]
    rows += engine.counters()
    rows += [
        *engine.registry.accounts.values(),
        *engine.registry.keys.values(),
        *engine.ledger.rows(),
    ]
    for book in engine.books.values():
        rows += _by_queue(book.orders.values())
    return rows


def _by_queue(orders: Iterable[Order]) -> list[Order]:
    return sorted(orders, key=lambda order: order.queue)


def check_invariants(engine: MatchingEngine) -> None:
    """What holds after every command, worked out from the whole state."""
    _check_conservation(engine)
    needed: dict[tuple[int, str], int] = {}
    for book in engine.books.values():
        _check_book(book)
        for order in book.orders.values():
            asset = book.market.quote if order.side is Side.BUY else book.market.base
            key = (order.account, asset)
            needed[key] = needed.get(key, 0) + order.locked
    for row in engine.ledger.rows():
        assert row.free >= 0
        assert row.locked == needed.get((row.account, row.asset), 0), row


def _check_conservation(engine: MatchingEngine) -> None:
    total: dict[str, int] = {}
    for row in engine.ledger.rows():
        total[row.asset] = total.get(row.asset, 0) + row.free + row.locked
    assert total == engine.ledger.supply


def _check_book(book: OrderBook) -> None:
    bid, ask = book.side(Side.BUY).best_price(), book.side(Side.SELL).best_price()
    assert bid is None or ask is None or bid < ask, (bid, ask)
    for side in Side:
        orders = list(book.side(side).orders())
        assert orders == _by_priority(orders)
        for price in {order.price for order in orders}:
            total = sum(order.quantity - order.filled for order in orders if order.price == price)
            assert book.side(side).quantity(price) == total
    for order in book.orders.values():
        remaining = order.quantity - order.filled
        assert order.is_open
        assert remaining > 0
        needed = remaining
        if order.side is Side.BUY:
            needed = book.market.notional(order.price, remaining)
        assert order.locked == needed, order


def _by_priority(orders: Iterable[Order]) -> list[Order]:
    def priority(order: Order) -> tuple[int, int]:
        return (-order.price if order.side is Side.BUY else order.price, order.queue)

    return sorted(orders, key=priority)
