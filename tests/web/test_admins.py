"""What admins do on their page, and that nobody else gets there."""

import uuid
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, StorageState, expect
from running_exchange import RunningExchange
from web.conftest import NewPage, note_complaints
from web.order_flow import OrderFlow
from web.stage import DEFAULT_MS
from web.test_members import findings

from exchange.services.admin import Admin


@pytest.fixture(scope="module")
def admin(browser: Browser, exchange: RunningExchange, flow: OrderFlow) -> Iterator[Page]:
    """The first admin's page, on which nothing has complained at the end."""
    complaints: list[str] = []
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme="dark", base_url=exchange.api
    )
    context.set_default_timeout(DEFAULT_MS)
    page = context.new_page()
    note_complaints(page, complaints)
    password = (exchange.data / "login.password").read_text(encoding="utf-8").strip()
    sign_in(page, "admin", password)
    page.locator(".menu .name").click()
    page.get_by_role("button", name="Administration").click()
    expect(page.locator("[data-ready]")).to_be_visible()
    yield page
    context.close()
    assert complaints == []


def sign_in(page: Page, name: str, password: str) -> None:
    page.goto("/#/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/#/trade**")


def answer(page: Page, button: str, reason: str, **fields: str) -> None:
    """Fill the dialog that is open, and send it."""
    dialog = page.get_by_role("dialog")
    for title, text in fields.items():
        field = dialog.get_by_label(title)
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)
    dialog.get_by_label("Reason").fill(reason)
    dialog.get_by_role("button", name=button).click()


def find_account(page: Page, name: str) -> None:
    page.get_by_label("Search by name").fill(name)
    expect(page.locator("[data-account]")).to_have_count(1)


def newest_act(page: Page, *texts: str) -> None:
    for text in texts:
        expect(page.locator("[data-act]").first).to_contain_text(text)


def test_an_admin_sees_how_the_exchange_is(admin: Page) -> None:
    expect(admin.locator("[data-ready=true]")).to_contain_text("Ready: trading")
    expect(admin.get_by_label("Exchange", exact=True)).to_contain_text("None.")
    expect(admin.locator("[data-market]")).to_have_count(4)


def test_a_market_is_halted_and_resumed_with_a_reason(admin: Page) -> None:
    row = admin.locator("[data-market=ETHUSDT]")
    for mode, word, reason in (
        ("HALTED", "Halted", "a wrong price"),
        ("RUNNING", "Running", "it is right"),
    ):
        row.get_by_role("button", name="Change").click()
        answer(admin, "Change the mode", reason, Mode=mode)

        expect(row).to_contain_text(word)
        newest_act(admin, "Set mode", "market ETHUSDT", "admin", reason, mode)


def test_an_act_without_a_reason_is_not_done(admin: Page) -> None:
    admin.locator("[data-market=ETHUSDT]").get_by_role("button", name="Change").click()
    answer(admin, "Change the mode", "")
    expect(admin.get_by_role("dialog")).to_be_visible()

    admin.keyboard.press("Escape")

    expect(admin.get_by_role("dialog")).to_have_count(0)
    expect(admin.locator("[data-market=ETHUSDT]")).to_contain_text("Running")


def test_an_account_is_credited_stopped_let_go_and_moved_to_a_tier(
    admin: Page, exchange: RunningExchange
) -> None:
    name = f"held-{uuid.uuid4().hex[:8]}"
    exchange.account(name)
    find_account(admin, name)

    admin.get_by_role("button", name=f"Credit {name}").click()
    answer(admin, "Credit", "a gift", Asset="USDC", Amount="12.5")
    newest_act(admin, "Deposit", "a gift", "12.5", "USDC")
    row = admin.locator("[data-account]")
    for button, state, was in (("Stop", "Stopped", "no"), ("Resume", "Active", "yes")):
        row.get_by_role("button", name=button).click()
        answer(admin, f"{button} trading", f"to {button}")
        expect(row).to_contain_text(state)
        newest_act(admin, f"account {name}", f"to {button}", "stopped", was)
    row.get_by_role("button", name="Change the tier").click()
    answer(admin, "Change the tier", "a large trader", Tier="2")
    expect(row.locator("td").nth(3)).to_have_text("2")
    newest_act(admin, f"account {name}", "a large trader", "tier", "0", "2")


