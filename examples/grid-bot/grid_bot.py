"""A grid bot: it buys on the lines below the price, sells on those above, and takes the difference.

One line is always empty: the one where it traded last. What fills leaves its line empty, and the line
that was empty gets an order. Everything that the bot has to know stands on the exchange, so a bot that
was killed is simply started again.
"""

from __future__ import annotations

import time
from typing import Any

import ccxt


class GridBot:
    """Trades one market with a ccxt client; call `step` now and then, or `run`."""

    def __init__(
        self,
        client: ccxt.Exchange,
        symbol: str,
        *,
        lines: list[float],
        amount: float,
        name: str = "grid",
    ) -> None:
        """`lines` are prices; each order is for `amount`. Two bots of one account need two names."""
        self.client, self.symbol, self.name = client, symbol, name
        self.lines = sorted({float(client.price_to_precision(symbol, price)) for price in lines})
        self.amount = float(client.amount_to_precision(symbol, amount))
        if len(self.lines) < 3 or self.amount <= 0:
            raise ValueError("A grid needs three different lines and an amount above zero.")
        self.unfunded: set[int] = set()
        """Lines without an order because there was not enough money."""

    def step(self) -> list[dict[str, Any]]:
        """Put an order on every line that should have one and has none; those that were placed.

        Raises ccxt.NetworkError and ccxt.ExchangeNotAvailable: try again, nothing is done twice.
        """
        taken = self._own_orders()
        empty = self._empty_line(taken)
        self.unfunded.clear()
        placed = []
        for line in range(len(self.lines)):
            if line != empty and line not in taken:
                placed += self._place(line, "buy" if line < empty else "sell")
        return placed

    def run(self, *, pause: float = 1.0) -> None:
        """Until Ctrl-C; then its orders are taken back."""
        try:
            while True:
                try:
                    self.step()
                except ccxt.NetworkError as fault:
                    print(f"{fault}: trying again")
                time.sleep(pause)
        except KeyboardInterrupt:
            self.stop()

    def stop(self) -> int:
        """Take back its orders, and nobody else's; how many there were."""
        orders = self._own_orders().values()
        for order in orders:
            try:
                self.client.cancel_order(order["id"], self.symbol)
            except ccxt.OrderNotFound:
                continue  # filled in this very moment
        return len(orders)

    def profit(self) -> float:
        """What selling has brought beyond what buying has cost, after fees in the quote currency;
        what is still held is not counted."""
        quote = self.client.market(self.symbol)["quote"]
        total = 0.0
        for trade in self.client.fetch_my_trades(self.symbol):
            total += trade["cost"] if trade["side"] == "sell" else -trade["cost"]
            if trade["fee"]["currency"] == quote:
                total -= trade["fee"]["cost"]
        return total

    def _empty_line(self, taken: dict[int, dict[str, Any]]) -> int:
        """Between its buys and its sells, where it traded last; at first, where the market is."""
        bought = max((line for line, one in taken.items() if one["side"] == "buy"), default=-1)
        sold = min(
            (line for line, one in taken.items() if one["side"] == "sell"), default=len(self.lines)
        )
        trades = self.client.fetch_my_trades(self.symbol, limit=1)
        price = trades[-1]["price"] if trades else self._market_price(taken)
        nearest = min(range(len(self.lines)), key=lambda line: abs(self.lines[line] - price))
        return max(bought + 1, min(nearest, sold - 1))

    def _market_price(self, taken: dict[int, dict[str, Any]]) -> float:
        """The middle of what others bid and ask; the last price where one side is missing."""
        own = {order["price"]: order["remaining"] for order in taken.values()}
        book = self.client.fetch_order_book(self.symbol, limit=100)
        bid, ask = (
            next((price for price, amount in book[side] if amount > own.get(price, 0)), None)
            for side in ("bids", "asks")
        )
        if bid and ask:
            return (bid + ask) / 2
        last = self.client.fetch_ticker(self.symbol)["last"]
        if not last:
            raise ccxt.ExchangeNotAvailable(f"{self.symbol} has no price yet")
        return last

    def _own_orders(self) -> dict[int, dict[str, Any]]:
        """By their line, which stands in the client order id."""
        found = {}
        for order in self.client.fetch_open_orders(self.symbol):
            name, _, line = (order["clientOrderId"] or "").rpartition("-")
            if name == self.name and line.isdigit():
                found[int(line)] = order
        return found

    def _place(self, line: int, side: str) -> list[dict[str, Any]]:
        # No two open orders may have one client order id: a line has one order, whatever happens.
        terms = {"clientOrderId": f"{self.name}-{line}"}
        price = self.lines[line]
        try:
            return [self.client.create_order(self.symbol, "limit", side, self.amount, price, terms)]
        except ccxt.InsufficientFunds:
            self.unfunded.add(line)
        return []
