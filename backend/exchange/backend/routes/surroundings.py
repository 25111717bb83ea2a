"""What clients ask of the API around the spot API when they start; answered as far as there is any.

There are no networks to withdraw to, no margin and no futures here, and the answers say so.
"""

from typing import Any

from exchange.backend import formats, queries
from exchange.backend.answers import (
    AccountStatus,
    Currency,
    ExchangeInformation,
    SystemStatus,
    TradeFee,
)
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json
from exchange.backend.parameters import SYMBOL
from exchange.backend.routes.orders import market_of
from exchange.services.rows import Balance


async def currencies(call: Call) -> list[Json]:
    """All assets, with what the account has of each."""
    state = call.state
    async with state.barrier.snapshot() as connection:
        held = {row.asset: row for row in await queries.select_balances(connection, call.account)}
    return [
        formats.currency(
            held.get(name) or Balance(account=call.account, asset=name, free=0, locked=0),
            asset.decimals,
        )
        for name, asset in state.directory.assets.items()
    ]


async def trade_fees(call: Call) -> list[Json]:
    """The account's fee rates on one market, or on all."""
    await call.state.barrier.market_data()
    directory = call.state.directory
    markets = [market_of(call)] if SYMBOL in call.values else directory.markets.values()
    tier = directory.accounts[call.account].tier
    return [
        {
            "symbol": market.symbol,
            "makerCommission": formats.rate(maker),
            "takerCommission": formats.rate(taker),
        }
        for market in markets
        for maker, taker in (market.fee_rates(tier),)
    ]


async def nothing(_call: Call) -> list[Any]:
    """There are none."""
    return []


async def system_status(call: Call) -> Json:
    if call.current.is_loaded:
        return {"status": 0, "msg": "normal"}
    return {"status": 1, "msg": "system_maintenance"}


async def account_status(_call: Call) -> Json:
    return {"data": "Normal"}


async def no_futures(call: Call) -> Json:
    """A futures exchange without markets."""
    return {
        "timezone": "UTC",
        "serverTime": call.unit.of(call.now),
        "rateLimits": [],
        "exchangeFilters": [],
        "symbols": [],
    }


ENDPOINTS = (
    Endpoint(
        "GET",
        "/sapi/v1/capital/config/getall",
        currencies,
        summary="Assets and balances",
        answer=([Currency],),
        security=Security.USER_DATA,
        weight=10,
    ),
    Endpoint(
        "GET",
        "/sapi/v1/asset/tradeFee",
        trade_fees,
        summary="Fee rates",
        answer=([TradeFee],),
        parameters=(SYMBOL,),
        security=Security.USER_DATA,
    ),
    Endpoint(
        "GET",
        "/sapi/v1/margin/allPairs",
        nothing,
        summary="Margin markets: none",
        answer=([],),
        security=Security.USER_DATA,
    ),
    Endpoint(
        "GET",
        "/sapi/v1/margin/isolated/allPairs",
        nothing,
        summary="Isolated margin markets: none",
        answer=([],),
        security=Security.USER_DATA,
    ),
    Endpoint(
        "GET",
        "/sapi/v1/account/status",
        account_status,
        summary="The account's status",
        answer=(AccountStatus,),
        security=Security.USER_DATA,
    ),
    Endpoint(
        "GET",
        "/sapi/v1/system/status",
        system_status,
        summary="The system's status",
        answer=(SystemStatus,),
    ),
    Endpoint(
        "GET",
        "/fapi/v1/exchangeInfo",
        no_futures,
        summary="Futures markets: none",
        answer=(ExchangeInformation,),
    ),
    Endpoint(
        "GET",
        "/dapi/v1/exchangeInfo",
        no_futures,
        summary="Futures markets: none",
        answer=(ExchangeInformation,),
    ),
)
