"""The WebSocket API: the endpoints of the public API, and sessions, over connections.

Requests of one connection are answered as they are done, in any order. They are begun in the order
in which they came, and that is the order in which their commands are journalled.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from exchange.backend import errors, socket_requests
from exchange.backend.admission import NewVisit, Visit, address_of
from exchange.backend.endpoints import Call, Endpoint
from exchange.backend.errors import ApiError
from exchange.backend.formats import Json, TimeUnit
from exchange.backend.parameters import Table, choice_parameter, parse
from exchange.backend.request_limits import RequestLimits
from exchange.backend.responder import Receive, Scope, Send, count_answer
from exchange.backend.session import SIGNED_EACH, Session
from exchange.backend.socket_connection import SERVICE_RESTART, Connection
from exchange.backend.socket_requests import (
    API_KEY_NAME,
    RETURN_RATE_LIMITS,
    SocketRequest,
    Unreadable,
    parse_request,
)
from exchange.backend.state import Current
from exchange.services.clock import now_us

PATHS = ("/ws-api/v3", "/ws-api/v3/")
TIME_UNIT = choice_parameter(
    "timeUnit",
    {
        name: unit
        for unit in (TimeUnit.MICROSECOND, TimeUnit.MILLISECOND)
        for name in (unit.name, unit.name.lower())
    },
    "What times are counted in; milliseconds by default.",
    fault=errors.TIME_UNIT,
)
OPTIONS = Table((TIME_UNIT, RETURN_RATE_LIMITS))
"""What the address of a connection may say."""


class SocketApi:
    """Serves connections, from whatever state there is at the moment."""

    def __init__(
        self,
        current: Current,
        limits: RequestLimits,
        endpoints: Iterable[Endpoint],
        visit: NewVisit = Visit,
    ) -> None:
        self._new_visit = visit
        self._current = current
        self._limits = limits
        self._methods = {one.socket_method: one for one in endpoints if one.socket_method}
        self._sessions: set[Session] = set()

    def announce_shutdown(self) -> bool:
        """Tell every connection that it will end soon; False where there is none."""
        for session in self._sessions:
            session.announce_shutdown()
        return bool(self._sessions)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection, from its handshake to its end. A fault of ours ends it, and is raised."""
        opened = await receive()
        assert opened["type"] == "websocket.connect", opened
        address = address_of(scope, self._current.proxies)
        try:
            self._new_visit(self._current, self._limits, address, now_us()).enter()
            if scope["path"] not in PATHS:
                errors.NO_SUCH_PATH.refuse()
            options = OPTIONS.read(parse(scope["query_string"], b"").values)
        except ApiError as error:
            await _deny(send, error)
            return
        await send({"type": "websocket.accept"})
        connection = Connection(receive, send)
        session = Session(
            self._current,
            options.get(TIME_UNIT, TimeUnit.MILLISECOND),
            returns_limits=options.get(RETURN_RATE_LIMITS, True),
            write=connection.write,
            leave=lambda: connection.part(SERVICE_RESTART, "service restart"),
        )
        own = {one.socket_method: one for one in session.endpoints()}
        methods = {**self._methods, **own}
        self._sessions.add(session)
        try:
            await connection.run(
                _Dialogue(self._visits_of(address), self._current, methods, session).answer
            )
        finally:
            self._sessions.discard(session)
            session.close()

    def _visits_of(self, address: str) -> Callable[[], Visit]:
        return lambda: self._new_visit(self._current, self._limits, address, now_us())


