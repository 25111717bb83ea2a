"""`exchange bench db`: what is measured is what the db-processor really does; times are not judged."""

import json
import subprocess
import sys

import asyncpg
import pytest

from exchange.db_processor.write_bench import make_batches
from exchange.db_processor.writer import write
from exchange.postgres_db.connection import connected


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.db_processor.write_bench", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_db_processor_is_measured_beside_copy() -> None:
    done = bench("--commands", "1500", "--rounds", "2", "--json")

    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [row["name"] for row in report["measured"]] == [
        "db-processor", "raw COPY, batch by batch", "raw COPY, all at once",
    ]  # fmt: skip
    assert all(row["rows_per_s"] > 0 for row in report["measured"])
    assert set(report["ratios"]) == {"rows_vs_copy", "rows_vs_copy_at_once"}


def test_a_bench_is_bounded() -> None:
    assert bench("--commands", "10").returncode == 2
    assert "Example: exchange bench db" in bench("--help").stdout


async def test_what_is_measured_is_a_market_as_the_tables_take_it(database_url: str) -> None:
    batches = list(make_batches(6_000))

    async with connected(database_url, application_name="test") as connection:
        for frames in batches:
            await write(connection, frames)
        orders, filled = await _counts(connection)

    assert orders == 6_000
    assert filled > 1_000
    assert sum(len(frame.outcomes) for frames in batches for frame in frames) == 6_000


async def _counts(connection: asyncpg.Connection) -> tuple[int, int]:
    row = await connection.fetchrow(
        "SELECT count(*), count(*) FILTER (WHERE status = 'FILLED') FROM orders"
    )
    return row[0], row[1]


@pytest.mark.parametrize("commands", [1, 999, 1_000, 1_001])
def test_batches_hold_every_number_once(commands: int) -> None:
    outcomes = [
        outcome.number
        for frames in make_batches(commands)
        for frame in frames
        for outcome in frame.outcomes
    ]

    assert outcomes == list(range(1, commands + 1))
