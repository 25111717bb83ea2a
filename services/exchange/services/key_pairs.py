"""Pairs of keys for those who sign with a private half that the exchange never learns."""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

RSA_BITS = 2_048


def ed25519_pair() -> tuple[str, str]:
    """The private and the public half in PEM."""
    return _in_pem(ed25519.Ed25519PrivateKey.generate())


def rsa_pair() -> tuple[str, str]:
    """The private and the public half in PEM."""
    return _in_pem(rsa.generate_private_key(public_exponent=65_537, key_size=RSA_BITS))


def _in_pem(private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey) -> tuple[str, str]:
    private_text = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public_text = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_text.decode(), public_text.decode()
