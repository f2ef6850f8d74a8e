"""The `Server-Timing` header: the aliases of the queries of one request, and the rules."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import router
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from tests.support.decided import recorded

from accounts.models import User
from legacy.models import Customer
from switchyard.conf import conf
from switchyard.routing import RoutingMiddleware
from switchyard.routing.contrib.request_record import RequestRecord
from switchyard.routing.contrib.server_timing import HEADER, header

ON = {"OWNERS": {"*": "default", "legacy": "legacy"}, "REPLICAS": {"default": ["replica"]}, "SERVER_TIMING": True}


@pytest.fixture(autouse=True)
def own_counter() -> Iterator[None]:
    """Give each test a decision counter of its own."""
    with recorded():
        yield


def queries(request: HttpRequest) -> HttpResponse:
    for _ in range(2):
        list(User.objects.all())
    list(Customer.objects.all())
    return HttpResponse()


def routes(request: HttpRequest) -> HttpResponse:
    router.db_for_write(User)
    return HttpResponse(headers={HEADER: "cache;dur=2"})


async def routes_async(request: HttpRequest) -> HttpResponse:
    await sync_to_async(router.db_for_write)(User)
    return HttpResponse()


def silent(request: HttpRequest) -> HttpResponse:
    return HttpResponse()


def header_of(view: Any) -> str | None:
    """Return the header of the view's response."""
    with override_settings(SWITCHYARD=ON):
        request = HttpRequest()
        request.method = "GET"
        response: Any = RoutingMiddleware(view)(request)
        if asyncio.iscoroutine(response):
            response = asyncio.run(response)
    header: str | None = response.headers.get(HEADER)
    return header


@pytest.mark.django_db(databases=["default", "replica", "legacy"])
def test_server_timing__by_alias() -> None:
    """The header has the decisions of each alias by rule, and the milliseconds of its queries."""
    header = str(header_of(queries))

    assert (
        re.sub(r"\d+\.\d{3}", "0.1", header) == 'db-legacy;desc="1 owner";dur=0.1, db-replica;desc="2 replica";dur=0.1'
    )
    assert "dur=0.000" not in header


def test_server_timing__no_query() -> None:
    """A response without a query has no header."""
    assert header_of(silent) is None


def test_server_timing__off() -> None:
    """The setting is off by default."""
    assert not conf.server_timing


def test_server_timing__beside_another_entry() -> None:
    """An entry of the project itself stays."""
    assert header_of(routes) == 'cache;dur=2, db-default;desc="1 write";dur=0.000'


def test_server_timing__async() -> None:
    """The decisions of an async view are recorded, also those in its threads."""
    assert header_of(routes_async) == 'db-default;desc="1 write";dur=0.000'


def test_server_timing__after_a_request() -> None:
    """A decision outside requests is not recorded in the next request."""
    header_of(routes)
    router.db_for_write(User)

    assert header_of(silent) is None


def test_header__an_alias_that_is_no_token() -> None:
    """Characters that are not allowed in the header become underscores."""
    record = RequestRecord()
    record.rules["my db"]["default"] += 3
    record.rules["my db"]["pinned"] += 1
    record.seconds["my db"] += 0.0123

    assert header(record) == 'db-my_db;desc="3 default, 1 pinned";dur=12.300'
