"""The trading page's files as they are answered: read, hashed and compressed once, at the start.

A framework would compress the same bytes for every visitor, in the process that takes the orders.
"""

import gzip
import hashlib
from pathlib import Path

import msgspec
from starlette.types import Scope, Send

from exchange.web import files

_REVALIDATE = b"no-cache"
_FOR_EVER = b"public, max-age=31536000, immutable"
Headers = list[tuple[bytes, bytes]]


class Answer(msgspec.Struct, frozen=True):
    """One file, in both forms."""

    headers: Headers
    etag: bytes
    plain: bytes
    compressed: bytes


class Page:
    """All of them, by their paths."""

    def __init__(self) -> None:
        self._answers = {path: _answer(file) for path, file in files.served()}
        self._answers["/"] = self._answers["/index.html"]

    def has(self, scope: Scope) -> bool:
        """Whether it is this page that is asked for."""
        return scope["method"] in ("GET", "HEAD") and scope["path"] in self._answers

    async def serve(self, scope: Scope, send: Send) -> None:
        answer = self._answers[scope["path"]]
        asked = dict(scope["headers"])
        headers = [*answer.headers, (b"etag", answer.etag)]
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


def _answer(file: Path) -> Answer:
    content = file.read_bytes()
    is_vendored = file.parent.name == files.VENDORED
    return Answer(
        headers=[
            (b"content-type", files.KINDS[file.suffix].encode()),
            (b"cache-control", _FOR_EVER if is_vendored else _REVALIDATE),
            (b"vary", b"accept-encoding"),
        ],
        etag=b'"%b"' % hashlib.sha256(content).hexdigest()[:32].encode(),
        plain=content,
        compressed=gzip.compress(content, mtime=0),
    )
