"""One number for the whole live state, kept up as rows change.

It is the sum of the hashes of all live rows, so that a change costs the rows that changed, and any
set of rows, loaded in any order, has the same one.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping
from operator import attrgetter
from typing import Any

from exchange.engine.hashing import MODULUS, message_hash
from exchange.engine.request_memory import RequestMemory
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.rows import (
    Account,
    Act,
    Amendment,
    AveragePrices,
    Balance,
    Beginning,
    Counters,
    Key,
    Level,
    Order,
    OrderList,
    PreventedMatch,
    Row,
    Trade,
    Transfer,
    Withdrawal,
)


class StateHash:
    """Live are accounts, keys, assets, markets and the rules of the exchange, counters, average
    prices, beginnings, balances, open orders, lists and withdrawals, the last act, which the next
    one is linked to, and the requests that are remembered."""

    def __init__(self, requests: RequestMemory) -> None:
        self._requests = requests
        self._hashes: dict[Hashable, int] = {}
        self._sum = 0

    def __len__(self) -> int:
        """Of how many rows."""
        return len(self._hashes) + len(self._requests)

    @property
    def value(self) -> int:
        return (self._sum + self._requests.hash) % MODULUS

    def update(self, rows: Iterable[Row]) -> None:
        """Take the new states of things; of several for one thing the last counts."""
        self.take(last_states(rows))

    def take(self, states: Mapping[Hashable, Row]) -> None:
        """The same of states that are the only ones of their things already."""
        hashes, change = self._hashes, 0
        for identity, row in states.items():
            change -= hashes.pop(identity, 0)
            if _is_live(row):
                hashes[identity] = after = message_hash(row)
                change += after
        self._sum = (self._sum + change) % MODULUS


def _is_live(row: Row) -> bool:
    """Whether there still is something; of an average nothing is left when a market is reset."""
    match row:
        case Order() | OrderList() | Withdrawal():
            return row.is_open
        case AveragePrices():
            return bool(row.minutes)
    return True


def last_states(rows: Iterable[Row]) -> dict[Hashable, Row]:
    """The last state of each thing that the rows are about; rows that are no live state are left
    out."""
    states: dict[Hashable, Row] = {}
    for row in rows:
        kind = type(row)
        # As identity_of says; a call for each row is what a follower would wait for.
        key = _KEYS[kind]
        if key is not None:
            states[kind, key(row)] = row
    return states


def identity_of(row: Row) -> Hashable:
    """What a row is the state of; None for rows that are no live state."""
    kind = type(row)
    key = _KEYS[kind]
    return None if key is None else (kind, key(row))


# Looked up by its type, since a row is here several times for every command.
_KEYS: dict[type[Row], Callable[[Any], Hashable] | None] = {
    Order: attrgetter("symbol", "id"),
    OrderList: attrgetter("id"),
    Balance: attrgetter("account", "asset"),
    Counters: attrgetter("symbol"),
    AveragePrices: attrgetter("symbol"),
    Beginning: attrgetter("symbol"),
    ExchangeRules: lambda _: None,
    Account: attrgetter("id"),
    Key: attrgetter("api_key"),
    Asset: attrgetter("name"),
    Market: attrgetter("symbol"),
    Withdrawal: attrgetter("reference"),
    Trade: None,
    Transfer: None,
    Act: lambda _: None,
    Level: None,
    Amendment: None,
    PreventedMatch: None,
}
