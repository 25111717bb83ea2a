"""The database into a file and back, by Postgres' own programs, with the position that it stands for.

The dump is of one snapshot: what it says of its position is true of every row in it.
"""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit, urlunsplit

from exchange.postgres_db.connection import connected, reporting_failures
from exchange.postgres_db.schema import require_schema
from exchange.postgres_db.upgrade import upgrade
from exchange.services.backup_file import (
    BackupFault,
    Manifest,
    extract_dump,
    key_print,
    read_manifest,
    sha256_of,
    write_backup,
)
from exchange.services.clock import now_us
from exchange.services.embedded import ServerFault, find_postgres

_NAME = "exchange-backup"
_HEAD_OF_SCRIPT = (b"--", b"\n", b"SET ", b"\\")
_CHUNK_BYTES = 1 << 20


async def backup(dsn: str, file: Path, key: bytes | None, *, with_key: bool) -> Manifest:
    """Write the database into a file, beside whatever goes on in it.

    `key` is the master key if it is known; it goes along only if that is wished. Raises
    BackupFault, WorldFailed, OperatorNeeded.
    """
    _make_room(file)
    with tempfile.TemporaryDirectory(dir=file.parent, prefix=".backup-") as folder:
        dump = Path(folder) / "database.dump"
        async with _exported(dsn) as snapshot:
            await _run(
                dsn, "pg_dump", "--format=custom", "--no-owner", "--no-privileges",
                f"--snapshot={snapshot.name}", f"--file={dump}",
            )  # fmt: skip
        manifest = Manifest(
            cluster=snapshot.cluster,
            position=snapshot.position,
            time=snapshot.time,
            made=now_us(),
            schema=snapshot.schema,
            postgres=snapshot.postgres,
            dump_sha256=sha256_of(dump),
            key_print=None if key is None else key_print(key),
            has_key=with_key and key is not None,
        )
        write_backup(file, manifest, dump, key if with_key else None)
    return manifest


async def restore(dsn: str, file: Path) -> Manifest:
    """Fill an empty database from a file, and bring it up to date. Raises as `backup` does."""
    manifest = read_manifest(file)
    await _require_empty(dsn)
    with tempfile.TemporaryDirectory(prefix="restore-") as folder:
        dump = extract_dump(file, Path(folder))
        await _load(dsn, dump)
    await upgrade(dsn)
    async with connected(dsn, application_name=_NAME, command_timeout_s=3_600.0) as connection:
        with reporting_failures():
            # Who asks next would otherwise have to guess how much there is.
            await connection.execute("ANALYZE")
    return manifest


class _Exported(NamedTuple):
    """A snapshot that others can use while its transaction lasts, and what it shows."""

    name: str
    cluster: str
    position: int
    time: int
    schema: str
    postgres: str


@asynccontextmanager
async def _exported(dsn: str) -> AsyncIterator[_Exported]:
    async with connected(dsn, application_name=_NAME) as connection:
        await require_schema(connection)
        with reporting_failures():
            await connection.execute("SET idle_in_transaction_session_timeout = 0")
            await connection.transaction(isolation="repeatable_read", readonly=True).start()
            record = await connection.fetchrow(_EXPORT)
        yield _Exported(*record)


def _make_room(file: Path) -> None:
    if file.exists():
        raise BackupFault(f"{file} is there already: name another file.")
    file.parent.mkdir(parents=True, exist_ok=True)


async def _require_empty(dsn: str) -> None:
    async with connected(dsn, application_name=_NAME) as connection:
        with reporting_failures():
            found = await connection.fetchval(_ANY_TABLE)
    if found is not None:
        raise BackupFault(
            f"The database holds something already, such as the table {found}: a backup is restored"
            " into an empty one."
        )


async def _run(dsn: str, program: str, *arguments: str) -> None:
    """One of Postgres' own programs; the password must not stand on its command line."""
    # A signal for us ends it, too.
    process = await _start(dsn, program, *arguments)
    try:
        _, errors = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        raise
    _require_success(program, process.returncode, errors)


async def _load(dsn: str, dump: Path) -> None:
    """Have psql execute what pg_restore makes of a dump, all of it or nothing.

    Not pg_restore alone: it begins with a setting that servers before 17 do not know.
    """
    reader = await asyncio.create_subprocess_exec(
        _find("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dump),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    writer = await _start(
        dsn, "psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
        "--file=-", stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout
    assert reader.stderr
    assert writer.stdin
    assert writer.stderr
    errors = [asyncio.create_task(one.read()) for one in (reader.stderr, writer.stderr)]
    try:
        # A writer that ends early has said why.
        with suppress(BrokenPipeError, ConnectionResetError):
            await _copy_script(reader.stdout, writer.stdin)
            _require_success("pg_restore", await reader.wait(), await errors[0])
            # Only the end of a whole script lets the transaction commit.
            writer.stdin.close()
        _require_success("psql", await writer.wait(), await errors[1])
    finally:
        for process in (reader, writer):
            if process.returncode is None:
                process.kill()
                await process.wait()
        await asyncio.gather(*errors)


async def _copy_script(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while (line := await source.readline()).startswith(_HEAD_OF_SCRIPT):
        if not line.startswith(b"SET transaction_timeout"):
            target.write(line)
    target.write(line)
    while chunk := await source.read(_CHUNK_BYTES):
        target.write(chunk)
        await target.drain()


async def _start(
    dsn: str, program: str, *arguments: str, stdin: int = asyncio.subprocess.DEVNULL
) -> asyncio.subprocess.Process:
    address, password = _without_password(dsn)
    return await asyncio.create_subprocess_exec(
        _find(program), f"--dbname={address}", *arguments,
        env={**os.environ, **({"PGPASSWORD": password} if password else {})},
        stdin=stdin,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


def _require_success(program: str, code: int | None, errors: bytes) -> None:
    if code != 0:
        lines = errors.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise BackupFault(f"{program} failed: {lines[0]}")


def _without_password(dsn: str) -> tuple[str, str]:
    parts = urlsplit(dsn)
    location = parts.netloc.rpartition("@")[2]
    if parts.username:
        user = parts.netloc.rpartition("@")[0].partition(":")[0]
        location = f"{user}@{location}"
    return urlunsplit(parts._replace(netloc=location)), unquote(parts.password or "")


def _find(program: str) -> str:
    """Beside the server that we would start, else on the PATH."""
    try:
        candidate = find_postgres() / program
    except ServerFault:
        candidate = None
    if candidate is not None and candidate.is_file():
        return str(candidate)
    if found := shutil.which(program):
        return found
    raise BackupFault(
        f"{program} was not found: install the client programs of Postgres, or set POSTGRES_BIN to"
        " its bin folder."
    )


_EXPORT = """
    SELECT pg_export_snapshot(), uuid, number, time, version_num, current_setting('server_version')
    FROM position, cluster, alembic_version
"""
_ANY_TABLE = """
    SELECT min(table_name) FROM information_schema.tables
    WHERE table_schema NOT IN ('pg_catalog', 'information_schema')
"""
