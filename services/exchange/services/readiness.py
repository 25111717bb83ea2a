"""Whether what was started can be used: each service by its own word, and the exchange as a whole."""

import http.client
import time
from collections.abc import Callable, Mapping

import msgspec

from exchange.services.admin import Admin, AdminFault

_TURN_S = 0.01
"""Services answer probes, as everywhere, and do not report by themselves."""
_PATIENCE_S = 1.0
"""A service that waits for another no longer than that has nothing to say."""


def await_each(
    ports: Mapping[str, int], say: Callable[[str], None], while_waiting: Callable[[], None]
) -> None:
    """Until all services of these ports are ready; `while_waiting` is called often and may raise."""
    waiting = list(ports)
    sentences: dict[str, str] = {}
    began = time.monotonic()
    while waiting:
        while_waiting()
        is_patient = time.monotonic() - began < _PATIENCE_S
        # While nobody wants to know about each, one after the other will do: all are needed.
        answers = {name: probe(ports[name]) for name in (waiting[:1] if is_patient else waiting)}
        ready = [name for name, (is_ready, _) in answers.items() if is_ready]
        if ready:
            waiting = [name for name in waiting if name not in ready]
            continue
        for name, (_, sentence) in answers.items():
            if not is_patient and sentence and sentence != sentences.get(name, "starting"):
                sentences[name] = sentence
                say(f"{name}: {sentence}")
        time.sleep(_TURN_S)


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
