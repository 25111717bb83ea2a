"""The trading page's files as they are answered: read and hashed at the start, compressed once.

A framework would compress the same bytes for every visitor, in the process that takes the orders.
"""

import gzip
import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from starlette.types import Scope, Send

from exchange.services.settings import InvalidSettings
from exchange.web import files

STREAM_PORT = 4000
_REVALIDATE = b"no-cache"
_FOR_EVER = b"public, max-age=31536000, immutable"
_host = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?").fullmatch
_stream_url = re.compile(r"wss?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._/-]*)?").fullmatch

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True)
class Answer:
    """One file, in both forms."""

    headers: Headers
    etag: bytes
    plain: bytes

    @cached_property
    def compressed(self) -> bytes:
        """By the first who asks for it: a start has no time for all of them."""
        return gzip.compress(self.plain, mtime=0)


class Page:
    """`stream_url` is where browsers find the streams.

    "" is port 4000 of whatever host the page came from, and ":PORT" another one of its ports.
    """

    def __init__(self, stream_url: str = "") -> None:
        if not re.fullmatch(r"(:\d{1,5})?", stream_url) and not _stream_url(stream_url):
            raise InvalidSettings("PUBLIC_WS_URL must be ws://… or wss://…, or :PORT")
        self._stream_url = stream_url
        self._answers = {path: _answer(file) for path, file in files.served()}
        self._answers["/"] = self._answers["/index.html"]

    def has(self, scope: Scope) -> bool:
        """Whether it is this page that is asked for."""
        return scope["method"] in ("GET", "HEAD") and scope["path"] in self._answers

    async def serve(self, scope: Scope, send: Send) -> None:
        answer = self._answers[scope["path"]]
        asked = dict(scope["headers"])
        headers = [*answer.headers, (b"etag", answer.etag)]
        if scope["path"] in ("/", "/index.html"):
            headers.append((b"content-security-policy", self._policy(asked)))
        if answer.etag in asked.get(b"if-none-match", b""):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        body = answer.plain
        if b"gzip" in asked.get(b"accept-encoding", b""):
            body = answer.compressed
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    def _policy(self, asked: dict[bytes, bytes]) -> bytes:
        """What the page may load and speak to: itself, and the streams."""
        return (
            "default-src 'self'; "
            f"connect-src 'self'{self._streams(asked)}; "
            f"style-src 'self' '{files.STYLE_HASH}'; "
            "img-src 'self' data:; object-src 'none'; base-uri 'none'; "
            "form-action 'self'; frame-ancestors 'none'"
        ).encode()

    def _streams(self, asked: dict[bytes, bytes]) -> str:
        if _stream_url(self._stream_url):
            scheme, _, rest = self._stream_url.partition("://")
            return f" {scheme}://{rest.partition('/')[0]}"
        match = _host(asked.get(b"host", b"").decode("latin-1"))
        if match is None:
            return ""
        port = self._stream_url or f":{STREAM_PORT}"
        return f" ws://{match[1]}{port} wss://{match[1]}{port}"


def _answer(file: Path) -> Answer:
    content = file.read_bytes()
    is_vendored = file.parent.name == files.VENDORED
    return Answer(
        headers=[
            (b"content-type", files.KINDS[file.suffix].encode()),
            (b"cache-control", _FOR_EVER if is_vendored else _REVALIDATE),
            (b"vary", b"accept-encoding"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"referrer-policy", b"no-referrer"),
        ],
        etag=b'"%b"' % hashlib.sha256(content).hexdigest()[:32].encode(),
        plain=content,
    )
