"""The operator's API, on a port of its own: accounts, keys, money, assets, markets, rules, status.

JSON in and out; a refusal is `{"error": "<sentence>"}`.
"""

import hmac
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.backend import status
from exchange.backend.errors import ApiError
from exchange.backend.operator import AdminError, Operator
from exchange.backend.rulebook import BadRule
from exchange.backend.state import Current
from exchange.backend.vault import Vault
from exchange.backend.wishes import (
    AccountChange,
    ExchangeChange,
    MarketChange,
    NewAccount,
    NewAsset,
    NewKey,
    NewMarket,
    NewMode,
    NewTransfer,
)
from exchange.services.commands import Deposit, Withdraw
from exchange.services.markets import Mode
from exchange.services.process import Health
from exchange.services.settings import Settings


class AdminApplication:
    """Lets in only who has the token; FastAPI does the rest."""

    def __init__(self, settings: Settings, current: Current, vault: Vault, health: Health) -> None:
        assert settings.admin_token, "without a token there is no admin API"
        self._authorization = f"Bearer {settings.admin_token}".encode()
        self._rest: ASGIApp = _routes(current, vault, health)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not self._is_allowed(scope):
            answer = _error(401, "The admin token is missing or wrong.")
            await answer(scope, receive, send)
            return
        await self._rest(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        return hmac.compare_digest(given, self._authorization)


def _routes(current: Current, vault: Vault, health: Health) -> FastAPI:
    app = FastAPI(openapi_url=None, redirect_slashes=False)
    operator = Operator(current, vault)

    @app.post("/admin/accounts")
    async def create_account(body: NewAccount) -> dict[str, Any]:
        return await operator.create_account(body.name)

    @app.post("/admin/accounts/{name}/keys")
    async def create_key(name: str, body: NewKey) -> dict[str, Any]:
        return await operator.create_key(name, body)

    @app.post("/admin/accounts/{name}")
    async def change_account(name: str, body: AccountChange) -> dict[str, Any]:
        return await operator.change_account(name, body)

    @app.delete("/admin/keys/{api_key}")
    async def revoke_key(api_key: str) -> dict[str, Any]:
        return await operator.revoke_key(api_key)

    @app.post("/admin/deposits")
    async def deposit(body: NewTransfer) -> dict[str, Any]:
        return await operator.transfer(Deposit, body)

    @app.post("/admin/withdrawals")
    async def withdraw(body: NewTransfer) -> dict[str, Any]:
        return await operator.transfer(Withdraw, body)

    @app.post("/admin/assets")
    async def add_asset(body: NewAsset) -> dict[str, Any]:
        return await operator.add_asset(body)

    @app.post("/admin/markets")
    async def add_market(body: NewMarket) -> dict[str, Any]:
        return await operator.add_market(body)

    @app.post("/admin/markets/{symbol}/mode")
    async def set_mode(symbol: str, body: NewMode) -> dict[str, Any]:
        return await operator.set_mode(symbol, Mode(body.mode))

    @app.get("/admin/markets/{symbol}/rules")
    async def market_rules(symbol: str) -> dict[str, Any]:
        return await operator.market_rules(symbol)

    @app.post("/admin/markets/{symbol}/rules")
    async def change_market(symbol: str, body: MarketChange) -> dict[str, Any]:
        return await operator.change_market(symbol, body)

    @app.get("/admin/rules")
    async def exchange_rules() -> dict[str, Any]:
        return await operator.exchange_rules()

    @app.post("/admin/rules")
    async def change_exchange(body: ExchangeChange) -> dict[str, Any]:
        return await operator.change_exchange(body)

    @app.delete("/admin/alarms/{name}")
    async def clear_alarm(name: str) -> dict[str, Any]:
        return await operator.clear_alarm(name)

    @app.get("/admin/status")
    async def get_status() -> dict[str, Any]:
        return await status.read(current, health)

    app.add_exception_handler(AdminError, _answer_admin_error)
    app.add_exception_handler(BadRule, _answer_bad_rule)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    return app


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
    return _error(fault.status_code, "There is nothing here by this name and method.")
