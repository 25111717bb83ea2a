"""The directory: the newest row of everything that operators made."""

import msgspec

from exchange.backend.directory import Directory
from exchange.backend.vault import Vault
from exchange.services.markets import ExchangeRules, Mode, default_markets
from exchange.services.messages import Done, Outcome
from exchange.services.rows import Account, Row

ASSETS, (SOLUSDC, *_) = default_markets()
ALICE = Account(id=7, name="alice", created=1)


def directory(*rows: Row) -> Directory:
    return Directory(Vault(bytes(32)), rows)


def outcome(*rows: Row) -> Outcome:
    return Outcome(number=1, time=1, uid=0, request=None, deadline=0, result=Done(), rows=rows)


def test_it_begins_with_the_rows_that_were_loaded() -> None:
    rules = ExchangeRules(orders_max=5)

    known = directory(ASSETS[0], SOLUSDC, ALICE, rules)

    assert known.assets == {"SOL": ASSETS[0]}
    assert known.markets == {"SOLUSDC": SOLUSDC}
    assert known.accounts == {7: ALICE}
    assert known.exchange_rules == rules


def test_an_exchange_without_rules_of_its_own_has_none() -> None:
    assert directory().exchange_rules == ExchangeRules()


def test_outcomes_replace_what_they_name_and_nothing_else() -> None:
    known = directory(SOLUSDC, ALICE)
    stopped = msgspec.structs.replace(ALICE, stopped=True, tier=2)
    paused = msgspec.structs.replace(SOLUSDC, mode=Mode.BREAK)
    bob = Account(id=8, name="bob", created=2)

    known.apply(outcome(stopped, bob))
    known.apply(outcome(paused, ExchangeRules(discount_asset="SOL")))

    assert known.accounts == {7: stopped, 8: bob}
    assert known.markets == {"SOLUSDC": paused}
    assert known.exchange_rules.discount_asset == "SOL"


def test_accounts_are_found_by_name() -> None:
    known = directory(ALICE)

    assert known.account_named("alice") is ALICE
    assert known.account_named("bob") is None
