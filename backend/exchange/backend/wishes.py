"""What operators may ask for, as the bodies of their requests have it."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.alias_generators import to_camel

from exchange.services.markets import SMALL_MAX

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]
AnyName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,32}(:[A-Za-z0-9_.-]{1,32})?$")
]
"""Also that of a sub-account, `owner:name`."""
AssetName = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
Symbol = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{1,20}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=1_000)]
RuleText = Annotated[str, StringConstraints(max_length=1_000)]
Reference = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,126}[!-~])?$")]
TierNumber = Annotated[int, Field(ge=0, le=SMALL_MAX)]
Decimals = Annotated[int, Field(ge=0, le=18)]
PasswordText = Annotated[str, StringConstraints(min_length=8, max_length=256)]


NUL = "\0"
"""The one character that Postgres cannot keep: a command with it could never be written down."""


class Body(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _can_be_kept(cls, given: Any) -> Any:
        if _has_nul(given):
            raise ValueError("no text may have a NUL character")
        return given


def _has_nul(given: Any) -> bool:
    if isinstance(given, dict):
        return any(_has_nul(one) for pair in given.items() for one in pair)
    if isinstance(given, list):
        return any(map(_has_nul, given))
    return isinstance(given, str) and NUL in given


class NewAccount(Body):
    """With a password it has a user, who can sign in on the page."""

    name: Name
    password: PasswordText | None = None
    role: Literal["TRADER", "ADMIN"] = "TRADER"


class NewFundedAccount(Body):
    """Amounts by asset; a key comes with it."""

    name: Name
    funds: dict[AssetName, Text] = {}


class NewPassword(Body):
    password: PasswordText


class NewKey(Body):
    kind: Literal["hmac", "ed25519", "rsa"]
    can_trade: bool = True
    public_key: Text | None = None


class NewTransfer(Body):
    account: AnyName
    asset: AssetName
    amount: Text
    reference: Reference


class NewAsset(Body):
    asset: AssetName
    decimals: Decimals


class NewMarket(Body):
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
    rules: dict[str, RuleText] = {}


class NewMode(Body):
    mode: Literal["RUNNING", "CANCEL_ONLY", "HALTED", "BREAK"]


class NewTier(Body):
    tier: TierNumber
    maker: Text
    taker: Text


class MarketChange(Body):
    """What is left out stays; `rules` are texts by the names of the rules."""

    maker: Text | None = None
    taker: Text | None = None
    tiers: list[NewTier] = []
    drop_tiers: list[TierNumber] = []
    rules: dict[str, RuleText] = {}


class ExchangeChange(Body):
    rules: dict[str, RuleText] = {}


class AccountChange(Body):
    """What is left out stays."""

    tier: TierNumber | None = None
    discount: bool | None = None
    stopped: bool | None = None
    role: Literal["TRADER", "ADMIN"] | None = None
