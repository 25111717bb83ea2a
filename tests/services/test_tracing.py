"""Traces: off unless asked for, and one of each command although nobody passes anything on."""

import subprocess
import sys

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from exchange.services import tracing
from exchange.services.messages import Outcome, Reason, Rejected
from exchange.services.settings import InvalidSettings
from exchange.services.spans import Spans

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}


class Process:
    """One of several that know nothing of each other."""

    def __init__(self, name: str) -> None:
        self._exporter = InMemorySpanExporter()
        self.notes = Spans(name, SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()


def outcome(uid: int, number: int) -> Outcome:
    result = Rejected(reason=Reason.POISON)
    return Outcome(number=number, time=1, uid=uid, request=None, deadline=0, result=result)


def test_what_several_processes_did_with_a_command_is_one_trace() -> None:
    backend, engine = Process("backend"), Process("engine")

    # The engine is ready before anybody has answered.
    engine.notes.note_work("execute", [outcome(7, 41), outcome(8, 42)], began=0.0)
    with structlog.contextvars.bound_contextvars(request="00ff"):
        backend.notes.note_answer("PlaceOrder", 8, 42, "Rejected", began=0.0)

    (first,) = backend.spans
    other, executed = engine.spans
    assert first.parent is None
    assert executed.parent is not None
    assert executed.parent.span_id == first.context.span_id
    assert executed.context.trace_id == first.context.trace_id
    assert other.context.trace_id != first.context.trace_id
    assert first.resource.attributes["service.name"] == "exchange-backend"
    assert executed.resource.attributes["service.name"] == "exchange-engine"
    assert first.attributes == {
        "exchange.uid": 8, "exchange.number": 42, "exchange.result": "Rejected",
        "exchange.request": "00ff",
    }  # fmt: skip


def test_what_nobody_asked_for_has_no_trace() -> None:
    engine = Process("engine")

    engine.notes.note_work("execute", [outcome(0, 41)], began=0.0)

    assert engine.spans == ()


def test_all_processes_choose_the_same_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0.5")
    backend, engine = Process("backend"), Process("engine")

    for uid in range(1, 101):
        backend.notes.note_answer("PlaceOrder", uid, uid, "Placed", began=0.0)
        engine.notes.note_work("execute", [outcome(uid, uid)], began=0.0)

    chosen = [span.context.trace_id for span in backend.spans]
    assert 0 < len(chosen) < 100
    assert [span.context.trace_id for span in engine.spans] == chosen


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_the_usual_variables_ask_for_it(environment: dict[str, str], wanted: bool) -> None:
    assert tracing.is_wanted(environment) is wanted


def test_an_exporter_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidSettings, match="OTEL_TRACES_EXPORTER"):
        tracing.is_wanted({"OTEL_TRACES_EXPORTER": "zipkin"})


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "exchange.services.spans")
    monkeypatch.delattr("exchange.services.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry", None)

    with pytest.raises(InvalidSettings, match=r"\[tracing\]"):
        tracing.configure("engine", ENDPOINT)


def test_a_service_that_is_not_asked_to_imports_nothing_of_it() -> None:
    program = (
        "import sys, exchange.engine.service\n"
        "from exchange.services import tracing\n"
        "tracing.configure('engine', {})\n"
        "assert not [name for name in sys.modules if name.startswith('opentelemetry')]\n"
    )

    subprocess.run([sys.executable, "-c", program], check=True)
