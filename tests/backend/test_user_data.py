"""User data over the WebSocket API: what two accounts hear while they trade, and who hears it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from decimal import Decimal

from backend.api_client import Trader
from backend.conftest import RunningBackend
from backend.socket_client import Json, SocketClient, connected
from backend.test_socket_api import ORDER, error, logged_on
from conftest import Servers
from servers import ask_redis

SUBSCRIBE = "userDataStream.subscribe.signature"


@asynccontextmanager
async def listening(backend: RunningBackend, trader: Trader) -> AsyncIterator[SocketClient]:
    async with connected(backend.api, trader) as client:
        assert (await client.signed(SUBSCRIBE))["result"] == {"subscriptionId": 0}
        yield client


def is_report(execution: str, order_id: int | None = None) -> Callable[[Json], bool]:
    def matches(event: Json) -> bool:
        if event["e"] != "executionReport" or event["x"] != execution:
            return False
        return order_id in (None, event["i"])

    return matches


def is_position(event: Json) -> bool:
    return bool(event["e"] == "outboundAccountPosition")


async def test_an_order_is_reported_with_all_its_fields(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        placed = (await client.signed("order.place", **ORDER, strategyId=7))["result"]
        report, position = await client.until(is_position)

    assert report == {
        "e": "executionReport",
        "E": placed["transactTime"],
        "s": "SOLUSDC",
        "c": placed["clientOrderId"],
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "1.00000000",
        "p": "20.00000000",
        "P": "0.00000000",
        "F": "0.00000000",
        "g": -1,
        "C": "",
        "x": "NEW",
        "X": "NEW",
        "r": "NONE",
        "i": placed["orderId"],
        "l": "0.00000000",
        "z": "0.00000000",
        "L": "0.00000000",
        "n": "0",
        "N": None,
        "T": placed["transactTime"],
        "t": -1,
        "I": report["I"],
        "w": True,
        "m": False,
        "M": False,
        "O": placed["transactTime"],
        "Z": "0.00000000",
        "Y": "0.00000000",
        "Q": "0.00000000",
        "W": placed["workingTime"],
        "V": placed["selfTradePreventionMode"],
        "j": 7,
    }
    assert position == {
        "e": "outboundAccountPosition",
        "E": placed["transactTime"],
        "u": placed["transactTime"],
        "B": [{"a": "USDC", "f": "980.00000000", "l": "20.00000000"}],
    }


async def test_a_cancel_is_reported_by_the_id_that_its_answer_has(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        for more in ({}, {"newClientOrderId": "the-end"}):
            placed = (await client.signed("order.place", **ORDER))["result"]
            id = placed["orderId"]
            answer = trader.call("DELETE", "order", symbol="SOLUSDC", orderId=id, **more).body
            *_, report = await client.until(is_report("CANCELED", id))

            assert report["c"] == answer["clientOrderId"]
            assert report["C"] == placed["clientOrderId"]
            assert report["X"] == "CANCELED"


async def test_what_two_accounts_hear_adds_up_to_their_trades_and_balances(
    backend: RunningBackend,
) -> None:
    maker, taker = backend.trader(SOL="50"), backend.trader(USDC="5000")

    async with listening(backend, maker) as sells, listening(backend, taker) as buys:
        for price in ("30.00", "30.01", "30.02"):
            await sells.signed(
                "order.place", **{**ORDER, "side": "SELL", "quantity": "2", "price": price}
            )
        for quantity, price in (("3", "30.01"), ("1.5", "30.02"), ("1", "29.00")):
            await buys.signed("order.place", **{**ORDER, "quantity": quantity, "price": price})
        for client, trader in ((sells, maker), (buys, taker)):
            last = trader.call("GET", "allOrders", symbol="SOLUSDC").body[-1]["orderId"]
            # The last order ends what is to be heard.
            trader.call("DELETE", "order", symbol="SOLUSDC", orderId=last)
            events = await client.until(is_report("CANCELED", last))
            events += await client.until(is_position)
            check_adds_up(events, trader)


def check_adds_up(events: list[Json], trader: Trader) -> None:
    trades = [event for event in events if event.get("x") == "TRADE"]
    mine = trader.call("GET", "myTrades", symbol="SOLUSDC").body
    assert len(trades) == len(mine) >= 3
    assert [
        {
            "id": one["t"],
            "orderId": one["i"],
            "price": one["L"],
            "qty": one["l"],
            "quoteQty": one["Y"],
            "commission": one["n"],
            "commissionAsset": one["N"],
            "time": one["T"],
            "isBuyer": one["S"] == "BUY",
            "isMaker": one["m"],
        }
        for one in trades
    ] == [{name: one[name] for name in _TRADE_FIELDS} for one in mine]
    check_cumulated(trades)
    balances: dict[str, tuple[str, str]] = {}
    for event in events:
        if is_position(event):
            balances |= {one["a"]: (one["f"], one["l"]) for one in event["B"]}
    account = trader.call("GET", "account", omitZeroBalances="true").body["balances"]
    assert balances == {one["asset"]: (one["free"], one["locked"]) for one in account}
    assert len({event["I"] for event in events if "I" in event}) == sum(
        "I" in one for one in events
    )


_TRADE_FIELDS = (
    "id",
    "orderId",
    "price",
    "qty",
    "quoteQty",
    "commission",
    "commissionAsset",
    "time",
    "isBuyer",
    "isMaker",
)


def check_cumulated(trades: list[Json]) -> None:
    """The cumulated quantities are the sums of the last ones."""
    sums: dict[int, tuple[Decimal, Decimal]] = {}
    for one in trades:
        base, quote = sums.get(one["i"], (Decimal(0), Decimal(0)))
        sums[one["i"]] = base + Decimal(one["l"]), quote + Decimal(one["Y"])
        assert sums[one["i"]] == (Decimal(one["z"]), Decimal(one["Z"]))


async def test_a_list_is_told_with_all_its_orders(backend: RunningBackend) -> None:
    trader, other = backend.trader(USDT="1000"), backend.trader(ETH="10")
    sides = {"workingSide": "BUY", "pendingSide": "SELL"}

    async with listening(backend, trader) as client:
        placed = await client.signed(
            "orderList.place.oto",
            symbol="ETHUSDT",
            **sides,
            workingType="LIMIT",
            workingTimeInForce="GTC",
            workingQuantity="1",
            workingPrice="120.00",
            pendingType="LIMIT",
            pendingTimeInForce="GTC",
            pendingQuantity="0.5",
            pendingPrice="900.00",
        )
        begun = await client.until(is_position)
        other.order("SELL", "1", "120.00", symbol="ETHUSDT")
        started = await client.until(is_position)
        trader.call("DELETE", "openOrders", symbol="ETHUSDT")
        ended = await client.until(is_position)

    orders = placed["result"]["orders"]
    working, pending = (one["orderId"] for one in orders)
    lists = [event for event in [*begun, *started, *ended] if event["e"] == "listStatus"]
    assert [(one["l"], one["L"]) for one in lists] == [
        ("EXEC_STARTED", "EXECUTING"),
        ("ALL_DONE", "ALL_DONE"),
    ]
    for one in lists:
        assert one["g"] == placed["result"]["orderListId"]
        assert one["C"] == placed["result"]["listClientOrderId"]
        assert one["O"] == [
            {"s": "ETHUSDT", "i": order["orderId"], "c": order["clientOrderId"]} for order in orders
        ]
    reports = [
        (one["i"], one["x"], one["X"])
        for one in [*begun, *started, *ended]
        if one["e"] == "executionReport"
    ]
    assert reports == [
        (pending, "NEW", "PENDING_NEW"),
        (working, "NEW", "NEW"),
        (working, "TRADE", "FILLED"),
        (pending, "NEW", "NEW"),
        (pending, "CANCELED", "CANCELED"),
    ]


async def test_an_order_that_a_cancel_made_no_room_for_is_told_as_rejected(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        old = (await client.signed("order.place", **ORDER))["result"]
        wish = {**ORDER, "quantity": "100", "newClientOrderId": "too-much"}
        answer = await client.signed(
            "order.cancelReplace",
            **wish,
            cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=old["orderId"],
        )
        *_, report = await client.until(is_report("REJECTED"))

    assert answer["error"]["data"]["newOrderResponse"]["code"] == -2010
    assert (report["X"], report["r"]) == ("REJECTED", "INSUFFICIENT_BALANCES")
    assert (report["i"], report["c"], report["C"]) == (-1, "too-much", "")
    assert (report["q"], report["z"], report["w"]) == ("100.00000000", "0.00000000", False)
    assert "W" not in report


async def test_deposits_are_told(backend: RunningBackend) -> None:
    name = "receiver"
    assert backend.admin("POST", "accounts", name=name).status == 200
    key = backend.key(name, kind="hmac", canTrade=True)
    trader = Trader(backend.api, key["apiKey"], key["secretKey"])

    async with listening(backend, trader) as client:
        backend.deposit(name, "SOL", "2.5")
        update, position = await client.until(is_position)

    assert (update["e"], update["a"], update["d"]) == ("balanceUpdate", "SOL", "2.50000000")
    assert position["B"] == [{"a": "SOL", "f": "2.50000000", "l": "0.00000000"}]


async def test_what_was_acknowledged_before_is_not_told_and_what_comes_after_is(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="10000")

    for _ in range(10):
        before = trader.order("BUY", "1.000", "20.00").body["orderId"]
        async with listening(backend, trader) as client:
            after = trader.order("BUY", "1.000", "20.00").body["orderId"]
            events = await client.until(is_report("NEW"))

        assert [event["i"] for event in events if "i" in event] == [after]
        assert before < after


async def test_the_answer_to_a_subscription_comes_before_its_first_event(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="10000")

    async with connected(backend.api, trader) as client:
        subscription = await client.send(SUBSCRIBE, **client.sign({}))
        for _ in range(20):
            await client.send("order.place", **client.sign(dict(ORDER)))
        # The client keeps events apart, so that it can say what was there before the answer.
        await client.answer(subscription)

        assert client.events == []


async def test_events_are_for_their_account_only(backend: RunningBackend) -> None:
    trader, other = backend.trader(USDC="1000"), backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        other.order("BUY", "1.000", "20.00")
        mine = trader.order("BUY", "1.000", "20.00").body["orderId"]
        events = await client.until(is_position)

    assert [event["i"] for event in events if "i" in event] == [mine]


async def test_one_connection_can_listen_to_several_accounts_but_to_none_twice(
    backend: RunningBackend,
) -> None:
    first, second = backend.trader(USDC="1000"), backend.trader(USDC="1000")

    async with listening(backend, first) as client:
        twice = await client.signed(SUBSCRIBE)
        client.trader = second
        other = await client.signed(SUBSCRIBE)
        listed = await client.call("session.subscriptions")
        second.order("BUY", "1.000", "20.00")
        await client.until(is_report("NEW"))
        await client.until(is_position)
        first.order("BUY", "1.000", "20.00")
        while len(client.events) < 2:
            await client.call("ping")
        ids = [one["subscriptionId"] for one in client.events]

    assert error(twice) == (400, -2035, "User Data Stream subscription already active.")
    assert other["result"] == {"subscriptionId": 1}
    assert listed["result"] == [{"subscriptionId": 0}, {"subscriptionId": 1}]
    assert ids == [0, 0]


async def test_a_session_listens_without_a_signature_until_it_logs_out(
    backend: RunningBackend,
) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader) as client:
        refused = await client.call("userDataStream.subscribe")
        await logged_on(client)
        subscribed = await client.call("userDataStream.subscribe")
        status = await client.call("session.status")
        await client.call("session.logout")
        events = await client.until(lambda event: event["e"] == "eventStreamTerminated")
        after = await client.call("session.status")

    assert error(refused)[:2] == (401, -2015)
    assert subscribed["result"] == {"subscriptionId": 0}
    assert status["result"]["userDataStream"] is True
    assert after["result"]["userDataStream"] is False
    assert len(events) == 1


async def test_a_signed_subscription_outlives_the_session(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        await logged_on(client)
        await client.call("session.logout")
        trader.order("BUY", "1.000", "20.00")

        await client.until(is_report("NEW"))


async def test_who_ends_a_subscription_is_told_and_hears_no_more(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        unknown = await client.call("userDataStream.unsubscribe", subscriptionId=5)
        ended = await client.call("userDataStream.unsubscribe")
        trader.order("BUY", "1.000", "20.00")
        await client.call("ping")
        again = await client.signed(SUBSCRIBE)

        assert error(unknown) == (400, -2036, "User Data Stream subscription not active.")
        assert ended["result"] == {}
        assert [one["event"]["e"] for one in client.events] == ["eventStreamTerminated"]
        assert again["result"] == {"subscriptionId": 1}


async def test_a_revoked_key_hears_no_more(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client:
        backend.admin("DELETE", f"keys/{trader.api_key}")

        assert [event["e"] for event in await client.until(lambda event: True)] == [
            "eventStreamTerminated"
        ]


async def test_times_of_events_are_counted_as_the_connection_says(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")

    async with connected(backend.api, trader, "?timeUnit=MICROSECOND") as client:
        await client.signed(SUBSCRIBE)
        trader.order("BUY", "1.000", "20.00")
        (report,) = await client.until(is_report("NEW"))

    assert report["T"] > 10**15


async def test_who_listens_is_parted_from_when_the_state_is_lost(
    backend: RunningBackend, servers: Servers
) -> None:
    trader = backend.trader(USDC="1000")

    async with listening(backend, trader) as client, connected(backend.api) as bystander:
        # Engine and backend lose their connections, and begin anew.
        for kind in ("pubsub", "normal"):
            assert ask_redis(servers.redis.url, f"CLIENT KILL TYPE {kind}").startswith(":")

        assert await client.closed() == 1012
        async with asyncio.timeout(60):
            while (await bystander.call("depth", symbol="SOLUSDC"))["status"] != 200:
                await asyncio.sleep(0.05)
