"""The operator's API, on a port of its own: accounts, keys, money, assets, markets, status.

JSON in and out; a refusal is `{"error": "<sentence>"}`.
"""

import hmac
import secrets
import string
from typing import Annotated, Any, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from exchange.backend import status
from exchange.backend.errors import ApiError
from exchange.backend.gateway import NotExecuted, OutcomeUnknown
from exchange.backend.signatures import ed25519_public_key
from exchange.backend.state import Current, State
from exchange.backend.vault import Vault
from exchange.postgres_db.alarms import delete_alarm
from exchange.services.amounts import InvalidAmount, TooPrecise, format_amount, parse_amount
from exchange.services.markets import Asset, Market, Mode
from exchange.services.messages import (
    Account,
    AddAsset,
    AddMarket,
    AnyCommand,
    CreateAccount,
    CreateKey,
    Deposit,
    KeyKind,
    Outcome,
    Reason,
    Rejected,
    Repeated,
    RevokeKey,
    SetMode,
    Withdraw,
)
from exchange.services.process import Health, WorldFailed
from exchange.services.settings import Settings

KEY_LENGTH = 64
ALPHANUMERICS = string.ascii_letters + string.digits
RATE_DECIMALS = 6

log = structlog.get_logger()

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
AssetName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,126}[!-~])?$")]


