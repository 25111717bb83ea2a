"""Markets, their filters and their fees, as the public API writes them; only what works is listed."""

from collections.abc import Iterable, Mapping

from exchange.backend.formats import ZERO, Json, discount, price, quantity, rate
from exchange.services.amounts import format_amount
from exchange.services.filters import Filter, notional_filter
from exchange.services.markets import (
    TRAILING_DELTA_MAX,
    Asset,
    ExchangeRules,
    Feature,
    Market,
    Mode,
    Rules,
)
from exchange.services.orders import OrderType, SelfTrade
from exchange.services.rows import Account

MULTIPLIER_DECIMALS = 6

_STATUSES = {
    Mode.RUNNING: "TRADING",
    Mode.CANCEL_ONLY: "CANCEL_ONLY",
    Mode.HALTED: "HALT",
    Mode.BREAK: "BREAK",
}


def market_status(market: Market) -> str:
    return _STATUSES[market.mode]


def symbol_information(market: Market, *, permission_sets: bool) -> Json:
    """What may be done on a market, and by which rules."""
    rules = market.rules
    offers = set(rules.features)
    return {
        "symbol": market.symbol,
        "status": market_status(market),
        "baseAsset": market.base,
        "baseAssetPrecision": market.base_decimals,
        "quoteAsset": market.quote,
        "quotePrecision": market.quote_decimals,
        "quoteAssetPrecision": market.quote_decimals,
        "baseCommissionPrecision": market.base_decimals,
        "quoteCommissionPrecision": market.quote_decimals,
        "orderTypes": [type.value for type in OrderType if type in rules.order_types],
        "icebergAllowed": Feature.ICEBERG in offers,
        "ocoAllowed": Feature.OCO in offers,
        "otoAllowed": Feature.OTO in offers,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": (
            Feature.QUOTE_QUANTITY in offers and OrderType.MARKET in rules.order_types
        ),
        "allowTrailingStop": Feature.TRAILING in offers,
        "cancelReplaceAllowed": Feature.CANCEL_REPLACE in offers,
        "amendAllowed": Feature.AMEND in offers,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": symbol_filters(market),
        "permissions": [],
        **({"permissionSets": [["SPOT"]]} if permission_sets else {}),
        "defaultSelfTradePreventionMode": rules.self_trade_default.value,
        "allowedSelfTradePreventionModes": [
            mode.value for mode in SelfTrade if mode in rules.self_trade_modes
        ],
    }


# --- Filters ---


def symbol_filters(market: Market) -> list[Json]:
    """The filters that are switched on."""
    # Some clients read the first one as the price filter, whatever it is called.
    return [
        _filter(
            Filter.PRICE_FILTER,
            minPrice=price(market, market.tick),
            maxPrice=price(market, market.price_max),
            tickSize=price(market, market.tick),
        ),
        *_percent_prices(market),
        _filter(
            Filter.LOT_SIZE,
            minQty=quantity(market, market.quantity_min),
            maxQty=quantity(market, market.quantity_max),
            stepSize=quantity(market, market.lot),
        ),
        *_market_lot_size(market),
        _notional(market),
        *_limits(market.rules, _PARTS | _MARKET_COUNTS),
        *_position(market),
        *_trailing_deltas(market.rules),
    ]


def exchange_filters(rules: ExchangeRules) -> list[Json]:
    """The limits of an account over all markets."""
    return _limits(rules, _EXCHANGE_COUNTS)


def asset_filters(rules: ExchangeRules, assets: Mapping[str, Asset], market: Market) -> list[Json]:
    """How much of the market's two assets one order may move."""
    return [
        _filter(
            Filter.MAX_ASSET,
            asset=name,
            limit=format_amount(rules.assets_max[name], assets[name].decimals),
        )
        for name in (market.base, market.quote)
        if name in rules.assets_max
    ]


def execution_rules(markets: Iterable[Market]) -> Json:
    """What trades must keep to; a multiplier that is switched off is left out."""
    return {
        "symbolRules": [
            {
                "symbol": market.symbol,
                "rules": [{"ruleType": "PRICE_RANGE", **range}] if range else [],
            }
            for market in markets
            for range in (_price_range(market.rules),)
        ]
    }


def _price_range(rules: Rules) -> Json:
    multipliers = {
        "bidLimitMultUp": rules.range_bid_up,
        "bidLimitMultDown": rules.range_bid_down,
        "askLimitMultUp": rules.range_ask_up,
        "askLimitMultDown": rules.range_ask_down,
    }
    return {name: multiplier(value) for name, value in multipliers.items() if value}


def _filter(name: Filter, **fields: str | int | bool) -> Json:
    return {"filterType": name.value, **fields}


