"""Requests and answers of the WebSocket API as text: one JSON object each."""

import re
from typing import Any
from urllib.parse import quote_plus

import msgspec

from exchange.backend import errors
from exchange.backend.errors import ApiError
from exchange.backend.parameters import SIGNATURE_NAME, Sent, flag_parameter

RETURN_RATE_LIMITS = flag_parameter(
    "returnRateLimits", "Whether answers tell how much of the limits is used."
)
API_KEY_NAME = "apiKey"
VERSION_PREFIX = "v3/"

_NULL = msgspec.Raw(b"null")
# What percent-encoding leaves alone, and the two marks between names and values.
_is_plain = re.compile(r"[A-Za-z0-9_.~=&-]+", re.ASCII).fullmatch


class SocketRequest(msgspec.Struct, frozen=True):
    """What a client asks; `id` is echoed as it came. `returns_limits` None: as the connection."""

    id: msgspec.Raw
    method: str
    api_key: str
    returns_limits: bool | None
    sent: Sent


class Unreadable(Exception):
    """A message that is no request; `error` is the answer to the id, as far as there is one."""

    def __init__(self, error: ApiError, id: msgspec.Raw = _NULL) -> None:
        super().__init__(error)
        self.error = error
        self.id = id


def parse_request(text: str | bytes) -> SocketRequest:
    """Raises Unreadable."""
    frame = _frame(text)
    try:
        if not frame.method:
            raise errors.mandatory("method")
        values = {name: _value(raw) for name, raw in _params(frame.params).items()}
        # What is signed is all that was sent; what is only for us is no parameter of a method.
        payload, encoded = _signed_text(values)
        limits_text = values.pop(RETURN_RATE_LIMITS.name, None)
        limits = None
        if limits_text is not None:
            limits = RETURN_RATE_LIMITS.read(RETURN_RATE_LIMITS.name, limits_text)
    except ApiError as error:
        raise Unreadable(error, frame.id) from None
    return SocketRequest(
        id=frame.id,
        method=frame.method.removeprefix(VERSION_PREFIX),
        api_key=values.pop(API_KEY_NAME, ""),
        returns_limits=limits,
        sent=Sent(
            signature=values.pop(SIGNATURE_NAME, None),
            values=values,
            payload=payload,
            encoded=encoded,
        ),
    )


def answer(
    id: msgspec.Raw | None,
    status: int,
    content: dict[str, Any],
    limits: list[dict[str, Any]] | None,
) -> bytes:
    """`content` is the result or the error, by that name."""
    text: dict[str, Any] = {"id": id, "status": status, **content}
    if limits is not None:
        text["rateLimits"] = limits
    return _encode(text)


_encode = msgspec.json.Encoder().encode


class _Frame(msgspec.Struct):
    id: msgspec.Raw = _NULL
    method: str = ""
    params: msgspec.Raw = _NULL


class _Id(msgspec.Struct):
    id: msgspec.Raw = _NULL


_decode_frame = msgspec.json.Decoder(_Frame).decode
_decode_id = msgspec.json.Decoder(_Id).decode
_decode_params = msgspec.json.Decoder(dict[str, msgspec.Raw] | None).decode
_decode_id_value = msgspec.json.Decoder(int | str | None).decode
_decode_text = msgspec.json.Decoder(str).decode


def _frame(text: str | bytes) -> _Frame:
    try:
        frame = _decode_frame(text)
        _check_id(frame.id)
    except msgspec.ValidationError:
        raise Unreadable(errors.bad_json("method"), _id_of(text)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise Unreadable(errors.INVALID_JSON.error()) from None
    return frame


def _id_of(text: str | bytes) -> msgspec.Raw:
    """The id of a message whose other fields are wrong; one that is no object has none."""
    try:
        id: msgspec.Raw = _decode_id(text).id
    except msgspec.MsgspecError:
        raise Unreadable(errors.INVALID_JSON.error()) from None
    _check_id(id)
    return id


def _check_id(id: msgspec.Raw) -> None:
    try:
        _decode_id_value(id)
    except msgspec.MsgspecError:
        raise Unreadable(errors.bad_json("id")) from None


def _params(raw: msgspec.Raw) -> dict[str, msgspec.Raw]:
    try:
        return _decode_params(raw) or {}
    except msgspec.MsgspecError:
        raise errors.bad_json("params") from None


def _value(raw: msgspec.Raw) -> str:
    """As it would stand in a query: a number, a boolean or a list as its JSON is written."""
    text = bytes(raw)
    if text[:1] == b'"':
        try:
            return _decode_text(text)
        except msgspec.MsgspecError:
            errors.INVALID_JSON.refuse()
    return "" if text == b"null" else text.decode("utf-8", "replace")


def _signed_text(values: dict[str, str]) -> tuple[bytes, bytes | None]:
    """What is signed: everything but the signature by name, and the same percent-encoded.

    The documentation has it plain, and some libraries encode it; mostly there is no difference.
    """
    pairs = [(name, values[name]) for name in sorted(values) if name != SIGNATURE_NAME]
    plain = "&".join(f"{name}={value}" for name, value in pairs)
    marks = plain.count("="), plain.count("&") + 1
    if _is_plain(plain) and marks == (len(pairs), len(pairs)):
        return plain.encode(), None
    encoded = "&".join(f"{name}={quote_plus(value)}" for name, value in pairs)
    # A lone surrogate can be in JSON, and nowhere else.
    payload = plain.encode("utf-8", "replace")
    return payload, None if encoded == plain else encoded.encode()
