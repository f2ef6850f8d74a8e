"""Run a read again that its replica fails to answer: on another fit replica, or on the owner.

Reads with `.using("replica")` and reads of a raw cursor move as well: a program that names a replica accepts late rows,
and does not ask for an error. To read that server or none, use `only("replica")`, or open a transaction there: it never
moves. A server-side cursor does not move after it is open, because the program may have its rows.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.connections.server_identity import is_left_behind, may_be_stale, server_behind
from switchyard.routing.errors import record_violation
from switchyard.routing.guards.fencing import is_write_refusal
from switchyard.routing.guards.guard import check_statement, hidden_write_on_replica
from switchyard.routing.guards.read_only_transaction import can_read_only, read_only_transaction
from switchyard.routing.monitor import monitor
from switchyard.routing.selection.last_decisions import moved_read
from switchyard.routing.selection.select import fallback_alias
from switchyard.routing.session.context import may_move
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import shared_aliases
from switchyard.sql.classifier import classify, statement_text
from switchyard.sql.transaction_control import transaction_control

# PostgreSQL: connection lost, server stops or starts, out of resources, I/O error. Not 57014, a time-out that the
# program has set itself.
_SERVER_SQLSTATES = ("08", "57P01", "57P02", "57P03", "57P05", "53100", "53200", "53300", "58")
# MySQL and MariaDB: the server shuts down, or the connection is lost.
_SERVER_ERRNOS = frozenset((number,) for number in (1053, 1080, 1927, 2002, 2003, 2006, 2013, 2055, 4031))
# The attributes of a cursor that read a result or close it.
_READ_ATTRIBUTES = frozenset(
    (
        *("fetchone", "fetchmany", "fetchall", "nextset", "scroll", "close", "closed"),
        *("description", "rowcount", "rownumber", "arraysize", "name"),
        *("_query", "_executed"),  # Django logs them
    )
)


def retry_elsewhere(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement; run a read elsewhere if the server of its replica fails (an execute wrapper).

    A read also moves if its connection leads to a server that may lack rows that the client has seen.
    """
    connection, cursor = context["connection"], context["cursor"]
    if (
        connection.alias in shared_aliases
        and not many
        and _may_redirect(connection, sql)
        and may_be_stale(connection)
        and _redirect(connection, cursor)
    ):
        return CursorWrapper.execute(cursor, sql, params)
    try:
        return execute(sql, params, many, context)
    except (OperationalError, InterfaceError) as error:
        if many or not _server_failed(connection, cursor, error) or not _may_redirect(connection, sql):
            raise
        if not isinstance(cursor.cursor, FailedCursor):
            report_failure(connection, error)
        if not _redirect(connection, cursor):
            raise
        # Not `execute()` of the debug cursor, which logs this statement already.
        return CursorWrapper.execute(cursor, sql, params)


class FailedCursor:
    """The cursor of an alias without a connection: every use raises the error of the connection."""

    _query = _executed = None  # Django logs them

    def __init__(self, error: Error, name: str | None, *, tried: frozenset[str] = frozenset()) -> None:
        self.error = error
        self.name = name
        self.tried = tried

    def close(self) -> None:
        """Do nothing: there is no cursor to close."""

    def __getattr__(self, _name: str) -> Any:
        raise self.error


class SubstituteCursor:
    """A driver cursor of another alias, in place of the cursor of a replica. It supports reads only."""

    def __init__(self, cursor: Any, connection: BaseDatabaseWrapper, *, replica: str, tried: frozenset[str]) -> None:
        self.replica = replica
        self.tried = tried
        self._cursor = cursor
        self._connection = connection

    def execute(self, sql: Any, *params: Any) -> Any:
        """Run a read in a read-only transaction; refuse every statement that is refused on the replica.

        The replica's server would refuse a write that the text hides, and the owner's server must not run it.
        """
        text = statement_text(sql, self._connection)
        if (error := check_statement(self.replica, classify(text, self._connection.vendor), text)) is not None:
            raise record_violation(error)
        try:
            with read_only_transaction(self._connection), moved_read():
                return self._cursor.execute(sql, *params)
        except self._connection.Database.Error as refused:  # type: ignore[attr-defined]
            if not is_write_refusal(self._connection.vendor, refused):
                raise
            raise record_violation(hidden_write_on_replica(self.replica, text)) from refused

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        if name in _READ_ATTRIBUTES:
            return getattr(self._cursor, name)
        raise AttributeError(
            f"'{self.replica}' is unavailable; this cursor was redirected to another alias and supports reads only "
            f"(no `{name}`)."
        )


