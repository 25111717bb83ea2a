"""Who signs in with a name and a password, and what a browser's cookie says about who it is.

Users and sessions stand in Postgres and not in the journal: nothing that is traded depends on them.
"""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import asyncpg
import msgspec

from exchange.backend import errors, member_rows, totp
from exchange.backend import member_errors as refusals
from exchange.backend.attempts import Attempts
from exchange.backend.member_rows import Session, User
from exchange.backend.operator import AdminError, Operator
from exchange.backend.passwords import Passwords
from exchange.backend.state import Current
from exchange.backend.vault import Vault
from exchange.services.failures import WorldFailed
from exchange.services.rows import Account, Role
from exchange.services.settings import InvalidSettings

TOKEN_BYTES = 32
KNOWN_S, KNOWN_MAX = 2.0, 10_000
"""How long a session that was found is not looked up again: so late is a logout elsewhere seen."""
TOUCH_US = 60_000_000
AGENT_LENGTH_MAX = 200


class Member(msgspec.Struct, frozen=True):
    """Somebody who has signed in; `account` is his main one."""

    name: str
    account: int
    session_id: str
    token_hash: bytes


class SignedIn(msgspec.Struct, frozen=True):
    """`token` is what the browser keeps, and nobody else."""

    member: Member
    token: str


class Visitor(msgspec.Struct, frozen=True):
    """Where a request comes from, for the list of sessions and the count of attempts."""

    address: str
    agent: str


