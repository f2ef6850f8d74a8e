"""What a call has beside its statement, if SWITCHYARD asks for it: a comment in the text, a span of a trace.

Both tell the alias and the reason. They are made where the call is: a read that moved to another alias has the alias
that answered, and each attempt has a span of its own. Without SQL_COMMENTS and a tracer, nothing of this is installed.
"""

import re
from functools import lru_cache
from typing import Any, Protocol

from django.core.signals import setting_changed
from django.http import HttpRequest

from switchyard.conf import conf
from switchyard.routing.connections import calls
from switchyard.routing.connections.comments import is_prepared, takes_comment, with_comment
from switchyard.routing.connections.cursors import Comment
from switchyard.routing.selection import last_decisions
from switchyard.routing.session.context import current
from switchyard.routing.topology.tables import OTHER, app_of
from switchyard.sql import Statement

# https://www.w3.org/TR/trace-context/
_TRACEPARENT = re.compile(r"([0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}).*")


class Span(Protocol):
    """The span of one call."""

    @property
    def traceparent(self) -> str:
        """The span as the header of the W3C; empty if it belongs to no trace."""
        ...

    def end(self, error: BaseException | None) -> None:
        """End the span. `error` is the exception of the driver, None without one."""
        ...


class Tracer(Protocol):
    """Somebody who makes a span for each call."""

    def begin(self, alias: str, vendor: str, statement: Statement, text: str, reason: str | None) -> Span:
        """Begin the span of a call."""
        ...

    def trace_id(self) -> str | None:
        """Return the id of the trace that the running code belongs to; None if it belongs to none."""
        ...


_tracer: Tracer | None = None
_has_comments = False


def install() -> None:
    """Annotate calls from now on if SWITCHYARD["SQL_COMMENTS"] is set or there is a tracer, otherwise no call."""
    global _has_comments  # noqa: PLW0603 - one setting for the process, read by each call
    _has_comments = conf.sql_comments
    is_needed = _has_comments or _tracer is not None
    last_decisions.keep(is_needed)
    calls.annotate_with(_CallAnnotation if is_needed else None)


def trace_with(tracer: Tracer | None) -> None:
    """Let the tracer make a span for each call from now on; None: make none."""
    global _tracer  # noqa: PLW0603 - one tracer for the process
    _tracer = tracer
    install()


def trace_id_of(request: HttpRequest) -> str | None:
    """Return the id of the trace of the request: the running one, or without one that of its `traceparent`."""
    running = _tracer.trace_id() if _tracer is not None else None
    return running or _parsed(request.META.get("HTTP_TRACEPARENT", ""))[1]


class _CallAnnotation:
    """The comment and the span of one call."""

    __slots__ = ("_alias", "_reason", "_span", "_statement", "_text", "_vendor")

    def __init__(self, alias: str, vendor: str, statement: Statement, text: str) -> None:
        self._alias = alias
        self._vendor = vendor
        self._statement = statement
        self._text = text
        self._reason = last_decisions.reason_of(alias, statement)
        self._span: Span | None = None
        if _tracer is not None:
            self._span = _tracer.begin(alias, vendor, statement, text, self._reason)

    @property
    def comment(self) -> Comment | None:
        """The function that adds the comment; None if comments are off, or if this statement takes none."""
        return self._commented if _has_comments and takes_comment(self._vendor, self._statement, self._text) else None

    def end(self, error: BaseException | None) -> None:
        """End the span."""
        if self._span is not None:
            self._span.end(error)

    def _commented(self, query: Any, cursor: Any, params: Any, options: dict[str, Any]) -> Any:
        if is_prepared(self._vendor, cursor, options):
            return query
        request = current().request
        app = app_of(self._statement.tables)
        match = request.resolver_match if request is not None else None
        parameters = options.get("args") if params is None else params  # `args` is the name in mysqlclient
        return with_comment(
            query,
            self._text,
            has_parameters=parameters is not None,
            traceparent=self._traceparent(request),
            alias=self._alias,
            app=None if app == OTHER else app,
            reason=self._reason,
            route=match.route if match is not None else None,
        )

    def _traceparent(self, request: HttpRequest | None) -> str | None:
        if self._span is not None and (running := self._span.traceparent):
            return running
        return _parsed(request.META.get("HTTP_TRACEPARENT", ""))[0] if request is not None else None


@lru_cache(maxsize=64)
def _parsed(header: str) -> tuple[str, str] | tuple[None, None]:
    """Return the part of the header that every version has, and the id of its trace."""
    found = _TRACEPARENT.fullmatch(header)
    return (found[1], found[2]) if found else (None, None)


def _install_again(*, setting: str, **_kwargs: Any) -> None:
    if setting == "SWITCHYARD":
        install()


setting_changed.connect(_install_again, dispatch_uid="switchyard.routing.connections.annotations")
