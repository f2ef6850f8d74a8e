"""A read-only transaction on a replica, for views and reports that only read.

All reads show the same moment (REPEATABLE READ), and the server refuses the writes that the guard does not see. The
transaction does not move: the caller gets an error of the replica, and PostgreSQL may cancel a long transaction that is
in the way of replay.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, NamedTuple, cast

from django.db import InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.connections.failover import report_failure
from switchyard.routing.connections.server_identity import transaction_may_be_stale
from switchyard.routing.guards.access_mode import SESSION_STATEMENTS, run_on_driver, without_write_lock
from switchyard.routing.selection.select import record_fallback, replica_for_client
from switchyard.routing.session.context import current, may_move, pop, push
from switchyard.routing.topology.ownership import (
    is_held_read_only,
    owner_and_replicas,
    owner_by_default,
    owners,
    replicated_by,
)
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF, replication_set


class Statements(NamedTuple):
    """The SQL that makes a transaction read-only on the server; an empty text sends nothing."""

    before: str = ""  # before BEGIN
    first: str = ""  # the first statement inside the transaction
    after: str = ""  # after COMMIT or ROLLBACK


_SET = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_SQLITE = Statements(before=SESSION_STATEMENTS["sqlite"][0], after=SESSION_STATEMENTS["sqlite"][1])
_BY_VENDOR = {
    "postgresql": Statements(first=_SET),
    "mysql": Statements(before=_SET),  # for the next transaction; inside a transaction it is an error
    "sqlite": _SQLITE,
}
# Inside an open transaction. PostgreSQL ends the mode together with the savepoint of the block.
_NESTED = {"postgresql": Statements(first="SET TRANSACTION READ ONLY"), "sqlite": _SQLITE}
_NOT_PLAIN = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)


class read_only:  # noqa: N801 - used as a function, like the other overrides
    """Read the rows of one owner in one read-only transaction. A block, whose `with` gives the alias, or a decorator.

    Without `alias` the transaction is on a replica of `default` that has caught up for this client, or on `default` if
    there is none. If `default` owns no app, the only owner with replicas takes its place, else the only owner; with
    several of them TypeError is raised. `alias` may name another owner, or a replica. A named replica is read even if
    it has not caught up; only if it is unfit or cannot be opened, the transaction is on its owner, but never inside
    `only()`. Inside the block, reads of other owners and of PRIMARY_ONLY apps go to their usual alias. Writes on the
    owner raise `ReadOnlyBlockWriteError`, a `RoutingError`; writes on other owners are allowed. As a decorator of a
    view, it replaces the transaction that ATOMIC_REQUESTS would open on the owner. Decorating an async function or a
    generator raises TypeError.

    Extra queries, all on the chosen alias: BEGIN, COMMIT or ROLLBACK, and one statement that makes the transaction
    read-only (two on SQLite). If a transaction is already open on the alias, the block is a savepoint in it; there the
    server of MySQL does not refuse writes, only the guard does. On a mirror in tests only the guard refuses them, too.
    The block holds in its thread: another thread has connections and a context of its own. Statements that begin or end
    a transaction are refused inside the block.

        >>> with read_only() as alias:
        ...     alias, Product.objects.count()
        ('replica', 0)
    """

    def __init__(self, alias: str | None = None) -> None:
        self._alias = alias

    @property
    def _owner(self) -> str:
        alias = self._alias or owner_by_default()
        if alias is None:
            choices = ", ".join(owners())
            raise TypeError(f"read_only() needs an alias, because 'default' owns no app. Name one of: {choices}.")
        return replicated_by(alias) or alias

    def __enter__(self) -> str:
        owner = self._owner
        alias, block = _begin(self._choose_alias(owner), owner)
        context = current()
        push(
            context.derive(
                read_only_aliases={**context.read_only_aliases, owner: alias},
                read_only_block=block,
                write_blocked=context.write_blocked | {owner},
            )
        )
        return alias

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        context = current()
        alias = context.read_only_aliases[self._owner]
        connection = connections[alias]
        block = cast(AbstractContextManager[Any], context.read_only_block)
        pop()
        try:
            block.__exit__(kind, error, at)
        finally:
            # An outer block on the same alias stays read-only.
            if alias not in current().read_only_aliases.values() and connection.connection is not None:
                _run(connection, _statements(connection).after, nested=has_open_transaction(connection))

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        if any(is_kind(function) for is_kind in _NOT_PLAIN):
            raise TypeError(
                f"read_only() cannot decorate {function}: Django has no transactions in async code, and a transaction"
                " around a generator would stay open in its caller. Move the reads into a plain function, decorate that"
                " function, and call it from there (from async code with sync_to_async)."
            )

        @wraps(function)
        def in_block(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        # Django's `non_atomic_requests` sets the same attribute.
        non_atomic: set[str] = getattr(function, "_non_atomic_requests", set())
        vars(in_block)["_non_atomic_requests"] = non_atomic.union(owner_and_replicas(self._owner))
        return cast(F, in_block)

    def _choose_alias(self, owner: str) -> str:
        context, group = current(), replication_set(owner)
        if owner in context.read_only_aliases:
            return context.read_only_aliases[owner]
        if self._alias is not None:
            is_eligible = any(each.alias == self._alias for each in group.snapshot.eligible)
            if self._alias == owner or is_eligible or not may_move(self._alias):
                return self._alias
        elif (replica := replica_for_client(owner, context.consistency)) is not None and not transaction_may_be_stale(
            replica
        ):
            if len(group.snapshot.replicas) > 1:
                context.consistency.last_replica.setdefault(owner, replica)
            return replica
        if group.snapshot.replicas:
            record_fallback(owner, context, "pinned" if self._alias is None and group.snapshot.eligible else "down")
        return owner


def _begin(alias: str, owner: str) -> tuple[str, AbstractContextManager[Any]]:
    """Begin the transaction on the alias, or on the owner if the replica fails; return its alias and its block."""
    connection = connections[alias]
    nested = has_open_transaction(connection)
    try:
        return alias, _begin_on(connection)
    except (OperationalError, InterfaceError) as error:
        if alias == owner or nested or not may_move(alias):
            raise
        report_failure(connection, error)
        record_fallback(owner, current(), "down")
        return owner, _begin_on(connections[owner])


def _begin_on(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    statements, nested = _statements(connection), has_open_transaction(connection)
    _run(connection, statements.before, nested=nested)
    block = atomic(using=connection.alias)
    with without_write_lock(connection):
        block.__enter__()
    try:
        _run(connection, statements.first, nested=nested)
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
    return block


def _statements(connection: BaseDatabaseWrapper) -> Statements:
    alias, vendor = connection.alias, connection.vendor
    of_owner = SHARES_CONNECTION_OF in connection.settings_dict  # the session belongs to the owner
    # The session of a replica or a read-only owner is read-only on SQLite, before the block and in it.
    if of_owner or alias in current().read_only_aliases.values() or (vendor == "sqlite" and is_held_read_only(alias)):
        return Statements()
    return (_NESTED if has_open_transaction(connection) else _BY_VENDOR).get(vendor, Statements())


def _run(connection: BaseDatabaseWrapper, statement: str, *, nested: bool) -> None:
    if not statement:
        return
    if nested:
        # Inside the transaction of a `TestCase` the block must not change what the test counts.
        with connection.wrap_database_errors:
            run_on_driver(connection, statement)
    else:
        with connection.cursor() as cursor:
            cursor.execute(statement)
