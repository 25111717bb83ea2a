"""Pairs of keys: what one half signs, the other one knows."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from exchange.services.key_pairs import ed25519_pair, rsa_pair

MESSAGE = b"signed"


def test_an_ed25519_pair_is_one() -> None:
    private, public = ed25519_pair()

    signer, checker = (
        load_pem_private_key(private.encode(), None),
        load_pem_public_key(public.encode()),
    )

    assert isinstance(signer, Ed25519PrivateKey)
    assert isinstance(checker, Ed25519PublicKey)
    checker.verify(signer.sign(MESSAGE), MESSAGE)


def test_an_rsa_pair_is_one() -> None:
    private, public = rsa_pair()

    signer, checker = (
        load_pem_private_key(private.encode(), None),
        load_pem_public_key(public.encode()),
    )

    assert isinstance(signer, RSAPrivateKey)
    assert isinstance(checker, RSAPublicKey)
    checker.verify(signer.sign(MESSAGE, PKCS1v15(), SHA256()), MESSAGE, PKCS1v15(), SHA256())
