"""Rows as the public API writes them: numbers as text, times in ms or µs, Binance's names."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from exchange.services.aggregates import AggregateTrade
from exchange.services.amounts import format_amount
from exchange.services.candles import Candle, close_time
from exchange.services.market_view import MarketView, Ticker
from exchange.services.markets import RATE_SCALE, Asset, ExchangeRules, Market
from exchange.services.orders import Side
from exchange.services.rows import Account, Amendment, Balance, PreventedMatch, Trade

Json = dict[str, Any]

RATE_DECIMALS = 8
NO_TRADE_GROUP = -1
"""No account of this exchange is in a group with others."""
ZERO = "0.00000000"


class TimeUnit(IntEnum):
    """What times in an answer are counted in; the value is how many µs it has."""

    MICROSECOND = 1
    MILLISECOND = 1_000

    def of(self, time: int) -> int:
        return time // self.value


# --- Numbers ---


def price(market: Market, units: int) -> str:
    """A price, or any other amount of the quote asset."""
    return format_amount(units, market.quote_decimals)


def quantity(market: Market, units: int) -> str:
    return format_amount(units, market.base_decimals)


def rate(millionths: int) -> str:
    return format_amount(millionths * 10**RATE_DECIMALS // RATE_SCALE, RATE_DECIMALS)


# --- Market data ---


def levels(market: Market, prices: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(price(market, at), quantity(market, units)) for at, units in prices]


def public_trade(market: Market, trade: Trade, unit: TimeUnit) -> Json:
    return {
        "id": trade.id,
        "price": price(market, trade.price),
        "qty": quantity(market, trade.quantity),
        "quoteQty": price(market, trade.quote_quantity),
        "time": unit.of(trade.time),
        "isBuyerMaker": trade.taker_side is Side.SELL,
        "isBestMatch": True,
    }


def aggregate_trade(market: Market, trade: AggregateTrade, unit: TimeUnit) -> Json:
    return {
        "a": trade.first_trade_id,
        "p": price(market, trade.price),
        "q": quantity(market, trade.quantity),
        "f": trade.first_trade_id,
        "l": trade.last_trade_id,
        "T": unit.of(trade.time),
        "m": trade.taker_side is Side.SELL,
        "M": True,
    }


def kline(market: Market, candle: Candle, offset: int, unit: TimeUnit) -> list[Any]:
    return [
        unit.of(candle.open_time),
        price(market, candle.open),
        price(market, candle.high),
        price(market, candle.low),
        price(market, candle.close),
        quantity(market, candle.volume),
        unit.of(close_time(candle.interval, candle.open_time, offset)),
        price(market, candle.quote_volume),
        candle.trades,
        quantity(market, candle.taker_base),
        price(market, candle.taker_quote),
        "0",
    ]


def full_ticker(market: Market, ticker: Ticker, unit: TimeUnit) -> Json:
    bid_price, bid_quantity = ticker.bid or (0, 0)
    ask_price, ask_quantity = ticker.ask or (0, 0)
    return {
        "symbol": market.symbol,
        "priceChange": price(market, ticker.price_change),
        "priceChangePercent": format_amount(ticker.price_change_percent, 3),
        "weightedAvgPrice": price(market, ticker.weighted_average_price),
        "prevClosePrice": price(market, ticker.previous_close_price or 0),
        "lastPrice": price(market, ticker.last_price),
        "lastQty": quantity(market, ticker.last_quantity),
        "bidPrice": price(market, bid_price),
        "bidQty": quantity(market, bid_quantity),
        "askPrice": price(market, ask_price),
        "askQty": quantity(market, ask_quantity),
        **mini_ticker(market, ticker, unit),
    }


def window_ticker(market: Market, ticker: Ticker, unit: TimeUnit) -> Json:
    """Without what belongs to this moment, or to the time before the window."""
    return {
        "symbol": market.symbol,
        "priceChange": price(market, ticker.price_change),
        "priceChangePercent": format_amount(ticker.price_change_percent, 3),
        "weightedAvgPrice": price(market, ticker.weighted_average_price),
        **mini_ticker(market, ticker, unit),
    }


def mini_ticker(market: Market, ticker: Ticker, unit: TimeUnit) -> Json:
    return {
        "symbol": market.symbol,
        "openPrice": price(market, ticker.open_price),
        "highPrice": price(market, ticker.high_price),
        "lowPrice": price(market, ticker.low_price),
        "lastPrice": price(market, ticker.last_price),
        "volume": quantity(market, ticker.volume),
        "quoteVolume": price(market, ticker.quote_volume),
        "openTime": unit.of(ticker.open_time),
        "closeTime": unit.of(ticker.close_time),
        "firstId": -1 if ticker.first_trade_id is None else ticker.first_trade_id,
        "lastId": -1 if ticker.last_trade_id is None else ticker.last_trade_id,
        "count": ticker.trades,
    }


def price_ticker(view: MarketView) -> Json:
    return {"symbol": view.market.symbol, "price": price(view.market, view.last_price)}


def book_ticker(view: MarketView) -> Json:
    market = view.market
    bid, ask = view.best()
    bid_price, bid_quantity = bid or (0, 0)
    ask_price, ask_quantity = ask or (0, 0)
    return {
        "symbol": market.symbol,
        "bidPrice": price(market, bid_price),
        "bidQty": quantity(market, bid_quantity),
        "askPrice": price(market, ask_price),
        "askQty": quantity(market, ask_quantity),
    }


# --- Fees ---


def commission(
    market: Market, side: Side, trade: Trade, assets: Mapping[str, Asset]
) -> tuple[str, str]:
    """The fee of one side and its asset: what that side receives, or the discount asset."""
    if side is Side.BUY:
        fee, asset = trade.buy_fee, trade.buy_fee_asset or market.base
    else:
        fee, asset = trade.sell_fee, trade.sell_fee_asset or market.quote
    return format_amount(fee, assets[asset].decimals), asset


def discount(market: Market, account: Account, rules: ExchangeRules) -> Json:
    """Whether this account's fees on this market may be paid in the discount asset, and how."""
    asset = rules.discount_asset
    return {
        "enabledForAccount": account.discount,
        "enabledForSymbol": bool(asset) and market.rules.fee_discount,
        "discountAsset": asset,
        "discount": rate(rules.discount) if asset else ZERO,
    }


