"""Users' money beside trading, what admins do about it, and what is on record afterwards."""

import asyncio
import json
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from backend.api_client import Answer, Trader, send
from backend.conftest import RunningBackend
from backend.page import PASSWORD, Browser, new_name

from exchange.postgres_db.connection import connected


@pytest.fixture
def browser(page_backend: RunningBackend) -> Browser:
    """Of a new user with 1000 USDC."""
    one = Browser(page_backend.api)
    one.register(new_name())
    assert one.post("/ui/funds/test", {"asset": "USDC", "amount": "1000"}).status == 200
    return one


@pytest.fixture
def admin(page_backend: RunningBackend) -> Browser:
    return signed_in_admin(page_backend)


def signed_in_admin(page_backend: RunningBackend) -> Browser:
    name, one = new_name(), Browser(page_backend.api)
    made = page_backend.admin("POST", "accounts", name=name, password=PASSWORD, role="ADMIN")
    assert made.status == 200, made
    assert one.post("/ui/login", {"name": name, "password": PASSWORD}).status == 200
    return one


def user(browser: Browser) -> dict[str, Any]:
    found: dict[str, Any] = browser.get("/ui/session").body["user"]
    return found


def free(browser: Browser, asset: str = "USDC", **headers: str) -> str:
    balances = browser.get("/api/v3/account", **headers).body["balances"]
    return str({one["asset"]: one["free"] for one in balances}.get(asset))


def ask(browser: Browser, amount: str, **more: str) -> dict[str, Any]:
    wish = {"asset": "USDC", "amount": amount, "address": "bank/1", **more}
    answer = browser.post("/ui/withdrawals", wish)
    assert answer.status == 201, answer
    found: dict[str, Any] = answer.body
    return found


def decide(admin: Browser, withdrawal: dict[str, Any], decision: str) -> tuple[int, Any]:
    answer = admin.post(
        f"/ui/admin/withdrawals/{withdrawal['id']}/{decision}", {"reason": "as it must be"}
    )
    return answer.status, answer.body.get("status", answer.body.get("msg"))


def as_operator(page_backend: RunningBackend, method: str, path: str, **body: object) -> Answer:
    return send(
        page_backend.admin_url,
        method,
        f"/admin/{path}",
        body=json.dumps(body) if body else b"",
        headers={
            "Authorization": f"Bearer {page_backend.token}",
            "Content-Type": "application/json",
            "X-Exchange-Actor": "carol",
            "X-Exchange-Reason": "ticket%2017",
        },
    )


def test_a_withdrawal_is_asked_for_approved_and_paid(browser: Browser, admin: Browser) -> None:
    asked = ask(browser, "300", reference="rent")

    assert (asked["status"], asked["amount"]) == ("PENDING", "300.00000000")
    assert free(browser) == "700.00000000"
    assert ask(browser, "300", reference="rent") == asked
    assert decide(admin, asked, "finish") == (403, "It is not approved.")
    assert decide(admin, asked, "approve") == (200, "APPROVED")
    assert decide(admin, asked, "finish") == (200, "DONE")
    assert [one["status"] for one in browser.get("/ui/withdrawals").body] == ["DONE"]


def test_a_rejected_withdrawal_comes_back(browser: Browser, admin: Browser) -> None:
    asked = ask(browser, "300")
    pending = admin.get("/ui/admin/withdrawals?status=PENDING").body

    assert asked["id"] in [one["id"] for one in pending]
    assert decide(admin, asked, "reject") == (200, "REJECTED")
    assert free(browser) == "1000.00000000"


def test_above_a_limit_two_admins_must_agree_and_above_the_next_nobody_can(
    page_backend: RunningBackend, browser: Browser, admin: Browser
) -> None:
    rules = {"withdrawal_single_max": "USDC:100", "withdrawal_max": "USDC:500"}
    assert as_operator(page_backend, "POST", "rules", rules=rules).status == 200
    asked = ask(browser, "101")

    first = decide(admin, asked, "approve")
    again = decide(admin, asked, "approve")
    second = decide(signed_in_admin(page_backend), asked, "approve")

    assert first == (200, "PENDING")
    assert again == (403, "Somebody else has to approve it too.")
    assert second == (200, "APPROVED")
    too_much = {"asset": "USDC", "amount": "501", "address": "bank/1"}
    assert browser.post("/ui/withdrawals", too_much).body == {
        "code": -1,
        "msg": "This is more than one withdrawal may be.",
    }
    none = {"withdrawal_single_max": "", "withdrawal_max": ""}
    assert as_operator(page_backend, "POST", "rules", rules=none).status == 200


