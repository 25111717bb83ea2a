"""The same commands give the same bytes, and rows give back the state they came from."""

import os
import random
import subprocess
import sys
from collections import deque

from invariants import check_invariants
from venue import MARKET, SYMBOL, UNIT, Venue, live_rows

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.replica import Replica
from exchange.services.commands import (
    AnyCommand,
    CancelOrder,
    PlaceOrder,
    Undecodable,
    decode_commands,
)
from exchange.services.markets import default_markets
from exchange.services.messages import (
    Outcome,
    Trade,
    Transfer,
    decode_frame,
    encode,
)
from exchange.services.orders import OrderType, Side, TimeInForce


def busy_venue(steps: int, seed: int = 1) -> Venue:
    """A venue after many random commands of several accounts."""
    chance = random.Random(seed)
    venue = Venue()
    accounts = [venue.account(f"account-{one}", SOL=500, USDC=50_000) for one in range(5)]
    for step in range(steps):
        account = chance.choice(accounts)
        if chance.random() < 0.3:
            target = f"id-{chance.randrange(step + 1)}"
            venue.do(CancelOrder(uid=step, account=account, symbol=SYMBOL, client_order_id=target))
            continue
        is_market = chance.random() < 0.15
        venue.do(
            PlaceOrder(
                uid=step,
                account=account,
                symbol=SYMBOL,
                side=chance.choice(list(Side)),
                type=OrderType.MARKET if is_market else OrderType.LIMIT,
                time_in_force=chance.choice(list(TimeInForce)),
                price=0 if is_market else chance.randrange(9_900, 10_100) * UNIT // 100,
                quantity=chance.randrange(50, 3_000) * UNIT // 1000,
                client_order_id=f"id-{step}",
                request=step.to_bytes(16),
                deadline=venue.now + 5_000_000,
            )
        )
    return venue


def replay(commands: list[AnyCommand]) -> bytes:
    """The encoded frames of a fresh engine that is given these commands in uneven portions."""
    replica = Replica()
    waiting = deque(decode_commands(encode(commands)))
    frames = []
    now = 1_700_000_000_000_000
    while waiting:
        frames.append(encode(replica.execute(waiting, now)))
        now += 1_000
    return b"\n".join(frames)


def test_a_replay_is_byte_identical() -> None:
    commands = busy_venue(2_000).commands

    assert replay(commands) == replay(commands)


def test_a_replay_is_byte_identical_whatever_the_hash_seed() -> None:
    here = os.path.dirname(__file__)
    program = (
        "import hashlib, test_replay as t;"
        "print(hashlib.sha256(t.replay(t.busy_venue(500).commands)).hexdigest())"
    )

    def digest(seed: str) -> str:
        path = os.pathsep.join([here, os.path.dirname(here)])
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        return subprocess.run(
            [sys.executable, "-c", program],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout

    assert digest("1") == digest("2") != ""


def test_an_outcome_survives_the_codec_unchanged() -> None:
    replica = Replica()
    frame = replica.execute(
        deque[AnyCommand | Undecodable](busy_venue(400).commands), 1_700_000_000_000_000
    )

    assert decode_frame(encode(frame)) == frame


def test_a_follower_of_outcomes_is_in_the_same_state_as_their_maker() -> None:
    leader, follower = Replica(), Replica()
    waiting = deque[AnyCommand | Undecodable](busy_venue(1_500).commands)
    while waiting:
        frame = leader.execute(waiting, 1_700_000_000_000_000)
        # The follower checks its own hash against the frame's.
        follower.follow([decode_frame(encode(frame))])

    assert live_rows(follower.engine) == live_rows(leader.engine)


def test_a_state_loaded_from_rows_continues_exactly_at_any_cut() -> None:
    venue = busy_venue(900)
    # Times as they were: a command is applied in the microsecond of its outcome.
    timed = list(zip(venue.commands, venue.outcomes, strict=True))
    for cut in range(50, len(timed), 97):
        original = MatchingEngine()
        for command, outcome in timed[:cut]:
            original.apply(outcome.number, command, outcome.time)
        loaded = _loaded_from_rows(original, [outcome for _, outcome in timed[:cut]])
        check_invariants(loaded)
        for command, outcome in timed[cut : cut + 60]:
            assert loaded.apply(outcome.number, command, outcome.time) == outcome


def _loaded_from_rows(original: MatchingEngine, outcomes: list[Outcome]) -> MatchingEngine:
    """What a start makes of the live rows and of the past that still decides."""
    loaded = MatchingEngine()
    for row in live_rows(original):
        loaded.restore(row)
    for outcome in outcomes:
        for row in outcome.rows:
            if isinstance(row, (Trade, Transfer)):
                loaded.restore(row)
        if outcome.request is not None:
            loaded.requests.remember(outcome.request, outcome.number, outcome.deadline)
    return loaded


def test_frames_are_bounded() -> None:
    replica = Replica()
    waiting = deque[AnyCommand | Undecodable](busy_venue(3_000).commands)
    sizes = []
    while waiting:
        frame = replica.execute(waiting, 1_700_000_000_000_000)
        sizes.append((len(frame.outcomes), len(encode(frame))))

    assert max(count for count, _ in sizes) <= 512
    assert max(size for _, size in sizes) < 512 * 1024


def test_the_market_of_these_tests_is_the_default_one() -> None:
    (market,) = (one for one in default_markets()[1] if one.symbol == SYMBOL)
    assert market == MARKET
