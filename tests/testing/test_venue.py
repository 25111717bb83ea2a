"""What tests of bots stand on: a clean market each time, funds, a book that the test decides."""

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.testing.account import Account
from exchange.testing.signed_client import Refused, SignedClient
from exchange.testing.venue import Venue, VenueExchange, text

MARKET = "BTCUSDT"


@pytest.fixture
def alice(venue: Venue) -> Account:
    return venue.account(USDT=100_000, BTC="2.5")


def status(account: Account, order: dict[str, object]) -> object:
    return account.raw.signed("GET", "order", symbol=MARKET, orderId=order["orderId"])["status"]


# --- A clean market ---


@pytest.mark.parametrize("turn", [1, 2])
def test_each_test_finds_empty_markets_whatever_the_last_one_left(venue: Venue, turn: int) -> None:
    assert venue.depth(MARKET) == ([], [])
    assert venue.trades(MARKET) == []
    assert venue.public.get("ticker/24hr", symbol=MARKET)["count"] == 0

    venue.book(MARKET, bids=[(50_000, turn)], asks=[(50_001, turn)])
    venue.trade(MARKET, "50000.5")
    venue.halt("ETHUSDT")


def test_a_market_that_the_last_test_halted_is_running(venue: Venue) -> None:
    venue.halt(MARKET)

    again = venue.exchange.clean_venue()

    again.trade(MARKET, 50_000)
    assert again.trades(MARKET) == [(50_000, 1)]


def test_a_reset_in_the_middle_leaves_accounts_what_they_own(venue: Venue, alice: Account) -> None:
    order = alice.raw.order(MARKET, "BUY", 1, 50_000)

    venue.reset()

    assert status(alice, order) == "CANCELED"
    assert alice.balance("USDT") == (100_000, 0)


# --- Accounts ---


def test_an_account_holds_what_was_asked_for_and_nothing_else(alice: Account) -> None:
    assert alice.balance("BTC") == (2.5, 0)
    assert alice.balance("SOL") == (0, 0)
    assert alice.raw.signed("GET", "account")["uid"] == alice.id


def test_accounts_are_different_ones(venue: Venue, alice: Account) -> None:
    bob = venue.account()
    alice.raw.order(MARKET, "BUY", 1, 50_000)

    assert bob.raw.signed("GET", "openOrders") == []
    assert alice.name != bob.name


def test_a_refusal_says_what_the_api_says(venue: Venue, alice: Account) -> None:
    with pytest.raises(Refused, match="insufficient balance") as refused:
        alice.raw.order(MARKET, "SELL", 3, 50_000)

    assert (refused.value.status, refused.value.code) == (400, -2010)


def test_a_client_may_be_used_by_many_threads(venue: Venue, alice: Account) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda place: alice.raw.order(MARKET, "BUY", "0.1", 100 + place), range(8)))

    assert len(venue.depth(MARKET)[0]) == 8
    alice.close()
    assert len(alice.raw.signed("GET", "openOrders")) == 8


def test_an_answer_that_does_not_come_is_no_answer_to_the_next_request() -> None:
    client = SignedClient("http://127.0.0.1:9")

    for _ in range(2):
        with pytest.raises(OSError, match="refused"):
            client.get("time")


@pytest.mark.parametrize(
    "kind", [Account.ccxt, Account.ccxt_async, Account.ccxt_pro], ids=lambda kind: kind.__name__
)
def test_without_ccxt_a_sentence_says_how_to_get_it(
    alice: Account, monkeypatch: pytest.MonkeyPatch, kind: object
) -> None:
    monkeypatch.setitem(sys.modules, "ccxt", None)

    with pytest.raises(RuntimeError, match="pip install ccxt"):
        kind(alice)  # type: ignore[operator]


# --- Faults ---


@pytest.mark.parametrize("turn", [1, 2])
def test_faults_last_as_long_as_the_test_that_asked_for_them(venue: Venue, turn: int) -> None:
    alice = venue.account(USDT=100_000)
    first = alice.raw.order(MARKET, "BUY", 1, 50_000)

    venue.faults({"fault": -1007, "on": "order.place", "executed": True, "key": alice.api_key})

    with pytest.raises(Refused) as refused:
        alice.raw.order(MARKET, "BUY", 1, 49_000)
    assert refused.value.code == -1007
    assert status(alice, first) == "NEW"
    assert venue.depth(MARKET)[0] == [(50_000, 1), (49_000, 1)]
    if turn == 1:
        # Nobody but the end of this test takes it back.
        venue.faults({"fault": 429, "on": "order.place"})


# --- The book ---


def test_a_book_is_exactly_what_was_asked_for_and_the_next_one_replaces_it(venue: Venue) -> None:
    venue.book(MARKET, bids=[(49_999, 2), (50_000, 1)], asks=[("50001.5", "0.25")])
    assert venue.depth(MARKET) == ([(50_000, 1), (49_999, 2)], [(50_001.5, 0.25)])

    venue.book(MARKET, asks=[(40_000, 1)])

    assert venue.depth(MARKET) == ([], [(40_000, 1)])


