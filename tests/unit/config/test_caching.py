"""Answers of the API and caches."""

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from tests.support.client import api_client

from config.caching import api_cache_control


@pytest.mark.django_db(databases=["default", "replica"])
@pytest.mark.parametrize(
    ("path", "status"), [("/api/aliases", 200), ("/api/users", 200), ("/api/users/1", 404), ("/api/nowhere", 404)]
)
def test_api_cache_control__answers_of_the_api(path: str, status: int) -> None:
    """No cache keeps an answer of the API, found or not."""
    response = api_client().get(path)

    assert (response.status_code, response.headers["Cache-Control"]) == (status, "private, no-store")


@pytest.mark.parametrize(("path", "status"), [("/api/users", 401), ("/api", 301)])
def test_api_cache_control__without_a_token(path: str, status: int) -> None:
    """The same holds for a refusal and for a redirect."""
    response = Client().get(path)

    assert (response.status_code, response.headers["Cache-Control"]) == (status, "private, no-store")


@pytest.mark.parametrize(("path", "expected"), [("/api/x", "max-age=5"), ("/console/", "max-age=5")])
def test_api_cache_control__a_view_that_says_otherwise(path: str, expected: str) -> None:
    """The header of a view stays."""

    def view(_request: HttpRequest) -> HttpResponse:
        return HttpResponse(headers={"Cache-Control": "max-age=5"})

    assert api_cache_control(view)(RequestFactory().get(path)).headers["Cache-Control"] == expected


@pytest.mark.parametrize("path", ["/console/", "/apis"])
def test_api_cache_control__other_paths(path: str) -> None:
    """Other answers are not changed."""
    response = api_cache_control(lambda _request: HttpResponse())(RequestFactory().get(path))

    assert not response.has_header("Cache-Control")
