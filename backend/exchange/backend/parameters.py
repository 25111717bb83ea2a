"""The parameters of a request: one parse of raw query and raw body, and what each may hold.

A body is read as a form whatever its Content-Type says, since clients label it as they like. Each
endpoint's table of Parameters is what requests are read by and what the documentation shows.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar, overload
from urllib.parse import unquote, unquote_plus

import msgspec

from exchange.backend import errors
from exchange.backend.errors import Fault

T = TypeVar("T")
Default = TypeVar("Default")

MICROSECONDS_FROM = 10**14
"""Times below are milliseconds, those from here on microseconds; in ms this is the year 5138."""

SIGNATURE_NAME = "signature"

_INTEGER_MAX = 2**63 - 1
_LIST_ITEMS_MAX = 1_000


class Sent(msgspec.Struct, frozen=True):
    """A request as it came: its parameters by name, its signature, and the text that was signed.

    `encoded` is the same text in the other form that clients sign, if there is one.
    """

    values: dict[str, str]
    signature: str | None
    payload: bytes
    encoded: bytes | None = None


def parse(query: bytes, body: bytes) -> Sent:
    """Raises ApiError where a name comes twice in the query, or twice in the body.

    A name that is in both counts as the query has it.
    """
    query_values, query_signature, signed_query = _parse_part(query)
    if not body:
        return Sent(query_values, query_signature, signed_query)
    body_values, body_signature, signed_body = _parse_part(body)
    return Sent(
        {**body_values, **query_values},
        query_signature if query_signature is not None else body_signature,
        signed_query + signed_body,
    )


def _parse_part(raw: bytes) -> tuple[dict[str, str], str | None, bytes]:
    """The values, the signature, and the bytes without the signature."""
    if not raw:
        return {}, None, raw
    # What is not UTF-8 becomes a character that no parameter allows.
    text = raw.decode("utf-8", "replace")
    pairs = [pair.partition("=")[::2] for pair in text.split("&") if pair]
    if "%" in text or "+" in text:
        pairs = [_decoded(name, value) for name, value in pairs]
    values = dict(pairs)
    if len(values) < len(pairs):
        errors.DUPLICATE_PARAMETER.refuse()
    signature = values.pop(SIGNATURE_NAME, None)
    return values, signature, raw if signature is None else _without_signature(raw)


def _decoded(name: str, value: str) -> tuple[str, str]:
    name = unquote_plus(name)
    # Base64 has a plus of its own, which careless clients leave as it is.
    return name, unquote(value) if name == SIGNATURE_NAME else unquote_plus(value)


def _without_signature(raw: bytes) -> bytes:
    head, separator, tail = raw.rpartition(b"&signature=")
    if separator and b"&" not in tail:
        # Last, as nearly everybody sends it.
        return head
    pairs = raw.split(b"&")
    return b"&".join(pair for pair in pairs if not _is_signature(pair))


def _is_signature(pair: bytes) -> bool:
    return unquote_plus(pair.partition(b"=")[0].decode("utf-8", "replace")) == SIGNATURE_NAME


class Parameter(msgspec.Struct, Generic[T], frozen=True, eq=False, kw_only=True):
    """One parameter of an endpoint; `read(name, text)` gives its value or raises ApiError."""

    name: str
    read: Callable[[str, str], T]
    schema: Mapping[str, Any]
    description: str = ""
    mandatory: bool = False

    def required(self) -> "Parameter[T]":
        return msgspec.structs.replace(self, mandatory=True)


class Values:
    """The parameters of one request that were sent, by their Parameter."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __contains__(self, parameter: Parameter[Any]) -> bool:
        return parameter.name in self._values

    def __getitem__(self, parameter: Parameter[T]) -> T:
        """Raises the error for a missing mandatory parameter."""
        try:
            value: T = self._values[parameter.name]
        except KeyError:
            raise errors.mandatory(parameter.name) from None
        return value

    @overload
    def get(self, parameter: Parameter[T]) -> T | None: ...
    @overload
    def get(self, parameter: Parameter[T], default: Default) -> T | Default: ...
    def get(self, parameter: Parameter[T], default: Any = None) -> Any:
        return self._values.get(parameter.name, default)


