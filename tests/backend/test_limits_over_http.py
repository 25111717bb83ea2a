"""Limits of requests and orders, against a backend that has those of Binance."""

import time
from collections.abc import Iterator

import pytest
from backend.api_client import Answer, Trader
from backend.conftest import RunningBackend, running_backend
from conftest import Servers

SYMBOL = "SOLUSDC"
LIMITS = [
    ("REQUEST_WEIGHT", "MINUTE", 1, 6_000),
    ("ORDERS", "SECOND", 10, 100),
    ("ORDERS", "DAY", 1, 200_000),
    ("RAW_REQUESTS", "MINUTE", 5, 300_000),
]
LISTED = ("rateLimitType", "interval", "intervalNum", "limit")
TOO_MANY = (429, -1015, "Too many new orders; current limit is 100 orders per 10 SECOND.")


@pytest.fixture(scope="module")
def backend(
    servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningBackend]:
    folder = tmp_path_factory.mktemp("limited")
    with running_backend(servers, template_database, folder, RATE_LIMITS="binance") as one:
        yield one


def weight(answer: Answer) -> int:
    return int(answer.headers["x-mbx-used-weight-1m"])


def counts(answer: Answer) -> tuple[int, int]:
    headers = answer.headers
    return int(headers["x-mbx-order-count-10s"]), int(headers["x-mbx-order-count-1d"])


def await_window(seconds: float) -> None:
    """Until ten seconds begin that have this much time left."""
    while 10 - time.time() % 10 < seconds:
        time.sleep(0.05)


def await_next_window() -> None:
    """Until ten seconds begin that are not the ones of the call."""
    window = time.time() // 10
    while time.time() // 10 == window:
        time.sleep(0.05)


def buy(owner: Trader, price: str = "80", **more: object) -> Answer:
    return owner.order("BUY", "1", price, **more)


def fill_up(owner: Trader) -> int:
    """A hundred orders in the same ten seconds, of which some are left; how many there were today.

    A slow machine may need several tries.
    """
    while True:
        await_next_window()
        for _ in range(100):
            answer = buy(owner)
            assert answer.status == 200
        in_window, today = counts(answer)
        if in_window == 100 and time.time() % 10 < 8:
            return today
        assert owner.call("DELETE", "openOrders", symbol=SYMBOL).status == 200


def test_the_limits_in_force_are_listed(backend: RunningBackend) -> None:
    listed = Trader(backend.api).get("exchangeInfo", symbol=SYMBOL).body["rateLimits"]

    assert [tuple(limit[name] for name in LISTED) for limit in listed] == LIMITS


def test_an_order_tells_how_many_are_not_filled(backend: RunningBackend) -> None:
    owner = backend.trader(USDC="10000")
    await_window(5)

    answers = [buy(owner), buy(owner)]

    assert [counts(answer) for answer in answers] == [(1, 1), (2, 2)]


def test_the_counts_can_be_asked_for(backend: RunningBackend) -> None:
    owner = backend.trader(USDC="10000")
    await_window(5)
    buy(owner)

    answer = owner.call("GET", "rateLimit/order")

    assert answer.body == [
        {**dict(zip(LISTED, LIMITS[1], strict=True)), "count": 1},
        {**dict(zip(LISTED, LIMITS[2], strict=True)), "count": 1},
    ]


def test_the_first_fill_gives_back_and_a_cancel_does_not(backend: RunningBackend) -> None:
    owner = backend.trader(USDC="10000", SOL="10")
    other = backend.trader(USDC="10000")
    await_window(8)

    placed = buy(owner)
    assert (
        owner.call("DELETE", "order", symbol=SYMBOL, orderId=placed.body["orderId"]).status == 200
    )
    after_cancel = counts(buy(owner, "81"))
    owner.call("DELETE", "openOrders", symbol=SYMBOL)
    for _ in range(5):
        buy(owner, "70")
    owner.order("SELL", "1", "82")
    taken = counts(other.order("BUY", "1", "82"))

    assert after_cancel == (2, 2)
    # It was placed, and filled as a taker.
    assert taken == (0, 0)
    # Eight were placed, and one was filled as a maker.
    assert [limit["count"] for limit in owner.call("GET", "rateLimit/order").body] == [3, 3]
    owner.call("DELETE", "openOrders", symbol=SYMBOL)


def test_lists_count_as_many_orders_as_they_have(backend: RunningBackend) -> None:
    owner = backend.trader(USDC="10000", SOL="10")
    await_window(5)

    answer = owner.call(
        "POST", "orderList/otoco", symbol=SYMBOL, workingType="LIMIT", workingSide="BUY",
        workingPrice="60", workingQuantity="1", workingTimeInForce="GTC", pendingSide="SELL",
        pendingQuantity="1", pendingAboveType="LIMIT_MAKER", pendingAbovePrice="140",
        pendingBelowType="STOP_LOSS", pendingBelowStopPrice="50",
    )  # fmt: skip

    assert answer.status == 200, answer
    assert counts(answer) == (3, 3)


