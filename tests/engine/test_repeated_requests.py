"""A signed request that comes again, from a library or a network that repeats it."""

from venue import SYMBOL, UNIT, Venue

from exchange.services.commands import CancelOrder
from exchange.services.messages import SECOND_US, Repeated
from exchange.services.orders import Side


def test_a_cancel_that_is_repeated_behind_its_deadline_still_names_the_first() -> None:
    """It may have waited in the journal, and cancels are executed however late they come."""
    venue = Venue()
    alice = venue.account("alice", USDC=1_000)
    cancel = CancelOrder(
        uid=1,
        account=alice,
        symbol=SYMBOL,
        client_order_id="name",
        request=b"signed",
        deadline=venue.now + 5 * UNIT,
    )
    venue.order(alice, Side.BUY, 1, 100, client_order_id="name")
    first = venue.do(cancel)
    venue.order(alice, Side.BUY, 1, 100, client_order_id="name")
    venue.now = cancel.deadline + 60 * SECOND_US

    repeated = venue.do(cancel)

    assert repeated.result == Repeated(number=first.number)
    assert len(venue.book.orders) == 1
