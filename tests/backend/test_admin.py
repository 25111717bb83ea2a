"""The operator's API: what it does is journalled, what it refuses it explains."""

import base64
import time
import uuid
from urllib.parse import quote

import pytest
from backend.api_client import Trader, send
from backend.conftest import RunningBackend
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from servers import execute_sql

from exchange.services.key_pairs import rsa_pair


def new_name() -> str:
    return f"account-{uuid.uuid4().hex[:12]}"


def test_an_account_is_created_once(backend: RunningBackend) -> None:
    name = new_name()

    first, second = (backend.admin("POST", "accounts", name=name) for _ in range(2))

    assert first.body == {"accountId": first.body["accountId"], "name": name}
    assert (second.status, second.body) == (
        409,
        {"error": f"The account {name} exists already."},
    )


def test_an_account_with_funds_and_a_key_is_one_request(backend: RunningBackend) -> None:
    name = new_name()

    made = backend.admin(
        "POST", "funded-accounts", name=name, funds={"USDC": "1000.5", "SOL": "2"}
    ).body

    trader = Trader(backend.api, made["apiKey"], made["secretKey"])
    account = trader.call("GET", "account").body
    assert account["uid"] == made["accountId"]
    held = {one["asset"]: float(one["free"]) for one in account["balances"]}
    assert {asset: amount for asset, amount in held.items() if amount} == {"USDC": 1000.5, "SOL": 2}


@pytest.mark.parametrize("funds", [{"GOLD": "1"}, {"USDC": "1e3"}, {"USDC": "-1"}])
def test_funds_that_make_no_sense_create_nothing(
    backend: RunningBackend, funds: dict[str, str]
) -> None:
    name = new_name()

    refused = backend.admin("POST", "funded-accounts", name=name, funds=funds)

    assert 400 <= refused.status < 500
    assert backend.admin("POST", "accounts", name=name).status == 200


def test_an_hmac_key_signs_and_its_secret_is_not_stored(backend: RunningBackend) -> None:
    name = new_name()
    account = backend.admin("POST", "accounts", name=name).body["accountId"]

    key = backend.key(name, kind="hmac")

    assert key["accountId"] == account
    assert len(key["apiKey"]) == len(key["secretKey"]) == 64
    assert (
        Trader(backend.api, key["apiKey"], key["secretKey"]).call("GET", "account").body["uid"]
        == account
    )
    assert key["secretKey"] not in backend.logs()


def test_an_ed25519_key_signs_with_its_private_half(backend: RunningBackend) -> None:
    name = new_name()
    backend.admin("POST", "accounts", name=name)
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )

    key = backend.key(name, kind="ed25519", publicKey=pem.decode())

    assert key["secretKey"] is None
    text = f"timestamp={time.time_ns() // 1_000_000}"
    signature = quote(base64.b64encode(private.sign(text.encode())).decode(), safe="")
    trader = Trader(backend.api, key["apiKey"])
    assert trader.raw("GET", f"/api/v3/account?{text}&signature={signature}").status == 200
    wrong = quote(base64.b64encode(private.sign(b"else")).decode(), safe="")
    assert trader.raw("GET", f"/api/v3/account?{text}&signature={wrong}").body["code"] == -1022


def test_an_rsa_key_signs_with_its_private_half(backend: RunningBackend) -> None:
    name = new_name()
    backend.admin("POST", "accounts", name=name)
    private_pem, public_pem = rsa_pair()
    private = load_pem_private_key(private_pem.encode(), None)
    assert isinstance(private, RSAPrivateKey)

    key = backend.key(name, kind="rsa", publicKey=public_pem)

    trader = Trader(backend.api, key["apiKey"])
    for signed, expected in ((None, 200), (b"else", 400)):
        # Colons and slashes are signed as they are sent.
        text = (
            "symbol=SOLUSDC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=10"
            f"&newClientOrderId=a%3Ab%2Fc&timestamp={time.time_ns() // 1_000_000}"
        )
        made = private.sign(signed or text.encode(), PKCS1v15(), SHA256())
        signature = quote(base64.b64encode(made).decode(), safe="")
        answer = trader.raw("POST", "/api/v3/order/test", body=f"{text}&signature={signature}")
        assert answer.status == expected, answer


def test_a_revoked_key_is_worthless_at_once(backend: RunningBackend) -> None:
    trader = backend.trader(USDC="1000")
    assert trader.order("BUY", "1", "10").status == 200

    revoked = backend.admin("DELETE", f"keys/{trader.api_key}")

    assert (revoked.status, revoked.body) == (200, {})
    assert trader.order("BUY", "1", "10").error[:2] == (401, -2015)
    again = backend.admin("DELETE", f"keys/{trader.api_key}")
    assert again.status == 404


