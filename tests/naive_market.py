"""One market of the slow, obvious exchange: how its orders trade, wait, start and end."""

from collections.abc import Callable
from copy import copy
from functools import partial
from typing import Protocol

from msgspec.structs import replace
from naive_orders import (
    CONTINGENT,
    WITHOUT_PRICE,
    NaiveList,
    NaiveOrder,
    NaivePrevention,
    NaiveTrade,
    Step,
    Sweep,
)
from naive_rules import failed, refused

from exchange.services.markets import Market, Mode
from exchange.services.messages import Reason, Rejected
from exchange.services.orders import (
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)

MINUTE = 60_000_000


class Treasury(Protocol):
    """Whoever knows what everybody owns."""

    def free(self, account: int, asset: str) -> int: ...
    def own(self, account: int, asset: str, amount: int) -> None: ...
    def charge(
        self, market: Market, order: NaiveOrder, trade: NaiveTrade, *, is_maker: bool
    ) -> tuple[int, str]: ...


class NaiveMarket:
    """Everything is a list; what is asked is looked for, from the beginning, each time."""

    def __init__(self, market: Market, treasury: Treasury) -> None:
        self.market = market
        self.treasury = treasury
        self.orders: list[NaiveOrder] = []
        self.lists: list[NaiveList] = []
        self.past_orders: list[NaiveOrder] = []
        self.past_lists: list[NaiveList] = []
        self.trades: list[NaiveTrade] = []
        self.preventions: list[NaivePrevention] = []
        self.traded: list[tuple[int, int, int]] = []  # minute, base, quote
        self.last_price = 0
        self.now = 0
        self.places = 0
        self.due: list[Callable[[], None]] = []

    def begin_anew(self) -> None:
        for order in self.open_orders():
            if order.is_open:
                self.cancel(order)
        self.traded, self.last_price = [], 0
        self.market = replace(self.market, mode=Mode.RUNNING, created=self.now)

    # --- Questions ---

    @property
    def known_orders(self) -> int:
        return len(self.orders) + len(self.past_orders)

    def open_orders(self, account: int | None = None) -> list[NaiveOrder]:
        return [o for o in self.orders if o.is_open and account in (None, o.account)]

    def open_lists(self, account: int | None = None) -> list[NaiveList]:
        return [one for one in self.lists if one.is_open and account in (None, one.account)]

    def resting(self, side: Side) -> list[NaiveOrder]:
        """By price and then by their turn."""
        sign = 1 if side is Side.SELL else -1
        orders = [o for o in self.orders if o.is_resting and o.side is side]
        return sorted(orders, key=lambda o: (sign * o.price, o.place))

    def list_of(self, order: NaiveOrder) -> NaiveList | None:
        return next((one for one in self.open_lists() if one.id == order.list_id), None)

    def asset(self, side: Side) -> str:
        """What an order of that side holds."""
        return self.market.quote if side is Side.BUY else self.market.base

    def quote(self, price: int, quantity: int) -> int:
        return price * quantity // self.market.base_unit

    def average_price(self) -> int:
        this_minute = self.now // MINUTE
        first = this_minute - self.market.average_price_minutes + 1
        recent = [one for one in self.traded if first <= one[0] <= this_minute]
        base = sum(one[1] for one in recent)
        if not base:
            return self.last_price
        return sum(one[2] for one in recent) * self.market.base_unit // base

    def need(self, order: NaiveOrder) -> int:
        """What an order by itself must hold, while it is open, for all that it can still trade."""
        if order.new.type in WITHOUT_PRICE and not order.waiting:
            return order.reserved
        if order.side is Side.SELL:
            return order.remaining
        if order.price:
            return self.quote(order.price, order.remaining)
        # Rounded up.
        return -(-order.lock_price * order.remaining // self.market.base_unit)

    def locked(self, order: NaiveOrder) -> int:
        """What it holds: of two legs the first holds what the needier one needs."""
        if not order.is_open or order.is_pending:
            return 0
        order_list = self.list_of(order)
        legs = [] if order_list is None else [leg for leg in order_list.legs if leg.is_open]
        if order not in legs:
            return self.need(order)
        return max(self.need(leg) for leg in legs) if order is legs[0] else 0

    # --- Beginning ---

    def prepare(self, order: NaiveOrder) -> None:
        """Make it ready to begin now."""
        order.waiting = order.new.type in CONTINGENT
        if order.waiting and not order.price and order.side is Side.BUY:
            trail = 10_000 + order.new.trailing_delta
            order.lock_price = order.new.stop_price or -(-self.last_price * trail // 10_000)

    def hindrance(self, orders: list[NaiveOrder]) -> Rejected | None:
        """Why an order, or two that are legs of an OCO, cannot begin now; they are prepared."""
        for order in orders:
            self.prepare(order)
        if len(orders) == 2 and not self.are_apart(*orders):
            return refused(Reason.LIST_PRICES)
        needs = []
        for order in orders:
            if order.waiting:
                if not order.new.trailing_delta and order.meets_stop(self.last_price):
                    return refused(Reason.WOULD_TRIGGER)
                needs.append(self.need(order))
                continue
            best = self.resting(_other(order.side))
            if order.new.type is OrderType.LIMIT_MAKER and best and order.crosses(best[0].price):
                return refused(Reason.WOULD_MATCH)
            if order.new.type is not OrderType.MARKET:
                needs.append(self.need(order))
                continue
            sweep = self.sweep(order)
            if (refusal := self.market_refusal(order, sweep)) is not None:
                return refusal
            needs.append(self.reserve_of(order, sweep.steps))
            if order.side is Side.BUY:
                needs.append(order.new.quote_quantity or 0)
        free = self.treasury.free(orders[0].account, self.asset(orders[0].side))
        return refused(Reason.INSUFFICIENT_BALANCE) if free < max(needs) else None

    def market_refusal(self, order: NaiveOrder, sweep: Sweep) -> Rejected | None:
        """It needs somebody to trade with, and by quote amount no less than the least lot."""
        if not self.resting(_other(order.side)):
            return refused(Reason.NO_LIQUIDITY)
        if order.new.quote_quantity is None or sweep.why == "range":
            return None
        if any(not step.traded for step in sweep.steps):
            return None
        rules = self.market.rules
        for name, least in (
            ("LOT_SIZE", self.market.quantity_min),
            ("MARKET_LOT_SIZE", rules.market_quantity_min if rules.market_lot else 0),
        ):
            if sweep.traded < least:
                ran_out = sweep.why == "nobody" and self.could_take_more(sweep)
                return refused(Reason.TOO_LITTLE_LIQUIDITY, name) if ran_out else failed(name)
        return None

    def are_apart(self, above: NaiveOrder, below: NaiveOrder) -> bool:
        high = above.price if above.new.type not in CONTINGENT else above.new.stop_price
        low = below.price if below.new.type not in CONTINGENT else below.new.stop_price
        if high and low and high <= low:
            return False
        if not self.last_price:
            return True
        return (not high or high > self.last_price) and (not low or low < self.last_price)

    def begin(self, order: NaiveOrder) -> None:
        """Let a prepared order wait, or work at once."""
        if order.waiting:
            order.worked_since = 0
        elif order.is_pending:
            order.worked_since = self.now
        order.status = OrderStatus.NEW
        order.place = self.next_place()
        if not order.waiting:
            self.take(order)
            return
        if order.new.trailing_delta and (
            not order.new.stop_price or order.meets_stop(self.last_price)
        ):
            order.follows, order.extreme = True, self.last_price

    def next_place(self) -> int:
        self.places += 1
        return self.places

    def finish(self) -> None:
        """Whatever was set off happens now, first in first out; then what has ended is put away."""
        while self.due:
            self.due.pop(0)()
        self.past_orders += [order for order in self.orders if not order.is_open]
        self.past_lists += [one for one in self.lists if not one.is_open]
        self.orders, self.lists = self.open_orders(), self.open_lists()

    # --- Trading ---

    def sweep(self, taker: NaiveOrder, funds: int | None = None) -> Sweep:
        """Whom it meets, step by step; played through with copies of all who rest."""
        taker, by_quote = copy(taker), taker.new.quote_quantity is not None
        sweep = Sweep(taker.new.quote_quantity if by_quote else funds, by_quote)
        if by_quote:
            most = self.market.rules.market_quantity_max or self.market.quantity_max
            taker.quantity = min(self.market.quantity_max, most)
        makers = [copy(maker) for maker in self.resting(_other(taker.side))]
        while not sweep.why:
            makers = [maker for maker in makers if maker.remaining]
            makers.sort(key=lambda o: (o.price if o.side is Side.SELL else -o.price, o.place))
            sweep.why = self.meet(sweep, taker, makers[0] if makers else None)
        if by_quote:
            self.leave_odd_lots(sweep)
        return sweep

    def meet(self, sweep: Sweep, taker: NaiveOrder, maker: NaiveOrder | None) -> str:
        """Add the next step of a sweep; why there can be no other after it, or at all."""
        if maker is None or not taker.crosses(maker.price):
            return "nobody"
        if not self.in_range(taker.side, maker.price):
            return "range"
        piece = min(maker.shown, taker.remaining)
        if sweep.budget is not None:
            piece = min(piece, self.affordable(sweep.budget, maker.price))
            if not piece:
                return "spent"
        step = self.meeting(taker, maker, piece, by_quote=sweep.by_quote)
        sweep.steps.append(step)
        if sweep.budget is not None:
            sweep.budget -= self.quote(maker.price, step.used)
        taker.filled += step.traded
        taker.prevented += step.taker_prevented
        maker.filled += step.traded
        maker.prevented += step.maker_prevented
        if maker.remaining:
            # In this sweep its next slice comes after all that were there before it.
            maker.lose(step.traded + step.maker_prevented, self.places + len(sweep.steps))
        if step.taker_prevented and (not step.used or not taker.remaining):
            return "self"
        return "" if taker.remaining else "done"

    def meeting(self, taker: NaiveOrder, maker: NaiveOrder, piece: int, *, by_quote: bool) -> Step:
        """What happens between the two: a trade, or what self-trade prevention says."""
        mode, step = taker.self_trade, Step(maker.id, maker.price)
        if taker.account != maker.account or mode is SelfTrade.NONE:
            step.used = step.traded = piece
        elif mode is SelfTrade.DECREMENT:
            step.used = step.taker_prevented = step.maker_prevented = piece
        else:
            if mode is not SelfTrade.EXPIRE_MAKER:
                # A quote amount has no quantity of its own but what it could trade here.
                step.taker_prevented = piece if by_quote else taker.remaining
            if mode is not SelfTrade.EXPIRE_TAKER:
                step.maker_prevented = maker.remaining
        return step

    def affordable(self, budget: int, price: int) -> int:
        quantity = budget * self.market.base_unit // price
        return quantity - quantity % self.market.lot

    def could_take_more(self, sweep: Sweep) -> bool:
        """Whether the rest of a quote amount is worth a lot at the price it met last."""
        return not sweep.steps or self.affordable(sweep.budget or 0, sweep.steps[-1].price) > 0

    def in_range(self, side: Side, price: int) -> bool:
        rules, average = self.market.rules, self.average_price()
        up, down = rules.range_ask_up, rules.range_ask_down
        if side is Side.BUY:
            up, down = rules.range_bid_up, rules.range_bid_down
        if not average:
            return True
        return (not up or price * 10**6 <= average * up) and price * 10**6 >= average * down

    def take(self, order: NaiveOrder, funds: int | None = None) -> None:
        """Do what the sweep says; what is left rests or ends."""
        sweep = self.sweep(order, funds)
        if order.new.quote_quantity is not None:
            order.quantity = sum(step.traded + step.taker_prevented for step in sweep.steps)
        if order.new.time_in_force is TimeInForce.FOK and sweep.traded < order.remaining:
            self.end(order, OrderStatus.EXPIRED, ExpiryReason.UNFILLED_FOK)
            return
        for number, step in enumerate(sweep.steps, 1):
            if not order.price:
                order.reserved = self.reserve_of(order, sweep.steps[number:])
            maker = next(one for one in self.orders if one.id == step.maker)
            if step.traded:
                self.trade(order, maker, step)
            else:
                self.prevent(order, maker, step)
        self.settle_down(order, sweep)

    def settle_down(self, order: NaiveOrder, sweep: Sweep) -> None:
        if sweep.why == "self":
            self.end(order, OrderStatus.EXPIRED_IN_MATCH)
        elif sweep.why == "range":
            self.end(order, OrderStatus.EXPIRED, ExpiryReason.PRICE_RANGE_EXCEEDED)
        elif sweep.why == "done" or (
            sweep.by_quote and (sweep.why == "spent" or not self.could_take_more(sweep))
        ):
            is_lost = sweep.by_quote and sweep.steps and sweep.steps[-1].taker_prevented
            self.end(order, OrderStatus.EXPIRED_IN_MATCH if is_lost else OrderStatus.FILLED)
        elif sweep.why == "spent":
            self.end(order, OrderStatus.EXPIRED, ExpiryReason.REJECTED)
        elif not order.price:
            self.end(order, OrderStatus.EXPIRED, ExpiryReason.INSUFFICIENT_LIQUIDITY)
        elif order.new.time_in_force is TimeInForce.IOC:
            self.end(order, OrderStatus.EXPIRED, ExpiryReason.UNFILLED_IOC)
        else:
            order.place = self.next_place()
            order.show_slice()

    def leave_odd_lots(self, sweep: Sweep) -> None:
        """A quote amount takes no odd lots: the last of what it would take is left out."""
        lot = self.market.rules.market_lot
        too_much = sweep.traded % lot if lot else 0
        for step in reversed(sweep.steps):
            cut = min(too_much, step.traded)
            step.traded -= cut
            too_much -= cut
        sweep.steps = [
            step
            for step in sweep.steps
            if step.traded or step.taker_prevented or step.maker_prevented
        ]

    def reserve_of(self, order: NaiveOrder, steps: list[Step]) -> int:
        if order.side is Side.SELL:
            return sum(step.traded for step in steps)
        return sum(self.quote(step.price, step.traded) for step in steps)

    def trade(self, taker: NaiveOrder, maker: NaiveOrder, step: Step) -> None:
        self.lead(maker)
        quote = self.quote(step.price, step.traded)
        for order in (taker, maker):
            order.filled += step.traded
            order.filled_quote += quote
            order.status = OrderStatus.PARTIALLY_FILLED if order.remaining else OrderStatus.FILLED
        if maker.remaining:
            maker.lose(step.traded, self.next_place())
        buyer, seller = (taker, maker) if taker.side is Side.BUY else (maker, taker)
        trade = NaiveTrade(step.price, step.traded, buyer.id, seller.id, taker.side)
        base_asset, quote_asset = self.market.base, self.market.quote
        self.treasury.own(buyer.account, quote_asset, -quote)
        self.treasury.own(buyer.account, base_asset, step.traded)
        self.treasury.own(seller.account, base_asset, -step.traded)
        self.treasury.own(seller.account, quote_asset, quote)
        charge = self.treasury.charge
        trade.buy_fee = charge(self.market, buyer, trade, is_maker=buyer is maker)
        trade.sell_fee = charge(self.market, seller, trade, is_maker=seller is maker)
        self.trades.append(trade)
        self.remember(step.traded, quote)
        self.last_price = step.price
        self.react(step.price)
        if not maker.remaining:
            self.after(maker)

    def remember(self, quantity: int, quote: int) -> None:
        """Keep the minutes that the average may need; a clock that was set back changes which."""
        minute = self.now // MINUTE
        self.traded.append((minute, quantity, quote))
        minutes = {one[0] for one in self.traded}
        if len(minutes) > max(1, self.market.average_price_minutes):
            farthest = max(minutes, key=lambda one: (abs(one - minute), one))
            self.traded = [one for one in self.traded if one[0] != farthest]

    def prevent(self, taker: NaiveOrder, maker: NaiveOrder, step: Step) -> None:
        number = len(self.preventions) + 1
        self.preventions.append(
            NaivePrevention(
                number,
                taker.id,
                maker.id,
                taker.self_trade,
                step.price,
                step.taker_prevented,
                step.maker_prevented,
            )
        )
        if step.maker_prevented:
            self.lead(maker)
            maker.prevented += step.maker_prevented
            maker.prevented_match = number
            if maker.remaining:
                maker.lose(step.maker_prevented, self.next_place())
            else:
                self.end(maker, OrderStatus.EXPIRED_IN_MATCH)
        if step.taker_prevented:
            taker.prevented += step.taker_prevented
            taker.prevented_match = number

    # --- Prices that set off ---

    def react(self, price: int) -> None:
        waiting = [o for o in self.orders if o.is_open and o.waiting and not o.is_due]
        rising: list[NaiveOrder] = []
        falling: list[NaiveOrder] = []
        trailing: list[NaiveOrder] = []
        for order in sorted(waiting, key=lambda o: o.place):
            if order.follows:
                if order.follow(price):
                    trailing.append(order)
            elif order.new.trailing_delta and not order.new.stop_price:
                raise AssertionError(order)
            elif order.meets_stop(price):
                if order.new.trailing_delta:
                    order.follows, order.extreme = True, price
                elif order.waits_for_a_rise:
                    rising.append(order)
                else:
                    falling.append(order)
        rising.sort(key=lambda o: o.new.stop_price)
        falling.sort(key=lambda o: -o.new.stop_price)
        for order in rising + falling + trailing:
            order.is_due = True
            self.due.append(partial(self.set_off, order))

    def set_off(self, order: NaiveOrder) -> None:
        if not order.is_open:
            return
        self.lead(order)
        funds = None
        if not order.price and order.side is Side.BUY:
            funds = self.need(order) + self.treasury.free(order.account, self.market.quote)
        order.waiting, order.worked_since = False, self.now
        self.take(order, funds)

    # --- Ends, and what follows from them ---

    def end(
        self, order: NaiveOrder, status: OrderStatus, reason: ExpiryReason | None = None
    ) -> None:
        order.status, order.reason = status, reason
        self.after(order)

    def cancel(self, order: NaiveOrder) -> list[int]:
        """With all others of its list; the ids of what was open."""
        order_list = self.list_of(order)
        orders = [order] if order_list is None else order_list.orders
        ended = [one for one in orders if one.is_open]
        for one in ended:
            one.status = OrderStatus.CANCELED
        if order_list is not None:
            order_list.status = ListStatus.ALL_DONE
        return [one.id for one in ended]

    def lead(self, order: NaiveOrder) -> None:
        """The first of two legs that trades, or is set off, ends the other one."""
        order_list = self.list_of(order)
        if order_list is not None and order in order_list.legs:
            for leg in order_list.legs:
                if leg is not order and leg.is_open:
                    leg.status, leg.reason = OrderStatus.EXPIRED, ExpiryReason.OCO_TRIGGER

    def after(self, order: NaiveOrder) -> None:
        """Start what waited for this order to be filled, or end it; and end its list if need be."""
        order_list = self.list_of(order)
        if order_list is None:
            return
        pending = [one for one in order_list.orders if one.is_pending]
        if pending and order.status is OrderStatus.FILLED:
            self.due.append(partial(self.start, order_list))
            return
        for one in pending:
            one.status, one.reason = OrderStatus.EXPIRED, ExpiryReason.OTO_PHASE_ONE_EXPIRED
        if not any(one.is_open for one in order_list.orders):
            order_list.status = ListStatus.ALL_DONE

    def start(self, order_list: NaiveList) -> None:
        """Let the orders begin that waited for the working one."""
        pending = [one for one in order_list.orders if one.is_pending]
        hindrance = self.hindrance(pending)
        for order in pending:
            if hindrance is not None:
                order.status, order.reason = OrderStatus.EXPIRED, ExpiryReason.REJECTED
                order_list.status = ListStatus.ALL_DONE
            else:
                self.begin(order)


def _other(side: Side) -> Side:
    return Side.SELL if side is Side.BUY else Side.BUY
