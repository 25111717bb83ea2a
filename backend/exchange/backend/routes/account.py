"""What an account has, what it ordered and what it traded: read from Postgres, never stale."""

from exchange.backend import errors, formats, order_formats, queries
from exchange.backend.answers import AccountInformation, OwnTrade
from exchange.backend.endpoints import Call, Endpoint, Security
from exchange.backend.formats import Json
from exchange.backend.order_answers import OrderInformation, PastAmendment, PastPrevented
from exchange.backend.parameters import (
    END_TIME,
    FROM_ID,
    ORDER_ID,
    ORIGINAL_CLIENT_ORDER_ID,
    START_TIME,
    SYMBOL,
    Values,
    flag_parameter,
    integer_parameter,
    limit_parameter,
)
from exchange.backend.queries import Window
from exchange.backend.routes.orders import market_of
from exchange.services.candles import DAY
from exchange.services.rows import Balance

LIMIT_DEFAULT, LIMIT_MAX = 500, 1_000
MILLISECOND = 1_000
LIMIT = limit_parameter(LIMIT_DEFAULT, LIMIT_MAX)
OMIT_ZERO_BALANCES = flag_parameter("omitZeroBalances", "Leave out assets without a balance.")
FROM_EXECUTION_ID = integer_parameter("fromExecutionId", "From this amendment on, inclusive.")
FROM_ALLOCATION_ID = integer_parameter("fromAllocationId", "From this allocation on, inclusive.")
MATCH_ID = integer_parameter("preventedMatchId", "The prevented match's number.")
FROM_MATCH_ID = integer_parameter("fromPreventedMatchId", "From this match on, inclusive.")


async def order(call: Call) -> Json:
    """One order by its id, its client order id, or both."""
    order_id = call.values.get(ORDER_ID)
    client_order_id = call.values.get(ORIGINAL_CLIENT_ORDER_ID)
    if order_id is None and client_order_id is None:
        raise errors.one_of_mandatory(ORIGINAL_CLIENT_ORDER_ID.name, ORDER_ID.name)
    market = market_of(call)
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_order(
            connection, call.account, market.symbol, order_id, client_order_id
        )
    if found is None:
        errors.NO_SUCH_ORDER.refuse()
    return order_formats.order_information(market, found, call.unit)


async def open_orders(call: Call) -> list[Json]:
    """All open orders of the account, or those of one market."""
    symbol = market_of(call).symbol if SYMBOL in call.values else None
    state = call.state
    async with state.barrier.snapshot() as connection:
        orders = await queries.select_open_orders(connection, call.account, symbol)
    markets = state.directory.markets
    return [order_formats.order_information(markets[one.symbol], one, call.unit) for one in orders]


async def all_orders(call: Call) -> list[Json]:
    """Orders in any state."""
    market = market_of(call)
    window = window_of(call, call.values.get(ORDER_ID))
    async with call.state.barrier.snapshot() as connection:
        orders = await queries.select_orders(connection, call.account, market.symbol, window)
    return [order_formats.order_information(market, one, call.unit) for one in orders]


async def my_trades(call: Call) -> list[Json]:
    """The account's sides of trades."""
    market = market_of(call)
    from_id = call.values.get(FROM_ID)
    has_times = START_TIME in call.values or END_TIME in call.values
    if has_times and (from_id is not None or ORDER_ID in call.values):
        errors.COMBINATION.refuse()
    window = window_of(call, from_id)
    async with call.state.barrier.snapshot() as connection:
        own = await queries.select_own_trades(
            connection, call.account, market.symbol, call.values.get(ORDER_ID), window
        )
        lists = await queries.select_list_ids(
            connection, market.symbol, {queries.order_of(trade, side) for trade, side in own}
        )
    return [
        formats.own_trade(
            market,
            trade,
            side,
            lists.get(queries.order_of(trade, side), order_formats.NO_LIST),
            call.state.directory.assets,
            call.unit,
        )
        for trade, side in own
    ]


async def amendments(call: Call) -> list[Json]:
    """How an order was made smaller."""
    market = market_of(call)
    window = window_of(call, call.values.get(FROM_EXECUTION_ID))
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_amendments(
            connection, call.account, market.symbol, call.values[ORDER_ID], window
        )
    return [formats.past_amendment(market, one, call.unit) for one in found]


async def prevented_matches(call: Call) -> list[Json]:
    """Where own orders did not trade with each other: one match, or those of an order."""
    values = call.values
    match_id, order_id = values.get(MATCH_ID), values.get(ORDER_ID)
    if match_id is None and order_id is None:
        raise errors.one_of_mandatory(MATCH_ID.name, ORDER_ID.name)
    if match_id is not None and any(one in values for one in (ORDER_ID, FROM_MATCH_ID, LIMIT)):
        errors.COMBINATION.refuse()
    market = market_of(call)
    window = window_of(call, values.get(FROM_MATCH_ID))
    async with call.state.barrier.snapshot() as connection:
        found = await queries.select_prevented_matches(
            connection, call.account, market.symbol, match_id, order_id, window
        )
    return [formats.prevented_match(market, one, call.unit) for one in found]


