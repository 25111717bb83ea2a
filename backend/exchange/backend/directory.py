"""Who and what there is: accounts, keys, assets, markets and rules, kept from outcomes."""

from collections.abc import Iterable

from exchange.backend.signatures import (
    Ed25519Verifier,
    HmacVerifier,
    RsaVerifier,
    Verifier,
)
from exchange.backend.vault import Vault
from exchange.services.markets import Asset, ExchangeRules, Market
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
        self.accounts: dict[int, Account] = {}
        self.assets: dict[str, Asset] = {}
        self.markets: dict[str, Market] = {}
        self.exchange_rules = ExchangeRules()
        self.keys: dict[str, KnownKey] = {}
        self._account_ids: dict[str, int] = {}
        self._take(rows)

    def account_named(self, name: str) -> Account | None:
        account_id = self._account_ids.get(name)
        return None if account_id is None else self.accounts[account_id]

    def apply(self, outcome: Outcome) -> None:
        self._take(outcome.rows)

    def _take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            if isinstance(row, Market):
                self.markets[row.symbol] = row
            elif isinstance(row, Key):
                self._take_key(row)
            elif isinstance(row, Account):
                self.accounts[row.id] = row
                self._account_ids[row.name] = row.id
            elif isinstance(row, Asset):
                self.assets[row.name] = row
            elif isinstance(row, ExchangeRules):
                self.exchange_rules = row

    def _take_key(self, key: Key) -> None:
        if key.revoked is not None:
            self.keys.pop(key.api_key, None)
            return
        verifier: Verifier
        if key.kind is KeyKind.HMAC:
            verifier = HmacVerifier(self._vault.unseal(key.api_key, key.secret))
        elif key.kind is KeyKind.ED25519:
            verifier = Ed25519Verifier(key.secret)
        else:
            verifier = RsaVerifier(key.secret)
        self.keys[key.api_key] = KnownKey(key, verifier)
