"""The line of the log for each request, and the histogram of its queries."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse
from tests.support.decided import recorded
from tests.support.own_thread import in_own_thread

from accounts.models import User
from legacy.models import Customer
from switchyard.routing import RoutingMiddleware
from switchyard.telemetry import request_log, snapshot
from switchyard.telemetry.metrics import REQUEST_QUERIES
from switchyard.telemetry.request_log import HEADER, RequestLogMiddleware

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def queries(_request: HttpRequest) -> HttpResponse:
    for _ in range(2):
        list(User.objects.all())
    list(Customer.objects.all())
    return HttpResponse(status=202)


async def queries_async(request: HttpRequest) -> HttpResponse:
    return await sync_to_async(queries)(request)


def nothing(_request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def logged(
    view: Any, caplog: pytest.LogCaptureFixture, match: object = None, **headers: str
) -> tuple[HttpResponse, Any]:
    """Return the response to a request, and its record of the log; None without a record."""
    request = HttpRequest()
    request.method = "GET"
    request.META |= {f"HTTP_{name.upper()}": value for name, value in headers.items()}
    request.resolver_match = match  # type: ignore[assignment]
    with caplog.at_level(logging.INFO, request_log.__name__), recorded():
        response: Any = RequestLogMiddleware(RoutingMiddleware(view))(request)
        if asyncio.iscoroutine(response):
            response = asyncio.run(in_own_thread(response))
    return response, next((each for each in caplog.records if each.name == request_log.__name__), None)


@pytest.mark.parametrize("view", [queries, queries_async])
@pytest.mark.django_db(databases=["default", "replica", "legacy"])
def test_request_log__work_by_alias(view: Any, caplog: pytest.LogCaptureFixture) -> None:
    """The line has the queries, seconds and decisions of each alias."""
    _, line = logged(view, caplog, SimpleNamespace(route="users/<int:key>", func=view))

    assert (line.levelname, line.method, line.route, line.status) == ("INFO", "GET", "users/<int:key>", 202)
    seconds = {alias: work.pop("seconds") for alias, work in line.databases.items()}
    assert line.databases == {
        "legacy": {"queries": 1, "decisions": {"owner": 1}},
        "replica": {"queries": 2, "decisions": {"replica": 2}},
    }
    assert 0 < sum(seconds.values()) < line.seconds


def test_request_log__nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A request without a query, and without a route, has a line as well."""
    _, line = logged(nothing, caplog)

    assert (line.route, line.databases) == (None, {})


@pytest.mark.parametrize(("sent", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 65, False)])
def test_request_log__request_id(caplog: pytest.LogCaptureFixture, sent: str, kept: bool) -> None:
    """The id of the client is kept if it is a short word; the response has the id of the line."""
    response, line = logged(nothing, caplog, x_request_id=sent)

    assert response.headers[HEADER] == line.request_id
    assert (line.request_id == sent) == kept
    assert len(line.request_id) <= 64


@pytest.mark.parametrize(("sent", "trace"), [(f"00-{TRACE}-0123456701234567-01", TRACE), ("00-x-y-01", None)])
def test_request_log__trace_id(caplog: pytest.LogCaptureFixture, sent: str, trace: str | None) -> None:
    """The id of a trace comes from the header of the W3C."""
    _, line = logged(nothing, caplog, traceparent=sent)

    assert getattr(line, "trace_id", None) == trace


def test_request_log__probe(caplog: pytest.LogCaptureFixture) -> None:
    """Requests of probes have a line with the level DEBUG only."""

    def readyz() -> None: ...

    readyz.__module__ = "switchyard.health.views"
    _, line = logged(nothing, caplog, SimpleNamespace(route="readyz", func=readyz))

    assert line is None


@pytest.mark.django_db(databases=["default", "replica", "legacy"])
def test_request_queries__by_alias(caplog: pytest.LogCaptureFixture) -> None:
    """A request counts once for each alias that it used, in the bucket of its queries."""
    before = snapshot()
    logged(queries, caplog)
    after = snapshot()

    for alias, number in (("replica", 2), ("legacy", 1)):
        labels = (("alias", alias),)
        assert after[f"{REQUEST_QUERIES}_count", labels] - before[f"{REQUEST_QUERIES}_count", labels] == 1
        assert after[f"{REQUEST_QUERIES}_sum", labels] - before[f"{REQUEST_QUERIES}_sum", labels] == number
    assert "default" in connections
