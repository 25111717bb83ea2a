"""Pictures of the trading page on a market that moves, for the README: `make web-screenshots`."""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from playwright.sync_api import Browser, Page, StorageState
from running_exchange import RunningExchange
from web.order_flow import OrderFlow
from web.stage import DEFAULT_MS, fill_order, launched, moving_market, signed_in

PICTURES: Sequence[tuple[str, tuple[int, int], str, str]] = (
    ("trading-dark", (1600, 900), "dark", ""),
    ("trading-light", (1600, 900), "light", ""),
    ("mobile-chart", (390, 844), "dark", "Chart"),
    ("mobile-book", (390, 844), "light", "Book"),
    ("mobile-trade", (390, 844), "dark", "Trade"),
)
MOVES_S = 90.0


def main(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as data:
        # Postgres does not run as root: whoever it runs as must get to its files.
        Path(data).chmod(0o755)
        exchange = RunningExchange(Path(data) / "data")
        exchange.start()
        try:
            flows = [
                moving_market(exchange, "BTCUSDT", "78359.00"),
                moving_market(exchange, "ETHUSDT", "2931.40", "0.05", "0.8000"),
                moving_market(exchange, "SOLUSDC", "142.30", "0.01", "12.400"),
            ]
            with launched() as browser:
                take_pictures(browser, exchange, flows, folder)
        finally:
            exchange.stop()


def take_pictures(
    browser: Browser, exchange: RunningExchange, flows: list[OrderFlow], folder: Path
) -> None:
    move(flows, MOVES_S)
    context = browser.new_context(base_url=exchange.api, viewport={"width": 1600, "height": 900})
    page = signed_in(context.new_page(), "alice")
    trade_a_little(page)
    state = context.storage_state()
    context.close()
    for name, size, scheme, panel in PICTURES:
        move(flows, 6)
        picture(browser, exchange, state, folder / f"{name}.png", size, scheme, panel)


def move(flows: list[OrderFlow], seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for flow in flows:
            flow.step()


def trade_a_little(page: Page) -> None:
    """Two resting orders near the market, a stop below it, and a fill."""
    page.locator(".intervals").get_by_role("button", name="1s").click()
    for side, row, amount in (("buy", 4, "0.25"), ("sell", 3, "0.18")):
        page.locator(f".sides .{side}").click()
        rows = page.locator(
            f".{'bids' if side == 'buy' else 'asks'} .level:has(.price:not(:empty))"
        )
        rows.nth(row if side == "buy" else -row).click()
        fill_order(page, amount=amount)
        page.locator("#order-amount").press("Enter")
        page.locator("#order-amount:not([value])").wait_for()
    page.keyboard.press("m")
    fill_order(page, amount="0.08")
    page.locator("#order-amount").press("Enter")
    page.locator(".notices", has_text="Sold").wait_for()


def picture(
    browser: Browser,
    exchange: RunningExchange,
    state: StorageState,
    path: Path,
    size: tuple[int, int],
    scheme: str,
    panel: str,
) -> None:
    context = browser.new_context(
        base_url=exchange.api,
        viewport={"width": size[0], "height": size[1]},
        color_scheme="light" if scheme == "light" else "dark",
        storage_state=state,
    )
    context.set_default_timeout(DEFAULT_MS)
    page = context.new_page()
    page.goto("/#/trade/BTCUSDT")
    page.locator(".line.live small").wait_for(state="attached")
    page.locator(".shares button:enabled").first.wait_for(state="attached")
    if panel:
        page.locator(".bottom").get_by_role("button", name=panel, exact=True).click()
    if not panel or panel == "Trade":
        page.locator("#order-price").fill("78350")
        page.locator("#order-amount").fill("0.25")
        page.locator("#order-price").blur()
    # The chart draws in its own time, and tells nobody when it has.
    page.wait_for_timeout(1_500)
    path.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=path)
    context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
