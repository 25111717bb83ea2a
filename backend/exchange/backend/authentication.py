"""Who sent a signed request, and whether it is still in time."""

import re

import msgspec

from exchange.backend import errors
from exchange.backend.directory import Directory, KnownKey
from exchange.backend.parameters import (
    RECEIVE_WINDOW,
    RECEIVE_WINDOW_DEFAULT_US,
    TIMESTAMP,
    Sent,
)
from exchange.backend.signatures import request_hash

AHEAD_US_MAX = 1_000_000
_api_key = re.compile(r"[A-Za-z0-9]{64}", re.ASCII).fullmatch


class Signed(msgspec.Struct, frozen=True):
    """A request whose signature is right: by which key, its name, and until when it is valid."""

    key: KnownKey
    request: bytes
    deadline: int


def authenticate(sent: Sent, api_key: str, directory: Directory, now: int) -> Signed:
    """Take what every signed request carries out of its values, and check it; raises ApiError.

    What is missing is said before the signature is looked at, and the signature before the time.
    """
    if _api_key(api_key) is None:
        errors.KEY_FORMAT.refuse()
    timestamp_text = sent.values.pop(TIMESTAMP.name, "")
    window_text = sent.values.pop(RECEIVE_WINDOW.name, None)
    if not timestamp_text:
        raise errors.mandatory(TIMESTAMP.name)
    if not sent.signature:
        raise errors.mandatory("signature")
    timestamp = TIMESTAMP.read(TIMESTAMP.name, timestamp_text)
    window = RECEIVE_WINDOW_DEFAULT_US
    if window_text is not None:
        window = RECEIVE_WINDOW.read(RECEIVE_WINDOW.name, window_text)
    key = directory.keys.get(api_key)
    if key is None:
        errors.KEY_REJECTED.refuse()
    signature = key.verifier.verify(sent.payload, sent.signature)
    if signature is None:
        errors.SIGNATURE.refuse()
    if timestamp >= now + AHEAD_US_MAX:
        errors.AHEAD_OF_TIME.refuse()
    if now - timestamp > window:
        errors.OUTSIDE_WINDOW.refuse()
    return Signed(key, request_hash(api_key, signature), timestamp + window)
