"""What operators can do: every wish becomes a command in the journal, or an error in a sentence."""

import asyncio
import copy
import secrets
import string
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import structlog

from exchange.backend.gateway import NotExecuted, OutcomeUnknown
from exchange.backend.rulebook import (
    Rulebook,
    read_decimal,
    read_rate,
    written_rate,
    written_tiers,
)
from exchange.backend.signatures import ed25519_public_key, rsa_public_key
from exchange.backend.state import Current, State
from exchange.backend.vault import Vault
from exchange.backend.wishes import (
    AccountChange,
    ExchangeChange,
    MarketChange,
    NewAsset,
    NewKey,
    NewMarket,
    NewTransfer,
)
from exchange.postgres_db.alarms import delete_alarm
from exchange.services.amounts import format_amount
from exchange.services.commands import (
    AddAsset,
    AddMarket,
    AnyCommand,
    ChangeAccount,
    ChangeExchange,
    ChangeKey,
    ChangeMarket,
    CreateAccount,
    CreateKey,
    Deposit,
    Note,
    Reset,
    RevokeKey,
    SetMode,
    Withdraw,
)
from exchange.services.failures import WorldFailed
from exchange.services.markets import DEFAULT_RULES, Asset, Market, Mode, Tier
from exchange.services.messages import Outcome, Reason, Rejected, Repeated
from exchange.services.orders import OrderStatus
from exchange.services.rows import FEE_ACCOUNT, Account, Author, Key, KeyKind, Order, Role

KEY_LENGTH = 64
CHANGES_TRIED = 20
"""How often a change of rules is asked for while others change the same ones."""
ALPHANUMERICS = string.ascii_letters + string.digits

log = structlog.get_logger()


class AdminError(Exception):
    """Why an operator's wish was not fulfilled, as a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class KeyTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a new key may do, from where, and until when (µs; None: for ever)."""

    name: str = ""
    can_read: bool = True
    can_trade: bool = True
    can_withdraw: bool = False
    addresses: tuple[str, ...] = ()
    expires: int | None = None


class MadeKey(msgspec.Struct, frozen=True):
    """A new key; `secret` is None where only its owner has it."""

    api_key: str
    secret: str | None


class ChangedMeanwhile(AdminError):
    """Somebody else has changed the same rules since they were read."""


