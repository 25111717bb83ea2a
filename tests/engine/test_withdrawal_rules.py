"""Withdrawals: limits, approvals, freezing; and money between accounts of one owner."""

import pytest
from msgspec.structs import replace
from venue import UNIT, Venue, WatchedVenue, detail, reason

from exchange.services.commands import (
    CreateAccount,
    CreateKey,
    DecideWithdrawal,
    Decision,
    FreezeWithdrawals,
    MoveFunds,
    RequestWithdrawal,
    RevokeKey,
)
from exchange.services.messages import Created, Outcome, Reason, Repeated
from exchange.services.rows import (
    Author,
    KeyKind,
    Transfer,
    TransferKind,
    Withdrawal,
    WithdrawalStatus,
)

DAY_US = 86_400_000_000


@pytest.fixture
def venue() -> Venue:
    return WatchedVenue()


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice", USDC=1000)


def ask(venue: Venue, account: int, amount: float, reference: str = "w1", key: str = "") -> Outcome:
    return venue.do(
        RequestWithdrawal(
            uid=1,
            account=account,
            key=key,
            asset="USDC",
            amount=round(amount * UNIT),
            address="bank/alice",
            reference=reference,
        )
    )


def decide(venue: Venue, decision: Decision, who: str, reference: str = "w1") -> Outcome:
    author = Author(name=who, reason="as it must be")
    return venue.do(DecideWithdrawal(uid=1, reference=reference, decision=decision, author=author))


def freeze(venue: Venue, *, is_frozen: bool) -> None:
    venue.do(FreezeWithdrawals(uid=1, is_frozen=is_frozen, author=Author(name="auditor")))


def status(outcome: Outcome) -> WithdrawalStatus:
    (row,) = [row for row in outcome.rows if isinstance(row, Withdrawal)]
    return row.status


def free(venue: Venue, account: int) -> float:
    return venue.engine.ledger.free(account, "USDC") / UNIT


def test_what_is_asked_for_is_gone_at_once_and_paid_when_it_was_approved(
    venue: Venue, alice: int
) -> None:
    asked = ask(venue, alice, 300)
    early = decide(venue, Decision.FINISH, "carol")
    approved = decide(venue, Decision.APPROVE, "carol")
    done = decide(venue, Decision.FINISH, "custody")

    assert free(venue, alice) == 700
    assert [status(one) for one in (asked, approved, done)] == [
        WithdrawalStatus.PENDING,
        WithdrawalStatus.APPROVED,
        WithdrawalStatus.DONE,
    ]
    assert detail(early) == "It is not approved."
    assert reason(decide(venue, Decision.REJECT, "carol")) is Reason.UNKNOWN_WITHDRAWAL


def test_a_rejected_one_comes_back_once(venue: Venue, alice: int) -> None:
    ask(venue, alice, 300)

    rejected = decide(venue, Decision.REJECT, "carol")
    again = decide(venue, Decision.REJECT, "carol")

    assert status(rejected) is WithdrawalStatus.REJECTED
    assert free(venue, alice) == 1000
    assert reason(again) is Reason.UNKNOWN_WITHDRAWAL


def test_nobody_can_take_the_reference_that_a_return_will_need(venue: Venue, alice: int) -> None:
    ask(venue, alice, 100)
    ask(venue, alice, 100, "w1/returned")

    assert status(decide(venue, Decision.REJECT, "carol")) is WithdrawalStatus.REJECTED

    assert free(venue, alice) == 900


def test_the_same_reference_is_one_withdrawal(venue: Venue, alice: int) -> None:
    first, second = ask(venue, alice, 300), ask(venue, alice, 300)
    other = ask(venue, alice, 200)

    assert second.result == Repeated(number=first.number)
    assert reason(other) is Reason.REFERENCE_USED
    assert free(venue, alice) == 700


