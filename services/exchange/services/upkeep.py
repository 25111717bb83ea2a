"""The commands that look after what the exchange keeps."""

from pathlib import Path
from typing import Annotated

import typer

from exchange.services import restoration
from exchange.services.backup_file import BackupFault, read_manifest
from exchange.services.parts import Fault, absolute, become_beside_stores, names_stores

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        help="The folder of an `exchange up`, running or stopped. Default: the stores of "
        "DATABASE_URL and REDIS_URL where they are set, else ~/.local/share/exchange.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, and nothing else.")]


def verify(data: Data = None, as_json: AsJson = False) -> None:
    """Check every promise that can be checked from what is kept; exit code 1 on any doubt.

    It only reads, beside a running exchange or on a stopped one.

    Example: exchange verify --data ./data
    """
    become_beside_stores(data, "exchange.engine", "verify", *_json(as_json))


def recover(
    journal_lost: Annotated[
        bool, typer.Option("--journal-lost", help="Go on without the journal, which is gone.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what is wrong between Redis and Postgres, and decide what no process may decide.

    Example: exchange recover --journal-lost --data ./data
    """
    flags = [*(["--journal-lost"] if journal_lost else []), *(["--yes"] if yes else [])]
    become_beside_stores(data, "exchange.engine", "recover", *flags, *_json(as_json))


def backup(
    file: Annotated[Path, typer.Argument(help="What to write.")],
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Leave the master key out, and keep it elsewhere.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Write everything that Postgres holds into one file, beside a running exchange or not.

    Example: exchange backup ./monday.backup --data ./data
    """
    # In a cluster only the backend has the key, and somebody keeps it already.
    in_cluster = data is None and names_stores()
    key = absolute(data) / "master.key"
    flags = ["--master-key", str(key)] if not in_cluster and key.is_file() else []
    flags += ["--without-key"] if without_key else []
    target = str(file.expanduser().absolute())
    become_beside_stores(data, "exchange.postgres_db", "backup", target, *flags, *_json(as_json))


def restore(
    file: Annotated[Path, typer.Argument(help="What `exchange backup` wrote.")],
    master_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the backup does not hold it.")
    ] = None,
    without_key: Annotated[
        bool, typer.Option("--without-key", help="Let all HMAC keys become worthless.")
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Make an exchange of a backup, in an empty folder or an empty database; start it afterwards.

    It goes on with numbers and ids that nobody has seen. Where the folder still holds its Redis, it
    catches up from there.

    Example: exchange restore ./monday.backup --data ./data2
    """
    source = file.expanduser().absolute()
    try:
        if data is None and names_stores():
            read_manifest(source)
            restoration.into_stores(source, as_json=as_json)
        else:
            key = restoration.key_for(source, master_key, without_key=without_key)
            restoration.into_folder(source, absolute(data), key, as_json=as_json)
    except BackupFault as fault:
        raise Fault(str(fault)) from None


def _json(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []
