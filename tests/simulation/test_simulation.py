"""A fixed list of seeds keeps every promise, and a seed is always the same story."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from simulation.faults import KINDS
from simulation.simulation import Report, simulate

SEEDS = range(1, 61)
AT_ONCE = 10


@cache
def report(seed: int) -> Report:
    return simulate(seed)


@pytest.mark.parametrize("first", SEEDS[::AT_ONCE])
def test_no_seed_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + AT_ONCE):
        assert report(seed).broken == [], f"(cd tests && python -m simulation --seed {seed})"


def test_every_kind_of_fault_is_among_them() -> None:
    struck = {kind for seed in SEEDS for kind in report(seed).struck}

    assert struck >= {*KINDS}
    assert any(kind.startswith("ambush") for kind in struck)


def test_a_seed_is_the_same_story_in_another_process() -> None:
    here = report(SEEDS[0])

    there = subprocess.run(
        [sys.executable, "-m", "simulation", "--seed", str(SEEDS[0])],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )

    assert f"digest {here.digest}" in there.stdout


def test_two_seeds_are_two_stories() -> None:
    assert report(1).digest != report(2).digest
