"""How much of the streams is kept behind what Postgres holds: minutes and commands, while there is
memory for them.
"""

from collections import deque
from typing import NamedTuple

KEEP_S = 600.0
KEEP_COMMANDS = 100_000
KEEP_NUMBERS_SCARCE = 1_000

SHORT_SHARE = 0.25
"""Of Redis' memory: from there on only the number of commands counts."""
SCARCE_SHARE = 0.55
"""From there on nearly everything goes that is written. Less than what makes backends refuse orders,
or they would refuse them for ever: who adds nothing makes nothing droppable."""


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

    def droppable(self, now: float, *, memory_share: float) -> int | None:
        """The number up to which entries may go; None while everything is kept."""
        if memory_share > SCARCE_SHARE:
            # By numbers, since what was written before this process came must go, too.
            number = self._marks[-1].number - KEEP_NUMBERS_SCARCE
            return number if number > 0 else None
        found = None
        while self._commands - self._marks[0].commands >= KEEP_COMMANDS and (
            memory_share > SHORT_SHARE or now - self._marks[0].time >= KEEP_S
        ):
            found = self._marks[0].number
            if len(self._marks) == 1:
                break
            self._marks.popleft()
        return found
