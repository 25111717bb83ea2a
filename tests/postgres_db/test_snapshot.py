"""A snapshot: what outcomes said is what is loaded, field by field, at one position."""

import time
from collections import Counter
from itertools import product
from typing import get_args

import msgspec
import pytest
from postgres_db.examples import (
    ACCOUNTS,
    ASSETS,
    AVERAGE_PRICES,
    BALANCES,
    COUNTERS,
    EXAMPLES,
    EXCHANGE_RULES,
    HUGE,
    KEYS,
    MARKET,
    ORDER_LISTS,
    SPECIAL,
    TRANSFERS,
    frame,
    order,
    outcome,
    trade,
)
from sqlalchemy import Numeric
from stored_tables import STORED_IN, columns

from exchange.db_processor.writer import write
from exchange.postgres_db import snapshot
from exchange.postgres_db.connection import connected
from exchange.postgres_db.schema import SchemaTooOld
from exchange.postgres_db.snapshot import Position, open_snapshot
from exchange.postgres_db.stored import AMOUNTS, PRIMARY_KEYS, column_names
from exchange.services.candles import SECOND, Interval, fold_trades
from exchange.services.failures import WorldFailed
from exchange.services.messages import (
    Outcome,
    OutcomeFrame,
    Reason,
    Rejected,
    Repeated,
    Result,
    SignedRequest,
    encode,
)
from exchange.services.orders import OPEN_STATUSES, ListStatus, OrderStatus, Side
from exchange.services.rows import Level, OrderList, Row, Special


async def write_frames(url: str, *frames: OutcomeFrame) -> None:
    async with connected(url, application_name="test") as connection:
        await write(connection, frames)


async def write_rows(url: str, *rows: Row) -> None:
    await write_frames(url, frame(0, outcome(1, *rows)))


@pytest.mark.parametrize("kind", STORED_IN, ids=lambda kind: kind.__name__)
def test_every_field_has_its_column(kind: type[msgspec.Struct]) -> None:
    assert [column.name for column in columns(kind)] == column_names(kind)
    assert tuple(column.name for column in STORED_IN[kind].primary_key) == PRIMARY_KEYS[kind]
    amounts = {column.name for column in columns(kind) if isinstance(column.type, Numeric)}
    assert amounts == AMOUNTS & set(column_names(kind))


def test_everything_but_levels_has_an_example() -> None:
    assert {*EXAMPLES, Level} == set(get_args(Row))


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
async def test_every_row_comes_back_as_it_was_written(database_url: str, kind: type[Row]) -> None:
    await write_rows(database_url, *EXAMPLES[kind])

    async with open_snapshot(database_url, application_name="test") as loaded:
        found = await loaded._load(kind, "")

    by_text = sorted(EXAMPLES[kind], key=encode)
    assert sorted(found, key=encode) == by_text
    # As bytes too, because those are what the state hash is over.
    assert sorted(map(encode, found)) == list(map(encode, by_text))


async def test_a_new_exchange_is_empty_but_for_its_own_account(database_url: str) -> None:
    async with open_snapshot(database_url, application_name="test") as loaded:
        assert loaded.position == Position(0, 0, 0)
        assert await loaded.control_rows() == ACCOUNTS[:1]
        assert await loaded.balances() == []
        assert await loaded.open_lists() == []
        assert await loaded.levels() == []


async def test_control_rows_come_back_as_they_were_written(database_url: str) -> None:
    rows: list[Row] = [*ASSETS, MARKET, EXCHANGE_RULES, COUNTERS, AVERAGE_PRICES, *ACCOUNTS, *KEYS]
    await write_rows(database_url, *reversed(rows))

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.control_rows() == rows
        assert loaded.position == Position(1, 2**64 - 1, 3)


async def test_balances_and_transfers_come_back(database_url: str) -> None:
    await write_rows(database_url, *BALANCES, *TRANSFERS)

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.balances() == BALANCES
        assert await loaded.transfers_by_reference() == TRANSFERS


