"""A user's API keys: what programs sign with that trade for him."""

import time
from ipaddress import ip_network
from typing import Any

from fastapi import APIRouter

from exchange.backend import member_errors
from exchange.backend.directory import Directory
from exchange.backend.members import Member
from exchange.backend.operator import KeyTerms, Operator
from exchange.backend.state import Current
from exchange.backend.ui.forms import KeyChange, KeyWish
from exchange.backend.ui.visitors import ChosenAccount, SignedInMember
from exchange.services.rows import Key, KeyKind

KEYS_MAX = 30
"""Of one account, those that are revoked left out."""


def routes(current: Current, operator: Operator) -> APIRouter:
    router = APIRouter()

    @router.get("/ui/keys")
    async def keys(member: SignedInMember) -> list[dict[str, Any]]:
        directory = await _directory(current)
        return [
            _described(key)
            for account in directory.accounts_of(member.account)
            for key in directory.keys_of(account.id)
        ]

    @router.post("/ui/keys", status_code=201)
    async def create_key(
        body: KeyWish, member: SignedInMember, account: ChosenAccount
    ) -> dict[str, Any]:
        directory = await _directory(current)
        if sum(key.revoked is None for key in directory.keys_of(account)) >= KEYS_MAX:
            raise member_errors.bad_input(f"An account has at most {KEYS_MAX} keys.")
        terms = KeyTerms(
            name=body.name,
            can_read="READ" in body.permissions,
            can_trade="TRADE" in body.permissions,
            can_withdraw="WITHDRAW" in body.permissions,
            addresses=_networks(body.addresses or []),
            expires=_expiry(body.expires_at),
        )
        made = await operator.add_key(account, KeyKind(body.type), body.public_key, terms)
        shown = {} if made.secret is None else {"secretKey": made.secret}
        return {**_described(_own_key(directory, member, made.api_key)), **shown}

    @router.put("/ui/keys/{api_key}")
    async def change_key(api_key: str, body: KeyChange, member: SignedInMember) -> dict[str, Any]:
        directory = await _directory(current)
        key = _own_key(directory, member, api_key)
        permissions = body.permissions
        await operator.change_key(
            key,
            can_read=None if permissions is None else "READ" in permissions,
            can_trade=None if permissions is None else "TRADE" in permissions,
            can_withdraw=None if permissions is None else "WITHDRAW" in permissions,
            addresses=None if body.addresses is None else _networks(body.addresses),
        )
        return _described(_own_key(directory, member, api_key))

    @router.delete("/ui/keys/{api_key}", status_code=204)
    async def revoke_key(api_key: str, member: SignedInMember) -> None:
        key = _own_key(await _directory(current), member, api_key)
        await operator.revoke_key(api_key, key.account)

    return router


async def _directory(current: Current) -> Directory:
    """With everything in it that anybody was told before."""
    state = current.state
    await state.barrier.market_data()
    return state.directory


def _own_key(directory: Directory, member: Member, api_key: str) -> Key:
    own = [
        key
        for account in directory.accounts_of(member.account)
        for key in directory.keys_of(account.id)
        if key.api_key == api_key and key.revoked is None
    ]
    if not own:
        member_errors.NO_SUCH_KEY.refuse()
    return own[0]


def _described(key: Key) -> dict[str, Any]:
    allowed = {"READ": key.can_read, "TRADE": key.can_trade, "WITHDRAW": key.can_withdraw}
    return {
        "apiKey": key.api_key,
        "accountId": key.account,
        "name": key.name,
        "type": key.kind.value,
        "permissions": [name for name, is_allowed in allowed.items() if is_allowed],
        "addresses": list(key.addresses),
        "createdAt": key.created // 1_000,
        "expiresAt": None if key.expires is None else key.expires // 1_000,
        "revoked": key.revoked is not None,
    }


def _networks(texts: list[str]) -> tuple[str, ...]:
    """As they are journalled: each a network, in one spelling."""
    try:
        return tuple(dict.fromkeys(str(ip_network(text.strip(), strict=False)) for text in texts))
    except ValueError as fault:
        raise member_errors.bad_input(f"{fault}.") from None


def _expiry(at_ms: int | None) -> int | None:
    if at_ms is None:
        return None
    if not time.time() * 1_000 < at_ms < 2**53:
        raise member_errors.bad_input("A key must expire in the future.")
    return at_ms * 1_000
