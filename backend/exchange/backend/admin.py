"""The operator's API, on a port of its own: accounts, keys, money, assets, markets, rules, status.

JSON in and out; a refusal is `{"error": "<sentence>"}`.
"""

import hmac
from typing import Any
from urllib.parse import unquote

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.backend import control, errors, refusals, status
from exchange.backend.control import Acting, Who
from exchange.backend.errors import ApiError
from exchange.backend.faults import admin_routes as fault_routes
from exchange.backend.members import Members
from exchange.backend.operator import AdminError, Operator
from exchange.backend.rulebook import BadRule
from exchange.backend.state import Current
from exchange.backend.wishes import (
    NUL,
    AccountChange,
    ExchangeChange,
    MarketChange,
    NewAccount,
    NewAsset,
    NewFundedAccount,
    NewKey,
    NewMarket,
    NewMode,
    NewPassword,
    NewTransfer,
)
from exchange.postgres_db.file_copy import greatest_numbers
from exchange.services.commands import Deposit, Withdraw
from exchange.services.failures import WorldFailed
from exchange.services.fault_file import FaultFile
from exchange.services.markets import Mode
from exchange.services.process import Health
from exchange.services.rows import Author, Role
from exchange.services.settings import Settings

ACTOR_HEADER, REASON_HEADER = "x-exchange-actor", "x-exchange-reason"
ACTOR_LENGTH_MAX = 64
NOT_FOR_TESTS = (
    "This exchange was not started for tests, so nothing resets its markets: "
    "`exchange up --testing` starts one that can be."
)
NOTHING_HERE = "There is nothing here by this name and method."
_REFUSAL = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}},
    "additionalProperties": False,
}


