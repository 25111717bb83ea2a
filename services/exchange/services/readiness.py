"""Whether what was started can be used: each service by its own word, and the exchange as a whole."""

import http.client

import msgspec

from exchange.services.admin import Admin, AdminFault


def probe(port: int) -> tuple[bool, str]:
    """Whether a service says that it is ready, and its sentence; "" where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/ready")
        answer = connection.getresponse()
        return answer.status == 200, answer.read(1000).decode(errors="replace").strip()
    except (OSError, http.client.HTTPException):
        return False, ""
    finally:
        connection.close()


class Status(msgspec.Struct, frozen=True):
    ready: bool
    sentence: str
    markets: set[str]


def status_of(admin: Admin) -> Status:
    """What the whole exchange says of itself."""
    try:
        answer = admin.get("status")
    except AdminFault as fault:
        return Status(ready=False, sentence=str(fault), markets=set())
    symbols = {market["symbol"] for market in answer["markets"]}
    return Status(ready=answer["ready"], sentence=answer["sentence"], markets=symbols)
