"""Other stores in the place of those of a folder: prepared beside them, then renamed.

Whoever is killed in between leaves either the old ones in force or new ones that are complete, and
the next start goes on from there.
"""

import os
import shutil
import uuid
from pathlib import Path

STORES = ("redis", "postgres")
_FOLDER, _READY, _OLD = "loading", "ready", "replaced"


def begin(folder: Path) -> Path:
    """An empty folder for new stores of this one."""
    prepared = folder / _FOLDER
    shutil.rmtree(prepared, ignore_errors=True)
    prepared.mkdir(mode=0o700)
    return prepared


def finish_preparing(folder: Path) -> None:
    """They are all there: from now on they are what counts."""
    os.sync()
    (folder / _FOLDER / _READY).touch()


def is_prepared(folder: Path) -> bool:
    return (folder / _FOLDER / _READY).exists()


def settle(folder: Path) -> None:
    """What a start does first: what was prepared is put in force, or removed where it is not whole."""
    complete(folder)
    shutil.rmtree(folder / _FOLDER, ignore_errors=True)
    sweep(folder)


def complete(folder: Path) -> None:
    """Put prepared stores in force, if there are any; nobody may have the old ones open."""
    prepared = folder / _FOLDER
    if not is_prepared(folder):
        return
    for name in STORES:
        if (prepared / name).exists():
            if (folder / name).exists():
                (folder / name).rename(folder / f"{_OLD}-{uuid.uuid4().hex}")
            (prepared / name).rename(folder / name)
    (prepared / _READY).unlink()
    prepared.rmdir()


def sweep(folder: Path) -> None:
    """Remove what is not in force any more."""
    for old in folder.glob(f"{_OLD}-*"):
        shutil.rmtree(old, ignore_errors=True)
