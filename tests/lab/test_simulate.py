"""A market that lives, on a real exchange: `exchange up --demo`, and `exchange simulate` beside it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from backend.api_client import Trader
from running_exchange import RunningExchange

from exchange.services.amounts import format_amount
from exchange.services.orders import Side
from exchange.services.recordings import read_trades

SAMPLES = Path(__file__).parents[2] / "docs" / "samples"
WAIT_S_MAX = 90.0
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDC")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    exchange = RunningExchange(tmp_path_factory.mktemp("demo") / "data", "--demo")
    exchange.start()
    yield exchange
    if exchange.launcher is not None and exchange.launcher.poll() is None:
        exchange.stop()


def get(exchange: RunningExchange, path: str) -> Any:
    with urllib.request.urlopen(f"{exchange.run.api}/api/v3/{path}", timeout=30) as answer:
        return json.load(answer)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_every_market_of_a_demo_has_a_book_and_trades(demo: RunningExchange) -> None:
    for symbol in SYMBOLS:
        until(lambda: len(get(demo, f"trades?symbol={symbol}")) > 0)  # noqa: B023
        until(lambda: is_two_sided(get(demo, f"depth?symbol={symbol}")))  # noqa: B023
        assert get(demo, f"klines?symbol={symbol}&interval=1m")


def test_a_new_demo_has_a_day_behind_it(demo: RunningExchange) -> None:
    for symbol in SYMBOLS:
        candles = get(demo, f"klines?symbol={symbol}&interval=1h")
        assert len(candles) >= 24
        assert all(trades > 0 for *_, trades, _, _, _ in candles)
        day = get(demo, f"ticker/24hr?symbol={symbol}")
        assert day["count"] > 4_000
        assert float(day["lowPrice"]) < float(day["highPrice"])


def is_two_sided(depth: dict[str, Any]) -> bool:
    return bool(depth["bids"] and depth["asks"])


def test_a_user_moves_the_price(demo: RunningExchange) -> None:
    keys = demo.account("alice")
    demo.deposit("alice", "USDC", "1000000000")
    alice = Trader(demo.api, keys.apiKey, keys.secretKey)
    until(lambda: len(get(demo, "depth?symbol=SOLUSDC")["asks"]) > 10)
    best, worse = (float(get(demo, "depth?symbol=SOLUSDC")["asks"][place][0]) for place in (0, 9))

    bought = alice.call(
        "POST", "order", symbol="SOLUSDC", side="BUY", type="LIMIT", timeInForce="IOC",
        quantity="50000", price=f"{worse:.2f}",
    )  # fmt: skip

    assert bought.status == 200, bought
    prices = [float(fill["price"]) for fill in bought.body["fills"]]
    assert prices == sorted(prices)
    assert max(prices) > best


def test_a_market_that_does_not_exist_is_named(demo: RunningExchange) -> None:
    done = simulate("--data", str(demo.data), "NOSUCH")

    assert done.returncode == 1
    assert "NOSUCH does not trade here" in done.stderr


def test_it_goes_on_after_a_kill(demo: RunningExchange) -> None:
    pid = simulation(demo)
    os.kill(pid, signal.SIGKILL)
    until(lambda: simulation(demo) != pid)
    trades = get(demo, "trades?symbol=SOLUSDC&limit=1")[0]["id"]

    until(lambda: get(demo, "trades?symbol=SOLUSDC&limit=1")[0]["id"] > trades)


@pytest.fixture(scope="module")
def plain(demo: RunningExchange) -> Iterator[RunningExchange]:
    """The same exchange, started again without a demo."""
    assert demo.stop() == 0
    exchange = RunningExchange(demo.data)
    exchange.start()
    yield exchange
    exchange.stop()


def test_it_takes_its_orders_with_it(plain: RunningExchange) -> None:
    for symbol in SYMBOLS:
        depth = get(plain, f"depth?symbol={symbol}")
        assert (depth["bids"], depth["asks"]) == ([], [])


def test_a_recording_leads_to_the_recorded_trades(plain: RunningExchange, tmp_path: Path) -> None:
    for name in ("orders.csv", "trades.csv"):
        # One of its quantities is between two lots of this market.
        text = (SAMPLES / name).read_text(encoding="utf-8").replace("0.12345678", "0.12345000")
        (tmp_path / name).write_text(text, encoding="utf-8")
    with (tmp_path / "trades.csv").open(encoding="utf-8", newline="") as file:
        recorded = list(read_trades("trades.csv", file))

    done = simulate(
        "BTCUSDT", "--replay", str(tmp_path / "orders.csv"), "--speed", "max",
        "--data", str(plain.data),
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    trades = get(plain, f"trades?symbol=BTCUSDT&limit={len(recorded)}")
    assert [told(trade) for trade in trades] == [
        (
            format_amount(one.price, 8),
            format_amount(one.quantity, 8),
            one.taker_side is Side.SELL,
        )
        for one in recorded
    ]
    assert get(plain, "depth?symbol=BTCUSDT")["bids"] == []


def told(trade: dict[str, Any]) -> tuple[str, str, bool]:
    return trade["price"], trade["qty"], trade["isBuyerMaker"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--replay", "no-such-file"], "A file cannot be read"),
        (["--replay", str(SAMPLES / "trades.csv")], "must begin with time_ms,kind"),
        (["--replay", str(SAMPLES / "orders.csv")], "A recording is of one market: name it."),
    ],
)
def test_a_recording_that_cannot_be_played_is_named(
    plain: RunningExchange, arguments: list[str], sentence: str
) -> None:
    done = simulate("--data", str(plain.data), *arguments)

    assert done.returncode == 1
    assert sentence in done.stderr


def simulation(exchange: RunningExchange) -> int:
    pid: int = json.loads((exchange.data / "pids.json").read_text())["demo"][0]
    return pid


@pytest.mark.parametrize(
    "arguments", [["--intensity", "0"], ["--minutes", "0"], ["--speed", "0"], ["--nonsense"]]
)
def test_it_is_bounded(arguments: list[str]) -> None:
    assert simulate(*arguments).returncode == 2


def test_a_folder_where_nothing_runs_is_named(tmp_path: Path) -> None:
    done = simulate("--data", str(tmp_path))

    assert done.returncode == 1
    assert f"No exchange runs in {tmp_path}" in done.stderr


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.lab.market", *arguments],
        capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
