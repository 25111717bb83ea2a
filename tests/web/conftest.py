"""One exchange with a moving market, and one browser, for all tests of the trading page."""

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, StorageState, expect
from running_exchange import RunningExchange
from web.order_flow import OrderFlow
from web.stage import DEFAULT_MS, launched, moving_market, signed_in

expect.set_options(timeout=DEFAULT_MS)

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningExchange]:
    running = RunningExchange(tmp_path_factory.mktemp("web") / "data")
    with pytest.MonkeyPatch.context() as patch:
        # Passwords that are cheap to guess are also cheap to test with.
        patch.setenv("PASSWORD_MEMORY_KIB", "1024")
        running.start()
    yield running
    running.stop()


@pytest.fixture(scope="package")
def flow(exchange: RunningExchange) -> OrderFlow:
    """BTCUSDT around 50,000, with a book and some trades; `step` moves it."""
    made = moving_market(exchange)
    for _ in range(5):
        made.take("BUY")
        made.take("SELL")
    return made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    # It keeps an event loop running, which no other module's tests can have beside their own.
    with launched() as running:
        yield running


@pytest.fixture(scope="module")
def member(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> StorageState:
    """The cookie of somebody with test funds, for tests that do not count what he has."""
    context = browser.new_context(base_url=exchange.api)
    context.set_default_timeout(DEFAULT_MS)
    state = signed_in(context.new_page()).context.storage_state()
    context.close()
    return state


@pytest.fixture
def new_page(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> Iterator[NewPage]:
    """Pages in contexts of their own. At the end none of them may have complained of anything."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    expected: list[str] = []

    def open_page(
        path: str = "", *, size: tuple[int, int] = (1600, 900), scheme: str = "dark",
        may_complain_of: str = "", state: StorageState | None = None,
    ) -> Page:  # fmt: skip
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="light" if scheme == "light" else "dark",
            base_url=exchange.api,
            storage_state=state,
        )
        context.set_default_timeout(DEFAULT_MS)
        contexts.append(context)
        if may_complain_of:
            expected.append(may_complain_of)
        page = context.new_page()
        note_complaints(page, complaints)
        page.goto(f"/{path}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [one for one in complaints if not any(re.search(text, one) for text in expected)] == []


@pytest.fixture(scope="module")
def shared_page(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> Iterator[Page]:
    """One signed-in page for a module's tests, each of which leaves no open order behind."""
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1600, "height": 900}, base_url=exchange.api)
    context.set_default_timeout(DEFAULT_MS)
    page = context.new_page()
    note_complaints(page, complaints)
    yield signed_in(page)
    context.close()
    assert complaints == []


def note_complaints(page: Page, complaints: list[str]) -> None:
    """Errors and warnings in the console, and faults that nobody caught."""
    page.on(
        "console",
        lambda message: (
            complaints.append(f"{message.text} {message.location.get('url', '')}")
            if message.type in ("error", "warning")
            else None
        ),
    )
    page.on("pageerror", lambda fault: complaints.append(str(fault.stack)))