class AdminApplication:
    """Lets in only who has the token; FastAPI does the rest."""

    def __init__(
        self,
        settings: Settings,
        current: Current,
        operator: Operator,
        health: Health,
        members: Members,
        faults: FaultFile | None = None,
    ) -> None:
        assert settings.admin_token, "without a token there is no admin API"
        self._authorization = f"Bearer {settings.admin_token}".encode()
        self._rest: ASGIApp = _routes(
            current, operator, health, members, faults, is_testing=settings.testing
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            answer = _error(401, "The admin token is missing or wrong.")
            await answer(scope, receive, send)
            return
        if scope["type"] == "http" and NUL in scope["path"]:
            await _error(404, NOTHING_HERE)(scope, receive, send)
            return
        await self._rest(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)


def _routes(
    current: Current,
    operator: Operator,
    health: Health,
    members: Members,
    faults: FaultFile | None,
    *,
    is_testing: bool,
) -> FastAPI:
    app = FastAPI(
        title="Admin API", openapi_url="/admin/openapi.json", docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip

    async def acting(request: Request) -> Acting:
        return Acting(operator, _author(request), needs_reason=False)

    app.state.acting = acting
    app.include_router(control.routes("/admin", current, health))
    app.include_router(_own_routes(members, is_testing=is_testing))
    app.include_router(fault_routes.routes(faults))

    @app.get("/admin/status")
    async def get_status() -> dict[str, Any]:
        found = await status.read(current, health)
        return {**found, "faults": fault_routes.rules_in_force(faults)}

    @app.get("/admin/numbers")
    async def get_numbers() -> dict[str, int]:
        """How far everything has been counted, for a snapshot that takes the place of this."""
        try:
            return await greatest_numbers(current.state.database)
        except WorldFailed as fault:
            raise AdminError(503, f"{fault}.") from None

    app.add_exception_handler(AdminError, _answer_admin_error)
    app.add_exception_handler(BadRule, _answer_bad_rule)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(Exception, _answer_fault)
    refusals.document(app, _REFUSAL, refusals.BY_OPERATORS)
    return app


def _own_routes(members: Members, *, is_testing: bool) -> APIRouter:
    router = APIRouter(prefix="/admin")

    @router.post("/accounts")
    async def create_account(body: NewAccount, who: Who) -> dict[str, Any]:
        operator, role = who.because(""), Role(body.role)
        if body.password is None:
            return await operator.create_account(body.name, role)
        account = await members.create(body.name, body.password, role, operator)
        return {"accountId": account, "name": body.name}

    @router.post("/funded-accounts")
    async def create_funded_account(body: NewFundedAccount, who: Who) -> dict[str, Any]:
        return await who.because("").create_funded_account(body.name, body.funds)

    @router.post("/accounts/{name}/password")
    async def set_password(name: str, body: NewPassword, who: Who) -> dict[str, Any]:
        return await members.reset_password(name, body.password, who.because(""))

    @router.post("/accounts/{name}/keys")
    async def create_key(name: str, body: NewKey, who: Who) -> dict[str, Any]:
        return await who.because("").create_key(name, body)

    @router.post("/accounts/{name}")
    async def change_account(name: str, body: AccountChange, who: Who) -> dict[str, Any]:
        return await who.because("").change_account(name, body)

    @router.delete("/keys/{api_key}")
    async def revoke_key(api_key: str, who: Who) -> dict[str, Any]:
        return await who.because("").revoke_key(api_key)

    @router.post("/deposits")
    async def deposit(body: NewTransfer, who: Who) -> dict[str, Any]:
        return await who.because("").transfer(Deposit, body)

    @router.post("/withdrawals")
    async def withdraw(body: NewTransfer, who: Who) -> dict[str, Any]:
        return await who.because("").transfer(Withdraw, body)

    @router.post("/assets")
    async def add_asset(body: NewAsset, who: Who) -> dict[str, Any]:
        return await who.because("").add_asset(body)

    @router.post("/markets")
    async def add_market(body: NewMarket, who: Who) -> dict[str, Any]:
        return await who.because("").add_market(body)

    @router.post("/markets/{symbol}/mode")
    async def set_mode(symbol: str, body: NewMode, who: Who) -> dict[str, Any]:
        return await who.because("").set_mode(symbol, Mode(body.mode))

    @router.get("/markets/{symbol}/rules")
    async def market_rules(symbol: str, who: Who) -> dict[str, Any]:
        return await who.because("").market_rules(symbol)

    @router.post("/markets/{symbol}/rules")
    async def change_market(symbol: str, body: MarketChange, who: Who) -> dict[str, Any]:
        return await who.because("").change_market(symbol, body)

    @router.get("/rules")
    async def exchange_rules(who: Who) -> dict[str, Any]:
        return await who.because("").exchange_rules()

    @router.post("/rules")
    async def change_exchange(body: ExchangeChange, who: Who) -> dict[str, Any]:
        return await who.because("").change_exchange(body)

    @router.post("/reset")
    async def reset(who: Who) -> dict[str, Any]:
        if not is_testing:
            raise AdminError(403, NOT_FOR_TESTS)
        return await who.because("").reset()

    @router.delete("/alarms/{name}")
    async def clear_alarm(name: str, who: Who) -> dict[str, Any]:
        return await who.because("").clear_alarm(name)

    @router.post("/master-key")
    async def rotate_master_key(who: Who) -> dict[str, int]:
        return await members.rotate_master_key(who.because(""))

    return router


def _author(request: Request) -> Author:
    """Who has the token says who he is, and why he acts; percent-encoded, as headers need it."""
    name, reason = (
        unquote(request.headers.get(header, "")) for header in (ACTOR_HEADER, REASON_HEADER)
    )
    if NUL in name + reason:
        raise AdminError(400, "No text may have a NUL character.")
    return Author(name=f"operator {name[:ACTOR_LENGTH_MAX]}".strip(), reason=reason)


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)


async def _answer_admin_error(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, AdminError)
    return _error(fault.status, fault.sentence)


async def _answer_bad_rule(_request: Request, fault: Exception) -> JSONResponse:
    return _error(400, str(fault))


async def _answer_api_error(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, ApiError)
    return _error(fault.status, fault.message)


async def _answer_invalid(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, RequestValidationError)
    first = fault.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:]) or "The body"
    return _error(400, f"{where}: {first['msg']}.")


async def _answer_http(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, HTTPException)
    return _error(fault.status_code, NOTHING_HERE)


async def _answer_fault(_request: Request, _fault: Exception) -> JSONResponse:
    return _error(500, errors.INTERNAL.message)
