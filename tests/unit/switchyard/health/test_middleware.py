"""/livez: the process serves requests, whatever the state of its databases."""

import asyncio
from http import HTTPStatus

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient, Client, RequestFactory

from switchyard.health.middleware import LivezMiddleware


@pytest.mark.parametrize("host", ["localhost", "10.1.2.3:8000", "no host at all"])
def test_livez__by_any_name(client: Client, host: str) -> None:
    """A probe may send any Host header. The test may not use a database."""
    response = client.get("/livez", headers={"host": host})

    assert response.status_code == HTTPStatus.OK
    assert response.content == b"ok"
    assert response.headers["Cache-Control"] == "no-store"


def test_livez__under_asgi() -> None:
    """An asynchronous server gives the same answer."""
    response = asyncio.run(AsyncClient().get("/livez"))

    assert response.status_code == HTTPStatus.OK


@pytest.mark.parametrize("path", ["/", "/livez/", "/api/livez", "/readyz"])
def test_middleware__other_path(path: str) -> None:
    """Requests for other paths reach the view unchanged."""
    middleware = LivezMiddleware(lambda request: HttpResponse(request.path))

    response = middleware(RequestFactory().get(path))

    assert isinstance(response, HttpResponse)
    assert response.content == path.encode()


def test_middleware__other_path_under_asgi() -> None:
    """An asynchronous view is awaited."""

    async def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(request.path)

    async def respond() -> object:
        answer = LivezMiddleware(view)(RequestFactory().get("/readyz"))
        assert not isinstance(answer, HttpResponse)
        return await answer  # type: ignore[misc]

    response = asyncio.run(respond())

    assert isinstance(response, HttpResponse)
    assert response.content == b"/readyz"
