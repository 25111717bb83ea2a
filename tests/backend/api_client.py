"""A client of the public and the admin API that sends exactly the bytes it is told to."""

import hashlib
import hmac
import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What came back; `body` is decoded JSON."""

    status: int
    headers: dict[str, str]
    body: Any

    @property
    def error(self) -> tuple[int, int, str]:
        """Status, code and text of a refusal."""
        return self.status, self.body["code"], self.body["msg"]


def send(
    url: str,
    method: str,
    target: str,
    *,
    body: bytes | str = b"",
    headers: dict[str, str] | None = None,
) -> Answer:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
    try:
        connection.request(method, target, body=body or None, headers=headers or {})
        answer = connection.getresponse()
        content = answer.read()
        names = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, names, json.loads(content))
    finally:
        connection.close()


class Trader:
    """An account's key, and requests signed with it."""

    def __init__(self, url: str, api_key: str = "", secret: str = "") -> None:
        self.url = url
        self.api_key = api_key
        self.secret = secret

    def sign(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode(), hashlib.sha256).hexdigest()

    def call(self, method: str, path: str, **parameters: object) -> Answer:
        """A signed request with everything in the query."""
        parameters.setdefault("timestamp", time.time_ns() // 1_000_000)
        text = urlencode(parameters)
        return self.raw(method, f"/api/v3/{path}?{text}&signature={self.sign(text)}")

    def get(self, path: str, **parameters: object) -> Answer:
        """A public request."""
        return send(self.url, "GET", f"/api/v3/{path}?{urlencode(parameters)}".rstrip("?"))

    def raw(self, method: str, target: str, *, body: bytes | str = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return send(
            self.url, method, target, body=body, headers={"X-MBX-APIKEY": self.api_key, **named}
        )

    def order(self, side: str, quantity: str, price: str, **more: object) -> Answer:
        parameters = {
            "symbol": "SOLUSDC",
            "side": side,
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": quantity,
            "price": price,
        }
        return self.call("POST", "order", **{**parameters, **more})
