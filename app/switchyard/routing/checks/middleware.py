"""System checks of MIDDLEWARE: RoutingMiddleware comes before every middleware that writes (W003, W004)."""

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

_WRITERS = (SessionMiddleware, UpdateCacheMiddleware)  # when the response leaves


def _middleware() -> Iterator[CheckMessage]:
    if not any(conf.replicas.values()):
        return
    entries = [(path, _imported(path)) for path in settings.MIDDLEWARE]
    routing = [index for index, (_, entry) in enumerate(entries) if _is(entry, RoutingMiddleware)]
    if not routing:
        yield Warning(
            "SWITCHYARD has REPLICAS, and RoutingMiddleware is not in MIDDLEWARE: a client may not see its own writes "
            "in its next request.",
            hint="Put 'switchyard.routing.RoutingMiddleware' first in MIDDLEWARE.",
            id="switchyard.W003",
        )
    for path, entry in entries[: min(routing, default=0)]:
        if _is(entry, *_WRITERS):
            yield Warning(
                f"'{path}' stands before RoutingMiddleware in MIDDLEWARE and writes after RoutingMiddleware has "
                "finished, so its queries are routed without the request's state.",
                hint=f"Put 'switchyard.routing.RoutingMiddleware' before '{path}'.",
                id="switchyard.W004",
            )


def _imported(path: str) -> Any:
    with suppress(ImportError):  # Django reports it when it loads the middleware
        return import_string(path)


def _is(entry: Any, *classes: type) -> bool:
    return isinstance(entry, type) and issubclass(entry, classes)


CHECKS = (_middleware,)
