"""Orders and lists in the words of the public API, with what only some of them have."""

from typing import Any

import pytest
from msgspec.structs import replace

from exchange.backend import order_formats
from exchange.backend.formats import TimeUnit
from exchange.services.markets import ExchangeRules, Tier, default_markets
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
from exchange.services.rows import (
    Account,
    Amendment,
    Order,
    OrderList,
    PreventedMatch,
    Special,
    Trade,
)

ASSETS = {asset.name: asset for asset in default_markets()[0]}
MARKET = default_markets()[1][0]
UNIT = 10**8
TIME = 1_700_000_000_123_456

ORDER = Order(
    symbol="SOLUSDC",
    id=5,
    account=7,
    client_order_id="mine",
    side=Side.BUY,
    type=OrderType.LIMIT,
    time_in_force=TimeInForce.GTC,
    price=101 * UNIT,
    quantity=3 * UNIT,
    quote_quantity=0,
    filled=UNIT,
    filled_quote=100 * UNIT,
    locked=202 * UNIT,
    status=OrderStatus.PARTIALLY_FILLED,
    queue=1,
    created=TIME,
    updated=TIME + 1_000,
    request=None,
    deadline=0,
    self_trade=SelfTrade.EXPIRE_MAKER,
)
TRADE = Trade(
    symbol="SOLUSDC",
    id=9,
    price=100 * UNIT,
    quantity=UNIT,
    quote_quantity=100 * UNIT,
    time=TIME,
    taker_side=Side.BUY,
    buy_order=5,
    sell_order=4,
    buy_account=7,
    sell_account=8,
    buy_fee=UNIT // 1_000,
    sell_fee=UNIT // 10,
)
PREVENTED = PreventedMatch(
    symbol="SOLUSDC",
    id=3,
    account=7,
    taker_order=5,
    maker_order=2,
    self_trade=SelfTrade.EXPIRE_MAKER,
    price=99 * UNIT,
    taker_quantity=0,
    maker_quantity=2 * UNIT,
    time=TIME,
)
LIST = OrderList(
    symbol="SOLUSDC",
    id=77,
    account=7,
    client_list_id="list",
    contingency=Contingency.OTO,
    order_ids=(5, 6),
    status=ListStatus.EXECUTING,
    created=TIME,
    updated=TIME,
)


def special(**terms: Any) -> Order:
    return replace(ORDER, special=Special(**terms))


def placed(order: Order) -> dict[str, Any]:
    return order_formats.placement(MARKET, order, TIME, TimeUnit.MILLISECOND)


def test_a_full_answer_tells_the_order_and_its_fills() -> None:
    answer = order_formats.full_placement(
        MARKET, ORDER, [TRADE], [], ASSETS, TIME, TimeUnit.MILLISECOND
    )

    assert answer == {
        "symbol": "SOLUSDC",
        "orderId": 5,
        "orderListId": -1,
        "clientOrderId": "mine",
        "transactTime": 1_700_000_000_123,
        "price": "101.00000000",
        "origQty": "3.00000000",
        "executedQty": "1.00000000",
        "origQuoteOrderQty": "0.00000000",
        "cummulativeQuoteQty": "100.00000000",
        "status": "PARTIALLY_FILLED",
        "timeInForce": "GTC",
        "type": "LIMIT",
        "side": "BUY",
        "workingTime": 1_700_000_000_123,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "fills": [
            {
                "price": "100.00000000",
                "qty": "1.00000000",
                "commission": "0.00100000",
                "commissionAsset": "SOL",
                "tradeId": 9,
            }
        ],
    }


def test_prevented_matches_say_only_who_has_lost_something() -> None:
    answer = order_formats.full_placement(
        MARKET, ORDER, [], [PREVENTED], ASSETS, TIME, TimeUnit.MILLISECOND
    )

    assert answer["preventedMatches"] == [
        {
            "preventedMatchId": 3,
            "makerSymbol": "SOLUSDC",
            "makerOrderId": 2,
            "price": "99.00000000",
            "makerPreventedQuantity": "2.00000000",
        }
    ]


@pytest.mark.parametrize(
    ("order", "shown"),
    [
        (special(iceberg_quantity=UNIT, shown=UNIT), {"icebergQty": "1.00000000"}),
        (special(strategy_id=0), {"strategyId": 0}),
        (special(strategy_type=1_000_000), {"strategyType": 1_000_000}),
        (
            special(prevented=UNIT, prevented_match_id=3),
            {"preventedMatchId": 3, "preventedQuantity": "1.00000000"},
        ),
        (
            special(expiry_reason=ExpiryReason.UNFILLED_FOK),
            {"expiryReason": "UNFILLED_FOK_ORDER_EXPIRED"},
        ),
        (
            replace(special(stop_price=90 * UNIT), type=OrderType.STOP_LOSS),
            {"stopPrice": "90.00000000"},
        ),
        (
            replace(special(trailing_delta=100), type=OrderType.STOP_LOSS),
            {"stopPrice": "0.00000000", "trailingDelta": 100, "trailingTime": -1},
        ),
        (
            replace(special(trailing_delta=100, trailing_time=TIME), type=OrderType.STOP_LOSS),
            {
                "stopPrice": "0.00000000",
                "trailingDelta": 100,
                "trailingTime": 1_700_000_000_123,
            },
        ),
    ],
)
def test_what_only_some_orders_have_stands_in_their_answers_alone(
    order: Order, shown: dict[str, object]
) -> None:
    plain = placed(replace(order, special=None, type=OrderType.LIMIT))
    answer = placed(order)
    cancellation = order_formats.cancellation(MARKET, order, "c", TIME, TimeUnit.MILLISECOND)
    information = order_formats.order_information(MARKET, order, TimeUnit.MILLISECOND)

    assert {name: answer[name] for name in answer.keys() - plain.keys()} == shown
    assert shown.items() <= cancellation.items()
    assert shown.items() <= information.items()


