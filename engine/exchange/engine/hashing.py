"""The hash of one message, and how those of many are added up."""

from hashlib import blake2b

from msgspec import Struct

from exchange.services.messages import encode

MODULUS = 2**64


def message_hash(message: Struct) -> int:
    """Of all that it says, below MODULUS."""
    return int.from_bytes(blake2b(encode(message), digest_size=8).digest())
