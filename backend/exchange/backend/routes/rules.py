"""By which rules an account trades: its filters, its fees, its limits, and what trades must keep to."""

from exchange.backend import errors, market_formats
from exchange.backend.answers import Commission, ExecutionRules, MyFilters, RateLimit
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json
from exchange.backend.parameters import SYMBOL, SYMBOLS, Values
from exchange.backend.routes.market import SYMBOL_STATUS, chosen_markets
from exchange.backend.routes.orders import market_of


async def execution_rules(call: Call) -> Json:
    """The prices that a taker's trades must keep to."""
    if sum(one in call.values for one in (SYMBOL, SYMBOLS, SYMBOL_STATUS)) > 1:
        errors.COMBINATION.refuse()
    state = call.state
    await state.barrier.market_data()
    return market_formats.execution_rules(chosen_markets(call, state.directory.markets))


async def my_filters(call: Call) -> Json:
    """The filters that orders on a market must pass."""
    state = call.state
    await state.barrier.market_data()
    market, directory = market_of(call), state.directory
    rules = directory.exchange_rules
    return {
        "exchangeFilters": market_formats.exchange_filters(rules),
        "symbolFilters": market_formats.symbol_filters(market),
        "assetFilters": market_formats.asset_filters(rules, directory.assets, market),
    }


async def commission(call: Call) -> Json:
    """What the account's trades on a market cost."""
    state = call.state
    await state.barrier.market_data()
    directory = state.directory
    return market_formats.account_commission(
        market_of(call), directory.accounts[call.account], directory.exchange_rules
    )


async def order_rate_limits(call: Call) -> list[Json]:
    """How many orders the account may place, and how many it has placed that nobody has filled."""
    state = call.state
    await state.barrier.market_data()
    counts = state.order_limits.counts(call.account, call.now)
    listed = call.current.limits.listed_orders()
    return [{**limit, "count": count} for limit, count in zip(listed, counts, strict=True)]


def _execution_rules_weight(values: Values) -> int:
    if SYMBOL in values:
        return 2
    return min(2 * len(values.get(SYMBOLS, ())), 40) or 40


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/executionRules",
        execution_rules,
        socket_method="executionRules",
        summary="The prices that trades must keep to",
        answer=(ExecutionRules,),
        parameters=(SYMBOL, SYMBOLS, SYMBOL_STATUS),
        weight=_execution_rules_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/myFilters",
        my_filters,
        socket_method="myFilters",
        summary="The filters that orders must pass",
        answer=(MyFilters,),
        parameters=(SYMBOL.required(),),
        security=Security.USER_DATA,
        weight=40,
    ),
    Endpoint(
        "GET",
        "/api/v3/account/commission",
        commission,
        socket_method="account.commission",
        summary="Fee rates",
        answer=(Commission,),
        parameters=(SYMBOL.required(),),
        security=Security.USER_DATA,
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/rateLimit/order",
        order_rate_limits,
        summary="How many orders were placed lately that nobody has filled",
        answer=([RateLimit],),
        security=Security.USER_DATA,
        weight=40,
    ),
)
