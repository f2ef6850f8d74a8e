"""Transactions on several databases in one thread, where code reads as if there were one.

No transaction reaches across databases. Two mistakes follow, each with its policy: a function that should wait for a
commit and runs at once because it waits on the wrong alias, and rows of two owners that are written inside one block
and do not roll back together. What `TestCase` opened is no transaction of the program. What is written while
autocommit is off is not followed: nothing tells where such a transaction ends.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from copy import copy
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Self, cast

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.connection_state import in_program_transaction
from switchyard.routing.errors import CrossOwnerTransactionError, EarlyOnCommitError
from switchyard.routing.policies import enforce, policy_of
from switchyard.routing.topology.ownership import replicated_by

logger = logging.getLogger(__name__)

_reasons: ContextVar[tuple[str, ...]] = ContextVar("switchyard.cross_owner_writes", default=())
_on_commit = BaseDatabaseWrapper.on_commit


def install() -> None:
    """Judge `on_commit()` before it runs or keeps its function."""
    BaseDatabaseWrapper.on_commit = _judged_on_commit  # type: ignore[method-assign]


class allow_cross_owner_writes:  # noqa: N801 - used as a function, like the other overrides
    """Let this be written beside another owner's transaction, in a block or in a function, plain or async."""

    def __init__(self, *, reason: str) -> None:
        if not reason.strip():
            raise ValueError("allow_cross_owner_writes() needs a reason: say why half of it may be lost.")
        self._reason = reason

    def __enter__(self) -> Self:
        logger.debug("Writes across owners are allowed: %s", self._reason)
        _reasons.set((*_reasons.get(), self._reason))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        _reasons.set(_reasons.get()[:-1])

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        if iscoroutinefunction(function):
            call_async = cast(Callable[..., Awaitable[Any]], function)

            @wraps(function)
            async def in_async_block(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await call_async(*args, **kwargs)

            return cast(F, in_async_block)

        @wraps(function)
        def in_block(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast(F, in_block)


def check_on_commit(connection: BaseDatabaseWrapper) -> None:
    """Apply the policy where a function would not wait: no transaction here, but one on another owner."""
    if in_program_transaction(connection):
        return
    other = next((each.alias for each in _open_owners() if each.alias != connection.alias), None)
    if other is not None:
        enforce(EarlyOnCommitError(alias=connection.alias, other=other))


def check_cross_owner_write(connection: BaseDatabaseWrapper) -> None:
    """Note which owner is about to be written in each open transaction, and apply the policy to a second one."""
    if _reasons.get() or policy_of("cross_owner_transaction") == "allow":
        return
    alias = connection.alias
    new_to = [written for written in map(_written, _open_owners()) if alias not in written]
    if others := sorted(set().union(*new_to)):
        enforce(CrossOwnerTransactionError(alias=alias, others=" and ".join(f"'{other}'" for other in others)))
    for written in new_to:
        written.add(alias)


def _judged_on_commit(self: BaseDatabaseWrapper, *args: Any, **kwargs: Any) -> None:
    check_on_commit(self)
    _on_commit(self, *args, **kwargs)


def _open_owners() -> Iterator[BaseDatabaseWrapper]:
    """Yield this thread's connections to owners on which the program has a transaction open."""
    for connection in connections.all(initialized_only=True):
        if in_program_transaction(connection) and replicated_by(connection.alias) is None:
            yield connection


def _outermost(connection: BaseDatabaseWrapper) -> int | None:
    """Return where the program's own outermost block stands among the connection's."""
    blocks = connection.atomic_blocks
    return next((at for at, block in enumerate(blocks) if not getattr(block, "_from_testcase", False)), None)


def _written(connection: BaseDatabaseWrapper) -> set[str]:
    """Return the owners that were written in the connection's transaction, to be added to.

    The set hangs on the outermost block, which Django drops however the transaction ends. A decorator's block is one
    object for all threads and calls, so a copy that is this transaction's alone takes its place on the connection.
    """
    at = _outermost(connection)
    if at is None:  # autocommit is off
        return set()
    block = connection.atomic_blocks[at]
    written: set[str] | None = vars(block).get("_switchyard_written")
    if written is None:
        connection.atomic_blocks[at] = block = copy(block)
        written = vars(block)["_switchyard_written"] = set()
    return written
