"""What browsers are told about the answers that are for them: what to load, and who may frame them.

The page's own files say for themselves what they may load.
"""

from starlette.types import Message, Send

DOCUMENTATION_PATH = "/docs"
SITE_PATH = "/ui/"
ANY_ORIGIN = (b"access-control-allow-origin", b"*")
"""For what everybody may read without saying who he is; nothing else is for pages of others."""

_ALWAYS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
# Swagger UI starts itself by a script inside its page.
_DOCUMENTATION = (
    b"default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
    b" img-src 'self' data:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def with_headers(path: str, send: Send) -> Send:
    """A `send` that adds them to an answer of the site or of the documentation."""
    if path.startswith(SITE_PATH):
        added = [*_ALWAYS, (b"content-security-policy", _NOTHING), (b"cache-control", b"no-store")]
    elif path.startswith(DOCUMENTATION_PATH):
        added = [*_ALWAYS, (b"content-security-policy", _DOCUMENTATION)]
    else:
        return send

    async def send_with_them(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return send_with_them
