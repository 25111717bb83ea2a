"""Rows as the public API writes them: numbers as text, times in ms or µs, Binance's names."""

from collections.abc import Iterable
from enum import IntEnum
from typing import Any

from exchange.services.aggregates import AggregateTrade
from exchange.services.amounts import format_amount
from exchange.services.candles import Candle, close_time
from exchange.services.market_view import MarketView, Ticker
from exchange.services.markets import RATE_SCALE, Market, Mode
from exchange.services.messages import Balance, Order, Side, Trade

Json = dict[str, Any]

RATE_DECIMALS = 8
NO_LIST = -1
NO_STP = "NONE"
ZERO = "0.00000000"
ORDER_TYPES = ("LIMIT", "LIMIT_MAKER", "MARKET")

_STATUSES = {Mode.RUNNING: "TRADING", Mode.CANCEL_ONLY: "CANCEL_ONLY", Mode.HALTED: "HALT"}


class TimeUnit(IntEnum):
    """What times in an answer are counted in; the value is how many µs it has."""

    MICROSECOND = 1
    MILLISECOND = 1_000

    def of(self, time: int) -> int:
        return time // self.value


# --- Markets ---


def market_status(market: Market) -> str:
    return _STATUSES[market.mode]


def symbol_information(market: Market, *, permission_sets: bool) -> Json:
    """What may be done on a market, and by which rules; only what works is listed."""
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
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": False,
        "otoAllowed": False,
        "opoAllowed": False,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": False,
        "cancelReplaceAllowed": False,
        "amendAllowed": False,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": _filters(market),
        "permissions": [],
        **({"permissionSets": [["SPOT"]]} if permission_sets else {}),
        "defaultSelfTradePreventionMode": NO_STP,
        "allowedSelfTradePreventionModes": [NO_STP],
    }


def _filters(market: Market) -> list[Json]:
    # Some clients read the first one as the price filter, whatever it is called.
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": price(market, market.tick),
            "maxPrice": price(market, market.price_max),
            "tickSize": price(market, market.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": quantity(market, market.quantity_min),
            "maxQty": quantity(market, market.quantity_max),
            "stepSize": quantity(market, market.lot),
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": price(market, market.notional_min),
            "applyMinToMarket": True,
            "maxNotional": price(market, market.notional_max),
            "applyMaxToMarket": False,
            "avgPriceMins": market.average_price_minutes,
        },
    ]


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


# --- Orders ---


def acknowledgement(order: Order, time: int, unit: TimeUnit) -> Json:
    """The shortest answer to a new order: ACK."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        "transactTime": unit.of(time),
    }


def placement(market: Market, order: Order, time: int, unit: TimeUnit) -> Json:
    """The answer with the order's state: RESULT."""
    return {
        **acknowledgement(order, time, unit),
        **_state(market, order),
        "workingTime": unit.of(order.created),
        "selfTradePreventionMode": NO_STP,
    }


def full_placement(
    market: Market, order: Order, trades: Iterable[Trade], time: int, unit: TimeUnit
) -> Json:
    """The answer with the trades it led to: FULL."""
    answer = placement(market, order, time, unit)
    answer["fills"] = [_fill(market, order, trade) for trade in trades]
    return answer


def cancellation(
    market: Market, order: Order, client_order_id: str, time: int, unit: TimeUnit
) -> Json:
    """`client_order_id` is that of the cancel itself."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": client_order_id,
        "transactTime": unit.of(time),
        **_state(market, order),
        "selfTradePreventionMode": NO_STP,
    }


def order_information(market: Market, order: Order, unit: TimeUnit) -> Json:
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": NO_LIST,
        "clientOrderId": order.client_order_id,
        **_state(market, order),
        "stopPrice": price(market, 0),
        "icebergQty": quantity(market, 0),
        "time": unit.of(order.created),
        "updateTime": unit.of(order.updated),
        "isWorking": True,
        "workingTime": unit.of(order.created),
        "selfTradePreventionMode": NO_STP,
    }


def _state(market: Market, order: Order) -> Json:
    return {
        "price": price(market, order.price),
        "origQty": quantity(market, order.quantity),
        "executedQty": quantity(market, order.filled),
        "origQuoteOrderQty": price(market, order.quote_quantity),
        # Binance spells it so.
        "cummulativeQuoteQty": price(market, order.filled_quote),
        "status": order.status.value,
        "timeInForce": order.time_in_force.value,
        "type": order.type.value,
        "side": order.side.value,
    }


def _fill(market: Market, order: Order, trade: Trade) -> Json:
    commission, asset = _commission(market, order.side, trade)
    return {
        "price": price(market, trade.price),
        "qty": quantity(market, trade.quantity),
        "commission": commission,
        "commissionAsset": asset,
        "tradeId": trade.id,
    }


def _commission(market: Market, side: Side, trade: Trade) -> tuple[str, str]:
    """The fee of one side, which is in what that side receives."""
    if side is Side.BUY:
        return quantity(market, trade.buy_fee), market.base
    return price(market, trade.sell_fee), market.quote


def commission_rates(market: Market) -> Json:
    none = {"maker": ZERO, "taker": ZERO}
    return {
        "standardCommissionForOrder": {
            "maker": rate(market.maker_rate),
            "taker": rate(market.taker_rate),
        },
        "specialCommissionForOrder": none,
        "taxCommissionForOrder": none,
        "discount": {
            "enabledForAccount": False,
            "enabledForSymbol": False,
            "discountAsset": "",
            "discount": ZERO,
        },
    }


# --- Accounts ---


def own_trade(market: Market, trade: Trade, side: Side, unit: TimeUnit) -> Json:
    """A trade as the account on one side of it sees it."""
    commission, asset = _commission(market, side, trade)
    return {
        "symbol": trade.symbol,
        "id": trade.id,
        "orderId": trade.buy_order if side is Side.BUY else trade.sell_order,
        "orderListId": NO_LIST,
        "price": price(market, trade.price),
        "qty": quantity(market, trade.quantity),
        "quoteQty": price(market, trade.quote_quantity),
        "commission": commission,
        "commissionAsset": asset,
        "time": unit.of(trade.time),
        "isBuyer": side is Side.BUY,
        "isMaker": side is not trade.taker_side,
        "isBestMatch": True,
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