# --- Accounts ---


def own_trade(
    market: Market,
    trade: Trade,
    side: Side,
    list_id: int,
    assets: Mapping[str, Asset],
    unit: TimeUnit,
) -> Json:
    """A trade as the account on one side of it sees it, with an order of that list."""
    fee, asset = commission(market, side, trade, assets)
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.buy_order if side is Side.BUY else trade.sell_order,
        "orderListId": list_id,
        "price": price(market, trade.price),
        "qty": quantity(market, trade.quantity),
        "quoteQty": price(market, trade.quote_quantity),
        "commission": fee,
        "commissionAsset": asset,
        "time": unit.of(trade.time),
        "isBuyer": side is Side.BUY,
        "isMaker": side is not trade.taker_side,
        "isBestMatch": True,
    }


def prevented_match(market: Market, match: PreventedMatch, unit: TimeUnit) -> Json:
    """Two own orders that did not trade; a side that lost nothing tells no quantity."""
    prevented = {
        "takerPreventedQuantity": match.taker_quantity,
        "makerPreventedQuantity": match.maker_quantity,
    }
    return {
        "symbol": match.symbol,
        "preventedMatchId": match.id,
        "takerOrderId": match.taker_order,
        "makerSymbol": match.symbol,
        "makerOrderId": match.maker_order,
        "tradeGroupId": NO_TRADE_GROUP,
        "selfTradePreventionMode": match.self_trade.value,
        "price": price(market, match.price),
        **{name: quantity(market, units) for name, units in prevented.items() if units},
        "transactTime": unit.of(match.time),
    }


def past_amendment(market: Market, amendment: Amendment, unit: TimeUnit) -> Json:
    return {
        "symbol": amendment.symbol,
        "orderId": amendment.order_id,
        "executionId": amendment.number,
        "origClientOrderId": amendment.client_order_id,
        "newClientOrderId": amendment.new_client_order_id,
        "origQty": quantity(market, amendment.quantity),
        "newQty": quantity(market, amendment.new_quantity),
        "time": unit.of(amendment.time),
    }


def balance(row: Balance, decimals: int) -> Json:
    return {
        "asset": row.asset,
        "free": format_amount(row.free, decimals),
        "locked": format_amount(row.locked, decimals),
    }


def currency(row: Balance, decimals: int) -> Json:
    """An asset as wallets describe it: it can be traded, and there is no network to send it by."""
    return {
        "coin": row.asset,
        "name": row.asset,
        "free": format_amount(row.free, decimals),
        "locked": format_amount(row.locked, decimals),
        "freeze": "0",
        "ipoable": "0",
        "ipoing": "0",
        "storage": "0",
        "withdrawing": "0",
        "depositAllEnable": False,
        "withdrawAllEnable": False,
        "isLegalMoney": False,
        "trading": True,
        "networkList": [],
    }


def account_information(
    account: int,
    *,
    maker_rate: int,
    taker_rate: int,
    can_trade: bool,
    updated: int,
    balances: list[Json],
    unit: TimeUnit,
) -> Json:
    basis_point = RATE_SCALE // 10_000
    return {
        "makerCommission": maker_rate // basis_point,
        "takerCommission": taker_rate // basis_point,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": rate(maker_rate),
            "taker": rate(taker_rate),
            "buyer": ZERO,
            "seller": ZERO,
        },
        "canTrade": can_trade,
        "canWithdraw": False,
        "canDeposit": False,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": unit.of(updated),
        "accountType": "SPOT",
        "balances": balances,
        "permissions": ["SPOT"],
        "uid": account,
    }
