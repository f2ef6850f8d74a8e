"""The middleware marks what runs inside it as a request, plain or async, and forgets it afterwards."""

import asyncio

import pytest
from django.http import HttpRequest, HttpResponse

from switchyard.routing import RoutingMiddleware, allow_writes
from switchyard.routing.errors import AllowWritesError


def writing(request: HttpRequest) -> HttpResponse:
    with allow_writes("legacy", reason="a view's"):
        return HttpResponse()


async def writing_async(request: HttpRequest) -> HttpResponse:
    return writing(request)


def test_routing_middleware__a_view_that_allows_writes() -> None:
    """It is refused, and after the request the thread may allow them again."""
    with pytest.raises(AllowWritesError):
        RoutingMiddleware(writing)(HttpRequest())

    assert writing(HttpRequest()).status_code == 200


def test_routing_middleware__an_async_view_that_allows_writes() -> None:
    """It is refused as well, and after the request the task may allow them again."""

    async def asked() -> int:
        with pytest.raises(AllowWritesError):
            await RoutingMiddleware(writing_async)(HttpRequest())  # type: ignore[misc]  # async in, async out
        return (await writing_async(HttpRequest())).status_code

    assert asyncio.run(asked()) == 200
