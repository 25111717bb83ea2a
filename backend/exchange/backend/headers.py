"""What browsers are told about our pages: what these may load, and that nobody may frame them."""

import re

from starlette.types import Message, Send

from exchange.web import files

STREAM_PORT = 4000
API_PATHS = ("/api/", "/sapi/", "/fapi/", "/dapi/")
DOCUMENTATION_PATH = "/docs"
ANY_ORIGIN = (b"access-control-allow-origin", b"*")
"""For what everybody may read without saying who he is; nothing else is for pages of others."""

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
]
_host = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]+)?").fullmatch


class PageHeaders:
    """`stream_url` is where the page finds the streams: its own host's port 4000, or `:PORT`."""

    def __init__(self, stream_url: str = "") -> None:
        self._stream_url = stream_url

    def added(self, path: str, host: str, send: Send) -> Send:
        """A `send` that adds them to an answer; the API's answers are read by no page."""
        if path.startswith(API_PATHS):
            return send
        added = [*_ALWAYS, (b"content-security-policy", self.policy(path, host).encode())]
        if path.startswith("/ui/"):
            added.append((b"cache-control", b"no-store"))

        async def send_with_them(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        return send_with_them

    def policy(self, path: str, host: str) -> str:
        """What a page may load, and where it may connect to."""
        # Swagger UI starts itself by a script inside its page.
        hashed = f" '{files.STYLE_HASH}'"
        inline = " 'unsafe-inline'" if path.startswith(DOCUMENTATION_PATH) else ""
        return (
            f"default-src 'self'; script-src 'self'{inline}; style-src 'self'{inline or hashed};"
            f" img-src 'self' data:; connect-src 'self' {self._streams(host)};"
            " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )

    def _streams(self, host: str) -> str:
        if "://" in self._stream_url:
            scheme, _, rest = self._stream_url.partition("://")
            return f"{scheme}://{rest.partition('/')[0]}"
        found = _host(host)
        if found is None:
            return ""
        port = self._stream_url or f":{STREAM_PORT}"
        return f"ws://{found[1]}{port} wss://{found[1]}{port}"
