"""Every command, row and outcome, defined once, and the codec that journals them.

A *command* is what someone asked. An *outcome* is all that it led to: a result for the one who
asked, and *rows*, each the new state of one thing, so that writing one twice is writing it once.

Times are microseconds since the Unix epoch. Amounts are integers in the smallest unit of their
asset; a price is quote units for one whole base. JSON arrays carry them: integers of any size,
about as fast as MessagePack, and readable with redis-cli.
"""

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from exchange.services.markets import Asset, Filter, Market, Mode

FEE_ACCOUNT = 0
"""The exchange's own account, which receives all fees and exists from the start."""


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class OrderStatus(StrEnum):
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


OPEN_STATUSES = (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED)


JUMP = 2**20
"""How far all numbers and ids move on where outcomes may be lost that somebody has seen: further
than they can have come."""

LEAP = 2**40
"""The same where not a tail is lost but a journal, with all that came after a backup: what two
years at full load would use up."""


class KeyKind(StrEnum):
    HMAC = "HMAC"
    ED25519 = "ED25519"


class TransferKind(StrEnum):
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"


class _Message(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    array_like=True,
    tag=True,
    tag_field="message",
    gc=False,
):
    """Immutable, and written as an array that begins with its type's name.

    Messages hold no cycles, so the garbage collector need not look at them.
    """


# --- Commands -------------------------------------------------------------------------------


class Command(_Message, frozen=True, kw_only=True):
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


class PlaceOrder(Command, frozen=True, kw_only=True):
    """Exactly one of quantity and quote_quantity is set; price is 0 for a market order."""

    symbol: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int = 0
    quantity: int | None = None
    quote_quantity: int | None = None
    client_order_id: str


class CancelOrder(Command, frozen=True, kw_only=True):
    """By order id, client order id, or both, which must then agree."""

    symbol: str
    order_id: int | None = None
    client_order_id: str | None = None
    only: OrderStatus | None = None


class CancelAllOrders(Command, frozen=True, kw_only=True):
    symbol: str


class Deposit(Command, frozen=True, kw_only=True):
    asset: str
    amount: int
    reference: str


class Withdraw(Command, frozen=True, kw_only=True):
    asset: str
    amount: int
    reference: str


class CreateAccount(Command, frozen=True, kw_only=True):
    name: str


class CreateKey(Command, frozen=True, kw_only=True):
    """`secret` is what the backend needs to check signatures: ciphertext for HMAC, else public."""

    api_key: str
    kind: KeyKind
    secret: bytes
    can_trade: bool


class RevokeKey(Command, frozen=True, kw_only=True):
    api_key: str


class AddAsset(Command, frozen=True, kw_only=True):
    asset: Asset


class AddMarket(Command, frozen=True, kw_only=True):
    market: Market


class SetMode(Command, frozen=True, kw_only=True):
    """For one market, or for all of them where symbol is None."""

    symbol: str | None
    mode: Mode


AnyCommand = (
    PlaceOrder
    | CancelOrder
    | CancelAllOrders
    | Deposit
    | Withdraw
    | CreateAccount
    | CreateKey
    | RevokeKey
    | AddAsset
    | AddMarket
    | SetMode
)

ADDS_EXPOSURE = (PlaceOrder,)
"""What is shed under overload; everything else goes on."""


# --- Rows: the new state of one thing ---------------------------------------------------------


class Account(_Message, frozen=True, kw_only=True):
    id: int
    name: str
    created: int


class Key(_Message, frozen=True, kw_only=True):
    api_key: str
    account: int
    kind: KeyKind
    secret: bytes
    can_trade: bool
    created: int
    revoked: int | None = None


class Counters(_Message, frozen=True, kw_only=True):
    """The last numbers that a market has given out, and the price of its last trade (0: none)."""

    symbol: str
    order_id: int = 0
    trade_id: int = 0
    update_id: int = 0
    queue: int = 0
    last_price: int = 0


