"""Who and what there is: accounts, keys, assets, markets and rules, kept from outcomes."""

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from exchange.backend.signatures import (
    Ed25519Verifier,
    HmacVerifier,
    RsaVerifier,
    Verifier,
)
from exchange.backend.vault import Vault
from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.messages import Outcome
from exchange.services.rows import Account, Key, KeyKind, Row


class KnownKey:
    """A key that is valid, and what checks its signatures."""

    __slots__ = ("_expires", "_networks", "account", "can_read", "can_trade", "name", "verifier")

    def __init__(self, key: Key, verifier: Verifier) -> None:
        self.name = key.api_key
        self.account = key.account
        self.can_read = key.can_read
        self.can_trade = key.can_trade
        self.verifier = verifier
        self._expires = key.expires
        self._networks = [ip_network(address) for address in key.addresses]

    def is_over(self, now: int) -> bool:
        """Whether it has expired by this time, in µs."""
        return self._expires is not None and now >= self._expires

    def may_come_from(self, address: str) -> bool:
        """Whether its owner lets it be used there; "" is where that cannot be told."""
        if not self._networks:
            return True
        return bool(address) and _is_within(address, self._networks)


def session_key(account: int) -> KnownKey:
    """What a browser's session is to the endpoints: it has no name, and may do what its user may."""
    key = Key(api_key="", account=account, kind=KeyKind.HMAC, secret=b"", can_trade=True, created=0)
    return KnownKey(key, _NeverSigned())


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
        self._names: set[str] = set()
        self._keys_of: dict[int, dict[str, Key]] = {}
        self._owned: dict[int, dict[int, None]] = {}
        self._take(rows)

    def account_named(self, name: str) -> Account | None:
        account_id = self._account_ids.get(name)
        return None if account_id is None else self.accounts[account_id]

    def is_taken(self, name: str) -> bool:
        """Whether an account has this name, in whatever case."""
        return name.lower() in self._names

    def accounts_of(self, owner: int) -> list[Account]:
        """An account and its sub-accounts."""
        return [self.accounts[id] for id in (owner, *self._owned.get(owner, ()))]

    def keys_of(self, account: int) -> list[Key]:
        """All that it ever had, the oldest first."""
        return list(self._keys_of.get(account, {}).values())

    def all_keys(self) -> list[Key]:
        return [key for keys in self._keys_of.values() for key in keys.values()]

    def apply(self, outcome: Outcome) -> None:
        self._take(outcome.rows)

    def _take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            # Nearly all rows are of orders and what they move.
            if type(row) not in _KNOWN:
                continue
            if isinstance(row, Market):
                self.markets[row.symbol] = row
            elif isinstance(row, Key):
                self._take_key(row)
            elif isinstance(row, Account):
                self.accounts[row.id] = row
                self._account_ids[row.name] = row.id
                self._names.add(row.name.lower())
                if row.owner is not None:
                    self._owned.setdefault(row.owner, {})[row.id] = None
            elif isinstance(row, Asset):
                self.assets[row.name] = row
            elif isinstance(row, ExchangeRules):
                self.exchange_rules = row

    def _take_key(self, key: Key) -> None:
        self._keys_of.setdefault(key.account, {})[key.api_key] = key
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


_KNOWN = frozenset((Market, Key, Account, Asset, ExchangeRules))


class _NeverSigned:
    """For whoever is known without a signature: none is right."""

    def verify(self, payload: bytes, signature: str) -> bytes | None:  # noqa: ARG002
        return None


def _is_within(address: str, networks: list[IPv4Network | IPv6Network]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)
