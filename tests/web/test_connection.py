"""What the page says of its connection is true: the websocket server is killed and stopped."""

import os
import signal

from playwright.sync_api import expect
from running_exchange import RunningExchange
from web.conftest import NewPage
from web.order_flow import OrderFlow
from web.test_market import wait_for_book

REFUSED = "ERR_CONNECTION_REFUSED"


def websocket_pid(exchange: RunningExchange) -> int:
    pid = exchange.pids()["websocket"]
    assert pid is not None
    return pid


def test_a_killed_server_is_told_and_the_book_is_right_again_afterwards(
    new_page: NewPage, exchange: RunningExchange, flow: OrderFlow
) -> None:
    page = new_page(may_complain_of=REFUSED)
    line = page.locator(".line")
    wait_for_book(page, exchange)

    os.kill(websocket_pid(exchange), signal.SIGKILL)
    expect(line).to_have_attribute("data-state", "reconnecting")
    expect(page.locator(".ladder .rows")).to_have_class("rows old")
    flow.step()

    expect(line).to_have_attribute("data-state", "live", timeout=60_000)
    wait_for_book(page, exchange)


def test_a_silent_server_makes_the_prices_stale(
    new_page: NewPage, exchange: RunningExchange
) -> None:
    page = new_page()
    wait_for_book(page, exchange)
    pid = websocket_pid(exchange)

    os.kill(pid, signal.SIGSTOP)
    try:
        expect(page.locator(".line")).to_have_attribute("data-state", "stale")
        expect(page.locator(".ladder .rows")).to_have_class("rows old")
    finally:
        os.kill(pid, signal.SIGCONT)

    expect(page.locator(".line")).to_have_attribute("data-state", "live")
    wait_for_book(page, exchange)
