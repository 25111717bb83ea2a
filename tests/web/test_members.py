"""What those who are signed in do: trade, come and go, make keys; and what nobody may do to them."""

import http.client
import json
import re
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, StorageState, expect
from running_exchange import RunningExchange
from web.conftest import NewPage
from web.order_flow import Client, Trader
from web.stage import fill_order, signed_in
from web.test_visitors import wait_for_book

# --- Trading ---


def expect_open(page: Page, count: int) -> None:
    expect(page.locator("[data-order]")).to_have_count(count)


def choose(page: Page, title: str) -> None:
    """Choose a type of order by its title."""
    button = page.get_by_role("group", name="Order type").get_by_role("button", name=title)
    if button.count():
        button.click()
    else:
        page.get_by_label("Other order types").select_option(title)


def tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).last.click()


def test_two_people_meet(new_page: NewPage, exchange: RunningExchange) -> None:
    seller, buyer = signed_in(new_page()), signed_in(new_page())
    wait_for_book(seller, exchange)

    # Between the best prices of others, so that the two meet each other.
    seller.locator(".sides .sell").click()
    best = seller.locator(".asks .level:has(.price:not(:empty)) .price").last.inner_text()
    price = f"{float(best.replace(',', '')) - 0.01:.2f}"
    fill_order(seller, price=price, amount="0.01")
    seller.locator("#order-amount").press("Enter")
    expect_open(seller, 1)
    fill_order(buyer, price=price, amount="0.01")
    buyer.get_by_role("button", name="Buy BTC").click()

    expect(seller.locator(".notices")).to_contain_text("Sold 0.01 BTC")
    expect(buyer.locator(".notices")).to_contain_text("Bought 0.01 BTC")
    expect_open(seller, 0)
    tab(buyer, "Balances")
    expect(buyer.locator(".orders tr[data-asset=BTC]")).to_contain_text("2.00999")
    tab(buyer, "Trades")
    expect(buyer.locator(".orders tbody tr")).to_have_count(1)
    expect(buyer.locator(".orders tbody")).to_contain_text("Taker")
    tab(buyer, "Order history")
    expect(buyer.locator(".orders tbody")).to_contain_text("Filled")


@pytest.mark.parametrize(
    ("side", "title", "fields", "shown"),
    [
        ("buy", "Limit", {"price": "49500", "amount": "0.01"}, "Limit"),
        ("buy", "Stop limit", {"stop": "55000", "price": "55100", "amount": "0.01"}, "Stop loss limit"),
        ("sell", "Stop market", {"stop": "45000", "amount": "0.01"}, "Stop loss"),
        ("sell", "Stop market", {"stop": "56000", "amount": "0.01"}, "Take profit"),
        ("sell", "Stop limit", {"stop": "56000", "price": "55900", "amount": "0.01"}, "Take profit limit"),
        ("sell", "Trailing stop", {"trail": "2.5", "amount": "0.01"}, "2.5% behind"),
    ],
)  # fmt: skip
def test_every_kind_of_order_that_waits_is_placed_and_cancelled(
    shared_page: Page, side: str, title: str, fields: dict[str, str], shown: str
) -> None:
    page = shared_page
    page.locator(f".sides .{side}").click()
    choose(page, title)

    fill_order(page, **fields)
    page.locator("#order-amount").press("Enter")

    expect_open(page, 1)
    expect(page.locator("[data-order]")).to_contain_text(shown)
    page.get_by_role("button", name=re.compile("^Cancel order")).click()
    expect_open(page, 0)


