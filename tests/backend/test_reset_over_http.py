"""Reset, as clients see it: markets without a past, numbers that go on, and who may do it."""

from collections.abc import Iterator

import pytest
from backend.api_client import Trader
from backend.conftest import RunningBackend, running_backend
from backend.socket_client import connected
from conftest import Servers

TRADED, QUIET = "SOLUSDC", "ETHUSDT"
PUBLIC = (
    "trades",
    "historicalTrades",
    "aggTrades",
    "depth",
    "avgPrice",
    "ticker/24hr",
    "ticker/price",
    "ticker/bookTicker",
    "ticker",
    "ticker/tradingDay",
)
PASSING = {"openTime", "closeTime", "lastUpdateId", "symbol"}


@pytest.fixture(scope="module")
def backend(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBackend]:
    folder = tmp_path_factory.mktemp("testing")
    with running_backend(servers, template_database, folder, TESTING="1") as one:
        yield one


def trade_and_rest(backend: RunningBackend) -> Trader:
    """Somebody who has traded at 100, and has two orders open."""
    seller, buyer = backend.trader(SOL="10"), backend.trader(USDC="10000")
    assert seller.order("SELL", "2", "100").status == 200
    assert buyer.order("BUY", "2", "100").body["status"] == "FILLED"
    for price in ("90", "91"):
        assert buyer.order("BUY", "1", price).status == 200
    return buyer


def reset(backend: RunningBackend) -> int:
    """How many orders it has ended."""
    answer = backend.admin("POST", "reset")
    assert answer.status == 200, answer
    ended: int = answer.body["canceledOrders"]
    return ended


def test_all_that_is_public_is_then_as_on_a_market_that_never_traded(
    backend: RunningBackend,
) -> None:
    buyer = trade_and_rest(backend)
    assert buyer.get("ticker/24hr", symbol=TRADED).body["count"] > 0

    assert reset(backend) == 2

    for path in PUBLIC:
        was, new = (buyer.get(path, symbol=symbol).body for symbol in (TRADED, QUIET))
        if isinstance(was, dict):
            was, new = (
                {name: value for name, value in one.items() if name not in PASSING}
                for one in (was, new)
            )
        assert was == new, path
    assert buyer.get("trades", symbol=TRADED).body == []


@pytest.mark.parametrize("interval", ["1s", "1m", "1d"])
def test_candles_begin_with_the_reset(backend: RunningBackend, interval: str) -> None:
    buyer = trade_and_rest(backend)

    reset(backend)

    candles = buyer.get("klines", symbol=TRADED, interval=interval).body
    assert {(float(one[4]), one[8]) for one in candles} == {(0, 0)}
    trade_and_rest(backend)
    candles = buyer.get("klines", symbol=TRADED, interval=interval).body
    assert sum(one[8] for one in candles) == 1
    assert float(candles[-1][4]) == 100


def test_what_comes_after_is_told_alone_with_ids_that_go_on(backend: RunningBackend) -> None:
    buyer = trade_and_rest(backend)
    (before,) = buyer.get("trades", symbol=TRADED, limit=1).body
    depth = buyer.get("depth", symbol=TRADED).body
    reset(backend)

    trade_and_rest(backend)

    for path, id in (("trades", "id"), ("historicalTrades", "id"), ("aggTrades", "f")):
        (trade,) = buyer.get(path, symbol=TRADED).body
        assert trade[id] == before["id"] + 1, path
    assert buyer.get("historicalTrades", symbol=TRADED, fromId=1).body[0]["id"] == before["id"] + 1
    assert buyer.get("depth", symbol=TRADED).body["lastUpdateId"] > depth["lastUpdateId"]
    for path in ("ticker/24hr", "ticker"):
        assert buyer.get(path, symbol=TRADED).body["count"] == 1
    # Seven days are read from Postgres.
    assert buyer.get("ticker", symbol=TRADED, windowSize="7d").body["count"] == 1


async def test_open_orders_are_gone_with_what_they_held_and_their_owner_is_told(
    backend: RunningBackend,
) -> None:
    buyer = trade_and_rest(backend)
    async with connected(backend.api, buyer) as socket:
        await socket.signed("userDataStream.subscribe.signature")

        reset(backend)

        told = await socket.until(lambda one: one["e"] == "outboundAccountPosition")
    reports = [one for one in told if one["e"] == "executionReport"]
    assert [(one["x"], one["X"]) for one in reports] == [("CANCELED", "CANCELED")] * 2
    assert buyer.call("GET", "openOrders").body == []
    usdc = next(
        one for one in buyer.call("GET", "account").body["balances"] if one["asset"] == "USDC"
    )
    assert (float(usdc["free"]), float(usdc["locked"])) == (9_800, 0)


def test_own_orders_and_trades_stay(backend: RunningBackend) -> None:
    buyer = trade_and_rest(backend)

    reset(backend)

    assert len(buyer.call("GET", "myTrades", symbol=TRADED).body) == 1
    statuses = [one["status"] for one in buyer.call("GET", "allOrders", symbol=TRADED).body]
    assert statuses == ["FILLED", "CANCELED", "CANCELED"]


def test_a_halted_market_runs_again(backend: RunningBackend) -> None:
    backend.admin("POST", f"markets/{TRADED}/mode", mode="HALTED")

    reset(backend)

    trade_and_rest(backend)


def test_it_is_on_record(backend: RunningBackend) -> None:
    reset(backend)

    assert backend.admin("GET", "audit?limit=1").body[0]["act"] == "Reset"
