"""Queries and whole requests to run in a contender, on the servers of its environment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from typing import Any
from wsgiref.util import setup_testing_defaults

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.test import override_settings
from tests.bench.pair import KNOWN, VALUE
from tests.bench.service.models import Row

type Call = Callable[[], object]

READS = "default" if settings.STACK == "plain" else "replica"


@contextmanager
def query(get: Callable[[], Row], *, alias: str) -> Iterator[Call]:
    """A query that must be read from the alias: a read elsewhere cannot be compared."""
    if (read := get()._state.db) != alias:
        raise SystemExit(f"'{settings.STACK}' read from '{read}' instead of '{alias}'.")
    yield get


@contextmanager
def request(handler: Callable[..., Any], environ: dict[str, Any], *, expected: tuple[str, bytes]) -> Iterator[Call]:
    """A whole request, from the WSGI environment to the last byte of the response, which must be the expected one."""
    if (found := answer(handler, environ)) != expected:
        raise SystemExit(f"'{settings.STACK}' answered {environ['PATH_INFO']} with {found} instead of {expected}.")
    yield partial(answer, handler, environ)


def answer(handler: Callable[..., Any], environ: dict[str, Any]) -> tuple[str, bytes]:
    """Return the status and the body, like a server."""
    started: list[str] = []
    response = handler({**environ, "wsgi.input": BytesIO()}, lambda status, headers, exc=None: started.append(status))
    try:
        return started[0], b"".join(response)
    finally:
        response.close()


def asking(method: str, path: str) -> dict[str, Any]:
    """Return the WSGI environment of a request."""
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    return environ | {"REQUEST_METHOD": method, "PATH_INFO": path, "HTTP_HOST": "localhost"}


def read_by(alias: str) -> tuple[str, bytes]:
    """Return the response to a read on this alias."""
    return "200 OK", f'{{"value": {VALUE}, "alias": "{alias}"}}'.encode()


serves = WSGIHandler()
with override_settings(MIDDLEWARE=[each for each in settings.MIDDLEWARE if not each.startswith("switchyard.routing.")]):
    serves_without_routing = WSGIHandler()

_READ, _WIRED, _WRITE = (
    asking("GET", f"/rows/{KNOWN}"),
    asking("GET", f"/wired/{KNOWN}"),
    asking("POST", f"/write/204/{KNOWN}/{VALUE}"),
)
WORKLOADS = {
    "get()": partial(query, lambda: Row.objects.get(key=KNOWN), alias=READS),
    "db_manager().get()": partial(query, lambda: Row.objects.db_manager(READS).get(key=KNOWN), alias=READS),
    "using().get()": partial(query, lambda: Row.objects.using(READS).get(key=KNOWN), alias=READS),
    "read request": partial(request, serves, _READ, expected=read_by(READS)),
    "wired read request": partial(request, serves_without_routing, _WIRED, expected=read_by("replica")),
    "write request": partial(request, serves, _WRITE, expected=("204 No Content", b"")),
}
