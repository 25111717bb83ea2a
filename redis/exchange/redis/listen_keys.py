"""ListenKeys: who may listen to an account by knowing a word, for an hour and longer if prolonged.

They decide nothing and nobody misses them: after a loss a client asks for a new one. So they are
no commands; they stand in Redis, which forgets them by itself, and all processes see the same ones.
"""

import asyncio
import re
import secrets
import string
from typing import Any

from msgspec import Struct

from exchange.redis.connection import Connection, ConnectionLost
from exchange.redis.scripts import Script

LIFE_S = 60 * 60
ACCOUNT = "l:{}"
"""An account's listenKey, a space, and the API key that asked for it."""

_DIGITS = string.digits + string.ascii_letters
_ACCOUNT_DIGITS, _SECRET_DIGITS = 11, 53
_is_listen_key = re.compile(r"[0-9A-Za-z]{64}", re.ASCII).fullmatch
_SCRIPT = Script("listen_key")


class Grant(Struct, frozen=True):
    """Whose a listenKey is, and by which API key he asked for it."""

    account: int
    api_key: str


class ListenKeys:
    """Connects when it is needed, and again after a loss; every method raises ConnectionLost.

    `close` it, or use it with `async with`.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> "ListenKeys":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def start(self, account: int, api_key: str) -> str:
        """The account's listenKey, with an hour to live: the one that there is, or a new one."""
        name, new = ACCOUNT.format(account), new_listen_key(account)
        while True:
            connection = await self._connected()
            if await self._call(connection, "SET", name, f"{new} {api_key}", "NX", "EX", LIFE_S):
                return new
            held = await self._call(connection, "GETEX", name, "EX", LIFE_S)
            # It may have ended in between.
            if held is not None:
                listen_key: str = held.decode().partition(" ")[0]
                return listen_key

    async def prolong(self, account: int, listen_key: str) -> bool:
        """Let it live for an hour from now on; False where the account has no such one."""
        return await self._run(account, listen_key, LIFE_S)

    async def end(self, account: int, listen_key: str) -> bool:
        """False where the account has no such one."""
        return await self._run(account, listen_key, 0)

    async def find(self, listen_key: str) -> Grant | None:
        """Whose it is, as long as it lives."""
        if not is_listen_key(listen_key):
            return None
        account = account_of(listen_key)
        held = await self._call(await self._connected(), "GET", ACCOUNT.format(account))
        if held is None:
            return None
        known, _, api_key = held.decode().partition(" ")
        is_it = secrets.compare_digest(known, listen_key)
        return Grant(account, api_key) if is_it else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _run(self, account: int, listen_key: str, seconds: int) -> bool:
        connection = await self._connected()
        try:
            word, *_ = await _SCRIPT.run(connection, [ACCOUNT.format(account)], listen_key, seconds)
        except ConnectionLost:
            self._drop(connection)
            raise
        return bool(word == "OK")

    async def _call(self, connection: Connection, *words: str | int) -> Any:
        try:
            return await connection.call(*words)
        except ConnectionLost:
            self._drop(connection)
            raise

    async def _connected(self) -> Connection:
        async with self._opening:
            if self._connection is None:
                connection = await Connection.open(self._url, name="listen-keys")
                await _SCRIPT.load(connection)
                self._connection = connection
            return self._connection

    def _drop(self, connection: Connection) -> None:
        connection.close()
        if self._connection is connection:
            self._connection = None


def is_listen_key(text: str) -> bool:
    """Whether it looks like one."""
    return _is_listen_key(text) is not None


def new_listen_key(account: int) -> str:
    """64 letters and digits: the account in some of them, chance in the others."""
    assert account >= 0, account
    digits = ""
    for _ in range(_ACCOUNT_DIGITS):
        account, digit = divmod(account, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits + "".join(secrets.choice(_DIGITS) for _ in range(_SECRET_DIGITS))


def account_of(listen_key: str) -> int:
    """The account that it names, truly or not."""
    account = 0
    for digit in listen_key[:_ACCOUNT_DIGITS]:
        account = account * len(_DIGITS) + _DIGITS.index(digit)
    return account
