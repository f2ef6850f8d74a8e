"""The API as a whole: its token, its list of aliases, and its errors as problems."""

import json
from contextlib import contextmanager

import pytest
from django.db import InterfaceError, OperationalError, connections
from django.test import Client
from tests.support.client import api_client

from accounts.models import User
from config.api import compose
from config.service_apps import SERVICE_APPS, ServiceApp
from switchyard.testing import assert_queries

PATHS = ["users", "users/1", "users/active", "events", "reports", "legacy/customers", "aliases", "docs", "openapi.json"]


def is_problem(response, status):
    body = json.loads(response.content)
    return (response.status_code, response["Content-Type"], body["status"]) == (
        status,
        "application/problem+json",
        status,
    )


@pytest.mark.parametrize("path", [*PATHS, "nowhere", "users/abc", "users/"])
@pytest.mark.parametrize("method", ["get", "post", "delete", "options", "trace"])
def test_token__missing(path, method):
    """401 with the scheme, for every path and method, without a query."""
    with assert_queries():
        response = getattr(Client(), method)(f"/api/{path}")

    assert is_problem(response, 401)
    assert response["WWW-Authenticate"] == 'Bearer realm="switchyard"'


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic secret",
        "secret",
        "Bearer secret2",
        "Bearer s\xe9cret",
        "Bearer €",
    ],
)
def test_token__wrong(header, settings):
    """401, also for a token with non-ASCII letters."""
    settings.API_TOKEN = "secret"

    assert is_problem(Client(headers={"Authorization": header}).get("/api/aliases"), 401)


def test_token__not_configured(settings):
    """401: an empty API_TOKEN opens nothing."""
    settings.API_TOKEN = ""

    assert is_problem(Client(headers={"Authorization": "Bearer "}).get("/api/aliases"), 401)


@pytest.mark.parametrize("token", ["secret", "s\u00e9cret \u20ac"])
@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_token__right(token, scheme, settings):
    """The token opens the API, also with non-ASCII letters, which WSGI decodes as Latin-1."""
    settings.API_TOKEN = token
    header = f"{scheme} {token}".encode().decode("latin-1")

    assert Client(headers={"Authorization": header}).get("/api/aliases").status_code == 200


@pytest.mark.parametrize("path", ["docs", "openapi.json"])
@pytest.mark.django_db(databases=["default"])
def test_token__staff_reads_documentation(path):
    """A browser with the session of a staff member sees the documentation without the token."""
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True))

    assert client.get(f"/api/{path}").status_code == 200


@pytest.mark.django_db(databases=["default"])
def test_token__session_of_others():
    """The session of another user does not show the documentation."""
    client = Client()
    client.force_login(User.objects.create(username="ada"))

    assert is_problem(client.get("/api/docs"), 401)


@pytest.mark.django_db(databases=["default"])
def test_token__staff_without_token():
    """The session of a staff member opens only the documentation."""
    client = Client()
    client.force_login(User.objects.create(username="ada", is_staff=True))

    assert is_problem(client.get("/api/aliases"), 401)


def test_token__docs():
    """The token shows the documentation, without a query."""
    with assert_queries():
        response = api_client().get("/api/docs")

    assert response.status_code == 200
    assert b"swagger" in response.content


@pytest.mark.parametrize("path", ["nowhere", "users/abc", "users/", "users/1/more", ""])
def test_path__unknown(path):
    """404 as a problem."""
    assert is_problem(api_client().get(f"/api/{path}"), 404)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [("users", "PUT", "GET, POST"), ("users/1", "POST", "DELETE, GET, PATCH"), ("aliases", "QUERY", "GET")],
)
def test_path__wrong_method(path, method, allowed):
    """405 as a problem that lists the methods of the path."""
    response = api_client().generic(method, f"/api/{path}")

    assert is_problem(response, 405)
    assert response["Allow"] == allowed


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff",
        b'{"username": NaN}',
        b'{"username": "\\ud800"}',
        b"[" * 100_000,
        b'{"username": 1' + b"0" * 10_000,
        '{"username": "ada"}'.encode("utf-16"),
    ],
    ids=["cut", "no UTF-8", "NaN", "surrogate", "deep", "long number", "UTF-16"],
)
def test_body__no_json(body):
    """400 as a problem, without a query."""
    with assert_queries():
        response = api_client().post("/api/users", body, content_type="application/json")

    assert is_problem(response, 400)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_body__no_json_type(content_type):
    """415 as a problem that names the type to send."""
    response = api_client().generic("POST", "/api/users", b'{"username": "ada"}', content_type=content_type)

    assert is_problem(response, 415)
    assert "application/json" in response.json()["detail"]


