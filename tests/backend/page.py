"""A browser as the backend sees it: cookies, an origin, and JSON."""

import http.client
import itertools
import json
from typing import Any
from urllib.parse import urlsplit

import msgspec

PASSWORD = "correct horse"
_numbers = itertools.count(1)


def new_name() -> str:
    """That no other user has."""
    return f"user-{next(_numbers)}"


class Reply(msgspec.Struct, frozen=True):
    """`body` is decoded JSON, None where there is none."""

    status: int
    headers: dict[str, str]
    body: Any


class Browser:
    """Keeps the session's cookie, as browsers do."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.host = urlsplit(url).netloc
        self.token: str | None = None

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, **headers)

    def post(self, path: str, body: object = None, **headers: str) -> Reply:
        return self.call("POST", path, body, **headers)

    def call(self, method: str, path: str, body: object = None, **headers: str) -> Reply:
        """Headers as `x_exchange_account`; an empty one is not sent."""
        sent = {"Origin": f"http://{self.host}"}
        if body is not None:
            sent["Content-Type"] = "application/json"
        if self.token is not None:
            sent["Cookie"] = f"theme=dark; session={self.token}"
        sent |= {name.replace("_", "-").title(): value for name, value in headers.items()}
        connection = http.client.HTTPConnection(self.host, timeout=20)
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body).encode(),
                headers={name: value for name, value in sent.items() if value},
            )
            answer = connection.getresponse()
            content = answer.read()
            names = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        self._keep(names.get("set-cookie", ""))
        return Reply(answer.status, names, json.loads(content) if content else None)

    def register(self, name: str, password: str = PASSWORD) -> dict[str, Any]:
        """The user that it is from now on."""
        answer = self.post("/ui/register", {"name": name, "password": password})
        assert answer.status == 201, answer
        user: dict[str, Any] = answer.body["user"]
        return user

    def _keep(self, cookie: str) -> None:
        if cookie.startswith("session="):
            value = cookie.partition(";")[0].partition("=")[2]
            self.token = None if value in ("", '""') else value