def test_while_withdrawals_are_frozen_none_is_asked_for_or_approved(
    browser: Browser, admin: Browser
) -> None:
    asked = ask(browser, "10")
    admin.post("/ui/admin/freeze", {"frozen": True, "reason": "something is odd"})

    refused = browser.post("/ui/withdrawals", {"asset": "USDC", "amount": "1", "address": "x"})
    assert (refused.status, refused.body["msg"]) == (
        403,
        "Withdrawals are frozen until somebody has looked.",
    )
    assert browser.get("/ui/withdrawals").body[0]["status"] == "FROZEN"
    assert decide(admin, asked, "approve")[0] == 403

    admin.post("/ui/admin/freeze", {"frozen": False, "reason": "it was not"})
    assert decide(admin, asked, "approve") == (200, "APPROVED")


def test_money_moves_to_a_sub_account_that_trades_by_itself(browser: Browser) -> None:
    sub = browser.post("/ui/accounts", {"name": "bot"}).body
    main = user(browser)["accountId"]

    moved = browser.post(
        "/ui/transfers",
        {"from": main, "to": sub["accountId"], "asset": "USDC", "amount": "400"},
    )

    here = str(sub["accountId"])
    assert moved.status == 200
    assert user(browser)["accounts"][1] == {"accountId": sub["accountId"], "name": "bot"}
    assert (free(browser), free(browser, x_exchange_account=here)) == (
        "600.00000000",
        "400.00000000",
    )
    order = browser.post(
        "/api/v3/order?symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=10",
        x_exchange_account=here,
    )
    assert order.body["status"] == "NEW"
    assert browser.get("/api/v3/openOrders").body == []
    assert len(browser.get("/api/v3/openOrders", x_exchange_account=here).body) == 1


def test_nobody_uses_the_account_of_another(page_backend: RunningBackend, browser: Browser) -> None:
    other = Browser(page_backend.api)
    theirs, mine = other.register(new_name())["accountId"], user(browser)["accountId"]

    for account in (str(theirs), "0", "99999999", "x"):
        assert browser.get("/api/v3/account", x_exchange_account=account).status == 403
        assert browser.get("/ui/ledger", x_exchange_account=account).status == 403
    for move in ({"from": theirs, "to": mine}, {"from": mine, "to": theirs}):
        answer = browser.post("/ui/transfers", {**move, "asset": "USDC", "amount": "1"})
        assert answer.status == 403


def test_the_ledger_tells_all_that_has_changed_a_balance(
    page_backend: RunningBackend, browser: Browser
) -> None:
    seller = page_backend.trader(SOL="5")
    assert seller.order("SELL", "2", "20").status == 200
    buy = "/api/v3/order?symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=2&price=20"
    trade = browser.post(buy).body["fills"][0]["tradeId"]
    ask(browser, "100")

    whole = browser.get("/ui/ledger").body
    usdc = browser.get("/ui/ledger?asset=USDC").body["rows"]

    assert [(one["kind"], one["asset"], one["amount"]) for one in whole["rows"]] == [
        ("WITHDRAWAL", "USDC", "-100.00000000"),
        ("FEE", "SOL", "-0.00200000"),
        ("TRADE", "USDC", "-40.00000000"),
        ("TRADE", "SOL", "2.00000000"),
        ("DEPOSIT", "USDC", "1000.00000000"),
    ]
    assert whole["more"] is False
    assert whole["rows"][1]["tradeId"] == trade
    assert [one["amount"] for one in usdc] == [
        "-100.00000000", "-40.00000000", "1000.00000000",
    ]  # fmt: skip
    paged, before = [], ""
    for _ in range(5):
        page = browser.get(f"/ui/ledger?limit=1{before}").body
        paged += page["rows"]
        before = f"&before={page['rows'][0]['id']}"
    assert paged == whole["rows"]
    assert page["more"] is False


