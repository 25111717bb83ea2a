"""What the traders were told, and nothing else: the promises that are held against the exchange.

Every order has a client order id of its own, `<account>-<n>`, and every transfer a reference.
"""

from enum import IntEnum

from msgspec import Struct

from exchange.lab.chaos.found import ENDED, OPEN, Fill, FoundOrder


class Told(IntEnum):
    """The three answers."""

    UNKNOWN = 0
    REFUSED = 1
    """It did not and will not happen; also what could not even be sent."""
    DONE = 2


class OrderMemory(Struct, gc=False):
    """One order: what was asked, and the newest that was told of it.

    Price and quantity are 0 where they were not asked for. `cancel` is None where nobody asked
    for one or every request was refused. `has_ended` is set when it was told to be over, or at
    least not to be open any more.
    """

    symbol: str
    side: str
    type: str
    price: int = 0
    quantity: int = 0
    told: Told = Told.UNKNOWN
    order_id: int = 0
    status: str = ""
    executed: int = 0
    fills: tuple[Fill, ...] = ()
    cancel: Told | None = None
    has_ended: bool = False

    def is_this(self, found: FoundOrder) -> bool:
        """Whether what was found is what was asked for."""
        asked = (self.symbol, self.side, self.type, self.price)
        return asked == (found.symbol, found.side, found.type, found.price) and (
            self.quantity in (0, found.quantity)
        )

    def can_become(self, found: FoundOrder) -> bool:
        """Whether this newer state can follow what was told."""
        if self.told is Told.REFUSED:
            return False
        if self.told is Told.UNKNOWN:
            return True
        if found.id != self.order_id or found.executed < self.executed:
            return False
        if self.status in ENDED:
            return found.status == self.status and found.executed == self.executed
        if self.has_ended and found.status in OPEN:
            return False
        return found.status != "NEW" or self.status == "NEW"

    def learn(self, found: FoundOrder) -> None:
        """Take over what was told now."""
        self.told, self.order_id = Told.DONE, found.id
        self.status, self.executed = found.status, found.executed
        self.has_ended = self.has_ended or found.status in ENDED


class TransferMemory(Struct, gc=False):
    """A deposit or a withdrawal, by its reference."""

    kind: str
    asset: str
    amount: int
    told: Told = Told.UNKNOWN


class AccountMemory:
    """All that one account was told."""

    def __init__(self, name: str, account_id: int) -> None:
        self.name = name
        self.account_id = account_id
        self.orders: list[OrderMemory] = []
        self.transfers: dict[str, TransferMemory] = {}
        self.unsure_cancels: set[str] = set()
        """Markets of which all orders may have been cancelled, at some moment."""

    def client_order_id(self, index: int) -> str:
        return f"{self.name}-{index}"

    def index(self, client_order_id: str) -> int | None:
        """Which of the orders was sent under that id; None: none."""
        name, _, number = client_order_id.rpartition("-")
        if name != self.name or not number.isdecimal() or str(int(number)) != number:
            return None
        return int(number) if int(number) < len(self.orders) else None
