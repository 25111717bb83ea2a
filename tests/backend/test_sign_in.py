"""Who signs in on the page: registration, login, sessions, and what a cookie is good for."""

import base64
import time

import pytest
from backend.conftest import RunningBackend
from backend.page import PASSWORD, Browser, Reply, new_name

from exchange.backend import totp

WRONG = {"code": -1, "msg": "The name, the password or the code is wrong."}


@pytest.fixture
def browser(page_backend: RunningBackend) -> Browser:
    """Of a new user who has signed in."""
    one = Browser(page_backend.api)
    one.register(new_name())
    return one


def log_in(browser: Browser, name: str, password: str = PASSWORD) -> Reply:
    return browser.post("/ui/login", {"name": name, "password": password})


def test_a_visitor_is_told_that_he_is_nobody(page_backend: RunningBackend) -> None:
    answer = Browser(page_backend.api).get("/ui/session")

    assert (answer.status, answer.body) == (200, {"user": None})


def test_the_page_is_told_what_there_is(page_backend: RunningBackend) -> None:
    config = Browser(page_backend.api).get("/ui/config.json").body

    assert config["registration"] is True
    assert config["wsUrl"] is None
    assert config["testFunds"]["USDC"] == "100000"


def test_who_registers_has_an_account_and_is_signed_in(page_backend: RunningBackend) -> None:
    browser, name = Browser(page_backend.api), new_name()

    answer = browser.post("/ui/register", {"name": name, "password": PASSWORD})

    user = answer.body["user"]
    assert answer.status == 201
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(
        answer.headers["set-cookie"].split("; ")
    )
    assert (user["name"], user["role"], user["totp"]) == (name, "trader", False)
    assert user["accounts"] == [{"accountId": user["accountId"], "name": name}]
    assert browser.get("/ui/session").body == answer.body
    assert browser.get("/api/v3/account").body["uid"] == user["accountId"]


def test_a_name_is_given_once_in_whatever_case_and_never_an_operators(
    page_backend: RunningBackend,
) -> None:
    name, of_operator = new_name(), new_name()
    Browser(page_backend.api).register(name)
    assert page_backend.admin("POST", "accounts", name=of_operator).status == 200

    for taken in (name, name.upper(), of_operator, "exchange"):
        answer = Browser(page_backend.api).post(
            "/ui/register", {"name": taken, "password": PASSWORD}
        )
        assert (answer.status, answer.body["msg"]) == (409, f"The name {taken} is taken.")


def test_a_short_password_is_refused_in_words(page_backend: RunningBackend) -> None:
    answer = Browser(page_backend.api).post(
        "/ui/register", {"name": new_name(), "password": "short"}
    )

    assert answer.status == 400
    assert answer.body["msg"].startswith("password: String should have at least 8 characters")


def test_a_login_needs_the_name_and_the_password(page_backend: RunningBackend) -> None:
    name = new_name()
    Browser(page_backend.api).register(name)
    browser = Browser(page_backend.api)

    wrong, nobody = log_in(browser, name, "wrong horse"), log_in(browser, "nobody-at-all")
    right = log_in(browser, name.upper())

    assert [(one.status, one.body) for one in (wrong, nobody)] == [(401, WRONG)] * 2
    assert right.body["user"]["name"] == name


def test_who_guesses_is_slowed_down_by_name(page_backend: RunningBackend) -> None:
    name = new_name()
    Browser(page_backend.api).register(name)

    answers = [log_in(Browser(page_backend.api), name, f"guess {number}") for number in range(11)]

    assert [one.status for one in answers] == [401] * 10 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 300
    assert log_in(Browser(page_backend.api), name).status == 429


def test_a_logout_ends_the_session(browser: Browser) -> None:
    token = browser.token

    assert browser.post("/ui/logout").status == 204

    assert browser.token is None
    browser.token = token
    assert browser.get("/ui/session").body == {"user": None}
    assert browser.get("/api/v3/account").status == 401


def test_another_password_ends_all_other_sessions(page_backend: RunningBackend) -> None:
    name, first, second = new_name(), Browser(page_backend.api), Browser(page_backend.api)
    first.register(name)
    log_in(second, name)

    wrong = first.post("/ui/password", {"current": "not it", "new": "battery staple"})
    right = first.post("/ui/password", {"current": PASSWORD, "new": "battery staple"})

    assert (wrong.status, right.status) == (401, 204)
    assert first.get("/ui/session").body["user"]["name"] == name
    assert second.get("/ui/session").body == {"user": None}
    assert log_in(second, name).status == 401
    assert log_in(second, name, "battery staple").status == 200


def test_sessions_are_listed_and_ended_one_by_one(page_backend: RunningBackend) -> None:
    name, here, there = new_name(), Browser(page_backend.api), Browser(page_backend.api)
    here.register(name)
    there.post("/ui/login", {"name": name, "password": PASSWORD}, user_agent="Elsewhere/1")

    sessions = here.get("/ui/sessions").body

    other = next(one for one in sessions if not one["current"])
    assert [one["current"] for one in sessions].count(True) == 1
    assert (other["agent"], other["address"]) == ("Elsewhere/1", "127.0.0.1")
    assert here.call("DELETE", f"/ui/sessions/{other['sessionId']}").status == 204
    assert there.get("/ui/session").body == {"user": None}
    assert here.call("DELETE", f"/ui/sessions/{other['sessionId']}").status == 404