def test_a_withdrawal_above_the_limit_is_approved_by_two(
    admin: Page, new_page: NewPage, exchange: RunningExchange, member: StorageState
) -> None:
    operator = Admin.find(exchange.data)
    operator.post("rules", body={"rules": {"withdrawal_single_max": "USDT:100"}})
    second, password = f"second-{uuid.uuid4().hex[:8]}", "correct horse battery"
    operator.post("accounts", body={"name": second, "password": password, "role": "ADMIN"})
    wallet = new_page("#/wallet", state=member)
    form = wallet.locator("section", has=wallet.get_by_role("heading", name="Withdraw"))
    form.get_by_label("Asset").select_option("USDT")
    form.get_by_label("Amount").fill("101")
    form.get_by_label("To the address").fill("bank/1")
    form.get_by_role("button", name="Withdraw").click()

    approve = "Approve 101 USDT"
    admin.get_by_role("button", name=approve).click()
    answer(admin, "Approve", "it is his")
    expect(admin.locator(".notices")).to_contain_text("Somebody else has to approve it too.")
    # Other tests' withdrawals may wait there, too.
    his = "[data-withdrawal]:has-text('101 USDT')"
    expect(admin.locator(his)).to_contain_text("approved by admin")
    expect(admin.get_by_role("button", name=approve)).to_have_count(0)
    other = new_page()
    sign_in(other, second, password)
    other.goto("/#/admin")
    other.get_by_role("button", name=approve).click()
    answer(other, "Approve", "it is indeed")

    expect(other.locator(his)).to_contain_text("approved, to be paid")
    newest_act(other, second, "it is indeed", "APPROVED")
    operator.post("rules", body={"rules": {"withdrawal_single_max": ""}})


def test_older_acts_come_when_asked_for(admin: Page, exchange: RunningExchange) -> None:
    for _ in range(20):
        exchange.deposit("admin", "USDC", "1")
    admin.reload()
    acts = admin.locator("[data-act]")
    expect(acts).to_have_count(20)
    before = acts.count()

    admin.get_by_role("button", name="More", exact=True).click()

    expect(acts.nth(before)).to_be_visible()


def test_nobody_is_shut_out(admin: Page) -> None:
    assert findings(admin) == []


def test_a_refusal_is_said_in_words_on_a_small_screen(admin: Page, new_page: NewPage) -> None:
    page = new_page(
        "#/admin", size=(390, 844), scheme="light", may_complain_of="400",
        state=admin.context.storage_state(),
    )  # fmt: skip
    find_account(page, "admin")
    # The page is not wider than the screen: its tables scroll by themselves.
    assert page.locator(".page").evaluate("one => one.scrollWidth <= one.clientWidth")

    page.get_by_role("button", name="Credit admin").click()
    answer(page, "Credit", "a slip", Asset="USDC", Amount="1,5")

    expect(page.get_by_role("alert")).to_contain_text("plain decimal number")
    assert findings(page) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert findings(page) == []


def test_a_trader_does_not_get_there(
    new_page: NewPage, exchange: RunningExchange, member: StorageState
) -> None:
    page = new_page("#/admin", state=member, may_complain_of="403")
    page.wait_for_url("**/#/trade**")
    page.locator(".menu .name").click()
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    expect(page.get_by_role("button", name="Administration")).to_have_count(0)

    asked = [
        ("GET", path, None) for path in ("health", "accounts", "withdrawals", "audit")
    ] + [
        ("POST", "exchange/mode", {"mode": "HALTED", "reason": "mine"}),
        ("POST", "credits", {"name": "x", "asset": "USDC", "amount": "1", "reason": "mine"}),
    ]  # fmt: skip
    statuses = page.evaluate(
        """asked => Promise.all(asked.map(async ([method, path, body]) => (await fetch(
            `/ui/admin/${path}`,
            {method, body: body && JSON.stringify(body), headers: {"Content-Type": "application/json"}},
        )).status))""",
        asked,
    )

    assert statuses == [403] * len(asked)


def test_a_visitor_is_asked_to_sign_in(new_page: NewPage) -> None:
    page = new_page("#/admin")

    page.wait_for_url("**/#/login")
