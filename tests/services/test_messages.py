"""Messages: whatever they hold survives the codec, and one bad command harms no other."""

from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.services.commands import AnyCommand, CancelOrder, Undecodable, decode_commands
from exchange.services.messages import Outcome, OutcomeFrame, Result, decode_frame, encode
from exchange.services.orders import OrderStatus
from exchange.services.rows import Order, Row

# Far beyond what 64 bits hold: an asset of 18 decimals gets there quickly.
INTEGERS = st.integers(-(10**38), 10**38)
TEXTS = st.text(max_size=12)


def instances(kind: Any) -> st.SearchStrategy[Any]:
    """Any value of a message or of one of its fields."""
    if kind is int:
        return INTEGERS
    if kind is str:
        return TEXTS
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind)
        fields = {name: instances(hints[name]) for name in kind.__struct_fields__}
        return st.builds(kind, **fields)
    if get_origin(kind) is tuple:
        first, *others = get_args(kind)
        if others == [...]:
            return st.lists(instances(first), max_size=4).map(tuple)
        return st.tuples(instances(first), *map(instances, others))
    if get_origin(kind) is dict:
        return st.dictionaries(*map(instances, get_args(kind)), max_size=4)
    if alternatives := get_args(kind):
        return st.one_of(*map(instances, alternatives))
    return st.from_type(kind)


@settings(max_examples=150)
@given(st.lists(instances(AnyCommand), max_size=5))
def test_every_command_survives_the_journal(commands: list[AnyCommand]) -> None:
    assert decode_commands(encode(commands)) == commands


@settings(max_examples=150)
@given(instances(Result), st.lists(instances(Row), max_size=6).map(tuple))
def test_every_outcome_survives_the_stream(result: Result, rows: tuple[Row, ...]) -> None:
    outcome = Outcome(
        number=2**70,
        time=1,
        uid=2**63 - 1,
        request=b"\x00\xff",
        deadline=0,
        result=result,
        rows=rows,
    )
    frame = OutcomeFrame(
        epoch=1, previous=2**70 - 1, time=1, state_hash=2**64 - 1, outcomes=(outcome,)
    )

    assert decode_frame(encode(frame)) == frame
    assert frame.last == 2**70


def test_every_command_is_tried_above() -> None:
    # A union that lost a member would be tested without it, and journalled by nobody.
    names = {kind.__name__ for kind in get_args(AnyCommand)}

    assert {"PlaceOrder", "CancelOrder", "CancelAllOrders", "Deposit", "Withdraw"} <= names
    assert len(names) == 25


@pytest.mark.parametrize(
    "spoiled",
    [
        b'["Unheard"]',
        b'["CancelOrder"]',
        b"{}",
        b"7",
        b'["CancelOrder","not a number",0,"",null,0]',
    ],
)
def test_a_command_that_cannot_be_read_stands_alone(spoiled: bytes) -> None:
    good = CancelOrder(uid=7, symbol="SOLUSDC", order_id=1)

    before, bad, after = decode_commands(b"[%b,%b,%b]" % (encode(good), spoiled, encode(good)))

    assert before == after == good
    assert isinstance(bad, Undecodable)
    assert bad.fault


def test_what_is_no_list_at_all_is_told_to_the_caller() -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode_commands(b"\x00")


def test_messages_are_arrays_that_begin_with_their_name() -> None:
    text = encode(CancelOrder(uid=7, symbol="SOLUSDC", order_id=10**30))

    assert text.startswith(b'["CancelOrder",7,')
    assert b"1" + b"0" * 30 in text


@pytest.mark.parametrize("status", list(OrderStatus))
@given(order=instances(Order))
@settings(max_examples=5)
def test_an_order_is_open_while_something_can_still_happen(
    status: OrderStatus, order: Order
) -> None:
    changed = msgspec.structs.replace(order, status=status)

    assert changed.is_open == (
        status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED, OrderStatus.PENDING_NEW)
    )
