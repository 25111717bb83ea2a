"""What may be wrong outside of a process, as those who meet it say it to those who run it."""


class WorldFailed(Exception):
    """Redis or Postgres went away, or the chain broke: drop all state and start again."""


class OperatorNeeded(Exception):
    """Starting again cannot help; the text says what an operator has to do."""
