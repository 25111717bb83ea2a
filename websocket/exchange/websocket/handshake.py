"""What the address of a socket asks for."""

from collections.abc import Iterator
from urllib.parse import unquote

import msgspec

from exchange.websocket.events import Form


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """The form of what is sent, and the stream names to begin with, known to us or not."""

    form: Form
    names: tuple[str, ...] = ()


class NotFound(Exception):
    """There is nothing at that path; the text says what there is."""


class BadRequest(Exception):
    """The query cannot be understood; the text says why."""


def parse_target(target: str) -> Opening:
    """`/ws`, `/ws/<name>[/<name>...]`, `/stream`, `/stream?streams=<name>[/<name>...]`.

    Repeated slashes are one: clients join base addresses and paths carelessly. `timeUnit` may
    stand in the query of each. Raises NotFound and BadRequest.
    """
    path, _, query = target.partition("?")
    parts = list(_names(unquote(path)))
    values = dict(_values(query))
    time_unit = _time_unit(values.get("timeUnit", "MILLISECOND"))
    match parts:
        case ["ws", *names]:
            return Opening(form=Form(time_unit=time_unit), names=tuple(names))
        case ["stream"]:
            names = list(_names(values.get("streams", "")))
            return Opening(form=Form(combined=True, time_unit=time_unit), names=tuple(names))
    raise NotFound("Streams are at /ws/<name> and /stream?streams=<name>.")


def _names(text: str) -> Iterator[str]:
    return (part for part in text.split("/") if part)


def _values(query: str) -> Iterator[tuple[str, str]]:
    for part in query.split("&"):
        name, _, value = part.partition("=")
        # A plus is one here, and no space: names of klines have it in their time zone.
        yield unquote(name), unquote(value)


def _time_unit(value: str) -> int:
    try:
        return _TIME_UNITS[value.upper()]
    except KeyError:
        raise BadRequest("timeUnit must be MILLISECOND or MICROSECOND.") from None


_TIME_UNITS = {"MILLISECOND": 1_000, "MICROSECOND": 1}
