"""Who and what there is: accounts, keys, assets and markets, kept from the rows of outcomes."""

from collections.abc import Iterable

from exchange.backend.signatures import Ed25519Verifier, HmacVerifier, Verifier
from exchange.backend.vault import Vault
from exchange.services.markets import Asset, Market
from exchange.services.messages import Account, Key, KeyKind, Outcome, Row


class KnownKey:
    """A key that is valid, and what checks its signatures."""

    __slots__ = ("account", "can_trade", "name", "verifier")

    def __init__(self, key: Key, verifier: Verifier) -> None:
        self.name = key.api_key
        self.account = key.account
        self.can_trade = key.can_trade
        self.verifier = verifier


class Directory:
    """The state of control, as far as this process has followed the outcomes."""

    def __init__(self, vault: Vault, rows: Iterable[Row] = ()) -> None:
        self._vault = vault
        self.accounts: dict[str, Account] = {}
        self.assets: dict[str, Asset] = {}
        self.markets: dict[str, Market] = {}
        self.keys: dict[str, KnownKey] = {}
        self._take(rows)

    def apply(self, outcome: Outcome) -> None:
        self._take(outcome.rows)

    def _take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if isinstance(row, Market):
                self.markets[row.symbol] = row
            elif isinstance(row, Key):
                self._take_key(row)
            elif isinstance(row, Account):
                self.accounts[row.name] = row
            elif isinstance(row, Asset):
                self.assets[row.name] = row

    def _take_key(self, key: Key) -> None:
        if key.revoked is not None:
            self.keys.pop(key.api_key, None)
            return
        verifier: Verifier
        if key.kind is KeyKind.HMAC:
            verifier = HmacVerifier(self._vault.unseal(key.api_key, key.secret))
        else:
            verifier = Ed25519Verifier(key.secret)
        self.keys[key.api_key] = KnownKey(key, verifier)