def test_the_same_deposit_is_credited_once(backend: RunningBackend) -> None:
    name, reference = new_name(), uuid.uuid4().hex
    account = backend.admin("POST", "accounts", name=name).body["accountId"]
    wish = {"account": name, "asset": "USDC", "amount": "12.5", "reference": reference}

    first, second = (backend.admin("POST", "deposits", **wish) for _ in range(2))

    assert first.body == {
        "accountId": account,
        "asset": "USDC",
        "amount": "12.50000000",
        "reference": reference,
        "repeated": False,
    }
    assert second.body == {**first.body, "repeated": True}
    other = backend.admin("POST", "deposits", **{**wish, "amount": "13"})
    assert other.status == 409


def test_only_what_is_free_can_be_withdrawn(backend: RunningBackend) -> None:
    name = new_name()
    backend.admin("POST", "accounts", name=name)
    backend.deposit(name, "USDC", "10")

    def withdraw(amount: str) -> int:
        return backend.admin(
            "POST",
            "withdrawals",
            account=name,
            asset="USDC",
            amount=amount,
            reference=uuid.uuid4().hex,
        ).status

    assert [withdraw("4"), withdraw("7"), withdraw("6")] == [200, 400, 200]


def test_a_new_market_can_be_traded_at_once(backend: RunningBackend) -> None:
    assert backend.admin("POST", "assets", asset="DOGE", decimals=8).status == 200
    assert backend.admin("POST", "assets", asset="DOGE", decimals=8).status == 409
    wish = {"symbol": "DOGEUSDT", "base": "DOGE", "quote": "USDT", "tick": "0.00001", "lot": "1"}

    assert backend.admin("POST", "markets", **wish).body == {"symbol": "DOGEUSDT"}

    assert backend.admin("POST", "markets", **wish).status == 409
    trader = backend.trader(USDT="1000")
    answer = trader.order("BUY", "100", "0.12345", symbol="DOGEUSDT")
    assert (answer.status, answer.body["price"]) == (200, "0.12345000")


def test_a_market_can_be_halted_and_resumed(backend: RunningBackend) -> None:
    trader = backend.trader(BTC="1")

    def sell() -> int:
        answer = trader.order("SELL", "0.1", "90000", symbol="BTCUSDT")
        return int(answer.body.get("code", 0))

    assert sell() == 0
    assert backend.admin("POST", "markets/BTCUSDT/mode", mode="CANCEL_ONLY").status == 200
    assert sell() == -2010
    assert trader.call("DELETE", "openOrders", symbol="BTCUSDT").status == 200
    backend.admin("POST", "markets/BTCUSDT/mode", mode="HALTED")
    status = trader.get("exchangeInfo", symbol="BTCUSDT").body["symbols"][0]["status"]
    assert status == "HALT"
    backend.admin("POST", "markets/BTCUSDT/mode", mode="RUNNING")
    assert sell() == 0


def test_rules_are_shown_as_they_can_be_written(backend: RunningBackend) -> None:
    shown = backend.admin("GET", "markets/SOLUSDC/rules").body

    assert (shown["symbol"], shown["maker"], shown["taker"]) == ("SOLUSDC", "0.001", "0.001")
    assert shown["tiers"] == []
    assert shown["rules"]["bid_up"] == "5"
    assert shown["rules"]["orders_max"] == 200
    assert "tiers" not in shown["rules"]
    assert backend.admin("POST", "markets/SOLUSDC/rules", rules={}).body == shown


def test_only_the_rules_that_are_named_change(backend: RunningBackend) -> None:
    before = backend.admin("GET", "markets/ETHUSDT/rules").body

    changed = backend.admin(
        "POST",
        "markets/ETHUSDT/rules",
        taker="0.002",
        tiers=[
            {"tier": 2, "maker": "0", "taker": "0.0005"},
            {"tier": 1, "maker": "0.0008", "taker": "0.001"},
        ],
        rules={"market_lot": "0.01", "market_quantity_min": "0.05"},
    ).body

    assert changed["maker"] == before["maker"]
    assert changed["taker"] == "0.002"
    assert [one["tier"] for one in changed["tiers"]] == [1, 2]
    wanted = {"market_lot": "0.01", "market_quantity_min": "0.05"}
    assert changed["rules"] == {**before["rules"], **wanted}
    assert backend.admin("GET", "markets/ETHUSDT/rules").body == changed
    fewer = backend.admin(
        "POST",
        "markets/ETHUSDT/rules",
        dropTiers=[1],
        tiers=[{"tier": 2, "maker": "0.0001", "taker": "0.0005"}],
    ).body
    assert fewer["tiers"] == [{"tier": 2, "maker": "0.0001", "taker": "0.0005"}]


