"""What traces are made of: a span of each service for each command, as OpenTelemetry has them.

No message carries anything for it. A command's uid, which its outcome names too, says the ids of its
trace and of the first span in it; so each process adds spans of its own to the same trace. Only
`tracing` imports this, and only where traces are wanted.
"""

import hashlib
import os
import threading
import time
from collections.abc import Iterable

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from structlog.contextvars import get_contextvars

from exchange.services.messages import Outcome

FLUSH_S_MAX = 1.0
"""How long a process that ends waits for the collector to take its last spans."""


def to_collector(service: str) -> "Spans":
    """Spans that go to where the variables say, from a thread of their own, or are dropped."""
    return Spans(service, BatchSpanProcessor(OTLPSpanExporter()))


class Spans:
    """Those of one process, which calls this from one thread only."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        named = (
            {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": f"exchange-{service}"}
        )
        self._ids = _Ids()
        self._provider = TracerProvider(
            resource=Resource.create(named), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("exchange")

    def note_answer(self, kind: str, uid: int, number: int, result: str, *, began: float) -> None:
        """The first span of a trace: from handing a command in to its answer."""
        self._ids.first = ids(uid)
        try:
            span = self._tracer.start_span(
                kind,
                context=trace.set_span_in_context(trace.INVALID_SPAN),
                kind=trace.SpanKind.SERVER,
                attributes=_attributes(uid, number, result)
                | {"exchange.request": get_contextvars().get("request", "")},
                start_time=_unix_ns(began),
            )
        finally:
            self._ids.first = None
        span.end()

    def note_work(self, name: str, outcomes: Iterable[Outcome], *, began: float) -> None:
        """A span below the first one of each outcome's trace, which may not have ended yet."""
        start, end = _unix_ns(began), time.time_ns()
        for outcome in outcomes:
            # What the exchange itself has to say, nobody has asked for.
            if not outcome.uid:
                continue
            trace_id, first_id = ids(outcome.uid)
            if not self._is_sampled(trace_id, name):
                continue
            first = trace.SpanContext(trace_id, first_id, True, trace.TraceFlags(1))
            span = self._tracer.start_span(
                name,
                context=trace.set_span_in_context(trace.NonRecordingSpan(first)),
                attributes=_attributes(outcome.uid, outcome.number, type(outcome.result).__name__),
                start_time=start,
            )
            span.end(end)

    def end(self) -> None:
        """Hand over what is left; a collector that is away does not hold the process up."""
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_S_MAX)

    def _is_sampled(self, trace_id: int, name: str) -> bool:
        """As whoever answers decides it, too: samplers go by the id of the trace alone."""
        sampler = self._provider.sampler
        return sampler.should_sample(None, trace_id, name).decision is Decision.RECORD_AND_SAMPLE


def ids(uid: int) -> tuple[int, int]:
    """Of the trace of a command, and of its first span."""
    digest = hashlib.blake2b(uid.to_bytes(8, "big"), digest_size=24).digest()
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big")


class _Ids(RandomIdGenerator):
    """Random ones, but for the first span of a trace, which is told both."""

    first: tuple[int, int] | None = None

    def generate_trace_id(self) -> int:
        return self.first[0] if self.first else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.first[1] if self.first else super().generate_span_id()


def _attributes(uid: int, number: int, result: str) -> dict[str, str | int]:
    return {"exchange.uid": uid, "exchange.number": number, "exchange.result": result}


def _unix_ns(moment: float) -> int:
    return time.time_ns() - int((time.perf_counter() - moment) * 1e9)
