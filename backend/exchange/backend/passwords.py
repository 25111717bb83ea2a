"""Passwords at rest: Argon2id, worked out beside the event loop by a few threads at most."""

import asyncio
import base64
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from exchange.backend import errors

THREADS = 2
"""Each needs the memory of one hash, 64 MB by default."""
WAITING_MAX = 64
TIME_COST, LANES = 3, 1

Found = TypeVar("Found")


class Passwords:
    """Every method raises OVERLOADED where too many wait already."""

    def __init__(self, memory_kib: int) -> None:
        self._hasher = PasswordHasher(TIME_COST, memory_kib, LANES)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0
        # Of no password that anybody could find; made without the work that checking it is.
        costs = f"m={memory_kib},t={TIME_COST},p={LANES}"
        self._nobodys = f"$argon2id$v=19${costs}${_random_text(16)}${_random_text(32)}"

    async def hashed(self, password: str) -> str:
        """What is stored instead of a password."""
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Whether it is the password; where nothing is stored this takes as long, and says no."""
        is_right = await self._run(lambda: self._matches(stored or self._nobodys, password))
        return is_right and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether it was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Found]) -> Found:
        if self._waiting >= WAITING_MAX:
            errors.OVERLOADED.refuse()
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1


def _random_text(size: int) -> str:
    return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")
