"""A span of OpenTelemetry for each call into a driver, in the trace of the request.

The instrumentation of Django makes the span of the request, and the SDK of the process exports both. Without an SDK the
API makes spans that nobody keeps. Only with SWITCHYARD["TRACES"]; without it, this module is not imported.
"""

from functools import lru_cache
from importlib.metadata import version
from typing import Any

from django.db import connections
from opentelemetry import trace
from opentelemetry.semconv.attributes import db_attributes
from opentelemetry.semconv.attributes.error_attributes import ERROR_TYPE
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, TracerProvider

from switchyard.routing.connections import annotations
from switchyard.sql import Statement, masked

ALIAS, REASON = "switchyard.alias", "switchyard.reason"

_MAX_TEXT = 2048  # characters of a text in a span
_MAX_CACHED_CHARACTERS = 4096


def install() -> None:
    """Make a span for each call from now on. A second call changes nothing."""
    annotations.trace_with(QueryTracer())


class QueryTracer:
    """Makes the spans: of the kind `client`, named by the verb and the table, with the semantic names of databases.

    Without a `provider` it takes the one of the process, also if that is set later.
    """

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self._tracer = trace.get_tracer("switchyard", version("switchyard"), tracer_provider=provider)

    def begin(self, alias: str, vendor: str, statement: Statement, text: str, reason: str | None) -> "QuerySpan":
        """Begin the span of a call, below the span that is current. It does not become current itself."""
        table = statement.tables[0] if len(statement.tables) == 1 else None
        name, attributes = _description(text[:_MAX_CACHED_CHARACTERS], vendor, table)
        attributes = {**attributes, ALIAS: alias}
        if reason is not None:
            attributes[REASON] = reason
        if vendor != "sqlite" and (database := connections.settings.get(alias, {}).get("NAME")):
            attributes[db_attributes.DB_NAMESPACE] = str(database)
        return QuerySpan(self._tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes))

    def trace_id(self) -> str | None:
        """Return the id of the trace of the current span; None without one."""
        context = trace.get_current_span().get_span_context()
        return trace.format_trace_id(context.trace_id) if context.is_valid else None


class QuerySpan:
    """The span of one call."""

    __slots__ = ("_span",)

    def __init__(self, span: Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str:
        """The span as the header of the W3C, so that a server's log leads to it; empty without an SDK."""
        context = self._span.get_span_context()
        trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
        return f"00-{trace_id}-{span_id}-{context.trace_flags:02x}" if context.is_valid else ""

    def end(self, error: BaseException | None) -> None:
        """End the span, with the class and the code of an error. Its message may hold values of rows."""
        if error is not None and not isinstance(error, GeneratorExit):  # the closing of a generator is no error
            self._span.set_attribute(ERROR_TYPE, type(error).__qualname__)
            if code := _code_of(error):
                self._span.set_attribute(db_attributes.DB_RESPONSE_STATUS_CODE, code)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


def _code_of(error: BaseException) -> str | None:
    """Return the code of the server: the SQLSTATE on PostgreSQL, the number on MySQL."""
    sqlstate: Any = getattr(error, "sqlstate", None)
    number = error.args[0] if error.args and isinstance(error.args[0], int) else None
    return sqlstate or (None if number is None else str(number))


@lru_cache(maxsize=1024)
def _description(text: str, vendor: str, table: str | None) -> tuple[str, dict[str, str]]:
    """Return the name of the span, and the attributes that follow from the text."""
    shown = masked(text, vendor, max_length=_MAX_TEXT)
    verb = shown.partition(" ")[0].upper()
    operation = verb if verb.isalpha() else ""  # nobody knows the verb of a text that is not understood
    name = f"{operation} {table or ''}".strip()
    attributes = {
        db_attributes.DB_SYSTEM_NAME: vendor,
        db_attributes.DB_QUERY_TEXT: shown,
        db_attributes.DB_QUERY_SUMMARY: name,
        db_attributes.DB_OPERATION_NAME: operation,
        db_attributes.DB_COLLECTION_NAME: table,
    }
    return name or vendor, {key: value for key, value in attributes.items() if value}