def test_a_change_of_several_rules_happens_as_a_whole_or_not(backend: RunningBackend) -> None:
    before = backend.admin("GET", "markets/BTCUSDT/rules").body

    for wrong, sentence in (
        ({"orders_max": "7", "prize_up": "2"}, "There is no rule prize_up; did you mean price_up?"),
        (
            {"orders_max": "7", "price_up": "1.1", "price_down": "1.2"},
            "The multiplier down must be at most the one up.",
        ),
        ({"orders_max": "7", "position_max": "0.000001"}, "multiples of the lot"),
    ):
        answer = backend.admin("POST", "markets/BTCUSDT/rules", rules=wrong)
        assert answer.status == 400
        assert sentence in answer.body["error"]

    assert backend.admin("GET", "markets/BTCUSDT/rules").body == before


def test_the_rules_of_the_exchange_are_changed_one_by_one(backend: RunningBackend) -> None:
    before = backend.admin("GET", "rules").body["rules"]

    changed = backend.admin("POST", "rules", rules={"order_lists_max": "9"}).body["rules"]

    assert changed == {**before, "order_lists_max": 9}
    assert backend.admin("GET", "rules").body["rules"] == changed
    backend.admin("POST", "rules", rules={"order_lists_max": "0"})


def test_an_account_is_changed_in_what_is_named(backend: RunningBackend) -> None:
    name = new_name()
    account = backend.admin("POST", "accounts", name=name).body["accountId"]

    first = backend.admin("POST", f"accounts/{name}", tier=3)
    second = backend.admin("POST", f"accounts/{name}", discount=True)

    assert first.body == {
        "accountId": account,
        "name": name,
        "tier": 3,
        "discount": False,
        "stopped": False,
        "role": "TRADER",
        "canceledOrders": 0,
    }
    assert second.body == {**first.body, "discount": True}


def test_the_status_tells_positions_and_markets(backend: RunningBackend) -> None:
    status = backend.admin("GET", "status").body

    assert (status["ready"], status["gate"], status["epoch"]) == (True, "open", 1)
    assert status["positions"]["journal"] == status["positions"]["engine"] > 0
    assert {"symbol": "SOLUSDC", "mode": "RUNNING"} in status["markets"]
    assert status["accounts"] >= 1
    assert status["alarms"] == []


