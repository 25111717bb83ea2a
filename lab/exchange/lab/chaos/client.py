"""One keep-alive HTTP connection that never sends anything twice, and the signing of requests.

Whether a request without an answer was executed is the question that all of this is about: so what
was not sent, what was not answered, and what was answered wrongly are three different things.
"""

import asyncio
import contextlib
import hmac
import time
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import msgspec
from msgspec import Struct

ANSWER_S_MAX = 15.0
"""Longer than the exchange itself waits before it says that it does not know."""
CONNECT_S_MAX = 2.0
READ_WINDOW_MS = 60_000
PUBLIC_PATHS = frozenset({"depth", "klines"})
HEAD_BYTES_MAX = 64 * 1024


class NotSent(Exception):
    """Nobody listens: the request has not left, and nothing can come of it."""


class NoAnswer(Exception):
    """It was sent, or part of it, and the connection ended or the time was up."""


class Malformed(Exception):
    """What came back is no answer."""


class Answer(Struct, frozen=True):
    """A status and a decoded body."""

    status: int
    body: Any


class Connection:
    """To one server; it connects when it must, and one request is under way at a time."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        assert parts.port is not None
        self._host, self._port = parts.hostname, parts.port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, head: str, body: bytes = b"", *, patience: float = ANSWER_S_MAX
    ) -> Answer:
        """Send `METHOD target` and its header lines; raises NotSent, NoAnswer or Malformed.

        After `patience` seconds it hangs up, as clients do that are killed or out of time.
        """
        reader, writer = await self._connected()
        try:
            async with asyncio.timeout(patience):
                writer.write(
                    b"%b\r\nHost: %b\r\nContent-Length: %d\r\n\r\n%b"
                    % (head.encode(), self._host.encode(), len(body), body)
                )
                return await _read_answer(reader)
        except (OSError, EOFError, TimeoutError) as fault:
            self.close()
            raise NoAnswer(type(fault).__name__) from None
        except BaseException:
            # Its answer must not be taken for the next one's.
            self.close()
            raise

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is not None and self._streams[0].at_eof():
            # The server said goodbye while nothing was under way.
            self.close()
        if self._streams is None:
            try:
                async with asyncio.timeout(CONNECT_S_MAX):
                    self._streams = await asyncio.open_connection(
                        self._host, self._port, limit=HEAD_BYTES_MAX
                    )
            except (OSError, TimeoutError) as fault:
                raise NotSent(type(fault).__name__) from None
        return self._streams


class PublicApi:
    """The public API as one key sees it, over one connection of its own."""

    def __init__(self, url: str, api_key: str, secret_key: str) -> None:
        self._connection = Connection(url)
        self._api_key = api_key
        self._keyed = hmac.new(secret_key.encode(), digestmod="sha256")

    def signed(self, window_ms: int, **parameters: object) -> str:
        """The parameters of a request that is valid from now on for that long."""
        text = urlencode(
            {**parameters, "recvWindow": window_ms, "timestamp": time.time_ns() // 1_000_000}
        )
        signer = self._keyed.copy()
        signer.update(text.encode())
        return f"{text}&signature={signer.hexdigest()}"

    def signed_for_socket(self) -> dict[str, object]:
        """The parameters of a signed request over the WebSocket API that needs no others."""
        text = f"apiKey={self._api_key}&timestamp={time.time_ns() // 1_000_000}"
        signer = self._keyed.copy()
        signer.update(text.encode())
        return {**dict(parse_qsl(text)), "signature": signer.hexdigest()}

    async def call(
        self, method: str, path: str, parameters: str, *, patience: float = ANSWER_S_MAX
    ) -> Answer:
        """Raises NotSent, NoAnswer or Malformed."""
        target, body = f"{path}?{parameters}", b""
        if method == "POST":
            target, body = path, parameters.encode()
        return await self._connection.request(
            f"{method} /api/v3/{target} HTTP/1.1\r\nX-MBX-APIKEY: {self._api_key}\r\n"
            "Content-Type: application/x-www-form-urlencoded",
            body,
            patience=patience,
        )

    async def read(self, path: str, **parameters: object) -> Answer:
        """What only the account may read; without a signature where anybody may."""
        if path in PUBLIC_PATHS:
            return await self.call("GET", path, urlencode(parameters))
        return await self.call("GET", path, self.signed(READ_WINDOW_MS, **parameters))

    def close(self) -> None:
        self._connection.close()


class AdminApi:
    """The operator's API, over one connection of its own."""

    def __init__(self, url: str, token: str) -> None:
        self._connection = Connection(url)
        self._headers = f"Authorization: Bearer {token}\r\nContent-Type: application/json"

    async def post(self, path: str, body: dict[str, Any]) -> Answer:
        return await self._call("POST", path, msgspec.json.encode(body))

    async def get(self, path: str) -> Answer:
        return await self._call("GET", path, b"")

    async def _call(self, method: str, path: str, body: bytes) -> Answer:
        return await self._connection.request(
            f"{method} /admin/{path} HTTP/1.1\r\n{self._headers}", body
        )

    def close(self) -> None:
        self._connection.close()


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.LimitOverrunError:
        raise Malformed("a head without an end") from None
    status_line, *lines = head.split("\r\n")
    words = status_line.split(" ", 2)
    if len(words) < 2 or words[0] != "HTTP/1.1" or not words[1].isdecimal():
        raise Malformed(status_line[:100])
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() == "content-length" and value.strip().isdecimal():
            body = await reader.readexactly(int(value))
            break
    else:
        raise Malformed("an answer without a length")
    with contextlib.suppress(msgspec.DecodeError):
        return Answer(int(words[1]), msgspec.json.decode(body))
    raise Malformed(repr(body[:100]))
