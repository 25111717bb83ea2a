"""User data for sockets that name a listenKey: whose it is, as long as it lives, and his events."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Protocol

import msgspec
import structlog
from websockets.frames import CloseCode

from exchange.redis.listen_keys import Grant
from exchange.services import user_streams
from exchange.services.failures import WorldFailed
from exchange.services.messages import OutcomeFrame
from exchange.services.user_streams import UserStreams
from exchange.websocket.events import Form, Message
from exchange.websocket.subscriptions import Subscriptions

FIND_S_MAX = 2.0
CHECK_S = 10.0
"""How often listenKeys are looked up again: one that is over is told to those who listen by it."""

log = structlog.get_logger()


class Listener(Protocol):
    """A socket, as far as it is told what happens to an account."""

    subscriptions: Subscriptions

    @property
    def is_open(self) -> bool: ...
    @property
    def form(self) -> Form: ...
    def tell(self, text: bytes) -> None: ...
    def flush(self) -> None: ...
    def close(self, code: CloseCode, reason: str) -> None: ...


class UserFeeds:
    """Until `load` was called nobody is found."""

    def __init__(self, read_clock: Callable[[], int]) -> None:
        self._streams = UserStreams(0, (), ())
        self._find: Callable[[str], Awaitable[Grant | None]] = _find_nobody
        self._read_clock = read_clock
        self._voices: dict[str, dict[Listener, _Voice]] = {}
        self._looking_up: set[asyncio.Task[None]] = set()

    def load(self, streams: UserStreams, find: Callable[[str], Awaitable[Grant | None]]) -> None:
        """`find` tells whose a listenKey is, if it lives."""
        self._streams = streams
        self._find = find

    def apply(self, frame: OutcomeFrame) -> None:
        """Tell what these outcomes mean to those who listen."""
        for outcome in frame.outcomes:
            self._streams.apply(outcome)

    def listen(self, socket: Listener, names: Iterable[str]) -> None:
        """Tell this socket all that happens from now on, once it is known whose the names are.

        A name that is nobody's says nothing.
        """
        for name in names:
            since = self._streams.keep()
            task = asyncio.create_task(self._look_up(socket, name, since))
            self._looking_up.add(task)
            task.add_done_callback(self._looking_up.discard)

    def stop_listening(self, socket: Listener, names: Iterable[str]) -> None:
        for name in names:
            voices = self._voices.get(name, {})
            voice = voices.pop(socket, None)
            if voice is not None:
                self._streams.stop(voice.account, voice)
            if not voices:
                self._voices.pop(name, None)

    def api_keys(self, socket: Listener) -> set[str]:
        """The keys that the listenKeys of this socket were made with."""
        found = (voices.get(socket) for voices in self._voices.values())
        return {voice.api_key for voice in found if voice is not None}

    async def run_checks(self) -> None:
        """Part from listenKeys that are over, for ever."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                await self.check()
            except (WorldFailed, TimeoutError) as fault:
                # Until it is known that one is over, it is not.
                log.warning("listenKeys were not checked", cause=str(fault))

    async def check(self) -> None:
        """Look up again whatever somebody listens by."""
        for name in list(self._voices):
            if await self._found(name) is None:
                self._expire(name)

    async def _look_up(self, socket: Listener, name: str, since: int) -> None:
        try:
            grant = await self._found(name)
            if grant is not None and socket.is_open and name in socket.subscriptions.listen_keys:
                self._start(socket, name, grant, since)
        except (WorldFailed, TimeoutError):
            socket.close(CloseCode.TRY_AGAIN_LATER, "try again later")
        finally:
            self._streams.release()

    def _start(self, socket: Listener, name: str, grant: Grant, since: int) -> None:
        voices = self._voices.setdefault(name, {})
        if socket not in voices:
            voice = voices[socket] = _Voice(self, socket, name, grant)
            self._streams.listen(grant.account, grant.api_key, voice, since=since)
            socket.flush()

    async def _found(self, name: str) -> Grant | None:
        async with asyncio.timeout(FIND_S_MAX):
            return await self._find(name)

    def _expire(self, name: str) -> None:
        message = Message(partial(_expired, name, self._read_clock()))
        for socket in list(self._voices.get(name, {})):
            socket.tell(message.text(name, socket.form))
            self.stop_listening(socket, [name])
            socket.flush()


def _expired(name: str, now: int, time_unit: int) -> bytes:
    return msgspec.json.encode({"e": "listenKeyExpired", "E": now // time_unit, "listenKey": name})


async def _find_nobody(listen_key: str) -> None:
    """Nothing is known yet."""


class _Voice:
    """Tells one socket what happens to the account of one listenKey."""

    def __init__(self, feeds: UserFeeds, socket: Listener, name: str, grant: Grant) -> None:
        self.account = grant.account
        self.api_key = grant.api_key
        self._feeds = feeds
        self._socket = socket
        self._name = name

    def tell(self, message: user_streams.Message) -> None:
        self._socket.tell(Message(message.text).text(self._name, self._socket.form))

    def revoke(self) -> None:
        self._feeds.stop_listening(self._socket, [self._name])

    def break_off(self) -> None:
        """The server parts from every socket where a generation begins."""
