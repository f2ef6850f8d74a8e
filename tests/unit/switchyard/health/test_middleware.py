"""/livez: the process serves, whatever its databases do."""

import asyncio
from http import HTTPStatus

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from switchyard.health.middleware import LivezMiddleware


@pytest.mark.parametrize("host", ["localhost", "10.1.2.3:8000", "no host at all"])
def test_livez__by_any_name(client: Client, host: str) -> None:
    """Whatever name a probe calls the service by, it is told that the process lives. No database is allowed here."""
    response = client.get("/livez", headers={"host": host})

    assert response.status_code == HTTPStatus.OK
    assert response.content == b"ok"
    assert response.headers["Cache-Control"] == "no-store"


def test_livez__under_asgi() -> None:
    """It is the same where requests are served asynchronously."""
    response = asyncio.run(AsyncClient().get("/livez"))

    assert response.status_code == HTTPStatus.OK


@pytest.mark.parametrize("path", ["/", "/livez/", "/api/livez", "/readyz"])
def test_livez__not_asked(path: str) -> None:
    """Every other path goes on as it came."""
    middleware = LivezMiddleware(lambda request: HttpResponse(request.path))

    response = middleware(RequestFactory().get(path))

    assert isinstance(response, HttpResponse)
    assert response.content == path.encode()


def test_livez__not_asked_under_asgi() -> None:
    """An asynchronous view is awaited."""

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.path)

    async def ask() -> object:
        answer = LivezMiddleware(view)(RequestFactory().get("/readyz"))
        assert not isinstance(answer, HttpResponse)
        return await answer  # type: ignore[misc]

    response = asyncio.run(ask())

    assert isinstance(response, HttpResponse)
    assert response.content == b"/readyz"
