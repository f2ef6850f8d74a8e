"""Whether RoutingMiddleware is where it sees what others write: numbered system checks."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.checks import CheckMessage, Warning  # noqa: A004 - Django's name
from django.middleware.cache import UpdateCacheMiddleware
from django.utils.module_loading import import_string

from switchyard.conf import conf
from switchyard.routing.contrib.middleware import RoutingMiddleware

_WRITERS = (SessionMiddleware, UpdateCacheMiddleware)  # as the response leaves


def _middleware() -> Iterator[CheckMessage]:
    if not any(conf.replicas.values()):
        return
    entries = [(path, _imported(path)) for path in settings.MIDDLEWARE]
    routing = [at for at, (_, entry) in enumerate(entries) if _is(entry, RoutingMiddleware)]
    if not routing:
        yield Warning(
            "SWITCHYARD has REPLICAS, and RoutingMiddleware is not in MIDDLEWARE: what a client wrote it may not find "
            "in its next request.",
            hint="Put 'switchyard.routing.RoutingMiddleware' first in MIDDLEWARE.",
            id="switchyard.W003",
        )
    for path, entry in entries[: min(routing, default=0)]:
        if _is(entry, *_WRITERS):
            yield Warning(
                f"'{path}' stands before RoutingMiddleware in MIDDLEWARE and writes when that is done: its reads and "
                "writes are no request's.",
                hint=f"Put 'switchyard.routing.RoutingMiddleware' before '{path}'.",
                id="switchyard.W004",
            )


def _imported(path: str) -> Any:
    with suppress(ImportError):  # Django says so when it serves
        return import_string(path)


def _is(entry: Any, *classes: type) -> bool:
    return isinstance(entry, type) and issubclass(entry, classes)


CHECKS = (_middleware,)
