"""What there is, each thing defined once: the *rows* that outcomes carry and Postgres stores.

A row is the new state of one thing, so that writing one twice is writing it once.

Times are microseconds since the Unix epoch. Amounts are integers in the smallest unit of their
asset; a price is quote units for one whole base.
"""

from enum import StrEnum

import msgspec

from exchange.services.markets import Asset, ExchangeRules, Market
from exchange.services.orders import (
    OPEN_STATUSES,
    Contingency,
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)

FEE_ACCOUNT = 0
"""The exchange's own account, which receives all fees and exists from the start."""


class KeyKind(StrEnum):
    HMAC = "HMAC"
    ED25519 = "ED25519"
    RSA = "RSA"


class Role(StrEnum):
    """What the user of an account may do on the trading page."""

    TRADER = "TRADER"
    ADMIN = "ADMIN"


class TransferKind(StrEnum):
    DEPOSIT = "DEPOSIT"
    WITHDRAWAL = "WITHDRAWAL"
    TRANSFER = "TRANSFER"
    """Between two accounts: nothing enters or leaves."""


class WithdrawalStatus(StrEnum):
    """What is asked for has left the account at once, and comes back if it is rejected."""

    PENDING = "PENDING"
    APPROVED = "APPROVED"
    DONE = "DONE"
    REJECTED = "REJECTED"


