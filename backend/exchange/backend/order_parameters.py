"""The parameters that describe an order, by itself or in a list: their names, and what they mean.

Which of them a type of order needs, and which it must not have, is the same under every name.
"""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from exchange.backend import errors
from exchange.backend.errors import Fault
from exchange.backend.parameters import (
    CLIENT_ID_PATTERN,
    SYMBOL,
    Parameter,
    Values,
    choice_parameter,
    decimal_parameter,
    integer_parameter,
    read_integer,
    text_parameter,
    unsupported_parameter,
)
from exchange.services.amounts import TooPrecise, parse_amount
from exchange.services.commands import NewOrder
from exchange.services.markets import SMALL_MAX, Market
from exchange.services.orders import OrderType, SelfTrade, Side, TimeInForce

T = TypeVar("T")

STRATEGY_TYPE_MIN = 1_000_000


class OrderParameters(msgspec.Struct, frozen=True, kw_only=True):
    """By which names an endpoint takes an order; None is what it cannot have there.

    `type` is None where the endpoint knows the type by itself.
    """

    side: Parameter[Side]
    type: Parameter[OrderType] | None
    quantity: Parameter[str]
    client_order_id: Parameter[str]
    price: Parameter[str]
    time_in_force: Parameter[TimeInForce] | None = None
    quote_quantity: Parameter[str] | None = None
    stop_price: Parameter[str] | None = None
    trailing_delta: Parameter[int] | None = None
    iceberg_quantity: Parameter[str] | None = None
    strategy_id: Parameter[int]
    strategy_type: Parameter[int]
    pegs: tuple[Parameter[Any], ...] = ()
    is_oco_leg: bool = False

    def listed(self, *without: Parameter[Any] | None) -> tuple[Parameter[Any], ...]:
        """All of them, without some, as those that an endpoint shares between several orders."""
        known = (
            self.type,
            self.side,
            self.quantity,
            self.quote_quantity,
            self.price,
            self.time_in_force,
            self.stop_price,
            self.trailing_delta,
            self.iceberg_quantity,
            self.client_order_id,
            self.strategy_id,
            self.strategy_type,
            *self.pegs,
        )
        return tuple(one for one in known if one is not None and one not in without)

    def order(
        self,
        values: Values,
        market: Market,
        *,
        client_order_id: str,
        self_trade: SelfTrade | None,
        type: OrderType | None = None,
    ) -> NewOrder:
        """What was asked for; raises ApiError for what no market would take.

        `client_order_id` is for an order without one of its own.
        """
        if type is None:
            assert self.type is not None
            type = values[self.type]
        self._check(values, type)
        amount = _Amounts(values, market)
        return NewOrder(
            side=values[self.side],
            type=type,
            time_in_force=_given(values, self.time_in_force) or TimeInForce.GTC,
            price=amount.quote(self.price, errors.INVALID_PRICE) or 0,
            quantity=amount.base(self.quantity, errors.INVALID_QUANTITY),
            quote_quantity=amount.quote(self.quote_quantity, errors.INVALID_QUOTE_QUANTITY),
            client_order_id=values.get(self.client_order_id, client_order_id),
            self_trade=self_trade,
            stop_price=amount.quote(self.stop_price, errors.INVALID_STOP_PRICE) or 0,
            trailing_delta=_given(values, self.trailing_delta) or 0,
            iceberg_quantity=amount.base(self.iceberg_quantity, errors.INVALID_ICEBERG_QUANTITY)
            or 0,
            strategy_id=values.get(self.strategy_id),
            strategy_type=values.get(self.strategy_type),
        )

    def _check(self, values: Values, type: OrderType) -> None:
        """Raises ApiError for a combination of parameters that this type does not have."""
        for parameter in self._named(_NEEDED[type]):
            if parameter not in values:
                raise errors.mandatory(parameter.name)
        for parameter in self._named(_REFUSED[type]):
            if parameter in values:
                raise errors.not_required(parameter.name)
        if type is OrderType.MARKET and self.quote_quantity is not None:
            self._check_market_order(values, self.quote_quantity)
        if type.is_contingent:
            assert self.stop_price is not None
            assert self.trailing_delta is not None
            if self.stop_price not in values and self.trailing_delta not in values:
                raise errors.one_of_mandatory(self.stop_price.name, self.trailing_delta.name)
        lasts = _given(values, self.time_in_force) or TimeInForce.GTC
        if _given(values, self.iceberg_quantity) is not None and lasts is not TimeInForce.GTC:
            assert self.iceberg_quantity is not None
            if self.is_oco_leg:
                raise errors.iceberg_not_kept(self.iceberg_quantity.name)
            errors.ORDER_COMBINATION.refuse()

    def _check_market_order(self, values: Values, quote_quantity: Parameter[str]) -> None:
        if self.quantity in values and quote_quantity in values:
            raise errors.not_required(quote_quantity.name)
        if self.quantity not in values and quote_quantity not in values:
            raise errors.one_of_mandatory(self.quantity.name, quote_quantity.name)

    def _named(self, fields: Iterable[str]) -> Iterable[Parameter[Any]]:
        return [one for field in fields if (one := getattr(self, field)) is not None]


