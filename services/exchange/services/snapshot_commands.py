"""The commands of snapshots: `exchange snapshot …`."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.services import replacement, snapshots
from exchange.services.admin import Admin, AdminFault
from exchange.services.children import branch_off, end_stranger
from exchange.services.data_folder import LauncherFault, held
from exchange.services.embedded import ServerFault, free_port
from exchange.services.folder_copy import copy_folder
from exchange.services.launcher import Options, up
from exchange.services.options import AsJson, Data, print_fields
from exchange.services.own_exchange import STOP_S_MAX, NotStarted, await_run
from exchange.services.parts import Fault, absolute, names_stores
from exchange.services.run_file import Run, read_run
from exchange.services.snapshots import Snapshot, SnapshotFault
from exchange.services.stores import started

snapshot_app = typer.Typer(
    help="Save an exchange on this machine, go back to that, or try something else from there.",
    no_args_is_help=True,
)
Name = Annotated[str, typer.Argument(help="What it is called.")]
START_S_MAX = 60.0
_TURN_S = 0.02


@snapshot_app.command("save")
def save_snapshot(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Save all that an exchange holds, beside whatever goes on in it.

    Example: exchange snapshot save before-the-test
    """
    folder = _folder(data)
    with _sentences(), _venue(folder) as run:
        made = snapshots.save(folder, name, partial(_copy_database, folder, run))
    _print(made, as_json)


@snapshot_app.command("load")
def load_snapshot(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Let an exchange be what it was when it was saved; all that came afterwards is gone.

    One that runs goes on: its clients are told by their sockets (close code 1012), and every number
    that they see from then on is a new one.

    Example: exchange snapshot load before-the-test
    """
    folder = _folder(data)
    with _sentences(), _venue(folder) as run:
        made = snapshots.read(folder, name)
        snapshots.prepare(folder, name, _numbers(folder, run))
        if run is None:
            replacement.settle(folder)
        else:
            _await_loaded(folder, run)
    _print(made, as_json)


@snapshot_app.command("fork")
def fork_snapshot(
    name: Name,
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Its folder. Default: beside, with the name.")
    ] = None,
    api_port: Annotated[int | None, typer.Option(help="Of its API. Default: a free one.")] = None,
    ws_port: Annotated[int | None, typer.Option(help="Of its streams, likewise.")] = None,
    no_start: Annotated[
        bool,
        typer.Option("--no-start", help="Only make its folder, for an `exchange up` of yours."),
    ] = False,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Start a second exchange from a snapshot, in a folder of its own, beside the first.

    It runs until its process, which is printed, is ended (SIGTERM).

    Example: exchange snapshot fork before-the-test --to ./what-if
    """
    folder = _folder(data)
    target = absolute(to) if to is not None else folder.with_name(f"{folder.name}-{name}")
    with _sentences():
        snapshot = snapshots.begin_fork(folder, name, target)
        if no_start:
            snapshots.copy_secrets(snapshot, target)
            snapshots.take_stores(snapshot, target)
            print_fields({"data": str(target)}, as_json)
            return
        options = Options(
            data=target,
            snapshot=snapshot,
            api_port=api_port or free_port(),
            ws_port=ws_port or free_port(),
        )
        output = target / "up.log"
        pid = branch_off(partial(_launch, options), log=output)
        try:
            run = await_run(target, pid, output=output)
        except BaseException:
            # Also where somebody does not want to wait any longer: nothing is left behind.
            end_stranger(pid, signal.SIGTERM, STOP_S_MAX)
            raise
    print_fields({"data": str(target), "api": run.api, "ws": run.ws, "pid": pid}, as_json)


def _launch(options: Options) -> None:
    try:
        up(options)
    except (LauncherFault, ServerFault) as fault:
        sys.exit(str(fault))


@snapshot_app.command("list")
def list_snapshots(data: Data = None, as_json: AsJson = False) -> None:
    """List the snapshots of an exchange, the oldest first.

    Example: exchange snapshot list
    """
    with _sentences():
        found = snapshots.listed(_folder(data))
    if as_json:
        print(json.dumps([_fields(one) for one in found]))
    for one in [] if as_json else found:
        print("  ".join(str(value) for value in _fields(one).values()))


@snapshot_app.command("delete")
def delete_snapshot(name: Name, data: Data = None, as_json: AsJson = False) -> None:
    """Forget a snapshot.

    Example: exchange snapshot delete before-the-test
    """
    with _sentences():
        snapshots.delete(_folder(data), name)
    print_fields({"deleted": name}, as_json)


def _folder(data: Path | None) -> Path:
    if data is None and names_stores():
        raise Fault(
            "A snapshot is of the files of an `exchange up` on this machine: name its folder with"
            " --data. Of stores elsewhere, in containers or on a cluster, make an `exchange backup`."
        )
    return absolute(data)


@contextmanager
def _sentences() -> Iterator[None]:
    try:
        yield
    except (
        SnapshotFault,
        LauncherFault,
        ServerFault,
        NotStarted,
        OSError,
        ValueError,
    ) as fault:
        raise Fault(str(fault)) from None


@contextmanager
def _venue(folder: Path) -> Iterator[Run | None]:
    """What runs in a folder; None where nothing does, and nothing can begin to within the block."""
    if not folder.is_dir():
        raise SnapshotFault(f"There is no exchange in {folder}: name its folder with --data.")
    run = read_run(folder)
    if run is not None:
        yield run
        return
    with held(folder):
        yield None


def _copy_database(folder: Path, run: Run | None, source: Path, target: Path) -> dict[str, int]:
    if run is not None:
        return _ask_database(run.database_url, "copy", str(source), str(target))
    numbers = _numbers(folder, run)
    copy_folder(source, target)
    return numbers


def _numbers(folder: Path, run: Run | None) -> dict[str, int]:
    if run is not None:
        found: dict[str, int] = Admin(run.admin, run.admin_token).get("numbers")
        return found
    with started(folder) as stores:
        return _ask_database(stores.database_url, "numbers")


def _ask_database(url: str, *arguments: str) -> dict[str, int]:
    done = subprocess.run(
        [sys.executable, "-m", "exchange.postgres_db", *arguments],
        env={**os.environ, "DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SnapshotFault(done.stderr.strip())
    numbers: dict[str, int] = json.loads(done.stdout)
    return numbers


def _await_loaded(folder: Path, run: Run) -> None:
    """Until its launcher has put what is prepared in force, and everybody serves it."""
    deadline = time.monotonic() + START_S_MAX
    admin = Admin(run.admin, run.admin_token)
    while replacement.is_prepared(folder) or not _is_trading(admin):
        if time.monotonic() > deadline or read_run(folder) is None:
            raise SnapshotFault(f"It does not come up: look into {folder / 'logs'}.")
        time.sleep(_TURN_S)


def _is_trading(admin: Admin) -> bool:
    try:
        return bool(admin.get("status")["ready"])
    except AdminFault:
        return False


def _fields(one: Snapshot) -> dict[str, Any]:
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(one.made // 1_000_000))
    return {"name": one.name, "made": made, "position": one.numbers["position"]}


def _print(one: Snapshot, as_json: bool) -> None:
    print_fields(_fields(one), as_json)
