"""An exchange as a test sees it: empty markets, accounts with funds, and a book that it decides."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from functools import cached_property
from inspect import isawaitable
from pathlib import Path
from typing import Any, TypeVar

from exchange.services.admin import Admin
from exchange.services.client_configs import addresses
from exchange.testing.account import Account
from exchange.testing.signed_client import SignedClient

Number = int | float | str | Decimal
Levels = Iterable[tuple[Number, Number]]
"""Price and quantity of each."""

PLENTY = "1000000000000"
AT_ONCE = 8
WAIT_S, PAUSE_S = 10.0, 0.005

Found = TypeVar("Found")


class VenueExchange:
    """The exchange of a session, by the folder of its `exchange up --testing`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.admin = Admin.find(folder)
        self.addresses = addresses(None, None, None, folder)
        self.api, self.ws = self.addresses.rest, self.addresses.streams
        self.public = SignedClient(self.api)
        self.pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="venue")
        self._house: dict[str, Account] = {}

    def clean_venue(self) -> "Venue":
        """Nobody has an order, nothing was ever traded, all markets are running."""
        self.admin.post("reset", body={})
        return Venue(self)

    def account(self, funds: dict[str, Number]) -> Account:
        """A new one that holds these amounts."""
        name = f"bot-{uuid.uuid4().hex[:16]}"
        amounts = {asset: text(amount) for asset, amount in funds.items()}
        made = self.admin.post("funded-accounts", body={"name": name, "funds": amounts})
        keys = made["apiKey"], made["secretKey"]
        return Account(self.addresses, name, made["accountId"], *keys)

    def house(self, role: str) -> Account:
        """An account that has plenty of everything, and serves all tests."""
        if role not in self._house:
            symbols = self.public.get("exchangeInfo")["symbols"]
            assets = {one[side] for one in symbols for side in ("baseAsset", "quoteAsset")}
            self._house[role] = self.account(dict.fromkeys(sorted(assets), PLENTY))
        return self._house[role]

    def close(self) -> None:
        self.pool.shutdown()
        self.public.close()
        for account in self._house.values():
            account.close()


