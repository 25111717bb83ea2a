"""API secrets at rest: AES-256-GCM under the master key, which only the backend has.

A sealed secret is one byte that names the master key, a nonce, and the ciphertext. It is bound to
its API key, so that nobody who can write the database can give one key the secret of another.
"""

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.services.process import OperatorNeeded
from exchange.services.settings import InvalidSettings

MASTER_KEY = b"\x01"
"""The name of the only master key there is; a second one makes rotation possible."""
NONCE_BYTES = 12
KEY_BYTES = 32


class Vault:
    """Use `Vault.open`."""

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(master_key)

    @classmethod
    def open(cls, path: str) -> "Vault":
        """Raises InvalidSettings where the file cannot be used."""
        if not path:
            raise InvalidSettings(
                "MASTER_KEY_FILE is not set: it names a file of 64 hex digits, which encrypts API"
                " secrets. `openssl rand -hex 32` makes one."
            )
        try:
            if stat.S_IMODE(Path(path).stat().st_mode) & stat.S_IRWXO and os.name == "posix":
                raise InvalidSettings(f"MASTER_KEY_FILE {path} is open to everybody: chmod 600.")
            key = bytes.fromhex(Path(path).read_text(encoding="ascii").strip())
        except OSError as fault:
            raise InvalidSettings(
                f"MASTER_KEY_FILE {path} cannot be read: {fault.strerror}"
            ) from None
        except ValueError:
            key = b""
        if len(key) != KEY_BYTES:
            raise InvalidSettings(f"MASTER_KEY_FILE {path} does not hold 64 hex digits.")
        return cls(key)

    def seal(self, api_key: str, secret: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return MASTER_KEY + nonce + self._cipher.encrypt(nonce, secret, api_key.encode())

    def unseal(self, api_key: str, sealed: bytes) -> bytes:
        """Raises OperatorNeeded where the secret was sealed under another master key."""
        name, nonce = sealed[:1], sealed[1 : 1 + NONCE_BYTES]
        try:
            if name != MASTER_KEY or len(nonce) != NONCE_BYTES:
                raise InvalidTag
            return self._cipher.decrypt(nonce, sealed[1 + NONCE_BYTES :], api_key.encode())
        except InvalidTag:
            raise OperatorNeeded(
                "The API secrets were encrypted with another master key: restore the file that"
                " MASTER_KEY_FILE named when they were made."
            ) from None
