"""What anybody gets, without an account: the files, the market, and a connection that is honest."""

import gzip
import http.client
import json
import os
import re
import signal
import urllib.request
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from running_exchange import RunningExchange
from web.conftest import NewPage
from web.order_flow import OrderFlow

# --- The page's files as they are served ---


FIRST_LOAD_BYTES_MAX = 120 * 1024
BEFORE_THE_CHART_BYTES_MAX = 64 * 1024
CHART = "/js/candles.js"
"""Comes with the first load, but behind everything else, with the library that is half of it."""


class Answer:
    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.headers, self.body = answer.status, answer.headers, answer.read()

    @property
    def text(self) -> str:
        body = self.body
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return body.decode()


def get(exchange: RunningExchange, path: str, **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(exchange.api).netloc, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", path, headers=sent)
    answer = Answer(connection.getresponse())
    connection.close()
    return answer


def first_load(exchange: RunningExchange) -> set[str]:
    """All files that a visitor gets: what the page names, and what modules import at once."""
    index = get(exchange, "/").text
    return {"/", *reached(exchange, *re.findall(r'(?:href|src)="(/[\w./-]+\.\w+)"', index))}


def reached(exchange: RunningExchange, *paths: str) -> set[str]:
    """These files, and what they import at once."""
    found = set(paths)
    waiting = [path for path in found if path.endswith(".js")]
    while waiting:
        path = waiting.pop()
        for name in imported(get(exchange, path).text, path):
            if name not in found:
                found.add(name)
                waiting.append(name)
    return found


def imported(source: str, path: str) -> set[str]:
    folder = path.rpartition("/")[0]
    names = re.findall(r'^(?:import|export)\b[^;"]*?"(\.\.?/[\w./-]+)"', source, re.MULTILINE)
    return {
        f"/{name.removeprefix('../')}" if name.startswith("../") else f"{folder}/{name[2:]}"
        for name in names
    }


def test_the_first_load_is_small(exchange: RunningExchange) -> None:
    sizes = {
        path: len(get(exchange, path, accept_encoding="gzip").body) for path in first_load(exchange)
    }

    assert len(sizes) > 15
    assert sum(sizes.values()) <= FIRST_LOAD_BYTES_MAX, sizes
    before_the_chart = sum(sizes.values()) - sum(
        sizes[path] for path in reached(exchange, CHART) - reached(exchange, "/js/main.js")
    )
    assert before_the_chart <= BEFORE_THE_CHART_BYTES_MAX, sizes


def test_the_page_asks_for_every_module_before_it_is_found(exchange: RunningExchange) -> None:
    index = get(exchange, "/").text

    preloaded = set(re.findall(r'rel="modulepreload" href="([^"]+)"', index))

    assert preloaded == reached(exchange, "/js/main.js", CHART) - {"/js/main.js"}


def test_a_file_that_has_not_changed_is_not_sent_again(exchange: RunningExchange) -> None:
    first = get(exchange, "/app.css")

    again = get(exchange, "/app.css", if_none_match=first.headers["etag"])

    assert first.headers["cache-control"] == "no-cache"
    assert (again.status, again.body) == (304, b"")


def test_a_vendored_file_may_be_kept_for_ever(exchange: RunningExchange) -> None:
    (path,) = (one for one in first_load(exchange) if one.startswith("/vendor/preact-"))

    assert "immutable" in get(exchange, path).headers["cache-control"]


def test_only_the_page_itself_and_the_streams_may_be_loaded(exchange: RunningExchange) -> None:
    policy = get(exchange, "/").headers["content-security-policy"]

    assert "default-src 'self'" in policy
    assert f"connect-src 'self' ws://127.0.0.1:{exchange.ws_port}" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("host", ["x; script-src *", "a b", "evil'", ""])
def test_a_strange_host_does_not_get_into_the_policy(exchange: RunningExchange, host: str) -> None:
    policy = get(exchange, "/", host=host).headers.get("content-security-policy", "")

    assert host not in policy.replace("connect-src 'self';", "") or host == ""
    assert "script-src" not in policy


@pytest.mark.parametrize("path", ["/files.py", "/js/../files.py", "/vendor/preact-11.2.0.d.ts"])
def test_nothing_but_the_pages_files_is_served(exchange: RunningExchange, path: str) -> None:
    assert get(exchange, path).status == 404


def test_a_path_that_is_no_file_is_answered_as_by_the_api(exchange: RunningExchange) -> None:
    answer = get(exchange, "/nothing")

    assert (answer.status, '"code"' in answer.text) == (404, True)


# --- What anybody sees ---


def depth(exchange: RunningExchange) -> Any:
    url = f"{exchange.api}/api/v3/depth?symbol=BTCUSDT&limit=5"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


def shown_book(page: Page) -> list[list[str]]:
    """The best five bids and asks of the ladder, as numbers in plain text."""
    found: list[list[str]] = page.evaluate(
        """() => [".bids", ".asks"].map((side) => {
            const rows = [...document.querySelectorAll(`${side} .level`)];
            const best = side === ".asks" ? rows.reverse() : rows;
            return best.slice(0, 5).map((row) => row.querySelector(".price").textContent
              + " " + row.querySelector(".quantity").textContent).map((text) => text.replaceAll(",", ""));
        })"""
    )
    return found


def book_of(snapshot: Any) -> list[list[str]]:
    return [
        [f"{price[:-6]} {quantity[:-3]}" for price, quantity in snapshot[side]]
        for side in ("bids", "asks")
    ]


def wait_for_book(page: Page, exchange: RunningExchange) -> None:
    """Until the ladder shows what the API tells."""
    wanted = book_of(depth(exchange))
    page.wait_for_function(
        """(wanted) => JSON.stringify([".bids", ".asks"].map((side) => {
            const rows = [...document.querySelectorAll(`${side} .level`)];
            const best = side === ".asks" ? rows.reverse() : rows;
            return best.slice(0, 5).map((row) => (row.querySelector(".price").textContent + " "
              + row.querySelector(".quantity").textContent).replaceAll(",", ""));
        })) === wanted""",
        arg=json.dumps(wanted, separators=(",", ":")),
    )


def test_a_visitor_sees_the_busiest_market_at_once(
    new_page: NewPage, exchange: RunningExchange
) -> None:
    page = new_page()

    expect(page.locator(".market")).to_contain_text("BTC/USDT")
    expect(page.locator(".line")).to_have_attribute("data-state", "live")
    expect(page.locator(".tape .price").first).to_contain_text(re.compile("(50|49),"))
    wait_for_book(page, exchange)
    expect(page.locator(".legend")).to_contain_text("O")


def test_the_ladder_follows_every_change(
    new_page: NewPage, exchange: RunningExchange, flow: OrderFlow
) -> None:
    page = new_page()
    wait_for_book(page, exchange)

    for _ in range(5):
        flow.step()

    wait_for_book(page, exchange)


def test_levels_are_put_together_so_that_none_looks_better_than_it_is(
    new_page: NewPage, exchange: RunningExchange
) -> None:
    page = new_page()
    wait_for_book(page, exchange)

    page.get_by_label("Group").select_option("1000")

    page.wait_for_function(
        "() => document.querySelector('.bids .price').textContent.endsWith('0.00')"
    )
    best = depth(exchange)
    bid, ask = (shown_book(page)[side][0].split()[0] for side in (0, 1))
    assert float(bid) <= float(best["bids"][0][0])
    assert float(ask) >= float(best["asks"][0][0])
    assert (float(bid) % 10, float(ask) % 10) == (0, 0)


def test_a_price_that_is_clicked_goes_into_the_form(
    new_page: NewPage, exchange: RunningExchange
) -> None:
    page = new_page()
    wait_for_book(page, exchange)

    row = page.locator(".bids .level").nth(2)
    price = row.locator(".price").inner_text()
    row.click()

    expect(page.locator("#order-price")).to_have_value(price.replace(",", ""))


def test_markets_are_searched_and_chosen_by_keyboard(new_page: NewPage) -> None:
    page = new_page()
    expect(page.locator(".market")).to_contain_text("BTC/USDT")

    page.keyboard.press("/")
    page.get_by_label("Search markets").fill("eth")
    page.keyboard.press("Enter")

    expect(page.locator(".market")).to_contain_text("ETH/USDT")
    assert page.url.endswith("#/trade/ETHUSDT")
    expect(page.locator(".spread")).to_have_text("The book is empty")
    expect(page.locator(".chart .empty")).to_have_text("No trades yet")


def test_a_browser_comes_back_to_the_market_that_it_had(new_page: NewPage) -> None:
    page = new_page("#/trade/SOLUSDC")
    expect(page.locator(".market")).to_contain_text("SOL/USDC")

    page.goto("about:blank")
    page.goto("/")

    expect(page.locator(".market")).to_contain_text("SOL/USDC")


def test_the_depth_chart_is_drawn(new_page: NewPage, exchange: RunningExchange) -> None:
    # That is about this test's look at the pixels.
    page = new_page(may_complain_of="willReadFrequently")
    wait_for_book(page, exchange)

    page.get_by_role("tab", name="Depth").click()

    page.wait_for_function(
        """() => {
          const canvas = document.querySelector(".canvas canvas[role=img]");
          if (!canvas || canvas.width === 0) return false;
          const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          return pixels.filter((value, place) => place % 4 === 3 && value > 0).length > 1000;
        }"""
    )


def test_colours_follow_the_system_until_somebody_chooses(new_page: NewPage) -> None:
    page = new_page(scheme="light")
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "light")

    page.get_by_label("Dark colours").click()
    expect(root).to_have_attribute("data-theme", "dark")
    page.reload()

    expect(root).to_have_attribute("data-theme", "dark")


