"""Making an exchange of a backup: the database first, then a journal that begins behind it."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from exchange.services.backup_file import BackupFault, key_print, read_key, read_manifest
from exchange.services.parts import call, set_variables
from exchange.services.run_file import write_private


def key_for(file: Path, given: Path | None, *, without_key: bool) -> bytes | None:
    """The master key that a restored exchange gets; None if it shall make a new one."""
    manifest = read_manifest(file)
    if given is not None:
        try:
            key: bytes | None = given.read_bytes()
        except OSError as fault:
            raise BackupFault(f"{given} cannot be read: {fault.strerror}.") from None
    else:
        key = read_key(file)
    if key is None and not without_key:
        raise BackupFault(
            "The backup does not hold the master key: name its file with --master-key, or say"
            " --without-key and make all HMAC keys anew."
        )
    if key is not None and manifest.key_print not in (None, key_print(key)):
        raise BackupFault(f"{given} is not the master key that the backup was made with.")
    return None if without_key else key


def into_stores(file: Path, *, as_json: bool) -> None:
    """Into the empty database of the environment; its Redis may be empty or not."""
    flags = ["--json"] if as_json else []
    if call("exchange.postgres_db", "restore", str(file), *flags):
        raise SystemExit(1)
    # An empty Redis is what a lost journal looks like: the same decision, made by restoring.
    if call("exchange.engine", "recover", "--if-needed", quiet=as_json):
        raise SystemExit(1)


def into_folder(file: Path, folder: Path, key: bytes | None, *, as_json: bool) -> None:
    """Into a folder that holds no database yet; what fails leaves nothing behind."""
    from exchange.services.data_folder import LauncherFault, held
    from exchange.services.embedded import ServerFault
    from exchange.services.stores import started

    try:
        with held(folder), _undone_on_failure(folder), started(folder) as stores:
            set_variables(DATABASE_URL=stores.database_url, REDIS_URL=stores.redis_url)
            into_stores(file, as_json=as_json)
            if key is not None:
                write_private(folder / "master.key", key.decode("ascii"))
    except (LauncherFault, ServerFault, OSError) as fault:
        raise BackupFault(str(fault)) from None


@contextlib.contextmanager
def _undone_on_failure(folder: Path) -> Iterator[None]:
    """Remove what was made here, unless all of it was."""
    if (folder / "postgres").exists():
        raise BackupFault(f"{folder} holds an exchange already: name an empty folder with --data.")
    made = [path for path in (folder / "postgres", folder / "redis") if not path.exists()]
    try:
        yield
    except BaseException:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        raise