async def test_open_orders_come_back_by_market_and_queue(database_url: str) -> None:
    wanted = [
        order(9, symbol="BTCUSDT", queue=1),
        order(3, symbol="SOLUSDC", queue=4, filled=7, status=OrderStatus.PARTIALLY_FILLED),
        order(2, symbol="SOLUSDC", queue=5, request=bytes(range(32)), deadline=99),
        order(7, symbol="SOLUSDC", queue=6, status=OrderStatus.PENDING_NEW, special=SPECIAL),
    ]
    closed = [
        order(4, filled=HUGE, status=OrderStatus.FILLED),
        order(5, status=OrderStatus.CANCELED),
        order(6, status=OrderStatus.EXPIRED),
        order(8, status=OrderStatus.EXPIRED_IN_MATCH, special=Special(prevented=HUGE)),
    ]
    await write_rows(database_url, *closed, *reversed(wanted))

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.open_orders() == wanted


async def test_open_lists_come_back_by_market_and_age(database_url: str) -> None:
    def listed(id: int, symbol: str) -> OrderList:
        return msgspec.structs.replace(ORDER_LISTS[0], id=id, symbol=symbol)

    wanted = [listed(9, "BTCUSDT"), listed(3, "SOLUSDC"), listed(10, "SOLUSDC")]
    ended = msgspec.structs.replace(listed(4, "SOLUSDC"), status=ListStatus.ALL_DONE)
    await write_rows(database_url, ended, *reversed(wanted))

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.open_lists() == wanted


async def test_all_orders_of_open_lists_come_back_also_those_that_have_ended(
    database_url: str,
) -> None:
    def listed(id: int, symbol: str, *order_ids: int) -> OrderList:
        return msgspec.structs.replace(
            ORDER_LISTS[0], id=id, symbol=symbol, order_ids=order_ids, status=ListStatus.EXECUTING
        )

    wanted = [
        order(5, symbol="BTCUSDT"),
        order(1, symbol="SOLUSDC", filled=HUGE, status=OrderStatus.FILLED),
        order(2, symbol="SOLUSDC"),
    ]
    others = [order(1, symbol="BTCUSDT"), order(3, symbol="SOLUSDC"), order(5, symbol="SOLUSDC")]
    ended = msgspec.structs.replace(listed(4, "SOLUSDC", 3), status=ListStatus.ALL_DONE)
    lists = [ended, listed(9, "BTCUSDT", 5), listed(3, "SOLUSDC", 1, 2)]
    await write_rows(database_url, *wanted, *others, *lists)

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.orders_of_open_lists() == wanted


async def test_levels_are_the_open_quantity_by_price(database_url: str) -> None:
    await write_rows(
        database_url,
        order(1, price=HUGE, quantity=HUGE),
        order(2, price=HUGE, quantity=HUGE, filled=1, status=OrderStatus.PARTIALLY_FILLED),
        order(3, price=7, quantity=5),
        order(4, price=8, quantity=6, side=Side.SELL),
        order(5, price=7, quantity=9, status=OrderStatus.CANCELED),
    )

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.levels() == [
            Level(symbol="SOLUSDC", side=Side.BUY, price=7, quantity=5),
            # Two of the largest amounts are more than a column holds, and still exact.
            Level(symbol="SOLUSDC", side=Side.BUY, price=HUGE, quantity=2 * HUGE - 1),
            Level(symbol="SOLUSDC", side=Side.SELL, price=8, quantity=6),
        ]


async def test_levels_are_what_resting_orders_show(database_url: str) -> None:
    specials = [
        None,
        Special(),
        Special(waiting=True, stop_price=3, working_time=0),
        Special(stop_price=3, working_time=5),
        Special(iceberg_quantity=50, shown=20),
        Special(iceberg_quantity=50, shown=7, prevented=3),
        Special(waiting=True, iceberg_quantity=50),
        Special(prevented=30),
    ]
    orders = [
        order(id, price=id % 3 + 1, quantity=100, filled=10, status=status, special=special)
        for id, (status, special) in enumerate(product(OrderStatus, specials), 1)
    ]
    shown: Counter[int] = Counter()
    for one in orders:
        shown[one.price] += one.shown if one.is_resting else 0
    await write_rows(database_url, *orders)

    async with open_snapshot(database_url, application_name="test") as loaded:
        found = await loaded.levels()

    assert {level.price: level.quantity for level in found} == shown