def test_an_alarm_is_shown_until_it_is_cleared(backend: RunningBackend) -> None:
    execute_sql(
        backend.database_url, "INSERT INTO alarms VALUES ('audit-money', 'NOT SO: money.', 17)"
    )

    shown = backend.admin("GET", "status").body["alarms"]
    cleared = backend.admin("DELETE", "alarms/audit-money")
    again = backend.admin("DELETE", "alarms/audit-money")

    assert shown == [{"name": "audit-money", "sentence": "NOT SO: money.", "time": 17}]
    assert (cleared.status, cleared.body) == (200, {"cleared": "audit-money"})
    assert (again.status, again.body) == (404, {"error": "There is no alarm audit-money."})
    assert backend.admin("GET", "status").body["alarms"] == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "accounts", {"name": "a b"}, 400),
        ("POST", "accounts", {"name": "x" * 33}, 400),
        ("POST", "accounts", {"name": 7}, 400),
        ("POST", "accounts", {"name": "a", "other": 1}, 400),
        ("POST", "accounts/nobody/keys", {"kind": "hmac"}, 404),
        ("POST", "accounts/nobody/keys", {"kind": "dsa"}, 400),
        ("DELETE", "keys/nothing", {}, 404),
        ("POST", "deposits", {"account": "nobody", "asset": "USDC", "amount": "1"}, 400),
        (
            "POST", "deposits",
            {"account": "nobody", "asset": "USDC", "amount": "1", "reference": "r"}, 404,
        ),
        ("POST", "markets/NOSUCH/mode", {"mode": "HALTED"}, 404),
        ("POST", "markets/SOLUSDC/mode", {"mode": "OFF"}, 400),
        ("GET", "markets/NOSUCH/rules", {}, 404),
        ("POST", "markets/NOSUCH/rules", {"rules": {"orders_max": "1"}}, 404),
        ("POST", "markets/SOLUSDC/rules", {"rules": {"orders_max": 1}}, 400),
        ("POST", "markets/SOLUSDC/rules", {"rules": {"orders_max": "-1"}}, 400),
        ("POST", "markets/SOLUSDC/rules", {"rules": {"price_down": "1"}}, 400),
        ("POST", "markets/SOLUSDC/rules", {"maker": "1"}, 400),
        ("POST", "markets/SOLUSDC/rules", {"taker": "0.0000001"}, 400),
        ("POST", "markets/SOLUSDC/rules", {"dropTiers": [7]}, 404),
        (
            "POST", "markets/SOLUSDC/rules",
            {"tiers": [{"tier": 0, "maker": "0", "taker": "0"}]}, 400,
        ),
        ("POST", "markets/SOLUSDC/rules", {"tiers": [{"tier": 1, "maker": "0"}]}, 400),
        ("POST", "rules", {"rules": {"price_up": "1"}}, 400),
        ("POST", "rules", {"rules": {"discount": "1.1"}}, 400),
        ("POST", "rules", {"rules": {"discount_asset": "NONE"}}, 404),
        ("POST", "rules", {"rules": {"assets_max": "NONE:1"}}, 400),
        ("POST", "accounts/nobody", {"tier": 1}, 404),
        ("POST", "accounts/exchange", {"stopped": True}, 400),
        ("POST", "assets", {"asset": "X", "decimals": 19}, 400),
        ("POST", "assets", {"asset": "x", "decimals": 8}, 400),
        (
            "POST", "markets",
            {"symbol": "SOLX", "base": "SOL", "quote": "NONE", "tick": "1", "lot": "1"}, 404,
        ),
        (
            "POST", "markets",
            {"symbol": "SOLBTC", "base": "SOL", "quote": "BTC", "tick": "0.00000001", "lot": "0.1"},
            400,
        ),
        ("GET", "nothing", {}, 404),
        ("PUT", "accounts", {"name": "a"}, 405),
    ],
)  # fmt: skip
def test_a_bad_wish_is_explained_in_a_sentence(
    backend: RunningBackend, method: str, path: str, body: dict[str, object], status: int
) -> None:
    answer = backend.admin(method, path, **body)

    assert answer.status == status, answer
    assert answer.body.keys() == {"error"}
    assert answer.body["error"].endswith(".")


@pytest.mark.parametrize("change", [{}, {"tier": -1}, {"tier": "1"}, {"stopped": 1}, {"open": 1}])
def test_a_bad_change_of_an_account_is_explained(
    backend: RunningBackend, change: dict[str, object]
) -> None:
    name = new_name()
    backend.admin("POST", "accounts", name=name)

    answer = backend.admin("POST", f"accounts/{name}", **change)

    assert answer.status == 400
    assert answer.body["error"].endswith(".")


@pytest.mark.parametrize("amount", ["0", "-1", "1e3", "NaN", "0.123456789", "", "1" * 21, "٣"])
def test_an_amount_is_a_positive_plain_decimal(backend: RunningBackend, amount: str) -> None:
    name = new_name()
    backend.admin("POST", "accounts", name=name)

    answer = backend.admin(
        "POST", "deposits", account=name, asset="USDC", amount=amount, reference=uuid.uuid4().hex
    )

    assert answer.status == 400


@pytest.mark.parametrize("token", ["", "Bearer ", "Bearer wrong", "Basic abc", "Bearer é"])
def test_nobody_gets_in_without_the_token(backend: RunningBackend, token: str) -> None:
    headers = {"Authorization": token} if token else {}

    answer = send(
        backend.admin_url, "POST", "/admin/accounts", body='{"name": "thief"}', headers=headers
    )

    assert (answer.status, answer.body) == (401, {"error": "The admin token is missing or wrong."})


def test_the_public_port_knows_nothing_of_the_admin_api(backend: RunningBackend) -> None:
    answer = send(
        backend.api,
        "GET",
        "/admin/status",
        headers={"Authorization": f"Bearer {backend.token}"},
    )

    assert answer.status == 404


def test_an_exchange_that_is_not_for_tests_cannot_be_reset(backend: RunningBackend) -> None:
    answer = backend.admin("POST", "reset")

    assert answer.status == 403
    assert "was not started for tests" in answer.body["error"]


def test_without_the_flag_nobody_can_ask_for_faults(backend: RunningBackend) -> None:
    for method in ("GET", "PUT", "DELETE"):
        answer = backend.admin(method, "faults", seed=1)

        assert answer.status == 409
        assert answer.body == {"error": "This exchange was started without --faults."}
    assert backend.admin("GET", "status").body["faults"] is None
