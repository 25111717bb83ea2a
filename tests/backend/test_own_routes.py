"""The page's routes and the admin API: whatever is sent gets a documented answer, and each route
does for each role what that role may do."""

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

import hypothesis
import pytest
import schemathesis
from backend.api_client import Answer, Trader, send
from backend.conftest import RunningBackend
from backend.page import PASSWORD, Browser, Reply, new_name
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core import NOT_SET
from schemathesis.core.result import Ok

from exchange.backend.application import ENDPOINTS
from exchange.backend.endpoints import Security

EXAMPLES = 2
UI, ADMIN = "/ui/openapi.json", "/admin/openapi.json"
Send = Callable[[str, str, Any], tuple[int, Any]]


@pytest.fixture(scope="module")
def admin(page_backend: RunningBackend) -> Browser:
    name, one = new_name(), Browser(page_backend.api)
    made = page_backend.admin("POST", "accounts", name=name, password=PASSWORD, role="ADMIN")
    assert made.status == 200, made
    assert one.post("/ui/login", {"name": name, "password": PASSWORD}).status == 200
    return one


@pytest.fixture(scope="module")
def trader(page_backend: RunningBackend) -> Iterator[Browser]:
    one = Browser(page_backend.api)
    name = one.register(new_name())["name"]
    yield one
    assert one.get("/ui/session").body["user"]["name"] == name


def document(page_backend: RunningBackend, path: str) -> Any:
    if path == UI:
        return Browser(page_backend.api).get(path).body
    return page_backend.admin("GET", path.removeprefix("/admin/")).body


# --- Anything that anybody sends ---


@pytest.fixture(scope="module")
def operations(page_backend: RunningBackend) -> list[Any]:
    """Of both documents, as schemathesis reads them."""
    found = []
    for path in (UI, ADMIN):
        schema = schemathesis.openapi.from_dict(document(page_backend, path))
        for result in schema.get_all_operations():
            assert isinstance(result, Ok), result
            found.append(result.ok())
    return found


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_answer_is_a_documented_one(
    page_backend: RunningBackend, operations: list[Any], admin: Browser, mode: GenerationMode
) -> None:
    assert len(operations) > 50
    tried = 0
    for operation in operations:
        # Some have nothing in them that could be wrong.
        with contextlib.suppress(hypothesis.errors.Unsatisfiable):
            _check(operation, mode, _sender(page_backend, admin, operation.path))
            tried += 1
    assert tried > 40

    # And the exchange goes on.
    assert page_backend.admin("GET", "status").body["sentence"]
    assert admin.get("/ui/admin/health").status == 200


def _sender(page_backend: RunningBackend, admin: Browser, path: str) -> Send:
    def to_admin(method: str, target: str, body: Any) -> tuple[int, Any]:
        headers = {
            "Authorization": f"Bearer {page_backend.token}",
            "Content-Type": "application/json",
        }
        content = b"" if body is None else json.dumps(body).encode()
        answer = send(page_backend.admin_url, method, target, body=content, headers=headers)
        return answer.status, answer.body

    def to_page(method: str, target: str, body: Any) -> tuple[int, Any]:
        # What ends its own session is tried by somebody without one.
        by = Browser(page_backend.api) if path in OPEN_TO_ALL else admin
        answer = by.call(method, target, body)
        return answer.status, answer.body

    return to_admin if path.startswith("/admin") else to_page


@pytest.fixture(autouse=True)
def _all_is_kept(page_backend: RunningBackend) -> Iterator[None]:
    """Nothing that was done keeps the database from following."""
    yield
    assert page_backend.admin("GET", "audit?limit=1").status == 200, page_backend.logs()


def _check(operation: Any, mode: GenerationMode, send: Send) -> None:
    documented = {int(status) for status in operation.definition.raw["responses"]}

    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(case=_cases(operation, mode))
    def answers(case: Any) -> None:
        path = operation.path
        for name, value in (case.path_parameters or {}).items():
            path = path.replace(f"{{{name}}}", quote(str(value), safe="") or "-")
        query = {str(name): str(value) for name, value in (case.query or {}).items()}
        body = None if case.body is NOT_SET else json.loads(json.dumps(case.body, default=repr))

        status, told = send(operation.method.upper(), f"{path}?{_encoded(query)}", body)

        assert status in documented, (operation.label, path, query, body, status, told)
        assert status < 500, (operation.label, path, query, body, told)
        if status >= 400:
            words = told["error"] if path.startswith("/admin") else told["msg"]
            assert words
            assert words[-1] in ".?…”", words

    answers()


def _cases(operation: Any, mode: GenerationMode) -> st.SearchStrategy[Any]:
    found: st.SearchStrategy[Any] = operation.as_strategy(generation_mode=mode)
    return found


def _encoded(query: dict[str, str]) -> str:
    # Lone surrogates are no text that could be sent.
    return urlencode(query, errors="replace")


def test_a_text_that_no_database_can_keep_is_refused_and_all_goes_on(
    page_backend: RunningBackend, admin: Browser, trader: Browser
) -> None:
    wish = {"name": "a\0b", "type": "HMAC", "permissions": ["READ"]}
    headers = {
        "Authorization": f"Bearer {page_backend.token}", "X-Exchange-Reason": "a%00b",
        "Content-Type": "application/json",
    }  # fmt: skip
    refused: list[Reply | Answer] = [
        trader.post("/ui/keys", wish),
        Browser(page_backend.api).post("/ui/login", {"name": "a\0", "password": "x"}),
        admin.post("/ui/admin/freeze", {"frozen": True, "reason": "\0"}),
        send(page_backend.admin_url, "POST", "/admin/exchange/mode", headers=headers,
             body='{"mode": "RUNNING"}'),
    ]  # fmt: skip
    nowhere: list[Reply | Answer] = [
        admin.post("/ui/admin/withdrawals/a%00b/approve", {"reason": "x"}),
        page_backend.admin("POST", "accounts/a%00b", stopped=True),
    ]

    assert [one.status for one in refused + nowhere] == [400] * 4 + [404] * 2
    # It waits until the database has everything that was done before.
    assert admin.get("/ui/admin/audit").status == 200


