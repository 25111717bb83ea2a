"""Who sent a signed request, and whether it is still in time."""

import os
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
    """A request that is known to come from a key's owner, and until when it is valid.

    `request` names a signed request, and is None where a session vouches for its sender; `seed`
    is what ids are made up from.
    """

    key: KnownKey
    request: bytes | None
    deadline: int
    seed: bytes


def authenticate(sent: Sent, api_key: str, directory: Directory, now: int) -> Signed:
    """Take what every signed request carries out of its values, and check it; raises ApiError.

    What is missing is said before the signature is looked at, and the signature before the time.
    """
    _check_format(api_key, directory)
    timestamp_text, window_text = _take_times(sent)
    if not sent.signature:
        raise errors.mandatory("signature")
    timestamp, window = _read_times(timestamp_text, window_text)
    key = _known(api_key, directory, now)
    signature = key.verifier.verify(sent.payload, sent.signature)
    if signature is None and sent.encoded is not None:
        signature = key.verifier.verify(sent.encoded, sent.signature)
    if signature is None:
        errors.SIGNATURE.refuse()
    _check_times(timestamp, window, now)
    request = request_hash(api_key, signature)
    return Signed(key, request, timestamp + window, request)


def vouch(sent: Sent, key: KnownKey, now: int) -> Signed:
    """A request without a signature, from a connection that has logged on with this key.

    It is never the repeat of another one: its sender knows what it has sent over a connection.
    """
    timestamp, window = _read_times(*_take_times(sent))
    _check_times(timestamp, window, now)
    return Signed(key, None, timestamp + window, os.urandom(16))


def trust(sent: Sent, key: KnownKey, now: int) -> Signed:
    """A request of a browser whose session was looked up; it may say no time, and then is of now."""
    timestamp, window = now, RECEIVE_WINDOW_DEFAULT_US
    if TIMESTAMP.name in sent.values:
        timestamp, window = _read_times(*_take_times(sent))
        _check_times(timestamp, window, now)
    return Signed(key, None, timestamp + window, os.urandom(16))


def identify(api_key: str, directory: Directory, now: int) -> Signed:
    """A request that only names a key: what it may do needs no more; raises ApiError."""
    _check_format(api_key, directory)
    return Signed(_known(api_key, directory, now), None, 0, b"")


def _check_format(api_key: str, directory: Directory) -> None:
    if api_key not in directory.keys and _api_key(api_key) is None:
        errors.KEY_FORMAT.refuse()


def _known(api_key: str, directory: Directory, now: int) -> KnownKey:
    key = directory.keys.get(api_key)
    if key is None or key.is_over(now):
        errors.KEY_REJECTED.refuse()
    return key


def _take_times(sent: Sent) -> tuple[str, str | None]:
    """Raises the error for a missing timestamp."""
    timestamp_text = sent.values.pop(TIMESTAMP.name, "")
    window_text = sent.values.pop(RECEIVE_WINDOW.name, None)
    if not timestamp_text:
        raise errors.mandatory(TIMESTAMP.name)
    return timestamp_text, window_text


def _read_times(timestamp_text: str, window_text: str | None) -> tuple[int, int]:
    timestamp = TIMESTAMP.read(TIMESTAMP.name, timestamp_text)
    if window_text is None:
        return timestamp, RECEIVE_WINDOW_DEFAULT_US
    return timestamp, RECEIVE_WINDOW.read(RECEIVE_WINDOW.name, window_text)


def _check_times(timestamp: int, window: int, now: int) -> None:
    if timestamp >= now + AHEAD_US_MAX:
        errors.AHEAD_OF_TIME.refuse()
    if now - timestamp > window:
        errors.OUTSIDE_WINDOW.refuse()
