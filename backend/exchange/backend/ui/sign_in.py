"""Coming and going: registration, login, sessions, passwords, authenticators."""

from typing import Any

from fastapi import APIRouter, Request, Response

from exchange.backend import member_errors, totp
from exchange.backend.browsers import COOKIE
from exchange.backend.member_rows import LIFE_US_MAX
from exchange.backend.members import Member, Members, SignedIn
from exchange.backend.ui.forms import (
    CodeGiven,
    Confirmation,
    Disarming,
    Login,
    PasswordChange,
    Registration,
)
from exchange.backend.ui.visitors import AnyVisitor, PerhapsMember, SignedInMember
from exchange.services.rows import Role


def routes(members: Members, *, is_open: bool) -> APIRouter:
    """`is_open`: strangers may register."""
    router = APIRouter()

    @router.get("/ui/session")
    async def session(member: PerhapsMember) -> dict[str, Any]:
        return {"user": None} if member is None else await _described(members, member)

    @router.post("/ui/register", status_code=201)
    async def register(
        body: Registration, request: Request, response: Response, visitor: AnyVisitor
    ) -> dict[str, Any]:
        if not is_open:
            member_errors.REGISTRATION_CLOSED.refuse()
        signed_in = await members.register(body.name, body.password, visitor)
        _set_cookie(request, response, signed_in)
        return await _described(members, signed_in.member)

    @router.post("/ui/login")
    async def login(
        body: Login, request: Request, response: Response, visitor: AnyVisitor
    ) -> dict[str, Any]:
        signed_in = await members.login(body.name, body.password, body.totp, visitor)
        _set_cookie(request, response, signed_in)
        return await _described(members, signed_in.member)

    @router.post("/ui/logout", status_code=204)
    async def logout(member: PerhapsMember, response: Response) -> None:
        if member is not None:
            await members.logout(member)
        response.delete_cookie(COOKIE)

    @router.post("/ui/password", status_code=204)
    async def password(body: PasswordChange, member: SignedInMember, visitor: AnyVisitor) -> None:
        await members.change_password(member, body.current, body.new, visitor)

    @router.get("/ui/sessions")
    async def sessions(member: SignedInMember) -> list[dict[str, Any]]:
        return [
            {
                "sessionId": one.session_id,
                "createdAt": one.created // 1_000,
                "lastSeenAt": one.last_seen // 1_000,
                "address": one.address,
                "agent": one.agent,
                "current": one.session_id == member.session_id,
            }
            for one in await members.sessions(member)
        ]

    @router.delete("/ui/sessions/{session_id}", status_code=204)
    async def end_session(session_id: str, member: SignedInMember) -> None:
        await members.end_session(member, session_id)

    @router.post("/ui/totp")
    async def begin_totp(
        body: Confirmation, member: SignedInMember, visitor: AnyVisitor
    ) -> dict[str, str]:
        secret = await members.begin_totp(member, body.password, visitor)
        return {"secret": totp.written(secret), "uri": totp.uri(secret, member.name)}

    @router.post("/ui/totp/confirm", status_code=204)
    async def confirm_totp(body: CodeGiven, member: SignedInMember, visitor: AnyVisitor) -> None:
        await members.confirm_totp(member, body.code, visitor)

    @router.delete("/ui/totp", status_code=204)
    async def end_totp(body: Disarming, member: SignedInMember, visitor: AnyVisitor) -> None:
        await members.end_totp(member, body.password, body.code, visitor)

    return router


async def _described(members: Members, member: Member) -> dict[str, Any]:
    account = members.account(member)
    return {
        "user": {
            "name": member.name,
            "role": "admin" if account.role is Role.ADMIN else "trader",
            "accountId": account.id,
            "accounts": [
                {"accountId": one.id, "name": one.name.rpartition(":")[2]}
                for one in members.accounts(member)
            ],
            "totp": await members.user_has_totp(member),
            "sessionId": member.session_id,
        }
    }


def _set_cookie(request: Request, response: Response, signed_in: SignedIn) -> None:
    response.set_cookie(
        COOKIE,
        signed_in.token,
        max_age=LIFE_US_MAX // 1_000_000,
        path="/",
        httponly=True,
        samesite="strict",
        # Behind a proxy only the page knows by which way it came.
        secure=request.headers.get("origin", "").startswith("https://"),
    )