class AdminError(Exception):
    """Why an operator's wish was not fulfilled, as a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class _Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)


class NewAccount(_Body):
    name: Name


class NewKey(_Body):
    kind: Literal["hmac", "ed25519"]
    can_trade: bool = True
    public_key: Text | None = None


class NewTransfer(_Body):
    account: Name
    asset: AssetName
    amount: Text
    reference: Reference


class NewAsset(_Body):
    asset: AssetName
    decimals: int


class NewMarket(_Body):
    """Decimal texts; what is left out has a default that forbids little."""

    symbol: Symbol
    base: AssetName
    quote: AssetName
    tick: Text
    lot: Text
    min_qty: Text | None = None
    max_qty: Text | None = None
    min_notional: Text | None = None
    max_notional: Text | None = None
    maker: Text | None = None
    taker: Text | None = None


class NewMode(_Body):
    mode: Literal["RUNNING", "CANCEL_ONLY", "HALTED"]


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

    @app.delete("/admin/alarms/{name}")
    async def clear_alarm(name: str) -> dict[str, Any]:
        return await operator.clear_alarm(name)

    @app.get("/admin/status")
    async def get_status() -> dict[str, Any]:
        return await status.read(current, health)

    app.add_exception_handler(AdminError, _answer_admin_error)
    app.add_exception_handler(ApiError, _answer_api_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(HTTPException, _answer_http)
    return app


class Operator:
    """What operators can do: every wish becomes a command in the journal."""

    def __init__(self, current: Current, vault: Vault) -> None:
        self._current = current
        self._vault = vault

    async def create_account(self, name: str) -> dict[str, Any]:
        outcome = await self._submit(
            CreateAccount(name=name), f"The account {name} exists already."
        )
        created = next(row for row in outcome.rows if isinstance(row, Account))
        return {"accountId": created.id, "name": name}

    async def create_key(self, account_name: str, wish: NewKey) -> dict[str, Any]:
        """The secret is shown this once; what is journalled is its ciphertext, or a public key."""
        account = self._account(await self._state(), account_name)
        api_key = _random_text()
        secret: str | None = None
        if wish.kind == "ed25519":
            if wish.public_key is None:
                raise AdminError(400, "An Ed25519 key needs publicKey, its public half in PEM.")
            try:
                kind, stored = KeyKind.ED25519, ed25519_public_key(wish.public_key)
            except ValueError as fault:
                raise AdminError(400, str(fault)) from None
        else:
            if wish.public_key is not None:
                raise AdminError(400, "An HMAC key has no publicKey.")
            secret = _random_text()
            kind, stored = KeyKind.HMAC, self._vault.seal(api_key, secret.encode())
        await self._submit(
            CreateKey(
                account=account.id,
                api_key=api_key,
                kind=kind,
                secret=stored,
                can_trade=wish.can_trade,
            )
        )
        return {"accountId": account.id, "apiKey": api_key, "secretKey": secret}

    async def revoke_key(self, api_key: str) -> dict[str, Any]:
        await self._submit(RevokeKey(api_key=api_key))
        return {}

    async def transfer(
        self, kind: type[Deposit] | type[Withdraw], wish: NewTransfer
    ) -> dict[str, Any]:
        """Move money in or out; the same reference with the same content happens once."""
        state = await self._state()
        account = self._account(state, wish.account)
        decimals = self._asset(state, wish.asset).decimals
        amount = _units("amount", wish.amount, decimals)
        if amount == 0:
            raise AdminError(400, "The amount must be above zero.")
        outcome = await self._submit(
            kind(
                account=account.id,
                asset=wish.asset,
                amount=amount,
                reference=wish.reference,
            )
        )
        return {
            "accountId": account.id,
            "asset": wish.asset,
            "amount": format_amount(amount, decimals),
            "reference": wish.reference,
            "repeated": isinstance(outcome.result, Repeated),
        }

    async def add_asset(self, wish: NewAsset) -> dict[str, Any]:
        await self._submit(
            AddAsset(asset=Asset(wish.asset, wish.decimals)),
            f"The asset {wish.asset} exists already.",
        )
        return {"asset": wish.asset, "decimals": wish.decimals}

    async def add_market(self, wish: NewMarket) -> dict[str, Any]:
        state = await self._state()
        base, quote = self._asset(state, wish.base), self._asset(state, wish.quote)
        market = market_from(wish, base, quote)
        await self._submit(AddMarket(market=market), f"The market {wish.symbol} exists already.")
        return {"symbol": wish.symbol}

    async def set_mode(self, symbol: str, mode: Mode) -> dict[str, Any]:
        await self._submit(SetMode(symbol=symbol, mode=mode))
        return {"symbol": symbol, "mode": mode.value}

    async def clear_alarm(self, name: str) -> dict[str, Any]:
        """It is not journalled: it changes nothing but what operators are shown."""
        try:
            found = await delete_alarm(self._current.state.database, name)
        except WorldFailed as fault:
            raise AdminError(503, f"{fault}.") from None
        if not found:
            raise AdminError(404, f"There is no alarm {name}.")
        return {"cleared": name}

    async def _state(self) -> State:
        """The state, with everything in it that anybody was told before."""
        state = self._current.state
        await state.barrier.market_data()
        return state

    async def _submit(self, command: AnyCommand, conflict: str = "") -> Outcome:
        try:
            outcome = await self._current.state.gateway.submit(command)
        except NotExecuted as refusal:
            raise AdminError(
                503, f"Not executed: the exchange is {_WHY[refusal.reason]}."
            ) from None
        except (OutcomeUnknown, WorldFailed):
            raise AdminError(504, "No answer in time: it may or may not have happened.") from None
        if isinstance(outcome.result, Rejected):
            raise _refusal(outcome.result, conflict)
        log.info("executed", command=type(command).__name__, number=outcome.number)
        return outcome

    @staticmethod
    def _account(state: State, name: str) -> Account:
        account = state.directory.accounts.get(name)
        if account is None:
            raise AdminError(404, f"There is no account {name}.")
        return account

    @staticmethod
    def _asset(state: State, name: str) -> Asset:
        asset = state.directory.assets.get(name)
        if asset is None:
            raise AdminError(404, f"There is no asset {name}.")
        return asset


def market_from(wish: NewMarket, base: Asset, quote: Asset) -> Market:
    """The market that an operator describes; the engine checks that its numbers fit together."""
    tick = _units("tick", wish.tick, quote.decimals)
    lot = _units("lot", wish.lot, base.decimals)
    if not tick or not lot:
        raise AdminError(400, "Tick and lot must be above zero.")

    def units(name: str, text: str | None, asset: Asset, default: int) -> int:
        return default if text is None else _units(name, text, asset.decimals)

    def rate(name: str, text: str | None) -> int:
        return _units(name, text or _RATE, RATE_DECIMALS)

    return Market(
        symbol=wish.symbol,
        base=base.name,
        quote=quote.name,
        base_decimals=base.decimals,
        quote_decimals=quote.decimals,
        tick=tick,
        lot=lot,
        price_max=_on_grid(_PRICE_MAX * 10**quote.decimals, tick),
        quantity_min=units("minQty", wish.min_qty, base, lot),
        quantity_max=units(
            "maxQty", wish.max_qty, base, _on_grid(_QUANTITY_MAX * 10**base.decimals, lot)
        ),
        notional_min=units("minNotional", wish.min_notional, quote, 0),
        notional_max=units(
            "maxNotional", wish.max_notional, quote, _NOTIONAL_MAX * 10**quote.decimals
        ),
        maker_rate=rate("maker", wish.maker),
        taker_rate=rate("taker", wish.taker),
    )


def _on_grid(value: int, step: int) -> int:
    """The largest multiple of the step that is no more than the value, but at least one step."""
    return max(value - value % step, step)


def _units(name: str, text: str, decimals: int) -> int:
    try:
        return parse_amount(text, decimals)
    except InvalidAmount:
        raise AdminError(400, f"{name} must be a plain decimal number, such as 1.5.") from None
    except TooPrecise:
        raise AdminError(400, f"{name} has more than {decimals} decimals.") from None


def _refusal(result: Rejected, conflict: str) -> AdminError:
    status, sentence = _REFUSALS.get(result.reason, (400, f"Refused: {result.reason.value}."))
    if result.reason is Reason.ALREADY_EXISTS and conflict:
        sentence = conflict
    return AdminError(status, result.detail or sentence)


def _random_text() -> str:
    return "".join(secrets.choice(ALPHANUMERICS) for _ in range(KEY_LENGTH))


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)


async def _answer_admin_error(_request: Request, fault: Exception) -> JSONResponse:
    assert isinstance(fault, AdminError)
    return _error(fault.status, fault.sentence)


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


_RATE = "0.001"
_PRICE_MAX = 1_000_000
_QUANTITY_MAX = 100_000
_NOTIONAL_MAX = 9_000_000
_WHY = {
    "CLOSED": "not open: no engine leads, or it is just starting",
    "CLOCK": "on a machine whose clock differs from that of Redis",
    "BUSY": "overloaded",
    "MEMORY": "out of memory in Redis",
}
_REFUSALS = {
    Reason.ALREADY_EXISTS: (409, "It exists already."),
    Reason.REFERENCE_USED: (409, "The reference was used for another transfer."),
    Reason.INSUFFICIENT_BALANCE: (400, "The account has not enough that is free."),
    Reason.UNKNOWN_ACCOUNT: (404, "There is no such account."),
    Reason.UNKNOWN_ASSET: (404, "There is no such asset."),
    Reason.UNKNOWN_SYMBOL: (404, "There is no such market."),
    Reason.UNKNOWN_KEY: (404, "There is no such API key, or it is revoked already."),
    Reason.INVALID: (400, "The numbers do not fit together."),
}
