"""The `Server-Timing` header: what one request asked of each alias, and by which rules. Only where it is asked for.

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

from switchyard.routing.connections.guard import guard_statement
from switchyard.routing.decision import Decision, decision_counter

type _View = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]

HEADER = "Server-Timing"
_NO_TOKEN = re.compile(r"[^\w.-]", re.ASCII)


class Timing:
    """What one request has asked for."""

    def __init__(self) -> None:
        self.rules: defaultdict[str, Counter[str]] = defaultdict(Counter)  # alias -> rule -> decisions
        self.seconds: defaultdict[str, float] = defaultdict(float)  # alias -> spent in its queries

    def header(self) -> str:
        """Return the header's value: an entry for each alias; empty where no database was asked."""
        return ", ".join(self._entry(alias) for alias in sorted(self.rules.keys() | self.seconds.keys()))

    def _entry(self, alias: str) -> str:
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(self.rules[alias].items()))
        described = f';desc="{rules}"' if rules else ""
        return f"db-{_NO_TOKEN.sub('_', alias)}{described};dur={self.seconds[alias] * 1000:.3f}"


_timing: ContextVar[Timing | None] = ContextVar("switchyard.timing", default=None)


def timed(get_response: _View) -> _View:
    """Return what answers as `get_response` does, and says in a header where the request's queries went.

    What a streaming body asks for comes after the headers, and is not in them.
    """
    _install()

    def answer(asked: HttpRequest) -> HttpResponseBase:
        with _recorded() as timing:
            return _told(timing, cast(HttpResponseBase, get_response(asked)))

    async def answer_async(asked: HttpRequest) -> HttpResponseBase:
        with _recorded() as timing:
            return _told(timing, await cast(Awaitable[HttpResponseBase], get_response(asked)))

    return markcoroutinefunction(answer_async) if iscoroutinefunction(get_response) else answer


@contextmanager
def _recorded() -> Iterator[Timing]:
    timing = Timing()
    token = _timing.set(timing)
    try:
        yield timing
    finally:
        _timing.reset(token)


def _told(timing: Timing, response: HttpResponseBase) -> HttpResponseBase:
    if value := timing.header():
        before = response.headers.get(HEADER)
        response.headers[HEADER] = f"{before}, {value}" if before else value
    return response


def _install() -> None:
    """Record every decision and time every query of a request from now on; a second call changes nothing."""
    count = decision_counter.count
    if not hasattr(count, "records"):

        def recorded(decision: Decision) -> None:
            count(decision)
            if (timing := _timing.get()) is not None:
                timing.rules[decision.alias][decision.rule] += 1

        recorded.records = True  # type: ignore[attr-defined]
        decision_counter.count = recorded
        decision_counter.thread_local = SimpleNamespace()  # no cells: the routers come to `count` with every decision
    connection_created.connect(_watch, dispatch_uid="switchyard.routing.contrib.server_timing")
    for connection in connections.all(initialized_only=True):
        _watch(connection=connection)


def _watch(*, connection: BaseDatabaseWrapper, **_kwargs: Any) -> None:
    wrappers = connection.execute_wrappers
    if _clock not in wrappers:
        # Behind the guard, which stays the outermost; never last, for the reason that guard.py gives.
        wrappers.insert(wrappers.index(guard_statement) + 1 if guard_statement in wrappers else 0, _clock)


def _clock(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Time a query (an execute wrapper)."""
    timing = _timing.get()
    if timing is None:
        return execute(sql, params, many, context)
    begun = time.perf_counter()
    try:
        return execute(sql, params, many, context)
    finally:
        timing.seconds[context["connection"].alias] += time.perf_counter() - begun
