"""The writer: all of a batch or nothing of it, once, and never what cannot be true."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import msgspec
import pytest
from postgres_db.examples import (
    ACCOUNTS,
    AMENDMENTS,
    AVERAGE_PRICES,
    BALANCES,
    COUNTERS,
    EXCHANGE_RULES,
    HUGE,
    MARKET,
    ORDER_LISTS,
    PREVENTED_MATCHES,
    SPECIAL,
    TRANSFERS,
    frame,
    order,
    outcome,
    trade,
)

from exchange.db_processor.writer import COPY_ORDERS_MIN, PositionMoved, write
from exchange.postgres_db import epochs
from exchange.postgres_db.connection import connected
from exchange.postgres_db.snapshot import Position, open_snapshot
from exchange.services.candles import STORED, fold_trades
from exchange.services.failures import WorldFailed
from exchange.services.markets import ExchangeRules, Rules
from exchange.services.messages import Opened
from exchange.services.orders import ListStatus, OrderStatus, Side
from exchange.services.rows import AveragePrices, Balance, Beginning, Counters, Level, Row, Special


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database_url, application_name="test") as connection:
        yield connection


def balance(free: int) -> Balance:
    return Balance(account=1, asset="SOL", free=free, locked=0)


async def number(connection: asyncpg.Connection) -> int:
    return int(await connection.fetchval("SELECT number FROM position"))


async def test_the_position_is_that_of_the_last_frame(connection: asyncpg.Connection) -> None:
    position = await write(
        connection, [frame(0, outcome(1), outcome(2)), frame(2, outcome(3), state_hash=5)]
    )

    assert position == Position(3, 5, 3)
    found = await connection.fetchrow("SELECT number, state_hash, epoch, time FROM position")
    assert tuple(found) == (3, 5, 3, 20)


async def test_the_last_state_of_each_thing_counts(connection: asyncpg.Connection) -> None:
    await write(connection, [frame(0, outcome(1, balance(5)))])
    await write(connection, [frame(1, outcome(2, balance(6), balance(7)), outcome(3, balance(8)))])

    assert [tuple(row) for row in await connection.fetch("SELECT * FROM balances")] == [
        (1, "SOL", 8, 0)
    ]


async def test_an_order_keeps_the_number_of_the_command_that_created_it(
    connection: asyncpg.Connection,
) -> None:
    resting = order(1)
    await write(connection, [frame(0, outcome(1, resting), outcome(2, order(2)))])
    filled = msgspec.structs.replace(resting, filled=HUGE, locked=0, status=OrderStatus.FILLED)
    await write(connection, [frame(2, outcome(3, filled), outcome(4, order(3), filled))])

    found = await connection.fetch(
        "SELECT order_id, number, filled, status FROM orders ORDER BY order_id"
    )
    assert [tuple(row) for row in found] == [
        (1, 1, HUGE, "FILLED"),
        (2, 2, 0, "NEW"),
        (3, 4, 0, "NEW"),
    ]


async def test_many_orders_at_once_are_written_as_few_are(
    connection: asyncpg.Connection, database_url: str
) -> None:
    count = 2 * COPY_ORDERS_MIN
    rows = [
        order(
            id, symbol=("SOLUSDC", "SOLBNB")[id % 2], request=(None, b"", b"\\x\0\t\n")[id % 3],
            special=SPECIAL if not id % 7 else None,
        )
        for id in range(1, count)
    ]  # fmt: skip
    known = [Counters(symbol=symbol, order_id=count // 4) for symbol in ("SOLUSDC", "SOLBNB")]
    first, later = rows[: count // 4], rows[count // 4 :]
    changed = [msgspec.structs.replace(one, updated=99, locked=0) for one in first]

    await write(connection, [frame(0, outcome(1, MARKET, *first, *known))])
    await write(connection, [frame(1, outcome(2, *changed), outcome(3, *later))])

    async with open_snapshot(database_url, application_name="test") as loaded:
        found = await loaded.open_orders()
    assert sorted(found, key=lambda one: one.id) == [*changed, *later]
    numbers = await connection.fetch("SELECT number, count(*) FROM orders GROUP BY 1 ORDER BY 1")
    assert [tuple(row) for row in numbers] == [(1, len(first)), (3, len(later))]


async def test_what_operators_change_is_changed_as_a_whole(
    connection: asyncpg.Connection, database_url: str
) -> None:
    before: list[Row] = [MARKET, EXCHANGE_RULES, AVERAGE_PRICES, ACCOUNTS[1]]
    after: list[Row] = [
        msgspec.structs.replace(MARKET, rules=Rules(orders_max=1)),
        ExchangeRules(assets_max={"SOL": 1}),
        AveragePrices(symbol="SOLUSDC", minutes=()),
        msgspec.structs.replace(ACCOUNTS[1], tier=0, discount=False, stopped=False),
    ]

    await write(connection, [frame(0, outcome(1, *before))])
    await write(connection, [frame(1, outcome(2, *before, *after))])

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.control_rows() == [*after[:3], ACCOUNTS[0], after[3]]


async def test_an_order_may_become_special_and_plain_again(
    connection: asyncpg.Connection, database_url: str
) -> None:
    async def are_null(*specials: Special | None) -> list[bool]:
        rows = [order(id, special=special) for id, special in enumerate(specials)]
        previous = await number(connection)
        await write(connection, [frame(previous, outcome(previous + 1, *rows))])
        async with open_snapshot(database_url, application_name="test") as loaded:
            assert await loaded.open_orders() == rows
        found = await connection.fetch("SELECT special IS NULL FROM orders ORDER BY order_id")
        return [row[0] for row in found]

    assert await are_null(None, SPECIAL, None) == [True, False, True]
    assert await are_null(SPECIAL, None, Special()) == [False, True, False]
    assert await are_null(None, None, None) == [True, True, True]


async def test_a_list_is_its_last_state(connection: asyncpg.Connection, database_url: str) -> None:
    first, second = ORDER_LISTS
    await write(connection, [frame(0, outcome(1, first, second))])
    ended = msgspec.structs.replace(first, status=ListStatus.ALL_DONE, updated=9)

    await write(connection, [frame(1, outcome(2, ended))])

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.open_lists() == []
    found = await connection.fetch(
        "SELECT list_id, order_ids, status, updated FROM order_lists ORDER BY list_id"
    )
    assert [tuple(row) for row in found] == [
        (first.id, list(first.order_ids), "ALL_DONE", 9),
        (second.id, list(second.order_ids), "ALL_DONE", 2),
    ]


async def test_amendments_and_prevented_matches_are_added(connection: asyncpg.Connection) -> None:
    amended = AMENDMENTS[0]
    again = msgspec.structs.replace(amended, number=amended.number + 1)
    leg = msgspec.structs.replace(amended, order_id=amended.order_id + 1)

    await write(connection, [frame(0, outcome(1, amended, leg, PREVENTED_MATCHES[0]))])
    await write(connection, [frame(1, outcome(2, again), outcome(3, PREVENTED_MATCHES[1]))])

    amendments = await connection.fetch("SELECT order_id, number FROM amendments ORDER BY 1, 2")
    assert [tuple(row) for row in amendments] == [
        (1, amended.number),
        (1, amended.number + 1),
        (2, amended.number),
    ]
    matches = await connection.fetch(
        "SELECT match_id, maker_quantity FROM prevented_matches ORDER BY 1"
    )
    assert [tuple(row) for row in matches] == [(1, HUGE), (2**62, HUGE)]


async def test_trades_are_copied_with_any_text(
    connection: asyncpg.Connection, database_url: str
) -> None:
    trades = [trade(1, symbol="TAB\tNEW\nLINE\\N"), trade(2, buy_fee_asset="\\.")]

    await write(connection, [frame(0, outcome(1, *trades))])

    found = await connection.fetch(
        "SELECT symbol, sell_fee, buy_fee_asset FROM trades ORDER BY trade_id"
    )
    assert [tuple(row) for row in found] == [
        (one.symbol, HUGE, one.buy_fee_asset) for one in trades
    ]


async def test_candles_of_many_batches_are_those_of_all_trades(
    connection: asyncpg.Connection, database_url: str
) -> None:
    minute = 60_000_000
    # The clock steps back between the batches, so open and close have to go by trade id.
    times = [minute, 5, minute + 1, 7, 3_600 * 10**6, 86_400 * 10**6, 9]
    trades = [trade(id, time=at, price=id * 7 % 5 + 1) for id, at in enumerate(times, 1)]

    for previous, batch in enumerate((trades[3:5], trades[:3], trades[5:])):
        await write(connection, [frame(previous, outcome(previous + 1, *batch))])

    async with open_snapshot(database_url, application_name="test") as loaded:
        for interval in STORED:
            assert await loaded.candles(interval, 0) == fold_trades(trades, interval)


async def test_where_a_market_begins_anew_only_what_comes_after_makes_candles(
    connection: asyncpg.Connection, database_url: str
) -> None:
    before = [trade(id, time=id) for id in range(1, 4)]
    after = [trade(id, time=id, price=id) for id in range(4, 6)]
    elsewhere = trade(1, symbol="BTCUSDT")
    beginning = Beginning(symbol="SOLUSDC", trade_id=3)
    markets = [MARKET, msgspec.structs.replace(MARKET, symbol="BTCUSDT")]

    # Before the batch, in it, and in the very frame that ends it: none of these is told.
    await write(connection, [frame(0, outcome(1, *markets, before[0], elsewhere))])
    last = frame(2, outcome(3, before[2]), outcome(4, beginning), outcome(5, after[0]))
    await write(connection, [frame(1, outcome(2, before[1])), last])
    await write(connection, [frame(5, outcome(6, after[1]))])

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.recent_trades(9) == [elsewhere, *after]
        for interval in STORED:
            assert await loaded.candles(interval, 0) == fold_trades([elsewhere, *after], interval)
    assert await connection.fetchval("SELECT count(*) FROM trades") == 6


async def test_frames_that_do_not_follow_are_not_written(connection: asyncpg.Connection) -> None:
    await write(connection, [frame(0, outcome(1, balance(5)))])

    with pytest.raises(PositionMoved, match="Postgres is at 1, the next outcome follows 2"):
        await write(connection, [frame(2, outcome(3, balance(6)))])
    with pytest.raises(PositionMoved):
        await write(connection, [frame(0, outcome(1, balance(6)))])

    assert await number(connection) == 1
    assert await connection.fetchval("SELECT free FROM balances") == 5


async def test_of_two_writers_one_writes(connection: asyncpg.Connection, database_url: str) -> None:
    async with connected(database_url, application_name="other") as other:
        done = await asyncio.gather(
            write(connection, [frame(0, outcome(1, *TRANSFERS))]),
            write(other, [frame(0, outcome(1, *TRANSFERS))]),
            return_exceptions=True,
        )

    assert [type(one) for one in done if isinstance(one, Exception)] == [PositionMoved]
    assert await number(connection) == 1


async def test_a_zombie_cannot_keep_the_position(
    connection: asyncpg.Connection, database_url: str
) -> None:
    async with connected(database_url, application_name="zombie", transaction_idle_s=1) as zombie:
        await zombie.execute("BEGIN")
        await zombie.execute("UPDATE position SET number = 1")

        # The lock time-out is longer than the zombie's idle time, so this waits and goes on.
        await write(connection, [frame(0, outcome(1))])

        # Whether asyncpg knows already that the connection has ended is chance.
        with pytest.raises(
            (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
        ):
            await zombie.execute("COMMIT")


@pytest.mark.parametrize(
    "rows",
    [
        [Balance(account=1, asset="SOL", free=-1, locked=0)],
        [Balance(account=1, asset="SOL", free=0, locked=-1)],
        [order(1, quantity=5, filled=6)],
        [trade(1), trade(1)],
        [TRANSFERS[0], msgspec.structs.replace(TRANSFERS[1], reference=TRANSFERS[0].reference)],
        [ACCOUNTS[1], msgspec.structs.replace(ACCOUNTS[1], id=2)],
        [msgspec.structs.replace(COUNTERS, last_price=HUGE + 1)],
        [AMENDMENTS[0], AMENDMENTS[0]],
        [msgspec.structs.replace(AMENDMENTS[0], new_quantity=AMENDMENTS[0].quantity)],
        [msgspec.structs.replace(AMENDMENTS[0], new_quantity=0)],
        [PREVENTED_MATCHES[0], PREVENTED_MATCHES[0]],
        [msgspec.structs.replace(PREVENTED_MATCHES[0], taker_quantity=-1)],
    ],
    ids=[
        "free",
        "locked",
        "filled",
        "trade id",
        "reference",
        "name",
        "size",
        "amended twice",
        "not smaller",
        "amended to nothing",
        "match id",
        "prevented",
    ],
)
async def test_what_cannot_be_true_stops_us_and_leaves_nothing(
    connection: asyncpg.Connection, rows: list[Row]
) -> None:
    with pytest.raises(AssertionError, match="Postgres refused what was written"):
        await write(connection, [frame(0, outcome(1, BALANCES[1], *rows))])

    assert await number(connection) == 0
    assert await connection.fetchval("SELECT count(*) FROM balances") == 0


async def test_levels_are_not_written(connection: asyncpg.Connection) -> None:
    level = Level(symbol="SOLUSDC", side=Side.BUY, price=1, quantity=HUGE)

    await write(connection, [frame(0, outcome(1, level))])

    assert await number(connection) == 1


async def test_a_generation_is_recorded(connection: asyncpg.Connection) -> None:
    base = 2**20
    opened = outcome(base, COUNTERS, result=Opened(epoch=3, base=base))

    await write(connection, [frame(0, opened)])

    found = await connection.fetch("SELECT base, epoch, time FROM generations")
    assert [tuple(row) for row in found] == [(base, 3, base)]
    assert await number(connection) == base


async def test_a_clean_stop_holds_until_something_follows_it(
    connection: asyncpg.Connection, database_url: str
) -> None:
    await epochs.note_clean_stop(database_url, 2)

    await write(connection, [frame(0, outcome(1), outcome(2))])
    assert (await epochs.last_end(database_url)).clean_stop == 2

    await write(connection, [frame(2, outcome(3))])
    assert (await epochs.last_end(database_url)).clean_stop is None


async def test_a_lost_connection_is_the_world(connection: asyncpg.Connection) -> None:
    connection.terminate()

    with pytest.raises(WorldFailed):
        await write(connection, [frame(0, outcome(1))])
