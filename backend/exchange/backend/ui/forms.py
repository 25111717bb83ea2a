"""What the page sends, as the bodies of its requests have it."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from exchange.backend.wishes import AssetName, Body, Name, Text

UserName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$")]
NewPassword = Annotated[str, StringConstraints(min_length=8, max_length=256)]
Password = Annotated[str, StringConstraints(max_length=256)]
Code = Annotated[str, StringConstraints(pattern=r"^[0-9]{6}$")]
KeyName = Annotated[str, StringConstraints(max_length=64)]
PublicKey = Annotated[str, StringConstraints(max_length=4_000)]
Network = Annotated[str, StringConstraints(max_length=50)]
Address = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,198}[!-~])?$")]
OwnReference = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
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
    addresses: list[Network] | None = None
    expires_at: int | None = None


class KeyChange(Body):
    """What is left out stays."""

    permissions: list[Permission] | None = None
    addresses: list[Network] | None = None


class WithdrawalWish(Body):
    asset: AssetName
    amount: Text
    address: Address
    reference: OwnReference | None = None


class TransferWish(Body):
    """`from` and `to` are account ids."""

    from_: int = Field(alias="from")
    to: int
    asset: AssetName
    amount: Text
    reference: OwnReference | None = None


class SubAccountWish(Body):
    name: Name


class TestFundsWish(Body):
    asset: AssetName
    amount: Text
