"""`exchange bench engine`: what is measured is what the engine really does."""

import json
import subprocess
import sys
from pathlib import Path

from exchange.engine import order_book, replay_bench, rival_books
from exchange.engine.cost_bench import Kind, measure
from exchange.engine.stream_bench import OURS, make_stream


def test_every_kind_is_measured_at_every_size() -> None:
    turns: list[int] = []

    costs = measure((100, 400), 2, turns.append)

    assert [cost.size for cost in costs] == [100, 400]
    assert all(us > 0 for cost in costs for us in cost.us.values())
    assert [list(cost.us) for cost in costs] == [list(Kind)] * 2
    assert turns == [1, 1]


def test_the_command_prints_json_alone() -> None:
    printed = subprocess.run(
        [
            sys.executable, "-m", "exchange.engine", "bench", "--json",
            "--size=100", "--turns=1", "--resting=200", "--rounds=1",
        ],
        capture_output=True,
        text=True,
        timeout=150,
        check=True,
    )  # fmt: skip

    report = json.loads(printed.stdout)
    assert set(report["us"]) == {"100"}
    ours = report["stream"]["rows"][0]
    assert (ours["name"], ours["resting"]) == (OURS, 200)
    assert 0 < ours["per_s_min"] <= ours["per_s"] <= ours["per_s_max"]
    assert printed.stderr == ""


def test_only_a_compiled_core_is_measured_as_one() -> None:
    before, commands = make_stream(10, 10)
    printed = subprocess.run(
        [sys.executable, "-m", "exchange.engine.stream_bench"],
        input=json.dumps([before, commands]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    if order_book.__file__.endswith(".py"):
        assert (printed.returncode, printed.stderr) == (1, "its core is not compiled\n")
    else:
        assert json.loads(printed.stdout)[0] == 10


def test_what_one_engine_did_is_taken_over_by_another() -> None:
    portions: list[int] = []

    report = replay_bench.measure(25_000, portions.append)

    assert portions == [20_000, 5_000]
    assert report.entries == 25_000
    assert report.processor_s > 0


def test_of_ten_commands_six_rest_three_cancel_and_one_crosses() -> None:
    before, commands = make_stream(1_000, 5_000)

    cancels = sum(not command.quantity for command in commands)
    crossing = sum(abs(command.price - 100_000) == 1_000 for command in commands)

    assert len({command.price for command in before}) == 1_000
    assert 0.27 < cancels / 5_000 < 0.33
    assert 0.08 < crossing / 5_000 < 0.12


def test_the_stream_is_the_same_each_time() -> None:
    assert make_stream(100, 500) == make_stream(100, 500)


def test_another_book_executes_the_stream_from_its_input(tmp_path: Path) -> None:
    # A book with the shape of one of those that are known, and none of its rules.
    (tmp_path / "orderbook.py").write_text(
        "from enum import Enum\n"
        "from types import SimpleNamespace\n"
        "OrderSide = Enum('OrderSide', 'BID ASK')\n"
        "def Order(**fields): return SimpleNamespace(order_id=id(fields), **fields)\n"
        "class OrderBook:\n"
        "    def __init__(self): self.orders = []\n"
        "    def add_limit_order(self, order): self.orders.append(order.order_id)\n"
        "    def cancel_order(self, order_id): assert order_id in self.orders\n"
    )
    stream = make_stream(100, 500)

    ran = subprocess.run(
        [sys.executable, rival_books.__file__, "akhil4n_orderbook", "60"],
        input=json.dumps(stream), capture_output=True, text=True, timeout=60, check=True,
        env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip

    done, seconds = json.loads(ran.stdout)
    assert done == 500
    assert seconds > 0


def test_a_book_that_is_not_there_is_said_to_be_so() -> None:
    ran = subprocess.run(
        [sys.executable, rival_books.__file__, "pyorderbook", "1"],
        input="[[], []]", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ran.returncode == rival_books.NOT_INSTALLED
