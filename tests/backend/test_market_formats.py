"""Markets and their rules as clients read them: what is switched on, typed as documented."""

from typing import Any

import msgspec
import pytest

from exchange.backend import market_formats
from exchange.services.filters import Filter
from exchange.services.markets import (
    Asset,
    ExchangeRules,
    Feature,
    Market,
    Mode,
    Rules,
    Tier,
    default_markets,
)
from exchange.services.orders import OrderType, SelfTrade
from exchange.services.rows import Account

ASSETS_LISTED, (SOLUSDC, *_) = default_markets()
ASSETS = {asset.name: asset for asset in ASSETS_LISTED}
UNIT = 10**8


def market(**rules: Any) -> Market:
    return msgspec.structs.replace(SOLUSDC, rules=Rules(**rules))


def filters(where: Market) -> dict[str, dict[str, Any]]:
    """By their types, which come once each."""
    listed = market_formats.symbol_filters(where)
    found = {one["filterType"]: one for one in listed}
    assert len(found) == len(listed)
    return found


def test_every_mode_is_a_status() -> None:
    statuses = [
        market_formats.market_status(msgspec.structs.replace(SOLUSDC, mode=mode)) for mode in Mode
    ]

    assert statuses == ["TRADING", "CANCEL_ONLY", "HALT", "BREAK"]


def test_a_market_without_rules_has_the_filters_of_its_grid() -> None:
    assert market_formats.symbol_filters(market(features=())) == [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": "0.01000000",
            "maxPrice": "1000000.00000000",
            "tickSize": "0.01000000",
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": "0.00100000",
            "maxQty": "100000.00000000",
            "stepSize": "0.00100000",
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": "5.00000000",
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ]


def test_all_filters_of_a_market_are_shown_the_price_first() -> None:
    every = market(
        price_up=1_300_000, price_down=700_000,
        bid_up=1_200_000, bid_down=200_000, ask_up=5_000_000, ask_down=800_000,
        market_lot=UNIT // 100, market_quantity_min=UNIT // 10, market_quantity_max=UNIT,
        trailing_above_min=10, trailing_above_max=2_000,
        trailing_below_min=11, trailing_below_max=2_001,
        iceberg_parts=10, orders_max=25, algo_orders_max=5, iceberg_orders_max=6,
        order_lists_max=20, amends_max=9, position_max=10 * UNIT,
    )  # fmt: skip

    shown = filters(every)

    assert next(iter(shown)) == "PRICE_FILTER"
    of_the_exchange = {name for name in Filter if name.startswith("EXCHANGE_")}
    assert shown.keys() == set(Filter) - of_the_exchange - {"MAX_ASSET", "MIN_NOTIONAL"}
    grid = {"PRICE_FILTER", "LOT_SIZE", "NOTIONAL"}
    assert [one for one in shown.values() if one["filterType"] not in grid] == [
        {
            "filterType": "PERCENT_PRICE",
            "multiplierUp": "1.3",
            "multiplierDown": "0.7",
            "avgPriceMins": 5,
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "1.2",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.8",
            "avgPriceMins": 5,
        },
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": "0.10000000",
            "maxQty": "1.00000000",
            "stepSize": "0.01000000",
        },
        {"filterType": "ICEBERG_PARTS", "limit": 10},
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 25},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
        {"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 6},
        {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 9},
        {"filterType": "MAX_POSITION", "maxPosition": "10.00000000"},
        {
            "filterType": "TRAILING_DELTA",
            "minTrailingAboveDelta": 10,
            "maxTrailingAboveDelta": 2_000,
            "minTrailingBelowDelta": 11,
            "maxTrailingBelowDelta": 2_001,
        },
    ]


