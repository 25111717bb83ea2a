"""What must be true of the rows whatever happened, asked in SQL: a second opinion on every process.

Each question finds what is doubtful and says it in a sentence; an empty answer is a good one. The
first ones are cheap, and asked every minute; the others read all that ever was.
"""

from collections.abc import Sequence

import msgspec

from exchange.postgres_db.connection import reporting_failures
from exchange.postgres_db.snapshot import Snapshot
from exchange.postgres_db.stored import OPEN, PRIMARY_KEYS, TABLES, column_names
from exchange.services.candles import DAY, HOUR, MINUTE, SECOND, SECONDS_KEPT, Candle, Interval
from exchange.services.messages import JUMP
from exchange.services.rows import FEE_ACCOUNT, Act, Amendment, PreventedMatch, Row, Trade, Transfer

DOUBTS_SHOWN = 5


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`promise` is what should hold of so many `things`, which `count` counts.

    `doubts` is a query for sentences, the same for the same doubt however things go on.
    """

    name: str
    promise: str
    things: str
    count: str
    doubts: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """How many things were looked at, how many are doubtful, and what is wrong with the first."""

    checked: int
    doubtful: int
    examples: list[str]


async def take_time(snapshot: Snapshot) -> None:
    """Let the snapshot stay for as long as it is asked, with little memory and one processor."""
    with reporting_failures():
        await snapshot.connection.execute(
            "SET LOCAL idle_in_transaction_session_timeout = 0;"
            " SET LOCAL max_parallel_workers_per_gather = 0;"
            " SET LOCAL work_mem = '16MB'"
        )


async def ask(snapshot: Snapshot, question: Question) -> Answer:
    connection = snapshot.connection
    with reporting_failures():
        checked = await connection.fetchval(question.count)
        # One statement, and few rows of its answer: there may be very many doubts.
        records = await connection.fetch(
            "SELECT sentence, count(*) OVER () FROM"  # noqa: S608, our own questions
            f" ({question.doubts}) AS doubt(sentence) ORDER BY 1 LIMIT {DOUBTS_SHOWN}"
        )
    return Answer(
        checked=checked,
        doubtful=records[0][1] if records else 0,
        examples=[record[0] for record in records],
    )


async def not_stored(snapshot: Snapshot, rows: Sequence[Row]) -> list[str]:
    """Which of these rows, all of one of the kinds that never change, are not in the database."""
    kind = type(rows[0])
    key = PRIMARY_KEYS[kind]
    fields = column_names(kind)
    of_field = dict(zip(fields, kind.__struct_fields__, strict=True))
    arrays = [[getattr(row, of_field[name]) for row in rows] for name in key]
    places = ", ".join(f"${place}::{_ARRAYS[name]}" for place, name in enumerate(key, 1))
    query = (
        f"SELECT {', '.join(fields)} FROM {TABLES[kind]}"  # noqa: S608, our own names
        f" JOIN unnest({places}) AS wanted({', '.join(key)}) USING ({', '.join(key)})"
    )
    with reporting_failures():
        records = await snapshot.connection.fetch(query, *arrays)
    stored = {tuple(record) for record in records}
    return [
        f"{kind.__name__} {' '.join(str(getattr(row, of_field[name])) for name in key)} is not in"
        " the database as it was journalled"
        for row in rows
        if msgspec.structs.astuple(row) not in stored
    ]


ADDED_ONCE = (Trade, Transfer, Amendment, PreventedMatch, Act)
"""The kinds of rows that are written once and never again."""

_KEYS = ("trade_id", "number", "order_id", "match_id")
_ARRAYS = {"symbol": "text[]", **dict.fromkeys(_KEYS, "bigint[]")}

CONSERVATION = Question(
    name="money",
    promise="Money is conserved: what all accounts hold is what came in less what left",
    things="assets",
    count="SELECT count(*) FROM assets",
    doubts="""
        SELECT format('%s: accounts hold %s units %s than came in', asset, abs(difference),
            CASE WHEN difference > 0 THEN 'more' ELSE 'less' END)
        FROM (
            SELECT asset, coalesce(held, 0) - coalesce(moved, 0) AS difference FROM (
                SELECT asset, sum(free + locked) AS held FROM balances GROUP BY asset
            ) AS holdings FULL JOIN (
                SELECT asset, sum(CASE kind WHEN 'DEPOSIT' THEN amount ELSE -amount END) AS moved
                FROM transfers WHERE kind <> 'TRANSFER' GROUP BY asset
            ) AS movements USING (asset)
        ) AS differences WHERE difference <> 0
    """,
)

LOCKS = Question(
    name="locks",
    promise="What is locked is what open orders hold, and nothing is negative",
    things="balances",
    count="SELECT count(*) FROM balances",
    doubts=f"""
        SELECT format('account %s has %s units of %s locked %s its open orders', account_id,
            abs(difference), asset, CASE WHEN difference > 0 THEN 'beside' ELSE 'too few for' END)
        FROM (
            SELECT account_id, asset, coalesce(locked, 0) - coalesce(needed, 0) AS difference FROM (
                SELECT account_id, asset, locked FROM balances WHERE locked <> 0
            ) AS locks FULL JOIN (
                SELECT account_id, CASE side WHEN 'BUY' THEN quote ELSE base END AS asset,
                    sum(locked) AS needed
                FROM (SELECT * FROM orders WHERE {OPEN}) AS open_orders JOIN markets USING (symbol)
                GROUP BY 1, 2
            ) AS needs USING (account_id, asset)
        ) AS differences WHERE difference <> 0
        UNION ALL
        SELECT format('account %s has a negative balance of %s', account_id, asset)
        FROM balances WHERE free < 0 OR locked < 0
    """,  # noqa: S608, our own constants
)

DURABILITY = Question(
    name="durability",
    promise="Postgres keeps what it has committed",
    things="settings",
    count="SELECT 3",
    doubts="""
        SELECT format('%s is off', name) FROM pg_settings
        WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
    """,
)

CHEAP = (CONSERVATION, LOCKS)
"""What the auditor inside a running exchange asks, again and again."""


def _dense(things: str, table: str, column: str) -> Question:
    return Question(
        name=f"{things.removesuffix('s')}-ids",
        promise=f"The ids of {things} have no gaps but where a generation began",
        things=things,
        count=f"SELECT count(*) FROM {table}",  # noqa: S608, our own names
        doubts=f"""
            SELECT format('%s: %s comes after %s', symbol, id, before) FROM (
                SELECT symbol, {column} AS id,
                    lag({column}, 1, 0::bigint) OVER (PARTITION BY symbol ORDER BY {column})
                    AS before
                FROM {table}
            ) AS pairs WHERE (id - before - 1) % {JUMP} <> 0
            UNION ALL
            SELECT format('%s: %s was the last, but %s is counted', symbol, last, counted) FROM (
                SELECT symbol, {column} AS counted, (
                    SELECT coalesce(max({column}), 0) FROM {table}
                    WHERE {table}.symbol = counters.symbol
                ) AS last FROM counters
            ) AS ends WHERE (counted - last) % {JUMP} <> 0 OR counted < last
        """,  # noqa: S608, our own names
    )


_CANDLE_VALUES = [name for name in column_names(Candle) if name not in ("symbol", "interval")]


def _candles(interval: Interval, width: int) -> Question:
    # Old seconds are dropped little by little: a day's time for that.
    since = (
        f"(SELECT time - time % {width} FROM position) - {SECONDS_KEPT - DAY}"  # noqa: S608
        if interval is Interval.SECOND_1
        else "0"
    )
    names = ", ".join(f'"{name}"' for name in _CANDLE_VALUES)
    return Question(
        name=f"candles-{interval}",
        promise=f"The candles of {interval.value} are what was traded",
        things="candles",
        count=f"SELECT count(*) FROM candles WHERE interval = '{interval.value}'",  # noqa: S608
        doubts=f"""
            SELECT format('%s %s: the candle that opens at %s is not what was traded', symbol,
                '{interval.value}', open_time)
            FROM (
                SELECT DISTINCT symbol, open_time FROM (
                    (
                        {_traded(width, since)}
                        EXCEPT
                        SELECT symbol, {names} FROM candles
                        WHERE interval = '{interval.value}' AND open_time >= {since}
                    ) UNION ALL (
                        SELECT symbol, {names} FROM candles
                        WHERE interval = '{interval.value}' AND open_time >= {since}
                        EXCEPT
                        {_traded(width, since)}
                    )
                ) AS differences
            ) AS candle
        """,  # noqa: S608, our own constants
    )


def _traded(width: int, since: str) -> str:
    """Candles made anew from the trades, with the columns of the stored ones."""
    return f"""
        SELECT symbol, open_time, opening.price, high, low, closing.price, volume, quote_volume,
            trades, taker_base, taker_quote, first_id, last_id
        FROM (
            SELECT symbol, time - time % {width} AS open_time, max(price) AS high,
                min(price) AS low, sum(quantity) AS volume, sum(quote_quantity) AS quote_volume,
                count(*) AS trades,
                coalesce(sum(quantity) FILTER (WHERE taker_side = 'BUY'), 0) AS taker_base,
                coalesce(sum(quote_quantity) FILTER (WHERE taker_side = 'BUY'), 0) AS taker_quote,
                min(trade_id) AS first_id, max(trade_id) AS last_id
            FROM trades
            LEFT JOIN (SELECT symbol, trade_id AS untold FROM beginnings) AS began USING (symbol)
            WHERE time >= {since} AND trade_id > coalesce(untold, 0) GROUP BY 1, 2
        ) AS made
        JOIN (SELECT symbol, trade_id AS first_id, price FROM trades) AS opening
            USING (symbol, first_id)
        JOIN (SELECT symbol, trade_id AS last_id, price FROM trades) AS closing
            USING (symbol, last_id)
    """  # noqa: S608, our own constants


# A fee without an asset is in what that side receives.
_BUY_FEE_ASSET = "coalesce(nullif(buy_fee_asset, ''), base)"
_SELL_FEE_ASSET = "coalesce(nullif(sell_fee_asset, ''), quote)"

HOLDINGS = Question(
    name="holdings",
    promise="What each account holds is what its transfers and its trades have left it",
    things="balances",
    count="SELECT count(*) FROM balances",
    doubts=f"""
        SELECT format('account %s holds %s units of %s, its history says %s', account_id,
            coalesce(free + locked, 0), asset, coalesce(moved, 0))
        FROM balances FULL JOIN (
            SELECT account_id, asset, sum(units) AS moved FROM (
                SELECT account_id, asset, CASE kind WHEN 'DEPOSIT' THEN amount ELSE -amount END
                FROM transfers
                UNION ALL
                SELECT counterparty, asset, amount FROM transfers WHERE kind = 'TRANSFER'
                UNION ALL
                SELECT movement.* FROM trades JOIN markets USING (symbol) CROSS JOIN LATERAL (
                    VALUES (buy_account, base, quantity),
                        (buy_account, quote, -quote_quantity),
                        (sell_account, base, -quantity),
                        (sell_account, quote, quote_quantity),
                        (buy_account, {_BUY_FEE_ASSET}, -buy_fee),
                        ({FEE_ACCOUNT}, {_BUY_FEE_ASSET}, buy_fee),
                        (sell_account, {_SELL_FEE_ASSET}, -sell_fee),
                        ({FEE_ACCOUNT}, {_SELL_FEE_ASSET}, sell_fee)
                ) AS movement
            ) AS movements(account_id, asset, units) GROUP BY account_id, asset
        ) AS history USING (account_id, asset)
        WHERE coalesce(free + locked, 0) <> coalesce(moved, 0)
    """,  # noqa: S608, our own constant
)

THOROUGH = (
    DURABILITY,
    HOLDINGS,
    Question(
        name="fills",
        promise="Every order is filled by exactly its trades, and holds nothing once it has ended",
        things="orders",
        count="SELECT count(*) FROM orders",
        doubts=f"""
            SELECT format('%s order %s is filled by %s, its trades add up to %s', symbol, order_id,
                coalesce(filled, 0), coalesce(traded, 0))
            FROM orders FULL JOIN (
                SELECT symbol, order_id, sum(quantity) AS traded, sum(quote_quantity) AS paid FROM (
                    SELECT symbol, buy_order AS order_id, quantity, quote_quantity FROM trades
                    UNION ALL
                    SELECT symbol, sell_order, quantity, quote_quantity FROM trades
                ) AS sides GROUP BY symbol, order_id
            ) AS sums USING (symbol, order_id)
            WHERE (coalesce(filled, 0), coalesce(filled_quote, 0))
                <> (coalesce(traded, 0), coalesce(paid, 0))
            UNION ALL
            SELECT format('%s order %s has ended and still holds %s', symbol, order_id, locked)
            FROM orders WHERE locked <> 0 AND NOT ({OPEN})
        """,  # noqa: S608, our own constants
    ),
    Question(
        name="trades",
        promise="Every trade has two orders, within their limits, at price × quantity",
        things="trades",
        count="SELECT count(*) FROM trades",
        doubts="""
            SELECT format('%s trade %s is not what its orders allow', trades.symbol, trade_id)
            FROM trades
            LEFT JOIN markets ON markets.symbol = trades.symbol
            LEFT JOIN orders AS buy
                ON buy.symbol = trades.symbol AND buy.order_id = trades.buy_order
            LEFT JOIN orders AS sell
                ON sell.symbol = trades.symbol AND sell.order_id = trades.sell_order
            WHERE (
                buy.account_id = buy_account AND buy.side = 'BUY'
                AND (buy.price = 0 OR buy.price >= trades.price)
                AND sell.account_id = sell_account AND sell.side = 'SELL'
                AND (sell.price = 0 OR sell.price <= trades.price)
                AND trades.price * trades.quantity
                    = trades.quote_quantity * (10::numeric ^ base_decimals::numeric)
            ) IS NOT TRUE
        """,
    ),
    _dense("trades", "trades", "trade_id"),
    _dense("orders", "orders", "order_id"),
    Question(
        name="client-ids",
        promise="No client order id is open twice",
        things="open orders",
        count=f"SELECT count(*) FROM orders WHERE {OPEN}",  # noqa: S608, our own constant
        doubts=f"""
            SELECT format('account %s has %s open orders called %s in %s', account_id, count(*),
                client_order_id, symbol)
            FROM orders WHERE {OPEN} GROUP BY account_id, symbol, client_order_id
            HAVING count(*) > 1
        """,  # noqa: S608, our own constant
    ),
    Question(
        name="requests",
        promise="No signed request was executed twice",
        things="signed orders",
        count="SELECT count(*) FROM orders WHERE request IS NOT NULL",
        doubts="""
            SELECT format('commands %s and %s are one request', min(number), max(number))
            FROM orders WHERE request IS NOT NULL GROUP BY request
            HAVING min(number) <> max(number)
        """,
    ),
    Question(
        name="order",
        promise="Nothing is newer than the position, and epochs never fall",
        things="generations",
        count="SELECT count(*) FROM generations",
        doubts="""
            SELECT format('%s is newer than the position', newest) FROM (
                SELECT greatest(
                    (SELECT max(number) FROM orders), (SELECT max(number) FROM transfers),
                    (SELECT max(base) FROM generations)
                ) AS newest
            ) AS numbers WHERE newest > (SELECT number FROM position)
            UNION ALL
            SELECT format('generation %s has epoch %s after %s', base, epoch, before) FROM (
                SELECT base, epoch, lag(epoch) OVER (ORDER BY base) AS before FROM generations
            ) AS pairs WHERE epoch <= before
        """,
    ),
    _candles(Interval.SECOND_1, SECOND),
    _candles(Interval.MINUTE_1, MINUTE),
    _candles(Interval.HOUR_1, HOUR),
    _candles(Interval.DAY_1, DAY),
)
