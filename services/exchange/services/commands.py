"""Every command: what someone asks of the exchange, as it stands in the journal."""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from exchange.services.markets import Asset, ExchangeRules, Market, Mode, Rules
from exchange.services.orders import (
    Contingency,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)
from exchange.services.rows import FEE_ACCOUNT, Author, KeyKind, Message, Role


class Command(Message, frozen=True, kw_only=True):
    """What every command carries.

    `uid` is random, made and registered by its sender before it is sent: an answer belongs to a
    request only if number and uid both match. `key` is the API key that signed, "" for commands
    of the operator. `request` identifies the signed request (None: not signed) and is remembered
    until `deadline`, after which the command itself is too late to be executed.
    """

    uid: int = 0
    account: int = FEE_ACCOUNT
    key: str = ""
    request: bytes | None = None
    deadline: int = 0


class NewOrder(Message, frozen=True, kw_only=True, tag=False):
    """An order as someone asks for it; what its type does not use is 0 or None.

    Exactly one of quantity and quote_quantity is set; `trailing_delta` is in basis points.
    `self_trade` None means the market's default.
    """

    side: Side
    type: OrderType
    time_in_force: TimeInForce = TimeInForce.GTC
    price: int = 0
    quantity: int | None = None
    quote_quantity: int | None = None
    client_order_id: str
    self_trade: SelfTrade | None = None
    stop_price: int = 0
    trailing_delta: int = 0
    iceberg_quantity: int = 0
    strategy_id: int | None = None
    strategy_type: int | None = None


class PlaceOrder(Command, frozen=True, kw_only=True):
    symbol: str
    order: NewOrder


class PlaceList(Command, frozen=True, kw_only=True):
    """Two legs of an OCO; or a working order and one that it starts, or two that are an OCO.

    The legs of an OCO are the one above the market's price first, then the one below.
    """

    symbol: str
    contingency: Contingency
    client_list_id: str
    orders: tuple[NewOrder, ...]


class CancelOrder(Command, frozen=True, kw_only=True):
    """By order id, client order id, or both, which must then agree."""

    symbol: str
    order_id: int | None = None
    client_order_id: str | None = None
    only: OrderStatus | None = None
    cancel_client_order_id: str = ""
    """What the cancel itself is called; made up where it is empty."""


class CancelList(Command, frozen=True, kw_only=True):
    """By list id, client list id, or both, which must then agree."""

    symbol: str
    list_id: int | None = None
    client_list_id: str | None = None
    cancel_client_order_id: str = ""


class CancelAllOrders(Command, frozen=True, kw_only=True):
    symbol: str


class ReplaceOrder(Command, frozen=True, kw_only=True):
    """Cancel one order as CancelOrder does, and place another."""

    symbol: str
    order_id: int | None = None
    client_order_id: str | None = None
    only: OrderStatus | None = None
    order: NewOrder
    stop_on_failure: bool
    """Whether nothing is placed where nothing could be canceled."""
    cancel_client_order_id: str = ""


class AmendOrder(Command, frozen=True, kw_only=True):
    """Make an order smaller; it keeps its place in the queue, and may get another client id."""

    symbol: str
    order_id: int | None = None
    client_order_id: str | None = None
    new_client_order_id: str
    quantity: int


class Deposit(Command, frozen=True, kw_only=True):
    asset: str
    amount: int
    reference: str
    author: Author | None = None


class Withdraw(Command, frozen=True, kw_only=True):
    asset: str
    amount: int
    reference: str
    author: Author | None = None


class MoveFunds(Command, frozen=True, kw_only=True):
    """To another account of the same owner."""

    to: int
    asset: str
    amount: int
    reference: str


class RequestWithdrawal(Command, frozen=True, kw_only=True):
    """Have money paid out to an address that only the custody understands."""

    asset: str
    amount: int
    address: str
    reference: str


class Decision(StrEnum):
    APPROVE = "APPROVE"
    REJECT = "REJECT"
    FINISH = "FINISH"
    """It was paid."""


class DecideWithdrawal(Command, frozen=True, kw_only=True):
    reference: str
    decision: Decision
    author: Author


class FreezeWithdrawals(Command, frozen=True, kw_only=True):
    """While they are frozen nothing is asked for and nothing approved; rejecting goes on."""

    is_frozen: bool
    author: Author


