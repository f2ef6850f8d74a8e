"""A transaction in which nothing is written, on a replica: for views and reports that only read.

Its reads see one snapshot (REPEATABLE READ), and its server refuses what no guard sees. Once begun it does not move: an
error of the replica's is then the caller's, and a long one may be cancelled by what a PostgreSQL standby replays.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from types import TracebackType
from typing import Any, NamedTuple, cast

from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import atomic

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.connections.failover import report_failure
from switchyard.routing.connections.server_identity import transaction_may_be_stale
from switchyard.routing.selection.select import record_fallback, replica_for_client
from switchyard.routing.session.context import current, pop, push
from switchyard.routing.topology.ownership import owner_and_replicas, replicated_by
from switchyard.routing.topology.replication import SHARES_CONNECTION_OF, replication_set


class Statements(NamedTuple):
    """What makes a server hold a transaction read-only."""

    before: str = ""
    first: str = ""
    after: str = ""


_SET = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_BY_VENDOR = {
    "postgresql": Statements(first=_SET),
    "mysql": Statements(before=_SET),  # for the next one: inside a transaction it is an error
    "sqlite": Statements(before="PRAGMA query_only = ON", after="PRAGMA query_only = OFF"),
}
_NOT_CALLS = (iscoroutinefunction, isgeneratorfunction, isasyncgenfunction)


class read_only:  # noqa: N801 - used as a function, like the other overrides
    """Read one owner's rows in a read-only transaction, in a block or in a function; `with` gives its alias.

    With no alias it is on a replica of the default alias that has what this client wrote, or on the owner if there is
    none. A named replica is taken as late as it is; it is the owner only while the replica is unfit. Rows that must
    never be stale (PRIMARY_ONLY) and those of other owners are read where they always are. ORM and raw writes on the
    owner are refused. Around a view it takes the place of the transaction that ATOMIC_REQUESTS would open on the owner.

    Inside a transaction that is open on that alias already, and on a mirror in tests, it is a part of the
    transaction: writes are refused by the guard then, and not by the server.
    """

    def __init__(self, alias: str | None = None) -> None:
        self._alias = alias

    @property
    def _owner(self) -> str:
        alias = self._alias or DEFAULT_DB_ALIAS
        return replicated_by(alias) or alias

    def __enter__(self) -> str:
        owner = self._owner
        alias, block = _begin(self._where(owner), owner)
        state = current()
        push(
            state.derive(
                read_only_aliases={**state.read_only_aliases, owner: alias},
                read_only_block=block,
                write_blocked=state.write_blocked | {owner},
            )
        )
        return alias

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        state = current()
        connection = connections[state.read_only_aliases[self._owner]]
        block = cast(AbstractContextManager[Any], state.read_only_block)
        pop()
        try:
            block.__exit__(kind, error, at)
        finally:
            if not has_open_transaction(connection) and connection.connection is not None:
                _run(connection, _statements(connection).after)

    def __call__[F: Callable[..., Any]](self, function: F) -> F:
        if any(holds(function) for holds in _NOT_CALLS):
            raise TypeError(
                f"read_only() cannot hold {function}: Django has no transactions in async code, and one"
                " around a generator would be open in its caller too. Move the reads into a plain function, decorate"
                " that, and call it there (from async code by sync_to_async)."
            )

        @wraps(function)
        def in_block(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        # What Django's `non_atomic_requests` sets.
        left_out: set[str] = getattr(function, "_non_atomic_requests", set())
        vars(in_block)["_non_atomic_requests"] = left_out.union(owner_and_replicas(self._owner))
        return cast(F, in_block)

    def _where(self, owner: str) -> str:
        state, group = current(), replication_set(owner)
        if owner in state.read_only_aliases:
            return state.read_only_aliases[owner]
        if self._alias is not None:
            if self._alias == owner or any(each.alias == self._alias for each in group.snapshot.eligible):
                return self._alias
        elif (replica := replica_for_client(owner, state.consistency)) is not None and not transaction_may_be_stale(
            replica
        ):
            if len(group.snapshot.replicas) > 1:
                state.consistency.last_replica.setdefault(owner, replica)
            return replica
        if group.snapshot.replicas:
            record_fallback(owner, state, "pinned" if self._alias is None and group.snapshot.eligible else "down")
        return owner


def _begin(alias: str, owner: str) -> tuple[str, AbstractContextManager[Any]]:
    """Begin the transaction; on the owner if the replica cannot. Return where, and the block to leave."""
    connection = connections[alias]
    nested = has_open_transaction(connection)
    try:
        return alias, _begin_on(connection)
    except (OperationalError, InterfaceError) as error:
        if alias == owner or nested:
            raise
        report_failure(connection, error)
        record_fallback(owner, current(), "down")
        return owner, _begin_on(connections[owner])


def _begin_on(connection: BaseDatabaseWrapper) -> AbstractContextManager[Any]:
    statements = Statements() if has_open_transaction(connection) else _statements(connection)
    _run(connection, statements.before)
    block = atomic(using=connection.alias)
    block.__enter__()
    try:
        _run(connection, statements.first)
    except BaseException as error:
        block.__exit__(type(error), error, error.__traceback__)
        raise
    return block


def _statements(connection: BaseDatabaseWrapper) -> Statements:
    if SHARES_CONNECTION_OF in connection.settings_dict:  # the session is the owner's
        return Statements()
    return _BY_VENDOR.get(connection.vendor, Statements())


def _run(connection: BaseDatabaseWrapper, statement: str) -> None:
    if statement:
        with connection.cursor() as cursor:
            cursor.execute(statement)
