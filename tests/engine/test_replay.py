"""The same commands give the same bytes, and rows give back the state they came from."""

import os
import random
import subprocess
import sys
from collections import deque

from crowd import Crowd
from invariants import check_invariants
from msgspec.structs import replace
from venue import MARKET, Venue, live_rows, started_from_rows

from exchange.engine.matching_engine import MatchingEngine
from exchange.engine.replica import Replica
from exchange.services.commands import (
    ADDS_EXPOSURE,
    AnyCommand,
    Undecodable,
    decode_commands,
)
from exchange.services.markets import default_markets
from exchange.services.messages import Repeated, decode_frame, encode

OTHER = replace(MARKET, symbol="BNBUSDC", base="BNB")


def busy_venue(steps: int, seed: int = 1) -> Venue:
    """A venue after many random commands of every kind, some of them signed."""
    chance = random.Random(seed)
    venue = Venue(MARKET, OTHER)
    accounts = [venue.account(f"account-{one}", SOL=500, USDC=50_000, BNB=5) for one in range(5)]
    crowd = Crowd(venue.engine, accounts, [MARKET.symbol, OTHER.symbol])
    for step in range(steps):
        command = crowd.command(chance)
        if isinstance(command, ADDS_EXPOSURE):
            request = step.to_bytes(16)
            command = replace(command, request=request, deadline=venue.now + 5_000_000)
        venue.do(command)
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
            timeout=150,
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
    venue = busy_venue(1_200)
    # Times as they were: a command is applied in the microsecond of its outcome.
    timed = list(zip(venue.commands, venue.outcomes, strict=True))
    original = MatchingEngine()
    for cut, (command, outcome) in enumerate(timed):
        if cut % 50 == 49:
            loaded = started_from_rows(original, venue.outcomes[:cut])
            check_invariants(loaded)
            for later, expected in timed[cut : cut + 60]:
                assert loaded.apply(expected.number, later, expected.time) == expected
        original.apply(outcome.number, command, outcome.time)


def test_a_signed_request_that_is_repeated_changes_nothing_whatever_it_asks_for() -> None:
    venue = busy_venue(300)
    before = live_rows(venue.engine)
    signed = [
        (command, outcome)
        for command, outcome in zip(venue.commands, venue.outcomes, strict=True)
        if command.request is not None and not isinstance(outcome.result, Repeated)
    ]

    for command, outcome in signed:
        assert venue.do(command).result == Repeated(number=outcome.number)

    assert {type(command) for command, _ in signed} == set(ADDS_EXPOSURE)
    assert live_rows(venue.engine) == before


def test_frames_are_bounded() -> None:
    replica = Replica()
    waiting = deque[AnyCommand | Undecodable](busy_venue(3_000).commands)
    sizes = []
    while waiting:
        frame = replica.execute(waiting, 1_700_000_000_000_000)
        sizes.append((len(frame.outcomes), len(encode(frame))))

    assert max(count for count, _ in sizes) <= 512
    assert max(size for _, size in sizes) < 512 * 1024


def test_the_market_of_these_tests_is_the_default_one_without_its_rules() -> None:
    (market,) = (one for one in default_markets()[1] if one.symbol == MARKET.symbol)
    assert replace(market, rules=MARKET.rules) == MARKET
