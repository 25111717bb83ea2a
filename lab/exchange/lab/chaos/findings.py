"""What was promised, how often each promise was checked, and where it did not hold."""

from enum import Enum

from msgspec import Struct

EXAMPLES_MAX = 20


class Promise(Enum):
    """What `exchange chaos` proves, one line of its report each."""

    ANSWERS = "every answer is one of three: done, refused, unknown"
    READS = "reads see what was acknowledged before them"
    ORDERS = "every acknowledged order is there once, as acknowledged"
    FILLS = "every acknowledged fill is there once"
    CANCELS = "every acknowledged cancel is final"
    REFUSED = "what was refused is not there"
    UNKNOWN = "what was unknown is wholly there or not at all"
    TRANSFERS = "every deposit and withdrawal is there once"
    NOTHING_ELSE = "nothing is there that nobody sent"
    BALANCES = "balances are transfers and trades, to the unit"
    LOCKS = "what is locked is what open orders need"
    CONSERVED = "what all accounts hold is what came in"
    SAME = "the API says what Postgres holds"
    TRADES = "a trade id names one trade; ids are dense within a generation"
    CANDLES = "candles are the trades, added up"
    STREAM = "streams tell each trade once, and keep the book that REST shows"
    USER_STREAM = "accounts are told each of their fills once, in order, and what they hold"
    HEALED = "it heals by itself"


class Result(Struct):
    """How one promise fared."""

    checked: int = 0
    violated: int = 0
    examples: list[str] = []


class Findings:
    """Counts checks, and keeps the first violations of every promise in words."""

    def __init__(self) -> None:
        self.results = {promise: Result() for promise in Promise}

    def check(self, promise: Promise, holds: bool, *words: object) -> bool:
        """Count one check. The words are put together only where it does not hold."""
        result = self.results[promise]
        result.checked += 1
        if not holds:
            result.violated += 1
            if len(result.examples) < EXAMPLES_MAX:
                result.examples.append(" ".join(map(str, words)))
        return holds

    @property
    def violated(self) -> int:
        return sum(result.violated for result in self.results.values())
