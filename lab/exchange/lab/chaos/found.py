"""Orders, trades and balances as they are found, in an answer, a list, or Postgres: one form.

Amounts are integers of 10^-8, as the API writes them and as all assets of a new exchange have them.
"""

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from exchange.services.amounts import parse_amount

DECIMALS = 8
OPEN = frozenset({"NEW", "PARTIALLY_FILLED"})
ENDED = frozenset({"FILLED", "CANCELED", "EXPIRED", "EXPIRED_IN_MATCH"})

_Form = TypeVar("_Form")

Holdings = dict[str, tuple[int, int]]
"""Free and locked, by asset; assets without either are left out."""


class Fill(Struct, frozen=True, gc=False):
    """One of the fills in the answer to an order."""

    trade_id: int
    price: int
    quantity: int
    commission: int
    commission_asset: str


class FoundOrder(Struct, frozen=True, kw_only=True):
    """The state of an order."""

    symbol: str
    id: int
    client_order_id: str
    side: str
    type: str
    price: int
    quantity: int
    executed: int
    executed_quote: int
    status: str
    fills: tuple[Fill, ...] = ()


class FoundTrade(Struct, frozen=True, kw_only=True, gc=False):
    """One side of a trade; `time` is in milliseconds."""

    symbol: str
    id: int
    order_id: int
    price: int
    quantity: int
    quote: int
    commission: int
    commission_asset: str
    time: int
    is_buyer: bool
    is_maker: bool


class Unreadable(Exception):
    """An answer that does not have the form that it must have."""


def units(text: str) -> int:
    """Raises Unreadable for what is no decimal text."""
    try:
        return parse_amount(text, DECIMALS)
    except ValueError:
        raise Unreadable(text) from None


def order_from(body: Any) -> FoundOrder:
    """The order in an answer: placed, cancelled, or asked for. Raises Unreadable."""
    read = _converted(body, _Order)
    return FoundOrder(
        symbol=read.symbol,
        id=read.orderId,
        # The answer to a cancel has the cancel's own id in the other field.
        client_order_id=read.origClientOrderId or read.clientOrderId,
        side=read.side,
        type=read.type,
        price=units(read.price),
        quantity=units(read.origQty),
        executed=units(read.executedQty),
        executed_quote=units(read.cummulativeQuoteQty),
        status=read.status,
        fills=tuple(
            Fill(
                one.tradeId,
                units(one.price),
                units(one.qty),
                units(one.commission),
                one.commissionAsset,
            )
            for one in read.fills
        ),
    )


def trade_from(body: Any) -> FoundTrade:
    """One of an account's own trades. Raises Unreadable."""
    read = _converted(body, _Trade)
    return FoundTrade(
        symbol=read.symbol,
        id=read.id,
        order_id=read.orderId,
        price=units(read.price),
        quantity=units(read.qty),
        quote=units(read.quoteQty),
        commission=units(read.commission),
        commission_asset=read.commissionAsset,
        time=read.time,
        is_buyer=read.isBuyer,
        is_maker=read.isMaker,
    )


def holdings_from(body: Any) -> Holdings:
    """What an account has. Raises Unreadable."""
    found = {
        one.asset: (units(one.free), units(one.locked))
        for one in _converted(body, _Account).balances
    }
    return {asset: both for asset, both in found.items() if any(both)}


def list_from(body: Any) -> list[Any]:
    """Raises Unreadable for what is no list."""
    if not isinstance(body, list):
        raise Unreadable(body)
    return body


def _converted(body: Any, form: type[_Form]) -> _Form:
    try:
        return msgspec.convert(body, form)
    except msgspec.ValidationError as fault:
        raise Unreadable(f"{fault}: {body}") from None


# In the spelling of the public API.
class _Fill(Struct):
    tradeId: int  # noqa: N815
    price: str
    qty: str
    commission: str
    commissionAsset: str  # noqa: N815


class _Order(Struct):
    symbol: str
    orderId: int  # noqa: N815
    clientOrderId: str  # noqa: N815
    side: str
    type: str
    price: str
    origQty: str  # noqa: N815
    executedQty: str  # noqa: N815
    cummulativeQuoteQty: str  # noqa: N815
    status: str
    origClientOrderId: str = ""  # noqa: N815
    fills: tuple[_Fill, ...] = ()


class _Trade(Struct):
    symbol: str
    id: int
    orderId: int  # noqa: N815
    price: str
    qty: str
    quoteQty: str  # noqa: N815
    commission: str
    commissionAsset: str  # noqa: N815
    time: int
    isBuyer: bool  # noqa: N815
    isMaker: bool  # noqa: N815


class _Holding(Struct):
    asset: str
    free: str
    locked: str


class _Account(Struct):
    balances: list[_Holding]
