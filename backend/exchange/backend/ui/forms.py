"""What the page sends, as the bodies of its requests have it."""

from typing import Annotated, Literal

from pydantic import StringConstraints

from exchange.backend.wishes import AssetName, Body, Text

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$")]
NewPassword = Annotated[str, StringConstraints(min_length=8, max_length=256)]
Password = Annotated[str, StringConstraints(max_length=256)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
KeyName = Annotated[str, StringConstraints(max_length=64)]
PublicKey = Annotated[str, StringConstraints(max_length=4_000)]
Network = Annotated[str, StringConstraints(max_length=50)]
Permission = Literal["READ", "TRADE", "WITHDRAW"]


class Registration(Body):
    name: UserName
    password: NewPassword


class Login(Body):
    name: Password
    password: Password
    totp: Password | None = None


class PasswordChange(Body):
    current: Password
    new: NewPassword


class Confirmation(Body):
    password: Password


class CodeGiven(Body):
    code: Code


class Disarming(Body):
    password: Password
    code: Code


class KeyWish(Body):
    """`expires_at` is in ms."""

    name: KeyName
    type: Literal["HMAC", "ED25519", "RSA"]
    public_key: PublicKey | None = None
    permissions: list[Permission]
    addresses: tuple[Network, ...] = ()
    expires_at: int | None = None


class KeyChange(Body):
    """What is left out stays."""

    permissions: list[Permission] | None = None
    addresses: tuple[Network, ...] | None = None


class TestFundsWish(Body):
    asset: AssetName
    amount: Text
