"""From an HTTP request to its answer, for every endpoint alike: plain ASGI, one pass."""

import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

import msgspec
import prometheus_client
from structlog.contextvars import bind_contextvars

from exchange.backend import errors
from exchange.backend.admission import NewVisit, Visit, address_of
from exchange.backend.browsers import Browsers
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.errors import ApiError, Fault
from exchange.backend.formats import TimeUnit
from exchange.backend.headers import ANY_ORIGIN
from exchange.backend.parameters import parse
from exchange.backend.request_limits import RequestLimits
from exchange.backend.state import Current
from exchange.services.clock import now_us

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
# Names a request in its answer and in the logs; it protects nothing.
_random = random.Random().getrandbits  # noqa: S311
_encode = msgspec.json.Encoder().encode


class ClientGone(Exception):
    """The client has closed its connection before its request was complete."""


class Responder:
    """Answers requests from whatever state there is at the moment."""

    def __init__(
        self,
        current: Current,
        limits: RequestLimits,
        browsers: Browsers | None = None,
        visit: NewVisit = Visit,
    ) -> None:
        """Without `browsers`, nobody is known by a cookie."""
        self._new_visit = visit
        self._current = current
        self._limits = limits
        self._browsers = browsers

    async def serve(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. A fault of ours is answered with 500 and raised all the same."""
        began = time.perf_counter()
        visit = self._visit(scope)
        request_id = f"{_random(64):016x}"
        bind_contextvars(request=request_id)
        headers = [_JSON, (b"x-request-id", request_id.encode())]
        if endpoint.security is Security.NONE and endpoint.method == "GET":
            headers.append(ANY_ORIGIN)
        status, body = 200, b""
        try:
            try:
                call = await self._understand(visit, endpoint, scope, receive)
                body = _encode(await endpoint.handler(call))
                visit.succeed(endpoint, call)
                headers += _order_headers(endpoint, call)
            except ApiError as error:
                status, body = error.status, error.body()
                headers += _error_headers(error)
            except ClientGone:
                return
            except Exception:
                status, body = errors.INTERNAL.status, errors.INTERNAL.error().body()
                raise
        finally:
            if body:
                count_answer(endpoint.name, status, time.perf_counter() - began)
                await _send(send, status, [*headers, _weight_header(visit)], body)

    async def refuse(self, fault: Fault, headers: Headers, scope: Scope, send: Send) -> None:
        """Answer a request that no endpoint takes; it counts like any other."""
        visit = self._visit(scope)
        error = fault.error()
        try:
            visit.enter()
        except ApiError as refusal:
            error = refusal
        headers = [_JSON, *headers, *_error_headers(error), _weight_header(visit)]
        await _send(send, error.status, headers, error.body())

    async def _understand(
        self, visit: Visit, endpoint: Endpoint, scope: Scope, receive: Receive
    ) -> Call:
        """Raises ApiError for whatever is wrong with a request before anything is done for it."""
        # What is refused at the door costs as much as the cheapest request.
        visit.enter()
        query: bytes = scope["query_string"]
        if len(query) > QUERY_BYTES_MAX:
            errors.QUERY_TOO_LONG.refuse()
        api_key, unit, has_body = _read_headers(scope)
        body = await _read_body(receive) if has_body and endpoint.method != "GET" else b""
        sent = parse(query, body)
        browser = None
        if endpoint.needs_key and not api_key and not sent.signature and self._browsers:
            browser = await self._browsers.key(scope)
        return visit.admit(endpoint, sent, api_key, unit, browser=browser)

    def _visit(self, scope: Scope) -> Visit:
        address = address_of(scope, self._current.proxies)
        return self._new_visit(self._current, self._limits, address, now_us())


def _order_headers(endpoint: Endpoint, call: Call) -> Headers:
    """How many of the account's orders nobody has filled yet, where an order was placed."""
    if not endpoint.places_orders:
        return []
    short, long = call.state.order_limits.counts(call.account, call.now)
    return [
        (b"x-mbx-order-count-10s", str(short).encode()),
        (b"x-mbx-order-count-1d", str(long).encode()),
    ]


def _weight_header(visit: Visit) -> tuple[bytes, bytes]:
    return b"x-mbx-used-weight-1m", str(visit.used).encode()


def count_answer(route: str, status: int, seconds: float) -> None:
    """Note an answer in the metrics, by its endpoint's name."""
    _requests(route, status).inc()
    _answer_seconds(route).observe(seconds)


@cache
def _requests(route: str, status: int) -> prometheus_client.Counter:
    return REQUESTS.labels(route, status)


@cache
def _answer_seconds(route: str) -> prometheus_client.Histogram:
    return ANSWER_SECONDS.labels(route)


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


def _error_headers(error: ApiError) -> Headers:
    headers = []
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if error.status == errors.BODY_TOO_LARGE.status:
        # The rest of the body is not wanted.
        headers.append((b"connection", b"close"))
    return headers


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    headers.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