def test_body__too_big(settings):
    """413 as a problem."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 10

    assert is_problem(api_client().post("/api/users", {"username": "a" * 100}, content_type="application/json"), 413)


def test_query__too_many_parameters():
    """400 as a problem."""
    assert is_problem(api_client().get("/api/users?" + "&".join(f"p{n}=1" for n in range(2000))), 400)


def test_csrf__bearer(settings):
    """A request with the token needs no CSRF token."""
    client = Client(enforce_csrf_checks=True, headers={"Authorization": f"Bearer {settings.API_TOKEN}"})

    response = client.post("/api/users", {}, content_type="application/json")

    assert response.status_code == 422


def test_aliases__embedded(settings):
    """Every alias with its vendor, its role and its apps, and no host; no query is made."""
    with assert_queries():
        response = api_client().get("/api/aliases")

    listed = {alias.pop("alias"): alias for alias in response.json()}
    assert listed.keys() == settings.DATABASES.keys()
    accounts = {"vendor": "sqlite", "apps": ["accounts", "admin", "auth", "contenttypes", "sessions"]}
    assert {alias: listed[alias] for alias in ("default", "replica", "analytics", "legacy")} == {
        "default": {**accounts, "role": "primary", "replica_of": None},
        "replica": {**accounts, "role": "replica", "replica_of": "default"},
        "analytics": {"vendor": "sqlite", "role": "primary", "replica_of": None, "apps": ["analytics", "reporting"]},
        "legacy": {"vendor": "sqlite", "role": "primary", "replica_of": None, "apps": ["legacy"]},
    }


def test_api__absent_app(settings):
    """Apps that are not installed have no paths."""
    absent = {app.label for app in SERVICE_APPS} - {"accounts"}
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if app not in absent]

    paths = compose().get_openapi_schema(path_prefix="/api/")["paths"]

    assert set(paths) == {"/api/aliases", "/api/users", "/api/users/{user_id}"}


def test_api__app_without_a_module_api(monkeypatch):
    """An installed app without a module `api` has no paths."""
    monkeypatch.setattr("config.api.SERVICE_APPS", [ServiceApp("switchyard", owner="default")])

    paths = compose().get_openapi_schema(path_prefix="/api/")["paths"]

    assert set(paths) == {"/api/aliases"}


@contextmanager
def failing(error):
    """Raise the error for every statement on the primary and its replica, as a driver would."""

    def fail(*_arguments):
        raise error

    with connections["default"].execute_wrapper(fail), connections["replica"].execute_wrapper(fail):
        yield


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError])
@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_failure__database_under_api(kind):
    """503 as a problem with Retry-After and without the driver's message."""
    with failing(kind("connection to 10.1.2.3 refused")):
        response = api_client().get("/api/users")

    assert is_problem(response, 503)
    assert response["Retry-After"]
    assert b"10.1.2.3" not in response.content


@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_failure__exception_under_api():
    """500 as a problem without the exception's message."""
    with failing(ArithmeticError("at 10.1.2.3")):
        response = api_client().get("/api/users")

    assert is_problem(response, 500)
    assert b"10.1.2.3" not in response.content


@pytest.mark.parametrize(("kind", "status"), [(OperationalError, 503), (ArithmeticError, 500)])
@pytest.mark.django_db(databases=["default", "replica"], transaction=True)
def test_failure__outside_api(kind, status):
    """Outside of the API, the same status as plain text: here a sign-in while the primary is down."""
    with failing(kind("at 10.1.2.3")):
        response = Client(raise_request_exception=False).post("/admin/login/", {"username": "a", "password": "b"})

    assert (response.status_code, response["Content-Type"]) == (status, "text/plain; charset=utf-8")
    assert ("Retry-After" in response) == (status == 503)
    assert b"10.1.2.3" not in response.content


def test_bad_request__wrong_host(settings):
    """A host that is not allowed gets 400 as a problem."""
    settings.ALLOWED_HOSTS = ["good.example.com"]

    assert is_problem(api_client().get("/api/users", headers={"Host": "evil.example.com"}), 400)
