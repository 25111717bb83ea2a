"""What the page's routes and the admin API say of their refusals, in their OpenAPI documents."""

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import FastAPI

from exchange.backend.openapi_document import complete_when_asked

_STATUSES = {
    400: "Something in the request is wrong; nothing has happened.",
    401: "Nobody has signed in, or the token, the password or the code is wrong.",
    403: "Whoever asks may not do this.",
    404: "There is nothing by this name.",
    409: "It is taken, or was changed meanwhile.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    418: "The address is banned: it went on after 429. Retry-After says how long.",
    429: "Too many requests, or attempts; wait as long as Retry-After says.",
    500: "A fault of the exchange; what was asked for may have happened.",
    503: "Not executed, and will not be: try again.",
    504: "Unknown: it may or may not have been executed.",
}
BY_OPERATORS = (400, 401, 403, 404, 409, 500, 503, 504)
"""What the admin API may answer; the page's routes may answer all."""


def document(
    app: FastAPI, schema: Mapping[str, Any], statuses: Iterable[int] = tuple(_STATUSES)
) -> None:
    """Say of every operation how it can be refused, with bodies of this schema."""
    content = {"application/json": {"schema": dict(schema)}}

    def complete(openapi: dict[str, Any]) -> None:
        for path in openapi["paths"].values():
            for operation in path.values():
                # FastAPI thinks that it answers these; our handlers make them 400.
                operation["responses"].pop("422", None)
                for status in statuses:
                    description = {"description": _STATUSES[status], "content": content}
                    operation["responses"].setdefault(str(status), description)

    complete_when_asked(app, complete)
