"""The routing context of the running code: the overrides in force, and the consistency state they share.

An override derives a context from the one in force and pushes it; its end pops it. All contexts of one request or task
share one consistency state. A context survives `await`, child tasks and the threads of `sync_to_async`. Code outside
requests and tasks shares one context of the process.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any, Literal

from django.http import HttpRequest

from switchyard.routing.session.consistency import ConsistencyState
from switchyard.routing.topology.replication import begin_client

type Preference = Literal["", "primary", "replica"]

_NO_ALIASES: Mapping[str, str] = MappingProxyType({})


class RoutingContext:
    """What holds for the reads and writes of the running code. Never changed, only replaced by a derived context."""

    __slots__ = (
        "consistency",
        "in_request",
        "is_default",
        "only_aliases",
        "parent",
        "preference",
        "read_only_aliases",
        "read_only_block",
        "request",
        "sticky",
        "unsafe_method",
        "write_allowed",
        "write_blocked",
    )

    def __init__(
        self,
        consistency: ConsistencyState,
        *,
        in_request: bool = False,
        request: HttpRequest | None = None,
        unsafe_method: bool = False,
        preference: Preference = "",
        sticky: bool = True,
        write_allowed: frozenset[str] = frozenset(),
        read_only_aliases: Mapping[str, str] = _NO_ALIASES,
        read_only_block: AbstractContextManager[Any] | None = None,
        write_blocked: frozenset[str] = frozenset(),
        only_aliases: frozenset[str] = frozenset(),
        parent: "RoutingContext | None" = None,
    ) -> None:
        self.consistency = consistency
        self.parent = parent
        self.in_request = in_request
        self.request = request  # for its route and its trace
        self.unsafe_method = unsafe_method  # the request may write by what it reads
        self.preference = preference
        self.sticky = sticky  # writes require their position of the next reads
        self.write_allowed = write_allowed  # read-only owners inside `allow_writes()`
        self.read_only_aliases = read_only_aliases  # owner -> alias of its open read-only transaction
        self.read_only_block = read_only_block  # the `atomic()` block of the innermost `read_only()`
        self.write_blocked = write_blocked  # owners inside `read_only()`
        self.only_aliases = only_aliases  # aliases inside `only()`: their statements never move
        self.is_default = not (unsafe_method or preference or read_only_aliases)

    def derive(self, **changes: Any) -> "RoutingContext":
        """Return a context with these changes, to be pushed over this one."""
        kept = {
            "in_request": self.in_request,
            "request": self.request,
            "unsafe_method": self.unsafe_method,
            "preference": self.preference,
            "sticky": self.sticky,
            "write_allowed": self.write_allowed,
            "read_only_aliases": self.read_only_aliases,
            "read_only_block": self.read_only_block,
            "write_blocked": self.write_blocked,
            "only_aliases": self.only_aliases,
        }
        return RoutingContext(**{"consistency": self.consistency, **kept, **changes}, parent=self)


_PROCESS = RoutingContext(ConsistencyState())
_current: ContextVar[RoutingContext] = ContextVar("switchyard.routing_context", default=_PROCESS)

current = _current.get


def push(context: RoutingContext) -> None:
    """Put a context in force that `current().derive()` made."""
    _current.set(context)


def pop() -> None:
    """Put the parent of the context in force again."""
    _current.set(_current.get().parent or _PROCESS)


class activate:  # noqa: N801 - a block; made by a generator it would take a quarter of the cost of a request
    """Put the context in force in this block, and restore the caller's context after it."""

    __slots__ = ("_before", "_context")

    def __init__(self, context: RoutingContext) -> None:
        self._context = context

    def __enter__(self) -> RoutingContext:
        self._before = _current.get()
        _current.set(self._context)
        return self._context

    def __exit__(self, *_error: object) -> None:
        _current.set(self._before)


def request_context(
    *, request: HttpRequest | None = None, unsafe_method: bool = False, consistency: ConsistencyState | None = None
) -> RoutingContext:
    """Return the first context of a request. It inherits nothing."""
    begin_client()
    return RoutingContext(
        consistency or ConsistencyState(), in_request=True, request=request, unsafe_method=unsafe_method
    )


def task_context(consistency: ConsistencyState | None = None) -> RoutingContext:
    """Return the first context of a background task. It inherits nothing."""
    begin_client()
    return RoutingContext(consistency or ConsistencyState())


def writes_allowed(alias: str) -> bool:
    """Return True inside `allow_writes(alias)`."""
    return alias in _current.get().write_allowed


def may_move(alias: str) -> bool:
    """Return True outside `only(alias)`: reads on the alias may run elsewhere if its server fails."""
    return alias not in _current.get().only_aliases


def is_process_context(context: RoutingContext) -> bool:
    """Return True if the context belongs to no request and no task."""
    return context.consistency is _PROCESS.consistency
