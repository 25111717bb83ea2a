"""Copying a folder of files that a server may be writing: quickly, and without what is gone meanwhile."""

import os
import shutil
from collections.abc import Container
from pathlib import Path


def copy_folder(
    source: Path, target: Path, *, leave_out: Container[str] = (), empty: Container[str] = ()
) -> None:
    """Into a new folder. Files of these names are left out, folders of these names stay empty.

    Only their owner may read what comes out, as with the servers' own files.
    """
    target.mkdir(mode=0o700)
    with os.scandir(source) as entries:
        for entry in entries:
            path = target / entry.name
            if entry.is_dir(follow_symlinks=False):
                if entry.name in empty:
                    path.mkdir(mode=0o700)
                else:
                    copy_folder(Path(entry.path), path, leave_out=leave_out, empty=empty)
            elif entry.name not in leave_out:
                copy_file(Path(entry.path), path)


def copy_file(source: Path, target: Path) -> None:
    """Nothing where it is gone."""
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
    else:
        target.chmod(0o600)
