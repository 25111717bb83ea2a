"""What one socket listens to, and the messages by which it says so.

An error is told in both ways that clients read: as the documentation has it, `code` and `msg` in
the message itself, and as libraries look for it, under `error`. The socket stays open.
"""

from collections.abc import Container, Iterable
from enum import StrEnum
from typing import Any

import msgspec

from exchange.redis.listen_keys import is_listen_key
from exchange.websocket.events import Form
from exchange.websocket.streams import Stream, parse_stream

STREAMS_MAX = 1_024
ID_CHARACTERS_MAX = 36

_ID_NUMBERS = range(-(2**63), 2**63)

Id = int | str | None


class Method(StrEnum):
    SUBSCRIBE = "SUBSCRIBE"
    UNSUBSCRIBE = "UNSUBSCRIBE"
    LIST_SUBSCRIPTIONS = "LIST_SUBSCRIPTIONS"
    SET_PROPERTY = "SET_PROPERTY"
    GET_PROPERTY = "GET_PROPERTY"


class Code:
    """The error codes of the stream server."""

    UNKNOWN_PROPERTY = 0
    INVALID_VALUE = 1
    INVALID_REQUEST = 2
    INVALID_JSON = 3


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That it was done, or what was asked for; the id is that of the request."""

    result: bool | list[str] | None
    id: Id


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    code: int
    msg: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That it was not done, and why, in both ways that clients read."""

    code: int
    msg: str
    error: Fault
    id: Id


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What to send back, and what is listened to from now on, and no longer, by its name."""

    text: bytes
    added: dict[str, Stream] = {}
    removed: dict[str, Stream] = {}
    added_keys: tuple[str, ...] = ()
    removed_keys: tuple[str, ...] = ()


class Subscriptions:
    """`form`, and the names in `streams` and `listen_keys`, in the order in which they came.

    Whether a listenKey is anybody's is not known here.
    """

    def __init__(self, form: Form) -> None:
        self.form = form
        self.streams: dict[str, Stream] = {}
        self.listen_keys: dict[str, None] = {}

    def open(self, names: Iterable[str], symbols: Container[str]) -> None:
        """Listen to what the address named; what we do not know is passed over in silence."""
        for name in names:
            stream = parse_stream(name)
            if is_listen_key(name):
                self.listen_keys[name] = None
            elif stream is not None and stream.exists(symbols):
                self.streams[name] = stream

    def answer(self, message: str | bytes, symbols: Container[str]) -> Answer:
        """Do what a message asks, all of it or nothing."""
        id: Id = None
        try:
            request = _decode(message)
            id = _id(request)
            return self._execute(id, _method(request), _parameters(request), symbols)
        except _Invalid as fault:
            return Answer(text=_error(id, fault.code, fault.text))

    def _execute(
        self, id: Id, method: Method, parameters: list[Any], symbols: Container[str]
    ) -> Answer:
        match method:
            case Method.SUBSCRIBE:
                return self._subscribe(id, _names(parameters), symbols)
            case Method.UNSUBSCRIBE:
                return self._unsubscribe(id, _names(parameters))
            case Method.LIST_SUBSCRIPTIONS:
                return Answer(text=_result(id, [*self.streams, *self.listen_keys]))
            case Method.SET_PROPERTY:
                return self._set_property(id, parameters)
            case Method.GET_PROPERTY:
                _check_property(parameters, length=1)
                return Answer(text=_result(id, self.form.combined))

    def _subscribe(self, id: Id, names: list[str], symbols: Container[str]) -> Answer:
        keys = {name: None for name in names if is_listen_key(name)}
        added_keys = tuple(name for name in keys if name not in self.listen_keys)
        added = {
            name: _known(name, symbols)
            for name in names
            if name not in self.streams and name not in keys
        }
        known = len(self.streams) + len(self.listen_keys)
        if known + len(added) + len(added_keys) > STREAMS_MAX:
            raise _Invalid(Code.INVALID_REQUEST, f"more than {STREAMS_MAX} streams on one socket")
        self.streams |= added
        self.listen_keys |= keys
        return Answer(text=_result(id, None), added=added, added_keys=added_keys)

    def _unsubscribe(self, id: Id, names: list[str]) -> Answer:
        removed = {name: self.streams[name] for name in names if name in self.streams}
        for name in removed:
            del self.streams[name]
        removed_keys = tuple(dict.fromkeys(one for one in names if one in self.listen_keys))
        for name in removed_keys:
            del self.listen_keys[name]
        return Answer(text=_result(id, None), removed=removed, removed_keys=removed_keys)

    def _set_property(self, id: Id, parameters: list[Any]) -> Answer:
        _check_property(parameters, length=2)
        combined = parameters[1]
        if not isinstance(combined, bool):
            raise _Invalid(Code.INVALID_VALUE, "expected Boolean")
        self.form = msgspec.structs.replace(self.form, combined=combined)
        return Answer(text=_result(id, None))


class _Invalid(Exception):
    """The message cannot be obeyed; the beginning of the sentence goes with the code."""

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.text = _BEGINNINGS[code] + reason


_BEGINNINGS = {
    Code.UNKNOWN_PROPERTY: "Unknown property",
    Code.INVALID_VALUE: "Invalid value type: ",
    Code.INVALID_REQUEST: "Invalid request: ",
    Code.INVALID_JSON: "Invalid JSON: ",
}


def _decode(message: str | bytes) -> dict[str, Any]:
    try:
        request = msgspec.json.decode(message)
    except (msgspec.DecodeError, RecursionError) as fault:
        raise _Invalid(Code.INVALID_JSON, str(fault)) from None
    if not isinstance(request, dict):
        raise _Invalid(Code.INVALID_REQUEST, "expected an object")
    return request


def _id(request: dict[str, Any]) -> Id:
    match request.get("id"):
        case None:
            return None
        case int(id) if not isinstance(id, bool) and id in _ID_NUMBERS:
            return id
        case str(id) if len(id) <= ID_CHARACTERS_MAX:
            return id
    raise _Invalid(
        Code.INVALID_REQUEST,
        f"request ID must be a 64-bit integer, a string of at most {ID_CHARACTERS_MAX} characters"
        " or null",
    )


def _method(request: dict[str, Any]) -> Method:
    if "method" not in request:
        raise _Invalid(Code.INVALID_REQUEST, "missing field `method`")
    try:
        return Method(request["method"])
    except ValueError:
        expected = ", ".join(f"`{method}`" for method in Method)
        raise _Invalid(
            Code.INVALID_REQUEST, f"unknown variant of `method`, expected one of {expected}"
        ) from None


def _parameters(request: dict[str, Any]) -> list[Any]:
    parameters = request.get("params")
    if parameters is None:
        return []
    if not isinstance(parameters, list):
        raise _Invalid(Code.INVALID_REQUEST, "`params` must be an array")
    return parameters


def _names(parameters: list[Any]) -> list[str]:
    if not parameters or not all(isinstance(name, str) for name in parameters):
        raise _Invalid(Code.INVALID_REQUEST, "`params` must be an array of stream names")
    return parameters


def _known(name: str, symbols: Container[str]) -> Stream:
    stream = parse_stream(name)
    if stream is None:
        raise _Invalid(Code.INVALID_REQUEST, f"unsupported stream `{name[:80]}`")
    if not stream.exists(symbols):
        raise _Invalid(Code.INVALID_REQUEST, f"unknown symbol in stream `{name[:80]}`")
    return stream


def _check_property(parameters: list[Any], *, length: int) -> None:
    if not parameters or not isinstance(parameters[0], str):
        raise _Invalid(Code.INVALID_REQUEST, "property name must be a string")
    if parameters[0] != "combined":
        raise _Invalid(Code.UNKNOWN_PROPERTY, "")
    if len(parameters) > length:
        raise _Invalid(Code.INVALID_REQUEST, "too many parameters")
    if len(parameters) < length:
        raise _Invalid(Code.INVALID_VALUE, "expected Boolean")


def _result(id: Id, result: bool | list[str] | None) -> bytes:
    return msgspec.json.encode(Result(result=result, id=id))


def _error(id: Id, code: int, text: str) -> bytes:
    fault = Fault(code=code, msg=text)
    return msgspec.json.encode(Refusal(code=code, msg=text, error=fault, id=id))
