"""The two stores of a folder: those of the exchange that runs there, or started for a while."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from exchange.services import children, embedded, replacement
from exchange.services.data_folder import LauncherFault, held
from exchange.services.launcher import Launcher, Options
from exchange.services.run_file import read_run


class Stores(msgspec.Struct, frozen=True, kw_only=True):
    """Where they are, and whether they were started for this."""

    database_url: str
    redis_url: str
    are_ours: bool


@contextmanager
def stores_of(folder: Path) -> Iterator[Stores]:
    """Both stores of an exchange that is there, for the time of a block.

    Where no `exchange up` holds the folder they are started, and stopped in the end. Raises
    LauncherFault or embedded.ServerFault.
    """
    if read_run(folder) is None and not (folder / "postgres").is_dir():
        raise LauncherFault(f"There is no exchange in {folder}: name its folder with --data.")
    with ExitStack() as stack:
        try:
            stack.enter_context(held(folder))
        except LauncherFault:
            run = read_run(folder)
            if run is None:
                raise
            yield Stores(database_url=run.database_url, redis_url=run.redis_url, are_ours=False)
            return
        yield stack.enter_context(started(folder))


@contextmanager
def started(folder: Path) -> Iterator[Stores]:
    """Both stores of a folder that the caller holds, made where they are missing."""
    Launcher(Options(data=folder)).end_leftovers()
    replacement.settle(folder)
    logs = folder / "logs"
    logs.mkdir(mode=0o700, exist_ok=True)
    postgres = embedded.Postgres(folder / "postgres", log=_log(logs, "postgres"))
    redis = embedded.Redis(folder / "redis", log=_log(logs, "redis"))
    try:
        postgres.start()
        redis.start()
        yield Stores(database_url=postgres.url, redis_url=redis.url, are_ours=True)
    finally:
        redis.stop()
        postgres.stop()


def _log(logs: Path, name: str) -> Path:
    log = logs / f"{name}.log"
    children.rotate_log(log)
    return log