async def allocations(call: Call) -> list[Json]:
    """There are none: no order is routed to another market."""
    market_of(call)
    window_of(call, call.values.get(FROM_ALLOCATION_ID))
    return []


async def account(call: Call) -> Json:
    """Balances, rates and permissions."""
    state = call.state
    await state.barrier.market_data()
    async with state.barrier.snapshot() as connection:
        rows = await queries.select_balances(connection, call.account)
        updated = await queries.select_time(connection)
    assets = state.directory.assets
    if not call.values.get(OMIT_ZERO_BALANCES, False):
        held = {row.asset for row in rows}
        rows += [
            Balance(account=call.account, asset=name, free=0, locked=0)
            for name in assets
            if name not in held
        ]
    else:
        rows = [row for row in rows if row.free or row.locked]
    owner = state.directory.accounts[call.account]
    # Rates are the markets' own; one number can only tell the highest.
    rates = [market.fee_rates(owner.tier) for market in state.directory.markets.values()]
    return formats.account_information(
        call.account,
        maker_rate=max((maker for maker, _ in rates), default=0),
        taker_rate=max((taker for _, taker in rates), default=0),
        can_trade=call.caller.key.can_trade and not owner.stopped,
        updated=updated,
        balances=[
            formats.balance(row, assets[row.asset].decimals)
            for row in sorted(rows, key=lambda row: row.asset)
        ],
        unit=call.unit,
    )


def window_of(call: Call, first_id: int | None) -> Window:
    """What a request asks for of a list; raises the error for more than a day."""
    start, end = call.values.get(START_TIME), call.values.get(END_TIME)
    # A bound in milliseconds reaches to its last microsecond.
    if start is not None and end is not None and end - start >= DAY + MILLISECOND:
        errors.MORE_THAN_A_DAY.refuse()
    return Window(
        first_id=first_id,
        start=start,
        end=end,
        limit=call.values.get(LIMIT, LIMIT_DEFAULT),
    )


def _match_weight(values: Values) -> int:
    return 20 if ORDER_ID in values else 2


def _trades_weight(values: Values) -> int:
    return 5 if ORDER_ID in values else 20


ENDPOINTS = (
    Endpoint(
        "GET",
        "/api/v3/order",
        order,
        socket_method="order.status",
        summary="One order",
        answer=(OrderInformation,),
        parameters=(SYMBOL.required(), ORDER_ID, ORIGINAL_CLIENT_ORDER_ID),
        security=Security.USER_DATA,
        weight=4,
    ),
    Endpoint(
        "GET",
        "/api/v3/openOrders",
        open_orders,
        socket_method="openOrders.status",
        summary="Open orders",
        answer=([OrderInformation],),
        parameters=(SYMBOL,),
        security=Security.USER_DATA,
        weight=lambda values: 6 if SYMBOL in values else 80,
    ),
    Endpoint(
        "GET",
        "/api/v3/allOrders",
        all_orders,
        socket_method="allOrders",
        summary="Orders in any state",
        answer=([OrderInformation],),
        parameters=(SYMBOL.required(), ORDER_ID, START_TIME, END_TIME, LIMIT),
        security=Security.USER_DATA,
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/account",
        account,
        socket_method="account.status",
        summary="Balances, rates and permissions",
        answer=(AccountInformation,),
        parameters=(OMIT_ZERO_BALANCES,),
        security=Security.USER_DATA,
        weight=20,
    ),
    Endpoint(
        "GET",
        "/api/v3/myTrades",
        my_trades,
        socket_method="myTrades",
        summary="Own trades",
        answer=([OwnTrade],),
        parameters=(SYMBOL.required(), ORDER_ID, START_TIME, END_TIME, FROM_ID, LIMIT),
        security=Security.USER_DATA,
        weight=_trades_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/order/amendments",
        amendments,
        socket_method="order.amendments",
        summary="How an order was made smaller",
        answer=([PastAmendment],),
        parameters=(SYMBOL.required(), ORDER_ID.required(), FROM_EXECUTION_ID, LIMIT),
        security=Security.USER_DATA,
        weight=4,
    ),
    Endpoint(
        "GET",
        "/api/v3/myPreventedMatches",
        prevented_matches,
        socket_method="myPreventedMatches",
        summary="Trades with oneself that were prevented",
        answer=([PastPrevented],),
        parameters=(SYMBOL.required(), MATCH_ID, ORDER_ID, FROM_MATCH_ID, LIMIT),
        security=Security.USER_DATA,
        weight=_match_weight,
    ),
    Endpoint(
        "GET",
        "/api/v3/myAllocations",
        allocations,
        socket_method="myAllocations",
        summary="Allocations of routed orders: none",
        answer=([],),
        parameters=(
            SYMBOL.required(),
            START_TIME,
            END_TIME,
            FROM_ALLOCATION_ID,
            LIMIT,
            ORDER_ID,
        ),
        security=Security.USER_DATA,
        weight=20,
    ),
)
