"""Traders without a plan: random commands that meet each other often, in every combination."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace
from venue import NO_RULES, UNIT

from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import (
    AmendOrder,
    AnyCommand,
    CancelAllOrders,
    CancelList,
    CancelOrder,
    ChangeAccount,
    ChangeExchange,
    ChangeMarket,
    Deposit,
    NewOrder,
    PlaceList,
    PlaceOrder,
    ReplaceOrder,
    Reset,
    SetMode,
    Withdraw,
)
from exchange.services.markets import ExchangeRules, Feature, Mode, Rules, Tier
from exchange.services.orders import (
    Contingency,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import Order

CENT = UNIT // 100
LOT = UNIT // 1000

# Most of the time nothing is forbidden.
MARKET_RULES: tuple[Rules, ...] = (
    replace(NO_RULES, price_up=1_000_400, price_down=999_700),
    replace(NO_RULES, bid_up=1_000_500, bid_down=999_000, ask_up=1_001_000, ask_down=999_500),
    replace(NO_RULES, range_bid_up=1_000_300, range_ask_down=999_700),
    replace(NO_RULES, market_lot=10 * LOT, market_quantity_min=60 * LOT, market_quantity_max=UNIT),
    replace(NO_RULES, notional_min_for_market=False, notional_max_for_market=True),
    replace(NO_RULES, trailing_above_min=2, trailing_above_max=40, trailing_below_max=30),
    replace(NO_RULES, orders_max=6, algo_orders_max=3, iceberg_orders_max=1, order_lists_max=1),
    replace(NO_RULES, iceberg_parts=4, amends_max=1, position_max=11 * UNIT),
    replace(NO_RULES, order_types=(OrderType.LIMIT, OrderType.MARKET, OrderType.STOP_LOSS)),
    replace(NO_RULES, features=(Feature.OCO, Feature.ICEBERG, Feature.QUOTE_QUANTITY)),
    replace(
        NO_RULES,
        self_trade_modes=(SelfTrade.EXPIRE_MAKER, SelfTrade.DECREMENT),
        self_trade_default=SelfTrade.DECREMENT,
    ),
    replace(NO_RULES, fee_discount=False, tiers=(Tier(tier=2, maker_rate=0, taker_rate=333),)),
    *([replace(NO_RULES, tiers=(Tier(tier=1, maker_rate=100, taker_rate=77_777),))] * 6),
    *([NO_RULES] * 6),
)

# None of them is what there is before anybody has set any: that has no row.
EXCHANGE_RULES: tuple[ExchangeRules, ...] = (
    ExchangeRules(orders_max=8, algo_orders_max=4, iceberg_orders_max=2, order_lists_max=1),
    ExchangeRules(assets_max={"SOL": UNIT, "USDC": 200 * UNIT}),
    ExchangeRules(discount_asset="USDC", discount=750_000),
    ExchangeRules(discount_asset="SOL", discount=333_333),
    *([ExchangeRules(discount_asset="BNB", discount=750_000)] * 4),
    ExchangeRules(discount=0),
)


class Crowd:
    """What its traders ask for next, given what they have open in an engine."""

    def __init__(
        self,
        engine: MatchingEngine,
        accounts: Sequence[int],
        symbols: Sequence[str],
        *,
        spread: int = 12,
    ) -> None:
        """`spread` is how many ticks their prices are apart from the last one, at most."""
        self.spread = spread
        self.engine = engine
        self.accounts = accounts
        self.symbols = symbols
        self._names = 0

    def command(self, chance: Random) -> AnyCommand:
        if chance.random() < 0.1 and (opening := self._opening()) is not None:
            return opening
        (ask,) = chance.choices(
            (
                self.place,
                self.place_list,
                self.cancel,
                self.replace,
                self.amend,
                self.move_money,
                self.change,
            ),
            (50, 10, 16, 8, 8, 5, 3),
        )
        return ask(chance)

    # --- Orders ---

    def place(self, chance: Random) -> AnyCommand:
        symbol = self._symbol(chance)
        return PlaceOrder(
            uid=1,
            account=self._account(chance),
            symbol=symbol,
            order=self.order(chance, symbol),
        )

    def order(self, chance: Random, symbol: str) -> NewOrder:
        side = chance.choice(tuple(Side))
        make: Callable[[Random, str, Side], NewOrder]
        (make,) = chance.choices((self._limit, self._market, self._stop), (55, 15, 30))
        return make(chance, symbol, side)

    def _limit(self, chance: Random, symbol: str, side: Side) -> NewOrder:
        order = self._new(chance, side, OrderType.LIMIT, self._price(chance, symbol))
        kind = chance.random()
        if kind < 0.1:
            return replace(order, type=OrderType.LIMIT_MAKER)
        if kind < 0.3:
            return replace(order, time_in_force=chance.choice(tuple(TimeInForce)))
        return self._iceberg(chance, order) if kind < 0.5 else order

    def _market(self, chance: Random, symbol: str, side: Side) -> NewOrder:
        order = self._new(chance, side, OrderType.MARKET, 0)
        if chance.random() < 0.6:
            return order
        amount = chance.choice((5, 10, 33, 100, 333)) * UNIT + chance.randrange(UNIT)
        return replace(order, quantity=None, quote_quantity=amount)

    def _stop(self, chance: Random, symbol: str, side: Side) -> NewOrder:
        type = chance.choice(
            (
                OrderType.STOP_LOSS,
                OrderType.STOP_LOSS_LIMIT,
                OrderType.TAKE_PROFIT,
                OrderType.TAKE_PROFIT_LIMIT,
            )
        )
        return self._contingent(chance, symbol, side, type)

    def _contingent(
        self, chance: Random, symbol: str, side: Side, type: OrderType, distance: int = 0
    ) -> NewOrder:
        """Mostly on the side of the last price where it has to wait."""
        rises = (type in (OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)) == (side is Side.BUY)
        away = (distance or chance.randint(1, self.spread)) * CENT * (1 if rises else -1)
        if chance.random() < 0.05:
            away = -away
        stop = self._last(symbol) + away
        trail = 0
        if chance.random() < 0.4:
            trail = chance.choice((1, 2, 3, 5, 8, 20, 35))
            if chance.random() < 0.5:
                stop = 0
        price = 0
        if type in (OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT):
            price = self._price(chance, symbol)
        order = self._new(chance, side, type, price)
        order = replace(order, stop_price=stop, trailing_delta=trail)
        if price and chance.random() < 0.2:
            return replace(order, time_in_force=chance.choice(tuple(TimeInForce)))
        return self._iceberg(chance, order) if price and chance.random() < 0.2 else order

    def _iceberg(self, chance: Random, order: NewOrder) -> NewOrder:
        return replace(order, iceberg_quantity=chance.choice((10, 50, 77, 200)) * LOT)

    def _new(self, chance: Random, side: Side, type: OrderType, price: int) -> NewOrder:
        self._names += 1
        mode = chance.choice((None, None, *SelfTrade))
        # A small pool of names is used again and again.
        name = f"id-{self._names}" if chance.random() < 0.9 else f"again-{chance.randrange(4)}"
        return NewOrder(
            side=side,
            type=type,
            price=price,
            quantity=self._quantity(chance),
            client_order_id=name,
            self_trade=mode,
        )

    # --- Lists ---

    def place_list(self, chance: Random) -> AnyCommand:
        symbol = self._symbol(chance)
        contingency = Contingency.OTO
        orders: tuple[NewOrder, ...] = (self._working(chance, symbol),)
        if chance.random() < 0.4:
            contingency, orders = Contingency.OCO, self._legs(chance, symbol)
        elif chance.random() < 0.5:
            orders += self._legs(chance, symbol)
        else:
            orders += (self.order(chance, symbol),)
        self._names += 1
        name = f"list-{self._names}" if chance.random() < 0.9 else "list"
        return PlaceList(
            uid=1,
            account=self._account(chance),
            symbol=symbol,
            contingency=contingency,
            client_list_id=name,
            orders=orders,
        )

    def _working(self, chance: Random, symbol: str) -> NewOrder:
        if chance.random() < 0.05:
            return self.order(chance, symbol)
        return self._limit(chance, symbol, chance.choice(tuple(Side)))

    def _legs(self, chance: Random, symbol: str) -> tuple[NewOrder, NewOrder]:
        """The one above the market's price first; a buyer's gain is the one below."""
        side = chance.choice(tuple(Side))
        distance = chance.randint(1, self.spread)
        loss = self._contingent(
            chance,
            symbol,
            side,
            chance.choice((OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT)),
            distance,
        )
        if chance.random() < 0.6:
            away = chance.randint(1, self.spread) * CENT * (1 if side is Side.SELL else -1)
            gain = self._new(chance, side, OrderType.LIMIT_MAKER, self._last(symbol) + away)
            if chance.random() < 0.2:
                gain = self._iceberg(chance, gain)
        else:
            gain = self._contingent(
                chance,
                symbol,
                side,
                chance.choice((OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT)),
                distance,
            )
        gain = replace(gain, quantity=loss.quantity)
        legs = (gain, loss) if side is Side.SELL else (loss, gain)
        return legs if chance.random() < 0.97 else (legs[1], legs[0])

    # --- Ends and changes ---

    def cancel(self, chance: Random) -> AnyCommand:
        symbol, order = self._open_order(chance)
        kind = chance.random()
        if kind < 0.1:
            return CancelAllOrders(uid=1, account=self._account(chance), symbol=symbol)
        account, named = self._named(chance, order)
        if kind < 0.2 and order is not None:
            list_id = order.terms.list_id or 1
            return CancelList(uid=1, account=account, symbol=symbol, list_id=list_id)
        only = None
        if chance.random() < 0.2:
            only = chance.choice((OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED))
        return CancelOrder(uid=1, account=account, symbol=symbol, only=only, **named)

    def replace(self, chance: Random) -> AnyCommand:
        symbol, order = self._open_order(chance)
        account, named = self._named(chance, order)
        placed = self.order(chance, symbol)
        if order is not None and chance.random() < 0.3:
            placed = replace(placed, client_order_id=order.client_order_id)
        return ReplaceOrder(
            uid=1,
            account=account,
            symbol=symbol,
            order=placed,
            stop_on_failure=chance.random() < 0.5,
            **named,
        )

    def amend(self, chance: Random) -> AnyCommand:
        symbol, order = self._open_order(chance)
        account, named = self._named(chance, order)
        quantity, name = self._quantity(chance), f"amended-{self._names}"
        if order is not None:
            if chance.random() < 0.8:
                lots = order.quantity // LOT
                quantity = chance.randrange(lots // 2, lots + 1) * LOT
            if chance.random() < 0.3:
                name = order.client_order_id
        self._names += 1
        return AmendOrder(
            uid=1,
            account=account,
            symbol=symbol,
            new_client_order_id=name,
            quantity=quantity,
            **named,
        )

    def move_money(self, chance: Random) -> AnyCommand:
        self._names += 1
        move = chance.choice((Deposit, Withdraw))
        asset = chance.choice(("SOL", "USDC", "BNB"))
        amount = chance.randrange(1, 6 * UNIT) * (100 if asset == "USDC" else 1)
        return move(
            uid=1,
            account=self._account(chance),
            asset=asset,
            amount=amount,
            reference=f"money-{self._names}",
        )

    def change(self, chance: Random) -> AnyCommand:
        kind = chance.random()
        if kind < 0.35:
            return ChangeMarket(
                uid=1,
                symbol=self._symbol(chance),
                maker_rate=chance.choice((0, 700)),
                taker_rate=chance.choice((1_300, 0, 99_999)),
                rules=chance.choice(MARKET_RULES),
            )
        if kind < 0.5:
            return ChangeExchange(uid=1, rules=chance.choice(EXCHANGE_RULES))
        if kind < 0.7:
            mode = chance.choice((*Mode, *[Mode.RUNNING] * 6))
            return SetMode(uid=1, symbol=chance.choice((None, self._symbol(chance))), mode=mode)
        if kind < 0.71:
            return Reset(uid=1)
        return ChangeAccount(
            uid=1,
            account=self._account(chance),
            tier=chance.choice((None, 0, 1, 2)),
            discount=chance.choice((None, True, False)),
            stopped=chance.choice((None, True, False, False)),
        )

    def _opening(self) -> AnyCommand | None:
        """What lets a closed market, or a stopped account, go on."""
        if any(book.market.mode is not Mode.RUNNING for book in self.engine.books.values()):
            return SetMode(uid=1, symbol=None, mode=Mode.RUNNING)
        accounts = self.engine.registry.accounts
        stopped = next(
            (one for one in self.accounts if one in accounts and accounts[one].stopped), None
        )
        return None if stopped is None else ChangeAccount(uid=1, account=stopped, stopped=False)

    # --- Choices ---

    def _account(self, chance: Random) -> int:
        return chance.choice(self.accounts)

    def _symbol(self, chance: Random) -> str:
        return self.symbols[0] if chance.random() < 0.85 else chance.choice(self.symbols)

    def _last(self, symbol: str) -> int:
        return self.engine.books[symbol].last_price or 100 * UNIT

    def _price(self, chance: Random, symbol: str) -> int:
        """Near the last one, and near 100 in the long run; off the grid now and then."""
        away = chance.randint(-self.spread, self.spread)
        if chance.random() < 0.02:
            return self._last(symbol) + away * CENT // 3
        pull = (100 * UNIT - self._last(symbol)) // CENT // 20
        return self._last(symbol) + (away + pull) * CENT

    def _quantity(self, chance: Random) -> int:
        """Odd sizes make fees that do not divide."""
        if chance.random() < 0.02:
            return chance.choice((0, 1, LOT // 2, 5 * LOT, 10**9 * UNIT))
        return chance.choice((50, 51, 77, 100, 333, 1_000, 2_500)) * LOT

    def _open_order(self, chance: Random) -> tuple[str, Order | None]:
        symbol = self._symbol(chance)
        orders = list(self.engine.books[symbol].orders.values())
        return symbol, chance.choice(orders) if orders else None

    def _named(self, chance: Random, order: Order | None) -> tuple[int, dict[str, Any]]:
        """Whose order it is, mostly, and one of the ways to name it."""
        account = self._account(chance)
        if order is None:
            return account, {"order_id": 1}
        if chance.random() < 0.95:
            account = order.account
        ids: dict[str, Any] = {
            "order_id": order.id,
            "client_order_id": order.client_order_id,
        }
        if chance.random() < 0.1:
            ids["client_order_id"] = "id-1"
        if chance.random() < 0.7:
            del ids[chance.choice(sorted(ids))]
        return account, ids