def test_only_what_is_free_and_has_an_address_can_leave(venue: Venue, alice: int) -> None:
    assert reason(ask(venue, alice, 1001)) is Reason.INSUFFICIENT_BALANCE
    nowhere = RequestWithdrawal(
        uid=1, account=alice, asset="USDC", amount=1, address="", reference="x"
    )
    assert reason(venue.do(nowhere)) is Reason.INVALID


def test_one_withdrawal_and_all_of_a_day_have_a_limit(venue: Venue, alice: int) -> None:
    venue.exchange_rule(
        withdrawal_max={"USDC": 400 * UNIT}, withdrawal_day_max={"USDC": 700 * UNIT}
    )

    assert reason(ask(venue, alice, 401, "a")) is Reason.LIMIT
    assert reason(ask(venue, alice, 400, "b")) is None
    assert reason(ask(venue, alice, 301, "c")) is Reason.LIMIT
    assert reason(ask(venue, alice, 300, "d")) is None
    assert reason(ask(venue, alice, 1, "e")) is Reason.LIMIT

    decide(venue, Decision.REJECT, "carol", "d")
    assert reason(ask(venue, alice, 300, "f")) is None
    venue.now += DAY_US
    assert reason(ask(venue, alice, 300, "g")) is None


def test_limits_stand_in_the_order_in_which_a_database_hands_them_out(venue: Venue) -> None:
    venue.exchange_rule(withdrawal_max={"USDC": 1, "SOL": 2})

    assert list(venue.engine.registry.exchange_rules.withdrawal_max) == ["SOL", "USDC"]


def test_small_ones_need_nobody_and_large_ones_two_different_people(
    venue: Venue, alice: int
) -> None:
    venue.exchange_rule(
        withdrawal_free_max={"USDC": 10 * UNIT}, withdrawal_single_max={"USDC": 100 * UNIT}
    )

    assert status(ask(venue, alice, 10, "small")) is WithdrawalStatus.APPROVED
    assert status(ask(venue, alice, 100, "middle")) is WithdrawalStatus.PENDING
    assert status(decide(venue, Decision.APPROVE, "carol", "middle")) is WithdrawalStatus.APPROVED
    ask(venue, alice, 101, "large")
    first = decide(venue, Decision.APPROVE, "carol", "large")
    same = decide(venue, Decision.APPROVE, "carol", "large")
    second = decide(venue, Decision.APPROVE, "dave", "large")

    assert status(first) is WithdrawalStatus.PENDING
    assert detail(same) == "Somebody else has to approve it too."
    assert status(second) is WithdrawalStatus.APPROVED


def test_nobody_approves_his_own_nor_that_of_his_sub_account(venue: Venue, alice: int) -> None:
    sub = venue.do(CreateAccount(uid=1, name="alice:bot", owner=alice)).result
    assert isinstance(sub, Created)
    venue.deposit(sub.id, "USDC", 100 * UNIT)
    ask(venue, alice, 10)
    ask(venue, sub.id, 10, "of the sub-account")

    for reference in ("w1", "of the sub-account"):
        refused = decide(venue, Decision.APPROVE, "alice", reference)
        assert detail(refused) == "Nobody approves his own withdrawal."


def test_frozen_means_that_nothing_leaves_until_somebody_thaws_it(venue: Venue, alice: int) -> None:
    ask(venue, alice, 10)
    freeze(venue, is_frozen=True)

    assert reason(ask(venue, alice, 10, "w2")) is Reason.WITHDRAWALS_FROZEN
    assert reason(decide(venue, Decision.APPROVE, "carol")) is Reason.WITHDRAWALS_FROZEN
    assert reason(venue.withdraw(alice, "USDC", 1)) is Reason.WITHDRAWALS_FROZEN
    # Somebody who changes the rules has not looked at what froze them.
    venue.exchange_rule(orders_max=5, withdrawals_frozen=False)
    assert venue.engine.registry.exchange_rules.withdrawals_frozen
    assert status(decide(venue, Decision.REJECT, "carol")) is WithdrawalStatus.REJECTED

    freeze(venue, is_frozen=False)
    assert reason(ask(venue, alice, 10, "w2")) is None