def test_a_session_trades_without_a_key_or_a_signature(browser: Browser) -> None:
    funds = browser.post("/ui/funds/test", {"asset": "USDC", "amount": "100"})

    order = browser.post(
        "/api/v3/order?symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=10"
    )

    assert funds.body["free"] == "100.00000000"
    assert order.body["status"] == "NEW"
    opened = browser.get("/api/v3/openOrders").body
    assert [one["orderId"] for one in opened] == [order.body["orderId"]]
    canceled = browser.call(
        "DELETE", f"/api/v3/order?symbol=SOLUSDC&orderId={order.body['orderId']}"
    )
    assert canceled.body["status"] == "CANCELED"


def test_a_session_gets_a_listen_key(browser: Browser) -> None:
    assert len(browser.post("/api/v3/userDataStream").body["listenKey"]) == 64


def test_a_cookie_that_came_by_https_never_leaves_by_http(page_backend: RunningBackend) -> None:
    browser = Browser(page_backend.api)

    answer = browser.post(
        "/ui/register",
        {"name": new_name(), "password": PASSWORD},
        origin=f"https://{browser.host}",
    )

    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_who_has_an_authenticator_needs_its_code_once_each(page_backend: RunningBackend) -> None:
    name, browser = new_name(), Browser(page_backend.api)
    browser.register(name)
    armed = browser.post("/ui/totp", {"password": PASSWORD}).body
    secret = base64.b32decode(armed["secret"] + "=" * (-len(armed["secret"]) % 8))
    step = int(time.time()) // totp.STEP_S
    login = {"name": name, "password": PASSWORD}

    # Until its first code was given it is not asked for.
    assert Browser(page_backend.api).post("/ui/login", login).status == 200
    assert browser.post("/ui/totp/confirm", {"code": totp.code(secret, step)}).status == 204

    stranger = Browser(page_backend.api)
    without = stranger.post("/ui/login", login)
    used = stranger.post("/ui/login", {**login, "totp": totp.code(secret, step)})
    fresh = stranger.post("/ui/login", {**login, "totp": totp.code(secret, step + 1)})
    assert armed["uri"].startswith(f"otpauth://totp/Exchange:{name}?secret=")
    assert (without.status, without.body["code"]) == (401, -2)
    assert (used.status, used.body) == (401, WRONG)
    assert (fresh.status, fresh.body["user"]["totp"]) == (200, True)


def test_answers_for_the_page_are_for_no_other(page_backend: RunningBackend) -> None:
    browser = Browser(page_backend.api)
    session, docs = browser.get("/ui/session").headers, browser.get("/ui/nothing").headers
    public, private = browser.get("/api/v3/ping").headers, browser.get("/api/v3/account").headers

    for headers in (session, docs):
        assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers
    assert public["access-control-allow-origin"] == "*"
    assert "access-control-allow-origin" not in private


def test_a_foreign_page_cannot_use_the_cookie(browser: Browser) -> None:
    order = "/api/v3/order?symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=10"

    for origin in ("http://evil.example", "null", ""):
        assert browser.post(order, origin=origin).status == 403
        assert browser.post("/ui/logout", origin=origin).status == 403

    form = browser.call("POST", "/ui/funds/test", {"asset": "USDC", "amount": "1"},
                        content_type="text/plain")  # fmt: skip
    assert form.status == 415


def test_test_funds_have_a_limit(browser: Browser) -> None:
    answers = [
        browser.post("/ui/funds/test", {"asset": "USDC", "amount": amount})
        for amount in ("100000.1", "0", "1e3", "-5")
    ]

    assert [one.status for one in answers] == [400] * 4
    assert answers[0].body["msg"] == "At most 100000.00000000 USDC at a time."


def test_nothing_private_is_told_without_a_session(page_backend: RunningBackend) -> None:
    visitor = Browser(page_backend.api)

    for method, path, body in [
        ("GET", "/ui/sessions", None),
        ("DELETE", "/ui/sessions/1", None),
        ("POST", "/ui/password", {"current": "x", "new": "y" * 8}),
        ("GET", "/ui/keys", None),
        ("POST", "/ui/keys", {"name": "x", "type": "HMAC", "permissions": []}),
        ("POST", "/ui/funds/test", {"asset": "USDC", "amount": "1"}),
        ("POST", "/ui/totp", {"password": PASSWORD}),
    ]:
        answer = visitor.call(method, path, body)
        assert (answer.status, answer.body["msg"]) == (401, "Sign in first."), path


def test_what_is_too_large_or_not_there_is_refused_in_words(browser: Browser) -> None:
    large = browser.post("/ui/login", {"name": "x" * 20_000, "password": ""})
    nothing, method = browser.get("/ui/nothing"), browser.call("PUT", "/ui/login", {})

    assert (large.status, nothing.status, method.status) == (413, 404, 405)
    assert {one.body["code"] for one in (large, nothing, method)} == {-1}


def test_passwords_and_tokens_are_in_no_log(page_backend: RunningBackend, browser: Browser) -> None:
    browser.get("/ui/session")

    logs = page_backend.logs()

    assert browser.token is not None
    assert browser.token not in logs
    assert PASSWORD not in logs
