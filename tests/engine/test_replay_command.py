"""`exchange replay`: the same matching as the product's, held against a recording."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from naive_exchange import NaiveExchange

from exchange.engine.replay import MARKET, Replay, first_difference
from exchange.services.amounts import format_amount
from exchange.services.commands import CancelOrder, NewOrder, PlaceOrder
from exchange.services.messages import Placed
from exchange.services.orders import OrderType, Side
from exchange.services.recordings import (
    DECIMALS,
    ORDER_COLUMNS,
    TRADE_COLUMNS,
    BadRecord,
    RecordedOrder,
    read_orders,
    read_trades,
)

SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples"


def replay(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "exchange.services", "replay", *arguments],
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_the_sample_gives_the_trades_that_stand_beside_it() -> None:
    done = replay(str(SAMPLES / "orders.csv"), "--expect", str(SAMPLES / "trades.csv"), "--json")

    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer["commands_per_s"] > 0
    assert (answer["commands"], answer["trades"], answer["refused"]) == (12, 6, 1)
    assert answer["difference"] is None


@pytest.mark.parametrize(
    ("found", "changed"),
    [
        ("77999.00000000", "77998.00000000"),
        ("0.40000000,b1", "0.40000001,b1"),
        ("b1,t3", "b2,t3"),
        ("b1,t3,SELL", "b1,t3,BUY"),
    ],
)
def test_the_first_trade_that_differs_is_shown(tmp_path: Path, found: str, changed: str) -> None:
    text = (SAMPLES / "trades.csv").read_text()
    assert text.count(found) == 1
    (tmp_path / "trades.csv").write_text(text.replace(found, changed))

    done = replay(str(SAMPLES / "orders.csv"), "--expect", str(tmp_path / "trades.csv"))

    assert done.returncode == 1
    assert "Trade 5 differs." in done.stdout


def test_a_missing_or_an_extra_trade_is_a_difference() -> None:
    with (SAMPLES / "trades.csv").open() as lines:
        trades = list(read_trades("trades.csv", lines))

    assert first_difference(trades, trades) is None
    assert "no more trades" in (first_difference(trades[:-1], trades) or "")
    assert "no more trades" in (first_difference(trades, trades[:-1]) or "")


@pytest.mark.parametrize(
    ("line", "explanation"),
    [
        ("1,LIMIT,a,BUY,NaN,1", "'NaN' is no plain decimal number"),
        ("1,LIMIT,a,BUY,1.123456789,1", "more than 8 decimals"),
        ("1,LIMIT,a,BUY,1,-1", "'-1' is no plain decimal number"),
        ("1,LIMIT,a,HOLD,1,1", "HOLD"),
        ("1,STOP,a,BUY,1,1", "STOP"),
        ("x,LIMIT,a,BUY,1,1", "invalid literal"),
        ("1,LIMIT,,BUY,1,1", "needs a name"),
        ("1,LIMIT,a,BUY,1", "5 fields instead of 6"),
    ],
)
def test_a_bad_line_is_named(line: str, explanation: str) -> None:
    lines = [",".join(ORDER_COLUMNS), "1,CANCEL,gone,,,", line]

    with pytest.raises(BadRecord, match=f"orders.csv, line 3: .*{explanation}"):
        list(read_orders("orders.csv", lines))


@pytest.mark.parametrize("lines", [[], [",".join(TRADE_COLUMNS)], ["1,CANCEL,gone,,,"]])
def test_other_columns_are_refused(lines: list[str]) -> None:
    with pytest.raises(BadRecord, match="must begin with"):
        list(read_orders("orders.csv", lines))


def test_a_file_that_is_not_there_is_one_sentence() -> None:
    done = replay("no-such-file.csv")

    assert done.returncode == 1
    assert "no-such-file.csv" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_random_recording_gives_the_trades_of_the_slow_exchange() -> None:
    chance = random.Random(3)
    records: list[RecordedOrder] = []
    for number in range(1_500):
        kind = chance.choice(["LIMIT", "LIMIT", "LIMIT_MAKER", "MARKET", "CANCEL"])
        named = str(
            chance.randrange(max(1, number - 30), number + 1) if kind == "CANCEL" else number
        )
        records.append(
            RecordedOrder(
                number,
                kind,
                named,
                chance.choice(list(Side)),
                0 if kind == "MARKET" else chance.randrange(995, 1_006) * 10**DECIMALS // 10,
                chance.randrange(1, 2_000) * 10**4,
            )
        )
    replayed, slow = Replay(), NaiveExchange(MARKET)

    replayed.feed(records)
    names = _feed_slow(slow, records)
    trades = slow.markets[MARKET.symbol].trades

    assert [
        (one.price, one.quantity, one.buy_order, one.sell_order) for one in replayed.trades
    ] == [
        (one.price // 10**DECIMALS, one.quantity, names[one.buy_order], names[one.sell_order])
        for one in trades
    ]
    assert len(trades) > 200
    assert format_amount(replayed.trades[0].price, DECIMALS).startswith(("99.", "100."))


def _feed_slow(slow: NaiveExchange, records: list[RecordedOrder]) -> dict[int, str]:
    names: dict[int, str] = {}
    accounts = {record.order: account for account, record in enumerate(records, 1)}
    for number, record in enumerate(records, 1):
        account, now = accounts[record.order], record.time_ms * 1_000
        if record.kind == "CANCEL":
            cancel = CancelOrder(
                account=account, symbol=MARKET.symbol, client_order_id=record.order
            )
            slow.do(cancel, number, now)
            continue
        for asset in (MARKET.base, MARKET.quote):
            slow.own(account, asset, 10**40)
        assert record.side is not None
        order = NewOrder(
            side=record.side,
            type=OrderType(record.kind),
            price=record.price * 10**DECIMALS,
            quantity=record.quantity,
            client_order_id=record.order,
        )
        placing = PlaceOrder(account=account, symbol=MARKET.symbol, order=order)
        result = slow.do(placing, number, now)
        if isinstance(result, Placed):
            names[result.order_id] = record.order
    return names
