"""Traces of the service under gunicorn, and of queries on real servers, as a collector gets them over OTLP."""

import json
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections, transaction
from tests.support.collector import Collector, collecting, traced
from tests.support.gunicorn import TOKEN, Gunicorn, database_environ, serving
from tests.support.servers import Servers
from tests.support.waiting import until

from accounts.models import User
from legacy.models import Customer
from switchyard.routing import use_primary

PARENT_TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
PARENT = f"00-{PARENT_TRACE}-0123456701234567-01"


def ask(service: Gunicorn, path: str, **headers: str) -> int:
    """Send a GET request; return the status."""
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:
        connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}", **headers})
        response = connection.getresponse()
        response.read()
        return response.status


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Return the lines of the log for requests."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "request"]


def test_service__one_trace_of_a_request(tmp_path: Path) -> None:
    """A request is one span with a span for each query; they go on with the client's trace, which the log names.

    A worker sends what is left when it ends, and probes make no trace.
    """
    log = tmp_path / "log"
    environ = database_environ(tmp_path, users=3)
    with collecting() as collector:
        traced_by = {"TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint}
        with serving({**environ, **traced_by}, "--workers", "1", log=log) as service:
            assert ask(service, "/api/users?limit=2", traceparent=PARENT) == 200
            assert ask(service, "/api/users/1") == 200
            assert ask(service, "/readyz") == 200

    requests = [span for span in collector.spans if span.kind == "SERVER"]
    queries = collector.queries()
    assert [span.name for span in requests] == ["GET api/users", "GET api/users/<int:user_id>"]
    assert collector.services == {"switchyard"}
    assert [(span.name, span.route) for span in queries] == [("SELECT accounts_user", ("replica", "replica"))] * 2
    assert [span.parent_id for span in queries] == [span.span_id for span in requests]
    assert [span.trace_id for span in queries] == [span.trace_id for span in requests]
    assert requests[0].trace_id == PARENT_TRACE
    assert [line["trace_id"] for line in lines_of(log)] == [span.trace_id for span in requests]


def test_service__collector_that_is_away(tmp_path: Path) -> None:
    """Requests are served while nobody takes the spans."""
    environ = database_environ(tmp_path, users=1)
    nowhere = {"TRACES": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_TIMEOUT": "1"}
    with serving({**environ, **nowhere}, "--workers", "1") as service:
        assert [ask(service, "/api/users/1") for _ in range(3)] == [200, 200, 200]


@pytest.fixture
def collector(real_databases: Servers) -> Iterator[Collector]:
    """Trace the queries of this process on the four servers."""
    with traced() as collector:
        yield collector


@pytest.mark.docker
def test_span__each_call_of_postgresql(collector: Collector) -> None:
    """A server-side cursor, COPY and `stream()` are one span each, with the name of the database."""
    list(User.objects.using("default").iterator(chunk_size=1))
    with connections["default"].cursor() as cursor:
        with cursor.copy("COPY accounts_user TO STDOUT") as copy:
            list(copy)
        list(cursor.stream("SELECT 1"))

    spans = collector.queries()
    assert [span.name for span in spans] == ["SELECT accounts_user", "COPY accounts_user", "SELECT"]
    assert {span.attributes["db.namespace"] for span in spans} == {"switchyard"}
    assert {span.attributes["db.system.name"] for span in spans} == {"postgresql"}


@pytest.mark.docker
def test_span__codes_of_errors(collector: Collector) -> None:
    """The span of an error has the code of the server."""
    for alias in ("default", "legacy"):
        with pytest.raises(DatabaseError), connections[alias].cursor() as cursor:
            cursor.execute("SELECT * FROM absent")

    codes = [span.attributes["db.response.status_code"] for span in collector.queries()]
    assert codes == ["42P01", "1146"]


@pytest.mark.docker
def test_span__reasons(collector: Collector) -> None:
    """Reads have their rule on each server."""
    list(User.objects.all())
    with use_primary():
        list(User.objects.all())
    with transaction.atomic("default"):
        list(User.objects.all())
    list(Customer.objects.all())

    assert [span.route for span in collector.queries()] == [
        ("replica", "replica"),
        ("default", "override"),
        ("default", "in_transaction"),
        ("legacy", "owner"),
    ]


@pytest.mark.docker
def test_span__each_attempt_of_a_moved_read(real_databases: Servers, collector: Collector) -> None:
    """A read that its replica breaks off has a failed span there, and one on the owner that answers."""
    list(User.objects.all())  # opens the connection
    collector.spans.clear()
    real_databases.ask("replica", TERMINATE)
    list(User.objects.all())

    assert [(span.route, span.failed) for span in collector.queries()] == [
        (("replica", "replica"), True),
        (("default", "failover"), False),
    ]
    until(lambda: list(User.objects.all()) == [], "the replica answers again")
