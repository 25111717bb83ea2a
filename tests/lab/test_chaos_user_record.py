"""What an account is told of itself is held against REST: each thing that does not fit is seen."""

from typing import Any

import pytest

from exchange.lab.chaos.findings import Findings, Promise
from exchange.lab.chaos.found import FoundTrade, Holdings
from exchange.lab.chaos.user_record import UserRecord

UNIT = 10**8
HOLDINGS: Holdings = {"SOL": (5 * UNIT, 0)}


def trade(id: int, **changes: Any) -> FoundTrade:
    """One SOL bought at ten by an order that rested."""
    fields: dict[str, Any] = {
        "symbol": "SOLUSDC", "id": id, "order_id": 100 + id, "price": 10 * UNIT, "quantity": UNIT,
        "quote": 10 * UNIT, "commission": UNIT // 1_000, "commission_asset": "SOL", "time": 5_000,
        "is_buyer": True, "is_maker": True,
    }  # fmt: skip
    return FoundTrade(**{**fields, **changes})


def fill(id: int, report: int = 0, **changes: Any) -> dict[str, Any]:
    """How the account is told of it."""
    return {
        "e": "executionReport", "x": "TRADE", "I": report or id, "s": "SOLUSDC", "t": id,
        "i": 100 + id, "L": "10.00000000", "l": "1.00000000", "Y": "10.00000000", "n": "0.00100000",
        "N": "SOL", "T": 5_000, "S": "BUY", "m": True, **changes,
    }  # fmt: skip


def holds(free: str) -> dict[str, Any]:
    return {"e": "outboundAccountPosition", "B": [{"a": "SOL", "f": free, "l": "0.00000000"}]}


FIRST, SECOND, THIRD = trade(1), trade(2), trade(3)
ALL = [FIRST, SECOND, THIRD]


def violations(*lives: list[dict[str, Any]], trades: list[FoundTrade], over: bool = False) -> int:
    """How much does not fit, after connections that were told these things."""
    findings = Findings()
    record = UserRecord("alice", findings)
    for number, events in enumerate(lives, 1):
        record.begin()
        for event in events:
            record.hear(event)
        if over or number < len(lives):
            record.end()
    record.prove(trades, HOLDINGS)
    assert record.compared > 0
    assert findings.violated == findings.results[Promise.USER_STREAM].violated
    return findings.violated


def test_what_is_told_as_it_was_is_right() -> None:
    told = [fill(1), fill(2), fill(3), holds("5.00000000")]

    assert violations(told, trades=ALL) == 0


def test_what_happened_while_nobody_listened_is_not_missed() -> None:
    assert violations([fill(1)], [fill(3)], trades=ALL) == 0
    assert violations([fill(1), fill(2)], trades=ALL, over=True) == 0


def test_another_connection_may_be_told_the_same() -> None:
    assert violations([fill(1), fill(2)], [fill(2), fill(3)], trades=ALL) == 0


def test_a_trade_with_oneself_is_two_fills() -> None:
    both = [fill(1), fill(1, report=2, i=7, S="SELL", m=False)]

    found = [trade(1), trade(1, order_id=7, is_buyer=False, is_maker=False)]
    assert violations(both, trades=found) == 0


@pytest.mark.parametrize(
    "told",
    [
        pytest.param([fill(1), fill(3)], id="one is missing"),
        pytest.param([fill(1), fill(2)], id="the last one is missing"),
        pytest.param([fill(1), fill(2), fill(2, report=9), fill(3, report=10)], id="one is told twice"),
        pytest.param([fill(1), fill(3, report=2), fill(2, report=1)], id="out of order"),
        pytest.param([fill(1), fill(2, L="11.00000000"), fill(3)], id="another price"),
        pytest.param([fill(1), fill(2, n="0.00000000"), fill(3)], id="another fee"),
        pytest.param([fill(1), fill(2), fill(3), fill(4)], id="one that never happened"),
        pytest.param([*map(fill, (1, 2, 3)), holds("4.00000000")], id="another balance"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_seen(told: list[dict[str, Any]]) -> None:
    assert violations(told, trades=ALL) > 0
