"""Traces of a whole exchange, as a collector gets them."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from running_exchange import RunningExchange

from exchange.services.admin import Admin

COLLECTED_S_MAX = 60.0


class Collector:
    """Takes spans over HTTP, and remembers them with the service that they came from."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, Span]] = []
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.take(ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                """What comes is looked at elsewhere."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: ExportTraceServiceRequest) -> None:
        for one in request.resource_spans:
            names = {pair.key: pair.value.string_value for pair in one.resource.attributes}
            for scope in one.scope_spans:
                self.spans += [(names["service.name"], span) for span in scope.spans]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


def test_a_command_is_one_trace_of_all_services(
    tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
    exchange = RunningExchange(tmp_path / "data")

    exchange.start()
    try:
        Admin.find(exchange.data).post("accounts", body={"name": "alice"})
        wanted = {
            ("exchange-backend", "CreateAccount"),
            ("exchange-engine", "execute"),
            ("exchange-db-processor", "write"),
            ("exchange-websocket", "tell"),
        }
        deadline = time.monotonic() + COLLECTED_S_MAX
        while (found := _trace_of(collector, "CreateAccount")) != wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)
    finally:
        assert exchange.stop() == 0


def _trace_of(collector: Collector, command: str) -> set[tuple[str, str]]:
    """Who did what for the last such command, all below its first span."""
    spans = list(collector.spans)
    first = next((span for _, span in reversed(spans) if span.name == command), None)
    if first is None:
        return set()
    same = [(who, span) for who, span in spans if span.trace_id == first.trace_id]
    assert all(span.parent_span_id in (b"", first.span_id) for _, span in same)
    return {(who, span.name) for who, span in same}