_LIMITED = ("quantity", "price")
_NEEDED = {
    OrderType.LIMIT: ("time_in_force", *_LIMITED),
    OrderType.LIMIT_MAKER: _LIMITED,
    OrderType.MARKET: (),
    OrderType.STOP_LOSS: ("quantity",),
    OrderType.STOP_LOSS_LIMIT: ("time_in_force", *_LIMITED),
    OrderType.TAKE_PROFIT: ("quantity",),
    OrderType.TAKE_PROFIT_LIMIT: ("time_in_force", *_LIMITED),
}
_OF_LIMITS = ("price", "time_in_force", "iceberg_quantity")
_OF_STOPS = ("stop_price", "trailing_delta")
_REFUSED = {
    OrderType.LIMIT: ("quote_quantity", *_OF_STOPS),
    OrderType.LIMIT_MAKER: ("quote_quantity", "time_in_force", *_OF_STOPS),
    OrderType.MARKET: (*_OF_LIMITS, *_OF_STOPS),
    OrderType.STOP_LOSS: ("quote_quantity", *_OF_LIMITS),
    OrderType.STOP_LOSS_LIMIT: ("quote_quantity",),
    OrderType.TAKE_PROFIT: ("quote_quantity", *_OF_LIMITS),
    OrderType.TAKE_PROFIT_LIMIT: ("quote_quantity",),
}


class _Amounts:
    """Reads amounts of one market's assets."""

    def __init__(self, values: Values, market: Market) -> None:
        self._values = values
        self._market = market

    def base(self, parameter: Parameter[str] | None, zero: Fault) -> int | None:
        return self._units(parameter, self._market.base_decimals, zero)

    def quote(self, parameter: Parameter[str] | None, zero: Fault) -> int | None:
        return self._units(parameter, self._market.quote_decimals, zero)

    def _units(self, parameter: Parameter[str] | None, decimals: int, zero: Fault) -> int | None:
        if parameter is None or parameter not in self._values:
            return None
        return read_amount(self._values, parameter, decimals, zero)


def read_amount(values: Values, parameter: Parameter[str], decimals: int, zero: Fault) -> int:
    """Units of an asset, above zero."""
    try:
        units = parse_amount(values[parameter], decimals)
    except TooPrecise:
        raise errors.too_precise(parameter.name) from None
    if units == 0:
        zero.refuse()
    return units


def _given(values: Values, parameter: Parameter[T] | None) -> T | None:
    return None if parameter is None else values.get(parameter)


# --- Making them ---------------------------------------------------------------------------------


def order_parameters(
    prefix: str,
    whose: str,
    *,
    side: Parameter[Side],
    quantity: Parameter[str],
    types: Iterable[OrderType],
    other_types: Mapping[str, Fault] | None = None,
    waits: bool = True,
    is_oco_leg: bool = False,
) -> OrderParameters:
    """Those of an order of a list, whose names begin alike; `waits` if it may be a stop order."""

    def named(name: str) -> str:
        return prefix + name if prefix else name[0].lower() + name[1:]

    type = choice_parameter(
        named("Type"),
        {one.value: one for one in types},
        f"The type of {whose}.",
        fault=errors.ORDER_TYPE,
        others=other_types,
    )
    return OrderParameters(
        side=side,
        type=type.required(),
        quantity=quantity,
        client_order_id=new_client_order_id(
            f"{prefix}ClientOrderId" if prefix else "newClientOrderId"
        ),
        price=decimal_parameter(named("Price"), f"The limit price of {whose}."),
        time_in_force=time_in_force(named("TimeInForce"), whose),
        stop_price=stop_price(named("StopPrice"), whose) if waits else None,
        trailing_delta=trailing_delta(named("TrailingDelta"), whose) if waits else None,
        iceberg_quantity=iceberg_quantity(named("IcebergQty"), whose),
        strategy_id=strategy_id(named("StrategyId"), whose),
        strategy_type=strategy_type(named("StrategyType"), whose),
        pegs=tuple(
            refused_parameter(named(name), errors.NO_PEGGED)
            for name in ("PegPriceType", "PegOffsetType", "PegOffsetValue")
        ),
        is_oco_leg=is_oco_leg,
    )


