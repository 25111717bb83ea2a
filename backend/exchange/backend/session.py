"""What a connection of the WebSocket API remembers: who has logged on, and what it listens to."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from exchange.backend import answers, errors
from exchange.backend.directory import KnownKey
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json, TimeUnit
from exchange.backend.parameters import integer_parameter
from exchange.backend.state import Current, State
from exchange.services.clock import now_us
from exchange.services.user_event_formats import terminated
from exchange.services.user_streams import Message

WEIGHT = 2
SUBSCRIPTIONS_MAX, SUBSCRIPTIONS_EVER_MAX = 1_000, 65_535
SUBSCRIPTION_ID = integer_parameter(
    "subscriptionId", "The subscription to end; all of them where it is not sent."
)
LOGON, SUBSCRIBE_SIGNED = "session.logon", "userDataStream.subscribe.signature"
SIGNED_EACH = (LOGON, SUBSCRIBE_SIGNED)
"""Nobody vouches for these: they say themselves who sends them."""


class Session:
    """`write` takes what is to be sent, and `leave` ends the connection: events may be missed."""

    def __init__(
        self,
        current: Current,
        unit: TimeUnit,
        *,
        returns_limits: bool,
        write: Callable[[bytes], None],
        leave: Callable[[], None],
    ) -> None:
        self.returns_limits = returns_limits
        self.write = write
        self.leave = leave
        self.unit = unit
        self._current = current
        self._connected = now_us()
        self._api_key: str | None = None
        self._authorized: int | None = None
        self._subscriptions: dict[int, Subscription] = {}
        self._next_id = 0

    # --- Who it is ----------------------------------------------------------------------------

    def vouches(self, api_key: str, signature: str | None) -> bool:
        """Whether a request is the session's: it is not signed, and names no other key."""
        is_ours = api_key in ("", self._api_key)
        return self._api_key is not None and is_ours and signature is None

    def key(self) -> KnownKey:
        """The key that has logged on; raises the error where none has, or it was revoked."""
        key = None
        if self._api_key is not None:
            key = self._current.state.directory.keys.get(self._api_key)
        if key is None:
            self._forget_key()
            errors.KEY_REJECTED.refuse()
        return key

    async def logon(self, call: Call) -> Json:
        """From now on requests need no signature."""
        self._api_key, self._authorized = call.caller.key.name, call.now
        return await self.status(call)

    async def status(self, call: Call) -> Json:
        """Since when there is a connection, and whose it is."""
        authorized = self._authorized
        return {
            "apiKey": self._api_key,
            "authorizedSince": None if authorized is None else call.unit.of(authorized),
            "connectedSince": call.unit.of(self._connected),
            "returnRateLimits": self.returns_limits,
            "serverTime": call.unit.of(call.now),
            "userDataStream": bool(self._subscriptions),
        }

    async def logout(self, call: Call) -> Json:
        """Forget who it was, and end what was listened to in that name."""
        self._forget_key()
        for subscription in list(self._subscriptions.values()):
            if subscription.is_of_session:
                subscription.end()
        return await self.status(call)

    def _forget_key(self) -> None:
        self._api_key = self._authorized = None

    # --- What it listens to -------------------------------------------------------------------

    async def subscriptions(self, call: Call) -> list[Json]:  # noqa: ARG002
        """What there is to listen to."""
        return [{"subscriptionId": id} for id in self._subscriptions]

    async def subscribe(self, call: Call) -> Json:
        """Listen to the account that has logged on."""
        return await self._subscribe(call, self.key(), is_of_session=True)

    async def subscribe_signed(self, call: Call) -> Json:
        """Listen to the account that has signed this."""
        return await self._subscribe(call, call.caller.key, is_of_session=False)

    async def unsubscribe(self, call: Call) -> Json:
        """Listen no more."""
        wanted = call.values.get(SUBSCRIPTION_ID)
        if wanted is not None and wanted not in self._subscriptions:
            errors.SUBSCRIPTION_INACTIVE.refuse()
        for id, subscription in list(self._subscriptions.items()):
            if wanted in (None, id):
                subscription.end()
        return {}

    async def _subscribe(self, call: Call, key: KnownKey, *, is_of_session: bool) -> Json:
        state = call.state
        # What was acknowledged before is over: no event tells of it any more.
        await state.barrier.market_data()
        if call.state is not state:
            errors.UNAVAILABLE.refuse()
        if key.name not in state.directory.keys:
            errors.KEY_REJECTED.refuse()
        if any(one.account == key.account for one in self._subscriptions.values()):
            errors.SUBSCRIPTION_ACTIVE.refuse()
        if len(self._subscriptions) >= SUBSCRIPTIONS_MAX or self._next_id > SUBSCRIPTIONS_EVER_MAX:
            raise errors.too_many_subscriptions(SUBSCRIPTIONS_MAX)
        subscription = Subscription(self, state, self._next_id, key, is_of_session=is_of_session)
        self._subscriptions[subscription.id] = subscription
        self._next_id += 1
        # The answer is written before control returns to the loop, so that no event precedes it.
        return {"subscriptionId": subscription.id}

    def remove(self, subscription: "Subscription") -> None:
        self._subscriptions.pop(subscription.id, None)

    def announce_shutdown(self) -> None:
        """The server goes away: time to connect elsewhere."""
        event = {"e": "serverShutdown", "E": self.unit.of(now_us())}
        self.write(msgspec.json.encode({"event": event}))

    def close(self) -> None:
        """The connection is gone."""
        for subscription in list(self._subscriptions.values()):
            subscription.stop()

    # --- What may be asked of it ----------------------------------------------------------------

    def endpoints(self) -> Iterator[Endpoint]:
        """The methods that are about the connection itself."""
        signed = Security.USER_DATA
        yield _method(LOGON, self.logon, answers.Session, security=signed)
        yield _method("session.status", self.status, answers.Session)
        yield _method("session.logout", self.logout, answers.Session)
        yield _method("session.subscriptions", self.subscriptions, [answers.Subscription])
        yield _method("userDataStream.subscribe", self.subscribe, answers.Subscription)
        yield _method(
            SUBSCRIBE_SIGNED, self.subscribe_signed, answers.Subscription, security=signed
        )
        yield _method(
            "userDataStream.unsubscribe", self.unsubscribe, answers.Nothing, SUBSCRIPTION_ID
        )


class Subscription:
    """A session that listens to one account: what it is told goes over the session's connection."""

    def __init__(
        self, session: Session, state: State, id: int, key: KnownKey, *, is_of_session: bool
    ) -> None:
        self.id = id
        self.account = key.account
        self.is_of_session = is_of_session
        self._session = session
        self._streams = state.user_streams
        self._streams.listen(key.account, key.name, self)

    def tell(self, message: Message) -> None:
        self._write(message.text(self._session.unit))

    def revoke(self) -> None:
        self.end()

    def break_off(self) -> None:
        self._session.leave()

    def end(self) -> None:
        """Say that it is over."""
        self.stop()
        content = terminated(now_us(), self._session.unit)
        self._write(msgspec.json.encode(content))

    def stop(self) -> None:
        self._streams.stop(self.account, self)
        self._session.remove(self)

    def _write(self, event: bytes) -> None:
        self._session.write(b'{"subscriptionId":%d,"event":%b}' % (self.id, event))


def _method(
    name: str, handler: Any, shape: Any, *parameters: Any, security: Security = Security.NONE
) -> Endpoint:
    return Endpoint(
        "WS",
        name,
        handler,
        summary=handler.__doc__,
        answer=(shape,),
        socket_method=name,
        parameters=parameters,
        security=security,
        weight=WEIGHT,
    )