class Message(
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


class Author(Message, frozen=True, kw_only=True, tag=False):
    """Who has done something that is to be on record, and why."""

    name: str
    reason: str = ""


class Account(Message, frozen=True, kw_only=True):
    """`discount`: fees are paid in the discount asset if it has enough. `stopped`: no orders.

    `owner` is the account that this one is a sub-account of, None for one that stands by itself.
    """

    id: int
    name: str
    created: int
    tier: int = 0
    discount: bool = False
    stopped: bool = False
    owner: int | None = None
    role: Role = Role.TRADER


class Key(Message, frozen=True, kw_only=True):
    """`addresses` are networks that its requests may come from; empty: any. `expires` is when it
    stops being valid, in µs."""

    api_key: str
    account: int
    kind: KeyKind
    secret: bytes
    can_trade: bool
    created: int
    revoked: int | None = None
    name: str = ""
    can_read: bool = True
    can_withdraw: bool = False
    addresses: tuple[str, ...] = ()
    expires: int | None = None

    def is_valid(self, now: int) -> bool:
        """Whether it can be used at this time, in µs."""
        return self.revoked is None and (self.expires is None or now < self.expires)


class Counters(Message, frozen=True, kw_only=True):
    """The last numbers that a market has given out, and the price of its last trade (0: none)."""

    symbol: str
    order_id: int = 0
    trade_id: int = 0
    update_id: int = 0
    queue: int = 0
    last_price: int = 0
    match_id: int = 0
    """Of prevented matches."""


class AveragePrices(Message, frozen=True, kw_only=True):
    """What a market's average price is taken from: minute, quantity and quote quantity."""

    symbol: str
    minutes: tuple[tuple[int, int, int], ...]


class Beginning(Message, frozen=True, kw_only=True):
    """A market's public past begins behind the trade of this id; one that was never reset has no
    such row."""

    symbol: str
    trade_id: int


class Special(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What only some orders have; 0, False and None mean that this one has it not.

    `waiting`: a stop that was not triggered yet. A trailing stop has followed the price since
    `trailing_time`; `trailing_from` is its place among those that do. `trailing_extreme` is the
    best price since, unless an order that follows later knows a better one. `shown` is what is
    left of an iceberg's slice. `lock_price` is what a buy without a limit holds for one whole
    base. `prevented` is what was not traded with the own account. `working_time` is None for an
    order that worked from its creation, 0 while it does not.
    """

    stop_price: int = 0
    trailing_delta: int = 0
    waiting: bool = False
    trailing_from: int = 0
    trailing_extreme: int = 0
    trailing_time: int = 0
    iceberg_quantity: int = 0
    shown: int = 0
    strategy_id: int | None = None
    strategy_type: int | None = None
    list_id: int = 0
    lock_price: int = 0
    prevented: int = 0
    prevented_match_id: int | None = None
    expiry_reason: ExpiryReason | None = None
    working_time: int | None = None
    amends: int = 0


NOT_SPECIAL = Special()


class Order(Message, frozen=True, kw_only=True):
    """`queue` is its place in time priority; `locked` is what it still holds of its account.

    Locked is quote units for a buy and base units for a sell; the legs of an OCO need it once, so
    one holds it for both. `quantity` of a market order by quote amount is what it bought or sold;
    what was asked stands in quote_quantity.
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
    self_trade: SelfTrade = SelfTrade.NONE
    special: Special | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_STATUSES

    @property
    def terms(self) -> Special:
        """What is special about it, if anything."""
        return self.special or NOT_SPECIAL

    @property
    def remaining(self) -> int:
        """What can still be traded."""
        remaining = self.quantity - self.filled
        return remaining if self.special is None else remaining - self.special.prevented

    @property
    def is_resting(self) -> bool:
        """Whether it stands in the book."""
        if self.status is OrderStatus.NEW or self.status is OrderStatus.PARTIALLY_FILLED:
            return self.special is None or not self.special.waiting
        return False

    @property
    def shown(self) -> int:
        """How much of it the book shows while it rests."""
        if self.special is None or not self.special.iceberg_quantity:
            return self.remaining
        return self.special.shown


class OrderList(Message, frozen=True, kw_only=True):
    """Orders that depend on each other, the working one of an OTO first; `id` is the journal
    number of its command."""

    symbol: str
    id: int
    account: int
    client_list_id: str
    contingency: Contingency
    order_ids: tuple[int, ...]
    status: ListStatus
    created: int
    updated: int

    @property
    def is_open(self) -> bool:
        return self.status is ListStatus.EXECUTING

    @property
    def legs(self) -> tuple[int, ...]:
        """The orders of which one ends the other, if there are two."""
        return self.order_ids if self.contingency is Contingency.OCO else self.order_ids[1:]


class Amendment(Message, frozen=True, kw_only=True):
    """One change of an order; `number` is the journal number of its command."""

    symbol: str
    number: int
    order_id: int
    account: int
    client_order_id: str
    new_client_order_id: str
    quantity: int
    new_quantity: int
    time: int


class PreventedMatch(Message, frozen=True, kw_only=True):
    """Two orders of one account that did not trade; a quantity is 0 where that side lost none."""

    symbol: str
    id: int
    account: int
    taker_order: int
    maker_order: int
    self_trade: SelfTrade
    price: int
    taker_quantity: int
    maker_quantity: int
    time: int


class Balance(Message, frozen=True, kw_only=True):
    account: int
    asset: str
    free: int
    locked: int


class Trade(Message, frozen=True, kw_only=True):
    """A settled fill, both sides of it; a fee without an asset is in what that side receives."""

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
    buy_fee_asset: str = ""
    sell_fee_asset: str = ""


class Transfer(Message, frozen=True, kw_only=True):
    """Money that entered or left, or went to the account of `counterparty`; `number` is the
    journal number of its command."""

    number: int
    account: int
    asset: str
    kind: TransferKind
    amount: int
    reference: str
    time: int
    counterparty: int | None = None


class Withdrawal(Message, frozen=True, kw_only=True):
    """Money that is to be paid out; `number` is that of the command that asked for it.

    `approvals` are the names of those who have agreed.
    """

    reference: str
    number: int
    account: int
    asset: str
    amount: int
    address: str
    status: WithdrawalStatus
    approvals: tuple[str, ...]
    created: int
    updated: int

    @property
    def is_open(self) -> bool:
        """Whether it is still to be decided, or paid."""
        return self.status in (WithdrawalStatus.PENDING, WithdrawalStatus.APPROVED)


class Act(Message, frozen=True, kw_only=True):
    """What somebody did who may do more than trade; `number` is that of its command.

    `before` and `after` are JSON of what has changed, without secrets; "" where there was nothing.
    `link` is a hash over all of that and over the link of the act before it, so that none can be
    changed, left out or put in without all later ones being wrong; "" in what an earlier version
    has written.
    """

    number: int
    time: int
    actor: str
    act: str
    subject: str
    reason: str
    before: str
    after: str
    link: str = ""


class Level(Message, frozen=True, kw_only=True):
    """All open quantity at one price; 0 when the level is gone."""

    symbol: str
    side: Side
    price: int
    quantity: int


Row = (
    Account
    | Key
    | Asset
    | Market
    | ExchangeRules
    | Counters
    | AveragePrices
    | Beginning
    | Order
    | OrderList
    | Amendment
    | PreventedMatch
    | Balance
    | Trade
    | Transfer
    | Withdrawal
    | Act
    | Level
)
