"""What somebody does about his own account: a second factor, sub-accounts, and keys for programs."""

import base64
import time

from playwright.sync_api import Page, StorageState, expect
from running_exchange import RunningExchange
from web.conftest import NewPage
from web.order_flow import Client, Trader
from web.stage import fill_order, signed_in
from web.test_members import findings, leave

from exchange.backend import totp

PASSWORD = "correct horse battery"


def code_of(secret: str, *, steps: int) -> str:
    """What an authenticator shows; each code is taken once, so that tests take later ones."""
    plain = secret.replace(" ", "")
    key = base64.b32decode(plain + "=" * (-len(plain) % 8))
    return totp.code(key, int(time.time()) // totp.STEP_S + steps)


def test_an_authenticator_is_set_up_asked_for_and_removed(new_page: NewPage) -> None:
    page = signed_in(new_page("", may_complain_of="40"))
    name = page.locator(".menu .name").inner_text()
    page.goto("/#/account")
    card = page.get_by_role("region", name="Authenticator")

    card.get_by_label("Password").fill(PASSWORD)
    card.get_by_role("button", name="Set up").click()
    secret = card.locator("#totp-secret").inner_text()
    assert findings(page) == []
    card.get_by_label("code").fill("000000")
    card.get_by_role("button", name="Confirm").click()
    expect(card.get_by_role("alert")).not_to_be_empty()
    card.get_by_label("code").fill(code_of(secret, steps=-1))
    card.get_by_role("button", name="Confirm").click()
    expect(card).to_contain_text("asked for at every login")

    leave(page)
    page.goto("/#/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.get_by_label("Code of your authenticator").fill(code_of(secret, steps=0))
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/#/trade**")
    page.goto("/#/account")
    card.get_by_label("Password").fill(PASSWORD)
    card.get_by_label("Code").fill(code_of(secret, steps=1))
    card.get_by_role("button", name="Remove").click()
    expect(card.get_by_role("button", name="Set up")).to_be_visible()


def test_a_sub_account_has_money_orders_and_keys_of_its_own(
    new_page: NewPage, exchange: RunningExchange
) -> None:
    page = signed_in(new_page())
    name = page.locator(".menu .name").inner_text()
    page.goto("/#/wallet")
    card = page.get_by_role("region", name="Accounts", exact=True)

    card.get_by_label("Name of a new one").fill("robot")
    card.get_by_role("button", name="Add a sub-account").click()
    move = card.get_by_role("form", name="Transfer")
    move.get_by_label("Asset").select_option("BTC")
    move.get_by_label("Amount").fill("0.25")
    move.get_by_role("button", name="Move BTC").click()
    expect(page.locator("tr[data-asset=BTC]")).to_contain_text("1.75")
    expect(page.locator("section", has_text="History").locator("tbody")).to_contain_text("-0.25")
    assert findings(page) == []
    switch(page, "robot")

    expect(page.locator("tr[data-asset=BTC]")).to_contain_text("0.25")
    expect(page.locator("tr[data-asset=USDT]")).to_have_count(0)
    history = page.locator("section", has=page.get_by_role("heading", name="History"))
    expect(history.locator("tbody tr")).to_have_count(1)
    page.goto("/#/trade/BTCUSDT")
    page.keyboard.press("s")
    fill_order(page, price="51000", amount="0.1")
    page.locator(".order-form .send").click()
    expect(page.locator("[data-order]")).to_have_count(1)
    page.goto("/#/account")
    page.locator("#key-name").fill("of the robot")
    page.get_by_role("button", name="Create a key").click()
    shown = page.locator("code.secret")
    expect(shown).to_have_count(2)
    client = Client(Trader(exchange.api, *shown.all_inner_texts()))
    held = {one["asset"]: one for one in client.ask("GET", "account")["balances"]}
    assert (held["BTC"]["free"], held["BTC"]["locked"]) == ("0.15000000", "0.10000000")

    switch(page, name)
    page.goto("/#/trade/BTCUSDT")
    expect(page.get_by_text("No open orders")).to_be_visible()


def switch(page: Page, name: str) -> None:
    """Use another account of the same user."""
    page.locator(".menu .name").click()
    accounts = page.get_by_role("group", name="Account that is used")
    accounts.get_by_role("button", name=name).click()


def test_a_key_ends_when_it_was_said(new_page: NewPage, member: StorageState) -> None:
    page = new_page("#/account", state=member)

    for name, days, ends in (("short", "30", ":"), ("long", "", "never")):
        page.locator("#key-name").fill(name)
        page.get_by_label("Ends").select_option(days)
        page.get_by_role("button", name="Create a key").click()
        row = page.locator("tr", has=page.get_by_role("button", name=f"Revoke {name}"))
        expect(row.locator("td").nth(6)).to_contain_text(ends)