def test_keys_are_made_changed_and_revoked_by_their_owner(
    page_backend: RunningBackend, browser: Browser
) -> None:
    wish = {"name": "bot", "type": "HMAC", "permissions": ["READ"], "addresses": ["10.0.0.0/8"]}
    key = browser.post("/ui/keys", wish).body
    trader = Trader(page_backend.api, key["apiKey"], key["secretKey"])
    path = f"/ui/keys/{key['apiKey']}"

    elsewhere = trader.call("GET", "account")
    browser.call("PUT", path, {"addresses": ["127.0.0.1"]})
    reads, trades = trader.call("GET", "account"), trader.order("BUY", "1", "10")
    browser.call("PUT", path, {"permissions": ["TRADE"]})
    trades_now, reads_now = trader.order("BUY", "1", "10"), trader.call("GET", "account")
    deleted = browser.call("DELETE", path)

    rejected = (401, -2015)
    assert [(one.status, one.body.get("code")) for one in (elsewhere, trades, reads_now)] == [
        rejected
    ] * 3
    assert (reads.status, trades_now.status, deleted.status) == (200, 200, 204)
    assert trader.order("BUY", "1", "10").body["code"] == -2015
    (shown,) = browser.get("/ui/keys").body
    assert (shown["name"], shown["revoked"], shown["permissions"]) == ("bot", True, ["TRADE"])
    assert "secretKey" not in shown


def test_nobody_changes_the_key_of_another(page_backend: RunningBackend, browser: Browser) -> None:
    key = browser.post("/ui/keys", {"name": "a", "type": "HMAC", "permissions": ["READ"]}).body
    other = Browser(page_backend.api)
    other.register(new_name())

    for method, body in (("PUT", {"permissions": []}), ("DELETE", None)):
        assert other.call(method, f"/ui/keys/{key['apiKey']}", body).status == 404


def test_what_a_key_cannot_be_is_said(browser: Browser) -> None:
    wish = {"name": "a", "type": "HMAC", "permissions": ["READ"]}

    for wrong in (
        {"addresses": ["not one"]},
        {"expiresAt": 1},
        {"type": "ED25519"},
        {"publicKey": "x"},
        {"permissions": ["ROB"]},
        {"unknown": 1},
    ):
        answer = browser.post("/ui/keys", {**wish, **wrong})
        assert (answer.status, answer.body["code"]) == (400, -1), wrong


async def order_numbers(url: str, account: int) -> list[int]:
    """Of the commands that created the orders of an account."""
    async with connected(url, application_name="test") as connection:
        found = await connection.fetch("SELECT number FROM orders WHERE account_id = $1", account)
    return [int(number) for (number,) in found]


def test_every_act_is_on_record_with_actor_reason_before_and_after(
    page_backend: RunningBackend, admin: Browser
) -> None:
    name = new_name()
    assert as_operator(page_backend, "POST", "accounts", name=name).status == 200
    stopped = admin.post(
        f"/ui/admin/accounts/{name}", {"tradingDisabled": True, "reason": "it looks stolen"}
    )
    credit = {"name": name, "asset": "USDC", "amount": "5", "reason": "a gift"}
    admin.post("/ui/admin/credits", credit)

    gift, stop, creation = admin.get("/ui/admin/audit?limit=3").body

    assert stopped.body["stopped"] is True
    assert {
        name: stop[name] for name in ("actor", "act", "subject", "reason", "before", "after")
    } == {
        "actor": user(admin)["name"],
        "act": "ChangeAccount",
        "subject": f"account {name}",
        "reason": "it looks stolen",
        "before": {"stopped": False},
        "after": {"stopped": True},
    }
    assert (creation["actor"], creation["reason"]) == ("operator carol", "ticket 17")
    assert gift["after"]["amount"] == "5.00000000"
    assert as_operator(page_backend, "GET", "audit?limit=3").body == [gift, stop, creation]