def test_a_stopped_account_neither_withdraws_nor_moves_money(venue: Venue, alice: int) -> None:
    sub = venue.do(CreateAccount(uid=1, name="alice:bot", owner=alice)).result
    assert isinstance(sub, Created)
    venue.change_account(alice, stopped=True)

    assert reason(ask(venue, alice, 10)) is Reason.ACCOUNT_STOPPED
    move = MoveFunds(uid=1, account=alice, to=sub.id, asset="USDC", amount=1, reference="m")
    assert reason(venue.do(move)) is Reason.ACCOUNT_STOPPED


def test_a_key_withdraws_only_if_it_may(venue: Venue, alice: int) -> None:
    for name, can_withdraw in (("trader", False), ("payer", True)):
        venue.do(
            CreateKey(
                uid=1,
                account=alice,
                api_key=name,
                kind=KeyKind.HMAC,
                secret=b"s",
                can_trade=not can_withdraw,
                can_withdraw=can_withdraw,
            )
        )

    assert reason(ask(venue, alice, 10, "a", key="trader")) is Reason.KEY_NOT_VALID
    assert reason(ask(venue, alice, 10, "b", key="payer")) is None
    venue.do(RevokeKey(uid=1, api_key="payer"))
    assert reason(ask(venue, alice, 10, "c", key="payer")) is Reason.KEY_NOT_VALID


def test_a_key_is_worthless_from_its_expiry_on(venue: Venue, alice: int) -> None:
    key = CreateKey(
        uid=1,
        account=alice,
        api_key="short",
        kind=KeyKind.HMAC,
        secret=b"s",
        can_trade=True,
        can_withdraw=True,
        expires=venue.now + 3,
    )
    venue.do(key)

    assert reason(ask(venue, alice, 10, "a", key="short")) is None
    assert reason(ask(venue, alice, 10, "b", key="short")) is Reason.KEY_NOT_VALID


def test_money_moves_between_the_accounts_of_one_owner_only(venue: Venue, alice: int) -> None:
    bob = venue.account("bob")
    created = venue.do(CreateAccount(uid=1, name="alice:bot", owner=alice)).result
    assert isinstance(created, Created)
    move = MoveFunds(
        uid=1, account=alice, to=created.id, asset="USDC", amount=400 * UNIT, reference="m1"
    )

    moved, again = venue.do(move), venue.do(move)

    (row,) = [row for row in moved.rows if isinstance(row, Transfer)]
    assert (row.kind, row.counterparty) == (TransferKind.TRANSFER, created.id)
    assert again.result == Repeated(number=moved.number)
    assert (free(venue, alice), free(venue, created.id)) == (600, 400)
    for changes in ({"to": bob}, {"to": alice}, {"to": 99_999}, {"account": bob}):
        refused = venue.do(replace(move, reference=f"{changes}", **changes))
        assert reason(refused) is Reason.NOT_ALLOWED, changes
    much = venue.do(replace(move, amount=601 * UNIT, reference="m2"))
    assert reason(much) is Reason.INSUFFICIENT_BALANCE


def test_a_sub_account_has_no_sub_accounts(venue: Venue, alice: int) -> None:
    created = venue.do(CreateAccount(uid=1, name="alice:bot", owner=alice)).result
    assert isinstance(created, Created)

    assert reason(venue.do(CreateAccount(uid=1, name="x", owner=created.id))) is Reason.INVALID
    assert reason(venue.do(CreateAccount(uid=1, name="x", owner=0))) is Reason.UNKNOWN_ACCOUNT
    assert reason(venue.do(CreateAccount(uid=1, name="x", owner=99_999))) is Reason.UNKNOWN_ACCOUNT
