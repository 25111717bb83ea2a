"""Migrations: they make exactly the tables that the code knows, once, however often they run."""

import asyncio
import subprocess
import sys

import asyncpg
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from postgres_db import first_version
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from exchange.postgres_db import epochs
from exchange.postgres_db.connection import connected
from exchange.postgres_db.migrator import configuration
from exchange.postgres_db.schema import SchemaTooOld, require_schema, schema_version
from exchange.postgres_db.snapshot import Position, open_snapshot
from exchange.postgres_db.stored import SCHEMA_VERSION
from exchange.postgres_db.tables import metadata
from exchange.postgres_db.upgrade import upgrade
from exchange.services.candles import Interval
from exchange.services.failures import OperatorNeeded, WorldFailed
from exchange.services.messages import SignedRequest
from exchange.services.orders import Side
from exchange.services.rows import AveragePrices, Balance, Level

MIGRATIONS = len(list(ScriptDirectory.from_config(configuration()).walk_revisions()))
# Everything that SQL can see of the tables of one schema, names and definitions. The order of the
# columns is left out: what a migration adds to a table comes last, and queries name their columns.
SCHEMA_OBJECTS = """
    SELECT 'column', table_name, column_name, data_type, is_nullable, column_default,
        numeric_precision::text, numeric_scale::text
    FROM information_schema.columns WHERE table_schema = :schema
    UNION ALL
    SELECT 'constraint', c.conname, pg_get_constraintdef(c.oid), '', '', '', '', ''
    FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace
    WHERE n.nspname = :schema AND c.contype <> 'n'
    UNION ALL
    SELECT 'index', indexname, replace(indexdef, ' ' || :schema || '.', ' '), '', '', '', '', ''
    FROM pg_indexes WHERE schemaname = :schema
"""


def engine_of(url: str) -> AsyncEngine:
    return create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))


def differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return list(compare_metadata(context, metadata))


async def test_the_migrations_make_exactly_the_metadata(database_url: str) -> None:
    engine = engine_of(database_url)

    async with engine.connect() as connection:
        found = await connection.run_sync(differences)

    await engine.dispose()
    assert found == []