def test_an_oco_is_two_orders_of_which_one_cancels_the_other(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .sell").click()
    choose(page, "OCO")

    fill_order(page, price="56000", stop="45000", stopLimit="44900", amount="0.01")
    page.locator("#order-amount").press("Enter")

    expect_open(page, 2)
    page.get_by_role("button", name=re.compile("^Cancel order")).first.click()
    expect_open(page, 0)


def test_a_market_order_by_total_is_estimated_and_filled(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Market")
    page.get_by_title("Amount or total").click()

    fill_order(page, amount="500")
    expect(page.locator(".order-form")).to_contain_text("Average price≈ 5")
    expect(page.locator(".order-form")).to_contain_text("Fee, estimated≈ 0.")
    page.locator("#order-amount").press("Enter")

    expect(page.locator(".notices")).to_contain_text("Bought 0.0")
    page.get_by_title("Amount or total").click()


def test_an_order_that_the_market_would_refuse_is_not_sent(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Limit")
    requests: list[str] = []
    page.on("request", lambda request: requests.append(f"{request.method} {request.url}"))

    for price, amount, fault in [
        ("45000.001", "0.01", "Prices go in steps of 0.01."),
        ("45000", "0.000001", "At least 0.00001 BTC."),
        ("45000", "0.00001", "Worth at least 5 USDT."),
        ("45000", "100", "More than the USDT you have."),
        ("9999999", "0.01", "Prices are from 0.01 to 1,000,000."),
        ("abc", "0.01", "This is not a price."),
    ]:
        fill_order(page, price=price, amount=amount)
        page.locator("#order-amount").press("Enter")

        expect(page.locator(".order-form .fault").first).to_have_text(fault)
    assert not [one for one in requests if one.startswith("POST")]


def test_an_order_far_from_the_market_is_asked_about(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Limit")

    fill_order(page, price="40000", amount="0.01")
    page.locator("#order-amount").press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("away from the market")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect_open(page, 0)
    page.locator("#order-amount").press("Enter")
    dialog.get_by_role("button", name="Buy").click()

    expect_open(page, 1)
    page.get_by_role("button", name=re.compile("^Cancel order")).click()
    expect_open(page, 0)


def test_pressing_twice_is_one_order(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Limit")
    fill_order(page, price="49500", amount="0.01")

    page.evaluate(
        """() => { const form = document.querySelector(".order-form");
                   form.requestSubmit(); form.requestSubmit(); form.requestSubmit(); }"""
    )

    expect_open(page, 1)
    expect(page.locator("#order-amount")).to_have_value("")
    page.get_by_role("button", name=re.compile("^Cancel order")).click()
    expect_open(page, 0)


def test_an_order_is_changed_in_its_place_or_placed_anew(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Limit")
    fill_order(page, price="49500", amount="0.02")
    page.locator("#order-amount").press("Enter")
    expect_open(page, 1)
    first = page.locator("[data-order]").get_attribute("data-order")
    dialog = page.get_by_role("dialog")

    page.get_by_role("button", name="Change").click()
    dialog.get_by_label("Amount").fill("0.01")
    expect(dialog).to_contain_text("keeps its place")
    dialog.get_by_role("button", name="Change it").click()
    expect(page.locator(f"[data-order='{first}']")).to_contain_text("0.01")
    page.get_by_role("button", name="Change").click()
    dialog.get_by_label("Price").fill("49400")
    dialog.get_by_role("button", name="Change it").click()

    expect(page.locator("[data-order]")).to_contain_text("49,400.00")
    assert page.locator("[data-order]").get_attribute("data-order") != first
    page.get_by_role("button", name=re.compile("^Cancel order")).click()
    expect_open(page, 0)


def test_by_keyboard_alone(shared_page: Page) -> None:
    page = shared_page
    page.locator("body").click(position={"x": 800, "y": 20})
    keys = page.keyboard

    keys.press("b")
    keys.press("l")
    expect(page.locator("#order-price")).to_be_focused()
    keys.type("49000")
    keys.press("ArrowUp")
    expect(page.locator("#order-price")).to_have_value("49000.01")
    keys.press("Tab")
    keys.type("0.01")
    keys.press("Enter")
    expect_open(page, 1)
    keys.press("Escape")
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_contain_text("Cancel the open order?")
    keys.press("Enter")

    expect_open(page, 0)
    keys.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keyboard")
    keys.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_trades_are_exported_as_they_are(shared_page: Page) -> None:
    page = shared_page
    page.locator(".sides .buy").click()
    choose(page, "Market")
    fill_order(page, amount="0.01")
    page.locator("#order-amount").press("Enter")
    tab(page, "Trades")
    expect(page.locator(".orders tbody")).to_contain_text("Taker")

    with page.expect_download() as download:
        page.get_by_role("button", name="Export as CSV").click()

    text = download.value.path().read_text("utf-8")
    assert download.value.suggested_filename == "BTCUSDT-trades.csv"
    assert text.splitlines()[0].startswith("time,symbol,tradeId")
    assert ",BTCUSDT," in text.splitlines()[1]
    tab(page, "Open orders")


# --- Coming and going ---


GRAVE = ("serious", "critical")


def findings(page: Page) -> list[str]:
    """What axe calls serious or critical."""
    violations = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:160]}"
        for one in violations
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def leave(page: Page) -> None:
    page.locator(".menu .name").click()
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("link", name="Log in").first).to_be_visible()


def test_one_leaves_and_comes_back(new_page: NewPage) -> None:
    page = signed_in(new_page(may_complain_of="401"))
    name = page.locator(".menu .name").inner_text()
    leave(page)

    page.get_by_role("link", name="Log in").first.click()
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("wrong, to begin with")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator(".menu .name")).to_have_text(name)
    page.reload()
    expect(page.locator(".menu .name")).to_have_text(name)


def test_the_session_is_out_of_reach_of_scripts_and_of_addresses(new_page: NewPage) -> None:
    page = new_page()
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    page.on("websocket", lambda socket: addresses.append(socket.url))
    signed_in(page)
    page.reload()
    expect(page.locator(".line")).to_have_attribute("data-state", "live")

    (cookie,) = (one for one in page.context.cookies() if one["name"] == "session")

    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    kept = page.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert page.evaluate("document.cookie") == ""
    assert not [one for one in [*addresses, kept] if cookie["value"] in one]
    assert set(json.loads(kept.removesuffix("{}"))) <= {"exchange.market"}


def test_a_key_is_made_shown_once_used_and_revoked(
    new_page: NewPage, exchange: RunningExchange, member: StorageState
) -> None:
    page = new_page("#/account", state=member)

    page.locator("section", has_text="API keys").get_by_label("Name").fill("my bot")
    page.get_by_role("button", name="Create a key").click()
    shown = page.locator("code.secret")
    expect(shown).to_have_count(2)
    key, secret = shown.all_inner_texts()
    expect(page.locator("#snippet")).to_contain_text(f'REST = "{exchange.api}"')
    page.get_by_role("button", name="I have kept it").click()

    expect(page.locator("main")).not_to_contain_text(secret)
    client = Client(Trader(exchange.api, key, secret))
    assert {one["asset"] for one in client.ask("GET", "account")["balances"]} >= {"BTC", "USDT"}
    page.get_by_role("button", name="Revoke my bot").click()
    page.get_by_role("dialog").get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("button", name="Revoke my bot")).to_have_count(0)
    assert client.ask("GET", "account")["code"] == -2015


def test_money_is_withdrawn_and_the_history_tells_of_it(new_page: NewPage) -> None:
    page = signed_in(new_page())
    page.goto("/#/wallet")
    form = page.locator("section", has=page.get_by_role("heading", name="Withdraw"))

    form.get_by_label("Asset").select_option("BTC")
    form.get_by_label("Amount").fill("0.5")
    form.get_by_label("To the address").fill("bc1q-example")
    form.get_by_role("button", name="Withdraw BTC").click()

    expect(form.locator("tbody")).to_contain_text("0.5 BTC")
    expect(page.locator("tr[data-asset=BTC]")).to_contain_text("1.50")
    history = page.locator("section", has=page.get_by_role("heading", name="History"))
    expect(history.locator("tbody tr")).to_have_count(3)
    expect(history.locator("tbody")).to_contain_text("-0.50")


def test_what_others_write_is_text_and_nothing_else(
    new_page: NewPage, member: StorageState
) -> None:
    page = new_page("#/account", state=member)
    name = "<img src=x onerror=alert(1)>"

    page.locator("section", has_text="API keys").get_by_label("Name").fill(name)
    page.get_by_role("button", name="Create a key").click()

    expect(page.locator("main tbody b").first).to_have_text(name)
    assert page.locator("main img").count() == 0


def test_a_foreign_page_cannot_trade_with_our_cookie(
    new_page: NewPage, exchange: RunningExchange, member: StorageState
) -> None:
    page = new_page("#/trade/BTCUSDT", state=member)
    (cookie,) = (one for one in page.context.cookies() if one["name"] == "session")

    statuses = {}
    for origin in ("http://evil.example", exchange.api):
        connection = http.client.HTTPConnection(urlsplit(exchange.api).netloc, timeout=30)
        connection.request(
            "POST",
            "/api/v3/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=45000&quantity=0.01",
            headers={"Cookie": f"session={cookie['value']}", "Origin": origin},
        )
        statuses[origin] = connection.getresponse().status
        connection.close()

    assert statuses == {"http://evil.example": 403, exchange.api: 200}
    expect(page.locator("[data-order]", has_text="45,000.00")).to_have_count(1)


def test_the_password_is_changed(new_page: NewPage) -> None:
    page = signed_in(new_page())
    name = page.locator(".menu .name").inner_text()
    page.goto("/#/account")

    page.get_by_label("Now").fill("correct horse battery")
    page.get_by_label("New").fill("a better horse battery")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator(".notices")).to_contain_text("Password changed")
    leave(page)
    page.goto("/#/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill("a better horse battery")
    page.get_by_role("button", name="Log in").click()

    expect(page.locator(".menu .name")).to_have_text(name)


@pytest.mark.parametrize(
    ("scheme", "route", "seen"),
    [
        ("dark", "trade/BTCUSDT", ".line.live"),
        ("light", "trade/BTCUSDT", ".line.live"),
        ("dark", "account", "#key-name"),
        ("light", "wallet", "tr[data-asset=BTC]"),
        ("dark", "markets", ".market-list tbody tr"),
    ],
)
def test_nobody_is_shut_out(
    new_page: NewPage, member: StorageState, scheme: str, route: str, seen: str
) -> None:
    page = new_page(f"#/{route}", scheme=scheme, state=member)
    page.locator(seen).first.wait_for()
    if route.startswith("trade"):
        fill_order(page, price="0.001", amount="0")
        page.locator("#order-amount").press("Enter")
        expect(page.locator(".order-form .fault").first).to_be_visible()

    assert findings(page) == []


def test_a_visitor_is_not_shut_out_either(new_page: NewPage) -> None:
    page = new_page("#/register", scheme="light")
    expect(page.get_by_role("heading", name="Register")).to_be_visible()

    assert findings(page) == []
