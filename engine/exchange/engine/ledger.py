"""The ledger: what every account has of every asset, free and locked, to the unit."""

from exchange.services.rows import Balance

SUPPLY_MAX = 10**36
"""Units of one asset that can exist; the database holds 38 digits."""


class Ledger:
    """Plain assignment and asserts: whether something may happen is decided before it is called."""

    def __init__(self) -> None:
        self._free: dict[tuple[int, str], int] = {}
        self._locked: dict[tuple[int, str], int] = {}
        self._touched: dict[tuple[int, str], None] = {}
        self.supply: dict[str, int] = {}
        """Deposits less withdrawals, which all balances of an asset add up to."""

    def free(self, account: int, asset: str) -> int:
        return self._free.get((account, asset), 0)

    def locked(self, account: int, asset: str) -> int:
        return self._locked.get((account, asset), 0)

    def deposit(self, account: int, asset: str, amount: int) -> None:
        assert amount > 0, amount
        self._add_free((account, asset), amount)
        self.supply[asset] = self.supply.get(asset, 0) + amount

    def withdraw(self, account: int, asset: str, amount: int) -> None:
        assert amount > 0, amount
        self._add_free((account, asset), -amount)
        self.supply[asset] -= amount

    def move(self, account: int, to: int, asset: str, amount: int) -> None:
        assert amount > 0, amount
        self._add_free((account, asset), -amount)
        self._add_free((to, asset), amount)

    def credit(self, account: int, asset: str, amount: int) -> None:
        """Add to free what was taken from somebody's locked."""
        self._add_free((account, asset), amount)

    def lock(self, account: int, asset: str, amount: int) -> None:
        self._add_free((account, asset), -amount)
        self._add_locked((account, asset), amount)

    def unlock(self, account: int, asset: str, amount: int) -> None:
        self.lock(account, asset, -amount)

    def spend(self, account: int, asset: str, amount: int) -> None:
        """Take from locked what others are credited with."""
        assert amount >= 0, amount
        self._add_locked((account, asset), -amount)

    def restore(self, row: Balance) -> None:
        key = (row.account, row.asset)
        before = self._free.get(key, 0) + self._locked.get(key, 0)
        self._free[key], self._locked[key] = row.free, row.locked
        change = row.free + row.locked - before
        self.supply[row.asset] = self.supply.get(row.asset, 0) + change

    def take_changes(self) -> list[Balance]:
        """The balances that were touched since the last call."""
        touched, self._touched = self._touched, {}
        return [self._row(key) for key in touched]

    def rows(self) -> list[Balance]:
        return [self._row(key) for key in self._free | self._locked]

    def _row(self, key: tuple[int, str]) -> Balance:
        account, asset = key
        free, locked = self._free.get(key, 0), self._locked.get(key, 0)
        return Balance(account=account, asset=asset, free=free, locked=locked)

    def _add_free(self, key: tuple[int, str], amount: int) -> None:
        free = self._free.get(key, 0) + amount
        assert free >= 0, (key, free)
        self._free[key] = free
        self._touched[key] = None

    def _add_locked(self, key: tuple[int, str], amount: int) -> None:
        locked = self._locked.get(key, 0) + amount
        assert locked >= 0, (key, locked)
        self._locked[key] = locked
        self._touched[key] = None
