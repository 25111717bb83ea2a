"""Does to the processes of a running exchange what the plan says, and never leaves one stopped."""

import asyncio
import os
import signal
from pathlib import Path

from exchange.lab.chaos.plan import PARTS, Fault, Kind
from exchange.lab.chaos.recovery import Pulse
from exchange.services.children import is_running, start_mark
from exchange.services.run_file import Run, read_run

RESTART_S_MAX = 30.0
POLL_S = 0.02


class NotRestarted(Exception):
    """A process that was killed has not been started again; the text says which."""


class Saboteur:
    """Finds its victims in run.json, which is rewritten when one of them is started again."""

    def __init__(self, folder: Path) -> None:
        self.kills = 0
        self.stops = 0
        self._folder = folder
        self._dead: dict[str, tuple[int, str]] = {}
        self._stopped: set[int] = set()

    def parts(self) -> list[str]:
        """What can be killed: somebody else's servers cannot."""
        pids = self._run().pids
        return [part for part in PARTS if pids.get(part) is not None]

    async def carry_out(self, fault: Fault) -> float:
        """Do it, and say when the last of it was done: recovery counts from there."""
        first, *others = fault.parts
        tree = fault.whole_tree
        match fault.kind:
            case Kind.KILL | Kind.KILL_TWO | Kind.KILL_ALL:
                for part in fault.parts:
                    await self._signal(part, signal.SIGKILL, tree)
            case Kind.KILL_HEALING:
                await self._signal(first, signal.SIGKILL, tree)
                for part in others:
                    await asyncio.sleep(fault.seconds)
                    await self._signal(part, signal.SIGKILL, tree)
            case Kind.END:
                await self._signal(first, signal.SIGTERM, False)
            case Kind.STOP | Kind.STOP_LONG | Kind.STOP_AND_KILL:
                await self._stop(fault)
        return Pulse.now()

    def resume_all(self) -> None:
        """Wake whatever is still stopped."""
        for pid in self._stopped:
            if is_running(pid):
                os.kill(pid, signal.SIGCONT)
        self._stopped.clear()

    async def _stop(self, fault: Fault) -> None:
        try:
            # A stopped server whose children go on would not be stopped.
            await self._signal(fault.parts[0], signal.SIGSTOP, True)
            for part in fault.parts[1:]:
                await asyncio.sleep(fault.seconds / 2)
                await self._signal(part, signal.SIGKILL, fault.whole_tree)
            await asyncio.sleep(fault.seconds)
        finally:
            self.resume_all()

    async def _signal(self, part: str, number: signal.Signals, whole_tree: bool) -> None:
        pid = await self._living(part)
        pids = [pid, *children_of(pid)] if whole_tree and part == "postgres" else [pid]
        if number is signal.SIGSTOP:
            self.stops += 1
            self._stopped.update(pids)
        else:
            self.kills += number is signal.SIGKILL
            self._dead[part] = (pid, start_mark(pid))
        for one in pids:
            if is_running(one):
                os.kill(one, number)

    async def _living(self, part: str) -> int:
        """The process that is this part now: not one that was killed, but the one that followed."""
        for _ in range(int(RESTART_S_MAX / POLL_S)):
            pid = self._run().pids.get(part)
            mark = start_mark(pid) if pid is not None else ""
            if pid is not None and mark and self._dead.get(part) != (pid, mark):
                return pid
            await asyncio.sleep(POLL_S)
        raise NotRestarted(f"{part} was not started again within {RESTART_S_MAX:.0f} s")

    def _run(self) -> Run:
        run = read_run(self._folder)
        if run is None:
            raise NotRestarted("the exchange has ended: run.json is gone")
        return run


def children_of(pid: int) -> list[int]:
    """Its direct children; none where the system does not say."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        # After the name, which is in brackets and may hold anything: state, parent, and so on.
        if text.rpartition(")")[2].split()[1] == str(pid):
            found.append(int(path.parent.name))
    return found
