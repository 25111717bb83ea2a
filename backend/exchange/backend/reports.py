"""What came of a command about orders, told from the rows of its outcome."""

from typing import TypeVar

from exchange.backend import errors, order_formats, queries
from exchange.backend.endpoints import Call
from exchange.backend.errors import ApiError, Asked
from exchange.backend.formats import Json
from exchange.services import client_ids
from exchange.services.markets import Market
from exchange.services.messages import Outcome, Rejected
from exchange.services.orders import OrderStatus, OrderType, Side
from exchange.services.rows import Amendment, Order, OrderList, PreventedMatch, Row, Trade

Kind = TypeVar("Kind", bound=Row)

LIST_RESPONSE = "RESULT"
"""How the orders of a new list are answered where nothing else is asked for."""


class Report:
    """Writes the answers to one request. All orders of an outcome are of one market."""

    def __init__(self, call: Call, market: Market, outcome: Outcome) -> None:
        self._call = call
        self._market = market
        self._outcome = outcome

    def placed(self, order_id: int, response: str | None) -> Json:
        """A new order as it was when its own turn was over, whatever it has set off."""
        order = self._first_order(order_id)
        market, time, unit = self._market, self._outcome.time, self._call.unit
        if response is None:
            is_full = order.type is OrderType.LIMIT or order.type is OrderType.MARKET
            response = "FULL" if is_full else "ACK"
        if response == "ACK":
            return order_formats.acknowledgement(order, time, unit)
        if response == "RESULT":
            return order_formats.placement(market, order, time, unit)
        # What a waiting order has done later in the same outcome is not of its own turn either.
        waits = order.status is OrderStatus.PENDING_NEW or order.terms.waiting
        matches = self._rows(PreventedMatch)
        return order_formats.full_placement(
            market,
            order,
            [] if waits else [one for one in self._rows(Trade) if _took(order, one)],
            [] if waits else [one for one in matches if one.taker_order == order_id],
            self._call.state.directory.assets,
            time,
            unit,
        )

    def placed_list(self, list_id: int, response: str | None) -> Json:
        """A new list; what its first order has set off is not told yet."""
        order_list = next(one for one in self._rows(OrderList) if one.id == list_id)
        return order_formats.list_report(
            order_list,
            [self._first_order(one) for one in order_list.order_ids],
            [self.placed(one, response or LIST_RESPONSE) for one in order_list.order_ids],
            self._call.unit,
        )

    async def canceled(self, order_ids: tuple[int, ...]) -> list[Json]:
        """What was canceled: orders by themselves, and lists with what was open of them."""
        orders = self._orders()
        groups: dict[tuple[int, int], list[Order]] = {}
        for order_id in order_ids:
            list_id = orders[order_id].terms.list_id
            groups.setdefault((list_id, 0 if list_id else order_id), []).append(orders[order_id])
        answers: list[Json] = []
        for (list_id, _), members in groups.items():
            name = client_ids.of_cancel(self._outcome, members[0].id)
            reports = [self._cancellation(order, name) for order in members]
            if list_id:
                answers.append(await self._canceled_list(list_id, reports))
            else:
                answers += reports
        return answers

    async def amended(self, order_id: int) -> Json:
        """What an order has become, and the list that it belongs to."""
        order = self._orders()[order_id]
        row = next(one for one in self._rows(Amendment) if one.order_id == order_id)
        answer = order_formats.amendment(
            self._market, row, order, self._outcome.time, self._call.unit
        )
        if order.terms.list_id:
            order_list = await self._stored_list(order.terms.list_id)
            members = await self._members(order_list)
            answer["listStatus"] = order_formats.list_status(order_list, members)
        return answer

    def refusal(self, asked: Asked) -> ApiError:
        """The error for a refusal; a result of another kind is what only we can cause."""
        result = self._outcome.result
        assert isinstance(result, Rejected), result
        return errors.rejection(result, asked)

    def _rows(self, kind: type[Kind]) -> list[Kind]:
        return [row for row in self._outcome.rows if type(row) is kind]

    def _orders(self) -> dict[int, Order]:
        """The last state of every order that changed."""
        return {order.id: order for order in self._rows(Order)}

    def _first_order(self, order_id: int) -> Order:
        return next(order for order in self._rows(Order) if order.id == order_id)

    def _cancellation(self, order: Order, client_order_id: str) -> Json:
        return order_formats.cancellation(
            self._market, order, client_order_id, self._outcome.time, self._call.unit
        )

    async def _canceled_list(self, list_id: int, reports: list[Json]) -> Json:
        *_, order_list = (one for one in self._rows(OrderList) if one.id == list_id)
        members = await self._members(order_list)
        return order_formats.list_report(order_list, members, reports, self._call.unit)

    async def _members(self, order_list: OrderList) -> list[Order]:
        """All orders of a list, also those that were over before."""
        orders = self._orders()
        if not orders.keys() >= set(order_list.order_ids):
            orders = {**await self._stored_orders(order_list), **orders}
        return [orders[order_id] for order_id in order_list.order_ids]

    async def _stored_orders(self, order_list: OrderList) -> dict[int, Order]:
        # Whatever fails from here on, the command has been executed: never say that it was not.
        try:
            async with self._call.state.barrier.snapshot() as connection:
                stored = await queries.select_orders_of(connection, [order_list])
        except ApiError:
            raise errors.TIMEOUT.error() from None
        return {order.id: order for order in stored.values()}

    async def _stored_list(self, list_id: int) -> OrderList:
        try:
            async with self._call.state.barrier.snapshot() as connection:
                found = await queries.select_order_list(
                    connection, self._call.account, list_id, None
                )
        except ApiError:
            raise errors.TIMEOUT.error() from None
        assert found is not None, list_id
        return found


def _took(order: Order, trade: Trade) -> bool:
    """Whether a trade is one that the order made by entering."""
    side = trade.taker_side
    mine = trade.buy_order if side is Side.BUY else trade.sell_order
    return side is order.side and mine == order.id
