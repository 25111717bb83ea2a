"""Whether commands are traced across all services: only where OpenTelemetry's variables ask for it."""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from exchange.services.messages import Outcome
from exchange.services.settings import InvalidSettings

if TYPE_CHECKING:
    from exchange.services.spans import Spans

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_spans: "Spans | None" = None


def configure(service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Begin to trace if that is wanted; else nothing of OpenTelemetry is even imported."""
    global _spans
    if not is_wanted(environment):
        return
    try:
        from exchange.services import spans
    except ImportError as fault:
        raise InvalidSettings(
            f"OTEL_… variables ask for traces, which need the extra [tracing]: {fault}"
        ) from None
    _spans = spans.to_collector(service)


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether an exporter or its endpoint is named, by OpenTelemetry's own variables."""
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    if exporter not in ("", "otlp", "none"):
        raise InvalidSettings("OTEL_TRACES_EXPORTER must be otlp or none")
    if exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    return exporter == "otlp" or any(environment.get(variable) for variable in _ENDPOINTS)


def note_answer(kind: str, uid: int, number: int, result: str, *, began: float) -> None:
    """A command was answered; `began` is what the performance counter said when it was handed in."""
    if _spans is not None:
        _spans.note_answer(kind, uid, number, result, began=began)


def note_work(name: str, outcomes: Iterable[Outcome], *, began: float) -> None:
    """This was done with these outcomes, all together, since `began`."""
    if _spans is not None:
        _spans.note_work(name, outcomes, began=began)


def end() -> None:
    """Hand over what is left, if there is still somebody to take it."""
    if _spans is not None:
        _spans.end()
