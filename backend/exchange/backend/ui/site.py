"""What the trading page asks for beside the public API: JSON below /ui, for those who sign in.

Everything passes here first: the address' share of requests, the size and the kind of the body, and
whether a page of ours has sent it.
"""

import time
from collections.abc import Callable, Sequence

import structlog
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from exchange.backend import errors, member_errors, refusals
from exchange.backend.admission import Visit, address_of
from exchange.backend.browsers import SAFE_METHODS, Browsers, is_own_page
from exchange.backend.control import Acting
from exchange.backend.errors import ApiError
from exchange.backend.operator import AdminError, Operator
from exchange.backend.request_limits import RequestLimits
from exchange.backend.responder import ClientGone
from exchange.backend.rulebook import BadRule
from exchange.backend.state import Current
from exchange.backend.wishes import NUL

BODY_BYTES_MAX = 16 * 1024
_REFUSAL = {
    "type": "object",
    "required": ["code", "msg"],
    "properties": {"code": {"type": "integer"}, "msg": {"type": "string"}},
    "additionalProperties": False,
}

log = structlog.get_logger()


class Site:
    """Routers behind one door."""

    def __init__(
        self,
        current: Current,
        limits: RequestLimits,
        browsers: Browsers,
        operator: Operator,
        routers: Sequence[APIRouter],
    ) -> None:
        self._current = current
        self._limits = limits
        self._app: ASGIApp = _application(current, browsers, operator, routers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            receive = await self._admit(scope, receive)
        except ApiError as refusal:
            await _answer(refusal)(scope, receive, send)
        except ClientGone:
            return
        else:
            await self._app(scope, receive, send)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        address = address_of(scope, self._current.proxies)
        visit = Visit(self._current, self._limits, address, time.time_ns() // 1_000)
        visit.enter()
        if NUL in scope["path"]:
            member_errors.NOTHING_HERE.refuse()
        headers = dict(scope["headers"])
        if scope["method"] in SAFE_METHODS:
            return receive
        if b"origin" in headers and not is_own_page(headers):
            member_errors.FOREIGN_ORIGIN.refuse()
        body = await _read(receive)
        kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        # A form of a foreign page can send anything but this.
        if body and kind != b"application/json":
            member_errors.NOT_JSON.refuse()
        return _replay(body, receive)


async def _read(receive: Receive) -> bytes:
    body, is_more = b"", True
    while is_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            member_errors.BODY_TOO_LARGE.refuse()
        is_more = message.get("more_body", False)
    return body


def _replay(body: bytes, receive: Receive) -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return messages.pop() if messages else await receive()

    return again


def _application(
    current: Current, browsers: Browsers, operator: Operator, routers: Sequence[APIRouter]
) -> FastAPI:
    async def acting(request: Request) -> Acting:
        return await browsers.acting(request.scope, operator)

    app = FastAPI(
        title="Trading page", openapi_url="/ui/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.current = current
    app.state.browsers = browsers
    app.state.acting = acting
    for router in routers:
        app.include_router(router)
    handlers: dict[type[Exception], Callable[[Request, Exception], JSONResponse]] = {
        ApiError: lambda _, fault: _answer(fault),
        AdminError: lambda _, fault: _answer(fault),
        BadRule: lambda _, fault: _answer(member_errors.bad_input(str(fault))),
        RequestValidationError: lambda _, fault: _answer(fault),
        HTTPException: lambda _, fault: _answer(fault),
        Exception: lambda _, fault: _answer(fault),
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)
    refusals.document(app, _REFUSAL)
    return app


def _answer(fault: Exception) -> JSONResponse:
    refusal = _as_refusal(fault)
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    return JSONResponse(refusal.content(), status_code=refusal.status, headers=headers)


def _as_refusal(fault: Exception) -> ApiError:
    match fault:
        case ApiError():
            return fault
        case AdminError():
            return ApiError(member_errors.OTHER, fault.sentence, status=fault.status)
        case RequestValidationError():
            first = fault.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or "The body"
            return member_errors.bad_input(f"{where}: {first['msg']}.")
        case HTTPException():
            return ApiError(
                member_errors.OTHER, member_errors.NOTHING_HERE.message, status=fault.status_code
            )
    return errors.INTERNAL.error()
