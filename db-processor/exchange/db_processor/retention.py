"""How much of the streams is kept behind what Postgres holds: so many minutes, so many commands."""

from collections import deque
from typing import NamedTuple

KEEP_S = 600.0
KEEP_COMMANDS = 100_000


class _Mark(NamedTuple):
    """When a number was written, as the how manieth command of this process."""

    time: float
    number: int
    commands: int


class Retention:
    """Counts commands and not numbers, because numbers jump where a generation begins."""

    def __init__(self, number: int, now: float) -> None:
        self._marks = deque([_Mark(now, number, 0)])
        self._commands = 0

    def note(self, number: int, commands: int, now: float) -> None:
        """So many more commands are written, and `number` is the last one."""
        self._commands += commands
        if number != self._marks[-1].number:
            self._marks.append(_Mark(now, number, self._commands))

    def droppable(self, now: float, *, memory_short: bool) -> int | None:
        """The number up to which entries may go; None while everything is kept.

        Short of memory, only the number of commands counts.
        """
        found = None
        while self._commands - self._marks[0].commands >= KEEP_COMMANDS and (
            memory_short or now - self._marks[0].time >= KEEP_S
        ):
            found = self._marks[0].number
            if len(self._marks) == 1:
                break
            self._marks.popleft()
        return found
