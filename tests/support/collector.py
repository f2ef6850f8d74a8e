"""A collector of traces in this process: an HTTP server that decodes what an OTLP exporter sends."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SentSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from switchyard.routing.connections import annotations
from switchyard.telemetry.traces import ALIAS, REASON, QueryTracer


@dataclass(frozen=True)
class Span:
    """One span as it arrived."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    failed: bool
    attributes: dict[str, Any]

    @property
    def route(self) -> tuple[str | None, str | None]:
        """The alias and the reason."""
        return self.attributes.get(ALIAS), self.attributes.get(REASON)


@dataclass
class Collector:
    """The spans that arrived, and the address to which an exporter sends them."""

    endpoint: str = ""
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    def queries(self) -> list[Span]:
        """Return the spans of queries, in the order of their ends."""
        return [span for span in self.spans if ALIAS in span.attributes]

    def take(self, body: bytes) -> None:
        """Keep the spans of one message."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            given = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(given.get("service.name", ""))
            for scope in resource.scope_spans:
                self.spans.extend(_span(sent) for sent in scope.spans)


def _span(sent: SentSpan) -> Span:
    return Span(
        name=sent.name,
        trace_id=sent.trace_id.hex(),
        span_id=sent.span_id.hex(),
        parent_id=sent.parent_span_id.hex(),
        kind=SentSpan.SpanKind.Name(sent.kind).removeprefix("SPAN_KIND_"),
        failed=sent.status.code == Status.STATUS_CODE_ERROR,
        attributes={each.key: getattr(each.value, str(each.value.WhichOneof("value"))) for each in sent.attributes},
    )


@contextmanager
def collecting() -> Iterator[Collector]:
    """Yield a collector that takes spans over HTTP in this block."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.end_headers()
            self.wfile.write(ExportTraceServiceResponse().SerializeToString())

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collector.endpoint = f"http://127.0.0.1:{server.server_port}"
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def traced() -> Iterator[Collector]:
    """Yield a collector to which this process sends a span for each query in this block, at the end of the query."""
    with collecting() as collector:
        provider = TracerProvider(shutdown_on_exit=False)
        exporter = OTLPSpanExporter(endpoint=f"{collector.endpoint}/v1/traces")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        annotations.trace_with(QueryTracer(provider))
        try:
            yield collector
        finally:
            annotations.trace_with(None)
            provider.shutdown()
