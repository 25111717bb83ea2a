"""Signatures of requests: HMAC-SHA256 by a shared secret, Ed25519 or RSA by a private key."""

import base64
import binascii
import hashlib
import hmac
from typing import Protocol
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

RSA_BITS_MIN, RSA_BITS_MAX = 2_048, 4_096


class Verifier(Protocol):
    """What checks the signatures of one key."""

    def verify(self, payload: bytes, signature: str) -> bytes | None:
        """The decoded signature if it is that of the payload, else None."""


class HmacVerifier:
    """Hex digits in any case; the payload may also have been signed before it was encoded."""

    def __init__(self, secret: bytes) -> None:
        # Copying a keyed object costs half of keying a new one.
        self._keyed = hmac.new(secret, digestmod=hashlib.sha256)

    def verify(self, payload: bytes, signature: str) -> bytes | None:
        try:
            decoded = bytes.fromhex(signature)
        except ValueError:
            return None
        if len(signature) != 2 * len(decoded):
            # bytes.fromhex skips spaces.
            return None
        if hmac.compare_digest(self._digest(payload), decoded):
            return decoded
        if b"%" not in payload and b"+" not in payload:
            return None
        plain = unquote_to_bytes(payload.replace(b"+", b" "))
        return decoded if hmac.compare_digest(self._digest(plain), decoded) else None

    def _digest(self, payload: bytes) -> bytes:
        keyed = self._keyed.copy()
        keyed.update(payload)
        return keyed.digest()


class Ed25519Verifier:
    """Base64, and only over the payload as it was sent."""

    def __init__(self, public_key: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def verify(self, payload: bytes, signature: str) -> bytes | None:
        try:
            decoded = base64.b64decode(signature, validate=True)
            self._key.verify(decoded, payload)
        except (ValueError, binascii.Error, InvalidSignature):
            return None
        return decoded


class RsaVerifier:
    """PKCS #1 v1.5 with SHA-256 in base64, and only over the payload as it was sent."""

    def __init__(self, public_key: bytes) -> None:
        """The key is in DER, as `rsa_public_key` has checked it."""
        key = load_der_public_key(public_key)
        assert isinstance(key, RSAPublicKey)
        self._key = key

    def verify(self, payload: bytes, signature: str) -> bytes | None:
        try:
            decoded = base64.b64decode(signature, validate=True)
            self._key.verify(decoded, payload, PKCS1v15(), SHA256())
        except (ValueError, binascii.Error, InvalidSignature):
            return None
        return decoded


def ed25519_public_key(pem: str) -> bytes:
    """The 32 bytes of a public key in PEM; raises ValueError with a sentence."""
    key = _public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise ValueError("The public key is not an Ed25519 key.")
    return key.public_bytes_raw()


def rsa_public_key(pem: str) -> bytes:
    """A public key in DER, from PEM; raises ValueError with a sentence."""
    key = _public_key(pem)
    if not isinstance(key, RSAPublicKey):
        raise ValueError("The public key is not an RSA key.")
    if not RSA_BITS_MIN <= key.key_size <= RSA_BITS_MAX:
        raise ValueError(f"The public key is not of {RSA_BITS_MIN} to {RSA_BITS_MAX} bits.")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public_key(pem: str) -> object:
    try:
        return load_pem_public_key(pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as fault:
        raise ValueError("The public key is not a PEM text.") from fault


def request_hash(api_key: str, signature: bytes) -> bytes:
    """What names a signed request: the same key and the same decoded signature, however spelled."""
    return hashlib.blake2b(api_key.encode() + signature, digest_size=16).digest()
