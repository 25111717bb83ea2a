"""From an HTTP request to its answer, for every endpoint alike: plain ASGI, one pass."""

import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

import msgspec
import prometheus_client

from exchange.backend import errors
from exchange.backend.authentication import Signed, authenticate
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import ApiError
from exchange.backend.formats import TimeUnit
from exchange.backend.parameters import parse
from exchange.backend.state import Current
from exchange.backend.weights import Weights

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

BODY_BYTES_MAX = 64 * 1024
QUERY_BYTES_MAX = 16 * 1024

REQUESTS = prometheus_client.Counter(
    "exchange_backend_requests_total", "Requests by what became of them.", ["route", "status"]
)
ANSWER_SECONDS = prometheus_client.Histogram(
    "exchange_backend_answer_seconds",
    "From a request's head to its answer.",
    ["route"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0),
)

_JSON = (b"content-type", b"application/json;charset=UTF-8")
_TIME_UNITS = {
    b"MICROSECOND": TimeUnit.MICROSECOND,
    b"microsecond": TimeUnit.MICROSECOND,
    b"MILLISECOND": TimeUnit.MILLISECOND,
    b"millisecond": TimeUnit.MILLISECOND,
}
_BODY_HEADERS = (b"content-length", b"transfer-encoding")
_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client has closed its connection before its request was complete."""


class Responder:
    """Answers requests from whatever state there is at the moment."""

    def __init__(self, current: Current, weights: Weights) -> None:
        self._current = current
        self._weights = weights

    async def serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A fault of ours is answered with 500 and raised all the same."""
        began = time.perf_counter()
        now = time.time_ns() // 1_000
        headers = [_JSON]
        status, body = 200, b""
        try:
            try:
                call = await self._understand(endpoint, scope, receive, now, headers)
                body = _encode(await endpoint.handler(call))
            except ApiError as error:
                status, body = error.status, error.body()
                _add_error_headers(error, headers)
            except ClientGone:
                return
            except Exception:
                status, body = errors.INTERNAL.status, errors.INTERNAL.error().body()
                raise
        finally:
            if body:
                _count(endpoint, status, time.perf_counter() - began)
                await _send(send, status, headers, body)

    async def _understand(
        self, endpoint: Endpoint, scope: Scope, receive: Receive, now: int, headers: Headers
    ) -> Call:
        """Raises ApiError for whatever is wrong with a request before anything is done for it."""
        address = scope["client"][0] if scope["client"] else ""
        # What is refused at the door costs as much as the cheapest request.
        self._weigh(address, 1, now, headers)
        query: bytes = scope["query_string"]
        if len(query) > QUERY_BYTES_MAX:
            errors.QUERY_TOO_LONG.refuse()
        api_key, unit, has_body = _read_headers(scope)
        body = await _read_body(receive) if has_body and endpoint.method != "GET" else b""
        sent = parse(query, body)
        signed: Signed | None = None
        if endpoint.is_signed:
            signed = authenticate(sent, api_key, self._current.state.directory, now)
            if endpoint.security is Security.TRADE and not signed.key.can_trade:
                errors.KEY_REJECTED.refuse()
        values = endpoint.table.read(sent.values)
        if (weight := endpoint.weigh(values)) > 1:
            self._weigh(address, weight - 1, now, headers)
        return Call(current=self._current, values=values, now=now, unit=unit, signed=signed)

    def _weigh(self, address: str, weight: int, now: int, headers: Headers) -> None:
        """Count a request's weight, and refuse it when its address has used up its share."""
        second = now // 1_000_000
        used = self._weights.add(address, weight, second)
        headers[1:] = [(b"x-mbx-used-weight-1m", str(used).encode())]
        if used > self._weights.limit:
            raise errors.too_much_weight(self._weights.limit, self._weights.seconds_left(second))


def _count(endpoint: Endpoint, status: int, seconds: float) -> None:
    _requests(endpoint, status).inc()
    _answer_seconds(endpoint).observe(seconds)


@cache
def _requests(endpoint: Endpoint, status: int) -> prometheus_client.Counter:
    return REQUESTS.labels(endpoint.name, status)


@cache
def _answer_seconds(endpoint: Endpoint) -> prometheus_client.Histogram:
    return ANSWER_SECONDS.labels(endpoint.name)


def _read_headers(scope: Scope) -> tuple[str, TimeUnit, bool]:
    """The API key ("" for none or an empty one), the unit of times, and whether a body follows."""
    api_key, unit, has_body = "", TimeUnit.MILLISECOND, False
    for name, value in scope["headers"]:
        if name == b"x-mbx-apikey":
            api_key = value.decode("latin-1")
        elif name == b"x-mbx-time-unit":
            if value not in _TIME_UNITS:
                errors.TIME_UNIT.refuse()
            unit = _TIME_UNITS[value]
        elif name in _BODY_HEADERS:
            has_body = True
    return api_key, unit, has_body


async def _read_body(receive: Receive) -> bytes:
    """All of a request's body, however it is cut; the listener sees to it that it comes in time."""
    message = await receive()
    body: bytes = message.get("body", b"")
    while message.get("more_body") and len(body) <= BODY_BYTES_MAX:
        message = await receive()
        body += message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > BODY_BYTES_MAX:
        errors.BODY_TOO_LARGE.refuse()
    return body


def _add_error_headers(error: ApiError, headers: Headers) -> None:
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if error.status == errors.BODY_TOO_LARGE.status:
        # The rest of the body is not wanted.
        headers.append((b"connection", b"close"))


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
