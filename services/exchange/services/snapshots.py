"""Snapshots of an exchange on this machine: the files of both stores, copied while it runs.

They lie in the folder of their exchange, `snapshots/NAME`. What a snapshot holds is what two stores
hold that died at one moment, Postgres first: what starts on it recovers as after a power cut, and
begins a generation.
"""

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from exchange.services import replacement
from exchange.services.embedded import leap_note
from exchange.services.folder_copy import copy_folder
from exchange.services.messages import JUMP
from exchange.services.run_file import write_private

MADE_BY = "snapshot.json"
_FOLDER = "snapshots"
_KEPT = ("master.key", "login.password")
"""What the rows in the database mean nothing without."""
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_OF_PROCESS = ("redis.pid", "leap")
TRIES_MAX = 5


class SnapshotFault(Exception):
    """Why it cannot be done, as a sentence."""


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """When it was made, in µs, and how far everything was counted before it was begun."""

    name: str
    made: int
    numbers: dict[str, int]


CopyDatabase = Callable[[Path, Path], dict[str, int]]
"""Copies the files of a database to a new folder, and says how far everything was counted before."""


def save(folder: Path, name: str, copy_database: CopyDatabase) -> Snapshot:
    """Make one of the stores in this folder; the exchange may go on meanwhile."""
    target = _path(folder, name)
    if target.exists():
        raise SnapshotFault(f"There is a snapshot {name} already: delete it, or choose a name.")
    if not (folder / "postgres").is_dir() or not (folder / "redis").is_dir():
        raise SnapshotFault(
            f"{folder} does not hold both stores of an exchange: a snapshot is of files on this"
            " machine. Use `exchange backup` for others."
        )
    fresh = target.with_name(f".{name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    try:
        numbers = copy_database(folder / "postgres", fresh / "postgres")
        # Afterwards, so that the journal holds all that the database does, and more.
        _copy_journal(folder / "redis", fresh / "redis")
        copy_secrets(folder, fresh)
        made = Snapshot(name=name, made=time.time_ns() // 1_000, numbers=numbers)
        write_private(fresh / MADE_BY, msgspec.json.encode(made).decode())
        fresh.rename(target)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return made


def prepare(folder: Path, name: str, numbers: dict[str, int]) -> None:
    """Lay a snapshot ready to be the stores of its folder, which has counted up to `numbers`.

    Everything that was ever shown there has a number below; the next generation begins above.
    """
    made = read(folder, name)
    behind = max((value - made.numbers.get(key, 0) for key, value in numbers.items()), default=0)
    fresh = replacement.begin(folder)
    _copy_stores(_path(folder, name), fresh)
    # The audit knows that generations are whole jumps apart.
    jumps = -(-max(behind, 0) // JUMP)
    write_private(leap_note(fresh / "redis"), f"{jumps * JUMP}\n")
    replacement.finish_preparing(folder)


def begin_fork(folder: Path, name: str, target: Path) -> Path:
    """Make a folder for an exchange that begins as a snapshot, whose path is returned."""
    read(folder, name)
    if target.exists() and any(target.iterdir()):
        raise SnapshotFault(f"{target} is not empty: name another folder with --to.")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    return _path(folder, name)


def copy_secrets(source: Path, target: Path) -> None:
    """Those of an exchange, or of a snapshot by its path, for one that is to be the same."""
    for kept in _KEPT:
        if (source / kept).exists():
            write_private(target / kept, (source / kept).read_text(encoding="ascii"))


def take_stores(source: Path, folder: Path) -> None:
    """Let the stores of a snapshot, by its path, be those of a folder that has none: both or neither."""
    _copy_stores(source, replacement.begin(folder))
    replacement.finish_preparing(folder)
    replacement.complete(folder)


def delete(folder: Path, name: str) -> None:
    read(folder, name)
    shutil.rmtree(_path(folder, name))


def read(folder: Path, name: str) -> Snapshot:
    return read_at(_path(folder, name))


def read_at(path: Path) -> Snapshot:
    """What stands in a snapshot about itself; raises SnapshotFault where this is none."""
    try:
        return msgspec.json.decode((path / MADE_BY).read_bytes(), type=Snapshot)
    except (FileNotFoundError, NotADirectoryError):
        raise SnapshotFault(f"There is no snapshot {path.name} in {path.parent}.") from None
    except (OSError, msgspec.MsgspecError) as fault:
        raise SnapshotFault(f"The snapshot {path.name} cannot be read: {fault}.") from None


def listed(folder: Path) -> list[Snapshot]:
    """The oldest first."""
    names = [path.parent.name for path in (folder / _FOLDER).glob(f"*/{MADE_BY}")]
    found = [read(folder, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda one: one.made)


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise SnapshotFault(f"{name!r} is no name: letters, digits, points, - and _ only.")
    return folder / _FOLDER / name


def _copy_stores(source: Path, target: Path) -> None:
    for store in replacement.STORES:
        copy_folder(source / store, target / store)


def _copy_journal(source: Path, target: Path) -> None:
    """Its files only grow, but for the moment in which Redis writes them anew."""
    for _ in range(TRIES_MAX):
        before = _files(source)
        copy_folder(source, target, leave_out=_OF_PROCESS)
        if _files(source) == before:
            return
        shutil.rmtree(target, ignore_errors=True)
    raise SnapshotFault("Redis writes its journal anew again and again: try once more.")


def _files(folder: Path) -> set[tuple[str, int]]:
    return {
        (str(Path(parent) / name), (Path(parent) / name).stat().st_ino)
        for parent, _, names in os.walk(folder)
        for name in names
        if not name.startswith("temp-")
    }
