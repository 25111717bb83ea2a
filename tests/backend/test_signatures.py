"""Signatures: those of the published examples, and everything that is not one."""

import base64
import hashlib
import hmac
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPublicKey,
    RSAPublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from hypothesis import given
from hypothesis import strategies as st

from exchange.backend.parameters import parse
from exchange.backend.signatures import (
    Ed25519Verifier,
    HmacVerifier,
    RsaVerifier,
    ed25519_public_key,
    request_hash,
    rsa_public_key,
)

SECRET = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
ORDER = (
    b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
    b"&timestamp=1499827319559"
)
RSA = generate_private_key(public_exponent=65537, key_size=2048)
ORDER_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


@pytest.fixture
def verifier() -> HmacVerifier:
    return HmacVerifier(SECRET)


@pytest.mark.parametrize(
    ("query", "body", "signature"),
    [
        (b"", ORDER, ORDER_SIGNATURE),
        (ORDER, b"", ORDER_SIGNATURE),
        (
            b"symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
            b"quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
            "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
        ),
    ],
)
def test_the_published_examples_are_right(
    verifier: HmacVerifier, query: bytes, body: bytes, signature: str
) -> None:
    payload = parse(query, body + b"&signature=" + signature.encode()).payload

    assert verifier.verify(payload, signature) == bytes.fromhex(signature)


def test_letter_case_of_hex_does_not_matter(verifier: HmacVerifier) -> None:
    upper = verifier.verify(ORDER, ORDER_SIGNATURE.upper())

    assert upper == verifier.verify(ORDER, ORDER_SIGNATURE)
    assert upper is not None


@pytest.mark.parametrize(
    "signature",
    [
        "", "00", ORDER_SIGNATURE[:-2], ORDER_SIGNATURE[:-1], ORDER_SIGNATURE + "00",
        "zz" * 32, f" {ORDER_SIGNATURE}", f"{ORDER_SIGNATURE[:2]} {ORDER_SIGNATURE[2:]}",
        "٠" * 64, "00" * 32,
    ],
)  # fmt: skip
def test_what_is_not_the_signature_is_refused(verifier: HmacVerifier, signature: str) -> None:
    assert verifier.verify(ORDER, signature) is None


def test_a_payload_may_have_been_signed_before_it_was_encoded(verifier: HmacVerifier) -> None:
    sent = b"newClientOrderId=a%3Ab%2Fc&x=one+two"
    signature = hmac.new(SECRET, b"newClientOrderId=a:b/c&x=one two", hashlib.sha256).hexdigest()

    assert verifier.verify(sent, signature) is not None
    assert verifier.verify(unquote(sent.decode()).encode() + b"!", signature) is None


def test_ed25519_checks_exactly_the_bytes_that_were_sent() -> None:
    private = Ed25519PrivateKey.generate()
    verifier = Ed25519Verifier(private.public_key().public_bytes_raw())
    signature = private.sign(ORDER)
    text = base64.b64encode(signature).decode()

    assert verifier.verify(ORDER, text) == signature
    assert verifier.verify(ORDER + b"0", text) is None
    assert verifier.verify(ORDER, text.swapcase()) is None
    assert verifier.verify(ORDER, text[:-4]) is None
    assert verifier.verify(ORDER, "") is None


def test_rsa_checks_exactly_the_bytes_that_were_sent() -> None:
    verifier = RsaVerifier(rsa_public_key(_pem(RSA.public_key())))
    signature = RSA.sign(ORDER, PKCS1v15(), SHA256())
    text = base64.b64encode(signature).decode()

    assert verifier.verify(ORDER, text) == signature
    assert verifier.verify(ORDER + b"0", text) is None
    assert verifier.verify(ORDER, text.swapcase()) is None
    assert verifier.verify(ORDER, text[:-4]) is None
    assert verifier.verify(ORDER, "") is None
    other = base64.b64encode(RSA.sign(ORDER, PKCS1v15(), SHA512())).decode()
    assert verifier.verify(ORDER, other) is None


@pytest.mark.parametrize("bits", [1_024, 8_192])
def test_an_rsa_key_is_neither_weak_nor_slow(bits: int) -> None:
    public = RSAPublicNumbers(65_537, 2**bits - 1).public_key()

    with pytest.raises(ValueError, match=r"^The public key is not of 2048 to 4096 bits"):
        rsa_public_key(_pem(public))


def _pem(public: Ed25519PublicKey | RSAPublicKey) -> str:
    return public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    ).decode()


def test_a_public_key_is_read_from_pem() -> None:
    public = Ed25519PrivateKey.generate().public_key()

    assert ed25519_public_key(_pem(public)) == public.public_bytes_raw()


def test_other_keys_and_other_texts_are_refused_with_a_sentence() -> None:
    rsa = _pem(RSA.public_key())
    ed25519 = _pem(Ed25519PrivateKey.generate().public_key())
    texts = ("", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "é")

    for read, other in ((ed25519_public_key, rsa), (rsa_public_key, ed25519)):
        for text in (other, *texts):
            with pytest.raises(ValueError, match=r"^The public key is not"):
                read(text)


def test_a_request_is_named_by_key_and_decoded_signature() -> None:
    signature = bytes.fromhex(ORDER_SIGNATURE)

    assert request_hash("A" * 64, signature) == request_hash("A" * 64, signature)
    assert request_hash("A" * 64, signature) != request_hash("B" * 64, signature)
    assert len(request_hash("A" * 64, signature)) == 16


@given(payload=st.binary(max_size=100), signature=st.text(max_size=100))
def test_any_text_is_refused_without_an_exception(payload: bytes, signature: str) -> None:
    ed25519 = Ed25519Verifier(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    rsa = RsaVerifier(rsa_public_key(_pem(RSA.public_key())))

    assert rsa.verify(payload, signature) is None
    assert HmacVerifier(SECRET).verify(payload, signature) is None
    assert ed25519.verify(payload, signature) is None