def _percent_prices(market: Market) -> list[Json]:
    rules, found = market.rules, []
    if rules.price_up:
        found.append(
            _filter(
                Filter.PERCENT_PRICE,
                multiplierUp=multiplier(rules.price_up),
                multiplierDown=multiplier(rules.price_down),
                avgPriceMins=market.average_price_minutes,
            )
        )
    if rules.bid_up:
        found.append(
            _filter(
                Filter.PERCENT_PRICE_BY_SIDE,
                bidMultiplierUp=multiplier(rules.bid_up),
                bidMultiplierDown=multiplier(rules.bid_down),
                askMultiplierUp=multiplier(rules.ask_up),
                askMultiplierDown=multiplier(rules.ask_down),
                avgPriceMins=market.average_price_minutes,
            )
        )
    return found


def _market_lot_size(market: Market) -> list[Json]:
    rules = market.rules
    if not rules.market_lot:
        return []
    return [
        _filter(
            Filter.MARKET_LOT_SIZE,
            minQty=quantity(market, rules.market_quantity_min),
            # Without a limit of their own, market orders have that of all orders.
            maxQty=quantity(market, rules.market_quantity_max or market.quantity_max),
            stepSize=quantity(market, rules.market_lot),
        )
    ]


def _notional(market: Market) -> Json:
    rules, name = market.rules, notional_filter(market)
    if name is Filter.MIN_NOTIONAL:
        return _filter(
            name,
            minNotional=price(market, market.notional_min),
            applyToMarket=rules.notional_min_for_market,
            avgPriceMins=market.average_price_minutes,
        )
    return _filter(
        name,
        minNotional=price(market, market.notional_min),
        applyMinToMarket=rules.notional_min_for_market,
        maxNotional=price(market, market.notional_max),
        applyMaxToMarket=rules.notional_max_for_market,
        avgPriceMins=market.average_price_minutes,
    )


def _position(market: Market) -> list[Json]:
    limit = market.rules.position_max
    return [_filter(Filter.MAX_POSITION, maxPosition=quantity(market, limit))] if limit else []


def _trailing_deltas(rules: Rules) -> list[Json]:
    if Feature.TRAILING not in rules.features:
        return []
    (above_min, above_max), (below_min, below_max) = rules.trailing_deltas
    return [
        _filter(
            Filter.TRAILING_DELTA,
            minTrailingAboveDelta=above_min,
            maxTrailingAboveDelta=above_max or TRAILING_DELTA_MAX,
            minTrailingBelowDelta=below_min,
            maxTrailingBelowDelta=below_max or TRAILING_DELTA_MAX,
        )
    ]


def _limits(rules: Rules | ExchangeRules, fields: Mapping[str, tuple[Filter, str]]) -> list[Json]:
    return [
        _filter(name, **{field: limit})
        for rule, (name, field) in fields.items()
        if (limit := getattr(rules, rule))
    ]


_PARTS = {"iceberg_parts": (Filter.ICEBERG_PARTS, "limit")}
_MARKET_COUNTS = {
    "orders_max": (Filter.MAX_NUM_ORDERS, "maxNumOrders"),
    "algo_orders_max": (Filter.MAX_NUM_ALGO_ORDERS, "maxNumAlgoOrders"),
    "iceberg_orders_max": (Filter.MAX_NUM_ICEBERG_ORDERS, "maxNumIcebergOrders"),
    "order_lists_max": (Filter.MAX_NUM_ORDER_LISTS, "maxNumOrderLists"),
    "amends_max": (Filter.MAX_NUM_ORDER_AMENDS, "maxNumOrderAmends"),
}
_EXCHANGE_COUNTS = {
    "orders_max": (Filter.EXCHANGE_MAX_NUM_ORDERS, "maxNumOrders"),
    "algo_orders_max": (Filter.EXCHANGE_MAX_NUM_ALGO_ORDERS, "maxNumAlgoOrders"),
    "iceberg_orders_max": (Filter.EXCHANGE_MAX_NUM_ICEBERG_ORDERS, "maxNumIcebergOrders"),
    "order_lists_max": (Filter.EXCHANGE_MAX_NUM_ORDER_LISTS, "maxNumOrderLists"),
}


def multiplier(millionths: int) -> str:
    """Without the zeros at its end: `1.3`."""
    text = format_amount(millionths, MULTIPLIER_DECIMALS)
    return text.rstrip("0").rstrip(".")


# --- Fees ---


def account_commission(market: Market, account: Account, rules: ExchangeRules) -> Json:
    """An account's rates on a market."""
    maker, taker = market.fee_rates(account.tier)
    none = {"maker": ZERO, "taker": ZERO, "buyer": ZERO, "seller": ZERO}
    return {
        "symbol": market.symbol,
        "standardCommission": {**none, "maker": rate(maker), "taker": rate(taker)},
        "specialCommission": none,
        "taxCommission": none,
        "discount": discount(market, account, rules),
    }