@pytest.mark.parametrize(
    ("working_time", "shown"), [(None, TIME), (0, -1), (TIME + 500, TIME + 500)]
)
def test_an_order_that_does_not_work_yet_has_no_working_time(
    working_time: int | None, shown: int
) -> None:
    order = special(working_time=working_time)

    answer = order_formats.order_information(MARKET, order, TimeUnit.MICROSECOND)

    assert (answer["workingTime"], answer["isWorking"]) == (shown, shown != -1)


def test_an_ordinary_order_has_zeros_where_others_have_prices() -> None:
    answer = order_formats.order_information(MARKET, ORDER, TimeUnit.MILLISECOND)

    assert (answer["stopPrice"], answer["icebergQty"]) == ("0.00000000", "0.00000000")
    assert (answer["time"], answer["updateTime"]) == (1_700_000_000_123, 1_700_000_000_124)


def test_a_cancellation_has_its_own_client_order_id() -> None:
    answer = order_formats.cancellation(MARKET, ORDER, "cancel", TIME, TimeUnit.MICROSECOND)

    assert (answer["origClientOrderId"], answer["clientOrderId"]) == ("mine", "cancel")
    assert answer["transactTime"] == TIME
    assert "workingTime" not in answer


def test_an_amendment_tells_the_order_in_words_of_its_own() -> None:
    row = Amendment(
        symbol="SOLUSDC",
        number=40,
        order_id=5,
        account=7,
        client_order_id="before",
        new_client_order_id="mine",
        quantity=4 * UNIT,
        new_quantity=3 * UNIT,
        time=TIME,
    )

    answer = order_formats.amendment(MARKET, row, ORDER, TIME, TimeUnit.MILLISECOND)

    assert answer == {
        "transactTime": 1_700_000_000_123,
        "executionId": 40,
        "amendedOrder": {
            "symbol": "SOLUSDC",
            "orderId": 5,
            "orderListId": -1,
            "origClientOrderId": "before",
            "clientOrderId": "mine",
            "price": "101.00000000",
            "qty": "3.00000000",
            "executedQty": "1.00000000",
            "preventedQty": "0.00000000",
            "quoteOrderQty": "0.00000000",
            "cumulativeQuoteQty": "100.00000000",
            "status": "PARTIALLY_FILLED",
            "timeInForce": "GTC",
            "type": "LIMIT",
            "side": "BUY",
            "workingTime": 1_700_000_000_123,
            "selfTradePreventionMode": "EXPIRE_MAKER",
        },
    }


def test_an_amended_order_that_waits_has_no_working_time() -> None:
    row = Amendment(
        symbol="SOLUSDC",
        number=40,
        order_id=5,
        account=7,
        client_order_id="mine",
        new_client_order_id="mine",
        quantity=4 * UNIT,
        new_quantity=3 * UNIT,
        time=TIME,
    )
    order = special(working_time=0, list_id=77)

    answer = order_formats.amendment(MARKET, row, order, TIME, TimeUnit.MILLISECOND)

    assert "workingTime" not in answer["amendedOrder"]
    assert answer["amendedOrder"]["orderListId"] == 77


@pytest.mark.parametrize(
    ("status", "type"),
    [(ListStatus.EXECUTING, "EXEC_STARTED"), (ListStatus.ALL_DONE, "ALL_DONE")],
)
def test_a_list_names_its_orders(status: ListStatus, type: str) -> None:
    first = special(list_id=77)
    second = replace(first, id=6, client_order_id="other")

    answer = order_formats.list_information(
        replace(LIST, status=status), [first, second], TimeUnit.MILLISECOND
    )

    assert answer == {
        "orderListId": 77,
        "contingencyType": "OTO",
        "listStatusType": type,
        "listOrderStatus": status.value,
        "listClientOrderId": "list",
        "transactionTime": 1_700_000_000_123,
        "symbol": "SOLUSDC",
        "orders": [
            {"symbol": "SOLUSDC", "orderId": 5, "clientOrderId": "mine"},
            {"symbol": "SOLUSDC", "orderId": 6, "clientOrderId": "other"},
        ],
    }


def test_an_orders_rates_are_those_of_its_accounts_tier() -> None:
    tiers = (Tier(tier=2, maker_rate=500, taker_rate=700),)
    market = replace(MARKET, rules=replace(MARKET.rules, tiers=tiers))

    def rates(tier: int) -> Any:
        account = Account(id=7, name="a", created=0, tier=tier)
        answer = order_formats.commission_rates(market, account, ExchangeRules())
        return answer["standardCommissionForOrder"]

    assert rates(2) == {"maker": "0.00050000", "taker": "0.00070000"}
    assert rates(0) == rates(1) == {"maker": "0.00100000", "taker": "0.00100000"}