class Table:
    """The parameters that an endpoint takes."""

    def __init__(self, parameters: Iterable[Parameter[Any]]) -> None:
        self.parameters = tuple(parameters)
        self._by_name = {parameter.name: parameter for parameter in self.parameters}
        self._mandatory = [one.name for one in self.parameters if one.mandatory]

    def read(self, sent: Mapping[str, str]) -> Values:
        """Raises ApiError for what is missing, unknown, empty or malformed."""
        values: dict[str, Any] = {}
        unknown = 0
        for name, text in sent.items():
            parameter = self._by_name.get(name)
            if parameter is None:
                unknown += 1
            elif text:
                values[name] = parameter.read(name, text)
            elif not parameter.mandatory:
                raise errors.empty(name)
        for name in self._mandatory:
            if name not in values:
                raise errors.mandatory(name)
        if unknown:
            raise errors.unread(len(sent) - unknown, len(sent))
        return Values(values)


# --- What a parameter may hold ---


def text_parameter(
    name: str,
    pattern: str,
    description: str = "",
    *,
    legal_range: str | None = None,
    example: str | None = None,
) -> Parameter[str]:
    """Any text of a pattern."""
    matches = re.compile(pattern, re.ASCII).fullmatch

    def read(name: str, text: str) -> str:
        if matches(text) is None:
            raise errors.illegal(name, legal_range or pattern)
        return text

    schema: dict[str, Any] = {"type": "string", "pattern": pattern}
    if example is not None:
        schema["example"] = example
    return Parameter(name=name, read=read, schema=schema, description=description)


_INTEGER = "^[0-9]{1,20}$"
_integer = re.compile(_INTEGER, re.ASCII).fullmatch


def read_integer(name: str, text: str) -> int:
    if _integer(text) is None:
        raise errors.illegal(name, _INTEGER)
    value = int(text)
    if value > _INTEGER_MAX:
        raise errors.overflow(name)
    return value


def integer_parameter(name: str, description: str = "") -> Parameter[int]:
    return Parameter(
        name=name,
        read=read_integer,
        schema={"type": "integer", "format": "int64", "minimum": 0},
        description=description,
    )


def limit_parameter(default: int, greatest: int) -> Parameter[int]:
    """How many at most; larger values are cut."""

    def read(name: str, text: str) -> int:
        value = read_integer(name, text)
        if value == 0:
            raise errors.invalid(name)
        return min(value, greatest)

    return Parameter(
        name="limit",
        read=read,
        schema={"type": "integer", "minimum": 1, "default": default},
        description=f"How many at most: {default} by default, up to {greatest}.",
    )


def time_parameter(
    name: str, description: str, *, read: Callable[[str, str], int] | None = None
) -> Parameter[int]:
    """A time in ms or µs; the value is in µs."""
    return Parameter(
        name=name,
        read=read or read_time,
        schema={"type": "integer", "format": "int64", "minimum": 0},
        description=f"{description}, in milliseconds or microseconds.",
    )


def read_time(name: str, text: str) -> int:
    value = read_integer(name, text)
    return value if value >= MICROSECONDS_FROM else value * 1_000


def read_end_time(name: str, text: str) -> int:
    """The last µs that is meant: a millisecond as an inclusive bound has a thousand of them."""
    value = read_integer(name, text)
    return value if value >= MICROSECONDS_FROM else value * 1_000 + 999


DECIMAL = r"^([0-9]{1,20})(\.[0-9]{1,20})?$"


def decimal_parameter(name: str, description: str = "") -> Parameter[str]:
    """A decimal number as text; how many units it is depends on its asset."""
    return text_parameter(name, DECIMAL, description, example="1.5")


def flag_parameter(name: str, description: str) -> Parameter[bool]:
    def read(name: str, text: str) -> bool:
        if text not in ("true", "false"):
            raise errors.illegal(name, "^(true|false)$")
        return text == "true"

    return Parameter(name=name, read=read, schema={"type": "boolean"}, description=description)


