"""What a program may ask of routing, in a block or in a function: overrides that nest and restore what was."""

# ruff: noqa: N801 - used as functions: `with use_primary():`, `@use_primary()`

import logging
from collections.abc import Callable
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, Self, cast

from switchyard.routing.errors import AllowWritesError, record_violation
from switchyard.routing.session.context import current, pop, push
from switchyard.routing.session.iteration import aiterate_in_context, iterate_in_context

logger = logging.getLogger(__name__)


class Override:
    """A block in which something else is asked for; also a decorator of functions, generators, and both as async.

    It holds nothing of the block itself, so one object serves many threads and tasks at once.
    """

    def __init__(self, **asked: Any) -> None:
        self._asked = asked

    def __enter__(self) -> Self:
        push(current().derive(**self._asked))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        pop()

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        wrap = next((wrap for holds, wrap in _WRAPS if holds(function)), _plain)
        return cast(F, wraps(function)(wrap(self, function)))


class use_primary(Override):
    """Read everything from its owner."""

    def __init__(self) -> None:
        super().__init__(preference="primary", read_only_aliases={})


class use_replica(Override):
    """Read from a fit replica though what this request wrote, or a transaction, is not there: for reports.

    Rows that must never be stale (PRIMARY_ONLY) are read from their owner all the same.
    """

    def __init__(self) -> None:
        super().__init__(preference="replica")


class without_stickiness(Override):
    """Write without sending the reads that follow to the owner: for rows that this client does not read back."""

    def __init__(self) -> None:
        super().__init__(sticky=False)


class allow_writes(Override):
    """Let a READ_ONLY owner be written; on any other alias it changes nothing.

    Refused inside a request, whatever the reason.
    """

    def __init__(self, alias: str, *, reason: str) -> None:
        self._alias = alias
        self._reason = reason
        super().__init__()

    def __enter__(self) -> Self:
        state = current()
        if state.in_request:
            raise record_violation(AllowWritesError(alias=self._alias, reason=self._reason))
        logger.debug("Writes on '%s' are allowed: %s", self._alias, self._reason)
        push(state.derive(write_allowed=state.write_allowed | {self._alias}))
        return self


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


_WRAPS = (
    (iscoroutinefunction, _coroutine),
    (isgeneratorfunction, _generator),
    (isasyncgenfunction, _async_generator),
)