@pytest.mark.parametrize("status", OPEN_STATUSES)
async def test_a_price_where_nothing_rests_is_no_level(
    database_url: str, status: OrderStatus
) -> None:
    await write_rows(database_url, order(1, status=status, special=Special(waiting=True)))

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.levels() == []


async def test_recent_trades_are_the_newest_of_each_market(database_url: str) -> None:
    other = msgspec.structs.replace(MARKET, symbol="BTCUSDT")
    trades = [trade(id, price=HUGE - id) for id in range(1, 6)]
    elsewhere = [trade(id, symbol="BTCUSDT") for id in range(1, 3)]
    await write_rows(database_url, MARKET, other, *trades, *elsewhere)

    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.recent_trades(3) == [*elsewhere, *trades[2:]]


async def test_candles_come_back_since_a_time(database_url: str) -> None:
    trades = [trade(id, time=id * 60_000_000, price=id) for id in range(1, 6)]
    await write_rows(database_url, *trades)

    async with open_snapshot(database_url, application_name="test") as loaded:
        found = await loaded.candles(Interval.MINUTE_1, 3 * 60_000_000)

    assert found == fold_trades(trades[2:], Interval.MINUTE_1)


async def test_signed_requests_are_there_until_a_frame_makes_them_forgotten(
    database_url: str,
) -> None:
    def signed(number: int, *, deadline: int, result: Result | None = None) -> Outcome:
        made = outcome(number, result=result, request=bytes([number]))
        return msgspec.structs.replace(made, deadline=deadline)

    refused, repeat = Rejected(reason=Reason.INVALID), Repeated(number=1)
    first = [
        signed(1, deadline=5 * SECOND),
        signed(2, deadline=7 * SECOND, result=refused),
        signed(3, deadline=8 * SECOND, result=repeat),
        outcome(4),
        signed(5, deadline=6 * SECOND),
    ]
    await write_frames(database_url, frame(0, *first))
    async with open_snapshot(database_url, application_name="test") as loaded:
        assert [one.number for one in await loaded.requests()] == [1, 2, 5]

    def forgetting(since: int, number: int, *, deadline: int) -> OutcomeFrame:
        made = frame(number - 1, signed(number, deadline=deadline * SECOND))
        return msgspec.structs.replace(made, forgets=since * SECOND)

    # Who forgets less brings nothing back, and what comes then is kept.
    await write_frames(
        database_url,
        forgetting(6, 6, deadline=99),
        forgetting(7, 7, deadline=6),
        forgetting(1, 8, deadline=3),
    )
    async with open_snapshot(database_url, application_name="test") as loaded:
        assert await loaded.requests() == [
            SignedRequest(number, bytes([number]), deadline * SECOND)
            for number, deadline in ((2, 7), (6, 99), (8, 3))
        ]


async def test_what_is_written_later_is_not_seen(database_url: str) -> None:
    await write_rows(database_url, BALANCES[0])

    async with open_snapshot(database_url, application_name="test") as loaded:
        await write_frames(database_url, frame(1, outcome(2, BALANCES[1])))

        assert await loaded.balances() == BALANCES[:1]
        assert loaded.position.number == 1


async def test_a_schema_that_is_too_old_is_waited_for(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshot, "WAIT_S", 0.2)

    with pytest.raises(SchemaTooOld):
        async with open_snapshot(empty_database_url, application_name="test"):
            pass


async def test_a_missing_postgres_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setattr(snapshot, "WAIT_S", 0.2)
    began = time.monotonic()

    with pytest.raises(WorldFailed):
        async with open_snapshot(
            f"postgresql://exchange@127.0.0.1:{unused_tcp_port}/x", application_name="test"
        ):
            pass
    assert time.monotonic() - began > 0.2
