"""Coming and going, keys, and what nobody else may see or make the page do."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, StorageState, expect
from running_exchange import RunningExchange
from web.conftest import NewPage
from web.order_flow import Client, Trader
from web.stage import fill_order, signed_in

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
