"""The traces of a worker: a span for each request, and the exporter that sends all spans to a collector.

The spans of queries are the package's (`switchyard.telemetry.traces`). The variables of OpenTelemetry itself
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, ...) say where the spans go, and how many. Imported only with
TRACES, because OpenTelemetry takes memory.
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

_PROBES = r"/(livez|readyz|startupz|healthz)$"
# Below LivezMiddleware, which answers before everything, and above the log of requests, whose line names the trace.
_POSITION = 1


def start() -> None:
    """Make and send spans from now on. Call it in each worker, before Django loads the middleware.

    A thread sends the spans, and drops them while the collector does not answer: no request waits for it.
    """
    os.environ.setdefault("OTEL_SERVICE_NAME", "switchyard")
    os.environ.setdefault("OTEL_SEMCONV_STABILITY_OPT_IN", "http")  # today's names, as those of the queries
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    DjangoInstrumentor().instrument(middleware_position=_POSITION, excluded_urls=_PROBES)
