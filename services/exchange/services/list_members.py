"""What the orders of open lists are called: a list's own rows name them by number only."""

from collections.abc import Iterable

from exchange.services.rows import Order, OrderList, Row


class ListMembers:
    """Kept from rows: let it `learn` an outcome's before it is asked, and `forget` afterwards."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        """Begin with the open lists, and all of their orders, also those that have ended."""
        self._lists: dict[int, OrderList] = {}
        self._names: dict[int, dict[int, str]] = {}
        self.learn(rows)

    def learn(self, rows: Iterable[Row]) -> None:
        for row in rows:
            # Asked of every row in several processes: `isinstance` says no in twice the time.
            if type(row) is Order:
                if row.terms.list_id:
                    self._names.setdefault(row.terms.list_id, {})[row.id] = row.client_order_id
            elif type(row) is OrderList:
                self._lists[row.id] = row

    def forget(self, rows: Iterable[Row]) -> None:
        """Drop the lists that have ended."""
        for row in rows:
            if type(row) is OrderList and not row.is_open:
                self._lists.pop(row.id, None)
                self._names.pop(row.id, None)

    def find(self, list_id: int) -> OrderList | None:
        return self._lists.get(list_id)

    def names(self, order_list: OrderList) -> tuple[tuple[int, str], ...]:
        """The number and the client order id of each order."""
        names = self._names[order_list.id]
        return tuple((order_id, names[order_id]) for order_id in order_list.order_ids)
