"""ACK=postgres on a Redis that shows nothing of its configuration: no answer before Postgres has it.

The tests share one exchange; the last one loses its journal.
"""

import json
import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import asyncpg
import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend
from conftest import Servers
from servers import ask_redis, execute_sql, with_database
from websockets.sync.client import connect

from exchange.redis.written import BEHIND_S_MAX

SERVICES = ("engine", "db_processor", "backend")


class Strict(RunningBackend):
    """An exchange that acknowledges what Postgres has."""

    processes: dict[str, subprocess.Popen[bytes]]

    @contextmanager
    def started(self) -> Iterator[None]:
        with ExitStack() as stack:
            self.processes = {name: stack.enter_context(self.running(name)) for name in SERVICES}
            self.await_markets()
            yield

    @contextmanager
    def postgres_behind(self) -> Iterator[None]:
        """Nothing is written into Postgres while the block runs."""
        writer = self.processes["db_processor"]
        os.kill(writer.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(writer.pid, signal.SIGCONT)

    async def stored(self) -> set[str]:
        """The client order ids that Postgres has at this moment."""
        connection = await asyncpg.connect(self.database_url)
        try:
            rows = await connection.fetch("SELECT client_order_id FROM orders")
        finally:
            await connection.close()
        return {row["client_order_id"] for row in rows}


@pytest.fixture(scope="module")
def exchange(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Strict]:
    name = f"strict_{uuid.uuid4().hex}"
    execute_sql(servers.postgres.url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    assert ask_redis(servers.redis.url, "FLUSHALL") == "+OK"
    # Managed servers do it so: everything is allowed but their configuration.
    user = "ACL SETUSER shut on >word ~* &* +@all -config"
    assert ask_redis(servers.redis.url, user) == "+OK"
    one = Strict(
        tmp_path_factory.mktemp("strict"),
        with_database(servers.postgres.url, name),
        servers.redis.url.replace("redis://", "redis://shut:word@"),
        ACK="postgres",
        JOURNAL_UNCHECKED="1",
    )
    with one.started():
        yield one
    ask_redis(servers.redis.url, "ACL DELUSER shut")


def until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_status_says_what_is_acknowledged_and_that_nobody_has_checked_redis(
    exchange: Strict,
) -> None:
    status = exchange.admin("GET", "status").body

    assert (status["ack"], status["journalChecked"]) == ("postgres", False)


async def test_what_is_answered_is_in_postgres(exchange: Strict) -> None:
    trader = exchange.trader(USDC="1000")

    for number in range(5):
        assert trader.order("BUY", "1", "10", newClientOrderId=f"s-{number}").status == 200
        assert f"s-{number}" in await exchange.stored()


def test_many_are_answered_side_by_side(exchange: Strict) -> None:
    traders = [exchange.trader(USDC="10000") for _ in range(8)]

    def place(number: int) -> Answer:
        return traders[number % 8].order("BUY", "1", "10", newClientOrderId=f"many-{number}")

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(place, range(160)))

    assert {answer.status for answer in answers} == {200}


def test_while_postgres_is_behind_orders_are_shed_and_nothing_is_told(exchange: Strict) -> None:
    trader, other = exchange.trader(USDC="1000"), exchange.trader(USDC="1000")
    kept = trader.order("BUY", "1", "10").body["orderId"]
    with ThreadPoolExecutor(2) as threads:
        with exchange.postgres_behind():
            waiting = threads.submit(trader.order, "BUY", "1", "11", newClientOrderId="waits")
            time.sleep(BEHIND_S_MAX)
            until(lambda: other.order("BUY", "1", "10", recvWindow=60_000).status == 503)

            shed = other.order("BUY", "1", "10", newClientOrderId="shed")
            cancelling = threads.submit(
                trader.call, "DELETE", "order", symbol="SOLUSDC", orderId=kept
            )

            assert (shed.status, shed.body["code"]) == (503, -1008)
        # Whoever had to wait for too long is told that it is unknown, which is true as well.
        answers = [waiting.result(), cancelling.result()]
    assert {answer.status for answer in answers} <= {200, 504}
    until(lambda: other.order("BUY", "1", "10", newClientOrderId="after").status == 200)
    found = trader.call("GET", "order", symbol="SOLUSDC", origClientOrderId="waits")
    assert found.body["status"] == "NEW"
    found = trader.call("GET", "order", symbol="SOLUSDC", orderId=kept)
    assert found.body["status"] == "CANCELED"
    missing = other.call("GET", "order", symbol="SOLUSDC", origClientOrderId="shed")
    assert missing.body["code"] == -2013


def test_no_stream_tells_what_postgres_has_not(exchange: Strict) -> None:
    trader = exchange.trader(USDC="1000")
    early = set()
    with (
        exchange.running_websocket() as address,
        connect(f"{address}/ws/solusdc@bookTicker") as socket,
        ThreadPoolExecutor(1) as threads,
    ):
        with exchange.postgres_behind():
            waiting = threads.submit(trader.order, "BUY", "1", "55")
            until(lambda: exchange.admin("GET", "status").body["lag"]["database"] > 0)
            with suppress(TimeoutError):
                while True:
                    early.add(json.loads(socket.recv(timeout=0.3))["b"])
        waiting.result()

        while json.loads(socket.recv(timeout=20))["b"] != "55.00000000":
            pass
    assert "55.00000000" not in early


async def test_a_journal_that_is_lost_loses_nothing_that_was_acknowledged(
    exchange: Strict, servers: Servers
) -> None:
    traders = [exchange.trader(USDC="100000") for _ in range(4)]
    acknowledged: set[str] = set()

    def trade(trader: Trader, name: str) -> None:
        # No more than a market lets an account have open.
        for number in range(150):
            answer = trader.order("BUY", "1", "10", newClientOrderId=f"{name}-{number}")
            if answer.status != 200:
                return
            acknowledged.add(f"{name}-{number}")

    with ThreadPoolExecutor(4) as threads:
        trading = [threads.submit(trade, one, f"lost-{n}") for n, one in enumerate(traders)]
        until(lambda: len(acknowledged) > 100)
        assert ask_redis(servers.redis.url, "FLUSHALL") == "+OK"
        for one in trading:
            one.result()

    # Where nothing is left of the journal, an exchange goes on from Postgres.
    stored = await exchange.stored()
    assert acknowledged - stored == set()
