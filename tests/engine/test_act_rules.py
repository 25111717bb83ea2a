"""What somebody answers for is on record: who, what, why, before and after."""

import json
from itertools import pairwise

import pytest
from msgspec.structs import replace
from venue import SYMBOL, Venue, WatchedVenue

from exchange.engine.acts import linked
from exchange.engine.matching_engine import MatchingEngine
from exchange.services.commands import (
    ChangeAccount,
    ChangeMarket,
    CreateKey,
    Deposit,
    Note,
    SetMode,
)
from exchange.services.markets import Mode
from exchange.services.messages import Outcome
from exchange.services.rows import Act, Author, KeyKind

CAROL = Author(name="carol", reason="she was asked to")


@pytest.fixture
def venue() -> Venue:
    return WatchedVenue()


@pytest.fixture
def alice(venue: Venue) -> int:
    return venue.account("alice")


def act(outcome: Outcome) -> Act:
    (row,) = [row for row in outcome.rows if isinstance(row, Act)]
    return row


def test_an_act_names_its_actor_and_what_has_changed(venue: Venue, alice: int) -> None:
    outcome = venue.do(ChangeAccount(uid=1, account=alice, stopped=True, author=CAROL))

    assert replace(act(outcome), link="") == Act(
        number=outcome.number,
        time=outcome.time,
        actor="carol",
        act="ChangeAccount",
        subject="account alice",
        reason="she was asked to",
        before='{"stopped":false}',
        after='{"stopped":true}',
    )


def test_of_rules_only_those_are_told_that_have_changed(venue: Venue) -> None:
    market = venue.book.market
    outcome = venue.do(
        ChangeMarket(
            uid=1,
            symbol=SYMBOL,
            maker_rate=5,
            taker_rate=market.taker_rate,
            rules=replace(market.rules, orders_max=7),
            author=CAROL,
        )
    )

    found = act(outcome)
    assert json.loads(found.before) == {
        "maker_rate": market.maker_rate,
        "rules": {"orders_max": market.rules.orders_max},
    }
    assert json.loads(found.after) == {"maker_rate": 5, "rules": {"orders_max": 7}}


def test_what_concerns_several_things_is_told_of_each(venue: Venue) -> None:
    outcome = venue.do(SetMode(uid=1, symbol=None, mode=Mode.HALTED, author=CAROL))

    found = act(outcome)
    assert found.subject == f"market {SYMBOL}"
    assert (found.before, found.after) == ('{"mode":"RUNNING"}', '{"mode":"HALTED"}')


def test_no_secret_is_on_record(venue: Venue, alice: int) -> None:
    key = CreateKey(
        uid=1,
        account=alice,
        api_key="k",
        kind=KeyKind.HMAC,
        secret=b"ciphertext",
        can_trade=True,
        author=CAROL,
    )

    found = act(venue.do(key))

    assert json.loads(found.after)["api_key"] == "k"
    assert "secret" not in found.after


def test_money_that_an_operator_gives_is_an_act_once(venue: Venue, alice: int) -> None:
    deposit = Deposit(uid=1, account=alice, asset="USDC", amount=5, reference="r", author=CAROL)

    first, again = venue.do(deposit), venue.do(deposit)

    assert act(first).subject == "transfer r"
    assert json.loads(act(first).after)["amount"] == 5
    assert again.rows == ()


def test_what_was_refused_was_not_done(venue: Venue) -> None:
    outcome = venue.do(ChangeAccount(uid=1, account=99_999, stopped=True, author=CAROL))

    assert outcome.rows == ()


def test_what_users_do_with_their_own_is_no_act(venue: Venue, alice: int) -> None:
    outcome = venue.do(ChangeAccount(uid=1, account=alice, discount=True))

    assert not any(isinstance(row, Act) for row in outcome.rows)


def test_what_was_done_beside_the_state_is_noted(venue: Venue) -> None:
    outcome = venue.do(Note(uid=1, act="SetPassword", subject="account alice", author=CAROL))

    found = act(outcome)
    assert (found.act, found.subject, found.before, found.after) == (
        "SetPassword",
        "account alice",
        "",
        "",
    )


def test_each_act_is_linked_to_the_one_before_it(venue: Venue, alice: int) -> None:
    acts = [
        act(venue.do(ChangeAccount(uid=1, account=alice, tier=tier, author=CAROL)))
        for tier in (1, 2, 3)
    ]

    assert acts[0].link != acts[1].link != acts[2].link
    assert [linked(one, before.link) for before, one in pairwise(acts)] == acts[1:]
    assert linked(replace(acts[1], reason="another"), acts[0].link).link != acts[1].link


def test_who_takes_over_goes_on_with_the_same_record(venue: Venue, alice: int) -> None:
    first = venue.do(ChangeAccount(uid=1, account=alice, tier=1, author=CAROL))
    follower = MatchingEngine()
    for account in venue.engine.registry.accounts.values():
        follower.restore(account)
    follower.restore(act(first))
    command = ChangeAccount(uid=2, account=alice, tier=2, author=CAROL)

    theirs = act(follower.apply(first.number + 1, command, first.time))

    assert linked(theirs, act(first).link) == theirs