class Operator:
    """Uses the state of the moment; raises AdminError, BadRule, or ApiError while there is none."""

    def __init__(self, current: Current, vault: Vault) -> None:
        self._current = current
        self._vault = vault
        self._author: Author | None = None

    def acting(self, author: Author) -> "Operator":
        """The same one, with somebody who answers for what is done: it is on record then."""
        one = copy.copy(self)
        one._author = author  # noqa: SLF001, it is one of us
        return one

    @property
    def author(self) -> Author:
        assert self._author is not None, "nobody answers for this"
        return self._author

    async def create_account(
        self, name: str, role: Role = Role.TRADER, *, owner: int | None = None
    ) -> dict[str, Any]:
        outcome = await self.submit(
            CreateAccount(name=name, role=role, owner=owner), f"The account {name} exists already."
        )
        created = next(row for row in outcome.rows if isinstance(row, Account))
        return {"accountId": created.id, "name": name}

    async def create_funded_account(self, name: str, funds: Mapping[str, str]) -> dict[str, Any]:
        """With a key that may trade; everything but the account itself is journalled together."""
        state = await self.state()
        for asset, amount in funds.items():
            read_decimal("amount", amount, self.asset(state, asset).decimals)
        created = await self.create_account(name)
        key, *_ = await asyncio.gather(
            self.create_key(name, NewKey(kind="hmac")),
            *(self.credit(Deposit, name, asset, amount, None) for asset, amount in funds.items()),
        )
        return {**created, **key}

    async def change_account(self, name: str, wish: AccountChange) -> dict[str, Any]:
        """Stopping it also cancels all that it has open."""
        if wish == AccountChange():
            raise AdminError(400, "Say what to change: tier, discount, stopped or role.")
        account = self.account(await self.state(), name)
        outcome = await self.submit(
            ChangeAccount(
                account=account.id,
                tier=wish.tier,
                discount=wish.discount,
                stopped=wish.stopped,
                role=None if wish.role is None else Role(wish.role),
            )
        )
        changed = next(row for row in outcome.rows if isinstance(row, Account))
        orders = {(row.symbol, row.id): row for row in outcome.rows if isinstance(row, Order)}
        return {
            "accountId": changed.id,
            "name": name,
            "tier": changed.tier,
            "discount": changed.discount,
            "stopped": changed.stopped,
            "role": changed.role.value,
            "canceledOrders": sum(
                order.status is OrderStatus.CANCELED for order in orders.values()
            ),
        }

    async def create_key(self, account_name: str, wish: NewKey) -> dict[str, Any]:
        account = self.account(await self.state(), account_name)
        terms = KeyTerms(can_trade=wish.can_trade)
        made = await self.add_key(account.id, KeyKind(wish.kind.upper()), wish.public_key, terms)
        return {"accountId": account.id, "apiKey": made.api_key, "secretKey": made.secret}

    async def add_key(
        self, account: int, kind: KeyKind, public_key: str | None, terms: KeyTerms
    ) -> MadeKey:
        """The secret is shown this once; what is journalled is its ciphertext, or a public key."""
        api_key = _random_text()
        secret: str | None = None
        if kind is KeyKind.HMAC:
            if public_key is not None:
                raise AdminError(400, "An HMAC key has no publicKey.")
            secret = _random_text()
            stored = self._vault.seal(api_key, secret.encode())
        else:
            stored = _public_key(kind, public_key)
        await self.submit(
            CreateKey(
                account=account,
                api_key=api_key,
                kind=kind,
                secret=stored,
                name=terms.name,
                can_read=terms.can_read,
                can_trade=terms.can_trade,
                can_withdraw=terms.can_withdraw,
                addresses=terms.addresses,
                expires=terms.expires,
            )
        )
        return MadeKey(api_key, secret)

    async def change_key(
        self,
        key: Key,
        *,
        can_read: bool | None,
        can_trade: bool | None,
        can_withdraw: bool | None,
        addresses: tuple[str, ...] | None,
    ) -> None:
        """In the name of the account whose key it is; what is None stays."""
        await self.submit(
            ChangeKey(
                account=key.account,
                api_key=key.api_key,
                can_read=can_read,
                can_trade=can_trade,
                can_withdraw=can_withdraw,
                addresses=addresses,
            )
        )

    async def reseal_keys(self) -> int:
        """Encrypt anew, under the newest master key, what others have sealed; how many those were."""
        outdated = [
            key
            for key in (await self.state()).directory.all_keys()
            if key.kind is KeyKind.HMAC and key.revoked is None
            if self._vault.is_outdated(key.secret)
        ]
        # The act is one, however many keys there are.
        plain = copy.copy(self)
        plain._author = None  # noqa: SLF001, it is one of us
        for key in outdated:
            secret = self._vault.unseal(key.api_key, key.secret)
            sealed = self._vault.seal(key.api_key, secret)
            await plain.submit(ChangeKey(api_key=key.api_key, secret=sealed))
        return len(outdated)

    async def revoke_key(self, api_key: str, account: int = FEE_ACCOUNT) -> dict[str, Any]:
        """In the name of the operator, or of the account whose key it is."""
        await self.submit(RevokeKey(account=account, api_key=api_key))
        return {}

    async def deposit(self, account: int, asset: str, amount: int, reference: str) -> None:
        await self.submit(Deposit(account=account, asset=asset, amount=amount, reference=reference))

    async def transfer(
        self, kind: type[Deposit] | type[Withdraw], wish: NewTransfer
    ) -> dict[str, Any]:
        return await self.credit(kind, wish.account, wish.asset, wish.amount, wish.reference)

    async def credit(
        self,
        kind: type[Deposit] | type[Withdraw],
        name: str,
        asset: str,
        amount_text: str,
        reference: str | None,
    ) -> dict[str, Any]:
        """Move money in or out; the same reference with the same content happens once."""
        state = await self.state()
        account = self.account(state, name)
        decimals = self.asset(state, asset).decimals
        amount = read_decimal("amount", amount_text, decimals)
        if amount == 0:
            raise AdminError(400, "The amount must be above zero.")
        reference = reference or uuid.uuid4().hex
        outcome = await self.submit(
            kind(account=account.id, asset=asset, amount=amount, reference=reference)
        )
        return {
            "accountId": account.id,
            "asset": asset,
            "amount": format_amount(amount, decimals),
            "reference": reference,
            "repeated": isinstance(outcome.result, Repeated),
        }

    async def add_asset(self, wish: NewAsset) -> dict[str, Any]:
        await self.submit(
            AddAsset(asset=Asset(wish.asset, wish.decimals)),
            f"The asset {wish.asset} exists already.",
        )
        return {"asset": wish.asset, "decimals": wish.decimals}

    async def add_market(self, wish: NewMarket) -> dict[str, Any]:
        state = await self.state()
        base, quote = self.asset(state, wish.base), self.asset(state, wish.quote)
        rules = Rulebook(state.directory.assets, base).changed(DEFAULT_RULES, wish.rules)
        market = msgspec.structs.replace(market_from(wish, base, quote), rules=rules)
        await self.submit(AddMarket(market=market), f"The market {wish.symbol} exists already.")
        return {"symbol": wish.symbol}

    async def set_mode(self, symbol: str | None, mode: Mode) -> dict[str, Any]:
        """Of one market, or of all."""
        await self.submit(SetMode(symbol=symbol, mode=mode))
        return {"symbol": symbol, "mode": mode.value}

    async def reset(self) -> dict[str, Any]:
        """End everything that is open, and let all markets begin anew."""
        outcome = await self.submit(Reset())
        ended = {
            (row.symbol, row.id)
            for row in outcome.rows
            if isinstance(row, Order) and not row.is_open
        }
        return {"number": outcome.number, "canceledOrders": len(ended)}

    async def note(self, act: str, subject: str) -> None:
        """Put on record what was done beside the state of the exchange."""
        await self.submit(Note(act=act, subject=subject, author=self.author))

    async def clear_alarm(self, name: str) -> dict[str, Any]:
        """It changes nothing but what operators are shown."""
        try:
            found = await delete_alarm(self._current.state.database, name)
        except WorldFailed as fault:
            raise AdminError(503, f"{fault}.") from None
        if not found:
            raise AdminError(404, f"There is no alarm {name}.")
        await self.note("ClearAlarm", f"alarm {name}")
        return {"cleared": name}

    async def market_rules(self, symbol: str) -> dict[str, Any]:
        state = await self.state()
        market = self._market(state, symbol)
        assets = state.directory.assets
        return {
            "symbol": symbol,
            "maker": written_rate(market.maker_rate),
            "taker": written_rate(market.taker_rate),
            "tiers": written_tiers(market.rules.tiers),
            "rules": Rulebook(assets, assets[market.base]).written(market.rules),
        }

    async def change_market(self, symbol: str, wish: MarketChange) -> dict[str, Any]:
        """Replace some fees and rules of a market, all of them or none."""

        def command(state: State) -> ChangeMarket:
            market = self._market(state, symbol)
            assets = state.directory.assets
            rules = Rulebook(assets, assets[market.base]).changed(market.rules, wish.rules)
            maker, taker = market.maker_rate, market.taker_rate
            return ChangeMarket(
                symbol=symbol,
                maker_rate=maker if wish.maker is None else read_rate("maker", wish.maker),
                taker_rate=taker if wish.taker is None else read_rate("taker", wish.taker),
                rules=msgspec.structs.replace(rules, tiers=_tiers(market, wish)),
                replaces=market,
            )

        await self._change(command)
        return await self.market_rules(symbol)

    async def exchange_rules(self) -> dict[str, Any]:
        directory = (await self.state()).directory
        return {"rules": Rulebook(directory.assets).written(directory.exchange_rules)}

    async def change_exchange(self, wish: ExchangeChange) -> dict[str, Any]:
        """Replace some rules of the exchange, all of them or none."""

        def command(state: State) -> ChangeExchange:
            before = state.directory.exchange_rules
            rules = Rulebook(state.directory.assets).changed(before, wish.rules)
            return ChangeExchange(rules=rules, replaces=before)

        await self._change(command)
        return await self.exchange_rules()

    async def _change(self, command: Callable[[State], ChangeMarket | ChangeExchange]) -> None:
        """Have rules replaced, which are one whole for the engine, so that no change undoes another.

        Whoever changes them at the same moment, here or by another backend, is waited for by
        asking for the same change of what he has left.
        """
        for _ in range(CHANGES_TRIED - 1):
            try:
                await self.submit(command(await self.state()))
            except ChangedMeanwhile:
                continue
            return
        await self.submit(command(await self.state()))

    async def state(self) -> State:
        """The state, with everything in it that anybody was told before."""
        state = self._current.state
        await state.barrier.market_data()
        return state

    async def submit(self, command: AnyCommand, conflict: str = "") -> Outcome:
        if self._author is not None and "author" in command.__struct_fields__:
            command = msgspec.structs.replace(command, author=self._author)
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
    def account(state: State, name: str) -> Account:
        account = state.directory.account_named(name)
        if account is None:
            raise AdminError(404, f"There is no account {name}.")
        return account

    @staticmethod
    def _market(state: State, symbol: str) -> Market:
        market = state.directory.markets.get(symbol)
        if market is None:
            raise AdminError(404, f"There is no market {symbol}.")
        return market

    @staticmethod
    def asset(state: State, name: str) -> Asset:
        asset = state.directory.assets.get(name)
        if asset is None:
            raise AdminError(404, f"There is no asset {name}.")
        return asset