def test_a_small_screen_shows_one_panel_at_a_time(new_page: NewPage) -> None:
    page = new_page(size=(390, 844))

    for button, panel in [
        ("Chart", ".chart"), ("Book", ".ladder"), ("Trades", ".tape"), ("Trade", ".form"),
        ("Orders", ".orders"),
    ]:  # fmt: skip
        page.locator(".bottom").get_by_role("button", name=button, exact=True).click()

        expect(page.locator(f".panel{panel}")).to_be_visible()
        expect(page.locator(".trade-page > .panel:visible")).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


@pytest.mark.parametrize("size", [(1600, 900), (1280, 720)])
def test_nothing_hangs_over_the_edge(new_page: NewPage, size: tuple[int, int]) -> None:
    page = new_page(size=size)
    expect(page.locator(".line")).to_have_attribute("data-state", "live")

    assert page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.scrollHeight]"
    ) == list(size)


# --- What the page says of its connection is true ---


UNCONNECTED = "ERR_CONNECTION_REFUSED|Unexpected response code: 503"
"""Refused while nobody listens, and answered with 503 while the server starts."""


def websocket_pid(exchange: RunningExchange) -> int:
    pid = exchange.pids()["websocket"]
    assert pid is not None
    return pid


def test_a_killed_server_is_told_and_the_book_is_right_again_afterwards(
    new_page: NewPage, exchange: RunningExchange, flow: OrderFlow
) -> None:
    page = new_page(may_complain_of=UNCONNECTED)
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