def test_levels_that_were_taken_do_not_stand_in_the_way_of_the_next_book(venue: Venue) -> None:
    venue.book(MARKET, bids=[(50_000, 1)])
    venue.take(MARKET, "SELL", 1)

    venue.book(MARKET, bids=[(50_000, 3)])

    assert venue.depth(MARKET) == ([(50_000, 3)], [])


def test_orders_of_others_stay_and_trade_with_a_level_that_crosses_them(
    venue: Venue, alice: Account
) -> None:
    order = alice.raw.order(MARKET, "BUY", 1, 50_000)
    venue.book(MARKET, bids=[(49_000, 1)])
    assert venue.depth(MARKET) == ([(50_000, 1), (49_000, 1)], [])

    venue.book(MARKET, asks=[(49_500, 3)])

    assert venue.wait_for(lambda: status(alice, order)) == "FILLED"
    assert venue.trades(MARKET) == [(50_000, 1)]
    assert venue.depth(MARKET) == ([], [(49_500, 2)])


@pytest.mark.parametrize("ask", [100, 99])
def test_a_book_that_would_be_crossed_is_refused_and_the_old_one_stays(
    venue: Venue, ask: int
) -> None:
    venue.book(MARKET, bids=[(90, 1)])

    with pytest.raises(ValueError, match="crossed"):
        venue.book(MARKET, bids=[(100, 1)], asks=[(ask, 1)])

    assert venue.depth(MARKET) == ([(90, 1)], [])


def test_a_stranger_takes_up_to_a_price(venue: Venue) -> None:
    venue.book(MARKET, asks=[(100, 1), (101, 1), (102, 1)])

    venue.take(MARKET, "BUY", 3, 101)

    assert venue.trades(MARKET) == [(100, 1), (101, 1)]
    assert venue.depth(MARKET) == ([], [(102, 1)])


def test_strangers_trade_and_leave_nothing_in_the_book(venue: Venue) -> None:
    for price in ("100.5", 99, 103):
        venue.trade(MARKET, price, "0.5")

    assert venue.trades(MARKET) == [(100.5, 0.5), (99, 0.5), (103, 0.5)]
    assert venue.depth(MARKET) == ([], [])


@pytest.mark.parametrize(
    ("number", "written"),
    [(0.1, "0.1"), (1e-05, "0.00001"), (10**20, "1" + "0" * 20), ("0.30", "0.30"), (2.5, "2.5")],
)
def test_numbers_are_written_as_the_api_reads_them(number: float | str, written: str) -> None:
    assert text(number) == written


# --- Waiting ---


def test_waiting_ends_with_the_first_answer_that_is_true(venue: Venue) -> None:
    answers = iter([0, "", None, 7, 8])

    assert venue.wait_for(lambda: next(answers)) == 7


def test_waiting_in_vain_says_for_what(venue: Venue) -> None:
    with pytest.raises(AssertionError, match="in vain for a miracle"):
        venue.wait_for(lambda: False, 0, what="a miracle")


async def test_a_bot_in_the_same_loop_goes_on_meanwhile(venue: Venue) -> None:
    done: list[int] = []

    async def bot() -> None:
        await asyncio.sleep(0)
        done.append(1)

    async def is_done() -> bool:
        return bool(done)

    task = asyncio.create_task(bot())

    assert await venue.wait_for_async(is_done)
    assert await venue.wait_for_async(lambda: done) == [1]
    with pytest.raises(AssertionError, match="in vain"):
        await venue.wait_for_async(lambda: False, 0)
    await task


# --- The plugin ---

UNTOUCHED = """
import sys

def test_nothing_of_it_is_here(request):
    assert not {name for name in sys.modules if name.startswith("exchange.services")}
    assert request.config.pluginmanager.hasplugin("exchange")
"""
USES_IT = """
def test_a_market_in_a_box(venue, exchange):
    venue.book("BTCUSDT", bids=[(100, 1)])
    assert venue.api == exchange.api
    assert venue.depth("BTCUSDT") == ([(100.0, 1.0)], [])
"""


def run_pytest(
    folder: Path, test: str, *options: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."]
    return subprocess.run(
        command, cwd=folder, env=os.environ | variables, capture_output=True, text=True, check=False
    )


def test_a_run_that_does_not_ask_for_it_is_not_touched(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, UNTOUCHED)

    assert done.returncode == 0, done.stdout


def test_an_exchange_that_runs_already_is_used(tmp_path: Path, exchange: VenueExchange) -> None:
    done = run_pytest(tmp_path, USES_IT, EXCHANGE_DATA=str(exchange.folder))

    assert done.returncode == 0, done.stdout


def test_one_that_runs_already_is_not_for_several_workers(
    tmp_path: Path, exchange: VenueExchange
) -> None:
    done = run_pytest(tmp_path, USES_IT, "-n", "1", EXCHANGE_DATA=str(exchange.folder))

    assert "several workers need several" in done.stdout


def test_after_all_this_every_promise_holds(exchange: VenueExchange) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exchange.services", "verify", "--json", "--data", exchange.folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    checks = {one["name"]: one["checked"] for one in json.loads(done.stdout)["checks"]}
    # Of candles only those since the last reset are left; the trades are all there.
    assert checks["trades"] > checks["candles-1m"]
    assert checks["execution"] > 100
