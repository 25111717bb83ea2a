"""Every result and outcome, defined once, and the codec that journals them.

An *outcome* is all that a command led to: a result for the one who asked, and rows. JSON arrays carry
them: integers of any size, about as fast as MessagePack, and readable with redis-cli.
"""

from enum import StrEnum

import msgspec

from exchange.services.rows import Message, Order, Row

JUMP = 2**20
"""How far all numbers and ids move on where outcomes may be lost that somebody has seen: further
than they can have come."""

LEAP = 2**40
"""The same where not a tail is lost but a journal, with all that came after a backup: what two
years at full load would use up."""


SECOND_US = 1_000_000
_ONCE_KEPT_US = 60 * SECOND_US
"""How long behind its deadline a signed request was known, when the time of a frame decided."""


class Reason(StrEnum):
    """Why a command was refused; the public API has a code and a text for each."""

    LATE = "LATE"
    KEY_NOT_VALID = "KEY_NOT_VALID"
    UNKNOWN_ACCOUNT = "UNKNOWN_ACCOUNT"
    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    UNKNOWN_ASSET = "UNKNOWN_ASSET"
    UNKNOWN_ORDER = "UNKNOWN_ORDER"
    UNKNOWN_KEY = "UNKNOWN_KEY"
    ORDER_ID_MISMATCH = "ORDER_ID_MISMATCH"
    CANCEL_RESTRICTED = "CANCEL_RESTRICTED"
    NO_OPEN_ORDERS = "NO_OPEN_ORDERS"
    MARKET_CLOSED = "MARKET_CLOSED"
    ACCOUNT_STOPPED = "ACCOUNT_STOPPED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    """By this market; `detail` is the order type or the Feature."""
    SELF_TRADE_MODE = "SELF_TRADE_MODE"
    FILTER = "FILTER"
    """`detail` is the Filter's name."""
    ICEBERG_TOO_LARGE = "ICEBERG_TOO_LARGE"
    NO_CHANGE = "NO_CHANGE"
    AMEND_INCREASE = "AMEND_INCREASE"
    UNKNOWN_LIST = "UNKNOWN_LIST"
    WOULD_TRIGGER = "WOULD_TRIGGER"
    LIST_PRICES = "LIST_PRICES"
    DUPLICATE_CLIENT_ORDER_ID = "DUPLICATE_CLIENT_ORDER_ID"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    WOULD_MATCH = "WOULD_MATCH"
    NO_LIQUIDITY = "NO_LIQUIDITY"
    TOO_LITTLE_LIQUIDITY = "TOO_LITTLE_LIQUIDITY"
    """Not even one lot; `detail` is the Filter whose minimum is meant."""
    REFERENCE_USED = "REFERENCE_USED"
    WITHDRAWALS_FROZEN = "WITHDRAWALS_FROZEN"
    UNKNOWN_WITHDRAWAL = "UNKNOWN_WITHDRAWAL"
    LIMIT = "LIMIT"
    """`detail` says which."""
    NOT_ALLOWED = "NOT_ALLOWED"
    """`detail` says why."""
    ALREADY_EXISTS = "ALREADY_EXISTS"
    CHANGED_MEANWHILE = "CHANGED_MEANWHILE"
    """What was to be replaced is not there any more: somebody else has replaced it."""
    INVALID = "INVALID"
    POISON = "POISON"


class Placed(Message, frozen=True, kw_only=True):
    symbol: str
    order_id: int


class Canceled(Message, frozen=True, kw_only=True):
    """All that was ended, with every order of a list.

    `client_order_id` is what the sender called the cancel, "" if he did not.
    """

    symbol: str
    order_ids: tuple[int, ...]
    client_order_id: str = ""


class Listed(Message, frozen=True, kw_only=True):
    symbol: str
    list_id: int


class Amended(Message, frozen=True, kw_only=True):
    symbol: str
    order_id: int


class Created(Message, frozen=True, kw_only=True):
    """The id of a new account, or the journal number of a transfer."""

    id: int


class Done(Message, frozen=True, kw_only=True):
    pass


class Rejected(Message, frozen=True, kw_only=True):
    reason: Reason
    detail: str = ""


class Replaced(Message, frozen=True, kw_only=True):
    """What became of the cancel and of the new order (None: it was not attempted).

    Where only the cancel was done, `rejected` is the order that there is not, under the id -1.
    """

    canceled: Canceled | Rejected
    placed: Placed | Rejected | None
    rejected: Order | None = None


class Repeated(Message, frozen=True, kw_only=True):
    """The same signed request, or reference, was executed before, at this number."""

    number: int


class Opened(Message, frozen=True, kw_only=True):
    """A generation begins: numbers and ids jump, and only here. `base` is its first number."""

    epoch: int
    base: int


Result = (
    Placed | Listed | Canceled | Amended | Replaced | Created | Done | Rejected | Repeated | Opened
)


class SignedRequest(Message, frozen=True, tag=False):
    """What must not be executed again: a request, and the command that it was executed as."""

    number: int
    request: bytes
    deadline: int


class Outcome(Message, frozen=True, kw_only=True, tag=False):
    """All that the command of the same number led to."""

    number: int
    time: int
    uid: int
    request: bytes | None
    deadline: int
    result: Result
    rows: tuple[Row, ...] = ()

    @property
    def signed_request(self) -> SignedRequest | None:
        """None where nobody signed, and for a repeat: the first one is remembered."""
        if self.request is None or isinstance(self.result, Repeated):
            return None
        return SignedRequest(self.number, self.request, self.deadline)


class OutcomeFrame(Message, frozen=True, kw_only=True, tag=False):
    """Outcomes that were appended together; `previous` is the number before its first one.

    `state_hash` is that of the live state after the last one. What `forgets` says is decided by who
    leads, and by nobody else; earlier versions did not write it.
    """

    epoch: int
    previous: int
    time: int
    state_hash: int
    outcomes: tuple[Outcome, ...]
    forgets: int | None = None

    @property
    def last(self) -> int:
        return self.outcomes[-1].number

    @property
    def requests_since(self) -> int:
        """The earliest deadline, a whole second, of the requests that are known behind it."""
        if self.forgets is None:
            return (self.time - _ONCE_KEPT_US) // SECOND_US * SECOND_US
        return self.forgets


encode = msgspec.json.Encoder().encode
decode_frame = msgspec.json.Decoder(OutcomeFrame).decode
