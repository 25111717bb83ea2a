"""What an endpoint is: its path, its table of parameters, who may call it, and what answers.

One table serves both reading a request and the OpenAPI document.
"""

from collections.abc import Awaitable, Callable
from enum import Enum
from typing import Any

import msgspec

from exchange.backend import answer_schemas, errors
from exchange.backend.answer_schemas import Shapes
from exchange.backend.authentication import Signed
from exchange.backend.formats import TimeUnit
from exchange.backend.parameters import (
    RECEIVE_WINDOW,
    SIGNATURE,
    TIMESTAMP,
    Parameter,
    Table,
    Values,
)
from exchange.backend.state import Current, State


class Security(Enum):
    """Who may call: anybody, who names a key, who signs, or who signs with a key that may trade."""

    NONE = "public"
    KEY = "with a key, and without a signature"
    USER_DATA = "signed"
    TRADE = "signed, by a key that may trade"


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was understood. `now` is µs, `unit` what its answer counts times in."""

    current: Current
    values: Values
    now: int
    unit: TimeUnit
    signed: Signed | None

    @property
    def state(self) -> State:
        """Raises UNAVAILABLE while there is none."""
        return self.current.state

    @property
    def caller(self) -> Signed:
        assert self.signed is not None
        return self.signed

    @property
    def account(self) -> int:
        return self.caller.key.account


Handler = Callable[[Call], Awaitable[Any]]
"""Answers with what becomes JSON, or raises ApiError."""


class Endpoint:
    """One method on one path."""

    def __init__(
        self,
        method: str,
        path: str,
        handler: Handler,
        *,
        summary: str,
        answer: Shapes,
        socket_method: str = "",
        parameters: tuple[Parameter[Any], ...] = (),
        security: Security = Security.NONE,
        weight: int | Callable[[Values], int] = 1,
        own_statuses: tuple[int, ...] = (),
        is_free: bool = False,
        places_orders: bool = False,
    ) -> None:
        """`answer` is empty where none but an error is given; `own_statuses` are those of its errors that no other endpoint has.

        A free one costs its weight only when it fails. One that places orders tells how many of
        its account's are not filled.
        """
        self.method = method
        self.path = path
        self.name = f"{method} {path}"
        self.socket_method = socket_method
        self.handler = handler
        self.summary = summary
        self.answer = answer
        self.table = Table(parameters)
        self.security = security
        self._weight = weight
        self._own_statuses = own_statuses
        self.is_free = is_free
        self.places_orders = places_orders

    @property
    def needs_key(self) -> bool:
        return self.security is not Security.NONE

    @property
    def is_signed(self) -> bool:
        return self.security in (Security.USER_DATA, Security.TRADE)

    def weigh(self, values: Values) -> int:
        return self._weight if isinstance(self._weight, int) else self._weight(values)

    def documentation(self) -> dict[str, Any]:
        """What FastAPI cannot know, since requests are read by the table."""
        parameters = [*self.table.parameters]
        if self.is_signed:
            parameters += [RECEIVE_WINDOW, TIMESTAMP, SIGNATURE]
        return {
            "parameters": [
                *(_documented(parameter) for parameter in parameters),
                _TIME_UNIT_HEADER,
            ],
            "description": self._description(),
            "security": [{KEY_SCHEME: []}] if self.needs_key else [],
        }

    def responses(self) -> dict[str, dict[str, Any]]:
        """Every status that an answer can have, and what it means."""
        statuses = [400, 414, 418, 429, 500, 503, *self._own_statuses]
        if self.needs_key:
            statuses += [401]
        if self.method != "GET":
            statuses += [408, 413, 504]
        found = {"200": self._success()} if self.answer else {}
        for status in sorted(statuses):
            headers = {**_WEIGHT_HEADER, **(_WAIT_HEADER if status in _WAITED_FOR else {})}
            found[str(status)] = {
                "description": _STATUSES[status], "content": _ERROR_CONTENT, "headers": headers,
            }  # fmt: skip
        return found

    def _success(self) -> dict[str, Any]:
        headers = {**_WEIGHT_HEADER, **(_ORDER_HEADERS if self.places_orders else {})}
        content = {"application/json": {"schema": answer_schemas.schema(self.answer)}}
        return {"description": self.summary + ".", "headers": headers, "content": content}

    def _description(self) -> str:
        text = f"Access: {self.security.value}."
        if self.method != "GET":
            text += " Parameters may come in the query, in a form body, or in both."
        return text


def _documented(parameter: Parameter[Any]) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": "query",
        "required": parameter.mandatory,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }


_STATUSES = {
    400: "The request is refused; nothing has happened.",
    401: "The API key is malformed, unknown, or may not do this.",
    408: "The body did not arrive in time.",
    409: "One half of the request was executed and the other was not; `data` tells both.",
    413: "The body is too large.",
    414: "The query is too long.",
    418: "The address is banned: it went on after 429. Retry-After says how long.",
    429: "Too many requests, too much weight, or too many orders; wait as long as Retry-After says.",
    500: "A fault of the exchange; whether the request was executed is unknown.",
    503: "Not executed, and will not be: try again.",
    504: "Unknown: the request may or may not have been executed. Ask by client order id.",
}
_ERROR_CONTENT = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["code", "msg"],
            "properties": {
                "code": {"type": "integer"},
                "msg": {"type": "string"},
                "data": {"type": "object", "description": "Of a cancel-replace: both halves."},
            },
            "additionalProperties": False,
            "example": {"code": errors.SYMBOL.code, "msg": errors.SYMBOL.message},
        }
    }
}
_WAITED_FOR = (418, 429, 503)


def _number_header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "integer"}}


_WEIGHT_HEADER = {
    "X-MBX-USED-WEIGHT-1M": _number_header("The weight that the address has used in this minute.")
}
_WAIT_HEADER = {"Retry-After": _number_header("How many seconds to wait.")}
_ORDER_HEADERS = {
    f"X-MBX-ORDER-COUNT-{window}": _number_header("The account's orders that nobody has filled.")
    for window in ("10S", "1D")
}
KEY_SCHEME = "ApiKey"
SECURITY_SCHEMES = {
    KEY_SCHEME: {
        "type": "apiKey",
        "in": "header",
        "name": "X-MBX-APIKEY",
        "description": "64 letters and digits. Where `signature` is a parameter, it must be sent too.",
    }
}
_TIME_UNIT_HEADER = {
    "name": "X-MBX-TIME-UNIT",
    "in": "header",
    "required": False,
    "description": "What times in the answer are counted in; milliseconds by default.",
    "schema": {"type": "string", "enum": ["MILLISECOND", "MICROSECOND"]},
}
