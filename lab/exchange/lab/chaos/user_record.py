"""What an account was told of itself, over any number of connections, and the proof of it: pure.

Within the life of a connection reports are in order, each fill of the account is told once, and what
it holds is, in the end, what was told last.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import FoundTrade, Holdings, units


class Life(Struct, gc=False):
    """One connection, from the answer to its subscription to its end.

    `fills` has a fingerprint for each, by market, trade and order: an account may trade with itself.
    """

    last_report: int = -1
    is_over: bool = False
    fills: dict[tuple[str, int, int], int] = {}
    holdings: Holdings = {}


class UserRecord:
    """Everything that one account was told."""

    def __init__(self, name: str, findings: Findings) -> None:
        self.compared = 0
        """How many fills were held against REST."""
        self._name, self._findings = name, findings
        self._lives: list[Life] = []

    def begin(self) -> None:
        """A connection listens from now on."""
        self._lives.append(Life())

    def end(self) -> None:
        """It is gone: what happens now is not told there."""
        self._lives[-1].is_over = True

    def hear(self, event: Mapping[str, Any]) -> None:
        life = self._lives[-1]
        kind = event.get("e")
        if kind == "executionReport":
            self._check(event["I"] > life.last_report, event, "comes after", life.last_report)
            life.last_report = event["I"]
            if event["x"] == "TRADE":
                fill = _fill(event)
                key = _key(fill)
                self._check(key not in life.fills, "told twice:", fill)
                life.fills[key] = hash(fill)
        elif kind == "outboundAccountPosition":
            for one in event["B"]:
                life.holdings[one["a"]] = (units(one["f"]), units(one["l"]))

    def prove(self, trades: Sequence[FoundTrade], holdings: Holdings) -> None:
        """Against what REST shows of the account, at rest."""
        found = {_key(trade): trade for trade in trades}
        markets: dict[str, list[FoundTrade]] = defaultdict(list)
        for trade in sorted(trades, key=_id):
            markets[trade.symbol].append(trade)
        for life in self._lives:
            for key, mark in life.fills.items():
                told = found.get(key)
                self._check(hash(told) == mark, "told otherwise, or never happened:", key, told)
            for symbol in {symbol for symbol, _, _ in life.fills}:
                self._prove_complete(life, symbol, markets[symbol])
            self.compared += len(life.fills)
        if self._lives and not self._lives[-1].is_over:
            for asset, last in self._lives[-1].holdings.items():
                held = holdings.get(asset, (0, 0))
                self._check(last == held, "was told to hold", last, asset, "and has", held)

    def _prove_complete(self, life: Life, symbol: str, trades: Sequence[FoundTrade]) -> None:
        """Nothing is missing between the first and the last that was told, or after it at the end.

        `trades` are those of the market, by id.
        """
        told = [id for market, id, _ in life.fills if market == symbol]
        # Of a trade with itself, the connection may have begun or ended in the middle.
        begin = bisect_right(trades, min(told), key=_id)
        end = bisect_left(trades, max(told), key=_id) if life.is_over else len(trades)
        for trade in trades[begin:end]:
            self._check(_key(trade) in life.fills, "was not told of", trade)

    def _check(self, holds: bool, *words: object) -> None:
        self._findings.check(Promise.USER_STREAM, holds, self._name, *words)


def _id(trade: FoundTrade) -> int:
    return trade.id


def _key(trade: FoundTrade) -> tuple[str, int, int]:
    return trade.symbol, trade.id, trade.order_id


def _fill(event: Mapping[str, Any]) -> FoundTrade:
    """As the account's list of trades shows it."""
    return FoundTrade(
        symbol=event["s"],
        id=event["t"],
        order_id=event["i"],
        price=units(event["L"]),
        quantity=units(event["l"]),
        quote=units(event["Y"]),
        commission=units(event["n"]),
        commission_asset=event["N"],
        time=event["T"],
        is_buyer=event["S"] == "BUY",
        is_maker=event["m"],
    )
