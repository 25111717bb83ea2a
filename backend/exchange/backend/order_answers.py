"""What answers about orders look like, for the description of the API."""

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, UnsetType

from exchange.backend.answer_schemas import schema
from exchange.backend.answers import (
    Amount,
    Discount,
    MaybeAmount,
    MaybeNumber,
    MaybeTime,
    Shape,
    Time,
)
from exchange.services.orders import (
    Contingency,
    ExpiryReason,
    ListStatus,
    OrderStatus,
    OrderType,
    SelfTrade,
    Side,
    TimeInForce,
)

# --- One order ---


class Acknowledgement(Shape, frozen=True, kw_only=True):
    """A new order, with newOrderRespType ACK. `orderListId` is -1 without a list."""

    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: Time


class Conditional(Shape, frozen=True, kw_only=True):
    """What only some orders have."""

    stop_price: MaybeAmount = UNSET
    trailing_delta: MaybeNumber = UNSET
    trailing_time: MaybeTime = UNSET
    iceberg_qty: MaybeAmount = UNSET
    strategy_id: MaybeNumber = UNSET
    strategy_type: MaybeNumber = UNSET
    prevented_match_id: MaybeNumber = UNSET
    prevented_quantity: MaybeAmount = UNSET
    expiry_reason: ExpiryReason | UnsetType = UNSET


class OrderState(Conditional, frozen=True, kw_only=True):
    price: Amount
    orig_qty: Amount
    executed_qty: Amount
    orig_quote_order_qty: Amount
    cummulative_quote_qty: Amount
    status: OrderStatus
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    self_trade_prevention_mode: SelfTrade


class Placement(OrderState, frozen=True, kw_only=True):
    """A new order, with newOrderRespType RESULT."""

    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: Time
    working_time: Time


class Fill(Shape, frozen=True, kw_only=True):
    price: Amount
    qty: Amount
    commission: Amount
    commission_asset: str
    trade_id: int


class Prevented(Shape, frozen=True, kw_only=True):
    """A trade with oneself that did not happen."""

    prevented_match_id: int
    maker_symbol: str
    maker_order_id: int
    price: Amount
    taker_prevented_quantity: MaybeAmount = UNSET
    maker_prevented_quantity: MaybeAmount = UNSET


class FullPlacement(Placement, frozen=True, kw_only=True):
    """A new order, with newOrderRespType FULL."""

    fills: list[Fill]
    prevented_matches: list[Prevented] | UnsetType = UNSET


class Cancellation(OrderState, frozen=True, kw_only=True):
    """`clientOrderId` is that of the cancel, `origClientOrderId` that of the order."""

    symbol: str
    orig_client_order_id: str
    order_id: int
    order_list_id: int
    client_order_id: str
    transact_time: Time


class OrderInformation(OrderState, frozen=True, kw_only=True):
    symbol: str
    order_id: int
    order_list_id: int
    client_order_id: str
    time: Time
    update_time: Time
    is_working: bool
    working_time: Time


class RatesForOrder(Shape, frozen=True, kw_only=True):
    maker: Amount
    taker: Amount


class OrderCommission(Shape, frozen=True, kw_only=True):
    standard_commission_for_order: RatesForOrder
    special_commission_for_order: RatesForOrder
    tax_commission_for_order: RatesForOrder
    discount: Discount


# --- Lists of orders ---


class Member(Shape, frozen=True, kw_only=True):
    symbol: str
    order_id: int
    client_order_id: str


class ListInformation(Shape, frozen=True, kw_only=True):
    order_list_id: int
    contingency_type: Contingency
    list_status_type: str
    list_order_status: ListStatus
    list_client_order_id: str
    transaction_time: Time
    symbol: str
    orders: list[Member]


class ListAcknowledgement(ListInformation, frozen=True, kw_only=True):
    order_reports: list[Acknowledgement]


class ListPlacement(ListInformation, frozen=True, kw_only=True):
    order_reports: list[Placement]


class FullListPlacement(ListInformation, frozen=True, kw_only=True):
    order_reports: list[FullPlacement]


class ListCancellation(ListInformation, frozen=True, kw_only=True):
    """With those of its orders that were open."""

    order_reports: list[Cancellation]


class ListState(Shape, frozen=True, kw_only=True):
    """The list that an amended order belongs to."""

    order_list_id: int
    contingency_type: Contingency
    list_order_status: ListStatus
    list_client_order_id: str
    symbol: str
    orders: list[Member]


# --- Changed orders ---


class AmendedOrder(Conditional, frozen=True, kw_only=True):
    symbol: str
    order_id: int
    order_list_id: int
    orig_client_order_id: str
    client_order_id: str
    price: Amount
    qty: Amount
    executed_qty: Amount
    prevented_qty: Amount
    quote_order_qty: Amount
    cumulative_quote_qty: Amount
    status: OrderStatus
    time_in_force: TimeInForce
    type: OrderType
    side: Side
    working_time: MaybeTime = UNSET
    self_trade_prevention_mode: SelfTrade


class Amendment(Shape, frozen=True, kw_only=True):
    transact_time: Time
    execution_id: int
    amended_order: AmendedOrder
    list_status: ListState | UnsetType = UNSET


class PastAmendment(Shape, frozen=True, kw_only=True):
    symbol: str
    order_id: int
    execution_id: int
    orig_client_order_id: str
    new_client_order_id: str
    orig_qty: Amount
    new_qty: Amount
    time: Time


class PastPrevented(Shape, frozen=True, kw_only=True):
    """A side that lost nothing has no prevented quantity."""

    symbol: str
    prevented_match_id: int
    taker_order_id: int
    maker_symbol: str
    maker_order_id: int
    trade_group_id: int
    self_trade_prevention_mode: SelfTrade
    price: Amount
    taker_prevented_quantity: MaybeAmount = UNSET
    maker_prevented_quantity: MaybeAmount = UNSET
    transact_time: Time


PLACED = (FullPlacement, Placement, Acknowledgement)
"""By the answer that was asked for."""
LIST_PLACED = (FullListPlacement, ListPlacement, ListAcknowledgement)
CANCELED = (Cancellation, ListCancellation)
"""An order of a list takes its list along."""


def _any_of(shapes: tuple[Any, ...]) -> msgspec.Meta:
    # A field of a struct may be one of several structs for readers, and not for msgspec.
    return msgspec.Meta(extra_json_schema=schema(shapes))


class Replacement(Shape, frozen=True, kw_only=True):
    """Both halves of a cancel-replace have succeeded."""

    cancel_result: str
    new_order_result: str
    cancel_response: Annotated[dict[str, Any], _any_of(CANCELED)]
    new_order_response: Annotated[dict[str, Any], _any_of(PLACED)]
