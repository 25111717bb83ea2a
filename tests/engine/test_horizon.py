"""No clock of an engine makes it forget what somebody could still repeat."""

from collections import deque

import pytest

from exchange.engine.horizon import SPAN_S, SPANS
from exchange.engine.replica import Replica
from exchange.services import clock
from exchange.services.commands import AnyCommand, CancelAllOrders, CreateAccount, Undecodable
from exchange.services.messages import SECOND_US, OutcomeFrame, Repeated

MINUTE = 60 * SECOND_US
NOON = 1_760_000_000 * SECOND_US
KEPT_S = SPAN_S * (SPANS - 1)


class Night:
    """An engine, a standby, and the time: that of their clocks, and that which really passes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.elapsed = 1_000.0
        self.error = 0
        monkeypatch.setattr(clock, "monotonic", lambda: self.elapsed)
        self.leader, self.standby = Replica(), Replica()

    @property
    def right_time(self) -> int:
        return NOON + int(self.elapsed) * SECOND_US

    def lead(self, command: AnyCommand) -> OutcomeFrame:
        commands = deque[AnyCommand | Undecodable]([command])
        frame = self.leader.execute(commands, self.right_time + self.error)
        # It checks the hash, of which the requests are a part.
        self.standby.follow([frame])
        return frame

    def work(self, seconds: float) -> None:
        until = self.elapsed + seconds
        while self.elapsed < until:
            self.elapsed += 10
            self.lead(CreateAccount(uid=1, name="somebody"))

    def knows(self, request: CancelAllOrders) -> bool:
        assert request.request is not None
        numbers = {
            one.engine.requests.number(request.request) for one in (self.leader, self.standby)
        }
        assert len(numbers) == 1
        return numbers != {None}


@pytest.fixture
def night(monkeypatch: pytest.MonkeyPatch) -> Night:
    return Night(monkeypatch)


def signed(night: Night) -> CancelAllOrders:
    return CancelAllOrders(
        uid=2, account=0, symbol="", request=b"signed", deadline=night.right_time + MINUTE
    )


def test_a_clock_that_is_ahead_for_a_frame_makes_nobody_forget(night: Night) -> None:
    night.work(10 * KEPT_S)
    request = signed(night)
    first = night.lead(request)

    night.error = 10 * MINUTE
    night.lead(CreateAccount(uid=1, name="early"))
    night.error = 0
    again = night.lead(request)

    assert again.outcomes[0].result == Repeated(number=first.last)


def test_nor_does_one_that_is_ahead_from_long_before_until_long_after(night: Night) -> None:
    """What is cancelled is executed however late it seems to be."""
    night.error = 24 * 60 * MINUTE
    night.work(10 * KEPT_S)
    request = signed(night)
    first = night.lead(request)

    night.work(60)
    night.error = 0
    again = night.lead(request)

    assert again.outcomes[0].result == Repeated(number=first.last)


def test_with_a_right_clock_a_request_is_known_a_minute_and_a_half_behind_its_deadline(
    night: Night,
) -> None:
    night.work(10 * KEPT_S)
    request = signed(night)
    night.lead(request)

    night.work(60 + KEPT_S)
    assert night.knows(request)

    night.work(2 * SPAN_S)
    assert not night.knows(request)


def test_who_has_just_started_forgets_nothing_that_another_has_executed(night: Night) -> None:
    night.work(10 * KEPT_S)
    request = signed(night)
    frame = night.lead(request)
    night.leader, night.standby = Replica(frame.last), Replica(frame.last)
    for replica in (night.leader, night.standby):
        signed_request = frame.outcomes[0].signed_request
        assert signed_request is not None
        replica.engine.requests.remember(signed_request)

    night.error = 10 * MINUTE
    night.work(KEPT_S)

    assert night.knows(request)


def test_a_rest_counts_no_more_than_the_work_behind_it(night: Night) -> None:
    """What waits in the journal meanwhile is executed by the first frames, one after the other."""
    night.work(10 * KEPT_S)
    request = signed(night)
    night.lead(request)

    night.elapsed += 100 * KEPT_S
    night.lead(CreateAccount(uid=1, name="late"))

    assert night.knows(request)


def test_frames_of_earlier_versions_forget_by_their_time() -> None:
    frame = Replica().execute(deque([CreateAccount(uid=1, name="old")]), NOON)
    assert frame.requests_since == 0

    old = OutcomeFrame(epoch=1, previous=0, time=NOON + 1, state_hash=0, outcomes=frame.outcomes)

    assert old.requests_since == NOON - MINUTE
