"""A mixin added at run time to each Django DatabaseWrapper: how a connection opens, and which wrappers it has.

The class of a connection becomes a subclass of the backend's own wrapper. A replica that cannot be opened gives cursors
that read elsewhere, no connection is tried to a server that is known to be down, and the socket and the server of each
connection are known to the monitor. The execute wrappers themselves stand in failover.py, fallback_reads.py and the
room guards.
"""

from contextlib import nullcontext, suppress
from functools import cache, partial
from time import perf_counter
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from switchyard.routing.connection_state import has_open_transaction, transaction_begins, transaction_ended
from switchyard.routing.connections import events
from switchyard.routing.connections.connect import connect_unless_down
from switchyard.routing.connections.doubts import Doubt, settle
from switchyard.routing.connections.failover import FailedCursor, report_failure
from switchyard.routing.connections.fallback_reads import run_elsewhere
from switchyard.routing.connections.server_identity import identify
from switchyard.routing.guards.access_mode import begins_read_only, set_access_mode, without_write_lock
from switchyard.routing.guards.guard import guard_statement, unavailable_error
from switchyard.routing.guards.refusals import run_in_access_mode
from switchyard.routing.guards.transactions import ProgramTransaction, check_on_commit
from switchyard.routing.monitor import monitor, sockets
from switchyard.routing.monitor.waits import Wait, waits_for
from switchyard.routing.session.context import may_move
from switchyard.routing.session.tracking import is_fallback_read
from switchyard.routing.topology.ownership import is_read_only, replicated_by
from switchyard.routing.topology.replication import replication_set


def install() -> None:
    """Add the mixin to every connection, also to connections made before. A second call changes nothing."""
    create_connection = connections.create_connection
    if not hasattr(create_connection, "makes_routed"):

        def create(alias: str) -> Any:
            return routed(create_connection(alias))

        create.makes_routed = True  # type: ignore[attr-defined]
        connections.create_connection = create  # type: ignore[method-assign]
    for connection in connections.all(initialized_only=True):
        routed(connection)


def routed(connection: BaseDatabaseWrapper) -> BaseDatabaseWrapper:
    """Add the mixin and the execute wrappers to the connection, and return it.

    The guard is there before the connection opens: a statement is refused even if the connection never opens.
    """
    if not isinstance(connection, RoutedConnection):
        backend: Any = type(connection)
        connection.__class__ = _routed_class(backend)
        for index, wrapper in enumerate((guard_statement, run_elsewhere, run_in_access_mode)):
            if wrapper not in connection.execute_wrappers:
                connection.execute_wrappers.insert(index, wrapper)
    return connection


@cache
def _routed_class(backend: Any) -> type[BaseDatabaseWrapper]:
    return type(backend.__name__, (RoutedConnection, backend), {"__module__": backend.__module__})


