"""Who hears what: from which outcome on, until when, and what a lost journal means to him."""

import json

import pytest
from venue import Venue

from exchange.services.messages import Opened, Outcome
from exchange.services.orders import Side
from exchange.services.rows import Key, KeyKind, Row
from exchange.services.user_streams import Message, UserStreams


class Ear:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def tell(self, message: Message) -> None:
        self.heard.append(json.loads(message.text(1))["e"])

    def revoke(self) -> None:
        self.heard.append("revoked")

    def break_off(self) -> None:
        self.heard.append("broken off")


class Fed:
    """Streams that are fed with all that happens at a venue."""

    def __init__(self) -> None:
        self.venue = Venue()
        self.alice = self.venue.account("alice", USDC=1_000)
        self.bob = self.venue.account("bob", USDC=1_000)
        rows = [row for outcome in self.venue.outcomes for row in outcome.rows]
        self.streams = UserStreams(self.venue.number, rows, ())

    def order(self, account: int) -> None:
        self.streams.apply(self.venue.order(account, Side.BUY, 1, 10))

    def outcome(self, result: Opened, *rows: Row) -> None:
        self.streams.apply(
            Outcome(
                number=self.venue.number + 1,
                time=1,
                uid=0,
                request=None,
                deadline=0,
                result=result,
                rows=rows,
            )
        )

    def revoke(self, api_key: str) -> None:
        key = Key(
            api_key=api_key,
            account=self.alice,
            kind=KeyKind.HMAC,
            secret=b"",
            can_trade=True,
            created=1,
            revoked=2,
        )
        self.outcome(Opened(epoch=1, base=1), key)


@pytest.fixture
def fed() -> Fed:
    return Fed()


ORDER = ["executionReport", "outboundAccountPosition"]


def test_a_listener_hears_his_account_from_the_next_outcome_on(fed: Fed) -> None:
    ear = Ear()

    fed.order(fed.alice)
    fed.streams.listen(fed.alice, "k", ear)
    fed.order(fed.bob)
    fed.order(fed.alice)

    assert ear.heard == ORDER
    assert fed.streams.position == fed.venue.number


def test_who_stops_hears_no_more_and_others_do(fed: Fed) -> None:
    ear, other = Ear(), Ear()
    for one in (ear, other):
        fed.streams.listen(fed.alice, "k", one)

    fed.streams.stop(fed.alice, ear)
    fed.order(fed.alice)

    assert (ear.heard, other.heard) == ([], ORDER)


def test_what_happens_while_somebody_is_looked_up_is_told_to_him_afterwards(fed: Fed) -> None:
    first, second = Ear(), Ear()

    since_first = fed.streams.keep()
    fed.order(fed.alice)
    since_second = fed.streams.keep()
    fed.order(fed.bob)
    fed.order(fed.alice)
    fed.streams.listen(fed.alice, "k", first, since=since_first)
    fed.streams.release()
    fed.streams.listen(fed.alice, "k", second, since=since_second)
    fed.streams.release()

    assert first.heard == ORDER * 2
    assert second.heard == ORDER


def test_nothing_is_kept_for_longer_than_needed(fed: Fed) -> None:
    ear = Ear()

    fed.streams.keep()
    fed.order(fed.alice)
    fed.streams.release()
    since = fed.streams.keep()
    fed.streams.listen(fed.alice, "k", ear, since=since)

    assert (since, ear.heard) == (0, [])


def test_a_new_generation_parts_from_everybody(fed: Fed) -> None:
    ear = Ear()
    fed.streams.listen(fed.alice, "k", ear)

    fed.outcome(Opened(epoch=2, base=2**20))
    fed.order(fed.alice)

    assert ear.heard == ["broken off"]


def test_a_revoked_key_hears_no_more_and_never_again(fed: Fed) -> None:
    ear, late, other = Ear(), Ear(), Ear()
    fed.streams.listen(fed.alice, "k", ear)
    fed.streams.listen(fed.alice, "l", other)

    fed.revoke("k")
    fed.streams.listen(fed.alice, "k", late)

    assert ear.heard == ["revoked"]
    assert late.heard == []
    assert other.heard == ["broken off"]
