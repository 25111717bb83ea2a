"""One-time codes of authenticators: RFC 6238 with six digits, 30 seconds, and HMAC-SHA1."""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import quote

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20


def new_secret() -> bytes:
    return secrets.token_bytes(SECRET_BYTES)


def written(secret: bytes) -> str:
    """As people type it into their authenticator."""
    return base64.b32encode(secret).decode().rstrip("=")


def uri(secret: bytes, name: str) -> str:
    """What the picture says that authenticators read."""
    return f"otpauth://totp/Exchange:{quote(name)}?secret={written(secret)}&issuer=Exchange"


def code(secret: bytes, step: int) -> str:
    """The code of the step of 30 seconds with this number."""
    digest = hmac.new(secret, step.to_bytes(8, "big"), hashlib.sha1).digest()
    start = digest[-1] & 0xF
    number = int.from_bytes(digest[start : start + 4], "big") & 0x7FFF_FFFF
    return str(number % 10**DIGITS).zfill(DIGITS)


def matching_step(secret: bytes, given: str, now_s: int) -> int | None:
    """The step whose code this is: now, or the one before or after, since clocks differ."""
    found = None
    for step in range(now_s // STEP_S - 1, now_s // STEP_S + 2):
        # All three are compared, however soon one fits.
        if hmac.compare_digest(code(secret, step).encode(), given.encode()):
            found = step
    return found