async def test_constraints_and_indexes_are_the_same_too(database_url: str) -> None:
    engine = engine_of(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE SCHEMA wanted"))
        await connection.execute(text("SET LOCAL search_path TO wanted"))
        await connection.run_sync(metadata.create_all)
        await connection.execute(text("SET LOCAL search_path TO public"))

        migrated = await connection.execute(text(SCHEMA_OBJECTS), {"schema": "public"})
        wanted = await connection.execute(text(SCHEMA_OBJECTS), {"schema": "wanted"})

        found = {tuple(row) for row in migrated if "alembic_version" not in row[1]}
        assert found == {tuple(row) for row in wanted}
    await engine.dispose()


async def test_a_used_database_is_upgraded_with_all_that_is_in_it(empty_database_url: str) -> None:
    await _upgrade_to("0001", empty_database_url)
    await _execute(empty_database_url, *first_version.STATEMENTS)
    async with connected(empty_database_url, application_name="test") as connection:
        uuid = await connection.fetchval("SELECT uuid FROM cluster")
    with pytest.raises(SchemaTooOld):
        await epochs.cluster_uuid(empty_database_url)

    await upgrade(empty_database_url)

    # The hash of rows that had less in them says nothing about these.
    await _check_old_rows(empty_database_url, state_hash=-1)
    assert await epochs.cluster_uuid(empty_database_url) == uuid
    async with open_snapshot(empty_database_url, application_name="test") as loaded:
        assert await loaded.requests() == [SignedRequest(11, b"r", 99)]
        # The last two minutes with trades, which a market with this setting kept in mind.
        averages = AveragePrices(symbol="SOLUSDC", minutes=((4, 4, 40), (6, 6, 60)))
        assert [averages] == [
            row for row in await loaded.control_rows() if isinstance(row, AveragePrices)
        ]


async def test_an_older_version_can_still_write(database_url: str) -> None:
    await _execute(database_url, *first_version.STATEMENTS)

    await _check_old_rows(database_url, state_hash=13)


async def test_a_batch_that_is_being_written_is_waited_for(empty_database_url: str) -> None:
    await _upgrade_to("0001", empty_database_url)
    accounts, *_, position, _ = first_version.STATEMENTS
    (orders,) = (one for one in first_version.STATEMENTS if "INTO orders" in one)
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"

    async with connected(empty_database_url, application_name="test") as writer:
        async with writer.transaction(), asyncio.timeout(30):
            await writer.execute(position)
            await writer.execute(accounts)
            upgrading = asyncio.create_task(upgrade(empty_database_url))
            while not await writer.fetchval(waiting):
                await asyncio.sleep(0.01)
            await writer.execute(orders)

        assert len(await upgrading) == MIGRATIONS - 1
        assert await writer.fetchval("SELECT count(self_trade) FROM orders") == 2


def test_the_code_needs_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(configuration()).get_current_head() == SCHEMA_VERSION


async def test_a_second_upgrade_does_nothing(empty_database_url: str) -> None:
    first = await upgrade(empty_database_url)
    uuid = await epochs.cluster_uuid(empty_database_url)

    assert len(first) == MIGRATIONS
    assert await upgrade(empty_database_url) == []
    assert await epochs.cluster_uuid(empty_database_url) == uuid


async def test_of_two_upgrades_at_once_one_does_the_work(empty_database_url: str) -> None:
    done = await asyncio.gather(upgrade(empty_database_url), upgrade(empty_database_url))

    assert sorted(map(len, done)) == [0, MIGRATIONS]


async def test_a_database_of_a_newer_version_is_left_alone(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")

        assert await upgrade(database_url) == []
        assert await schema_version(connection) == "9999"
        await require_schema(connection)


async def test_an_empty_database_is_too_old(empty_database_url: str) -> None:
    async with connected(empty_database_url, application_name="test") as connection:
        with pytest.raises(SchemaTooOld, match="exchange db upgrade"):
            await require_schema(connection)


async def test_a_missing_postgres_is_waited_for_and_said(
    capsys: pytest.CaptureFixture[str], unused_tcp_port: int
) -> None:
    with pytest.raises(WorldFailed):
        await upgrade(f"postgresql://exchange@127.0.0.1:{unused_tcp_port}/exchange", wait_s=0.3)

    assert "Waiting for Postgres (0 of 0 s): Postgres cannot be reached" in capsys.readouterr().out


async def test_a_missing_database_needs_an_operator(postgres_url: str) -> None:
    with pytest.raises(OperatorNeeded, match="Check DATABASE_URL"):
        await upgrade(postgres_url + "-that-is-not-there")


def test_the_command_says_what_it_did(empty_database_url: str) -> None:
    def run() -> str:
        return subprocess.run(
            [sys.executable, "-m", "exchange.postgres_db", "upgrade"],
            env={"DATABASE_URL": empty_database_url.replace("postgresql://", "postgres://")},
            check=True,
            capture_output=True,
            text=True,
            timeout=150,
        ).stdout

    assert run().startswith("Migrated to 0001: ")
    assert run() == f"Nothing to do: the schema serves version {SCHEMA_VERSION}.\n"


async def test_the_first_tables_hold_the_account_of_the_exchange(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        accounts = await connection.fetch("SELECT * FROM accounts")
        position = await connection.fetchrow("SELECT * FROM position")

    assert [tuple(account) for account in accounts] == [
        (0, "exchange", 0, 0, False, False, None, "TRADER")
    ]
    assert tuple(position) == (True, 0, 0, 0, 0, 0)


async def _check_old_rows(url: str, state_hash: int) -> None:
    """That the rows of the first version are there, and nothing in them is special."""
    async with open_snapshot(url, application_name="test") as loaded:
        rows = [row for row in await loaded.control_rows() if not isinstance(row, AveragePrices)]
        open_orders = await loaded.open_orders()

        assert loaded.position == Position(12, state_hash, 1)
        assert rows == first_version.CONTROL_ROWS
        assert open_orders == first_version.OPEN_ORDERS
        assert await loaded.balances() == [Balance(account=1, asset="SOL", free=7, locked=4)]
        assert await loaded.levels() == [
            Level(symbol="SOLUSDC", side=Side.SELL, price=5, quantity=4)
        ]
        assert [trade.sell_fee_asset for trade in await loaded.recent_trades(9)] == [""]
        assert [one.reference for one in await loaded.transfers_by_reference()] == ["reference"]
        assert len(await loaded.candles(Interval.MINUTE_1, 0)) == 3


async def _upgrade_to(revision: str, url: str) -> None:
    engine = engine_of(url)
    async with engine.begin() as connection:
        await connection.run_sync(lambda sync: command.upgrade(configuration(sync), revision))
    await engine.dispose()


async def _execute(url: str, *statements: str) -> None:
    async with connected(url, application_name="test") as connection:
        for statement in statements:
            await connection.execute(statement)