def choice_parameter(
    name: str,
    choices: Mapping[str, T],
    description: str = "",
    *,
    fault: Fault | None = None,
    others: Mapping[str, Fault] | None = None,
) -> Parameter[T]:
    """One of some words. `others` are words of the API that this exchange does not do."""

    def read(name: str, text: str) -> T:
        if text in choices:
            return choices[text]
        if others is not None and text in others:
            others[text].refuse()
        if fault is not None:
            fault.refuse()
        raise errors.invalid(name)

    return Parameter(
        name=name,
        read=read,
        schema={"type": "string", "enum": list(choices)},
        description=description,
    )


def list_parameter(name: str, item: str, description: str) -> Parameter[tuple[str, ...]]:
    """A JSON list of texts that match a pattern."""
    legal_range = rf'^\[("{item}"(,"{item}"){{0,}}){{0,1}}\]$'
    matches = re.compile(item, re.ASCII).fullmatch

    def read(name: str, text: str) -> tuple[str, ...]:
        try:
            items = msgspec.json.decode(text, type=list[str])
        except (msgspec.MsgspecError, UnicodeEncodeError):
            raise errors.illegal(name, legal_range) from None
        if len(items) > _LIST_ITEMS_MAX or not all(matches(one) for one in items):
            raise errors.illegal(name, legal_range)
        return tuple(items)

    return Parameter(
        name=name,
        read=read,
        schema={"type": "string", "example": '["SOLUSDC","BTCUSDT"]'},
        description=description,
    )


def unsupported_parameter(name: str, error: Callable[[str], errors.ApiError]) -> Parameter[Any]:
    """A parameter of the API that this exchange does not do: refused, never ignored."""

    def read(name: str, text: str) -> Any:  # noqa: ARG001
        raise error(name)

    return Parameter(
        name=name,
        read=read,
        schema={"type": "string"},
        description="Not supported: refused with an error.",
    )


# --- Parameters that many endpoints share ---

SYMBOL_ITEM = "[A-Z0-9-_.]{1,20}"

SYMBOL = text_parameter("symbol", f"^{SYMBOL_ITEM}$", "The market, in capitals.", example="SOLUSDC")
SYMBOLS = list_parameter("symbols", SYMBOL_ITEM, "Markets, as a JSON list.")
ORDER_ID = integer_parameter("orderId", "The order's number.")
CLIENT_ID_PATTERN = "^[a-zA-Z0-9-_.:/]{1,36}$"
ORIGINAL_CLIENT_ORDER_ID = text_parameter(
    "origClientOrderId", CLIENT_ID_PATTERN, "The order's client order id."
)
START_TIME = time_parameter("startTime", "From this time on, inclusive")
END_TIME = time_parameter("endTime", "Up to this time, inclusive", read=read_end_time)
FROM_ID = integer_parameter("fromId", "From this trade id on, inclusive.")

# --- Parameters of every signed request ---

RECEIVE_WINDOW_DEFAULT_US = 5_000_000
RECEIVE_WINDOW_MAX_MS = 60_000
_WINDOW = r"^[0-9]{1,20}(\.[0-9]{1,3})?$"
_window = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,3}))?", re.ASCII).fullmatch


def read_receive_window(name: str, text: str) -> int:
    """Microseconds, from milliseconds with up to three decimals."""
    match = _window(text)
    if match is None:
        raise errors.illegal(name, _WINDOW)
    value = int(match[1]) * 1_000 + int((match[2] or "").ljust(3, "0"))
    if value > RECEIVE_WINDOW_MAX_MS * 1_000:
        raise errors.too_great(name, RECEIVE_WINDOW_MAX_MS)
    return value


TIMESTAMP = time_parameter("timestamp", "When the request was made").required()
RECEIVE_WINDOW = Parameter(
    name="recvWindow",
    read=read_receive_window,
    schema={"type": "number", "maximum": RECEIVE_WINDOW_MAX_MS, "default": 5_000},
    description="How many milliseconds the request is valid, from its timestamp on.",
)
SIGNATURE = Parameter(
    name=SIGNATURE_NAME,
    read=lambda _name, text: text,
    schema={"type": "string"},
    description="HMAC-SHA256 in hex, or Ed25519 or RSA in base64, of query and body as they are sent.",
    mandatory=True,
)
