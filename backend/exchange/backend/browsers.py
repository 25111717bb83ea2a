"""What a browser sends by itself with every request: its cookie, and where the page is from."""

from starlette.types import Scope

from exchange.backend import member_errors
from exchange.backend.control import Acting
from exchange.backend.directory import KnownKey, session_key
from exchange.backend.members import Member, Members
from exchange.backend.operator import Operator
from exchange.services.rows import Author, Role

COOKIE = "session"
ACCOUNT_HEADER = b"x-exchange-account"
COOKIE_LENGTH_MAX = 4_096
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Browsers:
    """Knows browsers by the sessions of their users."""

    def __init__(self, members: Members) -> None:
        self._members = members

    async def member(self, scope: Scope) -> Member | None:
        """Who has signed in there; raises ApiError where the request was made by a foreign page."""
        headers = dict(scope["headers"])
        token = session_token(headers.get(b"cookie", b""))
        if token is None:
            return None
        if scope["method"] not in SAFE_METHODS and not is_own_page(headers):
            member_errors.FOREIGN_ORIGIN.refuse()
        return await self._members.find(token)

    async def key(self, scope: Scope) -> KnownKey | None:
        """What a session is to an endpoint: for its user's account, or the one that he chooses."""
        member = await self.member(scope)
        if member is None:
            return None
        return session_key(self.chosen_account(scope, member))

    def chosen_account(self, scope: Scope, member: Member) -> int:
        """His main account, or the one of his that a header names."""
        wanted = dict(scope["headers"]).get(ACCOUNT_HEADER, b"").decode("latin-1")
        return self._members.chosen_account(member, wanted)

    async def acting(self, scope: Scope, operator: Operator) -> Acting:
        """An admin; raises ApiError where it is none."""
        member = await self.member(scope)
        if member is None:
            member_errors.NOT_SIGNED_IN.refuse()
        if self._members.account(member).role is not Role.ADMIN:
            member_errors.NOT_ADMIN.refuse()
        return Acting(operator, Author(name=member.name), needs_reason=True)


def session_token(cookies: bytes) -> str | None:
    """The token in a Cookie header, if there is one."""
    if not cookies or len(cookies) > COOKIE_LENGTH_MAX:
        return None
    for part in cookies.decode("latin-1").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value:
            return value
    return None


def is_own_page(headers: dict[bytes, bytes]) -> bool:
    """Whether the page that made the request is from the very host that it came to."""
    scheme, _, origin = headers.get(b"origin", b"").partition(b"://")
    return scheme in (b"http", b"https") and bool(origin) and origin == headers.get(b"host")