class Order(_Message, frozen=True, kw_only=True):
    """`queue` is its place in time priority; `locked` is what it still holds of its account.

    Locked is quote units for a buy and base units for a sell. `quantity` of a market order by
    quote amount is what it bought or sold; what was asked stands in quote_quantity.
    """

    symbol: str
    id: int
    account: int
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int
    quantity: int
    quote_quantity: int
    filled: int
    filled_quote: int
    locked: int
    status: OrderStatus
    queue: int
    created: int
    updated: int
    request: bytes | None
    deadline: int

    @property
    def is_open(self) -> bool:
        return self.status is OrderStatus.NEW or self.status is OrderStatus.PARTIALLY_FILLED


class Balance(_Message, frozen=True, kw_only=True):
    account: int
    asset: str
    free: int
    locked: int


class Trade(_Message, frozen=True, kw_only=True):
    """A settled fill, both sides of it; fees are in what each side receives."""

    symbol: str
    id: int
    price: int
    quantity: int
    quote_quantity: int
    time: int
    taker_side: Side
    buy_order: int
    sell_order: int
    buy_account: int
    sell_account: int
    buy_fee: int
    sell_fee: int


class Transfer(_Message, frozen=True, kw_only=True):
    """Money that entered or left; `number` is the journal number of its command."""

    number: int
    account: int
    asset: str
    kind: TransferKind
    amount: int
    reference: str
    time: int


class Level(_Message, frozen=True, kw_only=True):
    """All open quantity at one price; 0 when the level is gone."""

    symbol: str
    side: Side
    price: int
    quantity: int


Row = Account | Key | Asset | Market | Counters | Order | Balance | Trade | Transfer | Level


# --- Results: what the one who asked is told ----------------------------------------------------


class Reason(StrEnum):
    """Why a command was refused; the public API has a code and a text for each."""

    LATE = "LATE"
    KEY_NOT_VALID = "KEY_NOT_VALID"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    ORDER_ID_MISMATCH = "ORDER_ID_MISMATCH"
    CANCEL_RESTRICTED = "CANCEL_RESTRICTED"
    NO_OPEN_ORDERS = "NO_OPEN_ORDERS"
    MARKET_CLOSED = "MARKET_CLOSED"
    PRICE_FILTER = Filter.PRICE_FILTER.value
    LOT_SIZE = Filter.LOT_SIZE.value
    NOTIONAL = Filter.NOTIONAL.value
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    WOULD_MATCH = "WOULD_MATCH"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    REFERENCE_USED = "REFERENCE_USED"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    INVALID = "INVALID"
    POISON = "POISON"


class Placed(_Message, frozen=True, kw_only=True):
    symbol: str
    order_id: int


class Canceled(_Message, frozen=True, kw_only=True):
    symbol: str
    order_ids: tuple[int, ...]


class Created(_Message, frozen=True, kw_only=True):
    """The id of a new account, or the journal number of a transfer."""

    id: int


class Done(_Message, frozen=True, kw_only=True):
    pass


class Rejected(_Message, frozen=True, kw_only=True):
    reason: Reason
    detail: str = ""


class Repeated(_Message, frozen=True, kw_only=True):
    """The same signed request, or reference, was executed before, at this number."""

    number: int


class Opened(_Message, frozen=True, kw_only=True):
    """A generation begins: numbers and ids jump, and only here. `base` is its first number."""

    epoch: int
    base: int


Result = Placed | Canceled | Created | Done | Rejected | Repeated | Opened


class Outcome(_Message, frozen=True, kw_only=True, tag=False):
    """All that the command of the same number led to."""

    number: int
    time: int
    uid: int
    request: bytes | None
    deadline: int
    result: Result
    rows: tuple[Row, ...] = ()


class OutcomeFrame(_Message, frozen=True, kw_only=True, tag=False):
    """Outcomes that were appended together; `previous` is the number before its first one.

    `state_hash` is that of the live state after the last one.
    """

    epoch: int
    previous: int
    time: int
    state_hash: int
    outcomes: tuple[Outcome, ...]

    @property
    def last(self) -> int:
        return self.outcomes[-1].number


encode = msgspec.json.Encoder().encode
_decode_commands = msgspec.json.Decoder(list[AnyCommand]).decode
_decode_command = msgspec.json.Decoder(AnyCommand).decode
_decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode
decode_frame = msgspec.json.Decoder(OutcomeFrame).decode


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
