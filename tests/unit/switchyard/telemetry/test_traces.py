"""A span for each call into a driver, as a collector gets it: its trace, its names, its alias and reason."""

import logging
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from pytest_django.plugin import DjangoDbBlocker
from tests.support.collector import Collector, traced
from tests.support.connected import connected

from accounts.models import User
from analytics.models import AnalyticsEvent
from config.databases import topology
from switchyard.routing import RoutingMiddleware, use_primary
from switchyard.routing.connections import calls
from switchyard.routing.session.context import activate, request_context
from switchyard.telemetry import request_log, traces
from switchyard.telemetry.request_log import RequestLogMiddleware

SAMPLED = TracerProvider(shutdown_on_exit=False).get_tracer("a test")
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-0123456701234567-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    """Trace the queries of a request of its own."""
    with activate(request_context()), traced() as collector:
        yield collector


def run(alias: str, sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


@pytest.mark.django_db(databases=["default", "replica", "analytics"])
def test_span__alias_and_reason(collector: Collector) -> None:
    """Each query has the alias that answered it, and the rule that chose the alias."""
    list(User.objects.all())
    list(User.objects.using("default"))
    with use_primary():
        list(User.objects.all())
    list(AnalyticsEvent.objects.all())
    AnalyticsEvent.objects.filter(pk=-1).update(kind="login")
    run("default", "SELECT 1")

    assert [span.route for span in collector.queries()] == [
        ("replica", "replica"),
        ("default", None),
        ("default", "override"),
        ("analytics", "owner"),
        ("analytics", "write"),
        ("default", None),
    ]


@pytest.mark.django_db(databases=["legacy"])
def test_span__semantic_names(collector: Collector) -> None:
    """A span has the names of OpenTelemetry's conventions, and a text without values."""
    run("legacy", "SELECT name FROM customers WHERE email = 'a@example.org' AND id = %s", 5)

    (span,) = collector.queries()
    assert (span.name, span.kind, span.failed) == ("SELECT customers", "CLIENT", False)
    assert span.attributes == {
        "db.system.name": "sqlite",
        "db.operation.name": "SELECT",
        "db.collection.name": "customers",
        "db.query.summary": "SELECT customers",
        "db.query.text": "SELECT name FROM customers WHERE email = '...' AND id = %s",
        "switchyard.alias": "legacy",
    }


@pytest.mark.django_db(databases=["default"])
def test_span__below_the_current_span(collector: Collector) -> None:
    """The span belongs to the trace of the code that sends the query."""
    with SAMPLED.start_as_current_span("request") as parent:
        run("default", "SELECT 1")

    (span,) = collector.queries()
    context = parent.get_span_context()
    assert span.trace_id == trace.format_trace_id(context.trace_id)
    assert span.parent_id == trace.format_span_id(context.span_id)


@pytest.mark.django_db(databases=["default"])
def test_span__of_a_failed_call(collector: Collector) -> None:
    """An error has its class, and no message: it may hold values."""
    with pytest.raises(DatabaseError):
        run("default", "SELECT 'secret' FROM absent")

    (span,) = collector.queries()
    assert span.failed
    assert span.attributes["error.type"] == sqlite3.OperationalError.__name__
    assert "secret" not in str(span)


@pytest.mark.django_db(databases=["default"])
def test_span__each_way_to_call(collector: Collector) -> None:
    """`executemany`, a script and a cursor in pieces are one span each."""
    with connections["default"].cursor() as cursor:
        cursor.executemany("UPDATE accounts_user SET username = %s WHERE id = -1", [["a"], ["b"]])
    list(User.objects.using("default").iterator(chunk_size=1))
    with connections["default"].cursor() as cursor:
        cursor.cursor.executescript("SELECT 1; SELECT 2;")

    assert [span.name for span in collector.queries()] == ["UPDATE accounts_user", "SELECT accounts_user", "SELECT"]


def test_span__of_a_moved_read(tmp_path: Path, django_db_blocker: DjangoDbBlocker, collector: Collector) -> None:
    """A read whose replica cannot be opened has the alias that answered it."""
    databases = topology({}, data_dir=tmp_path).databases
    databases["replica"] = {**databases["replica"], "NAME": str(tmp_path / "absent" / "file"), "OPTIONS": {}}
    with django_db_blocker.unblock(), connected(databases):
        run("default", "CREATE TABLE accounts_user (id integer)")
        User.objects.exists()

    moved = collector.queries()[-1]
    assert (moved.name, moved.route) == ("SELECT accounts_user", ("default", "failover"))


@pytest.mark.parametrize("is_traced", [True, False])
def test_request_log__trace_of_the_running_span(is_traced: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The line of a request has the id of the running trace; without a tracer that of the client."""

    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    request = HttpRequest()
    request.META["HTTP_TRACEPARENT"] = PARENT
    with caplog.at_level(logging.INFO, request_log.__name__), SAMPLED.start_as_current_span("request") as running:
        if is_traced:
            with traced():
                RequestLogMiddleware(RoutingMiddleware(view))(request)
        else:
            RequestLogMiddleware(RoutingMiddleware(view))(request)

    line: Any = next(each for each in caplog.records if each.name == request_log.__name__)
    expected = trace.format_trace_id(running.get_span_context().trace_id)
    assert line.trace_id == (expected if is_traced else PARENT[3:35])


def test_traceparent__of_a_span() -> None:
    """The text names the span; without an SDK there is none."""
    span = SAMPLED.start_span("query")
    context = span.get_span_context()

    assert traces.QuerySpan(span).traceparent == (
        f"00-{trace.format_trace_id(context.trace_id)}-{trace.format_span_id(context.span_id)}-{context.trace_flags:02x}"
    )
    assert traces.QuerySpan(trace.INVALID_SPAN).traceparent == ""


@pytest.mark.parametrize(("switches", "is_on"), [({}, False), ({"SQL_COMMENTS": True}, True)])
def test_install__nothing_without_a_setting(switches: dict[str, bool], is_on: bool) -> None:
    """A call has no annotation unless a setting asks for one."""
    with override_settings(SWITCHYARD={"OWNERS": {"*": "default"}, **switches}):
        assert (calls._annotate is not None) is is_on
    assert calls._annotate is None
