"""Starting a part of the exchange by its name, for the command line, which imports none of them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

from exchange.services.run_file import Run, default_folder, read_run


class Fault(Exception):
    """What the user has to know, as a sentence."""


def running(folder: Path | None) -> Run:
    """The `exchange up` of a folder, by its run.json."""
    searched = folder or default_folder()
    try:
        run = read_run(searched)
    except (OSError, ValueError) as fault:
        raise Fault(f"The run.json of {searched} cannot be read: {fault}.") from None
    if run is None:
        raise Fault(
            f"No exchange runs in {searched}: set DATABASE_URL, or name its folder with --data."
        )
    return run


def set_variables(**variables: str) -> None:
    for variable, value in variables.items():
        # A file would be preferred to the value.
        os.environ.pop(f"{variable}_FILE", None)
        os.environ[variable] = value


def become(module: str, *arguments: str) -> NoReturn:
    """Replace this process, so that signals go straight to the one that counts."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606


def become_beside_stores(folder: Path | None, module: str, *arguments: str) -> NoReturn:
    """Run a part beside Redis and Postgres, and end as it does.

    They are those of the environment where that names any and no folder is given, else those of
    the folder's `exchange up`; where none runs they are started, and stopped again afterwards.
    """
    from exchange.services.data_folder import LauncherFault
    from exchange.services.embedded import ServerFault
    from exchange.services.stores import stores_of

    if folder is None and names_stores():
        become(module, *arguments)
    try:
        with stores_of(absolute(folder)) as stores:
            set_variables(DATABASE_URL=stores.database_url, REDIS_URL=stores.redis_url)
            if not stores.are_ours:
                become(module, *arguments)
            code = call(module, *arguments)
    except (LauncherFault, ServerFault, OSError, ValueError) as fault:
        raise Fault(str(fault)) from None
    sys.exit(code)


def call(module: str, *arguments: str, quiet: bool = False) -> int:
    """Run a part as a child to its end, and return its exit code."""
    sys.stdout.flush()
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL if quiet else None
    ).returncode


def names_stores() -> bool:
    """Whether the environment names a database."""
    return bool(os.environ.keys() & {"DATABASE_URL", "DATABASE_URL_FILE"})


def absolute(folder: Path | None) -> Path:
    return (folder or default_folder()).expanduser().absolute()