class _Dialogue:
    """Answers what one client asks."""

    def __init__(
        self,
        visit: Callable[[], Visit],
        current: Current,
        methods: Mapping[str, Endpoint],
        session: Session,
    ) -> None:
        self._visit = visit
        self._current = current
        self._methods = methods
        self._session = session

    async def answer(self, text: str | bytes) -> None:
        """Answer one request. A fault of ours is answered with 500 and raised all the same."""
        exchange = _Exchange(self._visit())
        try:
            exchange.request = parse_request(text)
            exchange.visit.enter()
            result = await self._execute(exchange, exchange.request)
        except Unreadable as fault:
            self._write(exchange, fault.error.status, {"error": fault.error.content()}, fault.id)
        except ApiError as error:
            self._write(exchange, error.status, {"error": _told(error)})
        except Exception:
            fault_content = {"error": errors.INTERNAL.error().content()}
            self._write(exchange, errors.INTERNAL.status, fault_content)
            raise
        else:
            self._write(exchange, 200, {"result": result})

    async def _execute(self, exchange: "_Exchange", request: SocketRequest) -> Any:
        endpoint = exchange.endpoint = self._methods.get(request.method)
        if endpoint is None:
            errors.NO_SUCH_PATH.refuse()
        exchange.call = self._admit(exchange.visit, endpoint, request)
        result = await endpoint.handler(exchange.call)
        exchange.visit.succeed(endpoint, exchange.call)
        return result

    def _admit(self, visit: Visit, endpoint: Endpoint, request: SocketRequest) -> Call:
        session, sent, unit = self._session, request.sent, self._session.unit
        if not endpoint.needs_key:
            return visit.admit(endpoint, sent, "", unit)
        is_vouched = endpoint.socket_method not in SIGNED_EACH and session.vouches(
            request.api_key, sent.signature
        )
        if is_vouched:
            return visit.admit(endpoint, sent, "", unit, session=session.key())
        if not request.api_key:
            raise errors.mandatory(API_KEY_NAME)
        return visit.admit(endpoint, sent, request.api_key, unit)

    def _write(
        self, exchange: "_Exchange", status: int, content: Json, id: msgspec.Raw | None = None
    ) -> None:
        """Nothing may wait between the handler's last step and this: its events come afterwards."""
        count_answer(exchange.route, status, time.perf_counter() - exchange.began)
        request = exchange.request
        returns_limits = None if request is None else request.returns_limits
        if returns_limits is None:
            returns_limits = self._session.returns_limits
        limits = self._rate_limits(exchange) if returns_limits else None
        id = request.id if request is not None else id
        self._session.write(socket_requests.answer(id, status, content, limits))

    def _rate_limits(self, exchange: "_Exchange") -> list[Json]:
        """How much of what this request counts for is used."""
        weight, *_ = self._current.limits.listed()
        used = [{**weight, "count": exchange.visit.used}]
        endpoint, call = exchange.endpoint, exchange.call
        if endpoint is None or not endpoint.places_orders or call is None:
            return used
        if not self._current.is_loaded:
            return used
        counts = call.state.order_limits.counts(call.account, call.now)
        orders = self._current.limits.listed_orders()
        placed = [{**one, "count": count} for one, count in zip(orders, counts, strict=True)]
        return [*placed, *used]


class _Exchange:
    """A message and what is known of it by now."""

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.began = time.perf_counter()
        self.request: SocketRequest | None = None
        self.endpoint: Endpoint | None = None
        self.call: Call | None = None

    @property
    def route(self) -> str:
        return "WS" if self.endpoint is None else f"WS {self.endpoint.socket_method}"


def _told(error: ApiError) -> Json:
    """An error, with when to come back: there are no headers that could say it."""
    content = error.content()
    if error.status in (errors.TOO_MANY, errors.BANNED) and error.retry_after_s is not None:
        now = now_us() // 1_000
        times = {"serverTime": now, "retryAfter": now + error.retry_after_s * 1_000}
        content["data"] = {**content.get("data", {}), **times}
    return content


async def _deny(send: Send, error: ApiError) -> None:
    """Answer a handshake as any HTTP request."""
    await send(
        {
            "type": "websocket.http.response.start",
            "status": error.status,
            "headers": [(b"content-type", b"application/json;charset=UTF-8")],
        }
    )
    await send({"type": "websocket.http.response.body", "body": error.body()})
