"""The API as it is, without a library in between: one request, one answer, signed or not."""

import hashlib
import hmac
import http.client
import json
import threading
import time
from typing import Any
from urllib.parse import urlencode, urlsplit

TIMEOUT_S = 30.0


class Refused(Exception):
    """The exchange has answered with an error; `code` is the API's, such as -2010."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(f"{status}: {code} {message}")
        self.status, self.code, self.message = status, code, message


class SignedClient:
    """Answers as decoded JSON. It may be used by several threads, each has a connection of its own."""

    def __init__(self, url: str, api_key: str = "", secret: str = "") -> None:
        self._address = urlsplit(url).netloc
        self._api_key, self._secret = api_key, secret
        self._local = threading.local()
        self._opened: list[http.client.HTTPConnection] = []

    def get(self, path: str, **parameters: object) -> Any:
        """A public request, such as `get("depth", symbol="BTCUSDT")`. Raises Refused."""
        return self._call("GET", f"/api/v3/{path}?{urlencode(parameters)}")

    def signed(self, method: str, path: str, **parameters: object) -> Any:
        """A private request, such as `signed("DELETE", "openOrders", symbol="BTCUSDT")`.

        Raises Refused.
        """
        text = urlencode({"timestamp": time.time_ns() // 1_000_000, **parameters})
        signature = hmac.new(self._secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        return self._call(method, f"/api/v3/{path}?{text}&signature={signature}")

    def order(
        self, symbol: str, side: str, quantity: object, price: object = None, **more: object
    ) -> Any:
        """Place a limit order that stays, or a market order where there is no price."""
        terms: dict[str, object] = {"symbol": symbol, "side": side, "quantity": quantity}
        if price is None:
            terms["type"] = "MARKET"
        else:
            terms |= {"type": "LIMIT", "timeInForce": "GTC", "price": price}
        return self.signed("POST", "order", **terms | more)

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()
        self._local = threading.local()

    def _call(self, method: str, target: str) -> Any:
        connection = self._connection()
        try:
            connection.request(method, target, headers={"X-MBX-APIKEY": self._api_key})
            answer = connection.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            # It is opened anew by the next request: this one may have been executed.
            connection.close()
            raise
        if answer.status != 200:
            raise Refused(answer.status, content.get("code", 0), content.get("msg", ""))
        return content

    def _connection(self) -> http.client.HTTPConnection:
        known: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if known is None:
            known = http.client.HTTPConnection(self._address, timeout=TIMEOUT_S)
            self._local.connection = known
            self._opened.append(known)
        return known
