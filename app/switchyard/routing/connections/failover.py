"""Read elsewhere what a replica fails to answer: on another fit one, or on the owner.

That holds for a read with `.using("replica")` and for a raw cursor, too: who names a replica asks for rows that may be
late, not for an error. To read on that server or not at all, open a transaction there (`atomic(using="replica")`): a
transaction never moves. Nor does a server-side cursor once it is open, because its rows may have been handed out.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from django.db import Error, InterfaceError, OperationalError, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper

from switchyard.routing.connection_state import has_open_transaction
from switchyard.routing.connections.guard import check_statement
from switchyard.routing.connections.server_identity import may_be_stale
from switchyard.routing.errors import record_violation
from switchyard.routing.monitor import monitor
from switchyard.routing.selection.select import fallback_alias
from switchyard.routing.topology.ownership import replicated_by
from switchyard.routing.topology.replication import shared_aliases
from switchyard.sql.classifier import classify, statement_text

# The server ends, begins or lacks what it needs. Not 57014: that is a time-out of the user's own.
_STATES = ("08", "57P01", "57P02", "57P03", "57P05", "53100", "53200", "53300", "58")
# MySQL's and MariaDB's for a server that shuts down or is gone.
_ERRNOS = frozenset((number,) for number in (1053, 1080, 1927, 2002, 2003, 2006, 2013, 2055, 4031))
# What is read of a result, and how it is let go.
_READS = frozenset(
    (
        *("fetchone", "fetchmany", "fetchall", "nextset", "scroll", "close", "closed"),
        *("description", "rowcount", "rownumber", "arraysize", "name"),
        *("_query", "_executed"),  # what Django logs
    )
)


def retry_elsewhere(execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Run the statement; run it elsewhere if it is a read and its replica is at fault (an execute wrapper).

    So too where the connection leads to a server that may not have what the client has seen.
    """
    connection, cursor = context["connection"], context["cursor"]
    if connection.alias in shared_aliases and not many and _may_redirect(connection, sql) and may_be_stale(connection):
        _redirect(connection, cursor)
        return CursorWrapper.execute(cursor, sql, params)
    try:
        return execute(sql, params, many, context)
    except (OperationalError, InterfaceError) as error:
        if many or not _is_at_fault(connection, cursor, error) or not _may_redirect(connection, sql):
            raise
        if not isinstance(cursor.cursor, FailedCursor):
            report_failure(connection, error)
        _redirect(connection, cursor)
        # Not the debug cursor's: it is logging this statement already.
        return CursorWrapper.execute(cursor, sql, params)


class FailedCursor:
    """The driver's cursor of a replica that cannot be reached: whatever is asked of it, it raises why."""

    _query = _executed = None  # what Django logs

    def __init__(self, error: Error, name: str | None) -> None:
        self.error = error
        self.name = name

    def close(self) -> None:
        """Do nothing."""

    def __getattr__(self, _name: str) -> Any:
        raise self.error


class SubstituteCursor:
    """The driver's cursor of another alias in the place of a replica's: it reads, and does nothing else there."""

    def __init__(self, cursor: Any, connection: BaseDatabaseWrapper, *, replica: str, tried: frozenset[str]) -> None:
        self.replica = replica
        self.tried = tried
        self._cursor = cursor
        self._connection = connection

    def execute(self, sql: Any, *params: Any) -> Any:
        """Run a read; refuse what is refused on the replica."""
        text = statement_text(sql, self._connection)
        if (error := check_statement(self.replica, classify(text, self._connection.vendor), text)) is not None:
            raise record_violation(error)
        return self._cursor.execute(sql, *params)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)

    def __getattr__(self, name: str) -> Any:
        if name in _READS:
            return getattr(self._cursor, name)
        raise AttributeError(f"'{self.replica}' is away, and a cursor that reads elsewhere in its place has no {name}.")


def _is_at_fault(connection: BaseDatabaseWrapper, cursor: CursorWrapper, error: Error) -> bool:
    return isinstance(cursor.cursor, FailedCursor) or is_server_error(error, connection)


def _may_redirect(connection: BaseDatabaseWrapper, sql: Any) -> bool:
    if replicated_by(connection.alias) is None or has_open_transaction(connection):
        return False
    statement = classify(statement_text(sql, connection), connection.vendor)
    return statement.operation == "read" and not statement.locks


def _redirect(connection: BaseDatabaseWrapper, cursor: CursorWrapper) -> None:
    alias, before = connection.alias, cursor.cursor
    home, tried = (before.replica, before.tried) if isinstance(before, SubstituteCursor) else (alias, frozenset())
    tried |= {alias}
    server_side = getattr(before, "name", None)
    with suppress(connection.Database.Error):  # type: ignore[attr-defined]
        before.close()
    other = connections[fallback_alias(alias, tried)]
    opened = other.chunked_cursor() if server_side else other.cursor()
    cursor.cursor = SubstituteCursor(opened.cursor, other, replica=home, tried=tried)
    cursor.db = other


def report_failure(connection: BaseDatabaseWrapper, error: Error) -> None:
    """Report the replica's failure, and close its connection unless it is still good."""
    if not _waited_for_pool(error):
        monitor.report_failure(connection.alias, error)
    if not monitor.is_recovery_conflict(error) or getattr(connection.connection, "closed", False):
        with suppress(Error):  # it is broken, that is why it is closed
            connection.close()


def is_server_error(error: Error, connection: BaseDatabaseWrapper) -> bool:
    """Tell whether the server is at fault for the error of a statement, and not the statement."""
    raised = error.__cause__
    if connection.vendor == "mysql":
        return raised is not None and raised.args[:1] in _ERRNOS
    state = getattr(raised, "sqlstate", None)
    if state is None:
        return bool(getattr(connection.connection, "closed", False))
    return state.startswith(_STATES) or monitor.is_recovery_conflict(error)


def _waited_for_pool(error: Error) -> bool:
    # Its connections may all be in use here, while the server is well; where it is not, those who ask it say so.
    return type(error.__cause__).__module__.startswith("psycopg_pool")