class Members:
    """Every method may raise ApiError."""

    def __init__(
        self, current: Current, vault: Vault, operator: Operator, passwords: Passwords
    ) -> None:
        self._current = current
        self._vault = vault
        self._passwords = passwords
        self._operator = operator
        self._attempts = Attempts(current.limits.attempts)
        self._known: OrderedDict[bytes, tuple[float, Session]] = OrderedDict()

    # --- Coming and going -----------------------------------------------------------------------

    async def register(self, name: str, password: str, visitor: Visitor) -> SignedIn:
        """A new user with an account of his own."""
        self._count_attempt(name, visitor)
        await self.create(name, password, Role.TRADER, self._operator)
        # The try stays on the address' account: accounts are not to be had by the thousand.
        self._attempts.forget_name(name)
        return await self._begin(await self._user(name), visitor)

    async def create(self, name: str, password: str, role: Role, operator: Operator) -> int:
        """The id of the account that the new user has."""
        # Also before, since a hash takes longer than all the rest.
        await self._refuse_if_taken(name)
        hashed = await self._passwords.hashed(password)
        await self._refuse_if_taken(name)
        created = await operator.create_account(name, role)
        account: int = created["accountId"]
        with _unavailable():
            added = await member_rows.insert_user(self._database, name, account, hashed, _now())
        if not added:
            raise _taken(name)
        return account

    async def reset_password(self, name: str, password: str, operator: Operator) -> dict[str, str]:
        """By an operator: who has lost his password or authenticator begins anew with this one; an
        account that nobody could sign in to gets a user."""
        account = operator.account(await operator.state(), name)
        hashed = await self._passwords.hashed(password)
        await operator.note("SetPassword", f"account {name}")
        with _unavailable():
            if not await member_rows.insert_user(self._database, name, account.id, hashed, _now()):
                await member_rows.set_password(self._database, name, hashed, keep=None)
                await member_rows.set_totp(self._database, name, None)
        self._forget(lambda session: session.user_name == name)
        return {"name": name}

    async def login(self, name: str, password: str, code: str | None, visitor: Visitor) -> SignedIn:
        """The same answer, as late, for everything that can be wrong."""
        self._count_attempt(name, visitor)
        user = await self._find(name)
        stored = None if user is None else user.password
        is_right = await self._passwords.matches(stored, password)
        if user is None or not is_right:
            refusals.WRONG_LOGIN.refuse()
        if user.totp_confirmed:
            if code is None:
                refusals.CODE_NEEDED.refuse()
            if not await self._takes_code(user, code):
                refusals.WRONG_LOGIN.refuse()
        self._attempts.succeed(name, visitor.address)
        if self._passwords.is_outdated(user.password):
            hashed = await self._passwords.hashed(password)
            with _unavailable():
                await member_rows.rehash(self._database, user.name, hashed)
        return await self._begin(user, visitor)

    async def find(self, token: str) -> Member | None:
        """Who a cookie belongs to, if its session is not over."""
        token_hash = _hash(token)
        session = self._remembered(token_hash)
        if session is None:
            session = await self._look_up(token_hash)
        if session is None:
            return None
        return Member(session.user_name, session.account, session.session_id, token_hash)

    async def logout(self, member: Member) -> None:
        await self.end_session(member, member.session_id)

    # --- What a member may change -----------------------------------------------------------------

    async def sessions(self, member: Member) -> list[Session]:
        with _unavailable():
            return await member_rows.select_sessions(self._database, member.name, _now())

    async def end_session(self, member: Member, session_id: str) -> None:
        self._forget(lambda session: session.session_id == session_id)
        with _unavailable():
            found = await member_rows.delete_session(self._database, member.name, session_id)
        if not found:
            refusals.NO_SUCH_SESSION.refuse()

    async def change_password(
        self, member: Member, current: str, new: str, visitor: Visitor
    ) -> None:
        """All other sessions end with the old one."""
        await self._confirm(member, current, visitor)
        hashed = await self._passwords.hashed(new)
        with _unavailable():
            await member_rows.set_password(
                self._database, member.name, hashed, keep=member.token_hash
            )
        self._forget(lambda session: session.user_name == member.name)

    async def begin_totp(self, member: Member, password: str, visitor: Visitor) -> bytes:
        """A secret that is asked for only when its first code has been given."""
        user = await self._confirm(member, password, visitor)
        if user.totp_confirmed:
            refusals.TOTP_THERE.refuse()
        secret = totp.new_secret()
        with _unavailable():
            sealed = self._vault.seal(_totp_name(user.name), secret)
            await member_rows.set_totp(self._database, user.name, sealed)
        return secret

    async def confirm_totp(self, member: Member, code: str, visitor: Visitor) -> None:
        self._count_attempt(member.name, visitor)
        if not await self._takes_code(await self._user(member.name), code):
            refusals.WRONG_CODE.refuse()
        self._attempts.succeed(member.name, visitor.address)

    async def end_totp(self, member: Member, password: str, code: str, visitor: Visitor) -> None:
        user = await self._confirm(member, password, visitor)
        if not user.totp_confirmed or not await self._takes_code(user, code):
            refusals.WRONG_CODE.refuse()
        with _unavailable():
            await member_rows.set_totp(self._database, user.name, None)

    async def user_has_totp(self, member: Member) -> bool:
        return (await self._user(member.name)).totp_confirmed

    async def rotate_master_key(self, operator: Operator) -> dict[str, int]:
        """Read the file of master keys again, and seal everything under the newest one."""
        try:
            self._vault.reload()
        except InvalidSettings as fault:
            raise AdminError(400, f"{fault}") from None
        await operator.note("RotateMasterKey", f"master key {self._vault.newest}")
        keys = await operator.reseal_keys()
        with _unavailable():
            sealed_secrets = await member_rows.select_totp_secrets(self._database)
        outdated = [(name, one) for name, one in sealed_secrets if self._vault.is_outdated(one)]
        for name, sealed in outdated:
            secret = self._vault.unseal(_totp_name(name), sealed)
            with _unavailable():
                await member_rows.replace_totp_secret(
                    self._database, name, sealed, self._vault.seal(_totp_name(name), secret)
                )
        return {"masterKey": self._vault.newest, "keys": keys, "authenticators": len(outdated)}

    # --- Accounts ---------------------------------------------------------------------------------

    def account(self, member: Member) -> Account:
        """His main account, as it is now."""
        return self._current.state.directory.accounts[member.account]

    def accounts(self, member: Member) -> list[Account]:
        """His main account and its sub-accounts."""
        return self._current.state.directory.accounts_of(member.account)

    def chosen_account(self, member: Member, wanted: str) -> int:
        """His main account, or the one that he names, if it is his; "" names none."""
        if not wanted:
            return member.account
        accounts = self._current.state.directory.accounts
        account = accounts.get(int(wanted)) if wanted.isascii() and wanted.isdigit() else None
        if account is None or member.account not in (account.id, account.owner):
            refusals.NOT_YOUR_ACCOUNT.refuse()
        return account.id

    # --- What these use -----------------------------------------------------------------------------

    @property
    def _database(self) -> asyncpg.Pool:
        return self._current.state.database

    async def _refuse_if_taken(self, name: str) -> None:
        if await self._find(name) is not None or self._current.state.directory.is_taken(name):
            raise _taken(name)

    def _count_attempt(self, name: str, visitor: Visitor) -> None:
        wait = self._attempts.begin(name, visitor.address, int(time.monotonic()))
        if wait:
            raise refusals.too_many_attempts(wait)

    async def _confirm(self, member: Member, password: str, visitor: Visitor) -> User:
        """Who has left his browser open is asked again before anything changes that keeps him out."""
        self._count_attempt(member.name, visitor)
        user = await self._user(member.name)
        if not await self._passwords.matches(user.password, password):
            refusals.WRONG_PASSWORD.refuse()
        self._attempts.succeed(member.name, visitor.address)
        return user

    async def _takes_code(self, user: User, code: str) -> bool:
        """Whether it is a code of now that was not used before; from now on it was."""
        if user.totp_secret is None:
            return False
        secret = self._vault.unseal(_totp_name(user.name), user.totp_secret)
        step = totp.matching_step(secret, code, int(time.time()))
        if step is None:
            return False
        with _unavailable():
            return await member_rows.use_totp(self._database, user.name, step)

    async def _begin(self, user: User, visitor: Visitor) -> SignedIn:
        token = secrets.token_urlsafe(TOKEN_BYTES)
        now = _now()
        session = Session(
            session_id=secrets.token_hex(8),
            user_name=user.name,
            account=user.account,
            created=now,
            last_seen=now,
            address=visitor.address,
            agent=visitor.agent[:AGENT_LENGTH_MAX],
        )
        token_hash = _hash(token)
        with _unavailable():
            await member_rows.insert_session(self._database, token_hash, session)
        return SignedIn(Member(user.name, user.account, session.session_id, token_hash), token)

    async def _user(self, name: str) -> User:
        user = await self._find(name)
        if user is None:
            refusals.NOT_SIGNED_IN.refuse()
        return user

    async def _find(self, name: str) -> User | None:
        with _unavailable():
            return await member_rows.find_user(self._database, name)

    async def _look_up(self, token_hash: bytes) -> Session | None:
        now = _now()
        with _unavailable():
            session = await member_rows.find_session(self._database, token_hash, now)
            if session is not None and now - session.last_seen > TOUCH_US:
                await member_rows.touch_session(self._database, token_hash, now)
        if session is not None:
            self._known[token_hash] = (time.monotonic() + KNOWN_S, session)
            if len(self._known) > KNOWN_MAX:
                self._known.popitem(last=False)
        return session

    def _remembered(self, token_hash: bytes) -> Session | None:
        until, session = self._known.get(token_hash, (0.0, None))
        if time.monotonic() < until:
            return session
        self._known.pop(token_hash, None)
        return None

    def _forget(self, is_meant: Callable[[Session], bool]) -> None:
        for token_hash, (_, session) in list(self._known.items()):
            if is_meant(session):
                del self._known[token_hash]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _totp_name(name: str) -> str:
    """What the secret of an authenticator is sealed to; no API key has such a name."""
    return f"totp {name}"


def _taken(name: str) -> AdminError:
    return AdminError(409, f"The name {name} is taken.")


def _now() -> int:
    """µs since the Unix epoch."""
    return time.time_ns() // 1_000


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except (WorldFailed, TimeoutError):
        raise errors.UNAVAILABLE.error() from None
