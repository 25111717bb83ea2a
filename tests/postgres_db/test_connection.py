"""Connections: amounts are integers, and every failure is of one of three kinds."""

import socket

import asyncpg
import pytest
from postgres_db.examples import HUGE
from servers import KillableServer

from exchange.postgres_db.connection import connect, connected, pool, reporting_failures
from exchange.services.failures import OperatorNeeded, WorldFailed


async def test_amounts_are_integers_of_any_size(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        found = await connection.fetchrow("SELECT $1::numeric(38,0), 0::numeric", -HUGE)

    assert tuple(found) == (-HUGE, 0)
    assert type(found[1]) is int


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_holds_integers_of_any_size(database_url: str, kind: str) -> None:
    written = {"key": [HUGE, -HUGE, 2**64], "none": None, "text": 'a "quoted" \\ ünïcode'}

    async with connected(database_url, application_name="test") as connection:
        found = await connection.fetchrow(f"SELECT $1::{kind}, NULL::{kind}", written)

    assert tuple(found) == (written, None)
    assert {type(number) for number in found[0]["key"]} == {int}


async def test_a_session_gives_up_what_it_cannot_finish(database_url: str) -> None:
    async with connected(database_url, application_name="test", transaction_idle_s=2) as connection:
        settings = [
            await connection.fetchval(f"SHOW {name}")
            for name in (
                "application_name",
                "idle_in_transaction_session_timeout",
                "lock_timeout",
            )
        ]

    assert settings == ["test", "2s", "2s"]


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has it")
async def test_a_dead_peer_is_noticed_on_both_sides(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        tcp = connection._transport.get_extra_info("socket")

        assert tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 3_000
        assert await connection.fetchval("SHOW tcp_user_timeout") == "3000"


async def test_the_pool_reads_amounts_and_json_alike(database_url: str) -> None:
    connections = await pool(database_url, application_name="test", size_max=2)

    async with connections:
        assert await connections.fetchval("SELECT 1::numeric(38,0)") == 1
        assert await connections.fetchval("SELECT jsonb_build_array(1)") == [1]
        assert await connections.fetchval("SELECT current_setting('lock_timeout')") == "2s"


async def test_a_violated_constraint_is_a_fault_of_ours(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        with pytest.raises(AssertionError, match="balances_free_check"), reporting_failures():
            await connection.execute("INSERT INTO balances VALUES (1, 'SOL', -1, 0)")


async def test_a_value_that_does_not_fit_is_a_fault_of_ours(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        with pytest.raises(AssertionError, match="numeric field overflow"), reporting_failures():
            await connection.execute("INSERT INTO balances VALUES (1, 'SOL', $1, 0)", HUGE + 1)
        with pytest.raises(AssertionError, match="invalid input"), reporting_failures():
            await connection.execute("INSERT INTO balances VALUES ($1, 'SOL', 0, 0)", "one")


async def test_another_failure_is_the_worlds(database_url: str) -> None:
    async with connected(database_url, application_name="test") as connection:
        with pytest.raises(WorldFailed, match="read-only"), reporting_failures():
            async with connection.transaction(readonly=True):
                await connection.execute("DELETE FROM balances")


@pytest.mark.parametrize("fault", [OSError("no route"), TimeoutError(), ConnectionResetError()])
def test_a_broken_network_is_the_worlds(fault: OSError) -> None:
    with pytest.raises(WorldFailed, match="Postgres cannot be reached: "), reporting_failures():
        raise fault


async def test_nobody_listens(unused_tcp_port: int) -> None:
    with pytest.raises(WorldFailed, match="Postgres cannot be reached"):
        await connect(f"postgresql://exchange@127.0.0.1:{unused_tcp_port}/x", application_name="t")


async def test_an_unknown_user_needs_an_operator(postgres_url: str) -> None:
    nobody = postgres_url.replace("//", "//nobody-we-know:secret@", 1)
    nobody = nobody.replace("nobody-we-know:secret@exchange", "nobody-we-know:secret", 1)

    with pytest.raises(OperatorNeeded, match="Check DATABASE_URL") as caught:
        await connect(nobody, application_name="test")
    assert "secret" not in str(caught.value)


async def test_a_server_that_dies_is_the_world(own_postgres: KillableServer) -> None:
    async with connected(own_postgres.url, application_name="test") as connection:
        own_postgres.kill()
        with pytest.raises(WorldFailed), reporting_failures():
            await ask_for_ever(connection)


async def ask_for_ever(connection: asyncpg.Connection) -> None:
    """The server's child that serves us may live a moment longer than it."""
    while True:
        await connection.fetchval("SELECT 1")


async def test_closing_ends_the_session(database_url: str) -> None:
    async with connected(database_url, application_name="short") as connection:
        pass
    assert connection.is_closed()

    watcher = await asyncpg.connect(database_url)
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'short'"
    assert await watcher.fetchval(count) == 0
    await watcher.close()
