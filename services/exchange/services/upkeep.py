"""The commands that look after what the exchange keeps."""

from pathlib import Path
from typing import Annotated

import typer

from exchange.services.parts import become_beside_stores

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


def _json(as_json: bool) -> list[str]:
    return ["--json"] if as_json else []
