"""The script of faults of a running exchange: a file that all its processes look at.

Who may have one is decided here, and nowhere else.
"""

import fcntl
import os
from pathlib import Path

import msgspec

from exchange.services.fault_script import Faults, Script, ScriptFault, parse_script
from exchange.services.run_file import write_private
from exchange.services.settings import InvalidSettings, Settings

VARIABLE = "FAULTS_FILE"


class FaultFile:
    """The script of this moment: read again whenever somebody has replaced it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._faults = Faults(Script())

    @classmethod
    def open(cls, settings: Settings) -> "FaultFile | None":
        """None where no faults were asked for; raises InvalidSettings where nobody may have any."""
        if not settings.faults_file:
            return None
        path = Path(settings.faults_file)
        _require_one_machine(path)
        return cls(path)

    def faults(self) -> Faults:
        """The script in force; raises ScriptFault."""
        # The script is replaced, never written over: what is another file is another script.
        stat = self._path.stat()
        seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if seen != self._seen:
            self._faults = Faults(parse_script(self._path.read_bytes(), is_toml=False))
            self._seen = seen
        return self._faults

    def replace(self, script: Script) -> None:
        write_script(self._path, script)


def write_script(path: Path, script: Script) -> None:
    write_private(path, msgspec.json.format(msgspec.json.encode(script)).decode() + "\n")


def _require_one_machine(path: Path) -> None:
    """In production there are no faults on request.

    Production is everything but the processes that an `exchange up` has started itself: it holds
    the lock of the folder that the script lies in, and is our parent. No container and no pod that
    runs one of our services by itself can have that, whatever its environment says.
    """
    if not _is_held_by(path.with_name("lock"), os.getppid()):
        raise InvalidSettings(
            f"{VARIABLE} is set, but faults on request are only for an `exchange up --faults`, on"
            " one machine: a production configuration cannot have them."
        )
    try:
        FaultFile(path).faults()
    except (OSError, ScriptFault) as fault:
        raise InvalidSettings(f"{VARIABLE} cannot be used: {fault}") from None


def _is_held_by(lock: Path, pid: int) -> bool:
    try:
        with lock.open("r", encoding="ascii") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return file.read().strip() == str(pid)
    except OSError:
        return False
    return False