def test_a_new_master_key_reseals_what_there_is(
    page_backend: RunningBackend, browser: Browser
) -> None:
    key = browser.post("/ui/keys", {"name": "a", "type": "HMAC", "permissions": ["READ"]}).body
    browser.post("/ui/totp", {"password": PASSWORD})
    path = page_backend.folder / "master.key"
    path.write_text(f"2:{'cd' * 32}\n{path.read_text()}")

    answer = as_operator(page_backend, "POST", "master-key").body
    again = as_operator(page_backend, "POST", "master-key").body

    assert (answer["masterKey"], answer["authenticators"]) == (2, 1)
    assert answer["keys"] >= 1
    assert again == {"masterKey": 2, "keys": 0, "authenticators": 0}
    trader = Trader(page_backend.api, key["apiKey"], key["secretKey"])
    assert trader.call("GET", "account").status == 200


def test_a_key_revoked_under_load_is_never_accepted_after_its_position(
    page_backend: RunningBackend,
) -> None:
    trader = page_backend.trader(USDC="100000")
    account = trader.call("GET", "account").body["uid"]
    is_over = threading.Event()

    def trade() -> list[int]:
        """The ids of orders that were accepted, and codes of errors, which are below zero."""
        found: list[int] = []
        while not is_over.is_set() or found[-1] != -2015:
            body = trader.order("BUY", "1", "10").body
            found.append(body.get("code") or body["orderId"])
        return found

    with ThreadPoolExecutor(4) as pool:
        trading = [pool.submit(trade) for _ in range(4)]
        while not trader.call("GET", "openOrders").body:
            pass
        assert page_backend.admin("DELETE", f"keys/{trader.api_key}").status == 200
        is_over.set()
        found = {number for one in trading for number in one.result()}

    # Two requests that are equal to the byte, in one millisecond, are one.
    accepted = {number for number in found if number > 0}
    assert found - accepted == {-2015}
    # Reading the record waits until Postgres has everything.
    (revoked,) = [
        act["number"]
        for act in as_operator(page_backend, "GET", "audit").body
        if act["subject"] == f"key {trader.api_key}" and act["act"] == "RevokeKey"
    ]
    numbers = asyncio.run(order_numbers(page_backend.database_url, account))
    assert max(numbers) < revoked
    assert len(numbers) == len(accepted)


def test_the_example_of_a_custody_pays_once_and_credits_once(
    page_backend: RunningBackend, browser: Browser, admin: Browser, tmp_path: Path
) -> None:
    asked, name = ask(browser, "25", address="iban-7"), user(browser)["name"]
    decide(admin, asked, "approve")
    received = {"reference": f"tx-{name}", "account": name, "asset": "BTC", "amount": "0.5"}
    (tmp_path / "received").write_text(json.dumps(received) + "\n")
    pay = tmp_path / "pay"
    pay.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/paid\n')
    pay.chmod(0o700)
    adapter = Path(__file__).parents[2] / "docs" / "samples" / "custody_adapter.py"

    for _ in range(2):
        subprocess.run(
            [
                *(sys.executable, str(adapter), "--once", "--pay", str(pay)),
                *("--received", str(tmp_path / "received"), "--ledger", str(tmp_path / "ledger")),
            ],
            env={"ADMIN_URL": page_backend.admin_url, "ADMIN_TOKEN": page_backend.token},
            check=True,
            timeout=60,
        )

    lines = (tmp_path / "paid").read_text().splitlines()
    assert [line for line in lines if asked["id"] in line] == [
        f"{asked['id']} USDC 25.00000000 iban-7"
    ]
    assert browser.get("/ui/withdrawals").body[0]["status"] == "DONE"
    assert free(browser, "BTC") == "0.50000000"


def test_an_admin_has_to_say_why(admin: Browser) -> None:
    answer = admin.post("/ui/admin/exchange/mode", {"mode": "HALTED"})

    assert (answer.status, answer.body["msg"]) == (400, "Say why: it will be on record.")


def test_all_markets_are_halted_and_resumed_at_once(
    page_backend: RunningBackend, browser: Browser, admin: Browser
) -> None:
    order = "/api/v3/order?symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=10"

    halted = admin.post("/ui/admin/exchange/mode", {"mode": "HALTED", "reason": "drill"})
    refused = browser.post(order)
    resumed = admin.post("/ui/admin/exchange/mode", {"mode": "RUNNING", "reason": "drill over"})

    assert (halted.status, refused.body["code"], resumed.status) == (200, -2010, 200)
    assert browser.post(order).status == 200
    markets = admin.get("/ui/admin/health").body["markets"]
    assert {one["mode"] for one in markets} == {"RUNNING"}
