"""The public API as one ASGI application: orders first, FastAPI for everything else."""

from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_swagger import patch_fastapi
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.backend import answer_schemas, errors
from exchange.backend.admission import NewVisit, Visit
from exchange.backend.browsers import Browsers
from exchange.backend.endpoints import SECURITY_SCHEMES, Endpoint
from exchange.backend.headers import SITE_PATH, with_headers
from exchange.backend.openapi_document import complete_when_asked
from exchange.backend.page import Page
from exchange.backend.request_limits import RequestLimits
from exchange.backend.responder import Responder
from exchange.backend.routes import (
    account,
    candles,
    listen_keys,
    market,
    order_changes,
    order_list_history,
    order_lists,
    orders,
    refusals,
    rules,
    surroundings,
    tickers,
    trades,
)
from exchange.backend.socket_api import SocketApi
from exchange.backend.state import Current

ENDPOINTS = (
    *market.ENDPOINTS,
    *candles.ENDPOINTS,
    *tickers.ENDPOINTS,
    *trades.ENDPOINTS,
    *orders.ENDPOINTS,
    *order_changes.ENDPOINTS,
    *order_lists.ENDPOINTS,
    *refusals.ENDPOINTS,
    *account.ENDPOINTS,
    *order_list_history.ENDPOINTS,
    *rules.ENDPOINTS,
    *listen_keys.ENDPOINTS,
    *surroundings.ENDPOINTS,
)
HOT = frozenset({("POST", "/api/v3/order"), ("DELETE", "/api/v3/order")})


class Application:
    """Placing and cancelling go past FastAPI, which knows them for the documentation only."""

    def __init__(
        self,
        current: Current,
        browsers: Browsers | None = None,
        site: Callable[[RequestLimits], ASGIApp] | None = None,
        page: Page | None = None,
        *,
        endpoints: Sequence[Endpoint] = ENDPOINTS,
        visit: NewVisit = Visit,
    ) -> None:
        """`site` makes what answers below /ui, with the same count of requests; `page` are files.

        `visit` makes what every request to an endpoint has to pass.
        """
        limits = RequestLimits(current.limits)
        self._responder = Responder(current, limits, browsers, visit)
        self._site = site(limits) if site is not None else None
        self._page = page
        self._sockets = SocketApi(current, limits, endpoints, visit)
        self._hot = {
            (endpoint.method, endpoint.path): endpoint
            for endpoint in endpoints
            if (endpoint.method, endpoint.path) in HOT
        }
        self._rest: ASGIApp = _documented(self._responder, endpoints)

    def announce_shutdown(self) -> bool:
        """Tell those who are connected that the server goes away; False where there is nobody."""
        return self._sockets.announce_shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            endpoint = self._hot.get((scope["method"], scope["path"]))
            if endpoint is not None:
                await self._responder.serve(endpoint, scope, receive, send)
                return
        elif scope["type"] == "websocket":
            await self._sockets.serve(scope, receive, send)
            return
        if scope["type"] == "http":
            send = with_headers(scope["path"], send)
            if self._site is not None and scope["path"].startswith(SITE_PATH):
                await self._site(scope, receive, send)
                return
            if self._page is not None and self._page.has(scope):
                await self._page.serve(scope, send)
                return
        await self._rest(scope, receive, send)


def _documented(responder: Responder, endpoints: Sequence[Endpoint]) -> FastAPI:
    app = FastAPI(
        title="Spot exchange",
        version=version("durable-spot-exchange"),
        description="The spot API that trading clients already speak.",
        docs_url=None,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        redirect_slashes=False,
    )
    for endpoint in endpoints:
        app.add_api_route(
            endpoint.path,
            _route(endpoint, responder),
            methods=[endpoint.method],
            name=endpoint.handler.__name__,
            summary=endpoint.summary,
            response_class=JSONResponse,
            openapi_extra=endpoint.documentation(),
        )
    app.add_exception_handler(HTTPException, _refusal(responder))
    patch_fastapi(app, redirect_from_root_to_docs=False)
    complete_when_asked(app, _complete)
    return app


def _complete(document: dict[str, Any]) -> None:
    """What FastAPI cannot know of endpoints whose answers are not its own."""
    found = document.setdefault("components", {})
    found["securitySchemes"] = SECURITY_SCHEMES
    found["schemas"] = answer_schemas.components(endpoint.answer for endpoint in ENDPOINTS)
    for endpoint in ENDPOINTS:
        documented = document["paths"][endpoint.path][endpoint.method.lower()]
        documented["responses"] = endpoint.responses()


def _route(endpoint: Endpoint, responder: Responder) -> Callable[[Request], Awaitable[Response]]:
    async def route(request: Request) -> Response:  # noqa: ARG001
        return _Passed(endpoint, responder)

    return route


class _Passed(Response):
    """The request handed on as it came: FastAPI has only found its endpoint."""

    def __init__(self, endpoint: Endpoint, responder: Responder) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._responder = responder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._responder.serve(self._endpoint, scope, receive, send)


def _refusal(
    responder: Responder,
) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def refuse(_request: Request, refusal: Exception) -> Response:
        assert isinstance(refusal, HTTPException)
        return _Refused(refusal, responder)

    return refuse


class _Refused(Response):
    """The answer where there is no such path, or no such method on it."""

    def __init__(self, refusal: HTTPException, responder: Responder) -> None:
        super().__init__()
        self._refusal = refusal
        self._responder = responder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        is_method = self._refusal.status_code == errors.NO_SUCH_METHOD.status
        fault = errors.NO_SUCH_METHOD if is_method else errors.NO_SUCH_PATH
        more = (self._refusal.headers or {}).items()
        headers = [(name.lower().encode(), value.encode()) for name, value in more]
        await self._responder.refuse(fault, headers, scope, send)
