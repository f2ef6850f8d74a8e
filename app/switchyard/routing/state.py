"""What this request, task or command asked for: overrides that nest and restore what was."""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Self, cast

from switchyard.routing.errors import AllowWritesError, refuse

logger = logging.getLogger(__name__)

_primary: ContextVar[bool] = ContextVar("switchyard.primary", default=False)
_writable: ContextVar[frozenset[str]] = ContextVar("switchyard.writable", default=frozenset())
_in_request: ContextVar[bool] = ContextVar("switchyard.in_request", default=False)

reads_primary = _primary.get


class use_primary:  # noqa: N801 - used as a function: `with use_primary():`, `@use_primary()`
    """Read everything from its owner, in a block or in a function, plain or async."""

    def __init__(self) -> None:
        self._before: list[bool] = []

    def __enter__(self) -> Self:
        self._before.append(_primary.get())
        _primary.set(True)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _primary.set(self._before.pop())

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        # A fresh block per call: one decorated function runs in many threads at once.
        if iscoroutinefunction(function):
            call_async = cast(Callable[..., Awaitable[Any]], function)

            @wraps(function)
            async def in_async_block(*args: Any, **kwargs: Any) -> Any:
                with use_primary():
                    return await call_async(*args, **kwargs)

            return cast(F, in_async_block)

        @wraps(function)
        def in_block(*args: Any, **kwargs: Any) -> Any:
            with use_primary():
                return function(*args, **kwargs)

        return cast(F, in_block)


@contextmanager
def allow_writes(alias: str, *, reason: str) -> Iterator[None]:
    """Let a READ_ONLY owner be written in this block; on any other alias it changes nothing.

    Refused inside a request, whatever the reason.
    """
    if _in_request.get():
        raise refuse(AllowWritesError(alias=alias, reason=reason))
    before = _writable.get()
    _writable.set(before | {alias})
    logger.debug("Writes on '%s' are allowed: %s", alias, reason)
    try:
        yield
    finally:
        _writable.set(before)


def may_write(alias: str) -> bool:
    """Tell whether `allow_writes(alias)` is in force here."""
    return alias in _writable.get()


@contextmanager
def request() -> Iterator[None]:
    """Mark the block as the work of a request, with none of the overrides that were in force outside it."""
    before = (_in_request.get(), _primary.get(), _writable.get())
    _in_request.set(True)
    _primary.set(False)
    _writable.set(frozenset())
    try:
        yield
    finally:
        _in_request.set(before[0])
        _primary.set(before[1])
        _writable.set(before[2])
