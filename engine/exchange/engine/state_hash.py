"""One number for the whole live state, kept up as rows change.

It is the sum of the hashes of all live rows, so that a change costs the rows that changed, and any
set of rows, loaded in any order, has the same one.
"""

from collections.abc import Hashable, Iterable
from hashlib import blake2b
from typing import assert_never

from exchange.engine.request_memory import RequestMemory
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.messages import (
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
    encode,
)

_MODULUS = 2**64


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
        return (self._sum + self._requests.hash) % _MODULUS

    def update(self, rows: Iterable[Row]) -> None:
        """Take the new states of things; of several for one thing the last counts."""
        changed: dict[Hashable, Row] = {}
        for row in rows:
            if (identity := _identity(row)) is not None:
                changed[identity] = row
        for identity, row in changed.items():
            before = self._hashes.pop(identity, 0)
            after = 0
            if _is_live(row):
                after = int.from_bytes(blake2b(encode(row), digest_size=8).digest())
                self._hashes[identity] = after
            self._sum = (self._sum + after - before) % _MODULUS


def _is_live(row: Row) -> bool:
    """Whether there still is something; of an average nothing is left when a market is reset."""
    if isinstance(row, AveragePrices):
        return bool(row.minutes)
    return not isinstance(row, Order | OrderList | Withdrawal) or row.is_open


def _identity(row: Row) -> Hashable:
    """What a row is the state of; None for rows that are no live state."""
    match row:
        case Order():
            return ("order", row.symbol, row.id)
        case OrderList():
            return ("list", row.id)
        case Balance():
            return ("balance", row.account, row.asset)
        case Counters():
            return ("counters", row.symbol)
        case AveragePrices():
            return ("average", row.symbol)
        case Beginning():
            return ("beginning", row.symbol)
        case ExchangeRules():
            return ("exchange",)
        case Account():
            return ("account", row.id)
        case Key():
            return ("key", row.api_key)
        case Asset():
            return ("asset", row.name)
        case Market():
            return ("market", row.symbol)
        case Withdrawal():
            return ("withdrawal", row.reference)
        case Act():
            return ("act",)
        case Trade() | Transfer() | Level() | Amendment() | PreventedMatch():
            return None
        case _:
            assert_never(row)