def test_a_bound_that_a_market_has_not_is_shown_as_the_next_one_that_counts() -> None:
    shown = filters(market(market_lot=UNIT // 100, trailing_above_min=10, bid_up=1, ask_up=2))

    assert shown["MARKET_LOT_SIZE"]["minQty"] == "0.00000000"
    assert shown["MARKET_LOT_SIZE"]["maxQty"] == shown["LOT_SIZE"]["maxQty"]
    assert shown["TRAILING_DELTA"] == {
        "filterType": "TRAILING_DELTA",
        "minTrailingAboveDelta": 10,
        "maxTrailingAboveDelta": 9_999,
        "minTrailingBelowDelta": 0,
        "maxTrailingBelowDelta": 9_999,
    }
    assert shown["PERCENT_PRICE_BY_SIDE"]["bidMultiplierDown"] == "0"


def test_without_a_greatest_notional_the_filter_has_another_name() -> None:
    unbounded = msgspec.structs.replace(
        market(notional_min_for_market=False), notional_max=0, average_price_minutes=0
    )

    shown = filters(unbounded)

    assert "NOTIONAL" not in shown
    assert shown["MIN_NOTIONAL"] == {
        "filterType": "MIN_NOTIONAL",
        "minNotional": "5.00000000",
        "applyToMarket": False,
        "avgPriceMins": 0,
    }


FLAGS = {
    Feature.ICEBERG: "icebergAllowed",
    Feature.TRAILING: "allowTrailingStop",
    Feature.QUOTE_QUANTITY: "quoteOrderQtyMarketAllowed",
    Feature.CANCEL_REPLACE: "cancelReplaceAllowed",
    Feature.AMEND: "amendAllowed",
    Feature.OCO: "ocoAllowed",
    Feature.OTO: "otoAllowed",
}


@pytest.mark.parametrize("feature", list(Feature))
def test_a_market_tells_what_it_offers(feature: Feature) -> None:
    shown = market_formats.symbol_information(market(features=(feature,)), permission_sets=True)

    assert [flag for flag in FLAGS.values() if shown[flag]] == [FLAGS[feature]]
    assert shown["isSpotTradingAllowed"] is True
    for flag in ("opoAllowed", "pegInstructionsAllowed", "isMarginTradingAllowed"):
        assert shown[flag] is False


def test_a_market_tells_its_types_and_modes() -> None:
    narrow = market(
        order_types=(OrderType.STOP_LOSS, OrderType.LIMIT),
        self_trade_modes=(SelfTrade.DECREMENT, SelfTrade.NONE),
        self_trade_default=SelfTrade.DECREMENT,
    )

    shown = market_formats.symbol_information(narrow, permission_sets=False)

    assert shown["orderTypes"] == ["LIMIT", "STOP_LOSS"]
    assert shown["quoteOrderQtyMarketAllowed"] is False
    assert shown["defaultSelfTradePreventionMode"] == "DECREMENT"
    assert shown["allowedSelfTradePreventionModes"] == ["NONE", "DECREMENT"]
    assert shown["filters"] == market_formats.symbol_filters(narrow)
    assert "permissionSets" not in shown


def test_the_limits_of_the_exchange_are_filters_of_its_own() -> None:
    assert market_formats.exchange_filters(ExchangeRules()) == []
    assert market_formats.exchange_filters(
        ExchangeRules(orders_max=1, algo_orders_max=2, iceberg_orders_max=3, order_lists_max=4)
    ) == [
        {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1},
        {"filterType": "EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 2},
        {"filterType": "EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 3},
        {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 4},
    ]


def test_a_market_has_the_limits_of_its_two_assets() -> None:
    rules = ExchangeRules(assets_max={"BTC": 1, "USDC": 42, "SOL": 0})
    assets = {**ASSETS, "USDC": Asset("USDC", 2)}

    assert market_formats.asset_filters(rules, assets, SOLUSDC) == [
        {"filterType": "MAX_ASSET", "asset": "SOL", "limit": "0.00000000"},
        {"filterType": "MAX_ASSET", "asset": "USDC", "limit": "0.42"},
    ]


def test_only_the_ranges_that_count_are_execution_rules() -> None:
    partly = market(range_bid_up=1_000_100, range_ask_down=999_900)

    assert market_formats.execution_rules([partly, market()]) == {
        "symbolRules": [
            {
                "symbol": "SOLUSDC",
                "rules": [
                    {
                        "ruleType": "PRICE_RANGE",
                        "bidLimitMultUp": "1.0001",
                        "askLimitMultDown": "0.9999",
                    }
                ],
            },
            {"symbol": "SOLUSDC", "rules": []},
        ]
    }


@pytest.mark.parametrize(
    ("tier", "maker", "taker"), [(0, "0.00100000", "0.00100000"), (3, "0.00000000", "0.00050000")]
)
def test_an_account_pays_by_its_tier(tier: int, maker: str, taker: str) -> None:
    account = Account(id=1, name="a", created=0, tier=tier)
    tiered = market(tiers=(Tier(tier=3, maker_rate=0, taker_rate=500),))

    shown = market_formats.account_commission(tiered, account, ExchangeRules())

    nothing = dict.fromkeys(("maker", "taker", "buyer", "seller"), "0.00000000")
    assert shown == {
        "symbol": "SOLUSDC",
        "standardCommission": {**nothing, "maker": maker, "taker": taker},
        "specialCommission": nothing,
        "taxCommission": nothing,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "",
            "discount": "0.00000000",
        },
    }


@pytest.mark.parametrize(
    ("for_account", "for_market"), [(True, True), (True, False), (False, True)]
)
def test_a_discount_is_the_factor_that_fees_are_multiplied_with(
    for_account: bool, for_market: bool
) -> None:
    account = Account(id=1, name="a", created=0, discount=for_account)
    rules = ExchangeRules(discount_asset="BTC", discount=750_000)

    shown = market_formats.account_commission(market(fee_discount=for_market), account, rules)

    assert shown["discount"] == {
        "enabledForAccount": for_account,
        "enabledForSymbol": for_market,
        "discountAsset": "BTC",
        "discount": "0.75000000",
    }