class RoutedConnection(BaseDatabaseWrapper):
    """The methods that Switchyard overrides on the wrapper of each backend."""

    has_circuit = True
    program_transaction: ProgramTransaction | None = None  # the last one in which an owner was written
    access_mode: tuple[Any, bool] | None = None  # the driver connection, and whether its session is read-only
    doubt: Doubt | None = None  # about the open transaction
    began_at: float | None = None  # time.perf_counter() of the begin of the open transaction

    def ensure_connection(self) -> None:
        """Open the connection if it is closed; raise at once if its server is known to be down."""
        if self.connection is None and (error := _down_error(self.alias)) is not None:
            raise error
        super().ensure_connection()

    def set_autocommit(self, autocommit: bool, *arguments: Any, **options: Any) -> None:
        # MySQL begins a transaction with a query: on a lost connection the error of the driver would say less.
        if not autocommit and (error := unavailable_error(self.alias, changes=False)) is not None:
            raise error
        if autocommit:
            self.program_transaction = self.doubt = None  # before Django runs the functions that waited for the commit
        with without_write_lock(self) if not autocommit and begins_read_only(self) else nullcontext():
            super().set_autocommit(autocommit, *arguments, **options)
        set_access_mode(self)
        # Not before: on a closed connection Django opens it first, and that calls this method for autocommit.
        if autocommit:
            transaction_ended(self)
        else:
            transaction_begins(self)
            self.began_at = perf_counter()

    def commit(self) -> None:
        """Commit the transaction; before that, ask whether it wrote if that is in doubt."""
        settle(self)
        super().commit()

    def on_commit(self, *arguments: Any, **options: Any) -> None:
        """Apply the policy `early_on_commit`; then Django keeps the function until the commit, or runs it."""
        check_on_commit(self)
        super().on_commit(*arguments, **options)

    def get_new_connection(self, conn_params: Any) -> Any:
        """Return a new driver connection whose socket and server are known to the monitor."""
        try:
            if monitor.watches(self.alias):
                connection = self._connect_unless_down(conn_params)
            else:
                connection = super().get_new_connection(conn_params)
        except Exception as error:
            events.connection_failed.send(RoutedConnection, alias=self.alias, error=error)
            raise
        if not self._has_pool:
            events.connection_opened.send(RoutedConnection, alias=self.alias)
        sockets.track(self.alias, connection)
        identify(self.alias, self.vendor, connection)
        return connection

    def _connect_unless_down(self, conn_params: Any) -> Any:
        pool = getattr(self, "pool", None)
        with Wait(self.alias) as wait:
            return connect_unless_down(
                partial(super().get_new_connection, conn_params),
                down_error=partial(_down_error, self.alias, wait),
                discard=(lambda connection: connection.close()) if pool is None else pool.putconn,
            )

    def _configure_connection(self, connection: Any) -> Any:
        # The pool of PostgreSQL calls this method for each connection that it makes, long before a thread takes it.
        if self._has_pool:
            events.connection_opened.send(RoutedConnection, alias=self.alias)
        sockets.track(self.alias, connection)
        identify(self.alias, self.vendor, connection)
        return super()._configure_connection(connection)  # type: ignore[misc]

    def is_usable(self) -> bool:
        """Return True if the server answers over this connection; False without a query if it is known to be down."""
        if _down_error(self.alias) is not None:
            return False
        with Wait(self.alias, self.connection):
            return super().is_usable()

    @property
    def _has_pool(self) -> bool:
        return getattr(self, "pool", None) is not None

    def _commit(self) -> Any:
        outcome = self._open_transaction()
        with Wait(self.alias, self.connection):
            result = super()._commit()  # type: ignore[misc]
        self._report_end(outcome)
        return result

    def _rollback(self) -> Any:
        outcome = self._open_transaction() and "rollback"
        with Wait(self.alias, self.connection):
            result = super()._rollback()  # type: ignore[misc]
        self._report_end(outcome)
        return result

    def _close(self) -> Any:
        if self.connection is None:
            return super()._close()  # type: ignore[misc]
        outcome = has_open_transaction(self) and self._open_transaction() and "rollback"
        try:
            return super()._close()  # type: ignore[misc]
        finally:
            self._report_end(outcome or "")
            if not self._has_pool:
                events.connection_closed.send(RoutedConnection, alias=self.alias)

    def _open_transaction(self) -> str:
        return events.open_transaction(self) if self.connection is not None else ""

    def _report_end(self, outcome: str) -> None:
        began_at, self.began_at = self.began_at, None
        if outcome:
            seconds = None if began_at is None else perf_counter() - began_at
            committed = outcome == "commit"
            events.transaction_ended.send(RoutedConnection, alias=self.alias, committed=committed, seconds=seconds)

    def _set_autocommit(self, autocommit: bool) -> None:
        with Wait(self.alias, self.connection):  # MySQL sends a query
            super()._set_autocommit(autocommit)  # type: ignore[misc]

    def _cursor(self, name: str | None = None) -> Any:
        if replicated_by(self.alias) is None or has_open_transaction(self):
            try:
                cursor = super()._cursor(name)  # type: ignore[misc]
            except (OperationalError, InterfaceError) as error:
                if not is_fallback_read(self.alias) or has_open_transaction(self):
                    raise
                return self._failed_cursor(error, name)
            if is_read_only(self.alias):
                set_access_mode(self)  # for COPY and other calls that pass no execute wrapper
            return cursor
        if self.connection is None and (down := _down_error(self.alias)) is not None:
            return self._failed_cursor(down, name)
        may_reopen = self.connection is not None
        while True:
            try:
                return super()._cursor(name)  # type: ignore[misc]
            except (OperationalError, InterfaceError) as error:
                if not may_reopen:
                    report_failure(self, error)
                    return self._failed_cursor(error, name)
                may_reopen = False  # the connection was lost while idle, which says nothing about the server
                with suppress(Error):
                    self.close()

    def _failed_cursor(self, error: Error, name: str | None) -> Any:
        """Return a cursor that reads elsewhere; raise the error inside `only()`."""
        if not may_move(self.alias):
            raise error
        return self._prepare_cursor(FailedCursor(error, name))  # type: ignore[attr-defined]

    def copy(self, alias: str | None = None) -> Any:
        """Return a copy of the backend's own class, without the mixin: its queries never go to another server."""
        copied: Any = super().copy(alias)
        copied.__class__ = next(cls for cls in type(self).__mro__ if not issubclass(cls, RoutedConnection))
        return copied


def _down_error(alias: str, running: Wait | None = None) -> OperationalError | None:
    """Return the error that replaces an attempt to connect, if the server of the alias is known to be down.

    While a server answers late, the `running` attempt goes on if it is within the share of the threads.
    """
    owner = replicated_by(alias)
    if owner is None:
        error = unavailable_error(alias, changes=False)
        within_share = running is not None and running not in waits_for(alias).beyond_share()
        return None if error is not None and error.reason == "busy" and within_share else error
    if any(
        replica.alias == alias and replica.unfit_reason == "down"
        for replica in replication_set(owner).snapshot.replicas
    ):
        return OperationalError(f"Replica '{alias}' is down: no connection was attempted.")
    return None
