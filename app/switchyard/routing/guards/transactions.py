"""Transactions on several owners in one thread. The policies about them, and the override that allows the second write.

A transaction covers one database. Two mistakes follow, and each has a policy: `on_commit()` names an alias without a
transaction and runs its function at once, and one block writes rows of two owners, which do not roll back together.

Transactions that a `TestCase` opened do not count. Writes while autocommit is off do not count either, because no event
marks the end of such a transaction.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from functools import wraps
from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, NamedTuple, Self, cast

from django.db import connections

from switchyard.routing.connection_state import in_program_transaction, outermost_program_block
from switchyard.routing.errors import CrossOwnerTransactionError, EarlyOnCommitError
from switchyard.routing.policies import enforce, policy_of
from switchyard.routing.topology.ownership import replicated_by

logger = logging.getLogger(__name__)

_reasons: ContextVar[tuple[str, ...]] = ContextVar("switchyard.cross_owner_writes", default=())


class allow_cross_owner_writes:  # noqa: N801 - used as a function, like the other overrides
    """Allow writes beside an open transaction of another owner, in a block or in a function, plain or async.

    `reason` says why it is acceptable that one of the writes may be lost. It is logged at level DEBUG.
    Raises ValueError for an empty reason.

        >>> from django.db import transaction
        >>> with transaction.atomic(), allow_writes("legacy", reason="import"):
        ...     product = Product.objects.create(name="Pen")
        ...     with allow_cross_owner_writes(reason="the next import repairs a lost half"):
        ...         Customer.objects.update(name="Ada")
        0
    """

    def __init__(self, *, reason: str) -> None:
        if not reason.strip():
            raise ValueError("allow_cross_owner_writes() needs a reason: say why one of the writes may be lost.")
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


class ProgramTransaction(NamedTuple):
    """A transaction of the program on one connection, and the owners that were written inside."""

    block: Any  # the outermost `atomic()` block of the program
    savepoint: str | None  # the savepoint of that block; only inside a TestCase, or while autocommit is off
    written: set[str]


def check_on_commit(connection: Any) -> None:
    """Apply the policy if `on_commit()` does not wait here, and a transaction is open on another owner."""
    if in_program_transaction(connection):
        return
    other = next((each.alias for each in _connections_in_transaction() if each.alias != connection.alias), None)
    if other is not None:
        enforce(EarlyOnCommitError(alias=connection.alias, other=other))


def check_cross_owner_write(connection: Any) -> None:
    """Record a write on the connection in each open transaction; apply the policy if one has another owner's write."""
    if _reasons.get() or policy_of("cross_owner_transaction") == "allow":
        return
    alias = connection.alias
    joined = [written for written in map(_written, _connections_in_transaction()) if alias not in written]
    if others := sorted(set().union(*joined)):
        enforce(CrossOwnerTransactionError(alias=alias, others=" and ".join(f"'{other}'" for other in others)))
    for written in joined:
        written.add(alias)


def _connections_in_transaction() -> Iterator[Any]:
    """Yield this thread's connections to owners on which the program has a transaction open."""
    for connection in connections.all(initialized_only=True):
        if in_program_transaction(connection) and replicated_by(connection.alias) is None:
            yield connection


def _written(connection: Any) -> set[str]:
    """Return the owners that were written in the connection's transaction. The caller adds to the set.

    `RoutedConnection` drops the record where Django turns autocommit on again. Inside a TestCase autocommit stays off:
    there another block, or another savepoint of the same block, shows that a new transaction of the program began. A
    function with one decorator `@atomic(savepoint=False)` has neither, so its calls in one test count as one
    transaction.
    """
    index = outermost_program_block(connection)
    if index is None:  # autocommit is off
        return set()
    block = connection.atomic_blocks[index]
    # The block that began the transaction has no savepoint, so the list of savepoints may lack the first entry.
    place = index + len(connection.savepoint_ids) - len(connection.atomic_blocks)
    savepoint = connection.savepoint_ids[place] if place >= 0 else None
    known: ProgramTransaction | None = getattr(connection, "program_transaction", None)  # a copy has no record yet
    if known is None or known.block is not block or known.savepoint != savepoint:
        known = connection.program_transaction = ProgramTransaction(block, savepoint, set())
    return known.written
