"""`run.json`: how a running `exchange up` is found, and the folder that it keeps everything in."""

import json
import os
from pathlib import Path

import msgspec


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What `run.json` says; a process that somebody else runs has no pid."""

    api: str
    ws: str
    admin: str
    admin_token: str
    redis_url: str
    database_url: str
    pids: dict[str, int | None]


def default_folder() -> Path:
    """Where `exchange up` keeps its data unless it is told otherwise: one place for each user."""
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base) / "exchange"


def run_path(folder: Path) -> Path:
    return folder / "run.json"


def read_run(folder: Path) -> Run | None:
    """None where nothing runs. Raises OSError or ValueError for a file that cannot be read."""
    try:
        return msgspec.json.decode(run_path(folder).read_bytes(), type=Run)
    except FileNotFoundError:
        return None


def write_run(folder: Path, run: Run) -> None:
    text = json.dumps(msgspec.to_builtins(run), indent=2)
    write_private(run_path(folder), text + "\n")


def write_private(path: Path, text: str, *, outlives_power: bool = True) -> None:
    """Replace a file at once and for its owner only: a reader finds the old or the new text.

    What need not be there after a power cut is there sooner.
    """
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        if outlives_power:
            os.fsync(file.fileno())
    fresh.replace(path)
