"""The files of a running database on this machine, copied so that a server can start on them.

What is being written meanwhile is put right at that start, from the log of the same time: that is
how a base backup works, without the way over a connection. It is quick where a dump is not.
"""

import asyncio
from pathlib import Path

import asyncpg

from exchange.postgres_db.connection import connected, reporting_failures
from exchange.services.folder_copy import copy_file, copy_folder

_NAME = "exchange-file-copy"
_LOG = "pg_wal"
_EMPTY = frozenset(["pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", _LOG])
"""Folders whose content is of a running server only; the log is copied apart."""
_LEFT_OUT = frozenset(["postmaster.pid", "postmaster.opts", "backup_label", "tablespace_map"])
"""Files, likewise."""
_RENAMED = 150_000
"""From Postgres 15 on the functions have other names."""


async def copy_files(dsn: str, source: Path, target: Path) -> dict[str, int]:
    """Copy the data folder `source` of the server of this database to `target`, a new folder.

    Returns the greatest numbers before it was begun. Raises WorldFailed, OSError.
    """
    async with connected(dsn, application_name=_NAME, command_timeout_s=600.0) as connection:
        numbers = await greatest_numbers(connection)
        with reporting_failures():
            is_new = connection.get_server_version()[0] * 10_000 >= _RENAMED
            await connection.execute(_BEGIN if is_new else _BEGIN_BEFORE)
        await asyncio.to_thread(copy_folder, source, target, leave_out=_LEFT_OUT, empty=_EMPTY)
        with reporting_failures():
            end = await connection.fetchrow(_END if is_new else _END_BEFORE)
    (target / "backup_label").write_text(end["labelfile"], encoding="utf-8")
    await asyncio.to_thread(_copy_log, source / _LOG, target / _LOG, end["first"], end["last"])
    return numbers


async def greatest_numbers(connection: asyncpg.Connection | asyncpg.Pool) -> dict[str, int]:
    """How far everything has been counted that is shown to somebody, by what it counts."""
    with reporting_failures():
        position = await connection.fetchval("SELECT number FROM position")
        counters = await connection.fetch(_COUNTERS)
    counted = {
        f"{row['symbol']} {name}": value
        for row in counters
        for name, value in row.items()
        if name != "symbol"
    }
    return {"position": position, **counted}


def _copy_log(source: Path, target: Path, first: str, last: str) -> None:
    """The segments from the beginning of the copy to its end; those behind hold nothing yet."""
    for path in sorted(source.iterdir()):
        if first <= path.name <= last and path.is_file():
            copy_file(path, target / path.name)


_BEGIN = "SELECT pg_backup_start('exchange snapshot', true)"
_BEGIN_BEFORE = "SELECT pg_start_backup('exchange snapshot', true, false)"
_ENDED = """
    SELECT labelfile, substring(labelfile FROM 'file ([0-9A-F]{24})') AS first,
        pg_walfile_name(lsn) AS last
    FROM %s
"""
_END = _ENDED % "pg_backup_stop(false)"
_END_BEFORE = _ENDED % "pg_stop_backup(false, false)"
_COUNTERS = "SELECT symbol, order_id, trade_id, update_id, queue, match_id FROM counters"
