"""API secrets at rest: AES-256-GCM under a master key, which only the backend has.

A sealed secret is one byte that names the master key, a nonce, and the ciphertext. It is bound to
its API key, so that nobody who can write the database can give one key the secret of another.

The file of master keys has a line for each, `number:64 hex digits`, the newest first: that one
seals, and all of them unseal. A line without a number is number 1.
"""

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.services.failures import OperatorNeeded
from exchange.services.settings import InvalidSettings

FIRST, LAST = 1, 255
"""The numbers that master keys can have."""
NONCE_BYTES = 12
KEY_BYTES = 32


class Vault:
    """Use `Vault.open`."""

    def __init__(self, master_key: bytes, path: str = "") -> None:
        self._path = path
        self._ciphers = {FIRST: AESGCM(master_key)}
        self.newest = FIRST
        """The number of the master key that seals."""

    @classmethod
    def open(cls, path: str) -> "Vault":
        """Raises InvalidSettings where the file cannot be used."""
        if not path:
            raise InvalidSettings(
                "MASTER_KEY_FILE is not set: it names a file of 64 hex digits, which encrypts API"
                " secrets. `openssl rand -hex 32` makes one."
            )
        found = cls(bytes(KEY_BYTES), path)
        found.reload()
        return found

    def reload(self) -> None:
        """Read the file again, since a key was added; raises InvalidSettings."""
        keys = _read(self._path)
        self._ciphers = {number: AESGCM(key) for number, key in keys.items()}
        self.newest = next(iter(keys))

    def seal(self, api_key: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._ciphers[self.newest].encrypt(nonce, secret, api_key.encode())
        return bytes([self.newest]) + nonce + sealed

    def is_outdated(self, sealed: bytes) -> bool:
        """Whether another master key than the newest has sealed it."""
        return sealed[:1] != bytes([self.newest])

    def unseal(self, api_key: str, sealed: bytes) -> bytes:
        """Raises OperatorNeeded where the secret was sealed under a master key that is not there."""
        number, nonce = sealed[:1], sealed[1 : 1 + NONCE_BYTES]
        try:
            if len(nonce) != NONCE_BYTES:
                raise InvalidTag
            return self._cipher(number[0]).decrypt(
                nonce, sealed[1 + NONCE_BYTES :], api_key.encode()
            )
        except (InvalidTag, InvalidSettings):
            raise OperatorNeeded(
                "The API secrets were encrypted with another master key: restore the file that"
                " MASTER_KEY_FILE named when they were made."
            ) from None

    def _cipher(self, number: int) -> AESGCM:
        if number not in self._ciphers and self._path:
            # Another backend may seal with a key already that was added since we started.
            self.reload()
        if number not in self._ciphers:
            raise InvalidTag
        return self._ciphers[number]


def _read(path: str) -> dict[int, bytes]:
    """The keys by number, the newest first."""
    try:
        if stat.S_IMODE(Path(path).stat().st_mode) & stat.S_IRWXO and os.name == "posix":
            raise InvalidSettings(f"MASTER_KEY_FILE {path} is open to everybody: chmod 600.")
        lines = Path(path).read_text(encoding="ascii").split()
        keys = dict(_parse(line) for line in lines)
    except OSError as fault:
        raise InvalidSettings(f"MASTER_KEY_FILE {path} cannot be read: {fault.strerror}") from None
    except ValueError:
        keys, lines = {}, []
    if not keys or len(keys) != len(lines):
        raise InvalidSettings(f"MASTER_KEY_FILE {path} does not hold 64 hex digits.")
    return keys


def _parse(line: str) -> tuple[int, bytes]:
    number_text, _, digits = line.rpartition(":")
    number, key = int(number_text or FIRST), bytes.fromhex(digits)
    if not FIRST <= number <= LAST or len(key) != KEY_BYTES:
        raise ValueError
    return number, key
