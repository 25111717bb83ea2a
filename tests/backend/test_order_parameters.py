"""Which parameters each type of order needs, may have and must not have, under every name."""

import pytest

from exchange.backend import errors
from exchange.backend.errors import ApiError
from exchange.backend.order_parameters import ORDER, OrderParameters
from exchange.backend.parameters import Table
from exchange.backend.routes.order_lists import (
    ABOVE,
    OLD_LIMIT,
    OLD_STOP,
    PENDING,
    PENDING_BELOW,
    WORKING,
)
from exchange.services.commands import NewOrder
from exchange.services.markets import default_markets
from exchange.services.orders import OrderType, SelfTrade, Side, TimeInForce

MARKET = default_markets()[1][0]
UNIT = 10**8
TEXTS = {
    "quantity": "2",
    "quote_quantity": "50",
    "price": "10",
    "time_in_force": "GTC",
    "stop_price": "9",
    "trailing_delta": "100",
    "iceberg_quantity": "1",
}
# y: must be there, o: may be there, n: must not; in the order of TEXTS. Of a market order's two
# quantities, and of a stop order's two conditions, the second one is asked for below.
KINDS = {
    "LIMIT": "ynyynno",
    "LIMIT_MAKER": "ynynnno",
    "MARKET": "ynnnnnn",
    "STOP_LOSS": "ynnnyon",
    "STOP_LOSS_LIMIT": "ynyyyoo",
    "TAKE_PROFIT": "ynnnyon",
    "TAKE_PROFIT_LIMIT": "ynyyyoo",
}


def read(parameters: OrderParameters, type: str | None, **texts: str) -> NewOrder:
    """What becomes of texts by field, sent under the names of these parameters."""
    fields = {"side": "BUY", **texts}
    if type is not None and parameters.type is not None:
        fields["type"] = type
    sent = {getattr(parameters, field).name: text for field, text in fields.items()}
    return parameters.order(
        Table(parameters.listed()).read(sent),
        MARKET,
        client_order_id="made-up",
        self_trade=SelfTrade.NONE,
        type=OrderType(type) if parameters.type is None and type else None,
    )


def needed(type: str) -> dict[str, str]:
    return {
        field: text
        for (field, text), kind in zip(TEXTS.items(), KINDS[type], strict=True)
        if kind == "y"
    }


@pytest.mark.parametrize("type", KINDS)
@pytest.mark.parametrize("field", TEXTS)
def test_each_type_needs_some_parameters_and_must_not_have_others(type: str, field: str) -> None:
    kind = KINDS[type][list(TEXTS).index(field)]
    texts = needed(type)
    if kind == "y":
        del texts[field]
    else:
        texts[field] = TEXTS[field]

    if kind == "o":
        assert getattr(read(ORDER, type, **texts), field) != 0
    else:
        with pytest.raises(ApiError) as refusal:
            read(ORDER, type, **texts)
        assert refusal.value.code == (-1102 if kind == "y" else -1106)
        assert f"'{getattr(ORDER, field).name}'" in refusal.value.message


@pytest.mark.parametrize("type", KINDS)
def test_what_a_type_needs_is_enough(type: str) -> None:
    order = read(ORDER, type, **needed(type))

    assert (order.type, order.side, order.quantity) == (OrderType(type), Side.BUY, 2 * UNIT)
    assert order.time_in_force is TimeInForce.GTC
    assert (order.client_order_id, order.self_trade) == ("made-up", SelfTrade.NONE)


def test_everything_that_is_sent_is_in_the_order() -> None:
    order = read(
        ORDER, "STOP_LOSS_LIMIT", quantity="2", price="10", time_in_force="GTC", stop_price="9",
        trailing_delta="100", iceberg_quantity="1", client_order_id="mine", strategy_id="3",
        strategy_type="1000000",
    )  # fmt: skip

    assert order == NewOrder(
        side=Side.BUY,
        type=OrderType.STOP_LOSS_LIMIT,
        time_in_force=TimeInForce.GTC,
        price=10 * UNIT,
        quantity=2 * UNIT,
        client_order_id="mine",
        self_trade=SelfTrade.NONE,
        stop_price=9 * UNIT,
        trailing_delta=100,
        iceberg_quantity=UNIT,
        strategy_id=3,
        strategy_type=1_000_000,
    )


def test_a_market_order_has_one_of_two_quantities() -> None:
    assert read(ORDER, "MARKET", quote_quantity="50").quote_quantity == 50 * UNIT
    with pytest.raises(ApiError) as refusal:
        read(ORDER, "MARKET")

    assert refusal.value.message == (
        "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
    )


@pytest.mark.parametrize("life", ["IOC", "FOK"])
@pytest.mark.parametrize(
    ("parameters", "code"),
    [(ORDER, -1014), (PENDING, -1014), (ABOVE, -1160), (PENDING_BELOW, -1160)],
)
def test_an_iceberg_lasts_until_it_is_canceled(
    parameters: OrderParameters, code: int, life: str
) -> None:
    texts = {**needed("STOP_LOSS_LIMIT"), "time_in_force": life, "iceberg_quantity": "1"}

    with pytest.raises(ApiError) as refusal:
        read(parameters, "STOP_LOSS_LIMIT", **texts)

    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("field", "fault"),
    [
        ("quantity", errors.INVALID_QUANTITY),
        ("price", errors.INVALID_PRICE),
        ("stop_price", errors.INVALID_STOP_PRICE),
        ("iceberg_quantity", errors.INVALID_ICEBERG_QUANTITY),
    ],
)
def test_no_amount_is_zero(field: str, fault: errors.Fault) -> None:
    texts = {**needed("STOP_LOSS_LIMIT"), field: "0.00"}

    with pytest.raises(ApiError) as refusal:
        read(ORDER, "STOP_LOSS_LIMIT", **texts)

    assert (refusal.value.code, refusal.value.message) == (fault.code, fault.message)


@pytest.mark.parametrize(
    ("parameters", "names"),
    [
        (ABOVE, {"aboveType", "abovePrice", "aboveStopPrice", "abovePegOffsetValue"}),
        (PENDING_BELOW, {"pendingBelowTimeInForce", "pendingBelowTrailingDelta"}),
        (OLD_STOP, {"stopLimitPrice", "stopLimitTimeInForce", "stopPrice", "trailingDelta"}),
        (OLD_LIMIT, {"price", "limitIcebergQty", "limitStrategyType"}),
        (ORDER, {"type", "newClientOrderId", "icebergQty", "quoteOrderQty"}),
    ],
)
def test_the_same_order_has_other_names_in_each_form(
    parameters: OrderParameters, names: set[str]
) -> None:
    assert names <= {one.name for one in parameters.listed()}


def test_a_working_order_never_waits_for_a_price() -> None:
    assert (WORKING.stop_price, WORKING.trailing_delta) == (None, None)
    with pytest.raises(ApiError) as refusal:
        read(WORKING, "STOP_LOSS", quantity="1")

    assert refusal.value.code == errors.ORDER_TYPE.code
