"""What the page's tests, pictures and measurements share: a browser, a moving market, a user."""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from running_exchange import RunningExchange
from web.order_flow import OrderFlow, Trader

FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
DEFAULT_MS = 30_000
"""Enough for a machine with other things to do; nothing waits so long where all is well."""


@contextmanager
def launched() -> Iterator[Browser]:
    """Debian's chromium, without a window."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("the trading page's tests need a browser: apt-get install chromium")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield running
        running.close()


def moving_market(
    exchange: RunningExchange,
    symbol: str = "BTCUSDT",
    price: str = "50000.00",
    tick: str = "0.50",
    size: str = "0.04300",
) -> OrderFlow:
    """A market with a book and without a trade yet."""
    flow = OrderFlow(
        rich(exchange), rich(exchange), symbol,
        price=Decimal(price), tick=Decimal(tick), size=Decimal(size),
    )  # fmt: skip
    flow.fill()
    return flow


def rich(exchange: RunningExchange) -> Trader:
    name = f"rich-{uuid.uuid4().hex[:8]}"
    keys = exchange.account(name)
    for asset in ("USDT", "USDC", "BTC", "ETH", "SOL"):
        exchange.deposit(name, asset, "100000000")
    return Trader(exchange.api, keys.apiKey, keys.secretKey)


def signed_in(page: Page, name: str = "") -> Page:
    """Register on that page, take test funds, and go to the market."""
    page.goto("/#/register")
    page.get_by_label("Name").fill(name or f"user-{uuid.uuid4().hex[:10]}")
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Register").click()
    page.wait_for_url("**/#/wallet")
    funds = page.locator("section", has_text="Test funds")
    for asset in ("USDT", "BTC"):
        funds.get_by_label("Asset").select_option(asset)
        funds.get_by_role("button", name=f"Take {asset}").click()
        page.locator(f"tr[data-asset={asset}]").wait_for()
    page.goto("/#/trade/BTCUSDT")
    page.locator(".bids .level .price").first.wait_for()
    return page


def fill_order(page: Page, **fields: str) -> None:
    """Type into the order form, by the ids of its fields."""
    for name, text in fields.items():
        page.locator(f"#order-{name}").fill(text)