class Venue:
    """What one test works with; the markets are those of the exchange, by their symbols."""

    def __init__(self, exchange: VenueExchange) -> None:
        self.exchange = exchange
        self.api, self.ws = exchange.api, exchange.ws
        self.admin = exchange.admin
        """The admin API: what has no method here, such as rules and fees."""
        self.public = exchange.public
        """Requests without a key."""
        self._accounts: list[Account] = []
        self._made: set[str] = set()
        self._has_faults = False

    # --- Who trades ---

    def account(self, **funds: Number) -> Account:
        """A new account that holds these amounts: `venue.account(USDT=10_000, BTC="0.5")`."""
        self._accounts.append(self.exchange.account(funds))
        return self._accounts[-1]

    @cached_property
    def maker(self) -> Account:
        """Who makes the books; it never runs out of anything."""
        return self.exchange.house("maker")

    @cached_property
    def taker(self) -> Account:
        """Who takes from the books, likewise."""
        return self.exchange.house("taker")

    # --- What happens in the market ---

    def book(self, symbol: str, *, bids: Levels = (), asks: Levels = ()) -> None:
        """Replace what the maker has in the book by these levels, each a price and a quantity.

        Orders of other accounts stay, and trade with a level that crosses them.
        """
        wanted = [("BUY", *one) for one in bids] + [("SELL", *one) for one in asks]
        prices = {
            side: [Decimal(str(price)) for other, price, _ in wanted if other == side]
            for side in ("BUY", "SELL")
        }
        if all(prices.values()) and max(prices["BUY"]) >= min(prices["SELL"]):
            raise ValueError(f"the book of {symbol} would be crossed: a bid is not below every ask")
        self._clear(symbol)
        if wanted:
            self._made.add(symbol)
        placed = self.exchange.pool.map(
            lambda one: self.maker.raw.order(symbol, one[0], text(one[2]), text(one[1])), wanted
        )
        list(placed)

    def trade(self, symbol: str, price: Number, quantity: Number = 1) -> None:
        """Let two strangers trade at a price; whoever in the book is better trades first."""
        self.maker.raw.order(symbol, "SELL", text(quantity), text(price))
        self.take(symbol, "BUY", quantity, price)
        self._made.add(symbol)

    def take(self, symbol: str, side: str, quantity: Number, price: Number | None = None) -> None:
        """Let a stranger buy or sell what is in the book, up to a price if there is one."""
        terms = {} if price is None else {"timeInForce": "IOC"}
        limit = None if price is None else text(price)
        self.taker.raw.order(symbol, side, text(quantity), limit, **terms)

    def halt(self, symbol: str) -> None:
        """Take neither orders nor cancels there."""
        self._set_mode(symbol, "HALTED")

    def resume(self, symbol: str) -> None:
        self._set_mode(symbol, "RUNNING")

    def faults(self, *rules: dict[str, Any], seed: int = 0) -> None:
        """Let things go wrong until the test is over, as docs/faults-on-request.md describes:
        `venue.faults({"fault": -1007, "on": "POST /api/v3/order", "executed": True})`.

        Without a rule everything goes right again.
        """
        self._has_faults = bool(rules)
        self.admin.put("faults", body={"seed": seed, "rule": list(rules)})

    def reset(self) -> None:
        """Empty all markets once more; accounts keep what they own."""
        self.admin.post("reset", body={})
        self._made.clear()

    # --- What is there now ---

    def depth(self, symbol: str) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
        """Bids and asks, price and quantity of each level, the best first."""
        found = self.public.get("depth", symbol=symbol, limit=5_000)
        bids, asks = (
            [(float(price), float(quantity)) for price, quantity in found[side]]
            for side in ("bids", "asks")
        )
        return bids, asks

    def trades(self, symbol: str) -> list[tuple[float, float]]:
        """Price and quantity of what was traded in this test, oldest first."""
        found = self.public.get("trades", symbol=symbol, limit=1_000)
        return [(float(one["price"]), float(one["qty"])) for one in found]

    def wait_for(
        self, condition: Callable[[], Found], timeout: float = WAIT_S, *, what: str = ""
    ) -> Found:
        """Ask until the answer is true, and return it. Raises AssertionError after `timeout` s."""
        end = time.monotonic() + timeout
        while not (found := condition()):
            _check_time(end, timeout, what or condition)
            time.sleep(PAUSE_S)
        return found

    async def wait_for_async(
        self, condition: Callable[[], Any], timeout: float = WAIT_S, *, what: str = ""
    ) -> Any:
        """The same where a bot runs in this event loop; the condition may be a coroutine function."""
        end = time.monotonic() + timeout
        while True:
            found = condition()
            if isawaitable(found):
                found = await found
            if found:
                return found
            _check_time(end, timeout, what or condition)
            await asyncio.sleep(PAUSE_S)

    def close(self) -> None:
        """End what would reach into the next test."""
        if self._has_faults:
            self.faults()
        for account in self._accounts:
            account.close()

    def _clear(self, symbol: str) -> None:
        """Take back what the maker has open, if it has: what was filled is not there any more."""
        if symbol in self._made:
            self._made.remove(symbol)
            if self.maker.raw.signed("GET", "openOrders", symbol=symbol):
                self.maker.raw.signed("DELETE", "openOrders", symbol=symbol)

    def _set_mode(self, symbol: str, mode: str) -> None:
        self.admin.post("markets", symbol, "mode", body={"mode": mode})


def text(number: Number) -> str:
    """As the API wants it: no exponent, and 0.1 is 0.1."""
    return format(Decimal(str(number)), "f")


def _check_time(end: float, timeout: float, what: object) -> None:
    if time.monotonic() > end:
        raise AssertionError(f"waited {timeout:g} s in vain for {what}")
