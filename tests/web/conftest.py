"""One exchange with a moving market, and one browser, for all tests of the trading page."""

import shutil
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from running_exchange import RunningExchange
from web.order_flow import OrderFlow, Trader

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DEFAULT_MS = 20_000
"""Enough for a machine with other things to do; nothing waits so long where all is well."""
expect.set_options(timeout=DEFAULT_MS)

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    running = RunningExchange(tmp_path_factory.mktemp("web") / "data")
    running.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def flow(exchange: RunningExchange) -> OrderFlow:
    """BTCUSDT around 50,000, with a book and some trades; `step` moves it."""
    made = OrderFlow(
        rich(exchange),
        rich(exchange),
        "BTCUSDT",
        price=Decimal("50000.00"),
        tick=Decimal("0.50"),
        size=Decimal("0.04300"),
    )
    made.fill()
    for _ in range(5):
        made.take("BUY")
        made.take("SELL")
    return made


def rich(exchange: RunningExchange) -> Trader:
    name = f"rich-{uuid.uuid4().hex[:8]}"
    keys = exchange.account(name)
    exchange.deposit(name, "USDT", "100000000")
    exchange.deposit(name, "BTC", "1000")
    return Trader(exchange.api, keys.apiKey, keys.secretKey)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = shutil.which("chromium")
    assert path is not None, "the page's tests need Debian's chromium"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


@pytest.fixture
def new_page(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> Iterator[NewPage]:
    """Pages in contexts of their own. At the end none of them may have complained of anything."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    expected: list[str] = []

    def open_page(
        path: str = "", *, size: tuple[int, int] = (1600, 900), scheme: str = "dark",
        may_complain_of: str = "",
    ) -> Page:  # fmt: skip
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="light" if scheme == "light" else "dark",
            base_url=exchange.api,
        )
        context.set_default_timeout(DEFAULT_MS)
        contexts.append(context)
        if may_complain_of:
            expected.append(may_complain_of)
        page = context.new_page()
        page.on(
            "console",
            lambda message: (
                complaints.append(f"{message.text} {message.location.get('url', '')}")
                if message.type in ("error", "warning")
                else None
            ),
        )
        page.on("pageerror", lambda fault: complaints.append(str(fault.stack)))
        page.goto(f"/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in complaints if not any(text in one for text in expected)] == []


@pytest.fixture
def trader_page(new_page: NewPage) -> Page:
    """The trading page of somebody who has just registered, with test funds."""
    return signed_in(new_page())


def signed_in(page: Page) -> Page:
    """Register on that page, take test funds, and go to the market."""
    page.goto("/#/register")
    page.get_by_label("Name").fill(f"user-{uuid.uuid4().hex[:10]}")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/#/wallet")
    for asset in ("USDT", "BTC"):
        page.get_by_label("Asset").select_option(asset)
        page.get_by_role("button", name=f"Take {asset}").click()
        page.locator(f"tr[data-asset={asset}]").wait_for()
    page.goto("/#/trade/BTCUSDT")
    page.locator(".bids .level .price").first.wait_for()
    return page


def fill_order(page: Page, **fields: str) -> None:
    """Type into the order form, by the ids of its fields."""
    for name, text in fields.items():
        page.locator(f"#order-{name}").fill(text)


@pytest.fixture(scope="module")
def shared_page(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> Iterator[Page]:
    """One signed-in page for a module's tests, each of which leaves no open order behind."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1600, "height": 900}, base_url=exchange.api)
    context.set_default_timeout(DEFAULT_MS)
    page = context.new_page()
    page.on("pageerror", lambda fault: complaints.append(str(fault.stack)))
    yield signed_in(page)
    context.close()
    assert complaints == []
