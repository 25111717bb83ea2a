"""Who makes a request of the page: what its routes depend on."""

from typing import Annotated

from fastapi import Depends, Request

from exchange.backend import member_errors
from exchange.backend.admission import address_of
from exchange.backend.browsers import Browsers
from exchange.backend.members import Member, Visitor
from exchange.backend.state import Current


async def find_member(request: Request) -> Member | None:
    browsers: Browsers = request.app.state.browsers
    return await browsers.member(request.scope)


async def need_member(member: Annotated[Member | None, Depends(find_member)]) -> Member:
    if member is None:
        member_errors.NOT_SIGNED_IN.refuse()
    return member


async def choose_account(request: Request, member: Annotated[Member, Depends(need_member)]) -> int:
    """The account that is meant: the member's main one, or the sub-account that a header names."""
    browsers: Browsers = request.app.state.browsers
    return browsers.chosen_account(request.scope, member)


def see_visitor(request: Request) -> Visitor:
    agent = request.headers.get("user-agent", "")
    current: Current = request.app.state.current
    return Visitor(address_of(request.scope, current.proxies), agent)


PerhapsMember = Annotated[Member | None, Depends(find_member)]
SignedInMember = Annotated[Member, Depends(need_member)]
ChosenAccount = Annotated[int, Depends(choose_account)]
AnyVisitor = Annotated[Visitor, Depends(see_visitor)]