def market_from(wish: NewMarket, base: Asset, quote: Asset) -> Market:
    """The market that an operator describes; the engine checks that its numbers fit together."""
    tick = read_decimal("tick", wish.tick, quote.decimals)
    lot = read_decimal("lot", wish.lot, base.decimals)
    if not tick or not lot:
        raise AdminError(400, "Tick and lot must be above zero.")

    def units(name: str, text: str | None, asset: Asset, default: int) -> int:
        return default if text is None else read_decimal(name, text, asset.decimals)

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
        maker_rate=read_rate("maker", wish.maker or _RATE),
        taker_rate=read_rate("taker", wish.taker or _RATE),
    )


def _on_grid(value: int, step: int) -> int:
    """The largest multiple of the step that is no more than the value, but at least one step."""
    return max(value - value % step, step)


def _tiers(market: Market, wish: MarketChange) -> tuple[Tier, ...]:
    """The market's tiers with those of the wish, in order."""
    tiers = {one.tier: one for one in market.rules.tiers}
    for number in wish.drop_tiers:
        if tiers.pop(number, None) is None:
            raise AdminError(404, f"{market.symbol} has no tier {number}.")
    for new in wish.tiers:
        tiers[new.tier] = Tier(
            tier=new.tier,
            maker_rate=read_rate("maker", new.maker),
            taker_rate=read_rate("taker", new.taker),
        )
    return tuple(tiers[number] for number in sorted(tiers))


