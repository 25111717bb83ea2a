"""One turn of the fan-out bench: a crowd listens, a pacemaker ticks, and everything is counted."""

import contextlib
import os
import selectors
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from exchange.lab.pacemakers import Pacemaker, in_flight
from exchange.lab.stream_crowd import Crowd, CrowdFault, Seat

SILENCE_S_MAX = 10.0
MEMORY_S = 0.25
MEGABYTE = 1024 * 1024


class Turn(Struct, frozen=True, kw_only=True):
    """Who listens to what, and for how long; each tick is so many updates."""

    port: int
    path: str
    listening: int
    deaf: int
    updates: int
    seconds: float
    pid: int
    """Of the server, whose processor time and memory are read where there is a /proc."""


class StreamLoad(Struct, frozen=True, kw_only=True):
    """What a turn measured; ages in seconds."""

    seconds: float
    messages: int
    ticks: int
    ages: list[float]
    deaf_closed: int
    cpu_seconds: float
    """Of the server alone."""
    memory_bytes: int
    """The most that it had."""

    @property
    def per_second(self) -> float:
        return self.messages / self.seconds

    @property
    def cpu_us(self) -> float:
        return self.cpu_seconds / self.messages * 1_000_000

    def age_ms(self, percent: float) -> float:
        ordered = sorted(self.ages)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1_000


def measure(
    turn: Turn, make_pacemaker: Callable[[selectors.BaseSelector], Pacemaker]
) -> StreamLoad:
    """Raises CrowdFault if a message is lost, or one too many comes, or somebody is dropped."""
    with selectors.DefaultSelector() as selector:
        crowd = Crowd(selector)
        crowd.take_places(turn.port, turn.path, listening=turn.listening, deaf=turn.deaf)
        with _closing(make_pacemaker(selector)) as pacemaker:
            began, cpu_began = time.perf_counter(), cpu_of(turn.pid)
            ticks, memory = _let_tick(turn, selector, crowd, pacemaker)
            seconds = time.perf_counter() - began
            cpu_seconds = cpu_of(turn.pid) - cpu_began
            while pacemaker.is_busy:
                _hear(selector, crowd)
        if crowd.messages != ticks * turn.listening * turn.updates:
            raise CrowdFault(f"{ticks} ticks were {crowd.messages} messages")
        return StreamLoad(
            seconds=seconds,
            messages=crowd.messages,
            ticks=ticks,
            ages=crowd.ages,
            deaf_closed=crowd.leave(),
            cpu_seconds=cpu_seconds,
            memory_bytes=memory,
        )


def _let_tick(
    turn: Turn, selector: selectors.BaseSelector, crowd: Crowd, pacemaker: Pacemaker
) -> tuple[int, int]:
    """How many ticks were made and heard by all, and the most memory that was used."""
    per_tick = turn.listening * turn.updates
    now = time.perf_counter()
    end, ticks, look = now + turn.seconds, 0, now
    memory, at_once = 0, in_flight(turn.listening)
    while now < end or crowd.messages < ticks * per_tick:
        due = at_once - (ticks - crowd.messages // per_tick)
        # By halves: one half is on its way to the crowd while the other one is being made.
        if now < end and due >= at_once // 2:
            ticks += pacemaker.tick(due)
        _hear(selector, crowd)
        now = time.perf_counter()
        if now >= look:
            memory, look = max(memory, memory_of(turn.pid)), now + MEMORY_S
        if now > end + SILENCE_S_MAX:
            raise CrowdFault(f"only {crowd.messages} of {ticks * per_tick} messages came")
    return ticks, memory


def _hear(selector: selectors.BaseSelector, crowd: Crowd) -> None:
    for key, _ in selector.select(0.05):
        if isinstance(key.data, Seat):
            crowd.hear(key.data)
        else:
            key.data()


def cpu_of(pid: int) -> float:
    """The seconds that a process has computed, in itself and in the kernel; 0 without a /proc."""
    # Its name, in brackets, may hold anything; user and system time come 12 fields later.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:13]) / os.sysconf("SC_CLK_TCK")


def memory_of(pid: int) -> int:
    """The bytes that a process has in memory; 0 without a /proc."""
    lines = _read(f"/proc/{pid}/status").splitlines()
    return next((int(line.split()[1]) * 1_024 for line in lines if line.startswith("VmRSS:")), 0)


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


@contextlib.contextmanager
def _closing(pacemaker: Pacemaker) -> Iterator[Pacemaker]:
    try:
        yield pacemaker
    finally:
        pacemaker.close()