def side_parameter(name: str = "side") -> Parameter[Side]:
    return choice_parameter(
        name, {side.value: side for side in Side}, "BUY or SELL.", fault=errors.SIDE
    ).required()


def quantity_parameter(name: str, whose: str) -> Parameter[str]:
    return decimal_parameter(name, f"How much of the base asset {whose} buys or sells.")


def new_client_order_id(name: str) -> Parameter[str]:
    return text_parameter(
        name,
        CLIENT_ID_PATTERN,
        "Unique among the account's open orders of the market; made up where there is none.",
    )


def cancel_client_order_id(name: str) -> Parameter[str]:
    return text_parameter(
        name, CLIENT_ID_PATTERN, "The client order id of the cancel itself; made up otherwise."
    )


def time_in_force(name: str, whose: str) -> Parameter[TimeInForce]:
    return choice_parameter(
        name,
        {one.value: one for one in TimeInForce},
        f"How long {whose} lasts if it has a limit price.",
        fault=errors.TIME_IN_FORCE,
    )


def stop_price(name: str, whose: str) -> Parameter[str]:
    return decimal_parameter(name, f"The last price that lets {whose} work, or follow the price.")


def trailing_delta(name: str, whose: str) -> Parameter[int]:
    """Basis points, above zero."""

    def read(name: str, text: str) -> int:
        value = read_integer(name, text)
        if value == 0:
            raise errors.invalid(name)
        return value

    return Parameter(
        name=name,
        read=read,
        schema={"type": "integer", "minimum": 1},
        description=f"How far the price must turn, in basis points, to let {whose} work.",
    )


def iceberg_quantity(name: str, whose: str) -> Parameter[str]:
    return decimal_parameter(name, f"How much of {whose} the book shows at a time.")


def strategy_id(name: str, whose: str) -> Parameter[int]:
    return integer_parameter(name, f"A number of the client's own for the strategy of {whose}.")


def strategy_type(name: str, whose: str) -> Parameter[int]:
    def read(name: str, text: str) -> int:
        value = read_integer(name, text)
        if value < STRATEGY_TYPE_MIN:
            errors.STRATEGY_TYPE.refuse()
        if value > SMALL_MAX:
            raise errors.overflow(name)
        return value

    return Parameter(
        name=name,
        read=read,
        schema={"type": "integer", "minimum": STRATEGY_TYPE_MIN, "maximum": SMALL_MAX},
        description=f"A number of the client's own for the kind of strategy of {whose}.",
    )


def refused_parameter(name: str, fault: Fault) -> Parameter[str]:
    """One that is refused with a fixed error."""
    return unsupported_parameter(name, lambda _name: fault.error())


# --- Those of an order by itself, and those of every order -----------------------------------------

_WHOSE = "the order"
ORDER = msgspec.structs.replace(
    order_parameters(
        "",
        _WHOSE,
        side=side_parameter(),
        quantity=quantity_parameter("quantity", _WHOSE),
        types=OrderType,
    ),
    quote_quantity=decimal_parameter(
        "quoteOrderQty", "How much of the quote asset a MARKET order spends or receives."
    ),
)
RESPONSE_TYPES = ("ACK", "RESULT", "FULL")


def response_type(description: str) -> Parameter[str]:
    return choice_parameter(
        "newOrderRespType", {name: name for name in RESPONSE_TYPES}, description
    )


RESPONSE_TYPE = response_type(
    "How much the answer tells; FULL by default for LIMIT and MARKET, ACK for the others."
)
SELF_TRADE_PREVENTION = choice_parameter(
    "selfTradePreventionMode",
    {mode.value: mode for mode in SelfTrade},
    "What happens instead of a trade with the account's own orders.",
    others={"TRANSFER": errors.STP_MODE},
)
ORDER_PARAMETERS: tuple[Parameter[Any], ...] = (
    SYMBOL.required(),
    *ORDER.listed(),
    RESPONSE_TYPE,
    SELF_TRADE_PREVENTION,
)
