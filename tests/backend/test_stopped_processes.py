"""A process that was really stopped knows less than the others, and does not act on it."""

import asyncio
import os
import signal
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

from backend.api_client import Trader
from backend.conftest import RunningBackend
from backend.test_failures import until
from backend.test_funds_and_control import order_numbers
from servers import KillableServer

from exchange.backend.barrier import STALE_S


def test_a_backend_that_hears_nothing_refuses_whoever_signs(
    database_url: str, own_redis: KillableServer, tmp_path: Path
) -> None:
    one = RunningBackend(tmp_path, database_url, own_redis.url)
    with one.running("engine"), one.running("db_processor"), one.running("backend"):
        one.await_markets()
        trader = one.trader(USDC="1000")
        assert trader.order("BUY", "1", "10").status == 200

        os.kill(own_redis.pid, signal.SIGSTOP)
        try:
            until(lambda: answer_of(trader, "rateLimit/order") == (503, -1001))
            stale = [answer_of(trader, path) for path in ("rateLimit/order", "account")]
            order = trader.order("BUY", "1", "11")
            unsigned = trader.get("ping").status
        finally:
            os.kill(own_redis.pid, signal.SIGCONT)

        assert (stale, unsigned) == ([(503, -1001)] * 2, 200)
        assert (order.status, order.body["code"]) == (503, -1001)
        until(lambda: trader.order("BUY", "1", "12").status == 200)
        prices = [float(one["price"]) for one in trader.call("GET", "openOrders").body]
        # What was refused did not happen later either.
        assert 11 not in prices


def answer_of(trader: Trader, path: str) -> tuple[int, int]:
    answer = trader.call("GET", path)
    return answer.status, answer.body["code"] if answer.status != 200 else 0


def test_a_backend_that_slept_while_a_key_was_revoked_does_not_take_it(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    one = RunningBackend(tmp_path, database_url, redis_url)
    with one.running("engine"), one.running("db_processor"), one.running("backend") as sleeper:
        one.await_markets()
        other = one.another(admin=True)
        with other.running("backend"):
            other.await_markets()
            trader = one.trader(USDC="1000")
            account = trader.call("GET", "account").body["uid"]
            assert trader.order("BUY", "1", "10").status == 200

            sleeper.send_signal(signal.SIGSTOP)
            try:
                waiting = [sent(trader, "GET", "account"), sent(trader, "POST", "order")]
                assert other.admin("DELETE", f"keys/{trader.api_key}").status == 200
                # It has to sleep for as long as a view may be old.
                time.sleep(STALE_S)
            finally:
                sleeper.send_signal(signal.SIGCONT)

            for connection in waiting:
                head = connection.recv(65_536).partition(b"\r\n")[0]
                assert head.split(b" ")[1] in (b"401", b"503"), head
                connection.close()
            until(lambda: answer_of(trader, "account") == (401, -2015))
            acts = other.admin("GET", "audit").body
            (revoked,) = [act["number"] for act in acts if act["act"] == "RevokeKey"]
            (number,) = asyncio.run(order_numbers(one.database_url, account))
            assert number < revoked


def sent(trader: Trader, method: str, path: str) -> socket.socket:
    """A signed request on its way: nobody has read it yet."""
    address = urlsplit(trader.url)
    assert address.hostname
    assert address.port
    order = "symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=11&"
    query = (order if path == "order" else "") + f"timestamp={time.time_ns() // 1_000_000}"
    connection = socket.create_connection((address.hostname, address.port), timeout=30)
    signed = f"{query}&recvWindow=60000"
    head = (
        f"{method} /api/v3/{path}?{signed}&signature={trader.sign(signed)} HTTP/1.1",
        "host: x",
        f"x-mbx-apikey: {trader.api_key}",
        "content-length: 0",
    )
    connection.sendall("\r\n".join((*head, "", "")).encode())
    return connection
