"""Who is told what happens to which account: the same for all doors that users listen at."""

from collections.abc import Iterable
from typing import Protocol

import msgspec

from exchange.services.list_members import ListMembers
from exchange.services.markets import Asset, Market
from exchange.services.messages import Opened, Outcome
from exchange.services.rows import Balance, Key, Order, OrderList, Row, Transfer
from exchange.services.user_event_formats import event_content
from exchange.services.user_events import AccountEvent, account_events


class Message:
    """One event, written at most once for each unit of time."""

    def __init__(
        self, event: AccountEvent, markets: dict[str, Market], assets: dict[str, Asset]
    ) -> None:
        self._event = event
        self._markets = markets
        self._assets = assets
        self._texts: dict[int, bytes] = {}

    def text(self, time_unit: int) -> bytes:
        """JSON; `time_unit` is what its times are counted in, in µs."""
        if time_unit not in self._texts:
            content = event_content(self._event, self._markets, self._assets, time_unit)
            self._texts[time_unit] = msgspec.json.encode(content)
        return self._texts[time_unit]


class Listener(Protocol):
    """What a connection listens with to one account."""

    def tell(self, message: Message) -> None:
        """Something has happened."""

    def revoke(self) -> None:
        """The key by which it listened is not valid any more; it is told nothing from now on."""

    def break_off(self) -> None:
        """Events may be missed from now on, or were told that turn out not to have happened."""


class UserStreams:
    """Fed with every outcome. `position` is the number of the last one."""

    def __init__(self, position: int, rows: Iterable[Row], lists: Iterable[Row]) -> None:
        """`rows` are assets, markets and others; `lists` the open ones and all of their orders."""
        self.position = position
        self._markets: dict[str, Market] = {}
        self._assets: dict[str, Asset] = {}
        self._members = ListMembers(lists)
        self._listeners: dict[int, dict[Listener, str]] = {}
        self._revoked: set[str] = set()
        self._kept: list[AccountEvent] = []
        self._keeping = 0
        self._take(rows)

    def listen(
        self, account: int, api_key: str, listener: Listener, *, since: int | None = None
    ) -> None:
        """From the next outcome on, or from where `keep` was called, which gave `since`.

        Nobody listens by a key that was revoked.
        """
        if api_key in self._revoked:
            return
        self._listeners.setdefault(account, {})[listener] = api_key
        if since is not None:
            for event in self._kept[since:]:
                if event.account == account:
                    listener.tell(self._message(event))

    def keep(self) -> int:
        """Keep what happens from now on for somebody whose account is still looked up.

        `release` must follow, whether he then listens or not.
        """
        self._keeping += 1
        return len(self._kept)

    def release(self) -> None:
        self._keeping -= 1
        if not self._keeping:
            self._kept.clear()

    def stop(self, account: int, listener: Listener) -> None:
        listeners = self._listeners.get(account, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(account, None)

    def apply(self, outcome: Outcome) -> None:
        """Tell what it means to those who listen."""
        self._take(outcome.rows)
        self._members.learn(outcome.rows)
        if self._concerns_anybody(outcome):
            self._tell(outcome)
        self._members.forget(outcome.rows)
        self.position = outcome.number
        if isinstance(outcome.result, Opened):
            # What the journal lost may have been told.
            self.break_off()

    def break_off(self) -> None:
        """Part from everybody."""
        for listeners in list(self._listeners.values()):
            for listener in list(listeners):
                listener.break_off()
        self._listeners.clear()

    def _tell(self, outcome: Outcome) -> None:
        for event in account_events(outcome, self._members):
            if self._keeping:
                self._kept.append(event)
            if event.account in self._listeners:
                message = self._message(event)
                for listener in list(self._listeners[event.account]):
                    listener.tell(message)

    def _message(self, event: AccountEvent) -> Message:
        return Message(event, self._markets, self._assets)

    def _concerns_anybody(self, outcome: Outcome) -> bool:
        """Most outcomes concern nobody who listens here, and cost no more than this look."""
        if self._keeping or not self._listeners:
            return bool(self._keeping)
        return any(
            isinstance(row, _OF_ACCOUNTS) and row.account in self._listeners for row in outcome.rows
        )

    def _take(self, rows: Iterable[Row]) -> None:
        for row in rows:
            # Nearly all rows are of orders and what they move.
            if type(row) not in _KNOWN:
                continue
            if isinstance(row, Market):
                self._markets[row.symbol] = row
            elif isinstance(row, Asset):
                self._assets[row.name] = row
            elif isinstance(row, Key):
                if row.revoked is not None or not row.can_read:
                    self._revoke(row)
                else:
                    self._revoked.discard(row.api_key)

    def _revoke(self, key: Key) -> None:
        self._revoked.add(key.api_key)
        for listener, api_key in list(self._listeners.get(key.account, {}).items()):
            if api_key == key.api_key:
                self.stop(key.account, listener)
                listener.revoke()


_OF_ACCOUNTS = (Order, OrderList, Balance, Transfer)
_KNOWN = frozenset((Market, Asset, Key))