def _refusal(result: Rejected, conflict: str) -> AdminError:
    if result.reason is Reason.CHANGED_MEANWHILE:
        return ChangedMeanwhile(409, "Others are changing the same rules: try again.")
    status, sentence = _REFUSALS.get(result.reason, (400, f"Refused: {result.reason.value}."))
    if result.reason is Reason.ALREADY_EXISTS and conflict:
        sentence = conflict
    return AdminError(status, result.detail or sentence)


def _public_key(kind: KeyKind, pem: str | None) -> bytes:
    if pem is None:
        name = "Ed25519" if kind is KeyKind.ED25519 else "RSA"
        raise AdminError(400, f"An {name} key needs publicKey, its public half in PEM.")
    try:
        return ed25519_public_key(pem) if kind is KeyKind.ED25519 else rsa_public_key(pem)
    except ValueError as fault:
        raise AdminError(400, str(fault)) from None


def _random_text() -> str:
    return "".join(secrets.choice(ALPHANUMERICS) for _ in range(KEY_LENGTH))


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
    Reason.ACCOUNT_STOPPED: (403, "The account is stopped."),
    Reason.WITHDRAWALS_FROZEN: (403, "Withdrawals are frozen until somebody has looked."),
    Reason.UNKNOWN_WITHDRAWAL: (404, "There is no such withdrawal that is still open."),
    Reason.LIMIT: (403, "This is more than is allowed."),
    Reason.NOT_ALLOWED: (403, "This is not allowed."),
}
