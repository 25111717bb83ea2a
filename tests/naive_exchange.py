"""A slow, obvious exchange of one market, to hold the fast one against.

It keeps one list of orders and what everybody owns in total. Whatever else is asked — the best
order, what is locked, what is free — is worked out anew each time, from the definitions.
"""

from dataclasses import dataclass, field

from exchange.services.markets import Market
from exchange.services.messages import OrderStatus, OrderType, PlaceOrder, Side, TimeInForce


@dataclass
class NaiveOrder:
    id: int
    command: PlaceOrder
    quantity: int
    filled: int = 0
    filled_quote: int = 0
    status: OrderStatus = OrderStatus.NEW

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled

    @property
    def is_open(self) -> bool:
        return self.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


@dataclass
class NaiveTrade:
    price: int
    quantity: int
    buy_order: int
    sell_order: int


@dataclass
class NaiveExchange:
    market: Market
    owned: dict[tuple[int, str], int] = field(default_factory=dict)
    orders: list[NaiveOrder] = field(default_factory=list)
    trades: list[NaiveTrade] = field(default_factory=list)
    traded: list[tuple[int, int, int]] = field(default_factory=list)  # minute, base, quote

    def deposit(self, account: int, asset: str, amount: int) -> None:
        self.own(account, asset, amount)

    def withdraw(self, account: int, asset: str, amount: int) -> bool:
        if self.free(account, asset) < amount:
            return False
        self.own(account, asset, -amount)
        return True

    def own(self, account: int, asset: str, amount: int) -> None:
        self.owned[account, asset] = self.owned.get((account, asset), 0) + amount

    def locked(self, account: int, asset: str) -> int:
        total = 0
        for order in self.open_orders(account):
            if order.command.side is Side.BUY and asset == self.market.quote:
                total += order.remaining * order.command.price // self.market.base_unit
            if order.command.side is Side.SELL and asset == self.market.base:
                total += order.remaining
        return total

    def free(self, account: int, asset: str) -> int:
        return self.owned.get((account, asset), 0) - self.locked(account, asset)

    def open_orders(self, account: int | None = None) -> list[NaiveOrder]:
        return [
            order
            for order in self.orders
            if order.is_open and account in (None, order.command.account)
        ]

    def cancel(self, account: int, client_order_id: str) -> bool:
        for order in self.open_orders(account):
            if order.command.client_order_id == client_order_id:
                order.status = OrderStatus.CANCELED
                return True
        return False

    def place(self, command: PlaceOrder, now: int) -> str:
        """What became of it: "refused", or the status of the new order."""
        if not self.allowed(command, now):
            return "refused"
        pieces = self.pieces(command)
        taken = sum(quantity for _, quantity in pieces)
        if command.type is OrderType.MARKET and not taken:
            return "refused"
        if command.type is OrderType.LIMIT_MAKER and pieces:
            return "refused"
        if command.time_in_force is TimeInForce.FOK and taken < (command.quantity or 0):
            pieces = []
        if not self.covered(command, pieces):
            return "refused"
        order = NaiveOrder(len(self.orders) + 1, command, command.quantity or taken)
        best_price = pieces[-1][0].command.price if pieces else 0
        for maker, quantity in pieces:
            self.trade(order, maker, quantity, now)
        order.status = self.final_status(order, best_price)
        self.orders.append(order)
        return order.status.value

    def final_status(self, order: NaiveOrder, last_price: int) -> OrderStatus:
        command = order.command
        if command.quote_quantity is not None:
            left = command.quote_quantity - order.filled_quote
            could_buy = left * self.market.base_unit // last_price // self.market.lot
            starved = could_buy and not self.resting(command)
            return OrderStatus.EXPIRED if starved else OrderStatus.FILLED
        if not order.remaining:
            return OrderStatus.FILLED
        if command.type is OrderType.MARKET or command.time_in_force is not TimeInForce.GTC:
            return OrderStatus.EXPIRED
        return OrderStatus.PARTIALLY_FILLED if order.filled else OrderStatus.NEW

    def allowed(self, command: PlaceOrder, now: int) -> bool:
        market = self.market
        price = command.price
        if command.type is OrderType.MARKET:
            price = self.average_price(now)
        elif price % market.tick or not market.tick <= price <= market.price_max:
            return False
        quantity = command.quantity
        if quantity is not None and (
            quantity % market.lot or not market.quantity_min <= quantity <= market.quantity_max
        ):
            return False
        if quantity is None:
            notional = command.quote_quantity or 0
        elif price:
            notional = price * quantity // market.base_unit
        else:
            notional = market.notional_min
        if notional < market.notional_min:
            return False
        if command.type is not OrderType.MARKET and notional > market.notional_max:
            return False
        own = self.open_orders(command.account)
        return all(order.command.client_order_id != command.client_order_id for order in own)

    def average_price(self, now: int) -> int:
        this_minute = now // 60_000_000
        first = this_minute - self.market.average_price_minutes + 1
        recent = [one for one in self.traded if first <= one[0] <= this_minute]
        base = sum(one[1] for one in recent)
        if base:
            return sum(one[2] for one in recent) * self.market.base_unit // base
        return self.trades[-1].price if self.trades else 0

    def resting(self, command: PlaceOrder) -> list[NaiveOrder]:
        """The other side's open orders, best price first, oldest first among equals."""
        other = [order for order in self.open_orders() if order.command.side is not command.side]
        sign = 1 if command.side is Side.BUY else -1
        return sorted(other, key=lambda order: (sign * order.command.price, order.id))

    def pieces(self, command: PlaceOrder) -> list[tuple[NaiveOrder, int]]:
        found = []
        quantity, quote = command.quantity, command.quote_quantity
        for maker in self.resting(command):
            price = maker.command.price
            if command.type is not OrderType.MARKET:
                too_dear = command.side is Side.BUY and price > command.price
                too_cheap = command.side is Side.SELL and price < command.price
                if too_dear or too_cheap:
                    break
            if quantity is not None:
                piece = min(quantity, maker.remaining)
                quantity -= piece
            else:
                assert quote is not None
                lots = quote * self.market.base_unit // price // self.market.lot
                piece = min(lots * self.market.lot, maker.remaining)
                quote -= piece * price // self.market.base_unit
            if not piece:
                break
            found.append((maker, piece))
        return found

    def covered(self, command: PlaceOrder, pieces: list[tuple[NaiveOrder, int]]) -> bool:
        market = self.market
        if command.side is Side.SELL:
            needed = sum(quantity for _, quantity in pieces)
            if command.type is not OrderType.MARKET:
                needed = command.quantity or 0
            return self.free(command.account, market.base) >= needed
        if command.type is not OrderType.MARKET:
            needed = command.price * (command.quantity or 0) // market.base_unit
        elif command.quote_quantity is not None:
            needed = command.quote_quantity
        else:
            needed = sum(
                maker.command.price * quantity // market.base_unit for maker, quantity in pieces
            )
        return self.free(command.account, market.quote) >= needed

    def trade(self, taker: NaiveOrder, maker: NaiveOrder, quantity: int, now: int) -> None:
        market, price = self.market, maker.command.price
        quote = price * quantity // market.base_unit
        for order in (taker, maker):
            order.filled += quantity
            order.filled_quote += quote
        maker.status = OrderStatus.PARTIALLY_FILLED if maker.remaining else OrderStatus.FILLED
        buyer, seller = (taker, maker) if taker.command.side is Side.BUY else (maker, taker)
        buy_rate = market.taker_rate if buyer is taker else market.maker_rate
        sell_rate = market.taker_rate if seller is taker else market.maker_rate
        buy_fee, sell_fee = quantity * buy_rate // 10**6, quote * sell_rate // 10**6
        self.own(buyer.command.account, market.quote, -quote)
        self.own(buyer.command.account, market.base, quantity - buy_fee)
        self.own(seller.command.account, market.base, -quantity)
        self.own(seller.command.account, market.quote, quote - sell_fee)
        self.own(0, market.base, buy_fee)
        self.own(0, market.quote, sell_fee)
        self.trades.append(NaiveTrade(price, quantity, buyer.id, seller.id))
        self.traded.append((now // 60_000_000, quantity, quote))
