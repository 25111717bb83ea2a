"""`python -m exchange.postgres_db upgrade`: bring the database of DATABASE_URL up to date."""

import argparse
import asyncio
import sys

from exchange.postgres_db.tables import SCHEMA_VERSION
from exchange.postgres_db.upgrade import upgrade
from exchange.services.process import OperatorNeeded, WorldFailed
from exchange.services.settings import InvalidSettings, Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m exchange.postgres_db", description=__doc__)
    parser.add_argument("command", choices=["upgrade"])
    parser.parse_args()
    try:
        done = asyncio.run(upgrade(Settings.from_environment().database_dsn()))
    except (InvalidSettings, OperatorNeeded, WorldFailed) as fault:
        sys.exit(str(fault))
    for line in done:
        print(f"Migrated to {line}")
    if not done:
        print(f"Nothing to do: the schema serves version {SCHEMA_VERSION}.")


main()
