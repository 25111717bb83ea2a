"""The two streams held against each other: a chain without gaps, one outcome for each command."""

from exchange.engine.report import Check
from exchange.services.commands import AnyCommand, Undecodable
from exchange.services.messages import Opened, Outcome, OutcomeFrame


class StreamCheck:
    """Give it every frame of outcomes that Redis still holds, oldest first, and the commands."""

    def __init__(self, database: int) -> None:
        """`database` is the position up to which Postgres has what Redis may have lost."""
        self.chain = Check(
            name="chain",
            promise="Outcomes follow each other without a gap, and no epoch falls",
            things="outcomes in Redis",
        )
        self.answers = Check(
            name="answers",
            promise="Every command has the one outcome that answers it",
            things="commands in Redis",
        )
        self._database = database
        self._position: int | None = None
        self._epoch = 0
        self._explained = 0
        self._first_command: int | None = None
        self._is_whole = True

    @property
    def position(self) -> int | None:
        """The last number that was taken."""
        return self._position

    def reaches_back_to_the_beginning(self) -> bool:
        """Whether nothing was trimmed or lost of either stream."""
        return self._is_whole and self._position is not None

    def follows(self, frame: OutcomeFrame) -> bool:
        return self._position is None or frame.previous == self._position

    def skip(self, frame: OutcomeFrame) -> None:
        """What lies before this frame was trimmed away while we looked."""
        self._position = self._explained = frame.previous
        self._is_whole = False

    def take(self, frame: OutcomeFrame) -> None:
        if self._position is None:
            self._explained = frame.previous
            self._is_whole = frame.previous == 0
        elif not self.follows(frame):
            self._take_break(frame, self._position)
        if frame.epoch < self._epoch:
            self.chain.doubt(f"{frame.last} has epoch {frame.epoch} after {self._epoch}")
        self._epoch = frame.epoch
        numbers = [outcome.number for outcome in frame.outcomes]
        dense = list(range(frame.previous + 1, frame.previous + 1 + len(numbers)))
        opens = isinstance(frame.outcomes[0].result, Opened) and len(numbers) == 1
        if numbers != dense and not (opens and numbers[0] > frame.previous):
            self.chain.doubt(f"numbers {numbers[0]} to {numbers[-1]} follow {frame.previous}")
        self._position = frame.last
        self.chain.checked += len(numbers)

    def pair(self, outcome: Outcome, command: AnyCommand | Undecodable) -> None:
        """Both have the same number."""
        self._begin_commands(outcome.number)
        self.answers.checked += 1
        if not isinstance(command, Undecodable) and command.uid != outcome.uid:
            self.answers.doubt(f"outcome {outcome.number} is that of another command")

    def miss_outcome(self, number: int) -> None:
        """A command before the last outcome has none."""
        self._begin_commands(number)
        if number > self._explained:
            self.answers.checked += 1
            self.answers.doubt(f"command {number} has no outcome")

    def miss_command(self, number: int) -> None:
        """An outcome has no command in the stream."""
        self._is_whole = False
        if self._first_command is not None:
            self.answers.doubt(f"outcome {number} has no command")

    def _begin_commands(self, number: int) -> None:
        # What comes before the first one may have been trimmed away.
        if self._first_command is None:
            self._first_command = number

    def _take_break(self, frame: OutcomeFrame, position: int) -> None:
        self._is_whole = False
        # A tail that Redis lost and Postgres had: the next leader went on from Postgres.
        if position < frame.previous <= self._database and frame.epoch > self._epoch:
            self._explained = frame.previous
        else:
            self.chain.doubt(f"an outcome follows {frame.previous}, but {position} was the last")
