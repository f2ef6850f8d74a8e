"""Overrides of the routing context, as blocks and decorators. They nest, and each restores the context before it.

`read_only()` is also an override, but opens a transaction: see read_only.py.
"""

# ruff: noqa: N801 - used as functions: `with use_primary():`, `@use_primary()`

import logging
from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, Self, cast

from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from switchyard.routing.errors import AllowWritesError, record_violation
from switchyard.routing.guards.access_mode import set_open_connections
from switchyard.routing.session.context import current, pop, push
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context

logger = logging.getLogger(__name__)


class Override:
    """A block that runs in a derived routing context; also a decorator of functions and generators, plain or async.

    A decorated generator runs each of its steps in that context, and its consumer stays in its own. The object keeps no
    state of a block, so many threads and tasks can use one object at the same time. No query.
    """

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def __enter__(self) -> Self:
        push(current().derive(**self._changes))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pop()

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        wrap = next((wrap for is_kind, wrap in _WRAPPERS if is_kind(function)), _plain)
        return cast(F, wraps(function)(wrap(self, function)))


class use_primary(Override):
    """Read all rows from their owner, for values that must not be stale. A block or a decorator.

    >>> with use_primary():
    ...     explain_route(Product).alias
    'default'
    """

    def __init__(self) -> None:
        super().__init__(preference="primary", read_only_aliases={})


class use_replica(Override):
    """Read from a fit replica, even if it has not caught up: for reports. A block or a decorator.

    The rows may lack writes of this client and of an open transaction. Reads go to the owner if no replica is fit, and
    rows of PRIMARY_ONLY apps always do.

        >>> @use_replica()
        ... def product_count():
        ...     return Product.objects.count()
        >>> product_count()
        0
    """

    def __init__(self) -> None:
        super().__init__(preference="replica")


class without_stickiness(Override):
    """Write without a required position for the reads that follow: for rows that this client does not read back.

    A block or a decorator. Later reads of this client may go to a replica that lacks these writes.

        >>> with without_stickiness():
        ...     Product.objects.update(name="signal lamp")
        0
    """

    def __init__(self) -> None:
        super().__init__(sticky=False)


class allow_writes(Override):
    """Allow writes on an owner of SWITCHYARD["READ_ONLY"]; on other aliases it changes nothing. A block or a decorator.

    `alias` is the read-only owner. `reason` says why it is written; the log shows it at level DEBUG. Raises
    `AllowWritesError`, a `RoutingError`, inside a request: use it in management commands and tasks. Raises
    ConnectionDoesNotExist for an alias that is not in DATABASES.

        >>> with allow_writes("legacy", reason="nightly import"):
        ...     Customer.objects.update(name="Ada")
        0
    """

    def __init__(self, alias: str, *, reason: str) -> None:
        self._alias = alias
        self._reason = reason
        super().__init__()

    def __enter__(self) -> Self:
        context = current()
        if context.in_request:
            raise record_violation(AllowWritesError(alias=self._alias, reason=self._reason))
        _refuse_unknown(self._alias)
        logger.debug("Writes on '%s' are allowed: %s", self._alias, self._reason)
        push(context.derive(write_allowed=context.write_allowed | {self._alias}))
        set_open_connections(self._alias)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        super().__exit__(kind, error, at)
        set_open_connections(self._alias)


class only(Override):
    """Run statements on this alias on its own server, or let them fail. A block or a decorator.

    Without it, a read on a replica runs on another alias if the replica fails, also in a raw cursor and with `using()`.
    A check of one server must not get the answer of another. Inside the block a statement on `alias` raises the error
    of the server, and the OperationalError of a replica that is known to be down. The router decides as without it, so
    name the alias. Raises ConnectionDoesNotExist for an alias that is not in DATABASES. No query.

        >>> with only("replica"):
        ...     Product.objects.using("replica").count()
        0
    """

    def __init__(self, alias: str) -> None:
        self._alias = alias
        super().__init__()

    def __enter__(self) -> Self:
        _refuse_unknown(self._alias)
        context = current()
        push(context.derive(only_aliases=context.only_aliases | {self._alias}))
        return self


def _refuse_unknown(alias: str) -> None:
    if alias not in connections:
        raise ConnectionDoesNotExist(f"DATABASES has no alias '{alias}'. Name one of: {', '.join(connections)}.")


def _plain(override: Override, function: Callable[..., Any]) -> Callable[..., Any]:
    def in_block(*args: Any, **kwargs: Any) -> Any:
        with override:
            return function(*args, **kwargs)

    return in_block


def _coroutine(override: Override, function: Callable[..., Any]) -> Callable[..., Any]:
    async def in_block(*args: Any, **kwargs: Any) -> Any:
        with override:
            return await function(*args, **kwargs)

    return in_block


def _generator(override: Override, function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: iterate_in_context(function(*args, **kwargs), override.__enter__)


def _async_generator(override: Override, function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **kwargs: aiterate_in_context(function(*args, **kwargs), override.__enter__)


_WRAPPERS = (
    (iscoroutinefunction, _coroutine),
    (isgeneratorfunction, _generator),
    (isasyncgenfunction, _async_generator),
)
