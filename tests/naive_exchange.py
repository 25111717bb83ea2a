"""A slow, obvious exchange, to hold the fast one against.

It keeps lists of orders and what everybody owns in total. Whatever else is asked — the best order,
what is locked, what is free, which stops a price sets off — is worked out anew each time, from the
definitions. It shares nothing with the engine but the words of commands and answers.
"""

from dataclasses import dataclass

from msgspec.structs import replace
from naive_market import NaiveMarket
from naive_orders import NaiveList, NaiveOrder, NaiveTrade
from naive_rules import (
    count_refusal,
    failed,
    is_list,
    order_refusal,
    quantity_filters,
    refused,
    worth_filters,
)

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
from exchange.services.markets import ExchangeRules, Feature, Market, Mode
from exchange.services.messages import (
    Amended,
    Canceled,
    Created,
    Done,
    Listed,
    Placed,
    Reason,
    Rejected,
    Replaced,
    Result,
)
from exchange.services.orders import Contingency, OrderStatus, Side

MILLION = 1_000_000
FEES = 0
"""The account that all fees go to."""


@dataclass
class NaiveAccount:
    tier: int = 0
    discount: bool = False
    stopped: bool = False


class NaiveExchange:
    """Give it the commands that the engine gets; the answers, and all that follows, are the same."""

    def __init__(self, *markets: Market) -> None:
        self.rules = ExchangeRules()
        self.owned: dict[tuple[int, str], int] = {}
        self.accounts: dict[int, NaiveAccount] = {}
        self.markets = {market.symbol: NaiveMarket(market, self) for market in markets}

    def do(self, command: AnyCommand, number: int, now: int) -> Result:
        for market in self.markets.values():
            market.now = now
        result = self.result(command, number)
        for market in self.markets.values():
            market.finish()
        return result

    def result(self, command: AnyCommand, number: int) -> Result:
        match command:
            case Deposit():
                self.own(command.account, command.asset, command.amount)
                return Created(id=number)
            case Withdraw():
                return self.withdraw(command, number)
            case ChangeExchange():
                self.rules = command.rules
                return Done()
            case ChangeAccount():
                return self.change_account(command)
            case SetMode():
                for symbol, naive in self.markets.items():
                    if command.symbol in (None, symbol):
                        naive.market = replace(naive.market, mode=command.mode)
                return Done()
            case Reset():
                for naive in self.markets.values():
                    naive.begin_anew()
                return Done()
            case ChangeMarket():
                naive = self.markets[command.symbol]
                naive.market = replace(
                    naive.market,
                    maker_rate=command.maker_rate,
                    taker_rate=command.taker_rate,
                    rules=command.rules,
                )
                return Done()
            case PlaceOrder():
                return self.place(command, self.markets[command.symbol])
            case PlaceList():
                return self.place_list(command, self.markets[command.symbol], number)
            case ReplaceOrder():
                return self.replace(command, self.markets[command.symbol])
            case AmendOrder():
                return self.amend(command, self.markets[command.symbol])
            case CancelOrder() | CancelList() | CancelAllOrders():
                return self.do_cancel(command, self.markets[command.symbol])
            case _:
                raise AssertionError(command)

    # --- Money ---

    def own(self, account: int, asset: str, amount: int) -> None:
        self.owned[account, asset] = self.owned.get((account, asset), 0) + amount

    def locked(self, account: int, asset: str) -> int:
        return sum(
            market.locked(order)
            for market in self.markets.values()
            for order in market.open_orders(account)
            if market.asset(order.side) == asset
        )

    def free(self, account: int, asset: str) -> int:
        return self.owned.get((account, asset), 0) - self.locked(account, asset)

    def withdraw(self, command: Withdraw, number: int) -> Result:
        if self.free(command.account, command.asset) < command.amount:
            return refused(Reason.INSUFFICIENT_BALANCE)
        self.own(command.account, command.asset, -command.amount)
        return Created(id=number)

    def charge(
        self, market: Market, order: NaiveOrder, trade: NaiveTrade, *, is_maker: bool
    ) -> tuple[int, str]:
        """Take the fee of one side that has just got its part; how much, and of what if of
        something else."""
        account = self.account(order.account)
        maker_rate, taker_rate = market.maker_rate, market.taker_rate
        for tier in market.rules.tiers:
            if tier.tier == account.tier:
                maker_rate, taker_rate = tier.maker_rate, tier.taker_rate
        rate = maker_rate if is_maker else taker_rate
        quote = trade.price * trade.quantity // market.base_unit
        received, asset = quote, market.quote
        if order.side is Side.BUY:
            received, asset = trade.quantity, market.base
        fee, fee_asset = received * rate // MILLION, asset
        if account.discount and market.rules.fee_discount and self.rules.discount_asset:
            value = quote * rate // MILLION * self.rules.discount // MILLION
            cheaper = self.convert(value, market, trade.price)
            if (
                cheaper is not None
                and self.free(order.account, self.rules.discount_asset) >= cheaper
            ):
                fee, fee_asset = cheaper, self.rules.discount_asset
        self.own(order.account, fee_asset, -fee)
        self.own(FEES, fee_asset, fee)
        return fee, "" if fee_asset == asset else fee_asset

    def convert(self, value: int, market: Market, price: int) -> int | None:
        """A quote amount in the discount asset; None if nobody knows what that is worth."""
        wanted = self.rules.discount_asset
        if market.quote == wanted:
            return value
        if market.base == wanted:
            return value * market.base_unit // price
        for _, other in sorted(self.markets.items()):
            pair = (other.market.base, other.market.quote)
            if other.last_price and pair == (wanted, market.quote):
                return value * other.market.base_unit // other.last_price
            if other.last_price and pair == (market.quote, wanted):
                return value * other.last_price // other.market.base_unit
        return None

    # --- Placing ---

    def account(self, account: int) -> NaiveAccount:
        return self.accounts.setdefault(account, NaiveAccount())

    def place(self, command: PlaceOrder, market: NaiveMarket) -> Placed | Rejected:
        refusal = self.refusal(command, (command.order,), market)
        if refusal is not None:
            return refusal
        return self.place_one(command, command.order, market)

    def place_one(
        self, command: PlaceOrder | ReplaceOrder, new: NewOrder, market: NaiveMarket
    ) -> Placed | Rejected:
        """The rest of a placement, which depends on what is open and free now."""
        if self.is_taken(command.account, (new,), market):
            return refused(Reason.DUPLICATE_CLIENT_ORDER_ID)
        (order,) = self.new_orders(command.account, (new,), market)
        hindrance = market.hindrance([order])
        if hindrance is not None:
            return hindrance
        if new.quote_quantity is not None and new.side is Side.BUY:
            steps = market.sweep(order).steps
            bought = sum(step.traded + step.taker_prevented for step in steps)
            if self.exceeds_position(command.account, bought, market):
                return failed("MAX_POSITION")
        market.orders.append(order)
        market.begin(order)
        return Placed(symbol=order.symbol, order_id=order.id)

    def place_list(self, command: PlaceList, market: NaiveMarket, number: int) -> Result:
        oco = command.contingency is Contingency.OCO
        for feature, needed in (
            (Feature.OTO, not oco),
            (Feature.OCO, oco or len(command.orders) == 3),
        ):
            if needed and feature not in market.market.rules.features:
                return refused(Reason.NOT_SUPPORTED, feature.value)
        if not is_list(command.orders, oco=oco):
            return refused(Reason.INVALID)
        refusal = self.refusal(command, command.orders, market)
        if refusal is not None:
            return refusal
        if self.is_taken(command.account, command.orders, market) or any(
            one.client_list_id == command.client_list_id
            for one in market.open_lists(command.account)
        ):
            return refused(Reason.DUPLICATE_CLIENT_ORDER_ID)
        orders = self.new_orders(command.account, command.orders, market)
        beginning = orders if oco else orders[:1]
        hindrance = market.hindrance(beginning)
        if hindrance is not None:
            return hindrance
        for order in orders:
            order.list_id = number
        for order in orders[len(beginning) :]:
            order.status, order.worked_since = OrderStatus.PENDING_NEW, 0
        market.orders += orders
        market.lists.append(
            NaiveList(number, command.account, command.client_list_id, command.contingency, orders)
        )
        for order in beginning:
            market.begin(order)
        return Listed(symbol=command.symbol, list_id=number)

    def new_orders(
        self, account: int, asked: tuple[NewOrder, ...], market: NaiveMarket
    ) -> list[NaiveOrder]:
        return [
            NaiveOrder(
                symbol=market.market.symbol,
                id=market.known_orders + number,
                account=account,
                new=new,
                client_order_id=new.client_order_id,
                quantity=new.quantity or 0,
                self_trade=new.self_trade or market.market.rules.self_trade_default,
            )
            for number, new in enumerate(asked, 1)
        ]

    def refusal(
        self,
        command: PlaceOrder | PlaceList | ReplaceOrder,
        asked: tuple[NewOrder, ...],
        market: NaiveMarket,
    ) -> Rejected | None:
        """Whatever forbids these orders before the book and the balances are looked at."""
        account = command.account
        if command.deadline and command.deadline < market.now:
            return refused(Reason.LATE)
        if market.market.mode is not Mode.RUNNING:
            return refused(Reason.MARKET_CLOSED)
        if self.account(account).stopped:
            return refused(Reason.ACCOUNT_STOPPED)
        for new in asked:
            refusal = order_refusal(market.market, self.rules, new, market.average_price())
            if refusal is not None:
                return refusal
        everywhere = self.markets.values()
        refusal = count_refusal(
            market.market,
            self.rules,
            market.open_orders(account),
            [order for one in everywhere for order in one.open_orders(account)],
            (
                len(market.open_lists(account)),
                sum(len(one.open_lists(account)) for one in everywhere),
            ),
            list(asked),
            adds_list=isinstance(command, PlaceList),
        )
        if refusal is not None:
            return refusal
        buys = [(new.quantity or 0) if new.side is Side.BUY else 0 for new in asked]
        if isinstance(command, PlaceList) and command.contingency is Contingency.OCO:
            bought = max(buys)
        else:
            # Of a third order and the second only one can be filled.
            bought = buys[0] + max(buys[1:], default=0)
        return failed("MAX_POSITION") if self.exceeds_position(account, bought, market) else None

    def exceeds_position(self, account: int, bought: int, market: NaiveMarket) -> bool:
        most = market.market.rules.position_max
        if not most or not bought:
            return False
        buys = [order for order in market.open_orders(account) if order.side is Side.BUY]
        owned = self.owned.get((account, market.market.base), 0)
        return owned + sum(order.remaining for order in buys) + bought > most

    def is_taken(self, account: int, asked: tuple[NewOrder, ...], market: NaiveMarket) -> bool:
        """Whether a client order id is open already, or asked for twice."""
        ids = [new.client_order_id for new in asked]
        ids += [order.client_order_id for order in market.open_orders(account)]
        return any(ids.count(new.client_order_id) > 1 for new in asked)

    # --- Cancelling ---

    def do_cancel(
        self, command: CancelOrder | CancelList | CancelAllOrders, market: NaiveMarket
    ) -> Result:
        if market.market.mode not in (Mode.RUNNING, Mode.CANCEL_ONLY):
            return refused(Reason.MARKET_CLOSED)
        match command:
            case CancelOrder():
                return self.cancel(command, market)
            case CancelList():
                return self.cancel_list(command, market)
            case CancelAllOrders():
                orders = market.open_orders(command.account)
                if not orders:
                    return refused(Reason.NO_OPEN_ORDERS)
                ids = [id for order in orders for id in market.cancel(order)]
                return Canceled(symbol=command.symbol, order_ids=tuple(ids))

    def cancel(
        self, command: CancelOrder | ReplaceOrder, market: NaiveMarket
    ) -> Canceled | Rejected:
        order = self.find(command, market)
        if isinstance(order, Rejected):
            return order
        if command.only is not None and command.only is not order.status:
            return refused(Reason.CANCEL_RESTRICTED)
        return Canceled(symbol=command.symbol, order_ids=tuple(market.cancel(order)))

    def cancel_list(self, command: CancelList, market: NaiveMarket) -> Result:
        for one in market.open_lists(command.account):
            if command.list_id in (None, one.id) and (
                command.client_list_id in (None, one.client_list_id)
            ):
                ids = tuple(market.cancel(one.orders[0]))
                return Canceled(symbol=command.symbol, order_ids=ids)
        return refused(Reason.UNKNOWN_LIST)

    def find(
        self, command: CancelOrder | ReplaceOrder | AmendOrder, market: NaiveMarket
    ) -> NaiveOrder | Rejected:
        wanted, client_id = command.order_id, command.client_order_id
        for order in market.open_orders(command.account):
            if wanted is None and order.client_order_id == client_id:
                return order
            if order.id == wanted:
                if client_id in (None, order.client_order_id):
                    return order
                return refused(Reason.ORDER_ID_MISMATCH)
        return refused(Reason.UNKNOWN_ORDER)

    def change_account(self, command: ChangeAccount) -> Result:
        account = self.account(command.account)
        if command.tier is not None:
            account.tier = command.tier
        if command.discount is not None:
            account.discount = command.discount
        if command.stopped is not None:
            account.stopped = command.stopped
        if account.stopped:
            for market in self.markets.values():
                for order in market.open_orders(command.account):
                    market.cancel(order)
        return Done()

    # --- Changing ---

    def replace(self, command: ReplaceOrder, market: NaiveMarket) -> Result:
        if Feature.CANCEL_REPLACE not in market.market.rules.features:
            return refused(Reason.NOT_SUPPORTED, Feature.CANCEL_REPLACE.value)
        refusal = self.refusal(command, (command.order,), market)
        if refusal is not None:
            return refusal
        canceled = self.cancel(command, market)
        if isinstance(canceled, Rejected) and command.stop_on_failure:
            return Replaced(canceled=canceled, placed=None)
        return Replaced(canceled=canceled, placed=self.place_one(command, command.order, market))

    def amend(self, command: AmendOrder, market: NaiveMarket) -> Result:
        if market.market.mode not in (Mode.RUNNING, Mode.CANCEL_ONLY):
            return refused(Reason.MARKET_CLOSED)
        if Feature.AMEND not in market.market.rules.features:
            return refused(Reason.NOT_SUPPORTED, Feature.AMEND.value)
        order = self.find(command, market)
        if isinstance(order, Rejected):
            return order
        refusal = self.amend_refusal(command, order, market)
        if refusal is not None:
            return refusal
        order.client_order_id = command.new_client_order_id
        order_list = market.list_of(order)
        together = [order]
        if order_list is not None and order in order_list.legs:
            together = [leg for leg in order_list.legs if leg.is_open]
        for one in together:
            one.quantity = command.quantity
            one.shown = min(one.shown, one.remaining)
            one.amends += 1
        return Amended(symbol=command.symbol, order_id=order.id)

    def amend_refusal(
        self, command: AmendOrder, order: NaiveOrder, market: NaiveMarket
    ) -> Rejected | None:
        quantity, rules = command.quantity, market.market.rules
        if quantity == order.quantity:
            return refused(Reason.NO_CHANGE)
        if quantity > order.quantity:
            return refused(Reason.AMEND_INCREASE)
        if rules.amends_max and order.amends >= rules.amends_max:
            return failed("MAX_NUM_ORDER_AMENDS")
        filters = list(quantity_filters(market.market, order.new.type, quantity))
        if price := order.price or market.average_price():
            worth = price * quantity // market.market.base_unit
            filters += worth_filters(market.market, order.new.type, worth)
        for name, passes in filters:
            if not passes:
                return failed(name)
        if quantity <= order.filled + order.prevented:
            return refused(Reason.INVALID)
        others = [one for one in market.open_orders(order.account) if one is not order]
        if any(one.client_order_id == command.new_client_order_id for one in others):
            return refused(Reason.DUPLICATE_CLIENT_ORDER_ID)
        return None
