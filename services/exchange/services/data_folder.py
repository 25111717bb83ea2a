"""The folder of an `exchange up`: who holds it, and what is noted in it for the next time."""

import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from exchange.services.run_file import write_private

_Note = TypeVar("_Note")


class LauncherFault(Exception):
    """The exchange cannot be started; the text tells a person what to do."""


@contextlib.contextmanager
def held(folder: Path) -> Iterator[IO[str]]:
    """Keep every other launcher out of a folder for as long as this process lives."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (folder / "lock").open("a+", encoding="utf-8")
    except OSError as fault:
        raise LauncherFault(f"{folder} cannot be used: {fault.strerror}.") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise LauncherFault(
                f"{folder} is held by another `exchange up`, process {lock.read().strip()}: "
                "stop it first, or choose another folder with --data."
            ) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield lock


def was_used(folder: Path) -> bool:
    """Whether an exchange was started in it before."""
    return (folder / "ports.json").exists()


def secret(path: Path, size: int = 32) -> str:
    """Random bytes in hex that are made once and stay."""
    if not path.exists():
        write_private(path, secrets.token_hex(size) + "\n")
    return path.read_text(encoding="ascii").strip()


def read_note(path: Path, kind: type[_Note], otherwise: _Note) -> _Note:
    """What was noted last time; an unreadable note is no note."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError):
        return otherwise
