"""Queries and requests to run in a contender, whose settings count and log them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler
from django.db import connections
from tests.bench.exchanges import asking, read_by, request
from tests.bench.pair import KNOWN, VALUE
from tests.bench.service.stacks import VENDORS

_SQL = "SELECT value FROM bench_row WHERE id = %s"


@contextmanager
def query(alias: str) -> Iterator[Callable[[], object]]:
    """A query with one row, as a program sends it over a cursor of Django."""
    connection = connections[alias]

    def fetch() -> object:
        with connection.cursor() as cursor:
            cursor.execute(_SQL, [1])
            return cursor.fetchone()

    if (row := fetch()) != (VALUE,):
        raise SystemExit(f"'{settings.STACK}' found {row} on '{alias}'.")
    yield fetch


serves = WSGIHandler()  # with every middleware: request_log.py then records each query, also outside of requests
_PATH = f"/{'rows' if settings.STACK == 'switchyard' else 'wired'}/{KNOWN}"
WORKLOADS = {
    **{vendor: partial(query, alias) for vendor, alias in VENDORS.items()},
    "request": partial(request, serves, asking("GET", _PATH), expected=read_by("replica")),
}