def test_too_many_orders_are_refused_until_the_ten_seconds_are_over(
    backend: RunningBackend,
) -> None:
    owner = backend.trader(USDC="100000")
    today = fill_up(owner)

    refused = buy(owner)

    assert refused.error == TOO_MANY
    assert 1 <= int(refused.headers["retry-after"]) <= 10
    assert len(owner.call("GET", "openOrders", symbol=SYMBOL).body) == 100
    await_next_window()
    assert counts(buy(owner)) == (1, today + 1)
    owner.call("DELETE", "openOrders", symbol=SYMBOL)


@pytest.mark.parametrize(
    ("mode", "is_there", "status", "code", "results"),
    [
        ("STOP_ON_FAILURE", True, 429, -2021, ("SUCCESS", "FAILURE")),
        ("STOP_ON_FAILURE", False, 429, -2022, ("FAILURE", "NOT_ATTEMPTED")),
        ("ALLOW_FAILURE", True, 409, -2021, ("SUCCESS", "FAILURE")),
        ("ALLOW_FAILURE", False, 400, -2022, ("FAILURE", "FAILURE")),
    ],
)
def test_an_order_can_be_cancelled_where_no_other_may_come_in_its_place(
    backend: RunningBackend,
    mode: str,
    is_there: bool,
    status: int,
    code: int,
    results: tuple[str, str],
) -> None:
    owner = backend.trader(USDC="100000")
    fill_up(owner)
    order = owner.call("GET", "openOrders", symbol=SYMBOL).body[0]["orderId"]
    wish = {
        "symbol": SYMBOL, "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1",
        "price": "81", "cancelReplaceMode": mode,
        "cancelOrderId": order if is_there else 99_999_999,
    }  # fmt: skip

    plain = owner.call("POST", "order/cancelReplace", **wish)
    answer = owner.call(
        "POST", "order/cancelReplace", **wish, orderRateLimitExceededMode="CANCEL_ONLY"
    )

    assert plain.error == TOO_MANY
    assert (answer.status, answer.body["code"]) == (status, code)
    data = answer.body["data"]
    assert (data["cancelResult"], data["newOrderResult"]) == results
    expected = None if results[1] == "NOT_ATTEMPTED" else {"code": TOO_MANY[1], "msg": TOO_MANY[2]}
    assert data["newOrderResponse"] == expected
    left = owner.call("GET", "openOrders", symbol=SYMBOL).body
    assert len(left) == (99 if is_there else 100)
    owner.call("DELETE", "openOrders", symbol=SYMBOL)


def test_what_succeeds_in_trading_weighs_nothing_and_what_fails_does(
    backend: RunningBackend,
) -> None:
    owner = backend.trader(USDC="10000")
    while time.time() % 60 > 50:
        time.sleep(0.1)

    first = weight(owner.get("ping"))
    placed = buy(owner)
    canceled = owner.call("DELETE", "order", symbol=SYMBOL, orderId=placed.body["orderId"])
    failed = owner.call("DELETE", "order", symbol=SYMBOL, orderId=placed.body["orderId"])

    assert (placed.status, canceled.status, failed.status) == (200, 200, 400)
    assert [weight(answer) - first for answer in (placed, canceled, failed)] == [0, 0, 1]


def test_a_backend_that_was_away_counts_like_one_that_was_not(
    backend: RunningBackend, second: RunningBackend
) -> None:
    owner, other = backend.trader(USDC="10000", SOL="50"), backend.trader(USDC="10000", SOL="50")
    for price in ("70", "71", "72"):
        buy(owner, price)
    owner.order("SELL", "2", "90")
    other.order("BUY", "1", "90")
    other.order("BUY", "1", "90")
    buy(owner, "73")
    buy(owner, "74")
    expected = [_of_the_day(backend, one) for one in (owner, other)]

    with second.running("backend"):
        second.await_markets()
        found = [_of_the_day(second, one) for one in (owner, other)]

    assert found == expected == [2, 0]


def _of_the_day(backend: RunningBackend, owner: Trader) -> int:
    asked = Trader(backend.api, owner.api_key, owner.secret).call("GET", "rateLimit/order")
    count: int = asked.body[1]["count"]
    return count


@pytest.fixture
def second(backend: RunningBackend) -> RunningBackend:
    """Another backend of the same exchange."""
    return backend.another()


def test_who_uses_up_the_weight_is_refused_and_who_goes_on_is_banned(
    backend: RunningBackend, second: RunningBackend
) -> None:
    with second.running("backend"):
        second.await_markets()
        asked = Trader(second.api)
        while (full := asked.get("depth", symbol=SYMBOL, limit=5_000)).status == 200:
            pass
        last = [asked.get("ping") for _ in range(20)]

        assert full.error == (
            429,
            -1003,
            "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
            " Please use WebSocket Streams for live updates to avoid polling the API.",
        )
        assert 1 <= int(full.headers["retry-after"]) <= 60
        assert weight(full) > 6_000
        assert (last[-1].status, last[-1].body["code"]) == (418, -1003)
        assert 110 <= int(last[-1].headers["retry-after"]) <= 120
        assert Trader(backend.api).get("ping").status == 200