def _server_failed(connection: BaseDatabaseWrapper, cursor: CursorWrapper, error: Error) -> bool:
    return isinstance(cursor.cursor, FailedCursor) or is_server_error(error, connection)


def _may_redirect(connection: BaseDatabaseWrapper, sql: Any) -> bool:
    return replicated_by(connection.alias) is not None and is_redirectable(connection, sql)


def is_redirectable(connection: BaseDatabaseWrapper, sql: Any) -> bool:
    """Return True for one read outside a transaction, unless `only()` holds it where it is."""
    if has_open_transaction(connection) or not may_move(connection.alias):
        return False
    text = statement_text(sql, connection)
    statement = classify(text, connection.vendor)
    if statement.operation != "read" or statement.locks or statement.advisory_lock:
        return False
    # A read-only transaction holds one statement: a COMMIT in the text would end it.
    return ";" not in text or transaction_control(text, connection.vendor).statements == 1


def _redirect(connection: BaseDatabaseWrapper, cursor: CursorWrapper) -> bool:
    """Replace the driver cursor by one on the alias that serves in place of the replica, as `substitute()` does."""
    alias, before = connection.alias, cursor.cursor
    replica = before.replica if isinstance(before, SubstituteCursor) else alias
    tried = getattr(before, "tried", frozenset()) | {alias}
    return substitute(connection, cursor, fallback_alias(alias, tried), replica=replica, tried=tried)


def substitute(
    connection: BaseDatabaseWrapper, cursor: CursorWrapper, alias: str, *, replica: str, tried: frozenset[str]
) -> bool:
    """Replace the driver cursor by a `SubstituteCursor` on the alias, which refuses what `replica` would refuse.

    `tried` holds the aliases that failed to answer the statement. Returns False, and replaces nothing, if the alias
    cannot hold the read in a read-only transaction.
    """
    before = cursor.cursor
    server_side = bool(getattr(before, "name", None))
    other = connections[alias]
    opened = other.chunked_cursor() if server_side else other.cursor()
    if isinstance(opened.cursor, FailedCursor):
        cursor.cursor, cursor.db = FailedCursor(opened.cursor.error, opened.cursor.name, tried=tried), other
        return True
    if not can_read_only(other, server_side=server_side):
        opened.close()
        return False
    with suppress(connection.Database.Error):  # type: ignore[attr-defined]
        before.close()
    cursor.cursor = SubstituteCursor(opened.cursor, other, replica=replica, tried=tried)
    cursor.db = other
    return True


def report_failure(connection: BaseDatabaseWrapper, error: Error) -> None:
    """Report the failure of a replica to the monitor, and close the connection unless it is still usable."""
    if not _is_pool_timeout(error) and not is_left_behind(connection):
        monitor.report_failure(connection.alias, error, server_behind(connection))
    if not monitor.is_recovery_conflict(error) or getattr(connection.connection, "closed", False):
        with suppress(Error):  # a broken connection may raise while it closes
            connection.close()


def is_server_error(error: Error, connection: BaseDatabaseWrapper) -> bool:
    """Return True if the server caused the error of a statement, and not the statement itself."""
    driver_error = error.__cause__
    if connection.vendor == "mysql":
        return driver_error is not None and driver_error.args[:1] in _SERVER_ERRNOS
    sqlstate = getattr(driver_error, "sqlstate", None)
    if sqlstate is None:
        return bool(getattr(connection.connection, "closed", False))
    return sqlstate.startswith(_SERVER_SQLSTATES) or monitor.is_recovery_conflict(error)


def _is_pool_timeout(error: Error) -> bool:
    # All connections of the pool may be in use while the server works. The probes notice a server that does not.
    return type(error.__cause__).__module__.startswith("psycopg_pool")