class Note(Command, frozen=True, kw_only=True):
    """Something that was done beside the state of the exchange, to be on record with all else."""

    act: str
    subject: str
    author: Author


class CreateAccount(Command, frozen=True, kw_only=True):
    """`owner` is the account that it shall be a sub-account of."""

    name: str
    owner: int | None = None
    role: Role = Role.TRADER
    author: Author | None = None


class CreateKey(Command, frozen=True, kw_only=True):
    """`secret` is what the backend needs to check signatures: ciphertext for HMAC, else public."""

    api_key: str
    kind: KeyKind
    secret: bytes
    can_trade: bool
    name: str = ""
    can_read: bool = True
    can_withdraw: bool = False
    addresses: tuple[str, ...] = ()
    expires: int | None = None
    author: Author | None = None


class ChangeKey(Command, frozen=True, kw_only=True):
    """What is None stays. `secret` is the same one under another master key."""

    api_key: str
    can_read: bool | None = None
    can_trade: bool | None = None
    can_withdraw: bool | None = None
    addresses: tuple[str, ...] | None = None
    secret: bytes | None = None
    author: Author | None = None


class RevokeKey(Command, frozen=True, kw_only=True):
    """By the operator, or by the account whose key it is."""

    api_key: str
    author: Author | None = None


class AddAsset(Command, frozen=True, kw_only=True):
    asset: Asset
    author: Author | None = None


class AddMarket(Command, frozen=True, kw_only=True):
    market: Market
    author: Author | None = None


class SetMode(Command, frozen=True, kw_only=True):
    """For one market, or for all of them where symbol is None."""

    symbol: str | None
    mode: Mode
    author: Author | None = None


class ChangeMarket(Command, frozen=True, kw_only=True):
    """New fees and rules for a market; its grid stays.

    `replaces` is the market that its sender has read, None where that does not matter: if others
    have changed its fees or rules since, the command is refused, and undoes nothing of theirs.
    """

    symbol: str
    maker_rate: int
    taker_rate: int
    rules: Rules
    replaces: Market | None = None
    author: Author | None = None


class ChangeExchange(Command, frozen=True, kw_only=True):
    """`replaces` as with a market."""

    rules: ExchangeRules
    replaces: ExchangeRules | None = None
    author: Author | None = None


class ChangeAccount(Command, frozen=True, kw_only=True):
    """What is None stays. Stopping an account also cancels all that it has open."""

    tier: int | None = None
    discount: bool | None = None
    stopped: bool | None = None
    role: Role | None = None
    author: Author | None = None


class Reset(Command, frozen=True, kw_only=True):
    """End everything that is open, and let all markets begin anew: for exchanges made for tests.

    Accounts, keys, money and rules stay, and so do the numbers that were given out.
    """

    author: Author | None = None


AnyCommand = (
    PlaceOrder
    | PlaceList
    | CancelOrder
    | CancelList
    | CancelAllOrders
    | ReplaceOrder
    | AmendOrder
    | Deposit
    | Withdraw
    | MoveFunds
    | RequestWithdrawal
    | DecideWithdrawal
    | FreezeWithdrawals
    | Note
    | CreateAccount
    | CreateKey
    | ChangeKey
    | RevokeKey
    | AddAsset
    | AddMarket
    | SetMode
    | ChangeMarket
    | ChangeExchange
    | ChangeAccount
    | Reset
)

ADDS_EXPOSURE = (PlaceOrder, PlaceList, ReplaceOrder)
"""What is shed under overload; everything else goes on."""


_decode_commands = msgspec.json.Decoder(list[AnyCommand]).decode
_decode_command = msgspec.json.Decoder(AnyCommand).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Undecodable(msgspec.Struct, frozen=True):
    """A journalled command that this version cannot read; its number is used up by a refusal."""

    fault: str


def decode_commands(payload: bytes) -> Sequence[AnyCommand | Undecodable]:
    """The commands of a frame. One that cannot be read does not take its neighbours with it."""
    try:
        return _decode_commands(payload)
    except msgspec.MsgspecError:
        return [_decode_or_explain(raw) for raw in _decode_raw(payload)]


def _decode_or_explain(raw: msgspec.Raw) -> AnyCommand | Undecodable:
    try:
        command: AnyCommand = _decode_command(raw)
    except msgspec.MsgspecError as fault:
        return Undecodable(str(fault))
    return command