# --- Every route with every role ---


OPEN_TO_ALL = {"/ui/session", "/ui/config.json", "/ui/register", "/ui/login", "/ui/logout"}
IN_PATHS = {"{decision}": "approve", "{symbol}": "NONE", "{name}": "nobody"}
REASON = {"reason": "x"}


def targets(document: Any) -> Iterator[tuple[str, str, Any]]:
    """Method, path and a body that could be right for every route that there is."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            target = path
            for part, value in IN_PATHS.items():
                target = target.replace(part, value)
            wanted = operation.get("requestBody")
            schema = wanted and wanted["content"]["application/json"]["schema"]["$ref"]
            body = schema and _example(document, schema.rpartition("/")[2])
            yield method.upper(), target, body


def _example(document: Any, name: str) -> dict[str, Any]:
    schema = document["components"]["schemas"][name]
    fields = set(schema.get("required", [])) | ({"reason"} & set(schema["properties"]))
    return {field: _value(field, schema["properties"][field]) for field in fields}


def _value(field: str, schema: Any) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    kinds = {"integer": 1, "boolean": True, "array": [], "object": {}}
    if schema["type"] in kinds:
        return kinds[schema["type"]]
    known = {"asset": "USDC", "amount": "1", "code": "000000", "mode": "RUNNING"}
    return known.get(field, "x" * schema.get("minLength", 3))


def test_the_page_lets_everybody_do_what_his_role_may(
    page_backend: RunningBackend, trader: Browser, admin: Browser
) -> None:
    seen = set()
    for method, target, body in targets(document(page_backend, UI)):
        if target in OPEN_TO_ALL:
            continue
        visitor = Browser(page_backend.api).call(method, target, body)
        by_trader = trader.call(method, target, body)
        by_admin = admin.call(method, target, body)

        where = (method, target, body)
        assert (visitor.status, visitor.body["msg"]) == (401, "Sign in first."), where
        is_for_admins = target.startswith("/ui/admin")
        assert _is_kept_out(by_trader.status, by_trader.body) is is_for_admins, (where, by_trader)
        assert not _is_kept_out(by_admin.status, by_admin.body), (where, by_admin)
        seen.add(is_for_admins)
        assert method == "GET" or _foreign(admin, method, target, body) == 403, where
    assert seen == {True, False}


def _is_kept_out(status: int, body: Any) -> bool:
    return status == 403 and body["msg"] == "Only admins may do this."


def _foreign(browser: Browser, method: str, target: str, body: Any) -> int:
    """Asked by the page of somebody else, in the same browser."""
    return browser.call(method, target, body, origin="http://evil.example").status


def test_the_admin_port_knows_nobody_but_who_has_the_token(
    page_backend: RunningBackend, admin: Browser
) -> None:
    found = list(targets(document(page_backend, ADMIN)))
    cookie = {"Cookie": f"session={admin.token}", "Origin": page_backend.admin_url}
    strangers: tuple[dict[str, str], ...] = (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic x"},
        cookie,
    )

    for method, target, body in found:
        for headers in strangers:
            sent = {"Content-Type": "application/json", **headers}
            content = json.dumps(body) if body else b""
            answer = send(page_backend.admin_url, method, target, body=content, headers=sent)
            assert answer.status == 401, (method, target, headers)
    assert len(found) > 20


def test_the_api_lets_each_key_do_what_it_may(
    page_backend: RunningBackend, trader: Browser
) -> None:
    keys = {
        name: _key(page_backend, trader, *permissions, **more)
        for name, permissions, more in (
            ("reader", ["READ"], {}),
            ("trader", ["TRADE"], {}),
            ("withdrawer", ["WITHDRAW"], {}),
            ("elsewhere", ["READ", "TRADE"], {"addresses": ["203.0.113.0/24"]}),
        )
    }
    revoked = keys["revoked"] = _key(page_backend, trader, "READ", "TRADE")
    assert trader.call("DELETE", f"/ui/keys/{revoked.api_key}").status == 204
    may = {
        Security.KEY: {"reader"},
        Security.USER_DATA: {"reader"},
        Security.TRADE: {"trader"},
    }

    for endpoint in ENDPOINTS:
        path = endpoint.path.removeprefix("/api/v3/")
        if endpoint.security is Security.NONE or not endpoint.path.startswith("/api/v3/"):
            continue
        visitor = send(page_backend.api, endpoint.method, endpoint.path)
        assert visitor.body["code"] in (-2014, -1102), endpoint.name
        for name, key in keys.items():
            code = _code(key, endpoint.method, path, is_signed=endpoint.is_signed)
            assert (code == -2015) is (name not in may[endpoint.security]), (endpoint.name, name)


def _key(page_backend: RunningBackend, owner: Browser, *permissions: str, **more: Any) -> Trader:
    wish = {"name": "k", "type": "HMAC", "permissions": list(permissions), **more}
    made = owner.post("/ui/keys", wish).body
    return Trader(page_backend.api, made["apiKey"], made["secretKey"])


def _code(key: Trader, method: str, path: str, *, is_signed: bool) -> int:
    """0 where there is no error."""
    if is_signed:
        answer = key.call(method, path)
    else:
        answer = send(key.url, method, f"/api/v3/{path}", headers={"X-MBX-APIKEY": key.api_key})
    return int(answer.body.get("code", 0)) if isinstance(answer.body, dict) else 0
