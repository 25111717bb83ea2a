"""`exchange bench engine`: what is measured is what the engine really does."""

import json
import subprocess
import sys

from exchange.engine.cost_bench import Kind, measure


def test_every_kind_is_measured_at_every_size() -> None:
    turns: list[int] = []

    costs = measure((100, 400), 2, turns.append)

    assert [cost.size for cost in costs] == [100, 400]
    assert all(us > 0 for cost in costs for us in cost.us.values())
    assert [list(cost.us) for cost in costs] == [list(Kind)] * 2
    assert turns == [1, 1]


def test_the_command_prints_json_alone() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "exchange.engine", "bench", "--size=100", "--turns=1", "--json"],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )

    assert set(json.loads(printed.stdout)) == {"100"}
    assert printed.stderr == ""
