"""Public trades over HTTP: every window, every bound, and no aggregate cut in two."""

from typing import Any

import pytest
from backend.api_client import Trader
from backend.conftest import RunningBackend


@pytest.fixture(scope="module")
def sweeps(backend: RunningBackend) -> list[dict[str, Any]]:
    """Five orders that each take two makers at one price and one at the next; all trades."""
    maker = backend.trader(SOL="1000")
    taker = backend.trader(USDC="100000")
    for number in range(5):
        base = 100 + number
        for price in (base, base, base + 0.5):
            assert maker.order("SELL", "1", f"{price:.2f}").status == 200
        assert taker.order("BUY", "3", f"{base + 0.5:.2f}").status == 200
    trades = Trader(backend.api).get("historicalTrades", symbol="SOLUSDC", limit=1_000).body
    return list(trades[-15:])


@pytest.fixture
def public(backend: RunningBackend) -> Trader:
    return Trader(backend.api)


def aggregates(public: Trader, **parameters: object) -> list[tuple[int, int, str]]:
    answer = public.get("aggTrades", symbol="SOLUSDC", **parameters)
    assert answer.status == 200, answer.body
    for one in answer.body:
        assert list(one) == ["a", "p", "q", "f", "l", "T", "m", "M"]
        assert one["m"] is False
    return [(one["f"], one["l"], one["q"]) for one in answer.body]


def expected(sweeps: list[dict[str, Any]]) -> list[tuple[int, int, str]]:
    first = sweeps[0]["id"]
    found = []
    for number in range(5):
        begin = first + 3 * number
        found += [(begin, begin + 1, "2.00000000"), (begin + 2, begin + 2, "1.00000000")]
    return found


def test_the_newest_aggregates_are_whole(public: Trader, sweeps: list[dict[str, Any]]) -> None:
    assert aggregates(public, limit=10) == expected(sweeps)
    assert aggregates(public, limit=3) == expected(sweeps)[-3:]
    assert aggregates(public)[-10:] == expected(sweeps)


def test_aggregates_from_an_id_leave_out_one_that_began_before(
    public: Trader, sweeps: list[dict[str, Any]]
) -> None:
    first = sweeps[0]["id"]

    assert aggregates(public, fromId=first) == expected(sweeps)
    assert aggregates(public, fromId=first + 1) == expected(sweeps)[1:]
    assert aggregates(public, fromId=first + 3, limit=2) == expected(sweeps)[2:4]
    assert aggregates(public, fromId=sweeps[-1]["id"] + 1) == []


def test_time_bounds_are_inclusive(public: Trader, sweeps: list[dict[str, Any]]) -> None:
    second, fourth = sweeps[3]["time"], sweeps[9]["time"]
    assert second < fourth

    inside = aggregates(public, startTime=second, endTime=fourth)

    assert set(expected(sweeps)[2:8]) <= set(inside)
    assert aggregates(public, startTime=second, limit=1)[0][0] >= sweeps[0]["id"]
    assert aggregates(public, endTime=fourth)[-1] in expected(sweeps)[7:10]
    assert aggregates(public, startTime=sweeps[-1]["time"] + 60_000) == []
    assert aggregates(public, endTime=1) == []


def test_pages_by_id_leave_nothing_out(public: Trader, sweeps: list[dict[str, Any]]) -> None:
    walked: list[tuple[int, int, str]] = []
    position = sweeps[0]["id"]
    while page := aggregates(public, fromId=position, limit=2):
        walked += page
        position = page[-1][1] + 1

    assert walked == expected(sweeps)


def test_an_id_and_times_do_not_go_together(public: Trader, sweeps: list[dict[str, Any]]) -> None:
    answer = public.get("aggTrades", symbol="SOLUSDC", fromId=1, startTime=1)

    assert answer.error[:2] == (400, -1128)


def test_historical_trades_begin_at_an_id_or_are_the_newest(
    public: Trader, sweeps: list[dict[str, Any]]
) -> None:
    first = sweeps[0]["id"]

    def ids(**parameters: object) -> list[int]:
        answer = public.get("historicalTrades", symbol="SOLUSDC", **parameters)
        return [trade["id"] for trade in answer.body]

    assert ids(fromId=first, limit=3) == [first, first + 1, first + 2]
    assert ids(limit=2) == [first + 13, first + 14]
    newest = public.get("trades", symbol="SOLUSDC", limit=15).body
    assert newest == sweeps


def test_the_average_price_is_that_of_the_last_minutes(
    public: Trader, sweeps: list[dict[str, Any]]
) -> None:
    answer = public.get("avgPrice", symbol="SOLUSDC").body

    assert answer["mins"] == 5
    assert 90 < float(answer["price"]) < 110
    assert answer["closeTime"] == sweeps[-1]["time"]
    unknown = public.get("avgPrice", symbol="NOPE")
    assert unknown.error == (400, -1121, "Invalid symbol.")
