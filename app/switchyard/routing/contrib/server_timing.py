"""The `Server-Timing` header: which aliases a request used, by which rules, and for how long.

Only with SWITCHYARD["SERVER_TIMING"]; without it, nothing of this module is installed.
https://www.w3.org/TR/server-timing/
"""

import re
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from switchyard.routing.decision import Decision, decision_counter
from switchyard.routing.guards.guard import guard_statement

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

HEADER = "Server-Timing"
_NO_TOKEN = re.compile(r"[^\w.-]", re.ASCII)


class Timing:
    """The decisions and query times of one request."""

    def __init__(self) -> None:
        self.rules: defaultdict[str, Counter[str]] = defaultdict(Counter)  # alias -> rule -> decisions
        self.seconds: defaultdict[str, float] = defaultdict(float)  # alias -> time in its queries

    def header(self) -> str:
        """Return the value of the header, with an entry for each alias; empty if the request used no database."""
        return ", ".join(self._entry(alias) for alias in sorted(self.rules.keys() | self.seconds.keys()))

    def _entry(self, alias: str) -> str:
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(self.rules[alias].items()))
        description = f';desc="{rules}"' if rules else ""
        return f"db-{_NO_TOKEN.sub('_', alias)}{description};dur={self.seconds[alias] * 1000:.3f}"


_timing: ContextVar[Timing | None] = ContextVar("switchyard.timing", default=None)


def timed(get_response: _View) -> _View:
    """Return `get_response` with the header on each response, sync or async as it was.

    The queries of a streaming body run after the headers have left, and are not in them.
    """
    _install()

    def respond(request: HttpRequest) -> HttpResponseBase:
        with _record() as timing:
            return _add_header(timing, cast(HttpResponseBase, get_response(request)))

    async def respond_async(request: HttpRequest) -> HttpResponseBase:
        with _record() as timing:
            return _add_header(timing, await cast(Awaitable[HttpResponseBase], get_response(request)))

    return markcoroutinefunction(respond_async) if iscoroutinefunction(get_response) else respond


@contextmanager
def _record() -> Iterator[Timing]:
    timing = Timing()
    token = _timing.set(timing)
    try:
        yield timing
    finally:
        _timing.reset(token)


def _add_header(timing: Timing, response: HttpResponseBase) -> HttpResponseBase:
    if value := timing.header():
        before = response.headers.get(HEADER)
        response.headers[HEADER] = f"{before}, {value}" if before else value
    return response


def _install() -> None:
    """Record the decisions and time the queries of all requests from now on. A second call changes nothing."""
    count = decision_counter.count
    if not hasattr(count, "records"):

        def recorded(decision: Decision) -> None:
            count(decision)
            if (timing := _timing.get()) is not None:
                timing.rules[decision.alias][decision.rule] += 1

        recorded.records = True  # type: ignore[attr-defined]
        decision_counter.count = recorded
        decision_counter.thread_local = SimpleNamespace()  # no cells: every decision calls `count`
    connection_created.connect(_watch, dispatch_uid="switchyard.routing.contrib.server_timing")
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def _watch(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    wrappers = connection.execute_wrappers
    if _clock not in wrappers:
        # Behind the guard, which stays the outermost; never last, for the reason in guards/guard.py.
        wrappers.insert(wrappers.index(guard_statement) + 1 if guard_statement in wrappers else 0, _clock)


def _clock(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Time a query (an execute wrapper)."""
    timing = _timing.get()
    if timing is None:
        return execute(sql, params, many, context)
    began_at = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        timing.seconds[context["connection"].alias] += time.perf_counter() - began_at
