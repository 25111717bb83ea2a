"""`python -m exchange.postgres_db`: upgrade, back up, restore or copy the database of DATABASE_URL."""

import argparse
import asyncio
import sys
from pathlib import Path

from exchange.services.loading import quick_loading

with quick_loading():
    import msgspec

    from exchange.postgres_db.connection import connected
    from exchange.postgres_db.file_copy import copy_files, greatest_numbers
    from exchange.services.backup_file import BackupFault, Manifest
    from exchange.services.failures import OperatorNeeded, WorldFailed
    from exchange.services.settings import InvalidSettings, Settings


def main() -> None:
    arguments = _parser().parse_args()
    try:
        dsn = Settings.from_environment().database_dsn()
        match arguments.command:
            case "numbers":
                print(msgspec.json.encode(asyncio.run(_numbers(dsn))).decode())
            case "copy":
                numbers = asyncio.run(copy_files(dsn, arguments.source, arguments.target))
                print(msgspec.json.encode(numbers).decode())
            case "upgrade":
                _upgrade(dsn)
            case "backup":
                _backup(dsn, arguments)
            case "restore":
                _restore(dsn, arguments)
    except (InvalidSettings, OperatorNeeded, WorldFailed, BackupFault, OSError) as fault:
        sys.exit(str(fault))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m exchange.postgres_db", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("upgrade")
    commands.add_parser("numbers")
    copy = commands.add_parser("copy")
    copy.add_argument("source", type=Path)
    copy.add_argument("target", type=Path)
    for name in ("backup", "restore"):
        command = commands.add_parser(name)
        command.add_argument("file", type=Path)
        command.add_argument("--json", action="store_true")
        if name == "backup":
            command.add_argument("--master-key", type=Path)
            command.add_argument("--without-key", action="store_true")
    return parser


async def _numbers(dsn: str) -> dict[str, int]:
    async with connected(dsn, application_name="exchange-numbers") as connection:
        return await greatest_numbers(connection)


# What those below need takes a while to load, which a copy has not.


def _upgrade(dsn: str) -> None:
    from exchange.postgres_db.stored import SCHEMA_VERSION
    from exchange.postgres_db.upgrade import upgrade

    done = asyncio.run(upgrade(dsn))
    for line in done:
        print(f"Migrated to {line}")
    if not done:
        print(f"Nothing to do: the schema serves version {SCHEMA_VERSION}.")


def _backup(dsn: str, arguments: argparse.Namespace) -> None:
    from exchange.postgres_db.backup import backup

    key = arguments.master_key.read_bytes() if arguments.master_key else None
    made = asyncio.run(backup(dsn, arguments.file, key, with_key=not arguments.without_key))
    _print(made, arguments.json, f"{arguments.file} holds everything up to number")
    if not (arguments.json or made.has_key):
        print("It does not hold the master key: keep that, or HMAC keys have to be made anew.")


def _restore(dsn: str, arguments: argparse.Namespace) -> None:
    from exchange.postgres_db.backup import restore

    manifest = asyncio.run(restore(dsn, arguments.file))
    _print(manifest, arguments.json, "The database holds everything up to number")


def _print(manifest: Manifest, as_json: bool, sentence: str) -> None:
    if as_json:
        print(msgspec.json.encode(manifest).decode())
    else:
        print(f"{sentence} {manifest.position}.")


main()
